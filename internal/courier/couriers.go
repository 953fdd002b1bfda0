package courier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/outward"
)

// The time that one try of a courier may take, and what all couriers may take for
// one message, every try included.
const (
	defaultTimeout = 3 * time.Second
	longest        = 22 * time.Second
)

// Couriers are those of a file, in its order. They implement [login.Courier] and
// are safe for concurrent use.
type Couriers struct {
	all []*carrier
	log *slog.Logger
}

var _ login.Courier = (*Couriers)(nil)

// A carrier is one courier with what is known of how it does.
type carrier struct {
	name    string
	timeout time.Duration
	way     way
	breaker *outward.Breaker
}

// A way is what carries a message: a webhook or a mail server.
type way interface {
	// reaches tells whether the account has what the way needs.
	reaches(a login.Account) bool
	send(ctx context.Context, m login.Message) error
}

// A file is what the file of couriers holds: see docs/couriers.md.
type file struct {
	Couriers []entry `yaml:"couriers"`
}

type entry struct {
	Name    string        `yaml:"name"`
	Timeout time.Duration `yaml:"timeout"`
	Webhook *webhookEntry `yaml:"webhook"`
	SMTP    *smtpEntry    `yaml:"smtp"`
}

// Load reads a file of couriers and names every problem of it at once. It calls
// nobody: a courier that is down is found out when it is needed.
func Load(path string, log *slog.Logger) (*Couriers, error) {
	var f file
	open, err := outward.Load(path, &f)
	if err != nil {
		return nil, fmt.Errorf("couriers: %w", err)
	}
	c := &Couriers{log: log}
	var problems []error
	if len(f.Couriers) == 0 {
		problems = append(problems, fmt.Errorf("couriers: %s: names none", path))
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
			problems = append(problems, errors.New(what+"stands there twice"))
		}
		seen[e.Name] = true
		e.beside(path)
		w, secret, errs := e.way()
		if secret && open {
			errs = append(errs, fmt.Errorf("others may read %s, which holds a secret: put that into a file of its own (secrets:), or run chmod 600 on it", path))
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
		c.all = append(c.all, &carrier{e.Name, e.Timeout, w, outward.NewBreaker(true)})
	}
	if all > longest {
		problems = append(problems, fmt.Errorf("couriers: one after the other, each tried twice, they may take %s: give shorter timeouts, so that it is %s at most", all, longest))
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

// way returns what an entry describes, and whether it holds a secret itself.
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
		for _, name := range a.Couriers { // one that is not there any more is passed over
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
			return fmt.Errorf("no courier can reach this account, which wants none but %s", strings.Join(a.Couriers, ", "))
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

// Health names the couriers that are left alone for a while because they failed; nil
// if there are none. The others still carry codes.
func (c *Couriers) Health() error {
	var problems []error
	for _, x := range c.all {
		if x.breaker.Open() {
			problems = append(problems, fmt.Errorf("%s has failed %d times in a row", x.name, outward.Failures))
		}
	}
	return errors.Join(problems...)
}
