package neoapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"neoapi/internal/bounded"
	"neoapi/internal/paste"
	"neoapi/internal/wire"
)

// An Environment says which service a client talks to: [UAT], [PROD] (both in any
// case), or the base URL of any other service, such as "http://127.0.0.1:9155" for
// the sandbox. A base URL may have a path, which is put before the service's own. It
// must be https unless its host is this machine or Config.InsecureHTTP is set.
type Environment string

// The two environments of the original service.
const (
	UAT  Environment = "uat"
	PROD Environment = "prod"
)

// A Config describes the service and the consumer (the registered application).
// It prints without its secrets.
type Config struct {
	Environment Environment

	// ConsumerKey and ConsumerSecret identify the consumer. The key alone is enough for
	// LoginTOTP and ValidateMPIN; everything else needs an access token, which the
	// client fetches with key and secret and renews by itself.
	ConsumerKey    string
	ConsumerSecret string

	// AccessToken is used instead of fetching one. The client can renew it only if
	// ConsumerKey and ConsumerSecret are given too.
	AccessToken string

	// HTTPClient supplies Transport, Timeout and Jar; the client uses a copy that
	// follows no redirect. nil means a timeout of 30 seconds a request, and a copy of
	// [http.DefaultTransport] that all clients share, which takes a head of 64 KiB at
	// most and buffers up to 1 MiB of an HTTP/2 connection. A Transport of your own has its
	// own limits (MaxResponseHeaderBytes, HTTP2; 10 MB and more by default). A Transport that resends requests by
	// itself breaks the promise that a code is submitted at most once.
	HTTPClient *http.Client

	// Rate is the number of requests the consumer may send in any second, up to 1,000. 0
	// means 10, the service's default; a negative Rate means no limit. Everything that
	// the service counts is counted: access tokens, login steps, calls and logouts. All
	// clients of one consumer in a process share the limit, and so do processes that
	// share a store (see [RateStore]). Requests over the limit wait until they may go
	// out or their context is done. A consumer is recognised by its key or, without one,
	// by an AccessToken that a client with the key has fetched in this process or was
	// given; otherwise a client without the key is counted alone.
	Rate int

	// UserAgent is the header of that name; "" means "neoapi-go".
	UserAgent string

	// InsecureHTTP allows a base URL with http to a host other than this machine:
	// passwords and tokens then travel in the clear.
	InsecureHTTP bool

	// Log receives each exchange, at debug, with every secret replaced; nil
	// means that nothing is logged.
	Log *slog.Logger

	// Observe is called before each exchange with the step's name (see Error.Op). The
	// exchange uses the context that Observe returns; the function it returns is called
	// with the outcome, nil or an *Error. Package neoapi/otelneo has one that makes
	// OpenTelemetry spans.
	Observe func(ctx context.Context, op string) (context.Context, func(err error))

	// Clock is for tests, such as neoapitest.Server.Now; nil means time.Now. It decides
	// when a session or an access token has expired and which TOTP code is due. A wait
	// of the client ends when either Clock or the machine's clock has advanced by its
	// length.
	Clock func() time.Time
}

// A Client talks to one service as one consumer. It has at most one pending login
// (view session) and one current trade session; use two clients for two accounts.
// All its methods are safe for concurrent use. It prints without its secrets.
type Client struct {
	env       Environment
	at        service
	place     string // Session.Environment of this client's sessions
	consumer  string // and Session.Consumer
	urls      map[wire.Op]string
	key       string
	secret    string
	userAgent string
	http      *http.Client
	now       func() time.Time
	virtual   bool          // now is a Config.Clock
	fetching  chan struct{} // a semaphore: full while an access token is being fetched
	rate      *rate         // of all requests, shared with all clients of the consumer
	log       *slog.Logger
	observe   func(context.Context, string) (context.Context, func(error))
	headers   atomic.Pointer[headers] // those of the last trade call
	renewed   atomic.Pointer[renewal] // the session that replaced an ended one, until the service accepts it
	keeper    atomic.Pointer[Keeper]  // where calls get their session, if set

	mu     sync.Mutex // guards what follows; never held while waiting for the network
	access accessToken
	view   *view    // the pending login, nil if there is none
	trade  *Session // the current trade session, nil if there is none
	spent  spent
}

type accessToken struct {
	token   string
	expires time.Time // zero if not known
}

// The steps, as [Error.Op] names them.
const (
	opAccessToken  = "access_token"
	opLogin        = "login"
	opOTP          = "otp"
	opSession2FA   = "session_2fa"
	opTOTPLogin    = "totp_login"
	opTOTPValidate = "totp_validate"
	opLogout       = "logout"
)

// New returns a client. It does not use the network. For an invalid configuration it
// returns an [ErrInvalidInput] whose Problems name everything that is wrong.
//
// Generation 1 addresses serve the password login and logout (for a base URL,
// those of PROD). TOTP uses the addresses of generation 3 and the bare consumer
// key, or, if there is no key but only an AccessToken, those of generation 2
// and the token (docs/protocol.md).
func New(cfg Config) (*Client, error) {
	at, problems := cfg.check()
	if len(problems) > 0 {
		return nil, misconfigured("new", problems)
	}

	hc := http.Client{Timeout: 30 * time.Second}
	if cfg.HTTPClient != nil {
		hc = *cfg.HTTPClient
	}
	if hc.Transport == nil {
		hc.Transport = bounded.Default()
	}
	hc.Transport = bounded.Transport(hc.Transport)
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c := &Client{
		env: cfg.Environment, place: cfg.Environment.place(), consumer: fingerprint(cmp.Or(cfg.ConsumerKey, cfg.AccessToken)),
		at: at, urls: at.urls(), key: cfg.ConsumerKey, secret: cfg.ConsumerSecret, userAgent: cfg.UserAgent,
		http: &hc, now: cfg.clock(), virtual: cfg.Clock != nil, fetching: make(chan struct{}, 1), log: cfg.Log, observe: cfg.Observe,
		access: accessToken{token: cfg.AccessToken},
	}
	if c.userAgent == "" {
		c.userAgent = "neoapi-go"
	}
	c.rate = &rate{max(0, cmp.Or(cfg.Rate, defaultRate)), windowOf(c.place, cfg.ConsumerKey, cfg.AccessToken)}
	return c, nil
}

// clock returns Config.Clock or the machine's.
func (cfg Config) clock() func() time.Time {
	if cfg.Clock != nil {
		return cfg.Clock
	}
	return time.Now
}

// check finds the service and returns everything that is wrong with the configuration.
func (cfg Config) check() (at service, problems []Problem) {
	at, problem := find(cfg)
	wrong := func(field, text string) { problems = append(problems, Problem{field, text}) }
	if problem.Text != "" {
		problems = append(problems, problem)
	}
	if cfg.ConsumerKey == "" && cfg.AccessToken == "" {
		wrong("ConsumerKey", "is missing, and there is no access token in its place")
	}
	if cfg.ConsumerKey == "" && cfg.ConsumerSecret != "" {
		wrong("ConsumerSecret", "requires the consumer key")
	}
	if strings.Contains(cfg.ConsumerKey, ":") {
		wrong("ConsumerKey", "has a colon, which HTTP Basic authentication cannot carry")
	}
	if cfg.Rate > maxRate {
		wrong("Rate", fmt.Sprintf("is more than %d: a negative one means no limit", maxRate))
	}
	for _, field := range []struct{ name, value, within string }{
		{"ConsumerKey", cfg.ConsumerKey, ""}, {"AccessToken", cfg.AccessToken, ""}, // headers of their own
		{"ConsumerSecret", cfg.ConsumerSecret, " "}, {"UserAgent", cfg.UserAgent, " "},
	} {
		if problem := misshapen(field.name, field.value); problem != "" {
			wrong(field.name, problem)
		} else if !visible(strings.ReplaceAll(field.value, field.within, "")) {
			odd := strings.IndexFunc(field.value, func(r rune) bool { return (r <= ' ' || r > '~') && string(r) != field.within })
			r, _ := utf8.DecodeRuneInString(field.value[odd:])
			wrong(field.name, "has a character that does not belong there: "+paste.Describe(r))
		}
	}
	return at, problems
}

// A service is where an environment's operations are.
type service struct {
	access, gen1, totp string      // base URLs: of access tokens, of generation 1, of TOTP and what follows it
	families           wire.Family // whose paths are used: one of generation 1, and Gen2 or Gen3
}

// find returns the service of the environment, or what is wrong with it.
func find(cfg Config) (at service, problem Problem) {
	at.families = wire.Gen1PROD
	totp := wire.Gen3
	if cfg.ConsumerKey == "" {
		totp = wire.Gen2
	}
	switch env := Environment(strings.ToLower(string(cfg.Environment))); env {
	case UAT:
		at = service{"https://nsbxapi.kotaksecurities.com", "https://nsbxapi-gw.kotaksecurities.com", "https://d-mis.kotaksecurities.com", wire.Gen1UAT}
		if totp == wire.Gen2 {
			at.totp = at.gen1
		}
	case PROD:
		at = service{"https://napi.kotaksecurities.com", "https://gw-napi.kotaksecurities.com", "https://mis.kotaksecurities.com", wire.Gen1PROD}
		if totp == wire.Gen2 {
			at.totp = "https://mnapi.kotaksecurities.com"
		}
	case "":
		return at, Problem{"Environment", "is missing: give uat, prod or the base URL of a service"}
	default:
		if at.access, problem = baseURL(cfg); problem.Text != "" {
			return at, problem
		}
		at.gen1, at.totp = at.access, at.access
	}
	at.families |= totp
	return at, Problem{}
}

// baseURL returns the base URL that an environment names, without a trailing slash.
func baseURL(cfg Config) (string, Problem) {
	u, err := url.Parse(string(cfg.Environment)) // err quotes the URL, which may contain a password
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return "", Problem{"Environment", "is not uat, prod or a base URL such as https://neo.example.com"}
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", Problem{"Environment", "has a user, a password, a query or a fragment: a base URL may have a path, and none of these"}
	case u.Scheme == "http" && !cfg.InsecureHTTP && !loopback(u.Hostname()):
		return "", Problem{"InsecureHTTP", "is not set, and http would send passwords in the clear: use https"}
	}
	return strings.TrimRight(u.String(), "/"), Problem{}
}

// urls returns the full URL of each step.
func (at service) urls() map[wire.Op]string {
	gen1, totp := at.families&(wire.Gen1UAT|wire.Gen1PROD), at.families&(wire.Gen2|wire.Gen3)
	return map[wire.Op]string{
		wire.OpAccessToken:  at.access + wire.Path(wire.OpAccessToken, gen1),
		wire.OpValidate:     at.gen1 + wire.Path(wire.OpValidate, gen1),
		wire.OpOTP:          at.gen1 + wire.Path(wire.OpOTP, gen1),
		wire.OpLogout:       at.gen1 + wire.Path(wire.OpLogout, gen1),
		wire.OpTOTPLogin:    at.totp + wire.Path(wire.OpTOTPLogin, totp),
		wire.OpTOTPValidate: at.totp + wire.Path(wire.OpTOTPValidate, totp),
	}
}

// loopback reports whether host is this machine, by name or by address.
func loopback(host string) bool {
	return strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
}

// A request is one step on its way out.
type request struct {
	op      string
	to      wire.Op
	header  map[string]string // Authorization included
	body    []byte
	form    bool // the body is a form, not JSON
	unseen  bool // the password contains an invisible character
	id      string
	secrets []string            // secrets in the body; do adds those in the headers
	read    func(object) string // reads what it needs from a success, or returns what is missing; nil if nothing is needed
}

// maxAnswer limits how much of an answer is read, in bytes. The largest genuine one
// is a few kilobytes.
const maxAnswer = 1 << 20

// do sends r once and passes the answer to r.read. Its error is an *Error.
func (c *Client) do(ctx context.Context, r request) error {
	if r.id == "" {
		r.id = newRequestID()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.urls[r.to], bytes.NewReader(r.body))
	if err != nil {
		return &Error{Op: r.op, Category: ErrInvalidInput, Message: tidy(err.Error(), r.secrets), Err: seal(err, r.secrets), Retry: RetryNever}
	}
	// With GetBody, net/http may send the request again by itself: on HTTP/2 after some resets, on HTTP/1
	// if an Idempotency-Key was added. Without GetBody it never does: a code goes out once.
	req.GetBody = nil
	out := &outbound{ReadCloser: req.Body}
	req.Body = out
	req.Header.Set("Content-Type", "application/json")
	if r.form {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.userAgent)
	req.Header.Set(wire.HeaderRequestID, r.id)
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	_, credential, spaced := strings.Cut(r.header["Authorization"], " ")
	if !spaced {
		credential = r.header["Authorization"]
	}
	ticket, err := c.rate.wait(ctx, c, ordinary)
	if err != nil {
		return c.unsent(ctx, r.op, err)
	}
	x := c.begin(r.op, req, append([]string{credential, r.header[wire.HeaderAuth]}, r.secrets...))
	x.body, x.unseen, x.out = r.body, r.unseen, out
	resp, err := c.http.Do(x.sent)
	if err == nil {
		c.rate.window.answered(ticket)
		defer resp.Body.Close()
	}
	fail := x.read(resp, err, maxAnswer, r.read, nil)
	if fail != nil && fail.Code == wire.BadAccess.Code {
		c.forgetAccess(credential)
	}
	return x.end(fail)
}

// bearer returns the Authorization header of generations 1 and 2, fetching an access
// token first if there is none with at least a minute left. Callers that arrive
// during a fetch wait for it, or until their context is done.
func (c *Client) bearer(ctx context.Context) (string, error) {
	if token, ok := c.freshAccess(); ok {
		return "Bearer " + token, nil
	}
	select {
	case c.fetching <- struct{}{}:
		defer func() { <-c.fetching }()
	case <-ctx.Done():
		return "", c.noAnswer(ctx, opAccessToken, "", ctx.Err(), nil)
	}
	if token, ok := c.freshAccess(); ok { // another caller has fetched it meanwhile
		return "Bearer " + token, nil
	}
	if c.key == "" || c.secret == "" {
		return "", invalid(opAccessToken, "this step needs an access token: give the consumer key and the consumer secret, or an access token")
	}

	basic := base64.StdEncoding.EncodeToString([]byte(c.key + ":" + c.secret))
	asked := c.now()
	var access accessToken
	err := c.do(ctx, request{
		op:      opAccessToken,
		to:      wire.OpAccessToken,
		header:  map[string]string{"Authorization": "Basic " + basic},
		body:    []byte(`{"grant_type":"client_credentials"}`),
		secrets: []string{c.secret},
		read: func(answer object) string {
			access = accessToken{token: answer.text("access_token")}
			if left := retryAfter(answer.text("expires_in"), asked); left > 0 {
				access.expires = asked.Add(left)
			}
			if access.token == "" || !visible(access.token) {
				return "the answer's access_token is not valid"
			}
			return ""
		},
	})
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	c.access = access
	c.mu.Unlock()
	c.rate.window.learn(c.place, access.token)
	return "Bearer " + access.token, nil
}

// freshAccess returns the access token if it has at least a minute left.
func (c *Client) freshAccess() (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh := c.access.token != "" && (c.access.expires.IsZero() || c.access.expires.Sub(c.now()) >= time.Minute)
	return c.access.token, fresh
}

// forgetAccess drops an access token that the service has refused, so that the next
// call fetches another. A token that cannot be replaced is kept, because the
// service's refusal says more than a missing token would. It reports whether the next
// call will use another token.
func (c *Client) forgetAccess(token string) (forgotten bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.secret == "" || token == "" {
		return false
	}
	if c.access.token == token {
		c.access = accessToken{}
	}
	return true // or another call has already done so
}
