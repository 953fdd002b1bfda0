// Package verify checks trade tokens in Go services behind the session service,
// without network access during a call. It depends only on Go's standard library.
//
//	verifier, err := verify.New(verify.Config{Service: "https://neo.example.com", ConsumerKey: key, ConsumerSecret: secret})
//	…
//	defer verifier.Close()
//	http.Handle("/orders", verifier.Middleware(orders))
//
// A Verifier keeps the service's public keys and asks it twice a second which
// sessions have ended early, so that an ended session is refused within a second.
// docs/verify.md says what happens while the service is away.
package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"neoapi/internal/bounded"
	"neoapi/internal/claims"
)

// The errors of [Verifier.Verify], alone or wrapped.
var (
	// ErrInvalid means that the token is not one of the service's trade tokens, or
	// belongs to another sid.
	ErrInvalid = errors.New("verify: not a valid trade token of this session")
	// ErrWrongToken means that the token is a view token: the second factor is missing.
	ErrWrongToken = errors.New("verify: a view token where the trade token belongs")
	// ErrEnded means that the session was valid once but has ended: log in again.
	ErrEnded = errors.New("verify: the session has ended")
	// ErrUnavailable means that the session cannot be checked, because the service has
	// not answered for too long. The session may be valid.
	ErrUnavailable = errors.New("verify: the session service does not answer")
)

// Config configures a Verifier.
type Config struct {
	// Service is the session service's address, such as https://neo.example.com. Plain
	// http is accepted only for this machine.
	Service string
	// ConsumerKey and ConsumerSecret are those of a consumer of the service. Each
	// Verifier uses two requests a second of the consumer's rate.
	ConsumerKey    string
	ConsumerSecret string

	// MaxSilence is how long sessions are accepted while the service does not answer
	// which have ended; after that Verify fails with [ErrUnavailable]. 0 means 10
	// seconds; below 0 there is no limit, and a session that ends meanwhile is accepted
	// until its token expires.
	MaxSilence time.Duration
	// HTTPClient is used to ask the service; nil means a client with a timeout of two
	// seconds. Redirects are never followed.
	HTTPClient *http.Client
	// OnError is called with the reason when the service stops answering, once each
	// time, and with nil when it answers again. It must not block.
	OnError func(error)
}

// String names the service and no secret.
func (c Config) String() string { return "verify.Config for " + c.Service }

// Format implements [fmt.Formatter]: fmt would print the secret.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// A Session is the content of a valid trade token.
type Session struct {
	SID     string
	UCC     string // whose session it is
	TokenID string
	Issued  time.Time
	Expires time.Time
}

// How often the service is asked, and how long Verify waits for it: at the start,
// and for the key of a token that it does not know.
const (
	every      = 500 * time.Millisecond
	lookEvery  = 200 * time.Millisecond
	askTimeout = 2 * time.Second
	silence    = 10 * time.Second
)

// skew is how far in the future a token may have been issued, for clocks of several machines.
// Its expiry has no such allowance. If this machine's clock differs from the service's by
// more than clockTrust, the service's is used, taken from the Date header of its answers.
const (
	skew       = 60 * time.Second
	clockTrust = 5 * time.Second
)

// A Verifier checks trade tokens. It is safe for concurrent use. Close it when done.
type Verifier struct {
	cfg     Config
	service *url.URL
	client  *http.Client
	stop    context.CancelFunc
	done    chan struct{}
	wanted  chan struct{} // a caller waits for the next answer
	known   known
}

// New returns a Verifier, which polls the service until Close. It fails only for an
// invalid configuration, with an error that names every problem.
func New(cfg Config) (*Verifier, error) {
	var problems []error
	u, err := url.Parse(strings.TrimSuffix(cfg.Service, "/"))
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http":
		problems = append(problems, errors.New("the field Service must be an address such as https://neo.example.com"))
	case u.Scheme == "http" && !loopback(u.Hostname()):
		problems = append(problems, errors.New("the field Service must be https, or the consumer's secret could be read on its way"))
	}
	if cfg.ConsumerKey == "" || cfg.ConsumerSecret == "" {
		problems = append(problems, errors.New("the fields ConsumerKey and ConsumerSecret are required"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	if cfg.MaxSilence == 0 {
		cfg.MaxSilence = silence
	}
	client := &http.Client{Timeout: askTimeout}
	if cfg.HTTPClient != nil {
		copied := *cfg.HTTPClient
		client = &copied
	}
	if client.Transport == nil {
		client.Transport = bounded.New()
	}
	client.Transport = bounded.Transport(client.Transport)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	ctx, stop := context.WithCancel(context.Background())
	v := &Verifier{cfg: cfg, service: u, client: client, stop: stop, done: make(chan struct{}), wanted: make(chan struct{}, 1)}
	v.known.init()
	go v.follow(ctx)
	return v, nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// Close stops polling the service.
func (v *Verifier) Close() {
	v.stop()
	<-v.done
	if v.cfg.HTTPClient == nil || v.cfg.HTTPClient.Transport == nil { // the connections are only its own
		v.client.CloseIdleConnections()
	}
}

// Format implements [fmt.Formatter], so that no verb shows a Verifier's contents.
func (v *Verifier) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "verify.Verifier for "+v.cfg.Service)
}

// Verify checks a sid and trade token as a client sends them in the headers Sid and
// Auth, and returns what the token says. It makes no request, except in two cases:
// until the service has answered for the first time, and for a token whose key is not
// known yet, Verify waits for the service's next answer, or until the context is
// done. Its errors are [ErrInvalid], [ErrWrongToken], [ErrEnded] and
// [ErrUnavailable].
func (v *Verifier) Verify(ctx context.Context, sid, compact string) (Session, error) {
	if sid == "" || compact == "" || len(compact) > claims.MaxToken {
		return Session{}, ErrInvalid
	}
	if !v.known.ready() {
		if err := v.look(ctx); err != nil {
			return Session{}, err
		}
	}
	good, err := v.token(sid, compact)
	if errors.Is(err, errUnknownKey) {
		if err := v.look(ctx); err != nil {
			return Session{}, err
		}
		good, err = v.token(sid, compact)
	}
	if err != nil {
		return Session{}, ErrInvalid
	}
	now := v.known.now()
	switch {
	case good.issued > now.Add(skew).Unix():
		return Session{}, ErrInvalid
	case now.Unix() >= good.expires:
		return Session{}, ErrEnded
	case good.view:
		return Session{}, ErrWrongToken
	case good.sid != sid && claims.TradeID(sid) != good.id:
		return Session{}, ErrInvalid
	}
	if err := v.known.check(good, v.cfg.MaxSilence); err != nil {
		return Session{}, err
	}
	return Session{SID: sid, UCC: good.ucc, TokenID: good.id, Issued: time.Unix(good.issued, 0), Expires: time.Unix(good.expires, 0)}, nil
}

// A verified is a token whose signature is good. It does not change.
type verified struct {
	key             string // id of the key that signed it
	view            bool
	sid             string // the token's own, if known
	id, ucc         string
	issued, expires int64
}

var errUnknownKey = errors.New("the token's key is not known")

// token returns a token from the cache, or verifies its signature and claims.
func (v *Verifier) token(sid, compact string) (*verified, error) {
	if good := v.known.token(compact); good != nil {
		return good, nil
	}
	header := claims.HeaderOf(compact)
	key, known := v.known.key(header)
	if !known && claims.IsHeader(header) {
		return nil, errUnknownKey
	}
	if !known {
		return nil, ErrInvalid
	}
	payload, ok := claims.Verify(compact, key.public)
	var c claims.Trade // a view token's are the same and more
	if !ok || json.Unmarshal(payload, &c) != nil || !c.Issued() {
		return nil, ErrInvalid
	}
	good := &verified{key: key.id, view: c.Scope[0] == claims.ScopeView, id: c.Jti, ucc: c.Sub, issued: c.Iat, expires: c.Exp}
	if claims.TradeID(sid) == good.id {
		good.sid = sid
	}
	v.known.keep(compact, good)
	return good, nil
}
