// Package neoapitest runs the real session service in a test, on a temporary store,
// with the sandbox's demo account.
//
// Start with [NewServer]:
//
//	srv := neoapitest.NewServer(t)
//	client, err := neoapi.New(neoapi.Config{
//		Environment:    neoapi.Environment(srv.URL),
//		ConsumerKey:    srv.ConsumerKey,
//		ConsumerSecret: srv.ConsumerSecret,
//	})
//	…
//	err = client.Login(ctx, neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password})
//	session, err := client.Session2FA(ctx, srv.OTP(t))
package neoapitest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/oms"
	"neoapi/internal/replay"
	"neoapi/internal/sandbox"
	"neoapi/internal/serve"
	"neoapi/internal/testserver"
)

// An Account has the identifiers and secrets of a demo account.
type Account struct {
	UCC, UserID, Mobile, PAN, GreetingName string
	Password, MPIN, TOTPSeed               string
}

// A Server is a running service. Its methods are safe for concurrent use.
type Server struct {
	URL            string // http://127.0.0.1:port
	ConsumerKey    string
	ConsumerSecret string
	Account        Account

	oms    faultyOMS
	faults sandbox.Faults
	data   *serve.Data
	server *serve.Server
	clock  sandbox.Clock

	moving          sync.Mutex // locked while the service follows its clock
	moved, followed chan struct{}
	ended           <-chan struct{}

	mu    sync.Mutex
	steps map[int64]bool // the TOTP steps whose codes TOTP has returned
}

// An Option changes how [NewServer] starts the service.
type Option func(*options)

type options struct {
	serve.Config
	dir    string
	at     time.Time
	market string
}

// WithConsumerRate limits each consumer to n requests a second; 0 means no limit. The
// default is 10, as in the sandbox and the live services. A login by password and OTP
// takes four requests. The client waits by itself, so that its requests are not
// refused; a test that should not wait lifts both limits, this one and
// neoapi.Config.Rate.
func WithConsumerRate(n int) Option { return func(o *options) { o.ConsumerRate = n } }

// WithAddressRate lets an address send n wrong first factors a minute before it
// must wait; the default is no limit, where neo serve has 30.
func WithAddressRate(n int) Option { return func(o *options) { o.AddressRate = n } }

// WithOTPDigits sets the length of one-time codes, 4 to 8; the default is 6.
func WithOTPDigits(n int) Option { return func(o *options) { o.OTPDigits = n } }

// WithTime starts the service with its clock at a time, at which its keys and demo
// data are created. See [Server.SetTime].
func WithTime(at time.Time) Option { return func(o *options) { o.at = at } }

// WithAccounts adds n demo accounts, UCC TEST000001 and mobile +919900000001 onwards,
// with the secrets of the demo account.
func WithAccounts(n int) Option { return func(o *options) { o.Accounts = n } }

// WithLog sends the service's log lines to h; the default discards them.
func WithLog(h slog.Handler) Option { return func(o *options) { o.Log = slog.New(h) } }

// WithData keeps the store in dir, so that a later server in the same test has the
// same sessions; the default is a temporary directory.
func WithData(dir string) Option { return func(o *options) { o.dir = dir } }

// WithPaperData keeps the exchange on paper in dir, so that a later server in the same
// test has the same orders; the default is memory. Two servers at once cannot have one.
func WithPaperData(dir string) Option { return func(o *options) { o.PaperData = dir } }

// WithMarket replays a recording of neo record, or of feed.Record, in the exchange on
// paper, from when the server starts: the instruments of the file have its prices.
// docs/recording.md says how orders fill then.
func WithMarket(file string) Option { return func(o *options) { o.market = file } }

// WithDayEnd makes trade sessions end at midnight IST; the default is one hour.
func WithDayEnd() Option { return func(o *options) { o.DayEnds = true } }

// WithCouriers sends codes through the couriers of a file, as neo serve does, instead
// of to the inbox.
func WithCouriers(file string) Option { return func(o *options) { o.Couriers = file } }

// WithOMS opens sessions at the OMS that a file describes, as neo serve does;
// BreakOMS and HangOMS then have no effect.
func WithOMS(file string) Option { return func(o *options) { o.OMSFile = file } }

// WithoutSandbox starts the service as neo serve does: without demo data, inbox and
// exchange on paper. No login is possible, and Account and ConsumerKey are of no use: it is
// for tests of refusals.
func WithoutSandbox() Option { return func(o *options) { o.Sandbox, o.Paper = false, false } }

// WithTradeAPI puts a trade API behind the service: calls of valid sessions are
// forwarded to url, with the header Neo-Identity in place of their credentials.
func WithTradeAPI(url string) Option { return func(o *options) { o.TradeAPI = url } }

// WithHashes limits concurrent password hashes to n; about 32 n more may wait. The
// default is one for each processor.
func WithHashes(n int) Option { return func(o *options) { o.Hashes = n } }

// WithOMSTimeout sets how long the service waits for the OMS; the default is 3 s.
func WithOMSTimeout(d time.Duration) Option { return func(o *options) { o.OMSTimeout = d } }

// NewServer starts the service on a port of this machine and stops it when the test
// ends. With the environment variable NEO_TEST_TIME=2063-02-28T18:29:58Z, or any time
// from 2000 to 2100 in this form, the service starts as if the test's process had begun
// then, unless [WithTime] is given. If the service cannot be started the test fails.
func NewServer(t testing.TB, opts ...Option) *Server {
	t.Helper()
	s := &Server{
		ConsumerKey: sandbox.DemoConsumerKey, ConsumerSecret: sandbox.DemoConsumerSecret,
		Account: Account{
			UCC: sandbox.DemoUCC, UserID: sandbox.DemoUserID, Mobile: sandbox.DemoMobile, PAN: sandbox.DemoPAN,
			GreetingName: sandbox.DemoGreetingName,
			Password:     sandbox.DemoPassword, MPIN: sandbox.DemoMPIN, TOTPSeed: sandbox.DemoTOTPSeed,
		},
	}
	homes, err := oms.NewHomes("server1")
	if err != nil {
		t.Fatal(err)
	}
	s.oms.OMS = homes
	o := options{Config: serve.Config{Sandbox: true, Paper: true, OMS: &s.oms, Log: slog.New(slog.DiscardHandler)}}
	o.ConsumerRate = testserver.Rate
	for _, opt := range opts {
		opt(&o)
	}
	if !o.at.IsZero() {
		s.clock.Set(o.at)
	} else if ahead, err := testTime(); err == nil {
		s.clock.Advance(ahead)
	} else {
		t.Fatalf("neoapitest: NEO_TEST_TIME: %v", err)
	}
	if o.Sandbox {
		o.Faults, o.Clock = &s.faults, &s.clock
	}
	if o.market != "" {
		source, err := replay.Open(o.market, nil, s.Now, func(string) {})
		if err != nil {
			t.Fatalf("neoapitest: %v", err)
		}
		t.Cleanup(func() { _ = source.Close() })
		o.Config.Market.Source = source
	}
	temporary := o.dir == ""
	if temporary {
		o.dir = t.TempDir()
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.URL = "http://" + listener.Addr().String()
	if o.PublicURL == "" {
		o.PublicURL = s.URL
	}

	place := serve.Place{Dir: o.dir, Database: testserver.Database(t, o.dir)}
	if temporary && place.Database == "" {
		if err := copyTables(o.dir); err != nil {
			t.Fatal(errors.Join(err, listener.Close()))
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	data, err := serve.Open(ctx, place, s.Now)
	if err != nil {
		stop()
		t.Fatal(err)
	}
	if temporary {
		err = addKey(ctx, t, data, s.Now())
	}
	var server *serve.Server
	if err == nil {
		server, err = serve.New(ctx, data, o.Config)
	}
	if err != nil {
		stop()
		t.Fatal(errors.Join(err, data.Close(), listener.Close()))
	}
	s.data, s.server = data, server
	s.moved, s.followed, s.ended = make(chan struct{}), make(chan struct{}), ctx.Done()
	go s.following(ctx)
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-done, data.Close()); err != nil {
			t.Errorf("neoapitest: stopping the service: %v", err)
		}
	})
	return s
}

// testTime returns how far the clocks of this process's services are ahead at their
// start. It is the same for all, so that services on one store agree.
var testTime = sync.OnceValues(func() (ahead time.Duration, err error) {
	text := os.Getenv("NEO_TEST_TIME")
	if text == "" {
		return 0, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	return time.Until(at), err
})

// Now returns the service's time: the machine's, moved by Advance and SetTime. To
// make a client use it too, set its clock:
//
//	neoapi.Config{Clock: srv.Now, …}
func (s *Server) Now() time.Time { return s.clock.Now() }

// Advance moves the service's clock, and that of clients whose clock is [Server.Now]:
// their waits end if their time has come. Other clients behave as if their own clock
// were slow: after an hour or more the service considers their access token expired,
// so that the next call fails once with neoapi.ErrAccessToken, and it refuses their
// TOTP codes, with a hint that says by how much the clocks differ.
func (s *Server) Advance(d time.Duration) {
	s.clock.Advance(d)
	s.follow()
}

// SetTime sets the service's clock, which then runs on. Any time from 2000 to 2100 is
// allowed, before or after the last one. As with [Server.Advance], clients with
// [Server.Now] follow. When the clock is set back, a live session keeps its expiry, and one
// that has ended stays ended.
func (s *Server) SetTime(t time.Time) {
	s.clock.Set(t)
	s.follow()
}

// follow makes the service notice its clock at once instead of at its next request.
// The caller may be in a bubble of testing/synctest, whose time is different.
func (s *Server) follow() {
	s.moving.Lock()
	defer s.moving.Unlock()
	select {
	case s.moved <- struct{}{}:
		<-s.followed
	case <-s.ended:
	}
}

// following carries out the requests of follow until the server ends.
func (s *Server) following(ctx context.Context) {
	for {
		select {
		case <-s.moved:
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			_ = s.server.FollowClock(ctx) // what fails now is done at the next request
			cancel()
			s.followed <- struct{}{}
		case <-ctx.Done():
			return
		}
	}
}

// EndSession ends the trade session with this sid as if its owner had logged out
// elsewhere: the next call with it is refused with neoapi.ErrSessionEnded.
func (s *Server) EndSession(t testing.TB, sid string) {
	t.Helper()
	session, err := s.data.Store.Session(t.Context(), sid)
	if err == nil {
		err = s.data.Store.End(t.Context(), sid, session.TradeID, login.Event{
			Time: s.Now(), Action: "logout", Outcome: "ok", Account: session.Account, UCC: session.UCC, Consumer: session.Consumer, SID: sid,
		})
	}
	if err != nil {
		t.Fatalf("neoapitest: the session %s could not be ended: %v", sid, err)
	}
}

// Fail makes the next answers of an operation fail in a named way, as many times as
// times says: by a code of the protocol ("10020", "900802", "503"), or in a form that
// existing servers have been seen to send ("html_502", "200_error", "truncated").
// [Faults] lists the names, [Ops] the operations.
//
//	srv.Fail(t, "session_2fa", "html_502", 1)
func (s *Server) Fail(t testing.TB, op, fault string, times int) {
	t.Helper()
	if err := s.faults.Add(sandbox.Fault{Op: op, Fault: fault, Times: times}); err != nil {
		t.Fatalf("neoapitest: %v", err)
	}
}

// Works cancels the failures that [Server.Fail] has requested and that have not happened yet.
func (s *Server) Works() { s.faults.Clear() }

// Faults returns the names of the failures for [Server.Fail]. Answers of 429 and 503
// have Retry-After: 1. "lost" and "truncated" affect only the answer: the operation
// is carried out. With "close" and "hang" it is not: the connection is closed without
// an answer, or nothing is sent until the client gives up. neo sandbox has the same
// faults at /sandbox/faults.
func Faults() []string { return sandbox.FaultNames() }

// FeedFaults returns the names of the failures of the feeds' connections, for the operations
// order_feed, market_feed and market_feed_old: docs/sandbox.md says what each does. With
// [Server.FailOrder] one strikes an account's connections alone, or every n-th frame.
func FeedFaults() []string { return sandbox.FeedFaultNames() }

// Ops returns the operations whose answers can fail, and those of the feeds.
func Ops() []string { return sandbox.FaultOps() }

// OTP returns the demo account's newest unused one-time code, waiting up to five
// seconds for one to arrive. If none arrives the test fails.
func (s *Server) OTP(t testing.TB) string {
	t.Helper()
	return s.OTPOf(t, s.Account.UCC)
}

// OTPOf is OTP for another account.
func (s *Server) OTPOf(t testing.TB, ucc string) string {
	t.Helper()
	resp, err := http.Get(s.URL + "/sandbox/otp/" + url.PathEscape(ucc) + "?wait=5s")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("neoapitest: no one-time code for %s: %s", ucc, body)
	}
	return string(body)
}

// TOTP returns a code of the demo account's authenticator that it has not returned
// before. A step's code works once: asked again within its 30 seconds, TOTP moves the
// service's clock forward to the next step.
func (s *Server) TOTP(t testing.TB) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	seed, err := credential.ParseTOTPSeed(s.Account.TOTPSeed)
	if err != nil {
		t.Fatal(err)
	}
	step := credential.TOTPStep(s.Now())
	for s.given(step) {
		step++
	}
	if early := time.Unix(step*int64(credential.TOTPPeriod/time.Second), 0).Sub(s.Now()); early > 0 {
		s.Advance(early)
	}
	if s.steps == nil {
		s.steps = map[int64]bool{}
	}
	s.steps[step] = true
	code, err := credential.TOTPCode(seed, step)
	if err != nil {
		t.Fatal(err)
	}
	return string(code)
}

// given reports whether the code of a step was returned, or that of a step so little
// later that the service does not consider the clock set back.
func (s *Server) given(step int64) bool {
	for later := range int64(6) {
		if s.steps[step+later] {
			return true
		}
	}
	return false
}

// BreakOMS makes the OMS refuse every session until MendOMS: 502,
// neoapi.ErrOMSDown. The same code works afterwards.
func (s *Server) BreakOMS() { s.oms.set(omsDown) }

// HangOMS makes the OMS answer nothing until MendOMS: after the OMS timeout 504,
// neoapi.ErrTimeout. The same code works afterwards.
func (s *Server) HangOMS() { s.oms.set(omsHangs) }

// MendOMS ends BreakOMS and HangOMS; requests still waiting are answered.
func (s *Server) MendOMS() { s.oms.set(omsWorks) }

type omsMode int

const (
	omsWorks omsMode = iota
	omsDown
	omsHangs
)

// faultyOMS is the built-in OMS behind a switch.
type faultyOMS struct {
	login.OMS

	mu       sync.Mutex
	mode     omsMode
	switched chan struct{} // closed at the next switch
}

func (o *faultyOMS) set(m omsMode) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mode = m
	if o.switched != nil {
		close(o.switched)
	}
	o.switched = make(chan struct{})
}

// Here implements [login.OMS]: an OMS that can fail has to be asked.
func (o *faultyOMS) Here() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mode == omsWorks
}

func (o *faultyOMS) Open(ctx context.Context, s login.OMSSession) (string, error) {
	for {
		o.mu.Lock()
		mode, switched := o.mode, o.switched
		o.mu.Unlock()
		switch mode {
		case omsWorks:
			return o.OMS.Open(ctx, s)
		case omsDown:
			return "", login.ErrRefused
		}
		select {
		case <-switched:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}
