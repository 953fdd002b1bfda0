// Package trade has the calls of the trade API that a session opens.
//
// Start with [New], which takes a [neoapi.Client] that has logged in or keeps a
// session. The package is built on neoapi's exported surface alone: what it does not
// have, [neoapi.Client.Do] calls by its path.
package trade

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"neoapi"
)

// A Client calls the trade API for one account. It is safe for concurrent use.
type Client struct {
	client *neoapi.Client
	opts   []neoapi.CallOption
}

// New returns a client that calls with c's session, or with that of a keeper that the
// options name. The options are those of every call; a call's own come after them.
// It prints without its secrets, as c does.
func New(c *neoapi.Client, opts ...neoapi.CallOption) *Client { return &Client{c, opts} }

// A Report has one row for each position, order, trade or holding. The names are the
// service's. Numbers are json.Number, so that none loses a digit.
type Report []map[string]any

// UnmarshalJSON reads a list of rows, or one row.
func (r *Report) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if data = bytes.TrimSpace(data); len(data) > 0 && data[0] == '{' {
		row := map[string]any{}
		err := d.Decode(&row)
		*r = Report{row}
		return err
	}
	return d.Decode((*[]map[string]any)(r))
}

// Positions returns the day's positions. Its errors, like those of all reports, are
// those of [neoapi.Client.Do]; an empty report is no error.
func (t *Client) Positions(ctx context.Context, opts ...neoapi.CallOption) (Report, error) {
	return t.report(ctx, http.MethodGet, "/quick/user/positions", nil, opts)
}

// Orders returns the day's order book.
func (t *Client) Orders(ctx context.Context, opts ...neoapi.CallOption) (Report, error) {
	return t.report(ctx, http.MethodGet, "/quick/user/orders", nil, opts)
}

// Trades returns the day's trade book.
func (t *Client) Trades(ctx context.Context, opts ...neoapi.CallOption) (Report, error) {
	return t.report(ctx, http.MethodGet, "/quick/user/trades", nil, opts)
}

// Holdings returns what the account holds.
func (t *Client) Holdings(ctx context.Context, opts ...neoapi.CallOption) (Report, error) {
	return t.report(ctx, http.MethodGet, "/portfolio/v1/holdings", nil, opts)
}

// Limits returns the account's limits over all segments, exchanges and products, in
// one row.
func (t *Client) Limits(ctx context.Context, opts ...neoapi.CallOption) (Report, error) {
	return t.report(ctx, http.MethodPost, "/quick/user/limits", url.Values{"jData": {`{"seg":"ALL","exch":"ALL","prod":"ALL"}`}}, opts)
}

func (t *Client) report(ctx context.Context, method, path string, form url.Values, opts []neoapi.CallOption) (rows Report, err error) {
	err = t.client.Do(ctx, method, path, form, &rows, append(t.opts[:len(t.opts):len(t.opts)], opts...)...)
	return rows, err
}
