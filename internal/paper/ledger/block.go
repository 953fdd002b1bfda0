package ledger

import "neoapi/internal/paper/listing"

// Block blocks what an order needs, whether it fits or not: of an order that only closes
// what another one opened.
func (a *Account) Block(o Order) { a.open(a.slotOf(o.Instrument, o.Product), o, 1) }

// Base sets where base prices of the present day come from.
func (l *Ledger) Base(base func(*listing.Instrument) listing.Price) { l.base = base }
