package neoapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
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

func TestEachGenerationsCallsCarryWhatItNeeds(t *testing.T) {
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

func TestRequestsToOtherHostsAreNotSent(t *testing.T) {
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

func TestTheSessionsBaseURLIsBelievedWithinItsService(t *testing.T) {
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

func TestSuccessesOfATradeCallAreDecoded(t *testing.T) {
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

func TestANeutralPathGetsThePrefixOfTheSessionsGeneration(t *testing.T) {
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

// keeping is where a scripted test's sessions come from: the next one each time
// one has ended.
type keeping struct {
	mu     sync.Mutex
	tokens []string
	ended  []string
	fails  error
}

func (k *keeping) Session(context.Context) (Session, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.ended) > 0 && k.fails != nil {
		return Session{}, k.fails
	}
	s := gen3
	s.Token = k.tokens[min(len(k.ended), len(k.tokens)-1)]
	return s, nil
}

func (k *keeping) Ended(s Session) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.ended) == 0 || k.ended[len(k.ended)-1] != s.Token {
		k.ended = append(k.ended, s.Token)
	}
}

// only answers book to one token and refusal to all others.
func only(token string, status int, refusal string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Auth") != token {
			answer(status, refusal)(w, r)
			return
		}
		answer(200, book)(w, r)
	}
}

const ended = `{"stat":"Not_Ok","stCode":100022,"errMsg":"invalid session token"}`

func TestEndedSessionIsRenewedOnceAndTheCallRepeated(t *testing.T) {
	for name, refusal := range map[string]struct {
		status int
		body   string
	}{
		"403 in the trade shape":                 {403, ended},
		"403 in the trade shape, unknown code":   {403, `{"stat":"Not_Ok","stCode":1100,"errMsg":"?"}`},
		"401 in the protocol's shape":            {401, `{"error":[{"code":"100022","message":"gone"}]}`},
		"a 200 with an error":                    {200, ended},
		"a 401 that says authentication failed":  {401, `{"stat":"Not_Ok","error":[{"code":"10020","message":"Authentication Failed"}]}`},
		"a 403 of a header that was not there":   {403, `{"stat":"Not_Ok","stCode":10512,"errMsg":"header"}`},
		"a 403 that is encoded twice":            {403, `"{\"stat\":\"Not_Ok\",\"stCode\":100022}"`},
		"a 401 whose body does not say how long": {401, ended},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScripted(t)
			s.on(ordersPath, only("two", refusal.status, refusal.body))
			k := &keeping{tokens: []string{"one", "two"}}
			c := s.client(t)
			var rows []map[string]any
			if err := c.Do(t.Context(), "GET", ordersPath, nil, &rows, WithKeeper(k)); err != nil || len(rows) != 1 {
				t.Fatalf("%v, %v", rows, err)
			}
			if len(s.seen(ordersPath)) != 2 || len(k.ended) != 1 {
				t.Errorf("%d calls, %d ended", len(s.seen(ordersPath)), len(k.ended))
			}
			k.ended = nil
			if resp, body := get(t, c.HTTPClient(WithKeeper(k)), ordersPath); resp.StatusCode != 200 || body != book {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		})
	}
}

func TestRefusalsThatAreNotOfTheSessionLeaveIt(t *testing.T) {
	s := newScripted(t)
	k := &keeping{tokens: []string{"one", "two"}}
	hc := s.client(t).HTTPClient(WithKeeper(k), WithRate(0))
	for name, refusal := range map[string]struct {
		status int
		body   string
	}{
		"a firewall's page":        {403, "<html><title>Denied</title></html>"},
		"an address":               {401, `{"stat":"Not_Ok","stCode":100008,"errMsg":"unauthorized"}`},
		"a view token":             {401, `{"stat":"Not_Ok","stCode":100021,"errMsg":"x"}`},
		"a status alone":           {401, ""},
		"a 403 of another kind":    {403, `{"message":"Forbidden"}`},
		"an order that is refused": {200, `{"stat":"Not_Ok","stCode":1005,"errMsg":"x"}`},
		"a long 403":               {403, `{"stat":"Not_Ok","stCode":100022,"errMsg":"` + strings.Repeat("x", glance) + `"}`},
		"an access token":          {401, `{"fault":{"code":900901,"message":"x"}}`},
	} {
		s.on(ordersPath, answer(refusal.status, refusal.body))
		before := len(s.seen(ordersPath))
		resp, body := get(t, hc, ordersPath)
		if resp.StatusCode != refusal.status || body != refusal.body || len(k.ended) != 0 || len(s.seen(ordersPath)) != before+1 {
			t.Errorf("%s: %d, %d bytes, %d ended, %d calls", name, resp.StatusCode, len(body), len(k.ended), len(s.seen(ordersPath))-before)
		}
	}
}

func TestNewSessionThatIsRefusedTooIsNotRenewedAgain(t *testing.T) {
	s := newScripted(t)
	s.on(ordersPath, answer(403, ended))
	k := &keeping{tokens: []string{"one", "two", "three"}}
	c := s.client(t)
	for range 3 {
		if err := c.Do(t.Context(), "GET", ordersPath, nil, nil, WithKeeper(k)); !errors.Is(err, ErrSessionEnded) {
			t.Fatal(err)
		}
	}
	if len(k.ended) != 1 || len(s.seen(ordersPath)) != 4 {
		t.Errorf("%d sessions were ended, %d calls sent; want 1 and 4", len(k.ended), len(s.seen(ordersPath)))
	}
	s.on(ordersPath, answer(200, book))
	must.Do(t, c.Do(t.Context(), "GET", ordersPath, nil, nil, WithKeeper(k)))
	s.on(ordersPath, only("three", 403, ended)) // the second one has been accepted: its end is another end
	if err := c.Do(t.Context(), "GET", ordersPath, nil, nil, WithKeeper(k)); err != nil || len(k.ended) != 2 {
		t.Errorf("%d ended: %v", len(k.ended), err)
	}
	s.on(ordersPath, answer(403, ended))
	k.tokens = append(k.tokens, "four", "five")
	c.Do(t.Context(), "GET", ordersPath, nil, nil, WithKeeper(k))
	now := time.Now().Add(time.Hour)
	c.now = func() time.Time { return now }
	if err := c.Do(t.Context(), "GET", ordersPath, nil, nil, WithKeeper(k)); !errors.Is(err, ErrSessionEnded) || len(k.ended) != 4 {
		t.Errorf("%d ended: %v", len(k.ended), err)
	}
}

func TestAnOrderIsNeverSentAgain(t *testing.T) {
	order := url.Values{"jData": {`{"am":"NO","qt":"1"}`}}
	tests := []struct {
		name  string
		h     http.HandlerFunc
		want  Category
		retry Retry
		ended int
	}{
		{"the session has ended", answer(403, ended), ErrSessionEnded, RetryCheckFirst, 1},
		{"the access token was refused", answer(401, `{"fault":{"code":900901,"message":"x"}}`), ErrAccessToken, RetrySame, 0},
		{"429 with Retry-After", answer(429, "", "Retry-After: 1"), ErrRateLimited, RetryLater, 0},
		{"503 with Retry-After", answer(503, "", "Retry-After: 1"), ErrUnavailable, RetryCheckFirst, 0},
		{"502", answer(502, "<title>502</title>"), ErrUnavailable, RetryCheckFirst, 0},
		{"504", answer(504, ""), ErrTimeout, RetryCheckFirst, 0},
		{"an answer nobody can read", answer(200, "{"), ErrBadAnswer, RetryCheckFirst, 0},
		{"a hung-up connection", badhttp.Closed, ErrNetwork, RetryCheckFirst, 0},
		{"a redirect", answer(307, "", "Location: "+placePath), ErrBadAnswer, RetryCheckFirst, 0},
	}
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		for _, tt := range tests {
			t.Run(method+": "+tt.name, func(t *testing.T) {
				s := newScripted(t)
				s.on(placePath, tt.h)
				session := gen1
				k := &keeping{tokens: []string{"one", "two"}}
				c := s.trading(t, session)
				opts := []CallOption{}
				if tt.ended > 0 {
					opts = append(opts, WithKeeper(k))
				}
				err := c.Do(t.Context(), method, placePath, order, nil, opts...)
				e, ok := errors.AsType[*Error](err)
				if !ok || e.Category != tt.want || e.Retry != tt.retry || len(k.ended) != tt.ended || e.Hint == "" {
					t.Errorf("got %v, retry %q, %d ended", err, e.Retry, len(k.ended))
				}
				if tt.ended > 0 && !strings.Contains(e.Error(), "was not sent again") {
					t.Errorf("%v does not say that the call was not repeated", e)
				}
				if n := len(s.seen(placePath)); n != 1 {
					t.Errorf("the order was sent %d times", n)
				}
				noCanary(t, err)
			})
		}
	}
}

func TestRenewalThatFailsIsTheError(t *testing.T) {
	s := newScripted(t)
	s.on(ordersPath, answer(403, ended))
	s.on(placePath, answer(403, ended))
	locked := &Error{Op: "login", Category: ErrLocked, Message: "wait", Retry: RetryLater}
	c := s.client(t)
	if err := c.Do(t.Context(), "GET", ordersPath, nil, nil, WithKeeper(&keeping{tokens: []string{"one"}, fails: locked})); !errors.Is(err, ErrLocked) {
		t.Errorf("a report: %v", err)
	}
	err := c.Do(t.Context(), "POST", placePath, nil, nil, WithKeeper(&keeping{tokens: []string{"one"}, fails: locked}))
	if !errors.Is(err, ErrSessionEnded) || !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "no new session could be opened") {
		t.Errorf("an order: %v", err)
	}
}

func TestRefusedAccessTokenIsFetchedAgainOnce(t *testing.T) {
	s := newScripted(t)
	var calls atomic.Int32
	s.on("/Orders/2.0/quick/user/orders", func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			answer(401, `{"fault":{"code":900901,"message":"Invalid Credentials"}}`)(w, r)
			return
		}
		answer(200, book)(w, r)
	})
	c := s.trading(t, gen1)
	if rows, err := orders(t.Context(), c); err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	if calls.Load() != 2 || len(s.seen(opAccessToken)) != 2 {
		t.Errorf("%d calls, %d access tokens", calls.Load(), len(s.seen(opAccessToken)))
	}
	s.on("/Orders/2.0/quick/user/orders", answer(401, `{"fault":{"code":900901,"message":"Invalid Credentials"}}`))
	if _, err := orders(t.Context(), c); !errors.Is(err, ErrAccessToken) {
		t.Error(err)
	}
	if n := len(s.seen("/Orders/2.0/quick/user/orders")); n != 4 {
		t.Errorf("%d calls, want 4", n)
	}
}

// A bubble's clock stands still until everybody waits, so these tests of time
// take none. The transport is a function: synctest knows no sockets.
func bubble(t *testing.T, transport roundTripper) *Client {
	t.Helper()
	c := must.Get(New(Config{Environment: "http://127.0.0.1:1", ConsumerKey: "key", HTTPClient: &http.Client{Transport: transport}}))(t)
	must.Do(t, c.Use(Session{Token: "t", SID: "s", KType: "Trade"}))
	return c
}

func respond(r *http.Request, status int, header http.Header) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(`{"stat":"Ok"}`)), ContentLength: 13, Request: r}
}

func TestNoSecondSeesMoreThanTenRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var times []time.Time
		c := bubble(t, func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			times = append(times, time.Now())
			return respond(r, 200, nil), nil
		})
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() { // by HTTPClient and by Do: they share the rate
				var err error
				if i%2 == 0 {
					err = c.Do(t.Context(), "GET", ordersPath, nil, nil)
				} else {
					_, err = c.HTTPClient().Get(ordersPath)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for i := 10; i < len(times); i++ {
			if d := times[i].Sub(times[i-10]); d < time.Second {
				t.Fatalf("requests %d to %d went out within %v", i-10, i, d)
			}
		}
		if took := time.Since(start); len(times) != 100 || took > 9500*time.Millisecond {
			t.Errorf("%d requests took %v", len(times), took)
		}
	})
}

func TestRateCanBeChangedAndLiftedAndWaitingCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bubble(t, func(r *http.Request) (*http.Response, error) { return respond(r, 200, nil), nil })
		start := time.Now()
		for range 100 {
			must.Do(t, c.Do(t.Context(), "GET", ordersPath, nil, nil, WithRate(0)))
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("without a limit 100 calls take %v", took)
		}
		hc := c.HTTPClient(WithRate(1))
		for range 3 {
			must.Get(hc.Get(ordersPath))(t)
		}
		if took := time.Since(start); took < 2*time.Second || took > 2100*time.Millisecond {
			t.Errorf("three calls at one a second take %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "GET", ordersPath, nil)
		_, err := hc.Do(req)
		if e, ok := errors.AsType[*Error](err); !ok || e.Category != ErrNetwork || !errors.Is(err, context.DeadlineExceeded) || e.Retry != RetrySame {
			t.Errorf("got %v", err)
		}
		time.Sleep(rest - 10*time.Millisecond)
		before := time.Now()
		if _, err := hc.Get(ordersPath); err != nil || !time.Now().Equal(before) {
			t.Errorf("whoever gave up took the place of the next: %v, %v", err, time.Since(before))
		}
	})
}

func TestRetryAfterIsObeyedOnceForWhatIsSafe(t *testing.T) {
	tests := []struct {
		name, method  string
		status        int
		after         string
		timeout       time.Duration
		sent          int
		took          time.Duration
		withBody, nok bool
	}{
		{"a GET that is answered 429", "GET", 429, "2", 0, 2, 2 * time.Second, false, false},
		{"a HEAD that is answered 503", "HEAD", 503, "2", 0, 2, 2 * time.Second, false, false},
		{"a GET that is answered 429 twice", "GET", 429, "2", 0, 2, 2 * time.Second, false, true},
		{"too long a wait", "GET", 429, "11", 0, 1, 0, false, true},
		{"a wait past the caller's deadline", "GET", 429, "5", 4 * time.Second, 1, 0, false, true},
		{"no Retry-After", "GET", 429, "", 0, 1, 0, false, true},
		{"a 500", "GET", 500, "2", 0, 1, 0, false, true},
		{"a POST", "POST", 429, "2", 0, 1, 0, false, true},
		{"a GET with a body", "GET", 429, "2", 0, 1, 0, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				c := bubble(t, func(r *http.Request) (*http.Response, error) {
					if sent++; sent == 2 && !tt.nok {
						return respond(r, 200, nil), nil
					}
					return respond(r, tt.status, http.Header{"Retry-After": {tt.after}}), nil
				})
				ctx := t.Context()
				if tt.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.timeout)
					defer cancel()
				}
				var body io.Reader
				if tt.withBody {
					body = strings.NewReader("x")
				}
				req, _ := http.NewRequestWithContext(ctx, tt.method, ordersPath, body)
				start := time.Now()
				resp, err := c.HTTPClient().Do(req)
				want := 200
				if tt.nok {
					want = tt.status
				}
				if err != nil || resp.StatusCode != want || sent != tt.sent || time.Since(start) != tt.took {
					t.Errorf("%v: sent %d times in %v", err, sent, time.Since(start))
				}
			})
		})
	}
}

func TestAServerThatHangsOrSendsAGigabyteCostsLittle(t *testing.T) {
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

func TestOrderWithoutABodyIsNotReplayedByNetHTTP(t *testing.T) {
	l := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	var orders, conns atomic.Int32
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			orders.Add(1)
			panic(http.ErrAbortHandler)
		}
		io.WriteString(w, book)
	}), ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go srv.Serve(l)
	defer srv.Close()
	c := must.Get(New(Config{Environment: Environment("http://" + l.Addr().String()), ConsumerKey: "k"}))(t)
	must.Do(t, c.Use(gen3))
	hc := c.HTTPClient()
	for _, body := range []string{"", "jData={}"} {
		orders.Store(0)
		get(t, hc, ordersPath) // leaves a connection that is used again
		req, _ := http.NewRequest("POST", placePath, strings.NewReader(body))
		req.Header.Set("Idempotency-Key", "1")
		if _, err := hc.Do(req); !errors.Is(err, ErrNetwork) {
			t.Errorf("got %v", err)
		}
		if n := orders.Load(); n != 1 {
			t.Errorf("the order %q was sent %d times", body, n)
		}
	}
	if conns.Load() != 2 {
		t.Errorf("%d connections: none was used again", conns.Load())
	}
}

func TestTradeTransportPrintsNoSecret(t *testing.T) {
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
