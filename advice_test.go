package neoapi

import (
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"neoapi/internal/badhttp"
	"neoapi/internal/must"
	"neoapi/internal/tradewire"
	"neoapi/internal/wire"
)

// tooLong says that a failure is longer than a person reads: message and hint together
// have 120 characters at most.
func tooLong(e *Error) bool { return len([]rune(e.Message))+len("; ")+len([]rune(e.Hint)) > 120 }

// repeats returns words that message and hint both have, three in a row, or "".
func repeats(message, hint string) string {
	words := func(s string) []string {
		return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return strings.ContainsRune(" ,;:.()", r) })
	}
	said := " " + strings.Join(words(message), " ") + " "
	h := words(hint)
	for i := range h {
		if i+3 <= len(h) && strings.Contains(said, " "+strings.Join(h[i:i+3], " ")+" ") {
			return strings.Join(h[i:i+3], " ")
		}
	}
	return ""
}

// fitting says for words of hints where they make sense.
var fitting = []struct {
	word string
	ok   func(e *Error, step string) bool
}{
	{"key", func(e *Error, _ string) bool { return in(e.Category, ErrAccessToken, ErrIPNotAllowed) }},
	{"fetched", func(e *Error, _ string) bool { return e.Category == ErrAccessToken && e.Op != opAccessToken }},
	{"Authorization", func(e *Error, _ string) bool { return e.Code == wire.NoAccess.Code }},
	{"address", func(e *Error, _ string) bool { return e.Category == ErrIPNotAllowed }},
	{"ClientIP", func(e *Error, _ string) bool { return !steps[e.Op] && e.Op != "client_ip" }},
	{"order book", func(_ *Error, step string) bool { return step == placePath }},
	{"SendOTP", func(e *Error, _ string) bool { return in(e.Op, opLogin, opOTP, opSession2FA) }},
	{"Session2FA", func(e *Error, _ string) bool { return in(e.Category, ErrOTPNotSent, ErrWrongToken) }},
	{"same code", func(e *Error, _ string) bool { return secondFactor(e.Op) && in(e.Retry, RetrySame, RetryLater) }},
	{"code again", func(e *Error, _ string) bool { return secondFactor(e.Op) }},
	{"MPIN", func(e *Error, _ string) bool {
		return in(e.Op, opLogin, opOTP, opSession2FA, opTOTPValidate) || e.Category == ErrWrongToken
	}},
	{"first factor", func(e *Error, _ string) bool {
		return secondFactor(e.Op) || e.Op == opOTP || e.Category == ErrWrongToken
	}},
	{"log in again", func(e *Error, _ string) bool { return !steps[e.Op] || e.Code == wire.IPChanged.Code }},
	{"Sid and Auth", func(e *Error, _ string) bool { return !withoutSession(e.Op) }},
	{"wait", func(e *Error, _ string) bool { return e.Retry == RetryLater }},
	{"requests a second", func(e *Error, _ string) bool { return e.Category == ErrRateLimited && e.Code != wire.Policy.Code }},
	{"again", func(e *Error, _ string) bool {
		return e.Retry != RetryNever || in(e.Category, ErrAccessToken, ErrIPNotAllowed)
	}},
	{"new code", func(e *Error, _ string) bool { return e.Retry == RetryNewCode }},
}

// atStep does what leads to a step of the client, and the step itself; a call of the
// trade API goes by its path, as it does at the scripted service.
var atStep = map[string]func(*testing.T, *Client) error{
	opAccessToken: firstFactor,
	opLogin:       firstFactor,
	opTOTPLogin:   firstFactorTOTP,
	opOTP: func(t *testing.T, c *Client) error {
		must.Do(t, firstFactor(t, c))
		return c.SendOTP(t.Context())
	},
	opSession2FA: func(t *testing.T, c *Client) error {
		must.Do(t, firstFactor(t, c))
		_, err := c.Session2FA(t.Context(), canaryOTP)
		return err
	},
	opTOTPValidate: func(t *testing.T, c *Client) error {
		must.Do(t, firstFactorTOTP(t, c))
		_, err := c.ValidateMPIN(t.Context(), canaryMPIN)
		return err
	},
	opLogout: func(t *testing.T, c *Client) error {
		must.Do(t, c.Use(gen1))
		return c.Logout(t.Context())
	},
	"/quick/x": tradeCall("GET", "/quick/x"),
	placePath:  tradeCall("POST", placePath),
}

func firstFactor(t *testing.T, c *Client) error {
	return c.Login(t.Context(), Credentials{UserID: "u", Password: canaryPassword, NoOTP: true})
}

func firstFactorTOTP(t *testing.T, c *Client) error {
	return c.LoginTOTP(t.Context(), TOTP{Mobile: "9999999908", UCC: "U", Code: canaryOTP})
}

// tradeCall makes a call with a session of generation 3.
func tradeCall(method, path string) func(*testing.T, *Client) error {
	return func(t *testing.T, c *Client) error {
		must.Do(t, c.Use(gen3))
		return c.Do(t.Context(), method, path, nil, nil, WithRate(0))
	}
}

// Message and hint of a failure are read together: they fit, say nothing twice, and
// are short, for each code of the protocol at each operation of the client.
func TestAdvice_isOneForEveryCodeAtEveryOperation(t *testing.T) {
	operations := maps.Clone(atStep)
	for _, r := range append(tradewire.Reports, tradewire.Call{Op: wire.OpClientIP, Method: http.MethodGet, Path: clientIPPath}) {
		operations[r.Path] = tradeCall(r.Method, r.Path)
	}
	if len(operations) != 15 {
		t.Errorf("%d operations", len(operations))
	}
	for step, call := range operations {
		for _, f := range wire.Failures {
			for shape, h := range map[string]http.HandlerFunc{
				"protocol": answer(f.Status, `{"error":[{"code":"`+f.Code+`","message":"`+f.Meaning+`"}]}`),
				"trade":    answer(f.Status, `{"stat":"Not_Ok","stCode":`+f.Code+`,"errMsg":"`+f.Meaning+`, on purpose"}`),
				"no words": answer(f.Status, `{"error":[{"code":"`+f.Code+`"}]}`),
			} {
				t.Run(step+" "+f.Code+" "+shape, func(t *testing.T) {
					s := newScripted(t)
					s.on(step, h)
					err := call(t, s.client(t))
					if f == wire.NoData && err == nil { // an empty report
						return
					}
					e, ok := errors.AsType[*Error](err)
					if !ok || e.Message == "" || e.Retry == "" {
						t.Fatalf("%v, retry %q", err, e.Retry)
					}
					if tooLong(e) {
						t.Errorf("%d characters: %v", len(e.Message)+2+len(e.Hint), e)
					}
					if twice := repeats(e.Message, e.Hint); twice != "" {
						t.Errorf("%q is said twice: %v", twice, e)
					}
					for _, w := range fitting {
						if strings.Contains(e.Hint, w.word) && !w.ok(e, step) {
							t.Errorf("%q does not fit: %v (retry %q)", w.word, e, e.Retry)
						}
					}
					if strings.Contains(e.Message, "address") && e.Hint != "" && !strings.Contains(e.Hint, "address") {
						t.Errorf("the hint is about something else: %v", e)
					}
				})
			}
		}
	}
}

// Whatever breaks off on the way, it is one situation, told in one way: whether the
// answer is lost whole, or half, makes no difference to what is to be done.
func TestAdvice_isTheSameForHalfAnAnswerAsForNone(t *testing.T) {
	for op, call := range atStep {
		var told *Error
		for name, h := range badhttp.BrokenOff(200, `{"data":{"token":"ey`) {
			s := newScripted(t)
			s.on(op, h)
			e, ok := errors.AsType[*Error](call(t, s.client(t)))
			if !ok || e.Category != ErrNetwork || e.Hint == "" || tooLong(e) {
				t.Errorf("%s, %s: %v", op, name, e)
				continue
			}
			if told == nil {
				told = e
			}
			if e.Hint != told.Hint || e.Retry != told.Retry {
				t.Errorf("%s, %s: %v, retry %q; otherwise %v, retry %q", op, name, e, e.Retry, told, told.Retry)
			}
			if in(op, opSession2FA, opTOTPValidate) && e.Retry != RetrySame {
				t.Errorf("%s, %s: retry %q", op, name, e.Retry)
			}
			noCanary(t, e)
		}
	}
}

// What was certainly not done is not told as if it might have been.
func TestAdvice_sendsNobodyToTheOrderBookForAnUnsentOrder(t *testing.T) {
	s := newScripted(t)
	s.on(placePath, answer(503, `{"error":[{"code":"503","message":"the trade API is not available, and the call was not sent"}]}`))
	c := s.trading(t, gen3)
	err := c.Do(t.Context(), "POST", placePath, nil, nil)
	if e, ok := errors.AsType[*Error](err); !ok || e.Retry != RetryLater || strings.Contains(e.Error(), "order book") {
		t.Errorf("%v, retry %q", err, e.Retry)
	}
	s.Close()
	c.http.CloseIdleConnections() // httptest closes only those of http.DefaultTransport itself
	err = c.Do(t.Context(), "POST", placePath, nil, nil)
	if e, ok := errors.AsType[*Error](err); !ok || e.Retry != RetrySame || strings.Contains(e.Error(), "order book") {
		t.Errorf("nothing listens: %v, retry %q", err, e.Retry)
	}
}

// The hints themselves leave room for a message.
func TestHints_leaveRoomForAMessage(t *testing.T) {
	for _, h := range hints {
		if n := len(strings.Replace(h.hint, "{skew}", "95 s ahead of", 1)); n > 81 {
			t.Errorf("%d characters: %s", n, h.hint)
		}
	}
	for category, message := range advice {
		if strings.ContainsAny(message, ";:") || len(message) > 50 {
			t.Errorf("%s: %q says more than what happened", category, message)
		}
	}
}

// What the client itself says is as short, each problem for itself.
func TestError_messageIsShortEnoughToRead(t *testing.T) {
	said := regexp.MustCompile(`(?:Message: |Message = |invalid\([^"]*?|problems, |found, |return (?:at|Session\{\}|""), )"((?:[^"\\]|\\.){15,})"`)
	files := must.Get(filepath.Glob("*.go"))(t)
	found := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source := must.Get(os.ReadFile(file))(t)
		for _, m := range said.FindAllSubmatch(source, -1) {
			found++
			if len(m[1]) > 120 {
				t.Errorf("%s: %d characters: %s", file, len(m[1]), m[1])
			}
		}
	}
	if found < 40 {
		t.Errorf("%d texts: are they found?", found)
	}
}
