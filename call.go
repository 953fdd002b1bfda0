package neoapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"neoapi/internal/tradewire"
	"neoapi/internal/wire"
)

// maxBook is the largest answer to a trade call that Do reads, in bytes: a busy
// program's order book of a day is a few megabytes.
const maxBook = 32 << 20

// Do calls the trade API and stores its answer in the value that into points to: the
// answer's data field, or the whole answer if it has none. The call is sent as
// [Client.HTTPClient] sends it. path is an address below the service's base URL, such
// as "/quick/user/orders"; form is the body of a POST, or the query of a GET or HEAD,
// and may be nil, as may into. Where the trade API expects JSON, put it into the
// form's field jData. A *[json.RawMessage] gets the text as the service sent it, which
// is checked but not decoded.
//
// Every failure is an [*Error], whatever its shape on the wire. An empty report (code
// 5203) is not a failure: into is left unchanged. An answer that is not the protocol's
// JSON is never a success. Do is safe for concurrent use.
func (c *Client) Do(ctx context.Context, method, path string, form url.Values, into any, opts ...CallOption) error {
	op := opOf(path)
	var body io.Reader
	header := make(http.Header, 8) // with those of the session
	if len(form) > 0 {
		if method == http.MethodGet || method == http.MethodHead {
			separator := "?"
			if strings.Contains(path, "?") {
				separator = "&"
			}
			path += separator + form.Encode()
		} else {
			body = strings.NewReader(form.Encode())
			header["Content-Type"] = formType
		}
	}
	if limit := c.http.Timeout; limit > 0 { // not in the http.Client, which would reduce our error to a text
		if end, bounded := ctx.Deadline(); !bounded || time.Until(end) > limit {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, limit)
			defer cancel()
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, path, body)
	if err != nil {
		return &Error{Op: op, Category: ErrInvalidInput, Message: tidy(err.Error(), nil), Err: seal(err, nil), Retry: RetryNever}
	}
	header["Accept"] = jsonType
	header[wire.HeaderRequestID] = []string{newRequestID()}
	req.Header = header

	x := exchange{client: c, op: op, sent: req, began: c.now()}
	t := c.caller(opts)
	t.op, t.whole, t.sent = op, true, &x.secrets
	x.keyAlone = t.keyAlone
	resp, err := t.exchange(req)
	if err == nil {
		defer resp.Body.Close()
	} else if fail, ok := errors.AsType[*Error](err); ok {
		return fail
	} else { // a SessionSource's own
		x.unsent = true
	}
	list := func(data []byte) string { return unmarshal(data, into) }
	if method != http.MethodGet && method != http.MethodHead {
		list = nil // it says nothing of what was done
	}
	fail := x.read(resp, err, maxBook, func(o object) string {
		if d := o.at("data"); len(d) > 0 && string(d) != "null" {
			return unmarshal(d, into)
		}
		return unmarshal(o.raw, into)
	}, list)
	if fail == nil || fail.Code == wire.NoData.Code {
		return nil
	}
	return fail
}

// The headers of every call.
var (
	formType = []string{"application/x-www-form-urlencoded"}
	jsonType = []string{"application/json"}
)

// exchange sends a request of Do. A jar of the program's is net/http's to use; without one
// there is nothing that it would add.
func (t *caller) exchange(r *http.Request) (*http.Response, error) {
	if t.client.http.Jar == nil {
		return t.RoundTrip(r)
	}
	hc := *t.client.http
	hc.Transport, hc.Timeout = t, 0
	return hc.Do(r)
}

// unmarshal decodes data, which is JSON, into the value that into points to, if into is
// not nil, or returns why it does not fit.
func unmarshal(data []byte, into any) (problem string) {
	if into == nil {
		return ""
	}
	if inner := encodedTwice(data); inner != nil {
		data = inner
		s := scanner{data: data}
		if s.whole(false); s.excess {
			return tooMany
		} else if !s.ok {
			return fmt.Sprintf("the answer does not fit into %T: it is not JSON", into)
		}
	}
	if raw, ok := into.(*json.RawMessage); ok && raw != nil {
		*raw = data
		return ""
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Sprintf("the answer does not fit into %T: %v", into, err)
	}
	return ""
}

// encodedTwice returns the object or list that a JSON string holds, or nil.
func encodedTwice(data []byte) []byte {
	if data[0] != '"' {
		return nil
	}
	var inner string
	if json.Unmarshal(data, &inner) != nil || inner == "" || inner[0] != '{' && inner[0] != '[' {
		return nil
	}
	return []byte(inner)
}

// opOf returns the operation that a trade call's path belongs to.
func opOf(path string) string {
	if path == clientIPPath {
		return string(wire.OpClientIP)
	}
	return cmp.Or(string(tradewire.OpOf(path)), opCall)
}

var clientIPPath = wire.Path(wire.OpClientIP, wire.Gen3)

// ClientIP returns the address from which the service sees this program's requests:
// the one to register where only static addresses may trade. Its errors are those of
// [Client.Do].
func (c *Client) ClientIP(ctx context.Context, opts ...CallOption) (netip.Addr, error) {
	var seen []wire.ObservedIP
	if err := c.Do(ctx, http.MethodGet, clientIPPath, nil, &seen, opts...); err != nil {
		return netip.Addr{}, err
	}
	if len(seen) > 0 {
		if addr, err := netip.ParseAddr(seen[0].IP); err == nil {
			return addr, nil
		}
	}
	return netip.Addr{}, &Error{Op: string(wire.OpClientIP), Status: http.StatusOK, Category: ErrBadAnswer, Message: "the answer has no address", Retry: RetryLater, Sent: true}
}
