// Package courier has the ways to send one-time codes to a person: SMS gateways by
// webhook, and mail servers.
//
// Start with [Load].
package courier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/outward"
)

// The time that one try of a courier may take, and the time that all tries of all
// couriers may take for one message.
const (
	defaultTimeout = 3 * time.Second
	longest        = 22 * time.Second
)

// Couriers are the couriers of a file, in its order. They implement [login.Courier]
// and are safe for concurrent use.
type Couriers struct {
	all []*carrier
	log *slog.Logger
}

var _ login.Courier = (*Couriers)(nil)

// A carrier is a courier and its health.
type carrier struct {
	name    string
	timeout time.Duration
	way     way
	breaker *outward.Breaker

	mu     sync.Mutex
	failed int       // codes in a row that it could not deliver
	since  time.Time // of the first of them
	cause  error     // of the last
}

// note records the outcome of sending a code. A code that was refused, given up
// because the service is ending, or not tried says nothing about the courier's
// health.
func (x *carrier) note(err error, now time.Time) {
	if errors.Is(err, login.ErrRefused) || errors.Is(err, context.Canceled) || errors.Is(err, outward.ErrOpen) {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.cause = err; err == nil {
		x.failed = 0
		return
	}
	if x.failed++; x.failed == 1 {
		x.since = now
	}
}

// health returns why the courier did not deliver its last code, or nil.
func (x *carrier) health() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.failed == 0 {
		return nil
	}
	since := x.since.In(login.IST).Format(time.RFC3339)
	if x.failed == 1 {
		return fmt.Errorf("%s could not deliver the last code, at %s: %w", x.name, since, x.cause)
	}
	return fmt.Errorf("%s could not deliver the last %d codes, since %s: %w", x.name, x.failed, since, x.cause)
}

// A way delivers messages: a webhook or a mail server.
type way interface {
	// reaches reports whether the account has the address that the courier needs.
	reaches(a login.Account) bool
	send(ctx context.Context, m login.Message) error
}

// A file is the content of the couriers file: see docs/couriers.md.
type file struct {
	Couriers []entry `yaml:"couriers"`
}

type entry struct {
	Name    string        `yaml:"name"`
	Timeout time.Duration `yaml:"timeout"`
	Webhook *webhookEntry `yaml:"webhook"`
	SMTP    *smtpEntry    `yaml:"smtp"`
}

// Load reads a couriers file and returns all of its problems at once. It does not
// contact the couriers: one that is down is noticed when it is used.
func Load(path string, log *slog.Logger) (*Couriers, error) {
	var f file
	open, err := outward.Load(path, &f)
	if err != nil {
		return nil, fmt.Errorf("couriers: %w", err)
	}
	c := &Couriers{log: log}
	var problems []error
	if len(f.Couriers) == 0 {
		problems = append(problems, fmt.Errorf("couriers: %s: lists no couriers", path))
	}
	var all time.Duration
	seen := map[string]bool{}
	for i, e := range f.Couriers {
		what := fmt.Sprintf("couriers: %s: ", e.Name)
		switch {
		case !login.IsCourierName(e.Name):
			what = fmt.Sprintf("couriers: number %d: ", i+1)
			problems = append(problems, errors.New(what+"name: must be up to 32 small letters, digits and dashes"))
		case seen[e.Name]:
			problems = append(problems, errors.New(what+"duplicate name"))
		}
		seen[e.Name] = true
		e.beside(path)
		w, secret, errs := e.way()
		if secret && open {
			errs = append(errs, fmt.Errorf("%s is readable by other users and holds a secret: put the secret into a file of its own (secrets:), or run chmod 600", path))
		}
		if e.Timeout == 0 {
			e.Timeout = defaultTimeout
		}
		if e.Timeout < 100*time.Millisecond {
			errs = append(errs, errors.New("timeout: must be a time such as 5s"))
		}
		all += 2*e.Timeout + time.Second
		for _, err := range errs {
			problems = append(problems, fmt.Errorf("%s%w", what, err))
		}
		c.all = append(c.all, &carrier{name: e.Name, timeout: e.Timeout, way: w, breaker: outward.NewBreaker(true)})
	}
	if all > longest {
		problems = append(problems, fmt.Errorf("couriers: tried one after the other, twice each, they may take %s: shorten the timeouts, to %s at most in all", all, longest))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return c, nil
}

// beside makes the names of the entry's files relative to the file of couriers.
func (e entry) beside(path string) {
	if e.SMTP != nil {
		outward.Beside(path, &e.SMTP.CA, &e.SMTP.PasswordFile)
	}
	if e.Webhook != nil {
		outward.Beside(path, &e.Webhook.CA)
		for name, file := range e.Webhook.Secrets {
			outward.Beside(path, &file)
			e.Webhook.Secrets[name] = file
		}
	}
}

// way returns the courier that an entry describes, and whether the entry itself contains a secret.
func (e entry) way() (w way, secret bool, problems []error) {
	switch {
	case (e.Webhook == nil) == (e.SMTP == nil):
		return nil, false, []error{errors.New("must have either webhook or smtp")}
	case e.Webhook != nil:
		return e.Webhook.way()
	}
	w, problems = e.SMTP.way()
	return w, false, problems
}

// of returns the couriers for an account: those that it prefers, in its order, or
// all; of these the ones that can reach it.
func (c *Couriers) of(a login.Account) (all []*carrier) {
	candidates := c.all
	if len(a.Couriers) > 0 {
		candidates = nil
		for _, name := range a.Couriers { // couriers that no longer exist are skipped
			if i := slices.IndexFunc(c.all, func(x *carrier) bool { return x.name == name }); i >= 0 {
				candidates = append(candidates, c.all[i])
			}
		}
	}
	for _, x := range candidates {
		if x.way.reaches(a) {
			all = append(all, x)
		}
	}
	return all
}

// Ready implements [login.Courier].
func (c *Couriers) Ready(a login.Account) error {
	all := c.of(a)
	if len(all) == 0 {
		if len(a.Couriers) > 0 { // perhaps mistyped: neo account set does not know the file
			return fmt.Errorf("no courier can reach this account, which allows only %s", strings.Join(a.Couriers, ", "))
		}
		return errors.New("no courier can reach this account")
	}
	for _, x := range all {
		if !x.breaker.Open() {
			return nil
		}
	}
	return errors.New("every courier that can reach this account is down")
}

// Send implements [login.Courier]: the account's couriers are tried one after the
// other until one has taken the message.
func (c *Couriers) Send(ctx context.Context, m login.Message) error {
	problems := []error{}
	for _, x := range c.of(m.Account) {
		err := x.breaker.Do(ctx, x.timeout, func(ctx context.Context) error { return x.way.send(ctx, m) })
		x.note(err, m.Now)
		if err == nil {
			c.log.InfoContext(ctx, "code sent", "courier", x.name, "sid", m.SID)
			return nil
		}
		c.log.WarnContext(ctx, "courier failed", "courier", x.name, "sid", m.SID, "cause", err)
		problems = append(problems, fmt.Errorf("%s: %w", x.name, err))
		if ctx.Err() != nil {
			break
		}
	}
	if len(problems) == 0 {
		return errors.New("no courier can reach this account")
	}
	return errors.Join(problems...)
}

// Health returns an error that names the couriers that could not deliver their last
// code, or nil if there are none. The others still deliver codes.
func (c *Couriers) Health() error {
	var problems []error
	for _, x := range c.all {
		problems = append(problems, x.health())
	}
	return errors.Join(problems...)
}

// Failures returns for each courier how many codes in a row it could not deliver.
func (c *Couriers) Failures() map[string]int {
	all := map[string]int{}
	for _, x := range c.all {
		x.mu.Lock()
		all[x.name] = x.failed
		x.mu.Unlock()
	}
	return all
}
