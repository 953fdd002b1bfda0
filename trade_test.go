package neoapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"neoapi/internal/badhttp"
	"neoapi/internal/must"
	"neoapi/internal/tradewire"
)

const (
	ordersPath = "/quick/user/orders"
	placePath  = "/quick/order/rule/ms/place"
	book       = `{"stat":"Ok","stCode":200,"data":[{"nOrdNo":230120000017243001,"ordSt":"complete"}]}`
)

// The sessions that the generations give.
var (
	gen1 = Session{Token: canaryTrade, SID: "sid-1", HSServerID: "server 1", UCC: "TESTYA24"}
	gen3 = Session{Token: canaryTrade, SID: "sid-1", HSServerID: "server 1", KType: "Trade", UCC: "TESTYA24"}
)

// trading returns a client with a session.
func (s *scripted) trading(t *testing.T, session Session) *Client {
	t.Helper()
	c := s.client(t)
	must.Do(t, c.Use(session))
	return c
}

func get(t *testing.T, hc *http.Client, url string) (*http.Response, string) {
	t.Helper()
	resp := must.Get(hc.Get(url))(t)
	defer resp.Body.Close()
	body := must.Get(io.ReadAll(resp.Body))(t)
	return resp, string(body)
}

func TestCall_carriesWhatItsGenerationNeeds(t *testing.T) {
	bearer := "Bearer " + canaryAccess
	tests := []struct {
		name    string
		session Session
		token   bool // the client has an access token and no key
		path    string
		want    map[string]string
		query   string
	}{
		{"generation 1", gen1, false, "/Orders/2.0/quick/user/orders?x=1", map[string]string{"Authorization": bearer, "Neo-Fin-Key": "neotradeapi"}, "x=1&sId=server+1"},
		{"generation 1 with an sId of the caller's", gen1, false, "/Orders/2.0/quick/user/orders?sId=mine", map[string]string{"Authorization": bearer, "Neo-Fin-Key": "neotradeapi"}, "sId=mine"},
		{"generation 2", gen3, true, "/apim/orders/2.0/quick/user/orders", map[string]string{"Authorization": bearer, "Neo-Fin-Key": "neotradeapi"}, "sId=server+1"},
		{"generation 3", gen3, false, ordersPath, map[string]string{"Authorization": "", "Neo-Fin-Key": ""}, ""},
		{"generation 3's quotes", gen3, false, "/script-details/1.0/quotes/neosymbol/nse_cm%7C1594/all", map[string]string{"Authorization": "key", "Neo-Fin-Key": ""}, ""},
		{"generation 3's client address", gen3, false, "/login/1.0/get-client-ip", map[string]string{"Authorization": "key", "Neo-Fin-Key": ""}, ""},
		{"generation 3's order", gen3, false, "/quick/order/rule/ms/place", map[string]string{"Authorization": "key", "Neo-Fin-Key": ""}, ""},
		{"generation 3's change", gen3, false, "/quick/order/vr/modify", map[string]string{"Authorization": "key", "Neo-Fin-Key": ""}, ""},
		{"generation 3's cancel", gen3, false, "/quick/order/cancel", map[string]string{"Authorization": "key", "Neo-Fin-Key": ""}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScripted(t)
			path, _, _ := strings.Cut(strings.Replace(tt.path, "%7C", "|", 1), "?")
			s.on(path, answer(200, book))
			c := s.trading(t, tt.session)
			if tt.token {
				var err error
				if c, err = New(Config{Environment: Environment(s.URL), AccessToken: canaryAccess}); err != nil {
					t.Fatal(err)
				}
				must.Do(t, c.Use(tt.session))
			}
			for _, url := range []string{tt.path, s.URL + tt.path} {
				resp, body := get(t, c.HTTPClient(), url)
				if resp.StatusCode != 200 || body != book {
					t.Fatalf("%s: %d %s", url, resp.StatusCode, body)
				}
				if len(resp.Request.Header["Auth"]) != 0 || len(resp.Request.Header["Authorization"]) != 0 {
					t.Error("the answer's Request holds the credentials")
				}
				seen := s.seen(path)
				got := seen[len(seen)-1]
				for name, want := range tt.want {
					if got.header.Get(name) != want {
						t.Errorf("%s is %q, want %q", name, got.header.Get(name), want)
					}
				}
				if got.header.Get("Sid") != "sid-1" || got.header.Get("Auth") != canaryTrade || got.query != tt.query || got.header.Get("User-Agent") != "neoapi-go" || got.header.Get("X-Request-Id") == "" {
					t.Errorf("%s was sent %v and the query %q", url, got.header, got.query)
				}
			}
		})
	}
}

func TestHTTPClient_sendsNothingToOtherHosts(t *testing.T) {
	var reached atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer other.Close()
	s := newScripted(t)
	c := s.trading(t, gen3)
	u, _ := url.Parse(s.URL)
	for _, to := range []string{
		other.URL + ordersPath, "//" + other.Listener.Addr().String() + ordersPath, "https://" + u.Host + ordersPath,
		"http://127.0.0.1.evil.example:" + u.Port() + "/", "http://127.0.0.1@evil.example/", "http://localhost:" + u.Port() + "/", "http:" + ordersPath,
	} {
		_, err := c.HTTPClient().Get(to)
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Category != ErrInvalidInput || e.Retry != RetryNever || !strings.Contains(e.Message, "nothing was sent") {
			t.Errorf("%s: %v", to, err)
		}
		noCanary(t, err)
	}
	req, _ := http.NewRequest("GET", s.URL+ordersPath, nil)
	req.Host = "evil.example"
	if _, err := c.HTTPClient().Do(req); !errors.Is(err, ErrInvalidInput) {
		t.Errorf("another Host: %v", err)
	}
	if n := reached.Load(); n != 0 || len(s.log) != 0 {
		t.Errorf("%d requests reached the other host, %d ours", n, len(s.log))
	}
}

func TestBaseURL_isBelievedWithinItsService(t *testing.T) {
	tests := []struct {
		name, opened, named string
		want                string // "" for the one that the session was opened at
	}{
		{"another host of the original service", "https://mis.kotaksecurities.com", "https://e21.kotaksecurities.com/", "https://e21.kotaksecurities.com"},
		{"a stranger", "https://mis.kotaksecurities.com", "https://evil.example", ""},
		{"a stranger whose name ends alike", "https://mis.kotaksecurities.com", "https://evilkotaksecurities.com", ""},
		{"the original service without TLS", "https://mis.kotaksecurities.com", "http://e21.kotaksecurities.com", ""},
		{"another port of the original service", "https://mis.kotaksecurities.com", "https://e21.kotaksecurities.com:8443", ""},
		{"this machine, for the original service", "https://mis.kotaksecurities.com", "https://127.0.0.1", ""},
		{"the original service, for this machine", "http://127.0.0.1:9155", "https://mis.kotaksecurities.com", ""},
		{"this machine by another name", "http://127.0.0.1:9155", "http://localhost:9156", "http://localhost:9156"},
		{"the same host with a path", "https://neo.example.com", "https://NEO.example.com/v3/", "https://NEO.example.com/v3"},
		{"a neighbour of the same host", "https://neo.example.com", "https://trade.example.com", ""},
		{"a user in it", "https://neo.example.com", "https://a:b@neo.example.com", ""},
		{"no address", "https://neo.example.com", "neo.example.com", ""},
		{"none", "https://neo.example.com", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opened, _ := url.Parse(tt.opened)
			got := ""
			if u, ok := sibling(opened, tt.named); ok {
				got = u.String()
			}
			if got != tt.want {
				t.Errorf("calls go to %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDo_decodesEveryShapeOfSuccess(t *testing.T) {
	type order struct {
		Number string `json:"nOrdNo"`
		Stat   string `json:"stat"`
	}
	tests := []struct {
		name, body string
		into, want any
	}{
		{"data in stat Ok", `{"stat":"Ok","stCode":200,"data":[{"nOrdNo":"1"}]}`, &[]order{}, []order{{Number: "1"}}},
		{"data alone", `{"data":[{"nOrdNo":"1"}]}`, &[]order{}, []order{{Number: "1"}}},
		{"an order's answer, without data", `{"nOrdNo":"1","stat":"Ok","stCode":200}`, &order{}, order{"1", "Ok"}},
		{"status success", `{"status":"success","stCode":1000,"data":{"nOrdNo":"1"}}`, &order{}, order{Number: "1"}},
		{"a list alone", `[{"nOrdNo":"1"}]`, &[]order{}, []order{{Number: "1"}}},
		{"encoded twice", `"{\"stat\":\"Ok\",\"data\":[{\"nOrdNo\":\"1\"}]}"`, &[]order{}, []order{{Number: "1"}}},
		{"data encoded twice", `{"stat":"Ok","data":"[{\"nOrdNo\":\"1\"}]"}`, &[]order{}, []order{{Number: "1"}}},
		{"no data, which is an empty report", `{"stat":"Not_Ok","stCode":5203,"errMsg":"No Data"}`, &[]order{}, []order{}},
		{"what nobody wants", `{"stat":"Ok"}`, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScripted(t)
			s.on(ordersPath, answer(200, tt.body))
			must.Do(t, s.trading(t, gen3).Do(t.Context(), "GET", ordersPath, nil, tt.into))
			got, _ := json.Marshal(tt.into)
			if want, _ := json.Marshal(tt.want); !bytes.Equal(got, want) {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestCall_prefixesANeutralPathForTheGeneration(t *testing.T) {
	for address, x := range map[string]struct {
		session Session
		path    string
	}{
		"/Orders/2.0/quick/user/orders":            {gen1, "/quick/user/orders"},
		"/Orders/2.0/quick/order/rule/ms/place":    {gen1, "/quick/order/rule/ms/place"},
		"/Portfolio/1.0/portfolio/v1/holdings":     {gen1, "/portfolio/v1/holdings"},
		"/Orders/2.0/quick/user/orders/1%2F2":      {gen1, "/quick/user/orders/1%2F2"},
		"/Orders/2.0/quick/user/positions":         {gen1, "/Orders/2.0/quick/user/positions"}, // it is there
		"/quick/user/orders":                       {gen3, "/quick/user/orders"},
		"/portfolio/v1/holdings":                   {gen3, "/portfolio/v1/holdings"},
		"/script-details/1.0/quotes/neosymbol/x|1": {gen3, "/script-details/1.0/quotes/neosymbol/x|1"},
	} {
		s := newScripted(t)
		neutral := must.Get(url.PathUnescape(tradewire.Neutral(address)))(t)
		s.on(neutral, answer(200, book))
		c := s.trading(t, x.session)
		if err := c.Do(t.Context(), "GET", x.path, nil, nil, WithRate(0)); err != nil {
			t.Errorf("%s: %v", x.path, err)
		}
		if resp, body := get(t, c.HTTPClient(WithRate(0)), x.path); resp.StatusCode != 200 || body != book {
			t.Errorf("%s: %d %s", x.path, resp.StatusCode, body)
		}
		for _, got := range s.seen(neutral) {
			if want, _ := url.PathUnescape(address); got.path != want {
				t.Errorf("%s went to %s, want %s", x.path, got.path, want)
			}
		}
	}
}

func TestCall_costsLittleIfTheServerHangsOrSendsAGigabyte(t *testing.T) {
	s := newScripted(t)
	c := s.trading(t, gen3)
	var taken atomic.Int64
	gigabyte := func(w http.ResponseWriter, _ *http.Request) {
		block := bytes.Repeat([]byte(" "), 1<<20)
		for range 1 << 10 {
			n, err := w.Write(block)
			if taken.Add(int64(n)); err != nil {
				return
			}
		}
	}
	for name, tt := range map[string]struct {
		answer  http.HandlerFunc
		timeout time.Duration
		want    Category
		cause   error
	}{
		"a hang":                 {badhttp.Silent, 50 * time.Millisecond, ErrNetwork, context.DeadlineExceeded},
		"a hang within the body": {badhttp.Stalled(200, `{"stat":"Ok",`), 50 * time.Millisecond, ErrNetwork, context.DeadlineExceeded},
		"a gigabyte":             {gigabyte, time.Minute, ErrBadAnswer, nil},
		"a truncated answer":     {badhttp.Short(200, `{"stat":"Ok"`), time.Minute, ErrNetwork, io.ErrUnexpectedEOF},
	} {
		s.on(ordersPath, tt.answer)
		ctx, cancel := context.WithTimeout(t.Context(), tt.timeout)
		err := c.Do(ctx, "GET", ordersPath, nil, nil)
		cancel()
		if !errors.Is(err, tt.want) || tt.cause != nil && !errors.Is(err, tt.cause) || strings.Contains(err.Error(), "longer than") != (tt.cause == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := taken.Load(); n > 2*maxBook {
		t.Errorf("%d bytes were taken", n)
	}
}

func TestHTTPClient_printsNoSecret(t *testing.T) {
	s := newScripted(t)
	s.on(ordersPath, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(401)
		fmt.Fprintf(w, `{"stat":"Not_Ok","stCode":7,"errMsg":"%s %s"}`, r.Header.Get("Auth"), r.Header.Get("Authorization"))
	})
	c := s.trading(t, gen1)
	hc := c.HTTPClient()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		noCanary(t, fmt.Sprintf(verb, hc))
		noCanary(t, fmt.Sprintf(verb, hc.Transport))
		noCanary(t, fmt.Sprintf(verb, []any{hc.Transport, WithKeeper(&keeping{})}))
	}
	err := c.Do(t.Context(), "GET", ordersPath, nil, nil)
	if !strings.Contains(fmt.Sprint(err), "[redacted]") {
		t.Errorf("got %v", err)
	}
	noCanary(t, err)
}
