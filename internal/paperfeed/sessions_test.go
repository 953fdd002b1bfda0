package paperfeed_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/internal/sfeed"
	"neoapi/neoapitest"
)

func TestFeeds_refuseWhatProvesNoSession(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t, neoapitest.WithAccounts(1))
	_, s := login(t, srv)
	_, gone := login(t, srv)
	srv.EndSession(t, gone.SID)
	_, another := login(t, srv)
	with := func(change func(*neoapi.Session)) neoapi.Session { x := s; change(&x); return x }

	t.Run("order feed", func(t *testing.T) {
		for name, first := range map[string]string{
			"a session that has ended":   connect(gone),
			"another session's token":    connect(with(func(x *neoapi.Session) { x.Token = another.Token })),
			"another session's sid":      connect(with(func(x *neoapi.Session) { x.SID = another.SID })),
			"no token, as SFeed has it":  connect(with(func(x *neoapi.Session) { x.Token = "" })),
			"no token, and a UCC":        `{"type":"cn","Sid":"` + s.SID + `","ucc":"` + s.UCC + `","user":"` + s.UCC + `"}`,
			"no sid":                     connect(with(func(x *neoapi.Session) { x.SID = "" })),
			"a token with a letter more": connect(with(func(x *neoapi.Session) { x.Token += "A" })),
			"the bare form, empty":       `{type:cn,Authorization:,Sid:,src:WEB}`,
		} {
			ws := dial(t, s.OrderFeedURL)
			say(t, ws, first)
			if _, data := hear(t, ws); !strings.Contains(string(data), `"ak":"nk"`) || !strings.Contains(string(data), `"type":"cn"`) {
				t.Errorf("%s: answered %s", name, data)
			}
			if code := ended(t, ws); code != websocket.StatusPolicyViolation {
				t.Errorf("%s: closed with %v", name, code)
			}
		}
	})
	t.Run("market feed", func(t *testing.T) {
		for name, x := range map[string]neoapi.Session{
			"a session that has ended":          gone,
			"another account's UCC":             with(func(x *neoapi.Session) { x.UCC = "TEST000001" }),
			"no UCC":                            with(func(x *neoapi.Session) { x.UCC = "" }),
			"no sid":                            with(func(x *neoapi.Session) { x.SID = "" }),
			"a sid that there is not":           with(func(x *neoapi.Session) { x.SID = "00000000-0000-4000-8000-000000000000" }),
			"the token in the place of the sid": with(func(x *neoapi.Session) { x.SID = x.Token }),
		} {
			ws := dial(t, s.FeedURL)
			say(t, ws, user(x))
			if r := reply(t, ws); r.Code != sfeed.ReplyRefused || r.Message == "" {
				t.Errorf("%s: answered %+v", name, r)
			}
			if code := ended(t, ws); code != websocket.StatusPolicyViolation {
				t.Errorf("%s: closed with %v", name, code)
			}
		}
	})
}

func TestOrderFeed_takesTheFirstFramesOfAllGenerations(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	_, s := login(t, srv)
	for _, first := range []string{
		`{"type": "cn", "Authorization": "` + s.Token + `", "Sid": "` + s.SID + `", "src": "WEB"}`, // generation 1
		`{type:cn,Authorization:` + s.Token + `,Sid:` + s.SID + `,src:WEB}`,                        // generations 2 and 3
		` { type : cn , Authorization : ` + s.Token + ` , Sid : ` + s.SID + ` } `,
	} {
		for _, address := range []string{s.OrderFeedURL, s.OrderFeedURL + "?sId=server1"} {
			ws := dial(t, address)
			say(t, ws, first)
			if _, data := hear(t, ws); string(data) != `{"ak":"ok","type":"cn","task":"cn","msg":"connected"}` {
				t.Errorf("%s: answered %s", first[:12], data)
			}
			say(t, ws, `{"type": "hb"}`)
			say(t, ws, `{type:hb}`)
		}
	}
}

// ends are the ways in which a session ends elsewhere.
var ends = map[string]func(*testing.T, *neoapitest.Server, *neoapi.Client, neoapi.Session){
	"logout": func(t *testing.T, _ *neoapitest.Server, c *neoapi.Client, _ neoapi.Session) {
		must.Do(t, c.Logout(t.Context()))
	},
	"its time is over": func(_ *testing.T, srv *neoapitest.Server, _ *neoapi.Client, _ neoapi.Session) { srv.Advance(time.Hour) },
	"another process": func(t *testing.T, srv *neoapitest.Server, _ *neoapi.Client, s neoapi.Session) {
		srv.EndSession(t, s.SID)
	},
}

func TestFeeds_endWithTheirSession(t *testing.T) { // security.md S4
	t.Parallel()
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			here, there := neoapitest.NewServer(t, neoapitest.WithData(dir)), neoapitest.NewServer(t, neoapitest.WithData(dir))
			c, s := login(t, there)
			_, kept := login(t, there)
			feeds := origin(here)
			s.FeedURL, s.OrderFeedURL = feeds+"/apifeed", feeds+"/realtime"
			kept.FeedURL = s.FeedURL
			orders, market, other := openOrders(t, s), openMarket(t, s), openMarket(t, kept)
			if name == "its time is over" {
				there = here
			}
			end(t, there, c, s)
			for _, ws := range []*websocket.Conn{orders, market} {
				if code := ended(t, ws); code != websocket.StatusPolicyViolation {
					t.Errorf("closed with %v", code)
				}
			}
			ws := dial(t, s.FeedURL)
			say(t, ws, user(s))
			if r := reply(t, ws); r.Code != sfeed.ReplyRefused {
				t.Errorf("it was opened again: %+v", r)
			}
			if name != "its time is over" {
				say(t, other, `{"event":"subscribeScrips","inputtoken":"nse_cm|1","ack_symbol":true}`)
				if r := reply(t, other); r.Code != sfeed.ReplyAck {
					t.Errorf("another session's feed: %+v", r)
				}
			}
		})
	}
}

func TestFeeds_endWithTheDay(t *testing.T) {
	t.Parallel()
	india := time.FixedZone("IST", 5*3600+1800)
	srv := neoapitest.NewServer(t, neoapitest.WithDayEnd(), neoapitest.WithTime(time.Date(2031, 3, 3, 23, 30, 0, 0, india)))
	_, s := login(t, srv)
	orders, market := openOrders(t, s), openMarket(t, s)
	srv.SetTime(time.Date(2031, 3, 4, 0, 0, 1, 0, india))
	for _, ws := range []*websocket.Conn{orders, market} {
		if code := ended(t, ws); code != websocket.StatusPolicyViolation {
			t.Errorf("closed with %v", code)
		}
	}
}

func TestFeeds_endWithTheService(t *testing.T) {
	before := goleak.IgnoreCurrent()
	var all []*websocket.Conn
	t.Run("service", func(inner *testing.T) { // which fails if the service does not end
		srv := neoapitest.NewServer(inner)
		_, s := login(inner, srv)
		for range 3 {
			all = append(all, must.Get(open(t, s.OrderFeedURL, connect(s)))(t), must.Get(open(t, s.FeedURL, user(s)))(t), must.Get(open(t, s.FeedURL, ""))(t))
		}
		say(t, all[1], `{"event":"subscribeScrips","inputtoken":"nse_cm|11536,nse_cm|1,nse_cm|Nifty 50"}`)
		say(t, all[1], `{"event":"subscribeExchange"}`)
	})
	for _, ws := range all {
		if code := ended(t, ws); code != websocket.StatusGoingAway {
			t.Errorf("closed with %v", code)
		}
		_ = ws.CloseNow()
	}
	http.DefaultClient.CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

func TestSession_namesTheFeedsToGeneration3Alone(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	_, s := login(t, srv)
	if s.FeedURL != origin(srv)+"/apifeed" || s.OrderFeedURL != origin(srv)+"/realtime" {
		t.Errorf("feeds at %q and %q", s.FeedURL, s.OrderFeedURL)
	}
	c := must.Get(neoapi.New(neoapi.Config{
		Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret, Clock: srv.Now,
	}))(t)
	must.Do(t, c.Login(t.Context(), neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password}))
	if s := must.Get(c.Session2FA(t.Context(), srv.OTP(t)))(t); s.FeedURL != "" || s.OrderFeedURL != "" {
		t.Errorf("generation 1 is told of %q and %q", s.FeedURL, s.OrderFeedURL)
	}
}
