package neoapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
	"time"
)

// A SessionStore keeps one session between runs of a program, and shares it between
// processes. [NewFileStore] returns one in a file, package neoapi/keyring one in the
// system's keyring. Every error is an [*Error]. Implementations must be safe for
// concurrent use.
type SessionStore interface {
	// Load returns the saved session without checking it; Client.Restore does that.
	// ErrNotLoggedIn means that none is saved, ErrInvalidInput that what is saved cannot
	// be used and was left as it is, and ErrStore that the store does not work.
	Load(context.Context) (Session, error)

	// Save replaces the saved session atomically.
	Save(context.Context, Session) error

	// Clear removes the saved session. It is not an error if there is none.
	Clear(context.Context) error

	// Lock waits for the lock, which at most one goroutine of all processes holds, or
	// until the context is done. Hold it from Load to Save during a login, so that many
	// processes cause one login. Call unlock to release it; a crash releases it too.
	Lock(context.Context) (unlock func(), err error)
}

// A StepStore is a [SessionStore] that also remembers the last TOTP step used for
// each account, because a service accepts a step's code once, whichever process sends
// it. Accounts are named by UCC, in upper case. Both stores of this module implement
// it. Call the methods while holding the lock.
type StepStore interface {
	LastStep(ctx context.Context, ucc string) (int64, error) // 0 if none is known; for "", the last of all accounts
	SaveStep(ctx context.Context, ucc string, step int64) error
}

// A RateStore is a [SessionStore] whose processes also share the consumer's rate
// limit. Both stores of this module implement it.
type RateStore interface {
	// RateFile returns the file in which all processes that share the store count a
	// consumer's requests to a service. name, of letters and digits, stands for both.
	// The client creates the file when needed.
	RateFile(name string) (path string, err error)
}

// A WritableStore is a [SessionStore] that can check in advance whether Save will
// work. A [Keeper] does so before it uses up a code. Both stores of this module
// implement it.
type WritableStore interface {
	// Writable tries what Save does without leaving a trace. Its errors are those of Save.
	Writable(context.Context) error
}

// ShareRate makes the client count its requests together with all processes that
// share the store, see Config.Rate. [Client.Keep] with a store does so already; call
// ShareRate in programs that use a store without a keeper.
func (c *Client) ShareRate(store RateStore) error {
	path, err := store.RateFile(fingerprint(c.rate.window.called()))
	if err == nil {
		c.rate.window.join(path)
	}
	return err
}

// The categories of failures outside the service.
const (
	ErrStore    = Category("session store")   // a session could not be read, saved or locked; Error.Err has the cause
	ErrCallback = Category("callback failed") // a function of yours, such as Login.OTP, returned an error; Error.Err is it
)

// ist is India's time zone, in which the services' days end. It has no daylight saving time.
var ist = time.FixedZone("IST", 5*60*60+30*60)

// Ends returns when the session ends: ExpiresAt or, if the token has none, the first
// midnight in India after IssuedAt, by which existing services have ended all
// sessions of the day. It returns the zero time if neither is known.
func (s Session) Ends() time.Time {
	if !s.ExpiresAt.IsZero() || s.IssuedAt.IsZero() {
		return s.ExpiresAt
	}
	year, month, day := s.IssuedAt.In(ist).Date()
	return time.Date(year, month, day+1, 0, 0, 0, 0, ist).UTC()
}

// ended reports whether the session has ended.
func (s Session) ended(now time.Time) bool {
	ends := s.Ends()
	return !ends.IsZero() && !now.Before(ends)
}

// Restore makes a saved session the current trade session, without asking the
// service, if this client can still use it. If not, the current session stays, and
// the error is [ErrSessionEnded] if it has ended, or [ErrInvalidInput] if it belongs
// to another environment or consumer, does not say to which, has no token or sid, or
// belongs to another account than the client's [Keeper] or its current session. A
// session of a service on this machine, such as the sandbox, is never sent to a live
// one, or the reverse.
func (c *Client) Restore(s Session) error {
	if s.Environment == "" || s.Consumer == "" {
		return invalid("restore", "the session does not say which environment and consumer it belongs to; if you know that it is this client's, call Use")
	}
	return c.use("restore", s)
}

func (c *Client) use(op string, s Session) error {
	if err := c.belongs(op, s); err != nil {
		return err
	}
	if s.ended(c.now()) {
		return &Error{Op: op, Category: ErrSessionEnded, Message: "the session ended at " + s.Ends().In(ist).Format("2006-01-02 15:04:05 MST") + "; log in again", Retry: RetryLoginAgain}
	}
	if k := c.keeper.Load(); k != nil && k.known().owns(s) == stranger {
		return invalid(op, "this session belongs to "+s.named()+", and the client's keeper to another account: use one client for each")
	}
	now, ok := c.Session()
	if ok && !now.ended(c.now()) && (identity{ucc: upper(now.UCC)}).owns(s) == stranger {
		return invalid(op, "this session belongs to "+s.named()+", and the client is logged in as another account: use one client for each, or log out first")
	}
	c.adopt(s)
	return nil
}

// adopt makes s the current session.
func (c *Client) adopt(s Session) {
	s = s.clone()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trade = &s
}

// belongs returns why s cannot be used with this client, whatever its account.
func (c *Client) belongs(op string, s Session) error {
	from := s.Environment
	if from == "" {
		from = s.BaseURL
	}
	switch {
	case !s.usable():
		return invalid(op, "the session has no usable token and sid")
	case from != "" && local(from) && !local(c.place):
		return invalid(op, "this session belongs to a service on this machine, "+shown(from)+" and is never sent to "+c.place)
	case from != "" && !local(from) && local(c.place):
		return invalid(op, "this session belongs to "+shown(from)+" and is never sent to a service on this machine, "+c.place)
	case s.Environment != "" && s.Environment != c.place:
		return invalid(op, "the session belongs to the environment "+shown(s.Environment)+", this client to "+c.place)
	case s.Consumer != "" && s.Consumer != c.consumer:
		return invalid(op, "the session belongs to another consumer key: log in with this one, or use that one")
	}
	return nil
}

// usable reports whether the session has a token and a sid that can be sent.
func (s Session) usable() bool {
	return s.Token != "" && s.SID != "" && visible(s.Token) && visible(s.SID)
}

// place returns the canonical form of an environment that New has accepted.
func (e Environment) place() string {
	u, err := url.Parse(string(e))
	if err != nil || u.Host == "" {
		return strings.ToLower(string(e))
	}
	host := strings.ToLower(u.Host)
	if u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	return u.Scheme + "://" + host + strings.TrimRight(u.EscapedPath(), "/")
}

// local reports whether an environment, as place writes it, is on this machine.
func local(place string) bool {
	u, err := url.Parse(place)
	return err == nil && loopback(u.Hostname())
}

// shown makes the environment of a saved session, which is not trusted, fit for an
// error.
func shown(place string) string {
	if strings.Contains(place, "@") {
		return "[unreadable]"
	}
	return tidy(place, nil)
}

// fingerprint identifies a consumer without its key.
func fingerprint(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:8])
}

// stopped returns the error of a call whose context was done while it waited inside
// the client. As with a cancelled request, errors.Is finds context.Canceled or
// context.DeadlineExceeded.
func stopped(ctx context.Context, op string) *Error {
	return &Error{Op: op, Category: ErrNetwork, Message: stoppedWaiting + tidy(context.Cause(ctx).Error(), nil), Err: errors.Join(ctx.Err(), context.Cause(ctx)), Retry: RetrySame}
}
