package httpapi_test

import (
	"bufio"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/operator"
	"neoapi/internal/sandbox"
	"neoapi/internal/serve"
	"neoapi/neoapitest"
)

var pairs = flag.Int("httpapi.pairs", 0, "how many pairs of logins the timing of unknown accounts is judged by; 0 for the short form")

// auc is the chance that a sample of one kind is greater than one of the other:
// 0.5 if nobody can tell them apart.
func auc(a, b []time.Duration) float64 {
	type sample struct {
		took  time.Duration
		first bool
	}
	var all []sample
	for _, d := range a {
		all = append(all, sample{d, true})
	}
	for _, d := range b {
		all = append(all, sample{d, false})
	}
	slices.SortFunc(all, func(x, y sample) int { return cmp.Compare(x.took, y.took) })
	var ranks float64
	for i, s := range all {
		if s.first {
			ranks += float64(i + 1)
		}
	}
	n, m := float64(len(a)), float64(len(b))
	return (ranks - n*(n+1)/2) / (n * m)
}

func TestMeasure_tellsApartWhatCanBe(t *testing.T) {
	var a, b, c []time.Duration
	for i := range 1000 {
		a, b, c = append(a, time.Duration(2*i)), append(b, time.Duration(2*i+1)), append(c, time.Duration(i+5000))
	}
	if x := auc(a, b); x < 0.49 || x > 0.51 {
		t.Errorf("the same twice: %.3f", x)
	}
	if x, y := auc(c, a), auc(a, c); x != 1 || y != 0 {
		t.Errorf("slow and fast: %.3f, %.3f", x, y)
	}
}

// A stopwatch sends requests over one connection and times their answers by hand:
// a client library's own work is noise.
type stopwatch struct {
	conn net.Conn
	in   *bufio.Reader
}

func newStopwatch(t *testing.T, url string) *stopwatch {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &stopwatch{conn, bufio.NewReader(conn)}
}

// post returns the time of an answer and all of it but what differs by itself:
// the date and the request's id.
func (s *stopwatch) post(t *testing.T, path, who, body string) (time.Duration, string) {
	t.Helper()
	request := written("POST", path, body, "Authorization", who, "Content-Type", "application/json")
	begin := time.Now()
	if _, err := io.WriteString(s.conn, request); err != nil {
		t.Fatal(err)
	}
	if _, err := s.in.Peek(1); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begin)
	resp, err := http.ReadResponse(s.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Date", "X-Request-Id"} {
		if resp.Header.Get(name) == "" {
			t.Fatalf("no header %s", name)
		}
		resp.Header.Del(name)
	}
	return took, fmt.Sprint(resp.Status, resp.Header, string(answer))
}

// cannotTell sends so many pairs of bodies, and checks that their answers are the same and
// that their times are told apart in no more than so many cases.
func cannotTell(t *testing.T, c caller, path string, rounds int, least float64, pair func(i int) (strange, common string)) {
	t.Helper()
	s := newStopwatch(t, c.URL)
	var strange, common []time.Duration
	for i := range rounds {
		// In turn, and each as often first: what came before leaves its traces.
		var bodies, answers [2]string
		var took [2]time.Duration
		bodies[0], bodies[1] = pair(i)
		for _, k := range []int{i % 2, 1 - i%2} {
			took[k], answers[k] = s.post(t, path, c.who, bodies[k])
		}
		if answers[0] != answers[1] || !strings.HasPrefix(answers[0], "401") {
			t.Fatalf("answers differ:\n%s\n%s", answers[0], answers[1])
		}
		strange, common = append(strange, took[0]), append(common, took[1])
	}
	got := auc(strange, common)
	t.Logf("AUC %.3f over %d pairs", got, rounds)
	if got < least || got > 1-least {
		t.Errorf("AUC %.3f: the time tells them apart", got)
	}
}

// Nobody can tell whether an account exists, is locked, disabled or without the
// factor: the answers are the same to the byte, and as fast (security.md P5). Each kind is
// measured in turn with a wrong secret of an ordinary account. The short form sees
// a branch that is left out; the long one is the bar's 2,000 pairs.
func TestLogin_doesNotTellWhetherAnAccountExists(t *testing.T) {
	const kinds = 300 // accounts of each kind: none is tried so often in the short form that it locks
	c := newHouse(t, neoapitest.WithAccounts(kinds))
	m, data := c.admin, c.data
	// A kind's n-th account is named by its letter and n, its mobile number likewise.
	mobile := func(kind string, n int) string { return fmt.Sprintf("9%d%08d", 1+strings.Index("OLBN", kind), n) }
	hash := func(a operator.NewAccount) operator.HashedAccount {
		a.UCC, a.UserID, a.Mobile, a.Password = "X", "x", "9800000000", "correct horse battery"
		h, err := m.Hash(a)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	whole, bare := hash(operator.NewAccount{MPIN: "112233", TOTPSeed: sandbox.DemoTOTPSeed}), hash(operator.NewAccount{})
	for n := range kinds {
		for kind, h := range map[string]operator.HashedAccount{"O": whole, "L": whole, "B": bare} {
			a, err := m.AddHashed(t.Context(), h.As("", fmt.Sprint(kind, n), fmt.Sprint(kind, n), "+91"+mobile(kind, n), ""))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range []login.Factor{login.Password, login.MPIN, login.TOTP} {
				for i := 0; i < 10 && kind == "L"; i++ {
					try := login.Try{Account: a.ID, Factor: f, ID: "wrong", Now: time.Now(), Lease: time.Minute}
					if err := errors.Join(data.Store.Try(t.Context(), try), data.Store.EndTry(t.Context(), try, true, login.Event{Time: time.Now().Add(time.Hour)})); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	body := func(kind string, n int, f login.Factor) string {
		switch f {
		case login.Password:
			return object("userid", fmt.Sprint(kind, n), "password", "wrong-password")
		case login.MPIN:
			return object("userid", fmt.Sprint(kind, n), "mpin", "000000")
		}
		return object("mobileNumber", mobile(kind, n), "ucc", fmt.Sprint(kind, n), "totp", "000000")
	}
	for _, x := range []struct {
		name, kind string
		factor     login.Factor
	}{
		{"an unknown account, by password", "N", login.Password},
		{"a locked account, by password", "L", login.Password},
		{"an account without MPIN, by MPIN", "B", login.MPIN},
		{"an unknown account, by TOTP", "N", login.TOTP},
		{"a locked account, by TOTP", "L", login.TOTP},
		{"an account without TOTP, by TOTP", "B", login.TOTP},
	} {
		t.Run(x.name, func(t *testing.T) {
			path := validatePath
			rounds, least := 20, 0.1 // so few pairs scatter: the bounds are five standard errors wide
			if x.factor == login.TOTP {
				path, rounds, least = totpPath, 600, 0.3 // a busy machine alone makes 0.39
			}
			if *pairs > 0 {
				rounds, least = *pairs, 0.45
			}
			cannotTell(t, c.caller, path, rounds, least, func(i int) (strange, common string) {
				if i > 0 && i%(8*kinds) == 0 {
					unlock(t, m, data)
				}
				return body(x.kind, i%kinds, x.factor), body("O", i%kinds, x.factor)
			})
			unlock(t, m, data)
		})
	}
}

// unlock forgets the failures of the ordinary accounts.
func unlock(t *testing.T, m *operator.Admin, data *serve.Data) {
	t.Helper()
	accounts, err := data.Store.ListAccounts(t.Context(), "O", 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts {
		if strings.HasPrefix(a.UCC, "O") {
			if err := m.Unlock(t.Context(), a); err != nil && !errors.Is(err, operator.ErrNothing) {
				t.Fatal(err)
			}
		}
	}
}
