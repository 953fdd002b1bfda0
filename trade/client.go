package trade

import (
	"context"
	"encoding/json"
	"errors"
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

	limit time.Duration // of a try of a read

	noOrder, oldPositions atomic.Bool // what the service was found not to have: the address of one order, the new report of positions
}

// An Option sets up a [Client].
type Option func(*Client)

// With makes every call with these options, before the call's own: for example
// neoapi.WithKeeper.
func With(opts ...neoapi.CallOption) Option {
	return func(t *Client) { t.opts = append(t.opts, opts...) }
}

// ReadLimit is how long one try of a report or another read may take, 5 seconds without
// this option. A GET without an answer is tried a second time.
func ReadLimit(d time.Duration) Option { return func(t *Client) { t.limit = d } }

// New returns a client that uses c's session, and renews it if c has a [neoapi.Keeper].
func New(c *neoapi.Client, opts ...Option) *Client {
	t := &Client{api: c, limit: 5 * time.Second}
	for _, opt := range opts {
		opt(t)
	}
	return t
}

// get reads a report and returns its answer: the field data, or the whole answer if it has
// none; nil for an empty report.
func (t *Client) get(ctx context.Context, path string, query url.Values, opts []neoapi.CallOption) (json.RawMessage, error) {
	answer, err := t.read(ctx, http.MethodGet, path, query, opts)
	if errors.Is(err, neoapi.ErrNetwork) && ctx.Err() == nil {
		return t.read(ctx, http.MethodGet, path, query, opts)
	}
	return answer, err
}

// ask reads with a JSON object in the field jData, once: it is a POST.
func (t *Client) ask(ctx context.Context, path, jData string, opts []neoapi.CallOption) (json.RawMessage, error) {
	return t.read(ctx, http.MethodPost, path, url.Values{"jData": {jData}}, opts)
}

// read calls within the limit of a read. Without a session there is no limit but ctx: a
// keeper may be waiting for a person's code.
func (t *Client) read(ctx context.Context, method, path string, form url.Values, opts []neoapi.CallOption) (json.RawMessage, error) {
	if s, ok := t.api.Session(); ok && (s.Ends().IsZero() || time.Now().Before(s.Ends())) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t.limit)
		defer cancel()
	}
	return t.call(ctx, method, path, form, opts)
}

// post calls with a JSON object in the field jData, once.
func (t *Client) post(ctx context.Context, path, jData string, opts []neoapi.CallOption) (json.RawMessage, error) {
	return t.call(ctx, http.MethodPost, path, url.Values{"jData": {jData}}, opts)
}

func (t *Client) call(ctx context.Context, method, path string, form url.Values, opts []neoapi.CallOption) (answer json.RawMessage, err error) {
	err = t.api.Do(ctx, method, path, form, &answer, slices.Concat(t.opts, opts)...)
	return answer, err
}
