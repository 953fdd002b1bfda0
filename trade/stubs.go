package trade

import (
	"context"
	"errors"

	"neoapi"
)

var errTodo = errors.New("not built yet")

func (t *Client) Orders(ctx context.Context, opts ...neoapi.CallOption) ([]Order, error) {
	return nil, errTodo
}
func (t *Client) Order(ctx context.Context, number string, opts ...neoapi.CallOption) (Order, error) {
	return Order{}, errTodo
}

// History: states of an order, oldest first.
func (t *Client) History(ctx context.Context, number string, opts ...neoapi.CallOption) ([]Order, error) {
	return nil, errTodo
}
func (t *Client) Trades(ctx context.Context, opts ...neoapi.CallOption) ([]Trade, error) {
	return nil, errTodo
}
func (t *Client) Positions(ctx context.Context, opts ...neoapi.CallOption) ([]Position, error) {
	return nil, errTodo
}
func (t *Client) Holdings(ctx context.Context, opts ...neoapi.CallOption) ([]Holding, error) {
	return nil, errTodo
}
func (t *Client) Limits(ctx context.Context, opts ...neoapi.CallOption) (Limits, error) {
	return Limits{}, errTodo
}
func (t *Client) Margin(ctx context.Context, orders ...Ticket) (Margin, error) {
	return Margin{}, errTodo
}

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
