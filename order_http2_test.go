package neoapi_test

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"neoapi"
	"neoapi/internal/must"
)

// An HTTP/2 server can say that it has not processed a request, by which net/http sends
// it again if it can. An order that a server has read is not sent again even so.
func TestOrder_isNotSentAgainByHTTP2(t *testing.T) {
	t.Parallel()
	for name, refuse := range map[string]func(*http2.Framer, uint32){
		"REFUSED_STREAM":     func(f *http2.Framer, stream uint32) { f.WriteRSTStream(stream, http2.ErrCodeRefusedStream) },
		"GOAWAY":             func(f *http2.Framer, _ uint32) { f.WriteGoAway(0, http2.ErrCodeNo, nil) },
		"ENHANCE_YOUR_CALM":  func(f *http2.Framer, stream uint32) { f.WriteRSTStream(stream, http2.ErrCodeEnhanceYourCalm) },
		"GOAWAY and a close": func(f *http2.Framer, _ uint32) { f.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, nil) },
		"a close":            nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var orders atomic.Int32
			listener := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
			defer listener.Close()
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					go refuseOrders(conn, &orders, refuse)
				}
			}()
			var protocols http.Protocols
			protocols.SetUnencryptedHTTP2(true)
			line := &http.Transport{Protocols: &protocols}
			defer line.CloseIdleConnections()
			c := must.Get(neoapi.New(neoapi.Config{Environment: neoapi.Environment("http://" + listener.Addr().String()), ConsumerKey: "key", HTTPClient: &http.Client{Transport: line}, Rate: -1}))(t)
			must.Do(t, c.Use(neoapi.Session{Token: "token", SID: "sid", KType: "Trade"}))
			err := c.Do(t.Context(), "POST", "/quick/order/rule/ms/place", url.Values{"jData": {"{}"}}, nil)
			if e := wantError(t, err, neoapi.ErrNetwork); !e.Sent || e.Retry != neoapi.RetryCheckFirst {
				t.Errorf("sent %t, retry %q: %v", e.Sent, e.Retry, err)
			}
			if n := orders.Load(); n != 1 {
				t.Errorf("the order went out %d times", n)
			}
		})
	}
}

// refuseOrders reads whole requests from a connection, counts them and refuses each.
func refuseOrders(conn net.Conn, orders *atomic.Int32, refuse func(*http2.Framer, uint32)) {
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	f := http2.NewFramer(conn, conn)
	f.WriteSettings()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				f.WriteSettingsAck()
			}
		case *http2.DataFrame:
			if !frame.StreamEnded() {
				continue
			}
			orders.Add(1)
			if refuse == nil {
				return
			}
			refuse(f, frame.StreamID)
		}
	}
}
