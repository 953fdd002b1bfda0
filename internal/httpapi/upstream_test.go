package httpapi_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"neoapi/internal/apitest"
	"neoapi/internal/serve"
	"neoapi/internal/wire"
)

// A process is a trade API within the service's own process.
type process struct{ calls chan *http.Request }

// RoundTrip echoes at /feed, begins an answer that does not end at /events, fails at
// /broken, and elsewhere answers with the call's body.
func (p process) RoundTrip(r *http.Request) (*http.Response, error) {
	resp := &http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Request: r, ContentLength: -1}
	resp.Header.Set(apitest.FromTradeAPI, "yes")
	switch r.URL.Path {
	case "/feed":
		here, there := net.Pipe()
		go func() { _, _ = io.Copy(there, there); _ = there.Close() }()
		resp.StatusCode, resp.Body = http.StatusSwitchingProtocols, here
		resp.Header.Set("Connection", "Upgrade")
		resp.Header.Set("Upgrade", "websocket")
		resp.Header.Set("Sec-Websocket-Accept", r.Header.Get("Sec-Websocket-Key"))
	case "/events":
		out, in := io.Pipe()
		go func() { _, _ = io.WriteString(in, "data: 1\n\n") }()
		resp.Body = out
		resp.Header.Set("Content-Type", "text/event-stream")
	case "/broken":
		return nil, errors.New("out of order")
	default:
		p.calls <- r
		text := ""
		if r.Body != nil {
			sent, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			text = string(sent)
		}
		resp.Body = io.NopCloser(strings.NewReader(text))
		resp.ContentLength = int64(len(text))
	}
	return resp, nil
}

// A trade API in the service's process gets what one over the network gets, and nothing
// else reaches it: checked calls with a signed identity, streams that end with their
// session.
func TestUpstream_maybeInTheSameProcess(t *testing.T) {
	t.Parallel()
	api := process{make(chan *http.Request, 1)}
	srv, stop := serving(t, func(cfg *serve.Config) { cfg.TradeTransport = api })
	c := consumer(t, srv)
	c.send(t, "GET", "/readyz", "").want(t, 200)
	c.send(t, "GET", barePath, "").refusedTrade(t, 401, wire.HeaderMissing.Code)
	first, other := c.byMPIN(t), c.byMPIN(t)

	r := c.through(t, "POST", tradePath+"?sId=server1", strings.NewReader("jData=1"), first.pairs("Neo-Identity", "forged")...).want(t, 200)
	got := <-api.calls
	if string(r.body) != "jData=1" || got.URL.RawQuery != "sId=server1" {
		t.Errorf("%q of %s", r.body, got.URL)
	}
	if id := identified(t, got.Header.Get("Neo-Identity"), published(t, srv)); id.Sub != srv.Account.UCC || id.SID != first.SID {
		t.Errorf("the call is %+v's", id)
	}
	if got.Header.Get("Auth") != "" || got.Header.Get("Authorization") != "" {
		t.Errorf("credentials went through: %v", got.Header)
	}
	c.send(t, "GET", "/broken", "", first.pairs()...).refusedTrade(t, 504, wire.Timeout.Code)

	web, kept, stream := c.upgrade(t, first), c.upgrade(t, other), c.events(t, first)
	web.echoes(t, strings.Repeat("frames ", 100_000))
	kept.echoes(t, "open")
	c.post(t, logoutPath, "", first.pairs()...).want(t, 200)
	web.closes(t)
	if _, err := io.ReadAll(stream.Body); err == nil {
		t.Error("the stream ended as if it were complete")
	}
	kept.echoes(t, "another session's")
	last := c.events(t, other)
	stop() // which waits for what is under way, and streams do not hold it up
	kept.closes(t)
	if _, err := io.ReadAll(last.Body); err == nil {
		t.Error("the service ended, and its stream as if it were complete")
	}
}
