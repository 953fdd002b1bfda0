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

// A SessionStore keeps one session between runs of a program, and shares it
// between processes. [NewFileStore] makes one in a file, package
// neoapi/keyring one in the system's keyring. All errors are an [*Error].
type SessionStore interface {
	// Load returns the saved session without judging it: Client.Restore does
	// that. ErrNotLoggedIn means that none is saved; ErrInvalidInput that there is
	// something that cannot be used, which is left as it is; ErrStore that the
	// store does not work.
	Load(context.Context) (Session, error)

	// Save replaces the saved session, in one step.
	Save(context.Context, Session) error

	// Clear forgets the saved session. That there is none is no error.
	Clear(context.Context) error

	// Lock waits until no other process, and nobody in this one, holds the lock,
	// or the context is over. Whoever logs in holds it from the Load to the Save,
	// so that many processes make one login. The holder calls unlock; one that
	// crashes has let go.
	Lock(context.Context) (unlock func(), err error)
}

// A StepStore is a [SessionStore] that also remembers the last TOTP step that
// of an account was used, because a service takes the code of a step once, whichever
// process sends it. Accounts are named by UCC, in upper case. Both stores of this
// module do. Call the methods while holding the lock.
type StepStore interface {
	LastStep(ctx context.Context, ucc string) (int64, error) // 0 if none is known; of "" the last of all accounts
	SaveStep(ctx context.Context, ucc string, step int64) error
}

// A RateStore is a [SessionStore] whose processes also share the consumer's rate.
// Both stores of this module are.
type RateStore interface {
	// RateFile returns the file in which all who share the store count the requests
	// of a consumer at a service, which name stands for: letters and digits. It is
	// made when it is needed.
	RateFile(name string) (path string, err error)
}

// A WritableStore is a [SessionStore] that can say beforehand whether Save will
// work. A [Keeper] asks before it spends a code. Both stores of this module are.
type WritableStore interface {
	// Writable tries, without a trace, what Save does. Its errors are those of Save.
	Writable(context.Context) error
}

// ShareRate has the client count its requests together with all processes that
// share the store, as Config.Rate says. A [Keeper] with a store has done so; it is
// for programs that use a store by themselves.
func (c *Client) ShareRate(store RateStore) error {
	path, err := store.RateFile(fingerprint(c.rate.window.called()))
	if err == nil {
		c.rate.window.join(path)
	}
	return err
}

// The categories of what happens beside the service.
const (
	ErrStore    = Category("session store")   // a session could not be read, saved or locked; Error.Err has the cause
	ErrCallback = Category("callback failed") // a function of yours, such as Login.OTP, returned an error; Error.Err is it
)

// ist is India's time zone, in which the field's days end. It has no summer time.
var ist = time.FixedZone("IST", 5*60*60+30*60)

// Ends returns when the session ends: at ExpiresAt, or, if the token does not
// say, at the first midnight in India after IssuedAt, by when the field's
// services have ended all sessions of a day. It is zero if neither is known.
func (s Session) Ends() time.Time {
	if !s.ExpiresAt.IsZero() || s.IssuedAt.IsZero() {
		return s.ExpiresAt
	}
	year, month, day := s.IssuedAt.In(ist).Date()
	return time.Date(year, month, day+1, 0, 0, 0, 0, ist).UTC()
}

// ended reports whether the session's end has come.
func (s Session) ended(now time.Time) bool {
	ends := s.Ends()
	return !ends.IsZero() && !now.Before(ends)
}

// Restore makes a saved session the current trade session, without asking the
// service, if it still can be used here. If not, the error says why and the
// current session stays: [ErrSessionEnded] if its end has come;
// [ErrInvalidInput] if it belongs to another environment or consumer, does not
// say to which, has no token and sid, or belongs to another account than the
// client's [Keeper] or its current session. A session of a service on this machine,
// such as the sandbox, never goes to a live one, nor the reverse.
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
		return invalid(op, "this is a session of "+s.named()+", and the client's keeper is of another: use one client for each")
	}
	now, ok := c.Session()
	if ok && !now.ended(c.now()) && (identity{ucc: upper(now.UCC)}).owns(s) == stranger {
		return invalid(op, "this is a session of "+s.named()+", and the client is logged in as another: use one client for each, or log out first")
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

// belongs says what is against using s with this client, whoever's it is.
func (c *Client) belongs(op string, s Session) error {
	from := s.Environment
	if from == "" {
		from = s.BaseURL
	}
	switch {
	case !s.usable():
		return invalid(op, "the session has no usable token and sid")
	case from != "" && local(from) && !local(c.place):
		return invalid(op, "this is a session of a service on this machine, "+shown(from)+", which is never sent to "+c.place)
	case from != "" && !local(from) && local(c.place):
		return invalid(op, "this is a session of "+shown(from)+", which is never sent to a service on this machine, "+c.place)
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

// place returns the one way of writing an environment that New has accepted.
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

// shown makes the environment of a saved session, which anybody may have
// written, fit for an error.
func shown(place string) string {
	if strings.Contains(place, "@") {
		return "[unreadable]"
	}
	return tidy(place, nil)
}

// fingerprint names a consumer without being its key.
func fingerprint(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:8])
}

// stopped is the error of a call whose context was over while it waited for
// something of ours. As with a request that was cancelled, errors.Is finds
// context.Canceled or context.DeadlineExceeded.
func stopped(ctx context.Context, op string) *Error {
	return &Error{Op: op, Category: ErrNetwork, Message: stoppedWaiting + tidy(context.Cause(ctx).Error(), nil), Err: errors.Join(ctx.Err(), context.Cause(ctx)), Retry: RetrySame}
}
