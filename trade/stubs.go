package trade

import (
	"context"
	"errors"
	"time"

	"neoapi"
)

var errTodo = errors.New("not built yet")

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
