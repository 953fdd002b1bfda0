package neoapi

import (
	"cmp"
	"net/http"
	"net/url"

	"neoapi/internal/tradewire"
	"neoapi/internal/wire"
)

// KeyAlone makes calls that need no session: quotes, the scrip master, candles, option
// chains and expiries. They carry the consumer key as their only credential and go to the
// service's address of generation 3, whatever session there is: no login is needed, and
// none is started. Path is the one of generation 3, such as
// "/script-details/1.0/masterscrip/file-paths". A client that has an access token and no
// consumer key calls with the token, as generation 2 does, which has quotes and the scrip
// master only.
//
// The calls have rates of their own and do not count as the calls of sessions: 25 quotes
// and 25 scrip masters a second, 2 of candles, 2 of expiries, 1 of option chains, and 1 a
// second of anything else. All clients of one consumer in a process share them. [WithRate]
// sets another, and a negative Config.Rate means none.
func KeyAlone() CallOption { return func(t *caller) { t.keyAlone = true } }

// equipKeyAlone returns a copy of r with the consumer key, or the reason why r must not be
// sent.
func (c *Client) equipKeyAlone(r *http.Request, op string) (*http.Request, error) {
	h := &headers{agent: []string{c.userAgent}, authorization: []string{c.key}, family: c.at.families & (wire.Gen2 | wire.Gen3)}
	h.base, _ = url.Parse(c.at.totp) // New has parsed it
	if c.key == "" {
		if called := wire.Op(op); called != tradewire.OpQuotes && called != tradewire.OpMaster {
			return nil, invalid(op, "nothing was sent: this call needs Config.ConsumerKey, and the client has only an access token")
		}
		bearer, err := c.bearer(r.Context())
		if err != nil {
			return nil, err
		}
		h.authorization = []string{bearer}
	} else {
		c.mu.Lock()
		session := c.trade
		c.mu.Unlock()
		if session != nil && session.KType != "" {
			if u, ok := sibling(h.base, session.BaseURL); ok {
				h.base = u // where the session's own calls go
			}
		}
	}
	out, err := h.outgoing(r, op, false)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{wire.HeaderAuth, wire.HeaderSID, wire.HeaderFinKey, "Cookie"} {
		delete(out.Header, name)
	}
	out.Header["Authorization"] = h.authorization
	if c.key != "" {
		out.Header[wire.HeaderClientID] = []string{c.key[:min(8, len(c.key))] + "***"}
	}
	return out, nil
}

// rateAlone returns the rate of a call by the key alone.
func (c *Client) rateAlone(path string) *rate {
	op, n := tradewire.OpenTo(path)
	if c.rate.n == 0 {
		n = 0
	} else {
		n = max(n, 1)
	}
	windows.Lock()
	defer windows.Unlock()
	name := windowName(c.place, cmp.Or(c.key, c.consumer)) + " " + string(op)
	w := windows.all[name]
	if w == nil {
		w = &window{name: name}
		windows.all[name] = w
	}
	return &rate{n, w}
}
