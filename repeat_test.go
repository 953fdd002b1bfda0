package neoapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"neoapi/internal/badhttp"
	"neoapi/internal/must"
)

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

func TestCall_renewsAnEndedSessionOnceAndIsRepeated(t *testing.T) {
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

func TestCall_leavesTheSessionOnOtherRefusals(t *testing.T) {
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

func TestCall_renewsNoNewSessionThatIsRefusedToo(t *testing.T) {
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

func TestOrder_isNeverSentAgain(t *testing.T) {
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

func TestCall_returnsTheErrorOfARenewal(t *testing.T) {
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

func TestAccessToken_isFetchedAgainOnceWhenRefused(t *testing.T) {
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

func TestOrder_withoutABodyIsNotReplayedByNetHTTP(t *testing.T) {
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
