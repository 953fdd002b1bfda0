package httpapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"neoapi/internal/wire"
)

var (
	oddMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PRI", "post", "BREW", "M-SEARCH", strings.Repeat("X", 300)}
	oddNames   = []string{
		"Authorization", "authorization", "Sid", "sID", "Auth", "Content-Type", "X-Request-Id", "Idempotency-Key", "Rid", "serverId", "neo-fin-key", "Accept",
		"Accept-Encoding", "Content-Encoding", "Cookie", "Connection", "Expect", "Host", "X-Forwarded-For", "Forwarded", "X-Http-Method-Override", "Origin",
		"Range", "If-None-Match", "Upgrade", "Te", "Trailer", "Referer", "X", "Sid ", "\xff", "a(b", "",
	}
	oddValues = []string{
		"", " ", "x", "Bearer", "Bearer ", "bearer  x", "Bearer\tx", "Basic", "Basic !", "Basic Og==", "Basic YTpi", "Digest x", "application/json", "application/json; charset=utf-16",
		"application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "*/*", "application/json; charset", "gzip", "close", "keep-alive", "100-continue", "h2c", "null",
		"0", "-1", "18446744073709551616", "a, b", `"`, "'", "' OR '1'='1", "../..", "%00", "\x00", "\x7f", "\xff\xfe", "\t", "é", "９９９９", "${jndi:ldap://127.0.0.1/a}", "<script>",
		"7e57acc0-0000-4000-8000-000000000000", "b3ebb6af-7205-43e9-8513-189472393cab", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA", "..", "a.b.c",
		strings.Repeat("a", 128), strings.Repeat("a", 129), strings.Repeat("a", 1025), strings.Repeat("9", 10_000), strings.Repeat("a", 40_000), strings.Repeat("é", 3000),
	}
	oddJSON = []string{
		"null", "true", "false", "0", "-0", "123456", "1e999", "1e-999999999", "[]", "{}", `[""]`, `{"$ne":""}`, `""`, `" "`, `"\u0000"`, `"\ud800"`, `"\ud83d\ude00"`, `"\/"`, "'x'", "NaN", "",
		"\xff", `"` + "\xff" + `"`, strings.Repeat("[", 5000) + strings.Repeat("]", 5000), strings.Repeat("[", 9000), `"` + strings.Repeat("\\u0061", 2000) + `"`,
	}
	oddFields = []string{"mobileNumber", "pan", "userid", "userId", "ucc", "password", "mpin", "otp", "totp", "grant_type", "client_id", "client_secret", "sendEmail", "isWhitelisted", "error", "", "\u00e9", `\u006fs`, "__proto__", strings.Repeat("n", 100)}
	oddPaths  = []string{"/", "//", "/..", "*", "/nowhere", "/sandbox", "/sandbox/otp/", "/sandbox/otp/TEST-1", "/sandbox/otp/%2e%2e", "/sandbox/otp/a/b", "/oauth2/token/", "/oauth2//token", "/OAUTH2/TOKEN", "/oauth2/token%00", "/%6fauth2/token", "/oauth2/token;x", "http://x/oauth2/token", "x", "/\xff", "/%ff", "/%", "/?", "/#"}
)

// value is something that may stand anywhere: from the list of odd ones, or a
// true one of another place.
func (f *fuzzer) value() string {
	view, trade, a := newest(f, f.views), newest(f, f.trades), pick(f, f.accounts)
	v := pick(f, []string{
		newest(f, f.access), "Bearer " + newest(f, f.access), view.sid, view.token, view.sub, trade.sid, trade.token, "Bearer " + trade.token, a.UCC, a.UserID, a.Mobile,
		a.pan, a.ID, f.codes[view.ucc], f.srv.ConsumerKey, f.srv.Account.MPIN, f.srv.Account.Password,
	})
	if f.r.IntN(2) == 0 {
		v = pick(f, oddValues)
	}
	if len(v) > 0 && f.r.IntN(3) == 0 {
		v = f.flip(v)
	}
	return strings.NewReplacer("\r", "", "\n", "").Replace(v) // or it would be two requests
}

// spoil makes one thing of a request wrong.
func (f *fuzzer) spoil(a *ask) {
	inJSON := func(v string) string { return pick(f, []string{text("", v)[1], text("", v)[1], pick(f, oddJSON)}) }
	switch n := f.r.IntN(16); {
	case n == 0:
		a.method = pick(f, oddMethods)
	case n == 1:
		a.target = pick(f, []string{pick(f, oddPaths), pick(f, allRoutes).Path, pick(f, wire.Standards).Path, a.target + "/", a.target + "?" + url.QueryEscape(f.value()), a.target + "%20", "/" + a.target, strings.ToUpper(a.target),
			strings.Replace(a.target, "o", "%6F", 1), otpPathOf(f.value()), a.target + strings.Repeat("a", f.r.IntN(20_000)), "http://x" + a.target})
	case n <= 4 && len(a.header) > 0: // another value
		a.header[f.r.IntN(len(a.header))][1] = f.value()
	case n == 5 && len(a.header) > 0: // dropped
		i := f.r.IntN(len(a.header))
		a.header = slices.Delete(a.header, i, i+1)
	case n == 6 && len(a.header) > 0: // twice
		a.header = append(a.header, pick(f, a.header))
	case n <= 9: // one more
		name := pick(f, oddNames)
		if f.r.IntN(3) > 0 {
			name = pick(f, oddNames[:11])
		}
		a.header = append(a.header, [2]string{name, f.value()})
	case n == 10:
		a.chunked = !a.chunked
	case n <= 13 && len(a.fields) > 0:
		i := f.r.IntN(len(a.fields))
		switch f.r.IntN(5) {
		case 0:
			a.fields = slices.Delete(a.fields, i, i+1)
		case 1:
			a.fields = append(a.fields, a.fields[i])
		case 2:
			a.fields = append(a.fields, [2]string{pick(f, oddFields), inJSON(f.value())})
		case 3:
			a.fields[i][0] = pick(f, oddFields)
		default:
			a.fields[i][1] = inJSON(f.value())
		}
	default:
		body := f.content(*a)
		a.fields, a.body = nil, pick(f, []string{
			f.flip(body), f.flip(body), body + body, body[:len(body)/2], "\ufeff" + body, body + " ", body + "\x00", pick(f, oddJSON), "[" + body + "]",
			body + strings.Repeat(" ", f.r.IntN(20_000)), strings.Repeat(body, 20), "grant_type=client_credentials&grant_type=x", "%zz=1&" + f.value() + "=" + f.value(),
		})
	}
}

// flip changes a few bytes.
func (f *fuzzer) flip(s string) string {
	b := []byte(s)
	for range 1 + f.r.IntN(3) {
		i := f.r.IntN(len(b) + 1)
		switch {
		case f.r.IntN(3) == 0:
			b = slices.Insert(b, i, pick(f, []byte("\x00\xff \t\r\n\"{}[]:,.%0aA=\\")))
		case i == len(b):
		case f.r.IntN(2) == 0:
			b = slices.Delete(b, i, min(len(b), i+1+f.r.IntN(4)))
		default:
			b[i] ^= 1 << f.r.IntN(8)
		}
	}
	return string(b)
}

// content is a request's body.
func (f *fuzzer) content(a ask) string {
	if a.fields == nil {
		return a.body
	}
	var parts []string
	for _, field := range a.fields {
		parts = append(parts, `"`+field[0]+`":`+field[1])
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func (f *fuzzer) render(a ask) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: neo.test\r\n", a.method, a.target)
	for _, h := range a.header {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	body := f.content(a)
	switch {
	case a.chunked && body != "":
		fmt.Fprintf(&b, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	case body != "" || a.method == http.MethodPost:
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	default:
		b.WriteString("\r\n")
	}
	return b.String()
}
