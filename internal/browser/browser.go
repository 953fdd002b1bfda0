// Package browser recognises requests that another site's web page makes a browser
// send: to servers on the browser's own machine, or to servers that ask for a
// certificate, which browsers present by themselves. Programs send no such requests.
package browser

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

var protection http.CrossOriginProtection // its zero value trusts no origin

// CrossOrigin returns an error if a browser reports that a page of another origin
// sent the request, also for requests that only read.
func CrossOrigin(r *http.Request) error {
	unsafe := *r
	unsafe.Method = http.MethodPost
	return protection.Check(&unsafe)
}

// Host returns the host that a request is for, without its port.
func Host(r *http.Request) string {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// reserved are the domains in which no name can be registered (RFC 6761, and ICANN's
// resolution 2024.07.29.06).
var reserved = []string{".localhost", ".test", ".internal"}

// Unregistrable reports whether no stranger can register a host: it is an address, a
// name without a domain, or in a reserved domain. A page on a name that its owner
// points at a person's machine (DNS rebinding) is on none of these.
func Unregistrable(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil || !strings.Contains(host, ".") {
		return true
	}
	for _, domain := range reserved {
		if strings.HasSuffix(host, domain) {
			return true
		}
	}
	return false
}

// AtHome reports whether a request was sent to the machine's own address, where only
// local programs and pages in a local browser reach it.
func AtHome(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && local.IP.IsLoopback()
}
