package trade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"neoapi"
)

// A Client trades for one account. All its methods are safe for concurrent use. Like the
// [neoapi.Client] that it calls with, it prints without secrets.
type Client struct {
	api  *neoapi.Client
	opts []neoapi.CallOption // of every call

	urgent []neoapi.CallOption // of orders, which do not wait for reads
	live   *live               // what a feed says of orders, or nil

	squaring chan struct{} // whose turn it is to square off: of two at once, each would close every position

	noOrder, oldPositions atomic.Bool // what the service was found not to have: the address of one order, the new report of positions
}

// An Option sets up a [Client].
type Option func(*Client)

// With makes every call with these options, before the call's own: for example
// neoapi.WithKeeper.
func With(opts ...neoapi.CallOption) Option {
	return func(t *Client) { t.opts = append(t.opts, opts...) }
}

// String returns the service that the client trades at.
func (t *Client) String() string { return "trade.Client{" + t.api.String() + "}" }

// Format prints [Client.String] for every verb: the client leads to secrets.
func (t *Client) Format(f fmt.State, _ rune) { io.WriteString(f, t.String()) }

// MarshalText returns [Client.String].
func (t *Client) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// New returns a client that uses c's session, and renews it if c has a [neoapi.Keeper].
func New(c *neoapi.Client, opts ...Option) *Client {
	t := &Client{api: c, squaring: make(chan struct{}, 1)}
	for _, opt := range opts {
		opt(t)
	}
	t.urgent = append(slices.Clone(t.opts), neoapi.Urgent())
	return t
}

// get calls a report and returns its answer: the field data, or the whole answer if it has
// none; nil for an empty report.
func (t *Client) get(ctx context.Context, path string, query url.Values, opts []neoapi.CallOption) (json.RawMessage, error) {
	return t.call(ctx, http.MethodGet, path, query, opts)
}

// post calls with a JSON object in the field jData.
func (t *Client) post(ctx context.Context, path, jData string, opts []neoapi.CallOption) (json.RawMessage, error) {
	return t.call(ctx, http.MethodPost, path, url.Values{"jData": {jData}}, opts)
}

// readWithin is how long one try of a read may take.
const readWithin = 5 * time.Second

// call reads something. A try that takes too long is given up, with its connection, and a
// second one made on another.
func (t *Client) call(ctx context.Context, method, path string, form url.Values, opts []neoapi.CallOption) (answer json.RawMessage, err error) {
	opts = slices.Concat(t.opts, []neoapi.CallOption{neoapi.AnswerWithin(readWithin)}, opts)
	for n := 0; ; n++ {
		answer = nil
		err = t.api.Do(ctx, method, path, form, &answer, opts...)
		if fail, ok := errors.AsType[*neoapi.Error](err); n > 0 || !ok || fail.Category != neoapi.ErrNetwork || ctx.Err() != nil {
			return answer, err
		}
	}
}
