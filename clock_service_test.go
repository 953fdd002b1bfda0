package neoapi_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/neoapitest"
)

// clocked returns a client with the service's clock, or with its own, and the keeper
// that it is bound to.
func clocked(t *testing.T, srv *neoapitest.Server, cfg neoapi.Config, keep neoapi.KeepConfig) (*neoapi.Client, *neoapi.Keeper) {
	t.Helper()
	cfg.Environment, cfg.ConsumerKey, cfg.ConsumerSecret = neoapi.Environment(srv.URL), srv.ConsumerKey, srv.ConsumerSecret
	c := must.Get(neoapi.New(cfg))(t)
	if keep.Login.MPIN == nil {
		keep.Login = neoapi.Login{
			TOTPSeed: func(context.Context) (string, error) { return srv.Account.TOTPSeed, nil }, Mobile: srv.Account.Mobile, UCC: srv.Account.UCC,
			MPIN: func(context.Context) (string, error) { return srv.Account.MPIN, nil },
		}
	}
	k := must.Get(c.Keep(keep))(t)
	return c, k
}

// within gives a test less time than it would take by the machine's clock.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestClock_ofTheServiceIsFollowed(t *testing.T) {
	t.Parallel()
	for _, jump := range []time.Duration{0, 400 * 24 * time.Hour} {
		srv := neoapitest.NewServer(t)
		srv.SetTime(srv.Now().Add(jump))
		c, k := clocked(t, srv, neoapi.Config{Clock: srv.Now, Rate: -1}, neoapi.KeepConfig{})
		first, err := k.Session(t.Context())
		if err != nil {
			t.Fatalf("after %v: %v", jump, err)
		}
		for range 2 { // past the end of session and access token
			srv.Advance(3 * time.Hour)
			if _, err := orders(t.Context(), c); err != nil {
				t.Errorf("after %v: %v", jump, err)
			}
			s, err := k.Session(t.Context())
			if err != nil || s.Token == first.Token || s.Ends().Sub(srv.Now()) < 50*time.Minute {
				t.Errorf("after %v: %v, %v", jump, s, err)
			}
		}
		if err := c.Restore(first); !errors.Is(err, neoapi.ErrSessionEnded) {
			t.Errorf("after %v: an old session: %v", jump, err)
		}
	}
}

// By password the access token is needed, too.
func TestClock_endsAnAccessToken(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	c := must.Get(neoapi.New(neoapi.Config{
		Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret, Clock: srv.Now, Rate: -1,
	}))(t)
	for range 3 {
		passwordSession(t, srv, c)
		if _, err := limits(t.Context(), c); err != nil {
			t.Error(err)
		}
		srv.Advance(2 * time.Hour)
	}
}

func TestClock_thatDiffersIsTold(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	_, k := clocked(t, srv, neoapi.Config{Rate: -1}, neoapi.KeepConfig{})
	s := must.Get(k.Session(t.Context()))(t)
	k.Ended(s)
	srv.Advance(3 * time.Hour)
	_, k = clocked(t, srv, neoapi.Config{Rate: -1}, neoapi.KeepConfig{})
	_, err := k.Session(t.Context())
	if e := wantError(t, err, neoapi.ErrWrongCredentials); !strings.Contains(e.Hint, "your clock is 3h0m0s behind") && !strings.Contains(e.Hint, "your clock is 2h59m59s behind") {
		t.Errorf("got %v", err)
	}
	srv.SetTime(time.Now().Add(-48 * time.Hour))
	_, k = clocked(t, srv, neoapi.Config{Rate: -1}, neoapi.KeepConfig{})
	_, err = k.Session(t.Context())
	if e := wantError(t, err, neoapi.ErrWrongCredentials); !strings.Contains(e.Hint, "ahead of the service's") {
		t.Errorf("got %v", err)
	}
}

// At the beginning of a step the next one is 30 seconds away.
func TestClock_ofATestSparesALoginTheRealWait(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	seed := neoapi.Login{}
	function := neoapi.Login{
		TOTP: func(context.Context) (neoapi.TOTP, error) {
			return neoapi.TOTP{Mobile: srv.Account.Mobile, UCC: srv.Account.UCC, Code: srv.TOTP(t)}, nil
		},
		MPIN: func(context.Context) (string, error) { return srv.Account.MPIN, nil },
	}
	for name, login := range map[string]neoapi.Login{"by a seed": seed, "by a function": function} {
		t.Run(name, func(t *testing.T) {
			ctx := within(t, 25*time.Second)
			for _, store := range []string{"", filepath.Join(t.TempDir(), "session")} {
				srv.SetTime(srv.Now().Add(5 * time.Minute).Truncate(30 * time.Second))
				keep := neoapi.KeepConfig{Login: login}
				if store != "" {
					var err error
					if keep.Store, err = neoapi.NewFileStore(store); err != nil {
						t.Fatal(err)
					}
				}
				c, k := clocked(t, srv, neoapi.Config{Clock: srv.Now, Rate: -1}, keep)
				first := must.Get(k.Session(ctx))(t)
				srv.EndSession(t, first.SID)
				if _, err := orders(ctx, c); err != nil {
					t.Fatalf("store %q: %v", store, err)
				}
				if s, err := k.Session(ctx); err != nil || s.Token == first.Token {
					t.Errorf("%v, %v", s, err)
				}
			}
		})
	}
}

// The codes of a step and of the next are all there are: then a keeper waits until
// the test moves the clock.
func TestClock_ofATestEndsAWaitForACode(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	ctx := within(t, 25*time.Second)
	srv.SetTime(time.Now().Add(time.Hour).Truncate(30 * time.Second))
	waits := &waiting{Handler: slog.DiscardHandler, then: func() { srv.Advance(30 * time.Second) }}
	_, k := clocked(t, srv, neoapi.Config{Clock: srv.Now, Rate: -1}, neoapi.KeepConfig{Log: slog.New(waits)})
	for range 3 {
		s := must.Get(k.Session(ctx))(t)
		k.Ended(s)
	}
	if waits.n == 0 {
		t.Error("it did not wait")
	}
}

// waiting is a log that does something when a keeper begins to wait for a code.
type waiting struct {
	slog.Handler
	n    int
	then func()
}

func (*waiting) Enabled(context.Context, slog.Level) bool { return true }
func (w *waiting) Handle(_ context.Context, line slog.Record) error {
	if strings.HasPrefix(line.Message, "waiting for the next TOTP code") {
		w.n++
		go w.then() // while it waits
	}
	return nil
}

// Forty requests at two a second, between which the clock of both sides jumps.
func TestRate_goesByTheTestsClock(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(2))
	ctx := within(t, 15*time.Second)
	c, k := clocked(t, srv, neoapi.Config{Clock: srv.Now, Rate: 2}, neoapi.KeepConfig{})
	must.Get(k.Session(ctx))(t)
	for range 20 {
		srv.Advance(2 * time.Second)
		for range 2 { // a POST, which is never sent again
			must.Get(limits(ctx, c))(t)
		}
	}
}

// A clock that stands still holds nobody up.
func TestRate_goesOnWhereTheClockStandsStill(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(0))
	noon := srv.Now()
	c, k := clocked(t, srv, neoapi.Config{Clock: func() time.Time { return noon }}, neoapi.KeepConfig{})
	ctx := within(t, 25*time.Second)
	must.Get(k.Session(ctx))(t)
	for range 15 {
		must.Get(limits(ctx, c))(t)
	}
}

func TestRun_goesByTheTestsClock(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	said := make(chan string, 10)
	note := func(what string) func(neoapi.Session) { return func(neoapi.Session) { said <- what } }
	_, k := clocked(t, srv, neoapi.Config{Clock: srv.Now, Rate: -1}, neoapi.KeepConfig{OnLogin: note("login"), OnExpiring: note("expiring"), OnExpired: note("expired")})
	ctx, cancel := context.WithCancel(within(t, 25*time.Second))
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	for _, step := range []struct {
		jump time.Duration
		want string
	}{{0, "login"}, {56 * time.Minute, "expiring"}, {5 * time.Minute, "expired"}, {0, "login"}} {
		srv.Advance(step.jump)
		select {
		case got := <-said:
			if got != step.want {
				t.Errorf("%s, want %s", got, step.want)
			}
		case <-ctx.Done():
			t.Fatalf("no %s", step.want)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run ended with %v", err)
	}
}

// Diagnose judges by the clock that it is given.
func TestDiagnose_goesByTheTestsClock(t *testing.T) {
	srv := neoapitest.NewServer(t)
	srv.Advance(3 * time.Hour)
	for verdict, clock := range map[neoapi.Verdict]func() time.Time{neoapi.VerdictGood: srv.Now, neoapi.VerdictFailed: nil} {
		found := neoapi.Diagnose(t.Context(), neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, Clock: clock}, neoapi.Subject{})
		for _, f := range found {
			if f.Check == "clock" && f.Verdict != verdict {
				t.Errorf("the clock is %s: %s; want %s", f.Verdict, f.Detail, verdict)
			}
		}
	}
}
