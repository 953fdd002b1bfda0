package adminapi

import (
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"neoapi/internal/browser"
	"neoapi/internal/front"
	"neoapi/internal/login"
)

// An operator's browser presents the operator's certificate by itself, whichever page
// causes a request, and a socket forwarded to a port can be reached by pages too. So
// requests from pages of another origin are refused, and so are those for a host that
// is not ours, as after DNS rebinding. Changes must be sent as JSON, which a page
// cannot do without asking, and a change that cannot be undone must be named twice.

// foreign returns why to refuse a request that a page may have made a browser send.
func (c Config) foreign(r *http.Request) error {
	if browser.CrossOrigin(r) != nil {
		return &front.Refusal{Status: http.StatusForbidden, Detail: "a browser sent this for a page of another origin: nothing was done"}
	}
	host := browser.Host(r)
	if slices.ContainsFunc(c.Hosts, func(x string) bool { return strings.EqualFold(x, host) }) || c.own(r, host) {
		return nil
	}
	return &front.Refusal{Status: http.StatusForbidden, Detail: "the Host header names no host of this address: nothing was done; allow it with neo serve --admin-host NAME"}
}

// own reports whether a host is allowed without being listed: over the network, the
// address connected to and the names in the service's certificate; over the socket,
// hosts that no stranger can register.
func (c Config) own(r *http.Request, host string) bool {
	if strings.HasPrefix(c.Address, socket) {
		return browser.Unregistrable(host)
	}
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		if ip, err := netip.ParseAddr(host); err == nil && ip.Unmap() == at.AddrPort().Addr().Unmap() {
			return true
		}
	}
	if named, _, err := net.SplitHostPort(c.Address); err == nil && named != "" && strings.EqualFold(named, host) {
		return true
	}
	shown, err := c.TLS.GetCertificate(&tls.ClientHelloInfo{})
	return err == nil && shown.Leaf != nil && shown.Leaf.VerifyHostname(host) == nil
}

// checkHosts names every invalid host.
func checkHosts(hosts []string) error {
	var problems []error
	for _, host := range hosts {
		if host == "" || strings.ContainsAny(host, "/[]@ ") || strings.Contains(host, ":") && !isAddress(host) {
			problems = append(problems, fmt.Errorf("admin host: %q must be a name or an address, without a port", host))
		}
	}
	return errors.Join(problems...)
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// unsent returns why to refuse a change because of how it was sent: it must be JSON,
// even without a body.
func unsent(r *http.Request, body []byte) error {
	switch {
	case r.Method == http.MethodGet, r.Method == http.MethodDelete && len(body) == 0:
		return nil
	case len(r.Header.Values("Content-Type")) == 1:
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && kind == "application/json" {
			return nil
		}
	}
	return &front.Refusal{Status: http.StatusUnsupportedMediaType, Detail: "send it as Content-Type: application/json, also without a body"}
}

// again requires a body that repeats the name in the path, for changes that cannot be
// undone.
func again(field string, f func(*request) (any, error)) func(*request) (any, error) {
	return func(r *request) (any, error) {
		wrong := &front.Refusal{Status: http.StatusBadRequest, Detail: fmt.Sprintf(`this cannot be undone: repeat in the body what the path names, as {"%s":"…"}`, field)}
		if len(r.body) == 0 {
			return nil, wrong
		}
		named, err := r.secret(field)
		if err != nil {
			return nil, err
		}
		if string(named) != r.args[0] && (field != "ucc" || !sameUCC(string(named), r.args[0])) {
			return nil, wrong
		}
		return f(r)
	}
}

func sameUCC(a, b string) bool {
	x, xerr := login.ParseIdentifier(login.ByUCC, a)
	y, yerr := login.ParseIdentifier(login.ByUCC, b)
	return xerr == nil && yerr == nil && x.Value == y.Value
}
