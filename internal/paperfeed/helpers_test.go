package paperfeed_test

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/internal/sfeed"
	"neoapi/internal/testserver"
	"neoapi/neoapitest"
)

// login opens a trade session of generation 3, not close to the end of the day.
func login(t testing.TB, srv *neoapitest.Server) (*neoapi.Client, neoapi.Session) {
	t.Helper()
	if early := testserver.IntoTheDay(srv.Now()); early > 0 {
		srv.Advance(early)
	}
	c := must.Get(neoapi.New(neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, Clock: srv.Now, Rate: -1}))(t)
	must.Do(t, c.LoginTOTP(t.Context(), neoapi.TOTP{Mobile: srv.Account.Mobile, UCC: srv.Account.UCC, Code: srv.TOTP(t)}))
	return c, must.Get(c.ValidateMPIN(t.Context(), srv.Account.MPIN))(t)
}

// dial opens a WebSocket.
func dial(t testing.TB, address string) *websocket.Conn {
	t.Helper()
	ws, resp, err := websocket.Dial(t.Context(), address, nil)
	if err != nil {
		t.Fatalf("%s: %v %v", address, resp, err)
	}
	ws.SetReadLimit(1 << 20)
	t.Cleanup(func() { _ = ws.CloseNow() })
	return ws
}

// open opens a WebSocket that outlasts a test within t, and sends a first frame unless it
// is "".
func open(t *testing.T, address, first string) (*websocket.Conn, error) {
	ctx := context.WithoutCancel(t.Context())
	ws, _, err := websocket.Dial(ctx, address, nil)
	if err != nil || first == "" {
		return ws, err
	}
	if err := ws.Write(ctx, websocket.MessageText, []byte(first)); err != nil {
		return ws, err
	}
	_, _, err = ws.Read(ctx)
	return ws, err
}

const patience = 20 * time.Second

func say(t testing.TB, ws *websocket.Conn, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must.Do(t, ws.Write(ctx, websocket.MessageText, []byte(text)))
}

// hear returns the next frame.
func hear(t testing.TB, ws *websocket.Conn) (websocket.MessageType, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	kind, data, err := ws.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return kind, data
}

// ended waits until the server has closed a connection, and returns how.
func ended(t testing.TB, ws *websocket.Conn) websocket.StatusCode {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		if _, _, err := ws.Read(ctx); err != nil {
			if ctx.Err() != nil {
				t.Fatal("the connection was not closed")
			}
			return websocket.CloseStatus(err)
		}
	}
}

func connect(s neoapi.Session) string {
	return `{"type": "cn", "Authorization": "` + s.Token + `", "Sid": "` + s.SID + `", "src": "WEB"}`
}

func user(s neoapi.Session) string {
	return string(sfeed.First{User: s.UCC, Auth: s.SID, Format: sfeed.FormatBatch}.Append(nil))
}

// openOrders opens an order feed.
func openOrders(t testing.TB, s neoapi.Session) *websocket.Conn {
	t.Helper()
	ws := dial(t, s.OrderFeedURL)
	say(t, ws, connect(s))
	if _, data := hear(t, ws); string(data) != `{"ak":"ok","type":"cn","task":"cn","msg":"connected"}` {
		t.Fatalf("answered %s", data)
	}
	return ws
}

// openMarket opens a market feed.
func openMarket(t testing.TB, s neoapi.Session) *websocket.Conn {
	t.Helper()
	ws := dial(t, s.FeedURL)
	say(t, ws, user(s))
	if r := reply(t, ws); r.Code != sfeed.ReplyAnswer {
		t.Fatalf("answered %+v", r)
	}
	return ws
}

// reply returns the next frame of text.
func reply(t testing.TB, ws *websocket.Conn) sfeed.Reply {
	t.Helper()
	for {
		if kind, data := hear(t, ws); kind == websocket.MessageText {
			return must.Get(sfeed.ParseReply(data))(t)
		}
	}
}

type row map[string]any

// happened returns the next frame of an order feed.
func happened(t testing.TB, ws *websocket.Conn) (kind string, data row) {
	t.Helper()
	_, text := hear(t, ws)
	var f struct {
		Type string
		Data row
	}
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return f.Type, f.Data
}

// place places an order and returns its number.
func place(t testing.TB, c *neoapi.Client, jData string) string {
	t.Helper()
	var answer struct {
		Number string `json:"nOrdNo"`
	}
	must.Do(t, c.Do(t.Context(), "POST", "/quick/order/rule/ms/place", url.Values{"jData": {jData}}, &answer))
	if answer.Number == "" {
		t.Fatal("no number")
	}
	return answer.Number
}

const buyTen = `{"am":"NO","dq":"0","es":"nse_cm","mp":"0","pc":"CNC","pf":"N","pr":"0","pt":"MKT","qt":"10","rt":"DAY","tp":"0","ts":"TCS-EQ","tt":"B"}`

func origin(srv *neoapitest.Server) string { return "ws" + strings.TrimPrefix(srv.URL, "http") }
