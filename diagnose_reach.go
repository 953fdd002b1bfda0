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
	"time"

	"neoapi/internal/bounded"
	"neoapi/internal/wire"
)

// A look is a request without an operation, and its outcome.
type look struct {
	d      *diagnosis
	host   string
	scheme string
	via    string // the proxy, if there is one
	way    route
	began  time.Time
	resp   *http.Response
	answer []byte
	err    error
}

// reach sends a service a request without an operation and without credentials, and
// reports how far it got: name, connection, certificate, answer.
func (d *diagnosis) reach(ctx context.Context, cfg Config, base string) (works bool) {
	l, err := d.look(ctx, cfg, base)
	if err != nil {
		d.add("name", VerdictFailed, "the environment is not a URL", "", invalid(opDiagnose, "the environment is not a URL"))
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
		hc.Transport = bounded.New()
	}
	l := &look{d: d, host: u.Hostname(), scheme: u.Scheme}
	if t, ok := hc.Transport.(*http.Transport); ok {
		t = t.Clone() // a new connection, so that every step is observed
		t.DisableKeepAlives = true
		hc.Transport = t
		if t.Proxy != nil {
			if proxy, err := t.Proxy(&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}}); err == nil && proxy != nil {
				l.via = proxy.Host
			}
		}
	}
	hc.Transport = bounded.Transport(hc.Transport)
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
		d.add("certificate", VerdictNote, l.host+" uses http: anyone on the way can read passwords and tokens", "use https", nil)
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
		d.add("service", VerdictFailed, e.Message, "check the base URL; a login page of the network may be in the way", e)
		return false
	case isPage(l.answer):
		d.add("service", VerdictNote, l.host+" answers with a web page",
			"if calls fail, a proxy, a firewall or a network's login page answers in the API's place, or the base URL is a website's", nil)
	default:
		d.add("service", VerdictGood, l.host+" answers", "", nil)
	}
	return true
}

// soon is how long before its expiry a certificate is reported.
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

// certificateProblem returns what is wrong with a certificate or its chain.
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
			missing += ", or the service does not send the intermediate certificates"
		}
		return fmt.Sprintf("the certificate is signed by %s: %s; %s", issuer(leaf), missing, ends), untrusted
	}
	return refused.Err.Error() + "; " + ends, untrusted
}
