package neoapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"neoapi/internal/hostiletest"
)

// Whatever is at the service's address, each call ends with its context, reads no more
// than its limit and leaves no connection open. If the fault can be seen at once, the call
// ends at once.
func TestClient_hostileServiceCostsACallItsTimeAtMost(t *testing.T) {
	t.Parallel()
	for scheme, modes := range map[string][]hostiletest.Mode{"http": hostiletest.HTTP(), "https": hostiletest.TLS()} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			hostiletest.Walk(t, modes, nil, maxBook+1<<20, func(s *hostiletest.Server) error {
				transport := http.DefaultTransport.(*http.Transport).Clone()
				transport.MaxResponseHeaderBytes = 256 << 10 // the default, 10 MB, takes seconds of CPU
				// net/http goes on connecting for the next call after a call has ended.
				transport.TLSHandshakeTimeout = time.Second
				defer transport.CloseIdleConnections()
				return callAll(t.Context(), s, Config{
					Environment: Environment(scheme + "://" + s.Addr), ConsumerKey: "key", AccessToken: canaryAccess, Rate: -1,
					HTTPClient: &http.Client{Transport: transport},
				})
			})
		})
	}
}

// callAll makes one call of each kind that sends in a different way.
func callAll(ctx context.Context, s *hostiletest.Server, cfg Config) error {
	c, err := New(cfg)
	if err != nil {
		return err
	}
	if err := c.Use(Session{SID: "sid-1", Token: canaryTrade, Environment: c.place}); err != nil {
		return err
	}
	fetches := cfg
	fetches.AccessToken, fetches.ConsumerSecret = "", canarySecret
	f, err := New(fetches)
	if err != nil {
		return err
	}
	var findings []Finding
	for _, call := range []struct {
		name string
		do   func(ctx context.Context) error
	}{
		{"AccessToken", func(ctx context.Context) error { _, err := f.AccessToken(ctx); return err }},
		{"Login", func(ctx context.Context) error {
			return c.Login(ctx, Credentials{UserID: "testuser", Password: canaryPassword})
		}},
		{"LoginTOTP", func(ctx context.Context) error {
			return c.LoginTOTP(ctx, TOTP{Mobile: "9999999908", UCC: "TESTYA24", Code: canaryOTP})
		}},
		{"Do GET", func(ctx context.Context) error { return c.Do(ctx, "GET", "/quick/user/orders", nil, nil) }},
		{"Do POST", func(ctx context.Context) error {
			return c.Do(ctx, "POST", "/quick/order/rule/ms/place", map[string][]string{"jData": {"{}"}}, nil)
		}},
		{"HTTPClient", func(ctx context.Context) error {
			r, err := http.NewRequestWithContext(ctx, "GET", "/quick/user/orders", nil)
			if err != nil {
				return err
			}
			resp, err := c.HTTPClient().Do(r)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
			return err
		}},
		{"Diagnose", func(ctx context.Context) error {
			findings = Diagnose(ctx, cfg, Subject{})
			for _, x := range findings {
				if err := s.Judge(x.Err); err != nil {
					return err
				}
			}
			return nil
		}},
	} {
		if err := func() error {
			ctx, cancel := context.WithTimeout(ctx, s.Patience())
			defer cancel()
			return s.Judge(call.do(ctx))
		}(); err != nil {
			return fmt.Errorf("%s: %w", call.name, err)
		}
	}
	return nil
}

// An answer that takes a hundred times its size when it is decoded is refused.
func TestClient_denseAnswerIsRefused(t *testing.T) {
	t.Parallel()
	s := newScripted(t)
	c := s.trading(t, gen3)
	for name, tt := range map[string]struct {
		body string
		want error
	}{
		"rows":           {`{"stat":"Ok","data":[{}` + strings.Repeat(",{}", maxRows) + `]}`, ErrBadAnswer},
		"values":         {`{"stat":"Ok","data":[0` + strings.Repeat(",0", maxValues+1) + `]}`, ErrBadAnswer},
		"a list of rows": {`[{}` + strings.Repeat(",{}", maxRows) + `]`, ErrBadAnswer},
		"many rows":      {`{"stat":"Ok","data":[{"a":1}` + strings.Repeat(`,{"a":1}`, maxRows-10) + `]}`, nil},
	} {
		s.on(ordersPath, answer(200, tt.body))
		var into []any
		if err := c.Do(t.Context(), "GET", ordersPath, nil, &into); !errors.Is(err, tt.want) || err != nil && !strings.Contains(err.Error(), "rows") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
