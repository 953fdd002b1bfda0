package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"neoapi/internal/apitest"
	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/operator"
	"neoapi/internal/sandbox"
	"neoapi/internal/tradewire"
	"neoapi/internal/wire"
	"neoapi/neoapitest"
)

var (
	requests = flag.Int("httpapi.requests", 3000, "how many random requests are sent")
	seed     = flag.Uint64("httpapi.seed", 0, "what random requests are drawn from; 0 draws that too")
)

// security.md H7. The requests are the steps of the protocol's clients, in any order,
// most of them with something made wrong: a header twice, half a token, a list
// for a text, bytes that flipped. They go over real connections, because
// net/http has a say in what is answered.
func TestRandomRequestsGetNothingButWhatIsDescribed(t *testing.T) {
	t.Parallel()
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("-httpapi.seed=%d", *seed)
	t.Run("sandbox", func(t *testing.T) {
		statuses := fuzz(t, *requests*9/10, []string{"502", "504"})
		for _, must := range []int{200, 201, 400, 401, 403, 404, 405, 415, 429} { // who reaches nothing finds nothing
			if *requests >= 3000 && statuses[must] == 0 {
				t.Errorf("no request got %d", must)
			}
		}
	})
	t.Run("serve", func(t *testing.T) {
		fuzz(t, *requests/10, []string{"502", "504", "503", "10522"}, neoapitest.WithoutSandbox())
	})
}

// fuzz sends n random requests to a new service and returns how often each
// status came. faults are the codes of the 5xx that the service is known to
// answer.
func fuzz(t *testing.T, n int, faults []string, options ...neoapitest.Option) map[int]int {
	const workers, each = 4, 8 // and accounts of its own for each worker
	dir := t.TempDir()
	srv := neoapitest.NewServer(t, append(options, neoapitest.WithData(dir), neoapitest.WithAccounts(workers*each),
		neoapitest.WithOMSTimeout(20*time.Millisecond), neoapitest.WithAddressRate(5), neoapitest.WithLog(watcher{slog.DiscardHandler, t}))...)
	op, data := admin(t, dir)
	// In the sandbox they are there.
	_, _, _ = op.AddConsumer(t.Context(), srv.ConsumerKey, "", credential.Secret(srv.ConsumerSecret), 0)
	hashed, err := op.Hash(operator.NewAccount{
		UCC: "X", UserID: "x", Mobile: "9999999907", Password: credential.Secret(srv.Account.Password),
		MPIN: credential.Secret(srv.Account.MPIN), TOTPSeed: credential.Secret(srv.Account.TOTPSeed),
	})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var left, ahead atomic.Int64
	left.Store(int64(n))
	fuzzers := make([]*fuzzer, workers)
	start := time.Now()
	for w := range fuzzers {
		f := &fuzzer{
			t: t, srv: srv, operator: op, r: rand.New(rand.NewPCG(*seed, uint64(w))), faults: faults,
			ahead: &ahead, codes: map[string]string{}, open: map[string]string{}, statuses: map[int]int{}, met: map[string]int{},
		}
		for i := range each {
			ucc, user, mobile, pan := sandbox.DemoAccount(w*each + i + 1)
			_, _ = op.AddHashed(t.Context(), hashed.As("", ucc, user, mobile, credential.Secret(pan)))
			a, err := data.Store.Account(t.Context(), login.Identifier{Kind: login.ByUCC, Value: credential.Secret(ucc)})
			if err != nil {
				t.Fatal(err)
			}
			f.accounts = append(f.accounts, fuzzed{a, pan})
		}
		fuzzers[w] = f
		all.Go(func() {
			for i := 1; left.Add(-1) >= 0 && !t.Failed(); i++ {
				f.next(i)
			}
			f.hangUp()
		})
	}
	all.Wait()
	statuses, met, slowest := map[int]int{}, map[string]int{}, fuzzers[0]
	for _, f := range fuzzers {
		for status, n := range f.statuses {
			statuses[status] += n
		}
		for code, n := range f.met {
			met[code] += n
		}
		if f.longest > slowest.longest {
			slowest = f
		}
	}
	t.Logf("%d requests in %s: %v, %v; the slowest took %s: %.120q", n, time.Since(start).Round(time.Millisecond), statuses, met, slowest.longest, slowest.slow)
	return statuses
}

// A watcher looks for panics in what the service logs, and shows why an answer was a 5xx.
type watcher struct {
	slog.Handler
	t *testing.T
}

func (w watcher) Enabled(context.Context, slog.Level) bool { return true }

func (w watcher) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if strings.Contains(a.Value.String(), "panic") {
			w.t.Errorf("%s: %s", r.Message, a.Value)
		} else if a.Key == "cause" && r.Level >= slog.LevelError {
			w.t.Logf("%s: %s", r.Message, a.Value)
		}
		return true
	})
	return nil
}

// A fuzzer is one worker. It keeps what it was given, so that its requests get
// further than the door.
type fuzzer struct {
	t        *testing.T
	srv      *neoapitest.Server
	operator *operator.Admin
	r        *rand.Rand
	faults   []string
	ahead    *atomic.Int64 // of the service's clock
	accounts []fuzzed

	access        []string
	views, trades []fuzzedSession
	codes         map[string]string // by UCC
	open          map[string]string // tokens of the trade sessions that have not ended, by sid
	last          ask

	conn net.Conn
	in   *bufio.Reader

	statuses map[int]int
	met      map[string]int // codes
	longest  time.Duration
	slow     string
}

// fuzzed is an account and what the store does not tell of it.
type fuzzed struct {
	login.Account
	pan string
}

type fuzzedSession struct{ sid, token, sub, ucc string }

// An ask is a request before it is bytes. fields are the body's names and JSON
// values; body is sent if there are none.
type ask struct {
	method, target string
	header         [][2]string
	fields         [][2]string
	body           string
	chunked        bool
}

// next sends one more request, or does what else happens to a service.
func (f *fuzzer) next(i int) {
	switch {
	case i%3000 == 0: // locks end
		for _, a := range f.accounts {
			if err := f.operator.Unlock(f.t.Context(), a.Account); err != nil {
				f.t.Error(err)
			}
		}
	case i%400 == 0: // and used steps
		f.srv.Advance(time.Minute)
		f.ahead.Add(int64(time.Minute))
	case i%150 == 0:
		pick(f, []func(){f.srv.BreakOMS, f.srv.HangOMS})()
	case i%150 == 15:
		f.srv.MendOMS()
	}
	a := f.step()
	if f.r.IntN(20) == 0 {
		a = f.last // again, or as another consumer's, or with another code …
	}
	f.last = a
	a.header, a.fields = slices.Clone(a.header), slices.Clone(a.fields)
	if f.r.IntN(4) > 0 {
		for range 1 + f.r.IntN(3) {
			f.spoil(&a)
		}
	}
	text := f.render(a)
	if f.r.IntN(30) == 0 {
		f.rawly(f.flip(text))
		return
	}
	f.send(a, text)
}

func pick[T any](f *fuzzer, from []T) T { return from[f.r.IntN(len(from))] }

// newest is mostly the newest of what is known, and the zero value if nothing is.
func newest[T any](f *fuzzer, known []T) (t T) {
	if len(known) == 0 {
		return t
	}
	if f.r.IntN(4) > 0 {
		return known[len(known)-1]
	}
	return pick(f, known)
}

// keep appends to what is known and forgets the oldest.
func keep[T any](known []T, t T) []T {
	if len(known) >= 6 {
		known = known[1:]
	}
	return append(known, t)
}

func (f *fuzzer) path(op wire.Op) string {
	var all []string
	for _, r := range allRoutes {
		if r.Op == op {
			all = append(all, r.Path)
		}
	}
	return pick(f, all)
}

// post is a request of a recognised consumer.
func (f *fuzzer) post(op wire.Op, fields ...[2]string) ask {
	who := "Bearer " + newest(f, f.access)
	if (op == wire.OpTOTPLogin || op == wire.OpTOTPValidate) && f.r.IntN(2) == 0 {
		who = f.srv.ConsumerKey
	}
	return ask{
		method: http.MethodPost, target: f.path(op), fields: fields,
		header: [][2]string{{"Authorization", who}, {"Content-Type", "application/json"}},
	}
}

func (a ask) with(s fuzzedSession) ask {
	a.header = append(a.header, [2]string{"sid", s.sid}, [2]string{"Auth", s.token})
	return a
}

func text(name, value string) [2]string {
	b, _ := json.Marshal(value)
	return [2]string{name, string(b)}
}

// step is a request as a client would send it at some point of a login. What has
// to be hashed is rare: a million hashes would take a night.
func (f *fuzzer) step() ask {
	a := pick(f, f.accounts)
	view, trade := newest(f, f.views), newest(f, f.trades)
	names := [][2]string{text("mobileNumber", a.Mobile), text("mobileNumber", a.Mobile[3:]), text("pan", a.pan), text("userid", a.UserID), text("userId", a.UserID)}
	switch n := f.r.IntN(200); {
	case n < 10 || len(f.access) == 0:
		x := ask{method: http.MethodPost, target: tokenPath, header: [][2]string{{"Authorization", bySecret(f.srv).who}, {"Content-Type", "application/json"}}}
		switch f.r.IntN(3) {
		case 0:
			x.fields = [][2]string{text("grant_type", "client_credentials")}
		case 1:
			x.header[1][1], x.body = "application/x-www-form-urlencoded", "grant_type=client_credentials"
		default:
			x.header = x.header[1:]
			x.fields = [][2]string{text("grant_type", "password"), text("client_id", f.srv.ConsumerKey), text("client_secret", f.srv.ConsumerSecret)}
		}
		return x
	case n < 13:
		return f.post(wire.OpValidate, pick(f, names), pick(f, [][2]string{text("password", f.srv.Account.Password), text("mpin", f.srv.Account.MPIN)}))
	case n < 35:
		return f.post(wire.OpTOTPLogin, names[0], text("ucc", a.UCC), text("totp", f.totp()))
	case n < 50:
		x := f.post(wire.OpOTP, text("userId", view.sub), [2]string{"sendEmail", "true"}, [2]string{"isWhitelisted", "true"})
		if f.r.IntN(3) > 0 {
			x.header = append(x.header, [2]string{"sid", view.sid})
		}
		return x
	case n < 70:
		return ask{method: http.MethodGet, target: otpPathOf(view.ucc) + pick(f, []string{"", "?wait=0.001s", "?wait=0s"})}
	case n < 78:
		code := f.codes[view.ucc]
		if code == "" && f.r.IntN(3) > 0 {
			return f.post(wire.OpOTP, text("userId", view.sub), [2]string{"sendEmail", "true"})
		}
		x := f.post(wire.OpValidate, pick(f, [][2]string{text("userId", view.sub), names[0], names[2]}), text(pick(f, []string{"otp", "mpin"}), code)).with(view)
		x.header = append(x.header, pick(f, [][2]string{{"X-Request-ID", "a"}, {"Idempotency-Key", "a"}, {"Rid", view.sid}}))
		return x
	case n < 81:
		return f.post(wire.OpTOTPValidate, text("mpin", f.srv.Account.MPIN)).with(view)
	case n < 100:
		x := f.post(wire.OpLogout).with(trade)
		if f.r.IntN(4) > 0 { // or there would be no session left
			x = f.post(wire.OpLogout).with(pick(f, []fuzzedSession{view, {trade.sid, view.token, "", ""}}))
		}
		return x
	case n < 160:
		r := pick(f, allRoutes)
		for !afterLogin(r.Op) && r.Op != wire.OpClientIP {
			r = pick(f, allRoutes)
		}
		other := newest(f, f.trades)
		if len(f.trades) > 0 {
			other = pick(f, f.trades)
		}
		x := f.post(r.Op).with(pick(f, []fuzzedSession{trade, trade, trade, other, {sid: trade.sid, token: other.token}, {sid: view.sid, token: trade.token}}))
		x.method, x.target = r.Method, r.Path+pick(f, []string{"", "?sId=server1"})
		if f.r.IntN(2) == 0 {
			x.header = x.header[1:] // as generation 3
		}
		return x
	case n < 164:
		return ask{method: http.MethodGet, target: f.path(pick(f, []wire.Op{wire.OpBaseURL, wire.OpConfig})) + "?id=" + a.UCC}
	case n < 180:
		return f.standard(pick(f, wire.Standards), pick(f, []string{view.token, trade.token, trade.token, newest(f, f.access)}))
	}
	r := pick(f, allRoutes)
	x := f.post(r.Op, pick(f, names))
	x.method, x.target = r.Method, r.Path
	return pick(f, []ask{x, x.with(trade), x.with(view)})
}

// standard is a request about a token.
func (f *fuzzer) standard(r wire.Route, token string) ask {
	x := ask{method: r.Method, target: r.Path, header: [][2]string{{"Authorization", bySecret(f.srv).who}}}
	if r.Op == wire.OpRevocation && f.r.IntN(3) > 0 { // or there would be no session left
		token += "A"
	}
	if x.method == http.MethodGet {
		x.target += pick(f, []string{"", "?after=0", "?after=1", "?after=-1", "?after=x", "?after=9223372036854775808"})
		return x
	}
	form := url.Values{"token": {token}}
	switch f.r.IntN(3) {
	case 0:
		form.Set("token_type_hint", "access_token")
	case 1:
		x.header, form["client_id"], form["client_secret"] = nil, []string{f.srv.ConsumerKey}, []string{f.srv.ConsumerSecret}
	}
	x.header = append(x.header, [2]string{"Content-Type", "application/x-www-form-urlencoded"})
	x.body = form.Encode()
	return x
}

func otpPathOf(ucc string) string { return "/sandbox/otp/" + url.PathEscape(ucc) }

func (f *fuzzer) totp() string {
	now := time.Now().Add(time.Duration(f.ahead.Load()))
	seed, err := credential.ParseTOTPSeed(f.srv.Account.TOTPSeed)
	if err != nil {
		f.t.Fatal(err)
	}
	code, err := credential.TOTPCode(seed, credential.TOTPStep(now)+int64(f.r.IntN(2)))
	if err != nil {
		f.t.Fatal(err)
	}
	return string(code)
}

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

// dial opens a connection, from any of this machine's own addresses: they are
// many clients.
func (f *fuzzer) dial() net.Conn {
	from := &net.TCPAddr{IP: net.IPv4(127, byte(f.r.IntN(256)), byte(f.r.IntN(256)), byte(1+f.r.IntN(254)))}
	to := strings.TrimPrefix(f.srv.URL, "http://")
	conn, err := (&net.Dialer{LocalAddr: from}).Dial("tcp", to)
	if err != nil { // not every system has more than one
		conn, err = net.Dial("tcp", to)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return conn
}

func (f *fuzzer) hangUp() {
	if f.conn != nil {
		_ = f.conn.Close()
		f.conn = nil
	}
}

// unavailable are the codes of a 503: the protocol's, and that of RFC 6749.
var unavailable = []string{"503", "temporarily_unavailable"}

// send sends a request over the connection that is open and judges its answer.
func (f *fuzzer) send(a ask, text string) {
	start := time.Now()
	fresh := f.conn == nil
	if fresh {
		f.conn = f.dial()
		f.in = bufio.NewReader(f.conn)
	}
	_ = f.conn.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = io.WriteString(f.conn, text) // who refuses a request need not read it all
	asked := exchanges(text)
	resp, body, err := answerOf(f.in, asked[0].Method)
	if err != nil {
		f.hangUp()
		if !fresh { // the service may end a connection between two requests
			f.send(a, text)
			return
		}
		f.t.Errorf("%v: no answer to\n%.3000q", err, text)
		return
	}
	took := time.Since(start)
	if took > f.longest {
		f.longest, f.slow = took, text
	}
	if resp.Close {
		f.hangUp()
	}
	faults := f.faults
	if took > 1500*time.Millisecond { // a machine this busy: the stores had their time (R1)
		faults = append(slices.Clone(faults), unavailable...)
	}
	f.judge(asked[0], resp, body, text, faults)
	f.learn(asked[0], resp, body)
}

// exchanges are the requests that can be read of some bytes, and then one that
// cannot.
func exchanges(text string) (all []apitest.Exchange) {
	for in := bufio.NewReader(strings.NewReader(text)); ; {
		r, err := http.ReadRequest(in)
		if err != nil {
			return append(all, apitest.Exchange{})
		}
		x := apitest.Exchange{Method: r.Method, Path: r.URL.Path, Asked: r.Header}
		x.Sent, err = io.ReadAll(r.Body)
		all = append(all, x)
		if err != nil {
			return append(all, apitest.Exchange{})
		}
	}
}

func answerOf(in *bufio.Reader, method string) (*http.Response, []byte, error) {
	for {
		resp, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return nil, nil, err
		}
		if resp.StatusCode/100 == 1 {
			continue
		}
		body, err := io.ReadAll(resp.Body)
		return resp, body, err
	}
}

// rawly sends bytes over a connection of their own and judges all answers.
func (f *fuzzer) rawly(text string) {
	conn := f.dial()
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = io.WriteString(conn, text)
	_ = conn.(*net.TCPConn).CloseWrite()
	in := bufio.NewReader(conn)
	for _, x := range exchanges(text) {
		resp, body, err := answerOf(in, x.Method)
		if err != nil {
			if _, timeout := err.(net.Error); timeout && !strings.Contains(err.Error(), "reset") {
				f.t.Errorf("%v: no answer to\n%.3000q", err, text)
			}
			return
		}
		// Who ends its side of a connection is taken for gone: what waits for its turn
		// then gives up.
		f.judge(x, resp, body, text, append(slices.Clone(f.faults), unavailable...))
		if resp.Close {
			return
		}
	}
}

var codeForm = regexp.MustCompile(`"(?:code|error)":"([a-z_0-9]+)"`)

// judge holds an answer against the description. faults are the codes that it may
// have with a 5xx.
func (f *fuzzer) judge(x apitest.Exchange, resp *http.Response, body []byte, text string, faults []string) {
	x.Status, x.Header, x.Body = resp.StatusCode, resp.Header, body
	f.statuses[x.Status]++
	code := strconv.Itoa(x.Status) // an answer to HEAD has no other
	if m := codeForm.FindSubmatch(body); m != nil && x.Status >= 400 {
		code = string(m[1])
		f.met[code]++
	}
	err := x.Check()
	if err == nil && x.Status/100 == 2 && tradeOnly(x.Path) && (x.Asked.Get("Auth") == "" || f.open[x.Asked.Get("Sid")] != x.Asked.Get("Auth")) {
		err = fmt.Errorf("%d without a trade session: %s", x.Status, body)
	}
	// 505 is bad input; an answer to HEAD has no code that says so.
	if err == nil && x.Status >= 500 && x.Status != http.StatusHTTPVersionNotSupported && code != wire.BadInput.Code && !slices.Contains(faults, code) {
		err = fmt.Errorf("%d: %s", x.Status, body)
	}
	if err != nil {
		f.t.Errorf("this should not be: %v\nasked was\n%.3000q", err, text)
	}
}

// tradeOnly tells whether a path is there for trade sessions only.
func tradeOnly(path string) bool {
	return slices.ContainsFunc(allRoutes, func(r wire.Route) bool {
		return r.Path == path && (r.Op == wire.OpLogout || r.Op == wire.OpClientIP || afterLogin(r.Op))
	})
}

func afterLogin(op wire.Op) bool {
	return slices.Contains([]wire.Op{tradewire.OpPositions, tradewire.OpOrders, tradewire.OpTrades, tradewire.OpLimits, tradewire.OpHoldings}, op)
}

// learn keeps what an answer gave and forgets what it ended.
func (f *fuzzer) learn(x apitest.Exchange, resp *http.Response, body []byte) {
	if resp.StatusCode/100 != 2 {
		return
	}
	if bytes.Contains(body, []byte("logged out")) {
		delete(f.open, x.Asked.Get("Sid"))
		return
	}
	if ucc, ok := strings.CutPrefix(x.Path, "/sandbox/otp/"); ok && len(body) > 0 {
		f.codes[ucc] = string(body)
		return
	}
	var granted wire.AccessToken
	if json.Unmarshal(body, &granted) == nil && granted.AccessToken != "" {
		f.access = keep(f.access, granted.AccessToken)
		return
	}
	var opened wire.Success[wire.Session]
	if json.Unmarshal(body, &opened) != nil || opened.Data.Token == "" {
		return
	}
	s := fuzzedSession{sid: opened.Data.SID, token: opened.Data.Token, ucc: opened.Data.UCC}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(s.token, ".")[1])
	var claims struct{ Sub string }
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		f.t.Errorf("a token that is none: %s", body)
		return
	}
	s.sub = claims.Sub
	if bytes.Contains(payload, []byte(`"Trade"`)) {
		f.trades, f.open[s.sid] = keep(f.trades, s), s.token
	} else {
		f.views = keep(f.views, s)
	}
}
