// Package trade calls the trade API with a session.
//
// Start with [New], which takes a [neoapi.Client] that has logged in or keeps a
// session. The package uses only neoapi's exported API: call anything it does not
// have with [neoapi.Client.Do], by its path.
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

// New returns a client that uses c's session, or that of a keeper given in opts. opts
// apply to every call, before the call's own options. Like c, the client prints
// without its secrets.
func New(c *neoapi.Client, opts ...neoapi.CallOption) *Client { return &Client{c, opts} }

// A Report has one row for each position, order, trade or holding. The field names
// are the service's. Numbers are json.Number, so that none loses precision.
type Report []map[string]any

// UnmarshalJSON decodes a list of rows, or a single row.
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

// Holdings returns the account's holdings.
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
