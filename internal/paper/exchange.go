package paper

import (
	"time"

	"neoapi/internal/paper/ledger"
	"neoapi/internal/paper/listing"
)

// Config configures an [Exchange].
type Config struct {
	Seed    uint64
	Start   time.Time     // when the market begins
	Latency time.Duration // from a command to its effect at the exchange
	Funds   listing.Price // what an account begins with
}

// An Exchange is the market with its accounts. It is not safe for concurrent use.
// Every method that takes the time first brings the market up to it; the market's time
// never goes back, so an earlier time counts as the latest one.
type Exchange struct{}

// New opens an exchange.
func New(cfg Config) *Exchange { return &Exchange{} }

// Run brings the market up to a time: prices move, orders fill, days roll.
func (x *Exchange) Run(now time.Time) { panic("not written") }

// Place places an order. The number is given whatever becomes of it: an order that
// breaks a rule of money or the exchange becomes rejected.
func (x *Exchange) Place(now time.Time, p Place) (Number, *Refusal) { panic("not written") }

// Modify changes an order. A change that breaks a rule leaves the order as it was, and
// says so in its history.
func (x *Exchange) Modify(now time.Time, c Change) *Refusal { panic("not written") }

// Cancel cancels an order. afterHours is what the caller said of it.
func (x *Exchange) Cancel(now time.Time, account string, n Number, afterHours bool) *Refusal {
	panic("not written")
}

// Exit ends a cover or bracket order: what rests is cancelled, what was filled is closed.
func (x *Exchange) Exit(now time.Time, account string, n Number) *Refusal { panic("not written") }

// Convert moves a quantity of a position to another product.
func (x *Exchange) Convert(now time.Time, account string, key listing.Key, side Side, from, to Product, quantity int64) *Refusal {
	panic("not written")
}

// Orders returns an account's orders of the day, as they are, by number.
func (x *Exchange) Orders(now time.Time, account string) []Order { panic("not written") }

// History returns an order's rows, oldest first.
func (x *Exchange) History(now time.Time, account string, n Number) ([]Order, *Refusal) {
	panic("not written")
}

// Trades returns an account's fills of the day, oldest first.
func (x *Exchange) Trades(now time.Time, account string) []Trade { panic("not written") }

// Positions returns an account's positions.
func (x *Exchange) Positions(now time.Time, account string) []Position { panic("not written") }

// Holdings returns an account's shares.
func (x *Exchange) Holdings(now time.Time, account string) []Holding { panic("not written") }

// Limits returns an account's money.
func (x *Exchange) Limits(now time.Time, account string) Limits { panic("not written") }

// Margin returns what an order would need. It checks the order as Place does.
func (x *Exchange) Margin(now time.Time, p Place) (Need, *Refusal) { panic("not written") }

// Fund replaces an account's money, and its holdings unless they are nil. It refuses
// while the account has open orders or positions of the day.
func (x *Exchange) Fund(now time.Time, account string, funds listing.Price, holdings []ledger.Holding) *Refusal {
	panic("not written")
}

// Listing returns what is listed on the day.
func (x *Exchange) Listing(now time.Time) *listing.Day { panic("not written") }

// Quote returns the market's picture of an instrument.
func (x *Exchange) Quote(now time.Time, key listing.Key) (Quote, bool) { panic("not written") }

// Candles returns the bars that start from from and before to; interval is a minute's
// multiple, a day or a week.
func (x *Exchange) Candles(now time.Time, key listing.Key, interval time.Duration, from, to time.Time) []Candle {
	panic("not written")
}

// SetPrice prints one lot at a price, moves the market there, fills what it goes
// through, and holds the price until [Exchange.Release].
func (x *Exchange) SetPrice(now time.Time, key listing.Key, p listing.Price) *Refusal {
	panic("not written")
}

// Print makes a trade of the market at a price.
func (x *Exchange) Print(now time.Time, key listing.Key, p listing.Price, quantity int64) *Refusal {
	panic("not written")
}

// Halt stops matching in an instrument, or lets it go on.
func (x *Exchange) Halt(now time.Time, key listing.Key, halted bool) *Refusal { panic("not written") }

// SetBand sets an instrument's price band of the day.
func (x *Exchange) SetBand(now time.Time, key listing.Key, low, high listing.Price) *Refusal {
	panic("not written")
}

// Gap moves the market to a price without trades between: stops fire at the new price.
func (x *Exchange) Gap(now time.Time, key listing.Key, p listing.Price) *Refusal {
	panic("not written")
}

// Release lets an instrument's price move again by itself; a zero key, all of them.
func (x *Exchange) Release(now time.Time, key listing.Key) { panic("not written") }

// Events returns what happened since the last call. Without a call they are kept up to
// a bound, and then forgotten from the oldest.
func (x *Exchange) Events() []Event { panic("not written") }
