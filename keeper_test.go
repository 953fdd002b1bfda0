package neoapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"neoapi/internal/must"
	"neoapi/neoapitest"
)

// A trail counts what the service's audit says.
type trail struct {
	mu     sync.Mutex
	counts map[string]int
}

func (r *trail) Enabled(context.Context, slog.Level) bool { return true }
func (r *trail) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *trail) WithGroup(string) slog.Handler            { return r }
func (r *trail) Handle(_ context.Context, line slog.Record) error {
	if line.Message != "audit" {
		return nil
	}
	var what, how string
	line.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "action":
			what = a.Value.String()
		case "outcome":
			how = a.Value.String()
		}
		return true
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[what]++
	r.counts[what+" "+how]++
	return nil
}

func (r *trail) want(t *testing.T, what string, n int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts[what] != n {
		t.Errorf("the service has seen %q %d times, want %d: %v", what, r.counts[what], n, r.counts)
	}
}

// count returns how often the service has seen something.
func (r *trail) count(what string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts[what]
}

const opened = "second factor ok"

// keepServer starts the service with a trail.
func keepServer(t *testing.T, opts ...neoapitest.Option) (*neoapitest.Server, *trail) {
	r := &trail{counts: map[string]int{}}
	return neoapitest.NewServer(t, append(opts, neoapitest.WithLog(r))...), r
}

func keepClient(t *testing.T, srv *neoapitest.Server) *Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return must.Get(New(Config{
		Environment: Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret,
		HTTPClient: &http.Client{Transport: transport, Timeout: 10 * time.Second}, Rate: -1,
	}))(t)
}

func keep(t *testing.T, c *Client, cfg KeepConfig) *Keeper {
	t.Helper()
	return must.Get(c.Keep(cfg))(t)
}

func always[T any](answer T) func(context.Context) (T, error) {
	return func(context.Context) (T, error) { return answer, nil }
}

func byPassword(a neoapitest.Account) Login {
	return Login{Credentials: always(Credentials{Mobile: a.Mobile, Password: a.Password}), MPIN: always(a.MPIN)}
}

func bySeed(a neoapitest.Account) Login {
	return Login{TOTPSeed: always(a.TOTPSeed), Mobile: a.Mobile, UCC: a.UCC, MPIN: always(a.MPIN)}
}

func TestKeeper_logsInOnceForManyProcesses(t *testing.T) {
	srv, trail := keepServer(t)
	path := filepath.Join(t.TempDir(), "session")
	must.Do(t, os.WriteFile(path, nil, 0o600))
	saved := ""
	for _, said := range together(t, 2, "ask for a session", srv, path) {
		got := said()
		if s, err := fileStore(t, path).Load(t.Context()); err != nil || got != s.SID+" <nil>" {
			t.Errorf("a process says %q, and the file %v, %v", got, s, err)
		} else if saved != "" && s.SID != saved {
			t.Errorf("the file has changed")
		} else {
			saved = s.SID
		}
	}
	trail.want(t, opened, 1)
	trail.want(t, "login", 1)
}

func TestKeeper_logsInOnceForManyCallers(t *testing.T) {
	srv, trail := keepServer(t)
	logins := 0
	k := keep(t, keepClient(t, srv), KeepConfig{Login: byPassword(srv.Account), OnLogin: func(Session) { logins++ }})
	var wg sync.WaitGroup
	var sids sync.Map
	for range 50 {
		wg.Go(func() {
			s, err := k.Session(t.Context())
			if err != nil {
				t.Error(err)
			}
			sids.Store(s.SID, true)
		})
	}
	wg.Wait()
	n := 0
	sids.Range(func(any, any) bool { n++; return true })
	if current, ok := k.c.Session(); n != 1 || logins != 1 || !ok || current.Environment != srv.URL || current.Consumer != fingerprint(srv.ConsumerKey) {
		t.Errorf("%d sessions, %d logins, the current one is %v", n, logins, current)
	}
	trail.want(t, opened, 1)
}

func TestKeeper_logsInForOthersWhenACallerLeaves(t *testing.T) {
	srv, trail := keepServer(t)
	asked, answer := make(chan bool), make(chan bool)
	login := byPassword(srv.Account)
	login.Credentials = func(ctx context.Context) (Credentials, error) {
		asked <- true
		select {
		case <-answer:
			return Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password}, nil
		case <-ctx.Done():
			return Credentials{}, ctx.Err()
		}
	}
	k := keep(t, keepClient(t, srv), KeepConfig{Login: login})
	call := func(ctx context.Context) chan error {
		done := make(chan error, 1)
		go func() {
			_, err := k.Session(ctx)
			done <- err
		}()
		return done
	}
	waiting := func(n int) {
		for {
			k.mu.Lock()
			now := k.flight != nil && k.flight.waiting == n
			k.mu.Unlock()
			if now {
				return
			}
			runtime.Gosched()
		}
	}
	first, cancel := context.WithCancel(t.Context())
	one := call(first)
	<-asked
	other := call(t.Context())
	waiting(2)
	cancel()
	if err := <-one; !errors.Is(err, context.Canceled) || !errors.Is(err, ErrNetwork) {
		t.Errorf("the cancelled caller got %v", err)
	}
	answer <- true
	if err := <-other; err != nil {
		t.Errorf("the other caller got %v", err)
	}
	trail.want(t, opened, 1)

	// Once nobody waits, the login ends, and a later caller's is another one.
	s, _ := k.c.Session()
	k.Ended(s)
	third, cancel := context.WithCancel(t.Context())
	one = call(third)
	<-asked
	cancel()
	<-one
	other = call(t.Context())
	<-asked
	answer <- true
	if err := <-other; err != nil {
		t.Errorf("after a login that nobody waited for: %v", err)
	}
	trail.want(t, opened, 2)
}

func TestKeeper_returnsAtOnceWhenCancelledAndLeavesNothing(t *testing.T) {
	srv, trail := keepServer(t, neoapitest.WithOMSTimeout(time.Minute))
	c := keepClient(t, srv)
	if _, err := c.AccessToken(t.Context()); err != nil { // by now the service runs with all that belongs to it
		t.Fatal(err)
	}
	c.http.CloseIdleConnections()
	before := goleak.IgnoreCurrent()
	k := keep(t, c, KeepConfig{Login: byPassword(srv.Account), Store: fileStore(t, filepath.Join(t.TempDir(), "session"))})
	srv.HangOMS()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for trail.count("login ok") == 0 && t.Context().Err() == nil {
			time.Sleep(time.Millisecond)
		}
		time.AfterFunc(20*time.Millisecond, cancel) // in the middle of session_2fa, or just before
	}()
	_, err := k.Session(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err = k.Session(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is over: %v", err)
	}
	srv.MendOMS()
	c.http.CloseIdleConnections()
	goleak.VerifyNone(t, before)
	trail.want(t, "login ok", 1)
}

func TestKeeper_replacesARefusedSessionOnceForAllWhoShareIt(t *testing.T) {
	srv, trail := keepServer(t)
	path := filepath.Join(t.TempDir(), "session")
	cfg := KeepConfig{Login: byPassword(srv.Account), Store: fileStore(t, path)}
	one, two := keep(t, keepClient(t, srv), cfg), keep(t, keepClient(t, srv), cfg)
	old := must.Get(one.Session(t.Context()))(t)
	if same, err := two.Session(t.Context()); err != nil || same.Token != old.Token {
		t.Fatalf("got %v, %v", same, err)
	}
	one.Ended(old)
	two.Ended(old)
	fresh, err := one.Session(t.Context())
	if err != nil || fresh.Token == old.Token {
		t.Fatalf("got %v, %v", fresh, err)
	}
	one.Ended(old) // heard late
	for _, k := range []*Keeper{one, two} {
		if s, err := k.Session(t.Context()); err != nil || s.Token != fresh.Token {
			t.Errorf("got %v, %v", s, err)
		}
	}
	trail.want(t, opened, 2)
}

func TestKeeper_leavesASavedSessionThatIsNotItsOwn(t *testing.T) {
	srv, trail := keepServer(t)
	path := filepath.Join(t.TempDir(), "session")
	must.Do(t, fileStore(t, path).Save(t.Context(), kept))
	k := keep(t, keepClient(t, srv), KeepConfig{Login: byPassword(srv.Account), Store: fileStore(t, path)})
	_, err := k.Session(t.Context())
	if !errors.Is(err, ErrInvalidInput) || !strings.Contains(err.Error(), "session belongs to prod and is never sent to a service on this machine") {
		t.Errorf("got %v", err)
	}
	if s, err := fileStore(t, path).Load(t.Context()); err != nil || s.Token != kept.Token {
		t.Errorf("it was replaced by %v, %v", s, err)
	}
	trail.want(t, "login", 0)
}

// full is a store whose disk is full.
type full struct{ *FileStore }

func (full) Save(context.Context, Session) error { return errors.New("no space left on device") }

func TestKeeper_returnsASessionThatCannotBeSaved(t *testing.T) {
	srv, _ := keepServer(t)
	var lines strings.Builder
	k := keep(t, keepClient(t, srv), KeepConfig{
		Login: byPassword(srv.Account), Store: full{fileStore(t, filepath.Join(t.TempDir(), "session"))}, Log: slog.New(slog.NewTextHandler(&lines, nil)),
	})
	s, err := k.Session(t.Context())
	if err != nil || !strings.Contains(lines.String(), "no space left") {
		t.Errorf("%v: %s", err, lines.String())
	}
	for _, secret := range []string{s.Token, srv.Account.Password, srv.Account.MPIN} {
		if strings.Contains(lines.String(), secret) {
			t.Errorf("the log holds a secret: %s", lines.String())
		}
	}
}

// A store that cannot be written to is noticed before a code is spent on it.
func TestKeeper_logsInForNoStoreThatCannotBeWrittenTo(t *testing.T) {
	srv, trail := keepServer(t)
	file := filepath.Join(t.TempDir(), "file")
	must.Do(t, os.WriteFile(file, []byte("x"), 0o600))
	k := keep(t, keepClient(t, srv), KeepConfig{Login: byPassword(srv.Account), Store: unwritable{fileStore(t, filepath.Join(t.TempDir(), "session"))}})
	for range 5 {
		if _, err := k.Session(t.Context()); !errors.Is(err, ErrStore) || strings.Contains(err.Error(), "in a row") {
			t.Errorf("got %v", err)
		}
	}
	trail.want(t, "login", 0)
	trail.want(t, "access token", 0)
	k = keep(t, keepClient(t, srv), KeepConfig{Login: byPassword(srv.Account), Store: fileStore(t, filepath.Join(file, "session"))})
	if _, err := k.Session(t.Context()); !errors.Is(err, ErrStore) {
		t.Errorf("a folder that is a file: %v", err)
	}
	trail.want(t, "login", 0)
}

// unwritable is a store of the user's own, whose errors are, too.
type unwritable struct{ *FileStore }

func (unwritable) Writable(context.Context) error { return errors.New("read-only file system") }

func TestRedaction_coversWhateverKeepsASession(t *testing.T) {
	login := Login{TOTPSeed: always(canarySecret), MPIN: always(canaryMPIN), Mobile: "9999999908", UCC: "U"}
	c := must.Get(New(Config{Environment: PROD, ConsumerKey: canarySecret}))(t)
	k := keep(t, c, KeepConfig{Login: login})
	k.held.Store(&held{Session: kept})
	key := [32]byte([]byte(canaryTrade))
	f := fileStore(t, "session", WithKey(key))
	for _, v := range []any{login, &login, KeepConfig{Login: login, Store: f}, k, f} {
		var lines strings.Builder
		slog.New(slog.NewTextHandler(&lines, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&lines, nil)).Info("x", "v", v)
		noCanary(t, errors.New(fmt.Sprintf("%v %+v %#v %s", v, v, v, v)+lines.String()))
		if text := fmt.Sprintf("%+v %#v", v, v) + lines.String(); strings.Contains(text, "9999999908") || strings.Contains(text, fmt.Sprintf("%x", key[:4])) {
			t.Errorf("%T prints %s", v, text)
		}
	}
}

// A client that has a keeper calls with the keeper's session, whoever makes the call
// and however: nobody has to say so.
func TestClient_callsWithItsKeepersSession(t *testing.T) {
	t.Parallel()
	srv, trail := keepServer(t)
	c := keepClient(t, srv)
	k := keep(t, c, KeepConfig{Login: byPassword(srv.Account)})
	calls := map[string]func() error{
		"a report": func() error { _, err := orders(t.Context(), c); return err },
		"Do":       func() error { return c.Do(t.Context(), "GET", "/Orders/2.0/quick/user/orders", nil, nil) },
		"HTTPClient": func() error {
			resp, err := c.HTTPClient().Get("/Orders/2.0/quick/user/orders")
			if err == nil {
				resp.Body.Close()
				if resp.StatusCode != 200 {
					err = errors.New(resp.Status)
				}
			}
			return err
		},
		"the client's address": func() error { _, err := c.ClientIP(t.Context()); return err },
	}
	logins := 0
	for name, call := range calls {
		if err := call(); err != nil { // the first one logs in
			t.Errorf("%s: %v", name, err)
		}
		logins = max(logins, 1)
		trail.want(t, opened, logins)
		s := must.Get(k.Session(t.Context()))(t)
		srv.EndSession(t, s.SID)
		if err := call(); err != nil {
			t.Errorf("%s, of an ended session: %v", name, err)
		}
		logins++
		trail.want(t, opened, logins)
	}
	s := must.Get(k.Session(t.Context()))(t)
	srv.EndSession(t, s.SID)
	if _, err := limits(t.Context(), c); !errors.Is(err, ErrSessionEnded) || !strings.Contains(err.Error(), "not sent again") {
		t.Errorf("a POST: %v", err)
	}
	if _, err := limits(t.Context(), c); err != nil {
		t.Error(err)
	}
	trail.want(t, opened, logins+1)
	if err := c.Logout(t.Context()); err != nil { // the keeper hears of it
		t.Fatal(err)
	}
	if _, err := limits(t.Context(), c); err != nil {
		t.Errorf("after a logout: %v", err)
	}
	trail.want(t, opened, logins+2)
	other := &keeping{tokens: []string{"one"}}
	if _, err := orders(t.Context(), c, WithKeeper(other)); err == nil {
		t.Error("WithKeeper has no say any more")
	}
}
