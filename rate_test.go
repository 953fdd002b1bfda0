package neoapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"neoapi/internal/must"
	"neoapi/neoapitest"
)

// limited returns a client as New makes it, which counts what it sends.
func limited(t *testing.T, srv *neoapitest.Server, sent *atomic.Int32, change func(*Config)) *Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	cfg := Config{
		Environment: Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret,
		HTTPClient: &http.Client{Timeout: 30 * time.Second, Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			sent.Add(1)
			return transport.RoundTrip(r)
		})},
	}
	if change != nil {
		change(&cfg)
	}
	return must.Get(New(cfg))(t)
}

// logIn logs a client in by password and MPIN.
func logIn(ctx context.Context, c *Client, mobile string, a neoapitest.Account) error {
	if err := c.Login(ctx, Credentials{Mobile: mobile, Password: a.Password, NoOTP: true}); err != nil {
		return err
	}
	_, err := c.Session2FA(ctx, a.MPIN)
	return err
}

// posts sends so many POSTs at once, which are never sent again by themselves.
func posts(ctx context.Context, c *Client, n int) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { _, errs[i] = limits(ctx, c) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func TestRate_allowsTenOrdersAtOnceAfterALogin(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(10))
	var sent atomic.Int32
	c := limited(t, srv, &sent, nil)
	if err := errors.Join(logIn(t.Context(), c, srv.Account.Mobile, srv.Account), posts(t.Context(), c, 10)); err != nil {
		t.Error(err)
	}
	if n := sent.Load(); n != 3+10 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestRate_isSharedByClientsOfOneConsumer(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(10), neoapitest.WithAccounts(2))
	var sent atomic.Int32
	var wg sync.WaitGroup
	for _, mobile := range []string{"+919900000001", "+919900000002"} {
		c := limited(t, srv, &sent, nil)
		wg.Go(func() {
			if err := errors.Join(logIn(t.Context(), c, mobile, srv.Account), posts(t.Context(), c, 8)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// What the service counts, the client counts: with one request a second allowed, each
// step and each call is a second after the one before.
func TestRate_countsEveryRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := map[string]string{
			"/oauth2/token":                 `{"access_token":"a","expires_in":3600}`,
			"/login/1.0/login/otp/generate": `{"data":{"message":"sent"}}`,
			"/login/1.0/tradeApiLogin":      viewAnswer(),
			"/login/1.0/tradeApiValidate":   tradeAnswer(),
			"/login/1.0/logout":             `{"data":{"message":"bye"}}`,
			"/login/1.0/get-client-ip":      `{"data":[{"ip":"192.0.2.1"}],"status":"success"}`,
		}
		var last time.Time
		c := bubble(t, func(r *http.Request) (*http.Response, error) {
			if now := time.Now(); now.Sub(last) < time.Second {
				t.Errorf("%s follows after %v", r.URL.Path, now.Sub(last))
			}
			last = time.Now()
			answer, ok := answers[r.URL.Path]
			switch {
			case r.URL.Path == "/login/1.0/login/v2/validate" && r.Header.Get("Sid") == "":
				answer = viewAnswer()
			case r.URL.Path == "/login/1.0/login/v2/validate":
				answer = tradeAnswer()
			case !ok:
				answer = book
			}
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(answer)), ContentLength: int64(len(answer)), Request: r}, nil
		})
		c.secret, c.rate = "secret", &rate{1, &window{}}
		ctx := t.Context()
		session := func(_ Session, err error) error { return err }
		got := func(_ any, err error) error { return err }
		for i, do := range []func() error{
			func() error { return c.Login(ctx, Credentials{Mobile: "9999999908", Password: "p"}) },
			func() error { return c.SendOTP(ctx) },
			func() error { return session(c.Session2FA(ctx, "123456")) },
			func() error { _, err := orders(ctx, c); return err },
			func() error { return got(limits(ctx, c, WithRate(0))) }, // goes at once, which is wanted, and counts
			func() error { _, err := orders(ctx, c); return err },
			func() error { return c.Logout(ctx) },
			func() error { return c.LoginTOTP(ctx, TOTP{Mobile: "9999999908", UCC: "U", Code: "123456"}) },
			func() error { return session(c.ValidateMPIN(ctx, "123456")) },
			func() error { _, err := c.ClientIP(ctx); return err },
			func() error {
				resp, err := c.HTTPClient().Get(ordersPath)
				if err == nil {
					resp.Body.Close()
				}
				return err
			},
		} {
			if i == 4 {
				last = time.Time{}
			}
			if err := do(); err != nil {
				t.Errorf("%d: %v", i, err)
			}
		}
	})
}

func TestRate_waitEndsWithTheContext(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(1))
	var sent atomic.Int32
	c := limited(t, srv, &sent, func(cfg *Config) { cfg.Rate = 1 })
	must.Get(c.AccessToken(t.Context()))(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := c.Login(ctx, Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password})
	if e, ok := errors.AsType[*Error](err); !ok || e.Category != ErrNetwork || e.Retry != RetrySame || !errors.Is(err, context.DeadlineExceeded) || sent.Load() != 1 {
		t.Errorf("got %v after %d requests", err, sent.Load())
	}
	if err := c.Login(t.Context(), Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password, NoOTP: true}); err != nil {
		t.Errorf("whoever gave up is in the way: %v", err)
	}
}

func TestRate_isSharedByProcessesWithOneSessionFile(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(10))
	for _, said := range together(t, 3, "trade", srv, filepath.Join(t.TempDir(), "session")) {
		if got := said(); got != "<nil>" {
			t.Errorf("a process says %q", got)
		}
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

func TestRate_isTenRequestsInAnySecond(t *testing.T) {
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

func TestRate_canBeChangedAndLiftedAndItsWaitCancelled(t *testing.T) {
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

func TestRetryAfter_isObeyedOnceForWhatIsSafe(t *testing.T) {
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
