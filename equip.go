package neoapi

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"neoapi/internal/tradewire"
	"neoapi/internal/wire"
)

// headers are the headers of a session's calls, cached between calls.
type headers struct {
	ingredients

	base                                       *url.URL // scheme, host and path of the service
	authorization, auth, sidHeader, fin, agent []string // nil for headers that are not sent
	key                                        []string // the bare consumer key, which generation 3 sends on some calls
	query                                      string   // sId, or ""
	family                                     wire.Family
}

// ingredients determine the headers: equal ingredients give equal headers.
type ingredients struct{ token, sid, home, access, kType, baseURL string }

// headersOf returns the headers of calls with s.
func (c *Client) headersOf(ctx context.Context, s Session) (*headers, error) {
	totp := s.KType != "" // generation 1 leaves it out
	bare := totp && c.key != ""
	of := ingredients{s.Token, s.SID, s.HSServerID, "", s.KType, s.BaseURL}
	if !bare {
		token, ok := c.freshAccess()
		if !ok {
			header, err := c.bearer(ctx)
			if err != nil {
				return nil, err
			}
			token = strings.TrimPrefix(header, "Bearer ")
		}
		of.access = token
	}
	h := c.headers.Load()
	if h != nil && h.ingredients == of {
		return h, nil
	}
	if problem := unfit(s.Token, s.SID); problem != "" {
		return nil, invalid(opCall, "the session cannot be used: "+strings.TrimPrefix(problem, "the answer has "))
	}
	if s.Environment != "" && s.Environment != c.place {
		return nil, invalid(opCall, "the session belongs to "+s.Environment+", not to "+c.place+": log in there")
	}
	h = &headers{
		ingredients: of,
		auth:        []string{s.Token}, sidHeader: []string{s.SID}, agent: []string{c.userAgent}, key: []string{c.key},
	}
	base := c.at.gen1
	h.family = c.at.families & (wire.Gen1UAT | wire.Gen1PROD)
	if totp {
		base = c.at.totp
		h.family = c.at.families & (wire.Gen2 | wire.Gen3)
	}
	h.base, _ = url.Parse(base) // New has parsed it
	if bare {
		if u, ok := sibling(h.base, s.BaseURL); ok {
			h.base = u
		}
	} else {
		h.authorization, h.fin = []string{"Bearer " + of.access}, []string{wire.FinKey}
		if s.HSServerID != "" {
			h.query = "sId=" + url.QueryEscape(s.HSServerID)
		}
	}
	c.headers.Store(h)
	return h, nil
}

// sibling returns the base URL that a session names, if it belongs to the service at
// which the session was opened: the same host, another host of the original service,
// or this machine if it was opened here. It never replaces https by http.
func sibling(opened *url.URL, named string) (*url.URL, bool) {
	u, err := url.Parse(named)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Scheme != opened.Scheme {
		return nil, false
	}
	const original = ".kotaksecurities.com"
	from, to := strings.ToLower(opened.Hostname()), strings.ToLower(u.Hostname())
	if from == to || strings.HasSuffix(from, original) && strings.HasSuffix(to, original) && u.Port() == "" || loopback(from) && loopback(to) {
		u.Path = strings.TrimRight(u.Path, "/")
		return u, true
	}
	return nil, false
}

// equip returns a copy of r with the headers of s, or the reason why r must not be sent.
// A request of our own shares its headers with the copy.
func (c *Client) equip(r *http.Request, op string, s Session, own bool) (*http.Request, error) {
	h, err := c.headersOf(r.Context(), s)
	if err != nil {
		return nil, err
	}
	out, err := h.outgoing(r, op, own)
	if err != nil {
		return nil, err
	}
	out.Header[wire.HeaderSID], out.Header[wire.HeaderAuth] = h.sidHeader, h.auth
	if h.authorization != nil {
		out.Header["Authorization"], out.Header[wire.HeaderFinKey] = h.authorization, h.fin
	} else if withKey(op) || strings.Contains(out.URL.Path, "/script-details/") { // quotes and instruments, as existing clients ask for them
		out.Header["Authorization"] = h.key
	}
	return out, nil
}

// withKey reports whether generation 3's clients put the bare consumer key into a call
// that has a session.
func withKey(op string) bool {
	switch wire.Op(op) {
	case wire.OpClientIP, tradewire.OpPlace, tradewire.OpModify, tradewire.OpCancel:
		return true
	}
	return false
}

// outgoing returns a copy of r for the service, with the headers that are no credentials.
// If r is our own, it shares the headers.
func (h *headers) outgoing(r *http.Request, op string, own bool) (out *http.Request, err error) {
	out = r.WithContext(r.Context()) // a copy
	if out.URL, err = h.address(r.URL); err != nil {
		return nil, invalid(op, err.Error())
	}
	if out.Host != "" && out.Host != r.URL.Host {
		return nil, invalid(op, "nothing was sent: the request has a Host of its own")
	}
	out.Host = ""

	if !own {
		out.Header = make(http.Header, len(r.Header)+6)
		maps.Copy(out.Header, r.Header)
	}
	if out.Header["User-Agent"] == nil {
		out.Header["User-Agent"] = h.agent
	}
	if out.Header[wire.HeaderRequestID] == nil {
		out.Header[wire.HeaderRequestID] = []string{newRequestID()}
	}
	out.GetBody = nil // or net/http could send it again by itself
	if !repeatable(r) && (r.Body == nil || r.Body == http.NoBody) {
		out.Body = io.NopCloser(eof{}) // as it would with a POST without a body that has an Idempotency-Key
	}
	return out, nil
}

// address returns the URL for a request to u. A neutral path goes to the session's
// service with the prefix of its generation; a URL with a host must be for that
// service.
func (h *headers) address(u *url.URL) (*url.URL, error) {
	to := *u
	switch {
	case u.Opaque == "" && u.Scheme == "" && u.Host == "":
		if to.Path = tradewire.Address(h.family, u.Path); u.RawPath != "" {
			to.RawPath = tradewire.Address(h.family, u.RawPath)
		}
		to.Scheme, to.Host = h.base.Scheme, h.base.Host
		if h.base.Path != "" {
			to = *h.base.JoinPath(to.EscapedPath())
			to.RawQuery = u.RawQuery
		}
	case u.Opaque != "" || u.Scheme != h.base.Scheme || !sameHost(u, h.base):
		return nil, errors.New("nothing was sent: the request is for " + u.Host + ", and the session is for " + h.base.Host + " alone")
	}
	if h.query != "" && !strings.Contains(to.RawQuery, "sId=") {
		if to.RawQuery != "" {
			to.RawQuery += "&"
		}
		to.RawQuery += h.query
	}
	return &to, nil
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// sameHost reports whether two URLs of the same scheme lead to the same host and port.
func sameHost(a, b *url.URL) bool {
	if strings.EqualFold(a.Host, b.Host) {
		return true
	}
	port := func(u *url.URL) string {
		switch {
		case u.Port() != "":
			return u.Port()
		case u.Scheme == "https":
			return "443"
		}
		return "80"
	}
	return strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

// credentials returns the secrets of a request: the access token, or the bare consumer
// key, first, then the trade token, the session's id and the consumer key, which the
// service knows even where it was not sent.
func (c *Client) credentials(out *http.Request) []string {
	authorization := out.Header.Get("Authorization")
	if _, access, ok := strings.Cut(authorization, " "); ok {
		authorization = access
	}
	return []string{authorization, out.Header.Get(wire.HeaderAuth), out.Header.Get(wire.HeaderSID), c.key}
}
