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

func TestTenOrdersAtOnceAfterALoginAreNotRefused(t *testing.T) {
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

func TestClientsOfOneConsumerShareItsRate(t *testing.T) {
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
func TestEveryRequestIsCounted(t *testing.T) {
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

func TestWaitingForTheRateEndsWithTheContext(t *testing.T) {
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

func TestProcessesThatShareASessionFileShareTheRate(t *testing.T) {
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(10))
	for _, said := range together(t, 3, "trade", srv, filepath.Join(t.TempDir(), "session")) {
		if got := said(); got != "<nil>" {
			t.Errorf("a process says %q", got)
		}
	}
}
