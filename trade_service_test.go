package neoapi_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/internal/wire"
	"neoapi/neoapitest"
)

// totpSession logs a client in by TOTP and MPIN, as generation 3 does.
func totpSession(t *testing.T, srv *neoapitest.Server, c *neoapi.Client) neoapi.Session {
	t.Helper()
	must.Do(t, c.LoginTOTP(t.Context(), neoapi.TOTP{Mobile: srv.Account.Mobile, UCC: srv.Account.UCC, Code: srv.TOTP(t)}))
	return must.Get(c.ValidateMPIN(t.Context(), srv.Account.MPIN))(t)
}

// passwordSession logs a client in by password and OTP, as generation 1 does.
func passwordSession(t *testing.T, srv *neoapitest.Server, c *neoapi.Client) neoapi.Session {
	t.Helper()
	must.Do(t, c.Login(t.Context(), neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password, NoOTP: true}))
	return must.Get(c.Session2FA(t.Context(), srv.Account.MPIN))(t)
}

// orders and limits call for a report: one by GET, the other by POST.
func orders(ctx context.Context, c *neoapi.Client, opts ...neoapi.CallOption) (rows any, err error) {
	err = c.Do(ctx, http.MethodGet, "/quick/user/orders", nil, &rows, opts...)
	return rows, err
}

func limits(ctx context.Context, c *neoapi.Client, opts ...neoapi.CallOption) (rows any, err error) {
	err = c.Do(ctx, http.MethodPost, "/quick/user/limits", url.Values{"jData": {`{"seg":"ALL","exch":"ALL","prod":"ALL"}`}}, &rows, opts...)
	return rows, err
}

func TestReports_ofTheServiceCanBeRead(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	for name, login := range map[string]func(*testing.T, *neoapitest.Server, *neoapi.Client) neoapi.Session{"by password": passwordSession, "by TOTP": totpSession} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, srv, nil)
			login(t, srv, c)
			for report, method := range map[string]string{
				"/quick/user/positions": "GET", "/quick/user/orders": "GET", "/quick/user/trades": "GET", "/portfolio/v1/holdings": "GET",
			} {
				var rows []map[string]any
				if err := c.Do(t.Context(), method, report, nil, &rows); err != nil || len(rows) != 0 {
					t.Errorf("%s: %v, %v", report, rows, err)
				}
			}
			if flat, err := limits(t.Context(), c); err != nil || flat == nil {
				t.Errorf("limits: %v, %v", flat, err)
			}
			if addr, err := c.ClientIP(t.Context()); err != nil || !addr.IsLoopback() {
				t.Errorf("the client's address is %v, %v", addr, err)
			}
			must.Do(t, c.Logout(t.Context()))
			_, err := orders(t.Context(), c)
			wantError(t, err, neoapi.ErrNotLoggedIn)
		})
	}
}

func TestCall_tellsTheServicesRefusals(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	c := newClient(t, srv, nil)
	session := totpSession(t, srv, c)
	for _, path := range []string{"/no/such/path", "/quick/order", "/Orders/2.0/quick/nothing", "/login/nothing"} {
		for _, method := range []string{"GET", "POST"} { // the base URL has led to the session: no hint doubts it
			err := c.Do(t.Context(), method, path, nil, nil)
			e := wantError(t, err, neoapi.ErrInvalidInput)
			if e.Status != http.StatusNotFound || strings.Contains(e.Hint, "base URL") || e.Op != "call" || errors.Unwrap(err) != nil ||
				!strings.Contains(e.Message, "there is nothing at this path") {
				t.Errorf("%s %s: %v", method, path, err)
			}
		}
	}
	must.Do(t, c.Logout(t.Context()))
	must.Do(t, c.Use(session))
	_, err := orders(t.Context(), c)
	if e := wantError(t, err, neoapi.ErrSessionEnded); e.Status != http.StatusForbidden || e.Code != "100022" || e.Retry != neoapi.RetryLoginAgain || e.Hint == "" || e.Op != "orders" {
		t.Errorf("got %v", err)
	}
}

func TestRate_ofTheServiceIsObeyed(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(4))
	c := must.Get(neoapi.New(neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret}))(t)
	totpSession(t, srv, c)
	for i := range 8 { // with the client's own rate, which is too fast here
		if _, err := orders(t.Context(), c); err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
	var refused error
	for range 40 { // POSTs are not sent again
		if _, refused = limits(t.Context(), c, neoapi.WithRate(0)); refused != nil {
			break
		}
	}
	if e := wantError(t, refused, neoapi.ErrRateLimited); e.RetryAfter <= 0 || e.Retry != neoapi.RetryLater {
		t.Errorf("got %v", e)
	}
}

// counting counts what goes out.
type counting struct{ n atomic.Int32 }

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return http.DefaultTransport.RoundTrip(r)
}

func TestCall_tellsEveryFaultAndSendsNoPOSTTwice(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	var line counting
	c := newClient(t, srv, &http.Client{Transport: &line})
	passwordSession(t, srv, c)
	shapes := map[string]neoapi.Category{
		"200_error": neoapi.ErrSessionEnded, "200_failure": neoapi.ErrBadAnswer, "fault": neoapi.ErrAccessToken, "not_ok": neoapi.ErrInvalidInput,
		"status_error": neoapi.ErrInvalidInput, "rate_limit": neoapi.ErrRateLimited, "double": neoapi.ErrInvalidInput, "null_data": neoapi.ErrBadAnswer,
		"empty": neoapi.ErrBadAnswer, "html_502": neoapi.ErrUnavailable, "html_504": neoapi.ErrTimeout, "redirect": neoapi.ErrBadAnswer,
		"truncated": neoapi.ErrNetwork, "lost": neoapi.ErrNetwork, "close": neoapi.ErrNetwork, "hang": neoapi.ErrNetwork,
	}
	for _, fault := range neoapitest.Faults() {
		want, ok := shapes[fault]
		row, coded := wire.Lookup(fault)
		if coded {
			want = neoapi.Category(row.Category)
		} else if !ok {
			t.Errorf("what %s should be is not known", fault)
		}
		if row.Code == wire.WrongSecret.Code {
			want = neoapi.ErrSessionEnded // what a call shows is a session
		}
		waits := coded && (row.Status == 429 || row.Status == 503) || fault == "rate_limit"
		renews := want == neoapi.ErrAccessToken
		call := func(op string, report func(context.Context, *neoapi.Client, ...neoapi.CallOption) (any, error)) (sent int32, err error) {
			t.Helper()
			if renews { // so that the access token's fetch is not counted below
				must.Get(c.AccessToken(t.Context()))(t)
			}
			srv.Fail(t, op, fault, 1)
			before := line.n.Load()
			ctx := t.Context()
			if fault == "hang" {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
				defer cancel()
			}
			_, err = report(ctx, c, neoapi.WithRate(0))
			return line.n.Load() - before, err
		}
		told := func(err error, want neoapi.Category) {
			t.Helper()
			if fault == wire.NoData.Code {
				if err != nil {
					t.Errorf("%s: %v", fault, err)
				}
				return
			}
			if e := wantError(t, err, want); e.Retry == "" || strings.Contains(err.Error(), srv.ConsumerSecret) {
				t.Errorf("%s: %v, retry %q", fault, err, e.Retry)
			}
		}
		sent, err := call("limits", limits)
		if told(err, want); sent != 1 {
			t.Errorf("%s: the POST was sent %d times", fault, sent)
		}
		switch {
		case waits && fault != wire.Unavailable.Code: // one of them is enough, they take a second each
		case waits:
			if sent, err := call("orders", orders); err != nil || sent != 2 {
				t.Errorf("%s: the GET was sent %d times: %v", fault, sent, err)
			}
		case renews: // the refused token, a new one, and the call again
			if sent, err := call("orders", orders); err != nil || sent != 3 {
				t.Errorf("%s: the GET took %d requests: %v", fault, sent, err)
			}
		default:
			_, err := call("orders", orders)
			told(err, want)
		}
		if _, err := orders(t.Context(), c, neoapi.WithRate(0)); err != nil {
			t.Errorf("after %s: %v", fault, err)
		}
	}
}

// A path without its slash is another address, or none: it is not sent, and no session
// is asked for.
func TestDo_pathBeginsWithASlash(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	c := newClient(t, srv, nil)
	for _, session := range []bool{false, true} {
		if session {
			totpSession(t, srv, c)
		}
		for _, path := range []string{"quick/order/rule/ms/place", "", "./quick/user/orders", "?a=b"} {
			errs := map[string]error{"Do": c.Do(t.Context(), "POST", path, url.Values{"jData": {"{}"}}, nil)}
			_, errs["HTTPClient"] = c.HTTPClient().Get(path)
			for name, err := range errs {
				if e := wantError(t, err, neoapi.ErrInvalidInput); !strings.Contains(e.Message, "the path must begin with /") || e.Status != 0 || e.Retry != neoapi.RetryNever {
					t.Errorf("%s %q: %v", name, path, err)
				}
			}
		}
	}
}
