package neoapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"neoapi/internal/badhttp"
	"neoapi/internal/must"
	"neoapi/internal/tradewire"
)

// The canaries: no test may ever see one of them in print.
const (
	canaryPassword = "canary-password-7$"
	canaryMPIN     = "736251"
	canaryOTP      = "918273"
	canarySecret   = "canary-consumer-secret"
	canaryAccess   = "canary-access-token"
	canaryPAN      = "CANAR1234Y"
)

var canaryTrade = jwt(`{"scope":["Trade"],"sub":"TESTYA24","iat":1655802939,"exp":4102444800}`)
var canaryView = jwt(`{"scope":["View"],"sub":"0b9f9a3c-user","ucc":"TESTYA24","exp":4102444800}`)

func jwt(payload string) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + enc([]byte(payload)) + ".canarysignature"
}

func viewAnswer() string {
	return `{"data":{"token":"` + canaryView + `","sid":"sid-1","rid":"rid-1","hsServerId":"","caches":{},"ucc":"TESTYA24","greetingName":"Asha"}}`
}

func tradeAnswer() string {
	return `{"data":{"token":"` + canaryTrade + `","sid":"sid-1","rid":"rid-2","hsServerId":"server1",
		"caches":{"lastUpdatedTS":"1654684389","watchlist":1638271224,"broken":"soon"},"ucc":"TESTYA24","greetingName":"Asha",
		"kType":"Trade","dataCenter":"gdc","baseUrl":"https://elsewhere.example"}}`
}

// A sent request is what the scripted service saw.
type sent struct {
	op, path string
	query    string
	header   http.Header
	body     string
}

func (s sent) json(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(s.body), &m); err != nil {
		t.Fatalf("%s was sent the body %q: %v", s.op, s.body, err)
	}
	return m
}

// A scripted service answers as existing services do; a test replaces the
// answer of one step. The shapes are foreign, so there is no real server of
// ours that could send them.
type scripted struct {
	*httptest.Server
	mu     sync.Mutex
	log    []sent
	answer map[string]http.HandlerFunc // by op, trade calls by their neutral path
}

var answer = badhttp.Answer

func newScripted(t *testing.T) *scripted {
	s := &scripted{answer: map[string]http.HandlerFunc{
		opAccessToken:  answer(200, `{"access_token":"`+canaryAccess+`","token_type":"Bearer","scope":"default","expires_in":3600}`),
		opLogin:        answer(200, viewAnswer()),
		opOTP:          answer(201, `{"data":{"message":"sent"}}`),
		opSession2FA:   answer(200, tradeAnswer()),
		opTOTPLogin:    answer(200, viewAnswer()),
		opTOTPValidate: answer(201, tradeAnswer()),
		opLogout:       answer(200, `{"data":{"message":"bye"}}`),
	}}
	ops := map[string]string{
		"/oauth2/token":                          opAccessToken,
		"/login/1.0/login/v2/validate":           opLogin,
		"/login/1.0/login/otp/generate":          opOTP,
		"/login/1.0/tradeApiLogin":               opTOTPLogin,
		"/login/1.0/tradeApiValidate":            opTOTPValidate,
		"/apim/login/2.0/login/v6/totp/login":    opTOTPLogin,
		"/login/1.0/logout":                      opLogout,
		"/apim/login/2.0/login/v6/totp/validate": opTOTPValidate,
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		op, isStep := ops[r.URL.Path]
		if !isStep {
			op = tradewire.Neutral(r.URL.Path)
		}
		if op == opLogin && r.Header.Get("Sid") != "" {
			op = opSession2FA
		}
		s.mu.Lock()
		s.log = append(s.log, sent{op, r.URL.Path, r.URL.RawQuery, r.Header.Clone(), string(body)})
		h := s.answer[op]
		s.mu.Unlock()
		if r.Method == http.MethodGet && op == opAccessToken { // Diagnose looks whether anybody is there
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		if h == nil || r.Method != http.MethodPost && isStep {
			t.Errorf("unexpected %s %s", r.Method, r.URL.Path)
			return
		}
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *scripted) on(op string, h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer[tradewire.Neutral(op)] = h
}

// seen returns what was sent for op, in order.
func (s *scripted) seen(op string) (found []sent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.log {
		if r.op == tradewire.Neutral(op) {
			found = append(found, r)
		}
	}
	return found
}

func (s *scripted) client(t *testing.T) *Client {
	t.Helper()
	return must.Get(New(Config{Environment: Environment(s.URL), ConsumerKey: "key", ConsumerSecret: canarySecret, HTTPClient: &http.Client{Timeout: 10 * time.Second}, Rate: -1}))(t)
}

// loggedIn returns a client whose first factor is proven.
func (s *scripted) loggedIn(t *testing.T) *Client {
	t.Helper()
	c := s.client(t)
	must.Do(t, c.Login(t.Context(), Credentials{Mobile: "9999999908", Password: canaryPassword, NoOTP: true}))
	return c
}

// orders and limits call for a report, as package trade does.
func orders(ctx context.Context, c *Client, opts ...CallOption) (rows []map[string]any, err error) {
	err = c.Do(ctx, http.MethodGet, ordersPath, nil, &rows, opts...)
	return rows, err
}

func limits(ctx context.Context, c *Client, opts ...CallOption) (rows any, err error) {
	err = c.Do(ctx, http.MethodPost, "/quick/user/limits", url.Values{"jData": {`{"seg":"ALL","exch":"ALL","prod":"ALL"}`}}, &rows, opts...)
	return rows, err
}
