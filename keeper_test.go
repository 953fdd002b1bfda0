package neoapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

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
	c, err := New(Config{
		Environment: Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret,
		HTTPClient: &http.Client{Transport: transport, Timeout: 10 * time.Second}, Rate: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func keep(t *testing.T, c *Client, cfg KeepConfig) *Keeper {
	t.Helper()
	k, err := c.Keep(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return k
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

// askForASession is what the processes of the next test do.
func askForASession() (string, error) {
	store, err := NewFileStore(os.Getenv("STORE"))
	if err != nil {
		return "", err
	}
	c, err := New(Config{Environment: Environment(os.Getenv("URL")), ConsumerKey: os.Getenv("KEY"), ConsumerSecret: os.Getenv("SECRET")})
	if err != nil {
		return "", err
	}
	k, err := c.Keep(KeepConfig{Store: store, Login: bySeed(neoapitest.Account{
		TOTPSeed: os.Getenv("SEED"), Mobile: os.Getenv("MOBILE"), UCC: os.Getenv("UCC"), MPIN: os.Getenv("MPIN"),
	})})
	if err != nil {
		return "", err
	}
	s, err := k.Session(context.Background())
	return s.SID, err
}

func TestProcessesStartedTogetherMakeOneLogin(t *testing.T) {
	srv, trail := keepServer(t)
	path := filepath.Join(t.TempDir(), "session")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a := srv.Account
	var ins []io.WriteCloser
	var answers []func() string
	for range 2 {
		_, in, out := child(t, "ask for a session", "STORE="+path, "URL="+srv.URL, "KEY="+srv.ConsumerKey, "SECRET="+srv.ConsumerSecret,
			"SEED="+a.TOTPSeed, "MOBILE="+a.Mobile, "UCC="+a.UCC, "MPIN="+a.MPIN)
		line := func() string { text, _ := out.ReadString('\n'); return strings.TrimSpace(text) }
		if got := line(); got != "ready" {
			t.Fatalf("a process says %q", got)
		}
		ins, answers = append(ins, in), append(answers, line)
	}
	for _, in := range ins {
		io.WriteString(in, "go\n")
	}
	saved := ""
	for _, answer := range answers {
		got := answer()
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

func TestManyCallersMakeOneLogin(t *testing.T) {
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

func TestEveryWayOfKeepingASessionLogsIn(t *testing.T) {
	srv, _ := keepServer(t)
	a := srv.Account
	for name, login := range map[string]Login{
		"password and MPIN": byPassword(a),
		"password and OTP": {
			Credentials: always(Credentials{Mobile: a.Mobile, Password: a.Password}),
			OTP:         func(context.Context) (string, error) { return srv.OTP(t), nil },
		},
		"TOTP and MPIN": {
			TOTP: func(context.Context) (TOTP, error) { return TOTP{Mobile: a.Mobile, UCC: a.UCC, Code: srv.TOTP(t)}, nil }, MPIN: always(a.MPIN),
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := keep(t, keepClient(t, srv), KeepConfig{Login: login}).Session(t.Context())
			if err != nil || s.UCC != a.UCC {
				t.Errorf("got %v, %v", s, err)
			}
		})
	}
}

func TestOneCallersEndDoesNotEndTheLoginOfOthers(t *testing.T) {
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

func TestCancelledLoginReturnsAtOnceAndLeavesNothingBehind(t *testing.T) {
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

func TestRefusedLoginsAreTriedThreeTimes(t *testing.T) {
	srv, trail := keepServer(t)
	login := byPassword(srv.Account)
	right := login.Credentials
	login.Credentials = always(Credentials{Mobile: srv.Account.Mobile, Password: "not it"})
	c := keepClient(t, srv)
	now := time.Now()
	c.now = func() time.Time { return now }
	k := keep(t, c, KeepConfig{Login: login})
	pause := 5 * time.Second
	for try := range 6 {
		for again := range 3 { // however often it is asked meanwhile
			_, err := k.Session(t.Context())
			e, ok := errors.AsType[*Error](err)
			over := 3*try+again > 6 // the seventh time nothing is tried any more
			if !ok || e.Category != ErrWrongCredentials || e.Retry != RetryNever || over != strings.Contains(fmt.Sprint(err), "3 logins in a row were refused") {
				t.Errorf("try %d: %v", try, err)
			}
			trail.want(t, "login", min(try+1, 3))
			now = now.Add(pause/3 - 1)
		}
		now = now.Add(10)
		pause *= 2
	}
	trail.want(t, "login", 3)
	k.cfg.Login.Credentials = right
	k.Reset()
	if _, err := k.Session(t.Context()); err != nil {
		t.Errorf("after Reset: %v", err)
	}
	trail.want(t, "login", 4)
}

func TestNoLoginFollowsByItselfOnATimeoutA429OrA5xx(t *testing.T) {
	slow := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	status := func(code int, wait string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if wait != "" {
				w.Header().Set("Retry-After", wait)
			}
			w.WriteHeader(code)
		}
	}
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   Category
		wait   time.Duration
	}{
		"no answer in time":  {slow, ErrNetwork, 5 * time.Second},
		"429":                {status(429, "77"), ErrRateLimited, 77 * time.Second},
		"429 without a time": {status(429, ""), ErrRateLimited, 5 * time.Second},
		"500":                {status(500, ""), ErrInternal, 5 * time.Second},
		"502":                {status(502, ""), ErrUnavailable, 5 * time.Second},
		"503":                {status(503, "9"), ErrUnavailable, 9 * time.Second},
		"504":                {status(504, ""), ErrTimeout, 5 * time.Second},
		"an answer in HTML":  {answer(200, "<html>"), ErrBadAnswer, 5 * time.Second},
		"a lock with its time": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(401)
			io.WriteString(w, `{"error":[{"code":"70009","message":"locked"}]}`)
		}, ErrLocked, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScripted(t)
			s.on(opLogin, tt.answer)
			c := s.client(t)
			c.http.Timeout = 100 * time.Millisecond
			now := time.Now()
			c.now = func() time.Time { return now }
			k := keep(t, c, KeepConfig{Login: Login{Credentials: always(Credentials{Mobile: "9999999908", Password: canaryPassword}), MPIN: always(canaryMPIN)}})
			ask := func(logins int) {
				t.Helper()
				_, err := k.Session(t.Context())
				e, ok := errors.AsType[*Error](err)
				if !ok || e.Category != tt.want || len(s.seen(opLogin)) != logins {
					t.Errorf("got %v after %d logins, want %v after %d", err, len(s.seen(opLogin)), tt.want, logins)
				}
			}
			ask(1)
			ask(1)
			now = now.Add(tt.wait - 1)
			ask(1)
			now = now.Add(1)
			ask(2)
		})
	}
}

func TestNoTOTPStepIsUsedTwice(t *testing.T) {
	srv, trail := keepServer(t)
	path := filepath.Join(t.TempDir(), "session")
	var ahead atomic.Int64
	start := time.Now()
	keeper := func() *Keeper { // as another process would
		c := keepClient(t, srv)
		c.now = func() time.Time { return start.Add(time.Duration(ahead.Load())) }
		return keep(t, c, KeepConfig{Login: bySeed(srv.Account), Store: fileStore(t, path)})
	}
	first := keeper()
	if _, err := first.Session(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := fileStore(t, path).Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := keeper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := second.Session(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("in the same step: %v", err)
	}
	trail.want(t, "login", 1)
	ahead.Store(int64(totpPeriod * time.Second))
	if _, err := second.Session(t.Context()); err != nil {
		t.Errorf("in the next step: %v", err)
	}
	trail.want(t, "login ok", 2)

	// Nor is a code that a function gives again.
	ahead.Store(int64(2 * totpPeriod * time.Second))
	code := TOTP{Mobile: srv.Account.Mobile, UCC: srv.Account.UCC, Code: "000000"}
	third := keep(t, second.c, KeepConfig{Login: Login{TOTP: always(code), MPIN: always(srv.Account.MPIN)}})
	if _, err := third.Session(t.Context()); !errors.Is(err, ErrWrongCredentials) {
		t.Errorf("a wrong code: %v", err)
	}
	ahead.Store(int64(3 * totpPeriod * time.Second))
	if _, err := third.Session(t.Context()); !errors.Is(err, ErrInvalidInput) {
		t.Errorf("the same code again: %v", err)
	}
	trail.want(t, "login", 3)
}

// An MPIN that cannot be right, or that cannot be got, costs neither a code nor a try,
// whichever way the login goes.
func TestKeeper_looksAtTheMPINBeforeItSendsAnything(t *testing.T) {
	srv, trail := keepServer(t)
	a := srv.Account
	byTOTP := Login{TOTP: func(context.Context) (TOTP, error) { return TOTP{Mobile: a.Mobile, UCC: a.UCC, Code: srv.TOTP(t)}, nil }, UCC: a.UCC}
	for name, login := range map[string]Login{"password": byPassword(a), "TOTP": byTOTP, "seed": bySeed(a)} {
		for _, mpin := range []string{"12345", "1234567", "", "12345x"} {
			login.MPIN = always(mpin)
			_, err := keep(t, keepClient(t, srv), KeepConfig{Login: login}).Session(t.Context())
			if !errors.Is(err, ErrInvalidInput) || !strings.Contains(err.Error(), "Login.MPIN: the MPIN is six digits") || strings.Contains(err.Error(), "12345") {
				t.Errorf("%s, MPIN %q: %v", name, mpin, err)
			}
		}
		login.MPIN = func(context.Context) (string, error) { return "", errors.New("no such file") }
		if _, err := keep(t, keepClient(t, srv), KeepConfig{Login: login}).Session(t.Context()); !errors.Is(err, ErrCallback) {
			t.Errorf("%s: %v", name, err)
		}
	}
	trail.want(t, "login", 0)
	byTOTP.MPIN = always(a.MPIN)
	if _, err := keep(t, keepClient(t, srv), KeepConfig{Login: byTOTP}).Session(t.Context()); err != nil {
		t.Errorf("with the MPIN: %v", err)
	}
}

// The protocol has one answer for a wrong OTP and a wrong MPIN; a keeper knows which it
// gave, and says nothing of newest codes.
func TestKeeper_saysThatTheMPINWasWrong(t *testing.T) {
	srv, _ := keepServer(t)
	login := byPassword(srv.Account)
	login.MPIN = always("135790")
	_, err := keep(t, keepClient(t, srv), KeepConfig{Login: login}).Session(t.Context())
	if e, ok := errors.AsType[*Error](err); !ok || e.Category != ErrWrongOTP || e.Hint != wrongMPIN {
		t.Errorf("got %v", err)
	}
}

// The vectors of RFC 6238, appendix B, whose codes have eight digits.
func TestTOTPCodesAreThoseOfRFC6238(t *testing.T) {
	seed := parseSeed("gezd gnbv gy3t qojq gezd gnbv gy3t qojq==")
	if string(seed) != "12345678901234567890" {
		t.Fatalf("the seed is %q", seed)
	}
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		if got := totpCode(seed, totpStep(time.Unix(at, 0))); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
	}
	for _, text := range []string{"", "1", "GEZDGNBVGY3TQOJ", "ſEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"} {
		if parseSeed(text) != nil {
			t.Errorf("%q is taken for a seed", text)
		}
	}
}

func TestRefusedSessionIsReplacedOnceForAllWhoShareIt(t *testing.T) {
	srv, trail := keepServer(t)
	path := filepath.Join(t.TempDir(), "session")
	cfg := KeepConfig{Login: byPassword(srv.Account), Store: fileStore(t, path)}
	one, two := keep(t, keepClient(t, srv), cfg), keep(t, keepClient(t, srv), cfg)
	old, err := one.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
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

func TestRestoreJudgesASession(t *testing.T) {
	client := func(env Environment) *Client {
		c, err := New(Config{Environment: env, ConsumerKey: "key"})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	good := func(env string) Session {
		return Session{Token: canaryTrade, SID: "s", Environment: env, Consumer: fingerprint("key"), ExpiresAt: time.Now().Add(time.Minute)}
	}
	with := func(s Session, change func(*Session)) Session {
		change(&s)
		return s
	}
	const sandbox = "http://127.0.0.1:9155"
	for name, tt := range map[string]struct {
		env    Environment
		s      Session
		reason string // "" if it is taken
		used   string // what Use says
	}{
		"its own":                            {PROD, good("prod"), "", ""},
		"written in another way":             {"HTTPS://Neo.Example.com:443/", good("https://neo.example.com"), "", ""},
		"expired":                            {PROD, with(good("prod"), func(s *Session) { s.ExpiresAt = time.Now().Add(-time.Hour) }), "session ended", "session ended"},
		"yesterday's, without an end":        {PROD, with(good("prod"), func(s *Session) { s.ExpiresAt, s.IssuedAt = time.Time{}, time.Now().Add(-25*time.Hour) }), "session ended", "session ended"},
		"of another environment":             {PROD, good("uat"), "belongs to the environment uat, this client to prod", "environment"},
		"of another path":                    {"https://neo.example.com/b", good("https://neo.example.com/a"), "https://neo.example.com/a", "environment"},
		"of another consumer":                {PROD, with(good("prod"), func(s *Session) { s.Consumer = fingerprint("other") }), "another consumer key", "another consumer key"},
		"of nobody knows what":               {PROD, with(good(""), func(s *Session) { s.Consumer = "" }), "does not say which environment", ""},
		"of the sandbox, at a live host":     {PROD, good(sandbox), "never sent to prod", "never sent"},
		"of the sandbox, by its base URL":    {PROD, with(good(""), func(s *Session) { s.BaseURL = sandbox }), "does not say", "never sent to prod"},
		"of a live host, at the sandbox":     {sandbox, good("prod"), "never sent to a service on this machine", "never sent"},
		"of a live host, by its base URL":    {sandbox, with(good(""), func(s *Session) { s.BaseURL = "https://mis.kotaksecurities.com" }), "does not say", "never sent"},
		"with a password in its environment": {PROD, good("https://u:" + canaryPassword + "@h"), "[unreadable]", "[unreadable]"},
		"without a token":                    {PROD, with(good("prod"), func(s *Session) { s.Token = "" }), "no usable token", "no usable token"},
	} {
		t.Run(name, func(t *testing.T) {
			c := client(tt.env)
			for _, try := range []struct {
				err    error
				reason string
			}{{c.Restore(tt.s), tt.reason}, {c.Use(tt.s), tt.used}} {
				if (try.err == nil) != (try.reason == "") || try.err != nil && !strings.Contains(try.err.Error(), try.reason) {
					t.Errorf("got %v, want %q", try.err, try.reason)
				}
				noCanary(t, try.err)
			}
			if _, ok := c.Session(); ok != (tt.used == "") {
				t.Error("a refused session is the current one, or the reverse")
			}
		})
	}
}

func TestKeeperLeavesASavedSessionThatIsNotItsOwn(t *testing.T) {
	srv, trail := keepServer(t)
	path := filepath.Join(t.TempDir(), "session")
	if err := fileStore(t, path).Save(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
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

func TestSessionThatCannotBeSavedIsStillWorthHaving(t *testing.T) {
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
func TestNoLoginForAStoreThatCannotBeWrittenTo(t *testing.T) {
	srv, trail := keepServer(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
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

func TestYourOwnFailingFunctionIsNoTry(t *testing.T) {
	srv, trail := keepServer(t)
	login := byPassword(srv.Account)
	cause := errors.New("the vault is closed")
	right := login.Credentials
	login.Credentials = func(context.Context) (Credentials, error) { return Credentials{}, cause }
	k := keep(t, keepClient(t, srv), KeepConfig{Login: login})
	for range 5 {
		if _, err := k.Session(t.Context()); !errors.Is(err, ErrCallback) || !errors.Is(err, cause) || strings.Contains(err.Error(), "in a row") {
			t.Errorf("got %v", err)
		}
	}
	k.cfg.Login.Credentials = func(context.Context) (Credentials, error) { runtime.Goexit(); return Credentials{}, nil }
	if _, err := k.Session(t.Context()); !errors.Is(err, ErrCallback) {
		t.Errorf("a function that ends its goroutine: %v", err)
	}
	k.cfg.Login.Credentials = right
	if _, err := k.Session(t.Context()); err != nil {
		t.Error(err)
	}
	trail.want(t, opened, 1)
}

func TestNewSessionThatHasEndedIsNoSession(t *testing.T) {
	srv, trail := keepServer(t)
	c := keepClient(t, srv)
	ahead := 3 * time.Hour
	c.now = func() time.Time { return time.Now().Add(ahead) }
	k := keep(t, c, KeepConfig{Login: byPassword(srv.Account)})
	for range 5 {
		ahead += 10 * time.Minute
		if _, err := k.Session(t.Context()); !errors.Is(err, ErrSessionEnded) || !strings.Contains(err.Error(), "is this machine's clock right?") {
			t.Errorf("got %v", err)
		}
	}
	trail.want(t, opened, 3)
}

func TestKeepNamesEveryProblem(t *testing.T) {
	c, err := New(Config{Environment: PROD, ConsumerKey: "key"})
	if err != nil {
		t.Fatal(err)
	}
	text, who, totp := always("x"), always(Credentials{}), always(TOTP{})
	for want, cfg := range map[string]KeepConfig{
		"give Credentials, or one of TOTP and TOTPSeed; MaxTries is negative; Lead is negative": {MaxTries: -1, Lead: -1},
		"give Credentials, or one of":             {Login: Login{Credentials: who, TOTP: totp, MPIN: text}},
		"with Credentials, give one of OTP and":   {Login: Login{Credentials: who}},
		"one of OTP and MPIN":                     {Login: Login{Credentials: who, OTP: text, MPIN: text}},
		"with TOTP, give MPIN; Login: OTP cannot": {Login: Login{TOTP: totp, OTP: text}},
		"TOTP or TOTPSeed, not both; Login: Mobile: the mobile number is missing; Login: the UCC is missing": {
			Login: Login{TOTP: totp, TOTPSeed: text, MPIN: text},
		},
		"Mobile belongs to TOTPSeed": {Login: Login{TOTP: totp, MPIN: text, Mobile: "9999999908"}},
		"the UCC has":                {Login: Login{Credentials: who, MPIN: text, UCC: "AB\n1"}},
	} {
		if _, err := c.Keep(cfg); !errors.Is(err, ErrInvalidInput) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestSessionsEndAtMidnightInIndiaIfTheTokenDoesNotSay(t *testing.T) {
	at := func(text string) time.Time {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for name, tt := range map[string]struct {
		s    Session
		want time.Time
	}{
		"the token says":         {Session{IssuedAt: at("2026-08-03T09:00:00+05:30"), ExpiresAt: at("2026-08-03T10:00:00+05:30")}, at("2026-08-03T10:00:00+05:30")},
		"in the morning":         {Session{IssuedAt: at("2026-08-03T08:45:00+05:30")}, at("2026-08-04T00:00:00+05:30")},
		"before midnight in UTC": {Session{IssuedAt: at("2026-08-03T18:29:59Z")}, at("2026-08-04T00:00:00+05:30")},
		"at midnight":            {Session{IssuedAt: at("2026-08-03T18:30:00Z")}, at("2026-08-05T00:00:00+05:30")},
		"on new year's eve":      {Session{IssuedAt: at("2026-12-31T23:00:00+05:30")}, at("2027-01-01T00:00:00+05:30")},
		"nothing is known":       {Session{}, time.Time{}},
	} {
		if got := tt.s.Ends(); !got.Equal(tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
	if got := Daily(8, 45)(at("2026-08-03T08:45:00+05:30"), Session{}); !got.Equal(at("2026-08-04T08:45:00+05:30")) {
		t.Errorf("after 08:45 comes %v", got)
	}
	if got := Daily(8, 45)(at("2026-08-03T03:14:59Z"), Session{}); !got.Equal(at("2026-08-03T08:45:00+05:30")) {
		t.Errorf("a second before 08:45 comes %v", got)
	}
}

// Three days of a program, on the clock of a synctest bubble; the service's clock
// is moved along.
func TestRunKeepsAProgramLoggedInForDays(t *testing.T) {
	for name, tt := range map[string]struct {
		daily bool
		want  string
	}{
		"each day at 08:45": {true, strings.Repeat("login 08:45, expiring 23:55, expired 00:00, ", 3) + "login 08:45, "},
		"at each end":       {false, strings.Repeat("login 00:00, expiring 23:55, expired 00:00, ", 3) + "login 00:00, "},
	} {
		t.Run(name, func(t *testing.T) {
			srv, trail := keepServer(t, neoapitest.WithDayEnd())
			c := keepClient(t, srv)
			transport := &http.Transport{DisableKeepAlives: true}
			c.http.Transport = transport
			real := time.Now()
			// The first login is at midnight, or at 08:45, of tomorrow.
			year, month, day := real.In(ist).Date()
			world := time.Date(year, month, day+1, 0, 0, 0, 0, ist)
			if tt.daily {
				world = world.Add(8*time.Hour + 45*time.Minute)
			}
			srv.Advance(world.Sub(real)) // the service is outside of the bubble
			synctest.Test(t, func(t *testing.T) {
				bubble := time.Now()
				c.now = func() time.Time { return world.Add(time.Since(bubble)) }
				last := c.now()
				var diary strings.Builder
				note := func(what string) func(Session) {
					return func(Session) {
						fmt.Fprintf(&diary, "%s %s, ", what, c.now().In(ist).Format("15:04"))
					}
				}
				login := byPassword(srv.Account)
				password := login.Credentials
				login.Credentials = func(ctx context.Context) (Credentials, error) { // the service's clock catches up
					srv.Advance(c.now().Sub(last))
					last = c.now()
					return password(ctx)
				}
				cfg := KeepConfig{Login: login, OnLogin: note("login"), OnExpiring: note("expiring"), OnExpired: note("expired")}
				if tt.daily {
					cfg.RenewAt = Daily(8, 45)
				}
				k := keep(t, c, cfg)
				ctx, cancel := context.WithTimeout(t.Context(), 72*time.Hour+10*time.Minute)
				defer cancel()
				if err := k.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Run ended with %v", err)
				}
				if diary.String() != tt.want {
					t.Errorf("got  %s\nwant %s", diary.String(), tt.want)
				}
			})
			trail.want(t, opened, 4)
		})
	}
}

func TestRunEndsWithALoginThatFails(t *testing.T) {
	srv, trail := keepServer(t)
	login := byPassword(srv.Account)
	login.MPIN = always("000000")
	k := keep(t, keepClient(t, srv), KeepConfig{Login: login})
	if err := k.Run(t.Context()); !errors.Is(err, ErrWrongOTP) {
		t.Errorf("got %v", err)
	}
	trail.want(t, "login", 1)
}

// Who ends a wait is not told that there was no answer.
func TestRun_endedByItsContextSaysSo(t *testing.T) {
	srv, _ := keepServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	k := keep(t, keepClient(t, srv), KeepConfig{Login: byPassword(srv.Account), OnLogin: func(Session) { cancel() }})
	for range 2 { // while it runs, and from the beginning
		err := k.Run(ctx)
		if err == nil || err.Error() != "neoapi: keep: stopped waiting: context canceled" || !errors.Is(err, context.Canceled) || !errors.Is(err, ErrNetwork) {
			t.Errorf("got %v", err)
		}
	}
}

func TestNothingThatKeepsASessionPrintsASecret(t *testing.T) {
	login := Login{TOTPSeed: always(canarySecret), MPIN: always(canaryMPIN), Mobile: "9999999908", UCC: "U"}
	c, err := New(Config{Environment: PROD, ConsumerKey: canarySecret})
	if err != nil {
		t.Fatal(err)
	}
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
func TestAClientsCallsGoByItsKeeper(t *testing.T) {
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
		s, err := k.Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		srv.EndSession(t, s.SID)
		if err := call(); err != nil {
			t.Errorf("%s, of an ended session: %v", name, err)
		}
		logins++
		trail.want(t, opened, logins)
	}
	s, err := k.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
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
