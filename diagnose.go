package neoapi

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"neoapi/internal/paste"
	"neoapi/internal/wire"
)

// A Subject is what [Diagnose] looks at beside the [Config]; what is left empty is
// not looked at. It prints as a fixed text.
type Subject struct {
	Mobile, UCC, PAN string  // by their forms alone
	Session          Session // a saved one; without a token there is none
}

// A Verdict is how one check of [Diagnose] ended.
type Verdict string

// The verdicts.
const (
	VerdictGood    Verdict = "ok"
	VerdictNote    Verdict = "note"    // works, but somebody should know
	VerdictFailed  Verdict = "FAILED"  // a login or a call will fail
	VerdictSkipped Verdict = "skipped" // could not be looked at; Detail says why
)

// A Finding is what one check of [Diagnose] found. It holds no secret: of a UCC it
// shows the ends.
type Finding struct {
	Check   string  `json:"check"` // setting, name, connection, certificate, service, clock, access token, session, address
	Verdict Verdict `json:"verdict"`
	Detail  string  `json:"detail"`
	Hint    string  `json:"hint,omitempty"` // what a person can do
	Err     error   `json:"-"`              // of what has failed, for errors.Is with a category; or nil
}

// Diagnose finds out why a login or a call fails, or that it should not: whether
// the settings have the right form, the service can be reached, its certificate is
// trusted, this machine's clock agrees with it, it gives an access token, it knows
// the session, and from which address it sees this program come. Nobody is logged
// in and no code is used up. Of a failed check those that build on it are skipped.
//
// The findings may be shown to others: they hold no secret.
func Diagnose(ctx context.Context, cfg Config, about Subject) []Finding {
	d := &diagnosis{now: cfg.clock(), ucc: about.UCC, secrets: []string{cfg.ConsumerSecret, cfg.AccessToken, cfg.ConsumerKey, about.PAN, about.Session.Token}}
	at, problems := cfg.check()
	d.settings(cfg, about, problems)
	hosts := at.hosts(cfg)
	if len(hosts) == 0 {
		d.add("name", VerdictSkipped, "there is no service to look for: see the settings", "", nil)
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
		d.add("access token", VerdictSkipped, "the settings must be put right first", "", nil)
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
	dated   bool // skew is known
}

func (d *diagnosis) add(check string, v Verdict, detail, hint string, err error) {
	d.found = append(d.found, Finding{check, v, detail, hint, err})
}

// fail adds an *Error's finding.
func (d *diagnosis) fail(check string, err error) {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		d.add(check, VerdictFailed, tidy(err.Error(), d.secrets), "", err)
		return
	}
	plain := *e
	plain.Hint = ""
	d.add(check, VerdictFailed, strings.TrimPrefix(plain.Error(), "neoapi: "), e.Hint, err)
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

// count tells of a setting how long it is, by which a part that was not copied shows.
func count(name, s string) string {
	return fmt.Sprintf("%s (length %d)", name, utf8.RuneCountInString(s))
}

// A route is what happens on the way to a service. Its hooks may be called at any
// time and from anywhere.
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

// reachTime is how long one service may take to answer a request that asks for nothing.
const reachTime = 10 * time.Second

// A look is a request that asks a service for nothing, and what came of it.
type look struct {
	d      *diagnosis
	host   string
	scheme string
	via    string // the proxy, if it goes through one
	way    route
	began  time.Time
	resp   *http.Response
	answer []byte
	err    error
}

// reach asks a service for nothing, without credentials, and reports how far that
// went: name, connection, certificate, answer.
func (d *diagnosis) reach(ctx context.Context, cfg Config, base string) (works bool) {
	l, err := d.look(ctx, cfg, base)
	if err != nil {
		d.add("name", VerdictFailed, "the environment is no URL", "", invalid(opDiagnose, "the environment is no URL"))
		return false
	}
	l.way.mu.Lock()
	defer l.way.mu.Unlock()
	if l.via != "" {
		d.add("connection", VerdictNote, "calls to "+l.host+" go through the proxy "+l.via, "", nil)
	}
	return l.name() && l.connection() && l.certificate() && l.service()
}

func (d *diagnosis) look(ctx context.Context, cfg Config, base string) (*look, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	hc := http.Client{}
	if cfg.HTTPClient != nil {
		hc = *cfg.HTTPClient
	}
	if hc.Transport == nil {
		hc.Transport = http.DefaultTransport
	}
	l := &look{d: d, host: u.Hostname(), scheme: u.Scheme}
	if t, ok := hc.Transport.(*http.Transport); ok {
		t = t.Clone() // a connection of our own, so that each part of the way is seen
		t.DisableKeepAlives = true
		hc.Transport = t
		if t.Proxy != nil {
			if proxy, err := t.Proxy(&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}}); err == nil && proxy != nil {
				l.via = proxy.Host
			}
		}
	}
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	hc.Timeout = reachTime
	ctx = httptrace.WithClientTrace(ctx, l.way.trace())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+wire.Path(wire.OpAccessToken, wire.Gen1PROD), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", cmp.Or(cfg.UserAgent, "neoapi-go"))
	l.began = d.now()
	if l.resp, l.err = hc.Do(req); l.err == nil {
		l.answer, _ = io.ReadAll(io.LimitReader(l.resp.Body, maxText))
		l.resp.Body.Close()
	}
	return l, nil
}

// fail adds the request's error as the finding of a check.
func (l *look) fail(check string) bool {
	text := seal(l.err, l.d.secrets)
	e := &Error{Op: opDiagnose, Category: ErrNetwork, Message: text.Error(), Err: text, Retry: RetrySame}
	e.Hint = hintFor(e, circumstances{method: http.MethodGet})
	l.d.add(check, VerdictFailed, l.host+": "+e.Message, e.Hint, e)
	return false
}

func (l *look) name() bool {
	switch _, ip := netip.ParseAddr(l.host); {
	case l.way.dnsErr != nil:
		return l.fail("name")
	case len(l.way.addresses) > 0 && l.via == "" && ip != nil:
		l.d.add("name", VerdictGood, l.host+" is "+strings.Join(l.way.addresses, ", "), "", nil)
	}
	return true
}

func (l *look) connection() bool {
	switch {
	case l.way.connected != "":
		l.d.add("connection", VerdictGood, fmt.Sprintf("%s answers after %s", l.way.connected, l.way.took.Round(100*time.Microsecond)), "", nil)
	case l.err != nil:
		return l.fail("connection")
	}
	return true
}

func (l *look) certificate() bool {
	d := l.d
	if l.way.tlsErr != nil {
		problem, hint := certificateProblem(l.way.tlsErr)
		problem = tidy(problem, d.secrets)
		d.add("certificate", VerdictFailed, l.host+": "+problem, hint,
			&Error{Op: opDiagnose, Category: ErrNetwork, Message: problem, Hint: hint, Err: seal(l.way.tlsErr, d.secrets), Retry: RetryNever})
		return false
	}
	switch {
	case l.way.tls != nil && len(l.way.tls.PeerCertificates) > 0:
		d.certificate(l.host, l.way.tls)
	case l.scheme == "http" && !loopback(l.host):
		d.add("certificate", VerdictNote, l.host+" is called by http: everybody on the way reads passwords and tokens", "use https", nil)
	}
	return true
}

func (l *look) service() bool {
	d, resp := l.d, l.resp
	if l.err != nil {
		return l.fail("service")
	}
	if date := resp.Header.Get("Date"); date != "" && !d.dated {
		if _, err := http.ParseTime(date); err == nil {
			d.skew, d.dated = skew(resp, l.began, d.now()), true
		}
	}
	switch {
	case resp.StatusCode >= 500:
		e := &Error{Op: opDiagnose, Category: categorise(opAccessToken, resp.StatusCode, ""), Status: resp.StatusCode, Message: "the service is down, or in maintenance", Retry: RetryLater}
		d.add("service", VerdictFailed, fmt.Sprintf("%s answers %d: %s", l.host, resp.StatusCode, e.Message), "wait some minutes", e)
		return false
	case resp.StatusCode/100 == 3:
		e := invalid(opDiagnose, l.host+" redirects elsewhere, which is not followed")
		d.add("service", VerdictFailed, e.Message, "check the base URL; or a login page of the network is in the way", e)
		return false
	case isPage(l.answer):
		d.add("service", VerdictNote, l.host+" answers with a web page",
			"if calls fail: a proxy, a firewall or the login page of a network answers in the API's place, or the base URL is a website's", nil)
	default:
		d.add("service", VerdictGood, l.host+" answers", "", nil)
	}
	return true
}

// soon is how long before its end a certificate is worth a note.
const soon = 14 * 24 * time.Hour

func (d *diagnosis) certificate(host string, s *tls.ConnectionState) {
	leaf := s.PeerCertificates[0]
	left := time.Until(leaf.NotAfter)
	detail := fmt.Sprintf("%s: %s, signed by %s, ends %s (in %d days)", host, tls.VersionName(s.Version), tidy(issuer(leaf), nil), leaf.NotAfter.In(ist).Format(time.DateOnly), int(left/(24*time.Hour)))
	switch {
	case len(s.VerifiedChains) == 0:
		d.add("certificate", VerdictNote, detail+"; it was not verified", "leave verification on, and add the service's own root certificate", nil)
	case left < soon:
		d.add("certificate", VerdictNote, detail, "it ends soon: the service's operator has to renew it", nil)
	default:
		d.add("certificate", VerdictGood, detail, "", nil)
	}
}

func issuer(c *x509.Certificate) string {
	return cmp.Or(c.Issuer.CommonName, strings.Join(c.Issuer.Organization, ", "), "an unnamed issuer")
}

// certificateProblem says what is wrong with a certificate or its chain.
func certificateProblem(err error) (problem, hint string) {
	refused, ok := errors.AsType[*tls.CertificateVerificationError](err)
	if !ok {
		return "TLS failed: " + err.Error(), "does the service speak TLS on this port? with http in its place, give http://"
	}
	leaf := &x509.Certificate{}
	if len(refused.UnverifiedCertificates) > 0 {
		leaf = refused.UnverifiedCertificates[0]
	}
	const moment = "2006-01-02 15:04:05 MST"
	ends := "it ends " + leaf.NotAfter.In(ist).Format(time.DateOnly)
	if bad, ok := errors.AsType[x509.CertificateInvalidError](err); ok && bad.Reason == x509.Expired {
		if now := time.Now(); now.Before(leaf.NotBefore) {
			return "the certificate is valid from " + leaf.NotBefore.In(ist).Format(moment) + " on", "this machine's clock is wrong, or the certificate is new"
		}
		return "the certificate ended " + leaf.NotAfter.In(ist).Format(moment), "the service's operator has to renew it; or this machine's clock is wrong"
	}
	if bad, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Sprintf("the certificate is for %s, not for %s; %s", cmp.Or(strings.Join(leaf.DNSNames, ", "), "another name"), bad.Host, ends), "check the base URL's spelling"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		missing := "its issuer is not trusted"
		if len(refused.UnverifiedCertificates) == 1 && leaf.Issuer.String() != leaf.Subject.String() {
			missing += ", or the service does not send the certificates between"
		}
		return fmt.Sprintf("the certificate is signed by %s: %s; %s", issuer(leaf), missing, ends), untrusted
	}
	return refused.Err.Error() + "; " + ends, untrusted
}

// clock judges the clock by the first answer that had a Date.
func (d *diagnosis) clock() {
	switch {
	case !d.dated:
		d.add("clock", VerdictSkipped, "no answer had a Date", "", nil)
	case d.skew.Abs() > skewed:
		d.add("clock", VerdictFailed, "your clock is "+inWords(d.skew)+" the service's", "TOTP will fail until it is right: switch time synchronisation on", nil)
	default:
		d.add("clock", VerdictGood, "within "+max(d.skew.Abs(), time.Second).Round(time.Second).String()+" of the service's", "", nil)
	}
}

// access asks for an access token, if there is what it takes.
func (d *diagnosis) access(ctx context.Context, c *Client, cfg Config) (works bool) {
	switch {
	case cfg.AccessToken != "":
		d.add("access token", VerdictSkipped, "one is given, which is used as it is", "", nil)
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

// session judges a saved session as Restore does, and then has the service do so.
// given says that an access token was given, which then is as old as the session.
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
	ends := "when it ends is not known"
	if end := s.Ends(); !end.IsZero() {
		ends = "ends " + end.In(ist).Format("2006-01-02 15:04:05 MST") + " (in " + end.Sub(d.now()).Round(time.Second).String() + ")"
	}
	whose := "a session of " + ending(s.UCC) + ", " + ends
	if d.ucc != "" && byUCC(d.ucc).owns(s) == stranger {
		d.add("session", VerdictNote, "the saved session is not of the account "+ending(d.ucc), "log in to another profile or file for that account", nil)
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

// ending shows of a name no more than its owner needs to know it again.
func ending(name string) string {
	if len(name) < 6 {
		return "…"
	}
	return name[:2] + "…" + name[len(name)-2:]
}
