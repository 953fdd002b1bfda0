package neoapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"neoapi/internal/badhttp"
	"neoapi/internal/must"
)

// All other ways are those of TestKeeper_usesOnlyItsAccountsSavedSession.
func TestKeeper_logsInByOTP(t *testing.T) {
	srv, _ := keepServer(t)
	login := byPassword(srv.Account)
	login.MPIN, login.OTP = nil, func(context.Context) (string, error) { return srv.OTP(t), nil }
	if s, err := keep(t, keepClient(t, srv), KeepConfig{Login: login}).Session(t.Context()); err != nil || s.UCC != srv.Account.UCC {
		t.Errorf("got %v, %v", s, err)
	}
}

func TestKeeper_triesARefusedLoginThreeTimes(t *testing.T) {
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

func TestKeeper_repeatsNoLoginAfterATimeoutA429OrA5xx(t *testing.T) {
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   Category
		wait   time.Duration
	}{
		"no answer in time":    {badhttp.Silent, ErrNetwork, 5 * time.Second},
		"429":                  {answer(429, "", "Retry-After: 77"), ErrRateLimited, 77 * time.Second},
		"429 without a time":   {answer(429, ""), ErrRateLimited, 5 * time.Second},
		"500":                  {answer(500, ""), ErrInternal, 5 * time.Second},
		"502":                  {answer(502, ""), ErrUnavailable, 5 * time.Second},
		"503":                  {answer(503, "", "Retry-After: 9"), ErrUnavailable, 9 * time.Second},
		"504":                  {answer(504, ""), ErrTimeout, 5 * time.Second},
		"an answer in HTML":    {answer(200, "<html>"), ErrBadAnswer, 5 * time.Second},
		"a lock with its time": {answer(401, `{"error":[{"code":"70009","message":"locked"}]}`, "Retry-After: 60"), ErrLocked, time.Minute},
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

func TestKeeper_usesNoTOTPStepTwice(t *testing.T) {
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
	must.Get(first.Session(t.Context()))(t)
	must.Do(t, fileStore(t, path).Clear(t.Context()))
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
func TestTOTP_codesAreThoseOfRFC6238(t *testing.T) {
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

func TestKeeper_countsNoTryWhenAFunctionFails(t *testing.T) {
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

func TestKeeper_takesNoNewSessionThatHasEnded(t *testing.T) {
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

func TestKeep_namesEveryProblem(t *testing.T) {
	c := must.Get(New(Config{Environment: PROD, ConsumerKey: "key"}))(t)
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
