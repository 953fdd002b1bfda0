package ledger

// Block blocks what an order needs, whether it fits or not: of an order that only closes
// what another one opened.
func (a *Account) Block(o Order) { a.open(a.slotOf(o.Instrument, o.Product), o, 1) }
