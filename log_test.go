package neoapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"neoapi/internal/badhttp"
	"neoapi/internal/must"
)

// watchedClient returns a client whose log and observed steps can be read.
func (s *scripted) watchedClient(t *testing.T, level slog.Level) (c *Client, log *bytes.Buffer, steps *[]string) {
	t.Helper()
	log, steps = &bytes.Buffer{}, &[]string{}
	var mu sync.Mutex
	c = must.Get(New(Config{
		Environment: Environment(s.URL), ConsumerKey: "canary-key", ConsumerSecret: canarySecret,
		Log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: level})),
		Observe: func(ctx context.Context, op string) (context.Context, func(error)) {
			return context.WithValue(ctx, seenBy{}, op), func(err error) {
				mu.Lock()
				defer mu.Unlock()
				outcome := "ok"
				if e, ok := errors.AsType[*Error](err); ok {
					outcome = string(e.Category)
				}
				*steps = append(*steps, op+": "+outcome)
			}
		},
	}))(t)
	return c, log, steps
}

type seenBy struct{}

func TestLog_hasEachExchangeWithoutItsSecrets(t *testing.T) {
	s := newScripted(t)
	c, log, steps := s.watchedClient(t, slog.LevelDebug)
	creds := Credentials{PAN: canaryPAN, Password: canaryPassword}
	must.Do(t, c.Login(t.Context(), creds))
	must.Get(c.Session2FA(t.Context(), canaryOTP))(t)
	s.on("/Orders/2.0/quick/user/orders", answer(200, book))
	s.on(placePath, answer(400, `{"stat":"Not_Ok","stCode":1007,"errMsg":"body invalid"}`))
	c.trade.KType = "" // the reports of generation 1
	must.Get(orders(t.Context(), c))(t)
	c.Do(t.Context(), "POST", placePath, url.Values{"jData": {`{"ts":"IDFC-EQ","pin":"` + canaryMPIN + `"}`}}, nil)
	must.Do(t, c.LoginTOTP(t.Context(), TOTP{Mobile: "9999999908", UCC: "TESTYA24", Code: canaryOTP}))
	s.on(opTOTPValidate, answer(401, `{"error":[{"code":"10020","message":"`+canaryMPIN+` is wrong"}]}`))
	c.ValidateMPIN(t.Context(), canaryMPIN)
	s.on(opTOTPValidate, badhttp.Closed)
	c.ValidateMPIN(t.Context(), canaryMPIN)

	noCanary(t, log.String())
	var lines []map[string]any
	for line := range strings.Lines(log.String()) {
		var m map[string]any
		must.Do(t, json.Unmarshal([]byte(line), &m))
		lines = append(lines, m)
	}
	var ops []string
	for i, m := range lines {
		ops = append(ops, m["op"].(string))
		for _, key := range []string{"op", "method", "host", "path", "duration", "request_id"} {
			if m[key] == nil || m[key] == "" {
				t.Errorf("line %d has no %s: %v", i, key, m)
			}
		}
	}
	if got := strings.Join(ops, " "); got != "access_token login otp session_2fa orders place totp_login totp_validate totp_validate" {
		t.Fatalf("logged were %s", got)
	}
	for i, want := range map[int][]string{
		1: {`"pan":"[redacted]"`, `"password":"[redacted]"`},
		2: {`"userId":"0b9f9a3c-user"`},
		4: {"nOrdNo"},
		5: {`"ts":"IDFC-EQ"`, `"pin":"[redacted]"`, "body invalid"},
		6: {`"mobileNumber":"xxxxxxxxxx908"`, `"ucc":"TESTYA24"`},
		7: {"[redacted] is wrong"},
		8: {"no answer"},
	} {
		text, _ := json.Marshal(lines[i])
		plain := strings.ReplaceAll(string(text), `\"`, `"`)
		for _, part := range want {
			if !strings.Contains(plain, part) {
				t.Errorf("line %d has no %s: %s", i, part, plain)
			}
		}
	}
	if lines[3]["status"] != 200.0 || !strings.Contains(lines[3]["answer"].(string), `"sid":"sid-1"`) {
		t.Errorf("the answer of session_2fa is logged as %v", lines[3])
	}
	want := "access_token: ok, login: ok, otp: ok, session_2fa: ok, orders: ok, place: invalid input, totp_login: ok, totp_validate: wrong MPIN, totp_validate: no answer"
	if got := strings.Join(*steps, ", "); got != want {
		t.Errorf("observed were\n%s, want\n%s", got, want)
	}
}

func TestLog_hasNothingAboveDebug(t *testing.T) {
	s := newScripted(t)
	c, log, _ := s.watchedClient(t, slog.LevelInfo)
	if err := c.Login(t.Context(), Credentials{UserID: "u", Password: "p"}); err != nil || log.Len() != 0 {
		t.Errorf("%v: %s", err, log)
	}
}

func TestObserve_contextReachesTheTransport(t *testing.T) {
	s := newScripted(t)
	c, _, _ := s.watchedClient(t, slog.LevelInfo)
	var ops []any
	c.http.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		ops = append(ops, r.Context().Value(seenBy{}))
		return http.DefaultTransport.RoundTrip(r)
	})
	must.Do(t, c.Login(t.Context(), Credentials{UserID: "u", Password: "p", NoOTP: true}))
	s.on(ordersPath, answer(200, book))
	must.Do(t, c.Use(gen3))
	get(t, c.HTTPClient(), ordersPath)
	if len(ops) != 3 || ops[0] != opAccessToken || ops[1] != opLogin || ops[2] != "orders" {
		t.Errorf("the transport saw %v", ops)
	}
}

func TestLog_leavesTheBodyToTheCaller(t *testing.T) {
	s := newScripted(t)
	c, log, _ := s.watchedClient(t, slog.LevelDebug)
	must.Do(t, c.Use(gen3))
	long := strings.Repeat("x", 3*maxText)
	s.on(ordersPath, answer(200, `{"stat":"Ok","data":"`+long+`"}`))
	var got string
	if err := c.Do(t.Context(), "GET", ordersPath, nil, &got); err != nil || got != long {
		t.Errorf("%v: %d bytes came", err, len(got))
	}
	resp := must.Get(c.HTTPClient().Get(ordersPath))(t)
	io.CopyN(io.Discard, resp.Body, 10)
	resp.Body.Close()
	resp.Body.Close()
	if n := strings.Count(log.String(), "neoapi: exchange"); n != 2 {
		t.Errorf("%d lines for 2 exchanges", n)
	}
}

func TestVeil(t *testing.T) {
	for name, tt := range map[string]struct{ body, want string }{
		"nothing":                             {" ", ""},
		"secrets by name, deep":               {`{"a":[{"Password":"x","n":1}],"totp":123456,"ok":true,"none":null}`, `{"a":[{"Password":"[redacted]","n":1}],"none":null,"ok":true,"totp":"[redacted]"}`},
		"a mobile number":                     {`{"mobileNumber":"+919999999908","phone":12}`, `{"mobileNumber":"xxxxxxxxxx908","phone":"[redacted]"}`},
		"JSON within a string":                {`{"data":"{\"token\":\"x\",\"sid\":\"s\"}"}`, `{"data":"{\"sid\":\"s\",\"token\":\"[redacted]\"}"}`},
		"a list under a secret's name":        {`{"token":["x",{"y":"z"}]}`, `{"token":["[redacted]",{"y":"z"}]}`},
		"a token under a name that says less": {`{"value":"` + canaryTrade + `"}`, `{"value":"[redacted]"}`},
		"a form":                              {"jData=%7B%22mpin%22%3A%221%22%7D&x=1&otp=1", `jData={"mpin":"[redacted]"}&otp=[redacted]&x=1`},
		"half an answer":                      {`{"data":{"token":"ey`, "[not shown: it cannot be read]"},
		"a page":                              {"<html><title>502 Bad\nGateway</title>", "the answer is a web page: 502 Bad Gateway"},
		"words":                               {"Bad Gateway", "Bad Gateway"},
		"words with something long in them":   {"token is abcdefghijklmnopqrstuvwxyz0123", "token is [redacted]"},
		"a secret that went out":              {`{"echo":"s3cret"}`, `{"echo":"[redacted]"}`},
	} {
		if got := veil([]byte(tt.body), []string{"s3cret"}); got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
	}
}

func FuzzVeil(f *testing.F) {
	for _, body := range []string{`{"token":"x"}`, `{"a":"{\"mpin\":1}"}`, "otp=1&jData=%7B%7D", "<title>x</title>", `[[["a"]]]`, `{"mobileNumber":"1"}`, "%zz=1"} {
		f.Add(body, "secret")
	}
	f.Fuzz(func(t *testing.T, text, secret string) {
		if len(secret) < 3 || strings.Contains("[redacted]", lower(secret)) || strings.ContainsFunc(secret, func(r rune) bool { return r < '0' || r > 'z' }) {
			return // not a secret that could be told from other text
		}
		body, _ := json.Marshal(map[string]any{"x": text, "token": "canary" + secret})
		for _, shown := range []string{veil([]byte(text), []string{secret}), veil(body, nil)} {
			if strings.Contains(shown, "canary"+secret) && !strings.Contains(text, "canary") {
				t.Errorf("%q shows what is called a token: %q", body, shown)
			}
		}
		if shown := veil([]byte(text), []string{secret}); strings.Contains(strings.ReplaceAll(shown, "[redacted]", ""), secret) && !strings.Contains(shown, "[redacted]") {
			t.Errorf("%q shows %q", shown, secret)
		}
	})
}
