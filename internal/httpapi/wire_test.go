package httpapi_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"neoapi/internal/httpapi"
	"neoapi/internal/serve"
	"neoapi/neoapitest"
)

// A framing is a request, or what looks like one, in raw bytes. After it comes
// another request, which is answered with 404 only if all agree on where the
// first one ends.
type framing struct {
	name    string
	text    string
	answers []int // their statuses; then the connection closes
}

// one, both: the request is the last on its connection, or not.
func one(status int) []int  { return []int{status} }
func both(status int) []int { return []int{status, 404} }

func framings(c caller) []framing {
	get := "GET /nowhere HTTP/1.1\r\nHost: x\r\n"
	post := "POST " + validatePath + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	auth := "Authorization: " + c.who + "\r\n"
	body := object("mobileNumber", c.Account.Mobile, "password", "wrong-password")
	n := strconv.Itoa(len(body))
	length := "Content-Length: " + n + "\r\n"
	posted := func(headers string) string { return post + auth + headers + "\r\n" + body }
	const encoding = "Transfer-Encoding: chunked\r\n"
	size := strconv.FormatInt(int64(len(body)), 16)
	chunks := size + "\r\n" + body + "\r\n0\r\n\r\n"
	chunked := func(chunks string) string { return post + auth + encoding + "\r\n" + chunks }
	return []framing{
		// What is well framed leaves the connection open.
		{"a length", posted(length), both(401)},
		{"two equal lengths", posted(length + length), both(401)},
		{"a length with zeros before it", posted("Content-Length: 000" + n + "\r\n"), both(401)},
		{"a body that looks like heads", get + "Content-Length: 30\r\n\r\nGET / HTTP/1.1\r\nSid: a\r\n b\r\n\r\n", both(404)},
		{"an empty line after the body", posted(length) + "\r\n", both(401)},
		{"a client that waits for 100", posted(length + "Expect: 100-continue\r\n"), both(401)},
		{"an address with a host", "GET http://other.example/nowhere HTTP/1.1\r\nHost: x\r\n\r\n", both(404)},
		{"an upgrade to WebSocket", get + "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n", both(404)},
		{"an upgrade to HTTP/2", get + "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n", both(404)},
		{"three requests at once", get + "\r\n" + get + "\r\n", []int{404, 404, 404}},

		// One answer: the next request could be anything.
		{"chunks", chunked(chunks), one(401)},
		{"chunks, spelled large", post + auth + "TRANSFER-ENCODING: CHUNKED\r\n\r\n" + chunks, one(401)},
		{"a length after the encoding", post + auth + encoding + length + "\r\n" + chunks, one(401)},
		{"a length before the encoding", post + auth + length + encoding + "\r\n" + chunks, one(401)},
		{"a short length beside the encoding", post + auth + encoding + "Content-Length: 3\r\n\r\n2\r\n{}\r\n0\r\n\r\n", one(400)},
		{"chunks with an extension", chunked(strings.Replace(chunks, "\r\n", ";a=b\r\n", 1)), one(401)},
		{"chunks with a trailer", chunked(strings.TrimSuffix(chunks, "\r\n") + "Sid: a\r\n\r\n"), one(401)},
		{"HTTP 1.0 with an encoding", strings.Replace(post+auth+length+encoding, "HTTP/1.1", "HTTP/1.0", 1) + "Connection: keep-alive\r\n\r\n" + body, one(401)},
		{"HTTP 1.0", "GET /nowhere HTTP/1.0\r\n\r\n", one(404)},

		// Lines that others may read differently.
		{"a folded header", posted(length + "Sid: a\r\n b\r\n"), one(400)},
		{"a header folded by a tab", posted(length + "Sid: a\r\n\tb\r\n"), one(400)},
		{"a header folded into nothing", posted(length + "Sid: a\r\n \r\n"), one(400)},
		{"a folded access token", post + "Authorization:\r\n " + c.who + "\r\n" + length + "\r\n" + body, one(400)},
		{"a folded length", posted("Content-Length:\r\n " + n + "\r\n"), one(400)},
		{"a folded encoding", post + auth + "Transfer-Encoding:\r\n chunked\r\n\r\n" + chunks, one(400)},
		{"a folded first header", "GET /nowhere HTTP/1.1\r\n Host: x\r\n\r\n", one(400)},
		{"a folded header in the second request", posted(length) + get + "Sid: a\r\n b\r\n\r\n", []int{401, 400}},
		{"a folded header after a body like a head", get + "Content-Length: 4\r\n\r\n\r\n\r\n" + get + "Sid: a\r\n b\r\n\r\n", []int{404, 400}},
		{"lines without CR", strings.ReplaceAll(post+auth+length, "\r\n", "\n") + "\n" + body, one(400)},
		{"one line without CR", posted(length + "Sid: a\n"), one(400)},
		{"a head that ends without CR", post + auth + length + "\n" + body, one(400)},
		{"a line with CR alone", posted(length + "Sid: a\rRid: b\r\n"), one(400)},
		{"a line with CR twice", posted(length + "Sid: a\r\r\n"), one(400)},
		{"a line before the request", "\r\n" + get + "\r\n", one(400)},
		{"a space before the request", " " + get + "\r\n", one(400)},

		// Lengths.
		{"two lengths", posted(length + "Content-Length: 1\r\n"), one(400)},
		{"two lengths in a line", posted("Content-Length: " + n + ", " + n + "\r\n"), one(400)},
		{"two lengths with a space", posted("Content-Length: " + n + " " + n + "\r\n"), one(400)},
		{"a length that is no number", posted("Content-Length: x\r\n"), one(400)},
		{"a length that is nothing", posted("Content-Length: \r\n"), one(400)},
		{"a negative length", posted("Content-Length: -1\r\n"), one(400)},
		{"a length with a sign", posted("Content-Length: +" + n + "\r\n"), one(400)},
		{"a length in hexadecimal", posted("Content-Length: 0x" + size + "\r\n"), one(400)},
		{"a length beyond all numbers", posted("Content-Length: 99999999999999999999\r\n"), one(400)},
		{"a space before the colon", posted("Content-Length : " + n + "\r\n"), one(400)},

		// Encodings and chunks.
		{"another encoding", post + auth + "Transfer-Encoding: gzip\r\n\r\n" + chunks, one(501)},
		{"two encodings", post + auth + "Transfer-Encoding: gzip, chunked\r\n\r\n" + chunks, one(501)},
		{"the encoding twice", post + auth + encoding + encoding + "\r\n" + chunks, one(501)},
		{"no encoding", post + auth + "Transfer-Encoding: identity\r\n" + length + "\r\n" + body, one(501)},
		{"an encoding in quotes", post + auth + "Transfer-Encoding: \"chunked\"\r\n\r\n" + chunks, one(501)},
		{"an encoding after a control character", post + auth + "Transfer-Encoding: \x0bchunked\r\n\r\n" + chunks, one(400)},
		{"a tab before the encoding's colon", post + auth + "Transfer-Encoding\t: chunked\r\n\r\n" + chunks, one(400)},
		{"a chunk size that is none", chunked("zz\r\n" + body + "\r\n0\r\n\r\n"), one(400)},
		{"a chunk size that is nothing", chunked("\r\n" + body + "\r\n0\r\n\r\n"), one(400)},
		{"a chunk size with a sign", chunked("-1\r\n" + body + "\r\n0\r\n\r\n"), one(400)},
		{"a chunk size with 0x", chunked("0x" + chunks), one(400)},
		{"a chunk size beyond all numbers", chunked("fffffffffffffffff\r\n" + body + "\r\n0\r\n\r\n"), one(400)},
		{"a chunk that is too long", chunked("2\r\n{}{}\r\n0\r\n\r\n"), one(400)},
		{"a chunk size without CR", chunked(strings.Replace(chunks, "\r\n", "\n", 1)), one(400)},
		{"a chunk that ends without CR", chunked(size + "\r\n" + body + "\n0\r\n\r\n"), one(400)},
		{"an extension with LF", chunked(strings.Replace(chunks, "\r\n", ";a\nb\r\n", 1)), one(400)},
		{"an extension of 5,000 bytes", chunked(strings.Replace(chunks, "\r\n", ";"+strings.Repeat("a", 5_000)+"\r\n", 1)), one(400)},
		{"a trailer of 5,000 bytes", chunked(strings.TrimSuffix(chunks, "\r\n") + "Sid: " + strings.Repeat("a", 5_000) + "\r\n\r\n"), one(400)},
		{"more than 16 KiB in chunks", chunked("4001\r\n" + strings.Repeat(" ", 0x4001) + "\r\n0\r\n\r\n"), one(413)},

		// Headers.
		{"NUL in a value", get + "Sid: a\x00b\r\n\r\n", one(400)},
		{"a bell in a value", get + "Sid: a\x07b\r\n\r\n", one(400)},
		{"DEL in a value", get + "Sid: a\x7fb\r\n\r\n", one(400)},
		{"NUL in a name", get + "Si\x00d: a\r\n\r\n", one(400)},
		{"another letter in a name", get + "S\u00efd: a\r\n\r\n", one(400)},
		{"a name with a space", get + "Si d: a\r\n\r\n", one(400)},
		{"no name", get + ": a\r\n\r\n", one(400)},
		{"no colon", get + "Sid\r\n\r\n", one(400)},
		{"a header too large", get + "Sid: " + strings.Repeat("a", 40<<10) + "\r\n\r\n", one(431)},
		{"a header of 17 KiB", get + "Sid: " + strings.Repeat("a", 17<<10) + "\r\n\r\n", both(431)},
		{"an address of 17 KiB", "GET /" + strings.Repeat("a", 17<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", both(431)},
		{"a header of 15 KiB", get + "Sid: " + strings.Repeat("a", 15<<10) + "\r\n\r\n", both(404)},
		{"257 headers", get + strings.Repeat("A: b\r\n", 257) + "\r\n", both(431)},
		{"five thousand short headers", get + strings.Repeat("A:\r\n", 5000) + "\r\n", one(431)},
		{"too many headers", get + strings.Repeat("Sid: aaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", 2000) + "\r\n", one(431)},
		{"no Host", "GET / HTTP/1.1\r\n\r\n", one(400)},
		{"two Hosts", get + "Host: y\r\n\r\n", one(400)},
		{"a malformed Host", "GET / HTTP/1.1\r\nHost: x y\r\n\r\n", one(400)},
		{"an Expect that nobody knows", posted(length + "Expect: wonders\r\n"), one(417)},

		// Request lines.
		{"an address too long", "GET /" + strings.Repeat("a", 40<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", one(431)},
		{"a request line that is none", "hello\r\n\r\n", one(400)},
		{"HTTP 0.9", "GET /nowhere\r\n", one(400)},
		{"HTTP 3 in plain text", "GET / HTTP/3.0\r\nHost: x\r\n\r\n", one(505)},
		{"HTTP 2 in plain text", "GET / HTTP/2.0\r\nHost: x\r\n\r\n", one(505)},
		{"a version that is none", "GET / HTTP/x\r\nHost: x\r\n\r\n", one(400)},
		{"a version of four digits", "GET / HTTP/1.10\r\nHost: x\r\n\r\n", one(400)},
		{"a version in small letters", "GET / http/1.1\r\nHost: x\r\n\r\n", one(400)},
		{"a method that is none", "G(T / HTTP/1.1\r\nHost: x\r\n\r\n", one(400)},
		{"two spaces", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", one(400)},
		{"tabs", "GET\t/\tHTTP/1.1\r\nHost: x\r\n\r\n", one(400)},
		{"a space in the address", "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", one(400)},
		{"NUL in the address", "GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n", one(400)},
		{"a bad escape in the address", "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", one(400)},
		{"a path without its slash", "GET api/1.0/logout HTTP/1.1\r\nHost: x\r\n\r\n", one(400)},
		{"two slashes", "GET //api/1.0/logout HTTP/1.1\r\nHost: x\r\n\r\n", both(404)},
		{"a way up", "GET /api/../api/1.0/logout HTTP/1.1\r\nHost: x\r\n\r\n", both(404)},
		{"a way up and out", "GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", both(404)},
		{"a question about the server", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", both(404)},
		{"a tunnel asked for", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", both(404)},
	}
}

func TestHTTP_onlyWhatIsWellFramedIsFollowedByAnotherAnswer(t *testing.T) { // security.md H2 and H5
	t.Parallel()
	for name, change := range map[string]func(*serve.Config){
		"plain": nil,
		"TLS":   func(cfg *serve.Config) { withTLS(t, cfg) },
	} {
		srv, _ := serving(t, change)
		c := consumer(t, srv)
		for _, x := range framings(c) {
			t.Run(name+", "+x.name, func(t *testing.T) {
				t.Parallel()
				var statuses []int
				for _, answer := range raw(t, srv, x.text+"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", false) {
					statuses = append(statuses, answer.status)
					code := "10300"
					if answer.status == 401 {
						code = "10020"
					}
					answer.refused(t, answer.status, code)
				}
				if !slices.Equal(statuses, x.answers) {
					t.Errorf("answers %v, want %v", statuses, x.answers)
				}
			})
		}
	}
}

func TestHeaders_foldedAreRefusedAtEveryAddress(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	for _, route := range allRoutes {
		for _, header := range []string{"Sid: a\r\n b\r\n", "Sid: a\n"} {
			answers := raw(t, srv, route.Method+" "+route.Path+" HTTP/1.1\r\nHost: x\r\n"+header+"\r\n", false)
			if len(answers) != 1 {
				t.Fatalf("%s: %d answers", route.Path, len(answers))
			}
			answers[0].refused(t, 400, "10300")
		}
	}
}

func TestHTTP_anythingElseIsAnsweredOnceAndInJSON(t *testing.T) {
	t.Parallel()
	plain, _ := serving(t, nil)
	secure, _ := serving(t, func(cfg *serve.Config) { withTLS(t, cfg) })
	unwrapped := &neoapitest.Server{URL: strings.Replace(secure.URL, "https:", "http:", 1)}
	for name, x := range map[string]struct {
		srv    *neoapitest.Server
		text   string
		status int
	}{
		"TLS spoken to a plain port":  {plain, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400},
		"HTTP 2 without being asked":  {plain, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 404},
		"HTTP spoken to a TLS port":   {unwrapped, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"a login sent to a TLS port":  {unwrapped, "POST " + validatePath + " HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 400},
		"a body that is cut off":      {plain, "POST " + validatePath + " HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{}", 400},
		"chunks that are cut off":     {plain, "POST " + validatePath + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", 400},
		"a body cut off, through TLS": {secure, "POST " + validatePath + " HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{}", 400},
	} {
		t.Run(name, func(t *testing.T) {
			answers := raw(t, x.srv, x.text, true)
			if len(answers) != 1 {
				t.Fatalf("%d answers: %+v", len(answers), answers)
			}
			answers[0].refused(t, x.status, "10300")
		})
	}
}

func TestHeaders_ofASessionSentTwiceAreRefused(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t))
	body := object("mobileNumber", c.Account.Mobile, "password", "wrong-password")
	for _, name := range []string{"Sid", "Auth"} {
		answers := raw(t, c.Server, written("POST", validatePath, body, "Authorization", c.who, name, "a", name, "a", "Connection", "close"), false)
		if len(answers) != 1 {
			t.Fatalf("%d answers", len(answers))
		}
		if message := answers[0].refused(t, 400, "10300"); !strings.HasPrefix(message, name+":") {
			t.Errorf("%s is not named: %s", name, message)
		}
	}
}

func TestPanic_isAnsweredLikeAnyOtherFault(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	// A service that is not there: every call into it panics.
	web := httptest.NewServer(httpapi.New(nil, httpapi.Config{Log: slog.New(slog.NewTextHandler(&log, nil))}))
	c := caller{&neoapitest.Server{URL: web.URL}, "Bearer x"}
	c.post(t, validatePath, "{}").refused(t, 500, "500")
	c.send(t, http.MethodGet, tradePath, "").refusedTrade(t, 500, "500")
	c.post(t, tokenPath, `{"grant_type":"client_credentials","client_id":"a","client_secret":"b"}`, "Authorization", "").refusedOAuth(t, 500, "server_error")
	c.send(t, http.MethodGet, "/nowhere", "").refused(t, 404, "10300") // the process stands
	web.Close()
	if n := strings.Count(log.String(), "panic: "); n != 3 {
		t.Errorf("%d causes in the log, want each of 3 once:\n%s", n, log.String())
	}
}
