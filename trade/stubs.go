package trade

import (
	"context"
	"errors"
	"time"

	"neoapi"
)

var errTodo = errors.New("not built yet")

// A Tag labels an order.
type Tag struct {
	label string
	day   bool
}

// Label and DayTag: see the issue.
func Label(s string) Tag  { return Tag{label: s} }
func DayTag(s string) Tag { return Tag{label: s, day: true} }

// A Change is what Modify changes; what is not set stays.
type Change struct {
	Quantity       int64 // new total, filled part included; 0 leaves it
	Price, Trigger Rupees
	Type           PriceType
	Validity       Validity
	Disclosed      int64
}

func (t *Client) Check(ctx context.Context, order Ticket) error              { return errTodo }
func (t *Client) Place(ctx context.Context, order Ticket) (Order, error)     { return Order{}, errTodo }
func (t *Client) PlaceOnce(ctx context.Context, order Ticket) (Order, error) { return Order{}, errTodo }
func (t *Client) Modify(ctx context.Context, order Order, change Change) (Order, error) {
	return Order{}, errTodo
}
func (t *Client) Cancel(ctx context.Context, order Order) (Order, error) { return Order{}, errTodo }
func (t *Client) Exit(ctx context.Context, order Order) (Order, error)   { return Order{}, errTodo }
func (t *Client) Await(ctx context.Context, order Order, states ...State) (Order, error) {
	return Order{}, errTodo
}

// Slice cuts at the freeze limit.
func Slice(order Ticket) []Ticket { return nil }

// A Result is what became of one order of several.
type Result struct {
	Order  Order
	Ticket Ticket // what was or would be sent
	Err    error
}

// An Only narrows CancelAll and SquareOff: Intraday, DryRun, All, In(instrument), OfProduct(p), Tagged(prefix)
type Only func(*selection)
type selection struct{}

func (t *Client) CancelAll(ctx context.Context, only ...Only) ([]Result, error) { return nil, errTodo }
func (t *Client) SquareOff(ctx context.Context, only ...Only) ([]Result, error) { return nil, errTodo }
func (t *Client) Basket(ctx context.Context, legs ...Ticket) ([]Result, error)  { return nil, errTodo }
func (t *Client) Convert(ctx context.Context, p Position, quantity int64, to Product) (Position, error) {
	return Position{}, errTodo
}

func (t *Client) Instrument(ctx context.Context, segment Segment, symbol string) (Instrument, error) {
	return Instrument{}, errTodo
}

// Instruments returns today's scrip master of the segments (all if none).
func (t *Client) Instruments(ctx context.Context, segments ...Segment) (*Master, error) {
	return nil, errTodo
}

// A Master is the scrip masters of a day.
type Master struct{}
type Search struct {
	Text             string
	Segment          Segment
	Name             string
	Kind             Kind
	Expiry           Date
	Strike, StrikeTo Rupees
	Limit            int
}

func (m *Master) Symbol(segment Segment, symbol string) (Instrument, error) {
	return Instrument{}, errTodo
}
func (m *Master) Token(segment Segment, token string) (Instrument, error) {
	return Instrument{}, errTodo
}
func (m *Master) Find(s Search) []Instrument { return nil }

func (t *Client) Quote(ctx context.Context, i Instrument, opts ...neoapi.CallOption) (Quote, error) {
	return Quote{}, errTodo
}
func (t *Client) Quotes(ctx context.Context, of []Instrument, opts ...neoapi.CallOption) ([]Quote, error) {
	return nil, errTodo
}

// An Interval of candles: OneMinute … Weekly, as the protocol has them
type Interval string

const FiveMinutes Interval = "5min"

func (t *Client) Candles(ctx context.Context, i Instrument, every Interval, from, to time.Time, opts ...neoapi.CallOption) ([]Candle, error) {
	return nil, errTodo
}

// An Underlying names what options and futures are of: Index("NIFTY"), Stock("TCS"), Commodity("GOLDM").
type Underlying struct {
	Name    string
	Segment Segment
}

func Index(name string) Underlying { return Underlying{Name: name} }

// An Expiry chooses one: NearestExpiry, On(date).
type Expiry struct{ on Date }

var NearestExpiry = Expiry{}

type Chain struct{}

func (t *Client) OptionChain(ctx context.Context, of Underlying, expiry Expiry, opts ...neoapi.CallOption) (*Chain, error) {
	return nil, errTodo
}
func (t *Client) Expiries(ctx context.Context, of Underlying, opts ...neoapi.CallOption) ([]Date, error) {
	return nil, errTodo
}
