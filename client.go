package neoapi

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"neoapi/internal/wire"
)

// An Environment says which service a client talks to: [UAT], [PROD] (both in
// any case), or the base URL of any other service, such as
// "http://127.0.0.1:9155" for the sandbox. A base URL may have a path, under
// which the service's addresses then lie. It must be https, unless its host is
// this machine or Config.InsecureHTTP is set.
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

	// ConsumerKey and ConsumerSecret name the consumer. The key alone is enough
	// for LoginTOTP and ValidateMPIN; all else needs an access token, which the
	// client fetches with both and renews by itself.
	ConsumerKey    string
	ConsumerSecret string

	// AccessToken is used instead of fetching one, for a consumer that was given
	// one. It cannot be renewed, unless key and secret are given as well.
	AccessToken string

	// HTTPClient supplies Transport, Timeout and Jar; the client works on a copy
	// and never follows a redirect. nil means [http.DefaultTransport] and a
	// timeout of 30 seconds a request. A Transport that sends requests again by
	// itself breaks the promise that a code is submitted at most once.
	HTTPClient *http.Client

	// UserAgent is the header of that name; "" means "neoapi-go".
	UserAgent string

	// InsecureHTTP allows a base URL with http to a host other than this machine:
	// passwords and tokens then travel in the clear.
	InsecureHTTP bool
}

// A Client talks to one service as one consumer and holds one login at a time:
// the pending view session, and the current trade session. For two accounts at
// once make two clients. All its methods are safe for concurrent use. It prints
// without its secrets.
type Client struct {
	env       Environment
	place     string // what Session.Environment says of this client's sessions
	consumer  string // and Session.Consumer
	urls      map[wire.Op]string
	key       string
	secret    string
	userAgent string
	http      *http.Client
	now       func() time.Time
	fetching  chan struct{} // holds one value while an access token is being fetched

	mu     sync.Mutex // guards what follows; never held while waiting for the network
	access accessToken
	view   *view    // the pending login, nil if there is none
	trade  *Session // the current trade session, nil if there is none
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

// New makes a client. It does not use the network. A configuration that cannot
// work is refused with one [ErrInvalidInput] that names every problem.
//
// Generation 1 addresses serve the password login and logout (for a base URL,
// those of PROD). TOTP uses the addresses of generation 3 and the bare consumer
// key, or, if there is no key but only an AccessToken, those of generation 2
// and the token (docs/protocol.md).
func New(cfg Config) (*Client, error) {
	var problems []string
	urls, problem := addresses(cfg)
	if problem != "" {
		problems = append(problems, problem)
	}
	if cfg.ConsumerKey == "" && cfg.AccessToken == "" {
		problems = append(problems, "ConsumerKey is missing (or give an AccessToken)")
	}
	if cfg.ConsumerKey == "" && cfg.ConsumerSecret != "" {
		problems = append(problems, "ConsumerSecret is of no use without ConsumerKey")
	}
	if strings.Contains(cfg.ConsumerKey, ":") {
		problems = append(problems, "ConsumerKey has a colon, which HTTP Basic authentication cannot carry")
	}
	for _, field := range []struct{ name, value string }{
		{"ConsumerKey", cfg.ConsumerKey}, {"AccessToken", cfg.AccessToken}, // headers of their own
		{"ConsumerSecret", strings.ReplaceAll(cfg.ConsumerSecret, " ", "")}, {"UserAgent", strings.ReplaceAll(cfg.UserAgent, " ", "")},
	} {
		if !visible(field.value) {
			problems = append(problems, field.name+" has a character that does not belong there: a line break, a space or one outside ASCII")
		}
	}
	if len(problems) > 0 {
		return nil, invalid("new", problems...)
	}

	hc := http.Client{Timeout: 30 * time.Second}
	if cfg.HTTPClient != nil {
		hc = *cfg.HTTPClient
	}
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c := &Client{
		env: cfg.Environment, place: cfg.Environment.place(), consumer: fingerprint(cmp.Or(cfg.ConsumerKey, cfg.AccessToken)), urls: urls, key: cfg.ConsumerKey, secret: cfg.ConsumerSecret, userAgent: cfg.UserAgent,
		http: &hc, now: time.Now, fetching: make(chan struct{}, 1), access: accessToken{token: cfg.AccessToken},
	}
	if c.userAgent == "" {
		c.userAgent = "neoapi-go"
	}
	return c, nil
}

// addresses finds the full URL of each operation, or says what is wrong with
// the environment.
func addresses(cfg Config) (map[wire.Op]string, string) {
	var access, rest, totp string
	gen1, genTOTP := wire.Gen1PROD, wire.Gen3
	if cfg.ConsumerKey == "" {
		genTOTP = wire.Gen2
	}
	switch env := Environment(strings.ToLower(string(cfg.Environment))); env {
	case UAT:
		access, rest, totp = "https://nsbxapi.kotaksecurities.com", "https://nsbxapi-gw.kotaksecurities.com", "https://d-mis.kotaksecurities.com"
		gen1 = wire.Gen1UAT
		if genTOTP == wire.Gen2 {
			totp = rest
		}
	case PROD:
		access, rest, totp = "https://napi.kotaksecurities.com", "https://gw-napi.kotaksecurities.com", "https://mis.kotaksecurities.com"
		if genTOTP == wire.Gen2 {
			totp = "https://mnapi.kotaksecurities.com"
		}
	case "":
		return nil, "Environment is missing: give UAT, PROD or the base URL of a service"
	default:
		u, err := url.Parse(string(cfg.Environment)) // the text of err repeats the URL, which may hold a password
		switch {
		case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
			return nil, "Environment is neither UAT nor PROD nor a base URL such as https://neo.example.com"
		case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
			return nil, "Environment: a base URL may have a path, but no user, password, query or fragment"
		case u.Scheme == "http" && !cfg.InsecureHTTP && !loopback(u.Hostname()):
			return nil, "Environment: http would send passwords in the clear; use https, or set InsecureHTTP"
		}
		access = strings.TrimRight(u.String(), "/")
		rest, totp = access, access
	}
	return map[wire.Op]string{
		wire.OpAccessToken:  access + wire.Path(wire.OpAccessToken, gen1),
		wire.OpValidate:     rest + wire.Path(wire.OpValidate, gen1),
		wire.OpOTP:          rest + wire.Path(wire.OpOTP, gen1),
		wire.OpLogout:       rest + wire.Path(wire.OpLogout, gen1),
		wire.OpTOTPLogin:    totp + wire.Path(wire.OpTOTPLogin, genTOTP),
		wire.OpTOTPValidate: totp + wire.Path(wire.OpTOTPValidate, genTOTP),
	}, ""
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
	id      string
	secrets []string            // what of the body must never be shown; do adds what the headers hold
	read    func(object) string // takes what it needs from a success, or says what is missing; nil if nothing is needed
}

// maxAnswer is how much of an answer is read, in bytes. The largest honest one
// is a few kilobytes.
const maxAnswer = 1 << 20

// do sends r once and has r.read take the answer. Its error is an *Error.
func (c *Client) do(ctx context.Context, r request) error {
	if r.id == "" {
		r.id = newRequestID()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.urls[r.to], bytes.NewReader(r.body))
	if err != nil {
		return &Error{Op: r.op, Category: ErrInvalidInput, Message: tidy(err.Error(), r.secrets), Err: seal(err, r.secrets)}
	}
	// With GetBody, net/http may send the request again by itself: on HTTP/2 after
	// some resets, on HTTP/1 if somebody adds an Idempotency-Key. Without it, never (bar K2).
	req.GetBody = nil
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
	secrets := append([]string{credential, r.header[wire.HeaderAuth]}, r.secrets...)

	resp, err := c.http.Do(req)
	if err != nil {
		return c.noAnswer(ctx, r, err, secrets)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && resp.StatusCode/100 == 2 {
		return c.noAnswer(ctx, r, err, secrets)
	}

	fail := &Error{Op: r.op, Status: resp.StatusCode, Category: categorise(r.op, resp.StatusCode, "")}
	switch {
	case resp.StatusCode/100 == 3:
		fail.Message = "the service redirects, which is not followed; check the base URL"
		if to, err := resp.Location(); err == nil {
			fail.Message = "the service redirects to " + to.Hostname() + ", which is not followed; check the base URL"
		}
	case err != nil:
		fail.Message = "the answer broke off"
	case len(body) > maxAnswer:
		fail.Message = fmt.Sprintf("the answer is longer than %d bytes", maxAnswer)
	default:
		answer, failure := decode(r.op, resp.StatusCode, body)
		if failure != nil {
			fail = failure
			break
		}
		if r.read != nil {
			fail.Message = r.read(answer)
		}
		if fail.Message == "" {
			return nil
		}
	}
	if fail.Code == wire.BadAccess.Code {
		c.forgetAccess(credential)
	}
	fail.RequestID = r.id
	fail.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), c.now())
	fail.Err = seal(err, secrets)
	if _, known := wire.Lookup(fail.Code); !known { // a known code is safe to show, even if an OTP has the same digits
		fail.Code = tidy(fail.Code, secrets)
	}
	if fail.Message = tidy(fail.Message, secrets); fail.Message == "" {
		fail.Message = advice[fail.Category]
	}
	return fail
}

// noAnswer is the error for a request whose answer did not come, or not whole.
// If the caller's context is why, errors.Is finds context.Canceled or
// context.DeadlineExceeded even where net/http reports the context's cause.
func (c *Client) noAnswer(ctx context.Context, r request, err error, secrets []string) *Error {
	cause := err
	if ctx.Err() != nil {
		cause = errors.Join(err, ctx.Err())
	}
	text := seal(err, secrets)
	return &Error{Op: r.op, Category: ErrNetwork, Message: text.Error(), RequestID: r.id, Err: &sealed{text.Error(), cause}}
}

// bearer returns the Authorization header of generations 1 and 2, fetching an
// access token first if there is none with at least a minute left. Callers that
// come while one is fetching wait for it, as long as their context lets them.
func (c *Client) bearer(ctx context.Context) (string, error) {
	select {
	case c.fetching <- struct{}{}:
		defer func() { <-c.fetching }()
	case <-ctx.Done():
		return "", c.noAnswer(ctx, request{op: opAccessToken}, ctx.Err(), nil)
	}
	c.mu.Lock()
	access := c.access
	c.mu.Unlock()
	if access.token != "" && (access.expires.IsZero() || access.expires.Sub(c.now()) >= time.Minute) {
		return "Bearer " + access.token, nil
	}
	if c.key == "" || c.secret == "" {
		return "", invalid(opAccessToken, "this step needs an access token: set ConsumerKey and ConsumerSecret, or AccessToken, in the Config")
	}

	basic := base64.StdEncoding.EncodeToString([]byte(c.key + ":" + c.secret))
	asked := c.now()
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
				return "the answer's access_token is not one"
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
	return "Bearer " + access.token, nil
}

// forgetAccess drops an access token that the service has refused, so that the
// next call fetches another. One that cannot be fetched again is kept: the
// service's refusal says more than its absence would.
func (c *Client) forgetAccess(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.secret != "" && c.access.token == token {
		c.access = accessToken{}
	}
}

// newRequestID returns a random UUID (RFC 9562, version 4).
func newRequestID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0F | 0x40
	b[8] = b[8]&0x3F | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
