package httpapi_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"neoapi/internal/httpapi"
	"neoapi/internal/wire"
	"neoapi/neoapitest"
)

func TestWhatNetHTTPAnswersByItselfIsTheProtocolsJSON(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	post := "POST " + tokenPath + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	for name, x := range map[string]struct {
		request string
		status  int
	}{
		"a header too large":          {"GET / HTTP/1.1\r\nHost: x\r\nSid: " + strings.Repeat("a", 40<<10) + "\r\n\r\n", 431},
		"too many headers":            {"GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("Sid: aaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", 2000) + "\r\n", 431},
		"an address too long":         {"GET /" + strings.Repeat("a", 40<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", 431},
		"a request line that is none": {"hello\r\n\r\n", 400},
		"TLS spoken to a plain port":  {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400},
		"a version that is none":      {"GET / HTTP/x\r\nHost: x\r\n\r\n", 400},
		"HTTP 3 in plain text":        {"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505},
		"no Host":                     {"GET / HTTP/1.1\r\n\r\n", 400},
		"two Hosts":                   {"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
		"a malformed Host":            {"GET / HTTP/1.1\r\nHost: x y\r\n\r\n", 400},
		"a header without a colon":    {"GET / HTTP/1.1\r\nHost: x\r\nSid\r\n\r\n", 400},
		"a header name with a space":  {"GET / HTTP/1.1\r\nHost: x\r\nSid : a\r\n\r\n", 400},
		"a header value with a NUL":   {"GET / HTTP/1.1\r\nHost: x\r\nSid: a\x00b\r\n\r\n", 400},
		"a space in the address":      {"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"a bad escape in the address": {"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"a length that is no number":  {post + "Content-Length: x\r\n\r\n", 400},
		"a negative length":           {post + "Content-Length: -1\r\n\r\n", 400},
		"two lengths":                 {post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400},
		"an unsupported encoding":     {post + "Transfer-Encoding: gzip\r\n\r\n", 501},
		"two encodings":               {post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
		"an Expect that nobody knows": {post + "Expect: wonders\r\nContent-Length: 2\r\n\r\n{}", 417},
		"a question about the server": {"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404},
		"a tunnel asked for":          {"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nConnection: close\r\n\r\n", 404},
		"HTTP 2 without being asked":  {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 404},
		"HTTP 1.0":                    {"GET /nowhere HTTP/1.0\r\n\r\n", 404},
		"two slashes":                 {"GET //api/1.0/logout HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404},
		"a way up":                    {"GET /api/../api/1.0/logout HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404},
		"a way up and out":            {"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404},
		"a path without its slash":    {"GET api/1.0/logout HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400},
	} {
		t.Run(name, func(t *testing.T) {
			answers := raw(t, srv, x.request, false)
			if len(answers) != 1 {
				t.Fatalf("%d answers: %+v", len(answers), answers)
			}
			answers[0].refused(t, x.status, "10300")
		})
	}
}

func TestABodyThatIsFramedBadlyGetsOneAnswerAndTheConnectionCloses(t *testing.T) { // bar H5
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t))
	open := "POST " + validatePath + " HTTP/1.1\r\nHost: x\r\nAuthorization: " + c.who + "\r\nContent-Type: application/json\r\n"
	body := object("mobileNumber", c.Account.Mobile, "password", "wrong-password")
	chunked := open + "Transfer-Encoding: chunked\r\n"
	next := "GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	for name, x := range map[string]struct {
		request string
		ends    bool
		status  int
	}{
		"a chunk size that is none":    {chunked + "\r\nzz\r\n" + body + "\r\n0\r\n\r\n" + next, false, 400},
		"a chunk that is too short":    {chunked + "\r\nff\r\n{}\r\n0\r\n\r\n", true, 400},
		"a chunk that is too long":     {chunked + "\r\n2\r\n{}{}\r\n0\r\n\r\n" + next, false, 400},
		"a body that is cut off":       {open + "Content-Length: 500\r\n\r\n" + body, true, 400},
		"more than 16 KiB in chunks":   {chunked + "\r\n4001\r\n" + strings.Repeat(" ", 0x4001) + "\r\n0\r\n\r\n", true, 413},
		"a length beside the encoding": {chunked + "Content-Length: 3\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + next, false, 400},
	} {
		t.Run(name, func(t *testing.T) {
			answers := raw(t, c.Server, x.request, x.ends)
			if len(answers) != 1 {
				for _, a := range answers {
					t.Logf("%d %s", a.status, a.body)
				}
				t.Fatalf("%d answers", len(answers))
			}
			answers[0].refused(t, x.status, "10300")
		})
	}
	t.Run("good chunks are taken", func(t *testing.T) {
		answers := raw(t, c.Server, chunked+fmt.Sprintf("Connection: close\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body), false)
		if len(answers) != 1 {
			t.Fatalf("%d answers", len(answers))
		}
		answers[0].refused(t, 401, "10020")
	})
	t.Run("a session's headers sent twice are refused", func(t *testing.T) {
		for _, name := range []string{"Sid", "Auth"} {
			twice := strings.Repeat(name+": a\r\n", 2)
			answers := raw(t, c.Server, open+twice+fmt.Sprintf("Connection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body), false)
			if len(answers) != 1 {
				t.Fatalf("%d answers", len(answers))
			}
			if message := answers[0].refused(t, 400, "10300"); !strings.HasPrefix(message, name+":") {
				t.Errorf("%s is not named: %s", name, message)
			}
		}
	})
}

func TestAPanicIsAnsweredLikeAnyOtherFault(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	// A service that is not there: every call into it panics.
	web := httptest.NewServer(httpapi.New(nil, httpapi.Config{Log: slog.New(slog.NewTextHandler(&log, nil))}))
	c := caller{&neoapitest.Server{URL: web.URL}, "Bearer x"}
	c.post(t, validatePath, "{}").refused(t, 500, "500")
	c.send(t, http.MethodGet, tradePath, "").refusedTrade(t, 500, "500")
	var f wire.OAuthFailed
	granted := c.post(t, tokenPath, `{"grant_type":"client_credentials","client_id":"a","client_secret":"b"}`, "Authorization", "").want(t, 500)
	granted.into(t, &f)
	if f.Error != "server_error" {
		t.Errorf("error %q", f.Error)
	}
	c.send(t, http.MethodGet, "/nowhere", "").refused(t, 404, "10300") // the process stands
	web.Close()
	if n := strings.Count(log.String(), "panic: "); n != 3 {
		t.Errorf("%d causes in the log, want each of 3 once:\n%s", n, log.String())
	}
}
