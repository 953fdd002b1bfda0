package neoapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"neoapi/internal/wire"
)

// The steps of [Client.FeedClient] and [Client.Download].
const (
	opFeed     = "feed"
	opDownload = "download"
)

// FeedClient returns an http.Client that opens the WebSockets of the service's live feeds
// by the client's Transport: give it to a WebSocket library. It sends nothing but upgrades,
// and these only to the service that the client was made for: the same host, another host
// of the original service, or this machine if the service is there, never with http (ws)
// in place of https (wss). So an address that a session names, such as Session.FeedURL,
// cannot lead it elsewhere. It sends no credentials, which a feed asks for after the
// upgrade, and no cookies, and follows no redirect. It has no time limit: use contexts.
// Upgrades do not count towards the rate. Errors wrap an [*Error].
func (c *Client) FeedClient() *http.Client {
	return &http.Client{Transport: feeder{c}, CheckRedirect: c.http.CheckRedirect}
}

// A feeder is the RoundTripper of [Client.FeedClient].
type feeder struct{ client *Client }

// String returns a fixed text: it leads to the client's secrets.
func (feeder) String() string { return "neoapi.Client's transport for feeds" }

// Format prints [feeder.String] for every verb.
func (f feeder) Format(s fmt.State, _ rune) { io.WriteString(s, f.String()) }

// RoundTrip sends one upgrade.
func (f feeder) RoundTrip(r *http.Request) (*http.Response, error) {
	c := f.client
	refuse := func(why string) (*http.Response, error) {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, invalid(opFeed, "nothing was sent: "+why)
	}
	switch {
	case r.Method != http.MethodGet || r.Header.Get("Upgrade") == "" || r.Body != nil && r.Body != http.NoBody:
		return refuse("a feed's client sends upgrades to WebSockets alone")
	case r.Host != "" && r.Host != r.URL.Host:
		return refuse("the request has a Host of its own")
	case !c.near(r.URL):
		return refuse("the feed is at " + shorten(r.URL.Host, 100) + ", which does not belong to the service")
	}
	out := r.WithContext(r.Context()) // a copy
	out.Host = ""
	out.Header = r.Header.Clone()
	for _, name := range []string{"Authorization", "Proxy-Authorization", "Cookie", wire.HeaderAuth, wire.HeaderSID, wire.HeaderFinKey} {
		out.Header.Del(name)
	}
	if out.Header["User-Agent"] == nil {
		out.Header.Set("User-Agent", c.userAgent)
	}
	x := c.begin(opFeed, out, nil)
	resp, err := c.http.Transport.RoundTrip(x.sent)
	if err != nil {
		fail := x.noAnswer(err)
		x.end(fail)
		return nil, fail
	}
	resp.Request = r
	if resp.StatusCode == http.StatusSwitchingProtocols { // its body is the connection
		x.resp = resp
		x.end(nil)
	} else {
		x.passOn(resp)
	}
	return resp, nil
}

// near reports whether u belongs to the client's service.
func (c *Client) near(u *url.URL) bool {
	plain := *u
	plain.RawQuery = "" // which a base URL has not
	for _, base := range []string{c.at.gen1, c.at.totp} {
		opened, err := url.Parse(base)
		if err != nil {
			continue // cannot happen: New has parsed it
		}
		if _, ok := sibling(opened, plain.String()); ok {
			return true
		}
	}
	return false
}

// Download gets a file from an address that the service names, such as a CSV file of the
// scrip master, which may be on another host: it sends no credentials and no cookies,
// and does not count towards the rate. The address must be https, or http of the service
// itself. Redirects are not followed. The body that it returns must be closed; reading
// more than most bytes from it, decompressed, is an error. Only ctx limits the time.
//
// Every failure, also of a Read, is an [*Error]; anything but a 200 is one.
func (c *Client) Download(ctx context.Context, address string, most int64) (io.ReadCloser, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, invalid(opDownload, "nothing was sent: the address is no URL with https")
	case u.User != nil:
		return nil, invalid(opDownload, "nothing was sent: the address has a user or a password")
	case u.Scheme == "http" && !c.near(u):
		return nil, invalid(opDownload, "nothing was sent: the file is at "+shorten(u.Host, 100)+" with http, which anybody on the way can change: it must be https")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, invalid(opDownload, "nothing was sent: the address is no URL with https")
	}
	req.Header.Set("User-Agent", c.userAgent)
	x := c.begin(opDownload, req, nil)
	resp, err := c.http.Transport.RoundTrip(x.sent)
	if err != nil {
		fail := x.noAnswer(err)
		x.end(fail)
		return nil, fail
	}
	if resp.StatusCode != http.StatusOK {
		return nil, x.noFile(resp)
	}
	x.passOn(resp)
	return &download{ReadCloser: resp.Body, exchange: x, most: most, left: max(0, most)}, nil
}

// noFile returns the failure of an answer that is not a file.
func (x *exchange) noFile(resp *http.Response) error {
	defer resp.Body.Close()
	x.resp = resp
	x.answer, _ = io.ReadAll(io.LimitReader(resp.Body, glance))
	fail := &Error{
		Op: x.op, Status: resp.StatusCode, Category: categorise(x.op, resp.StatusCode, ""), Sent: true, Answer: x.excerpt(),
		Message: "there is no such file", Retry: RetryLater, RetryAfter: retryAfter(resp.Header.Get("Retry-After"), x.client.now()),
	}
	switch {
	case resp.StatusCode/100 == 3:
		fail.Category, fail.Message = ErrBadAnswer, "the address redirects; redirects are not followed"
	case resp.StatusCode/100 == 2:
		fail.Category, fail.Message = ErrBadAnswer, "the answer is not a whole file"
	case fail.Category == ErrSessionEnded || fail.Category == ErrInvalidInput: // there was no session
		fail.Category, fail.Retry = ErrInvalidInput, RetryNever
	default:
		fail.Message = advice[fail.Category]
	}
	return x.end(fail)
}

// A download is the body of a file.
type download struct {
	io.ReadCloser
	exchange   exchange
	most, left int64
	fail       error // what reading ended with
}

// Read implements [io.Reader].
func (d *download) Read(p []byte) (int, error) {
	if d.fail != nil {
		return 0, d.fail
	}
	if int64(len(p))-1 > d.left {
		p = p[:d.left+1] // one more, to see that there is more
	}
	n, err := d.ReadCloser.Read(p)
	if d.left -= int64(n); d.left < 0 {
		d.fail = &Error{Op: opDownload, Status: http.StatusOK, Category: ErrBadAnswer, Message: fmt.Sprintf("the file is longer than %d bytes", d.most), Sent: true, Retry: RetryNever}
		return n - 1, d.fail
	}
	switch {
	case errors.Is(err, io.EOF):
		d.fail = io.EOF
	case err != nil:
		fail := d.exchange.client.noAnswer(d.exchange.sent.Context(), opDownload, "", err, nil)
		fail.Status, fail.Sent = http.StatusOK, true
		d.fail = fail
	}
	return n, d.fail
}
