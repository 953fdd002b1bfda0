package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/operator"
	"neoapi/internal/sandbox"
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
func TestRandomRequests_getNothingButWhatIsDescribed(t *testing.T) {
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
			if err := f.operator.Unlock(f.t.Context(), a.Account); err != nil && !errors.Is(err, operator.ErrNothing) {
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
