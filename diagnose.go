package neoapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"neoapi/internal/paste"
)

// A Subject is what [Diagnose] checks besides the [Config]. Empty fields are not
// checked. It prints as a fixed text.
type Subject struct {
	Mobile, UCC, PAN string  // only their form is checked
	Session          Session // a saved session; none if it has no token
}

// A Verdict is how one check of [Diagnose] ended.
type Verdict string

// The verdicts.
const (
	VerdictGood    Verdict = "ok"
	VerdictNote    Verdict = "note"    // works, but is worth knowing
	VerdictFailed  Verdict = "FAILED"  // a login or a call will fail
	VerdictSkipped Verdict = "skipped" // could not be checked; Detail says why
)

// A Finding is the result of one check of [Diagnose]. It contains no secrets; of a
// UCC it shows only both ends.
type Finding struct {
	Check   string  `json:"check"` // setting, name, connection, certificate, service, clock, access token, session, address
	Verdict Verdict `json:"verdict"`
	Detail  string  `json:"detail"`
	Hint    string  `json:"hint,omitempty"` // what a person can do
	Err     error   `json:"-"`              // the failure, for errors.Is with a category; or nil
}

// Diagnose finds out why a login or a call fails. It checks the form of the settings,
// that the service can be reached, its certificate, this machine's clock against the
// service's, that the service issues an access token and knows the session, and which
// address the service sees. It does not log in and uses up no code. Checks that
// depend on a failed one are skipped.
//
// The findings contain no secrets, so they can be shared. Diagnose is safe for concurrent use.
func Diagnose(ctx context.Context, cfg Config, about Subject) []Finding {
	d := &diagnosis{now: cfg.clock(), ucc: about.UCC, secrets: []string{cfg.ConsumerSecret, cfg.AccessToken, cfg.ConsumerKey, about.PAN, about.Session.Token}}
	at, problems := cfg.check()
	d.settings(cfg, about, problems)
	hosts := at.hosts(cfg)
	if len(hosts) == 0 {
		d.add("name", VerdictSkipped, "no service is configured: see the settings", "", nil)
		return d.found
	}
	works := true
	for _, host := range hosts {
		works = d.reach(ctx, cfg, host) && works
	}
	d.clock()
	client, err := New(cfg)
	switch {
	case err != nil:
		d.add("access token", VerdictSkipped, "the settings must be corrected first", "", nil)
	case !works:
		d.add("access token", VerdictSkipped, "the service must be reachable first", "", nil)
		d.session(ctx, client, about.Session, false, false)
	default:
		works = d.access(ctx, client, cfg)
		d.session(ctx, client, about.Session, works, cfg.AccessToken != "")
	}
	return d.found
}

// hosts returns the base URLs that a login with cfg talks to.
func (at service) hosts(cfg Config) (all []string) {
	add := func(base string) {
		for _, known := range all {
			if base == "" || known == base {
				return
			}
		}
		if base != "" {
			all = append(all, base)
		}
	}
	if cfg.ConsumerSecret != "" && cfg.AccessToken == "" {
		add(at.access)
	}
	if cfg.ConsumerSecret != "" || cfg.AccessToken != "" {
		add(at.gen1)
	}
	add(at.totp)
	return all
}

// A diagnosis is what has been found so far.
type diagnosis struct {
	now     func() time.Time
	ucc     string // whose session it should be, or ""
	secrets []string
	found   []Finding
	skew    time.Duration
	dated   bool // whether whether skew is known
}

func (d *diagnosis) add(check string, v Verdict, detail, hint string, err error) {
	d.found = append(d.found, Finding{check, v, detail, hint, err})
}

// fail adds an *Error's finding. The check's name is not repeated, nor the operation,
// which the check implies.
func (d *diagnosis) fail(check string, err error) {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		d.add(check, VerdictFailed, tidy(err.Error(), d.secrets), "", err)
		return
	}
	plain := *e
	plain.Hint = ""
	said := strings.TrimPrefix(plain.Error(), "neoapi: "+e.Op+": ")
	if facts, twice := strings.CutPrefix(said, check+" ("); twice { // the category has the check's name
		said = "refused (" + facts
	}
	d.add(check, VerdictFailed, said, e.Hint, err)
}

func (d *diagnosis) settings(cfg Config, about Subject, misconfiguration []Problem) {
	for _, p := range misconfiguration {
		d.add("setting", VerdictFailed, p.Field+" "+p.Text, "", misconfigured(opDiagnose, []Problem{p}))
	}
	var problems []string
	if about.Mobile != "" {
		if _, problem := mobileNumber(about.Mobile); problem != "" {
			problems = append(problems, problem)
		}
	}
	if about.UCC != "" {
		switch ucc, err := paste.UCC(about.UCC); {
		case err != nil:
			problems = append(problems, "the UCC "+err.Error())
		case strings.Trim(ucc, "0123456789") == "":
			d.add("setting", VerdictNote, "the UCC has digits alone", "is it the numeric client code? the UCC is what the broker's app shows under that name", nil)
		}
	}
	if about.PAN != "" {
		if _, err := paste.PAN(about.PAN); err != nil {
			problems = append(problems, "the PAN "+err.Error())
		}
	}
	for _, problem := range problems {
		d.add("setting", VerdictFailed, problem, "", invalid(opDiagnose, problem))
	}
	if len(problems)+len(misconfiguration) == 0 {
		given := "no consumer key"
		if cfg.ConsumerKey != "" {
			given = count("consumer key", cfg.ConsumerKey)
		}
		if cfg.ConsumerSecret != "" {
			given += ", " + count("secret", cfg.ConsumerSecret)
		}
		if cfg.AccessToken != "" {
			given += ", access token"
		}
		d.add("setting", VerdictGood, "environment "+cfg.Environment.host()+", "+given, "", nil)
	}
}

const opDiagnose = "diagnose"

// count describes a setting by its length, which reveals an incomplete copy.
func count(name, s string) string {
	return fmt.Sprintf("%s (length %d)", name, utf8.RuneCountInString(s))
}

// A route records what happens on the way to a service. Its hooks may be called at
// any time and from any goroutine.
type route struct {
	mu        sync.Mutex
	addresses []string
	dnsErr    error
	connected string // where to
	took      time.Duration
	began     time.Time
	tls       *tls.ConnectionState
	tlsErr    error
}

func (r *route) trace() *httptrace.ClientTrace {
	guarded := func(f func()) {
		r.mu.Lock()
		defer r.mu.Unlock()
		f()
	}
	return &httptrace.ClientTrace{
		DNSDone: func(i httptrace.DNSDoneInfo) {
			guarded(func() {
				r.dnsErr = i.Err
				for _, a := range i.Addrs {
					r.addresses = append(r.addresses, a.String())
				}
			})
		},
		ConnectStart: func(_, _ string) { guarded(func() { r.began = time.Now() }) },
		ConnectDone: func(_, addr string, err error) {
			guarded(func() {
				if err == nil && r.connected == "" {
					r.connected, r.took = addr, time.Since(r.began)
				}
			})
		},
		TLSHandshakeDone: func(s tls.ConnectionState, err error) {
			guarded(func() { r.tls, r.tlsErr = &s, err })
		},
	}
}

// reachTime is how long a service may take to answer a request without an operation.
const reachTime = 10 * time.Second

// clock checks the clock by the first answer that had a Date.
func (d *diagnosis) clock() {
	switch {
	case !d.dated:
		d.add("clock", VerdictSkipped, "no answer had a Date header", "", nil)
	case d.skew.Abs() > skewed:
		d.add("clock", VerdictFailed, "your clock is "+inWords(d.skew)+" the service's", "TOTP will fail until it is right: switch time synchronisation on", nil)
	default:
		d.add("clock", VerdictGood, "within "+max(d.skew.Abs(), time.Second).Round(time.Second).String()+" of the service's", "", nil)
	}
}

// access requests an access token, if the settings allow it.
func (d *diagnosis) access(ctx context.Context, c *Client, cfg Config) (works bool) {
	switch {
	case cfg.AccessToken != "":
		d.add("access token", VerdictSkipped, "the given one is used as it is", "", nil)
	case cfg.ConsumerSecret == "":
		d.add("access token", VerdictSkipped, "there is no consumer secret; a login by TOTP and MPIN needs none", "", nil)
	default:
		if _, err := c.AccessToken(ctx); err != nil {
			d.fail("access token", err)
			return false
		}
		c.mu.Lock()
		expires := c.access.expires
		c.mu.Unlock()
		detail := "the service gives one"
		if !expires.IsZero() {
			detail += ", for " + expires.Sub(d.now()).Round(time.Second).String()
		}
		d.add("access token", VerdictGood, detail, "", nil)
	}
	return true
}

// session checks a saved session as Restore does, and then asks the service. given
// reports that an access token was given, which then is as old as the session.
func (d *diagnosis) session(ctx context.Context, c *Client, s Session, works, given bool) {
	if s.Token == "" {
		d.add("session", VerdictSkipped, "none is saved", "", nil)
		d.add("address", VerdictSkipped, "only a session can ask for it", "", nil)
		return
	}
	if err := c.Restore(s); err != nil {
		d.fail("session", err)
		d.add("address", VerdictSkipped, "only a session can ask for it", "", nil)
		return
	}
	ends := "its end is not known"
	if end := s.Ends(); !end.IsZero() {
		ends = "ends " + end.In(ist).Format("2006-01-02 15:04:05 MST") + " (in " + end.Sub(d.now()).Round(time.Second).String() + ")"
	}
	whose := "a session of " + ending(s.UCC) + ", " + ends
	if d.ucc != "" && byUCC(d.ucc).owns(s) == stranger {
		d.add("session", VerdictNote, "the saved session does not belong to the account "+ending(d.ucc), "log in to another profile or file for that account", nil)
	}
	if !works {
		d.add("session", VerdictNote, whose+"; the service could not be asked", "", nil)
		d.add("address", VerdictSkipped, "the service could not be asked", "", nil)
		return
	}
	addr, err := c.ClientIP(ctx)
	switch {
	case err == nil:
		d.add("session", VerdictGood, whose+"; the service knows it", "", nil)
		d.add("address", VerdictGood, "the service sees you come from "+addr.String(), "", nil)
	case errors.Is(err, ErrSessionEnded), errors.Is(err, ErrWrongToken):
		d.fail("session", err)
		d.add("address", VerdictSkipped, "only a session can ask for it", "", nil)
	case errors.Is(err, ErrAccessToken) && given:
		d.add("session", VerdictFailed, whose+"; the service does not know the access token that came with it",
			"log in again: the access token has expired, or the service was set up again and has forgotten the session", err)
		d.add("address", VerdictSkipped, "only a session can ask for it", "", nil)
	case errors.Is(err, ErrIPNotAllowed):
		d.add("session", VerdictGood, whose, "", nil)
		d.fail("address", err)
	default:
		d.add("session", VerdictNote, whose+"; the service was asked and did not say whether it knows it", "", nil)
		d.fail("address", err)
	}
}

// ending shortens a name to what its owner needs to recognise it.
func ending(name string) string {
	if len(name) < 6 {
		return "…"
	}
	return name[:2] + "…" + name[len(name)-2:]
}
