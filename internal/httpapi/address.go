package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the proxies in front of the service: only they are trusted to report
// the client's address (security.md T6).
type Proxies []netip.Prefix

// ParseProxies parses addresses and networks, such as 10.0.0.7 and 2001:db8::/32, and
// returns every problem at once.
func ParseProxies(texts []string) (Proxies, error) {
	var p Proxies
	var problems []error
	for _, text := range texts {
		network, err := netip.ParsePrefix(text)
		if a, aerr := netip.ParseAddr(text); aerr == nil {
			a = bare(a)
			network, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		switch {
		case err != nil || network.Addr().Is4In6():
			err = fmt.Errorf("trusted proxy: %q is not an address or a network such as 10.0.0.0/8 or 2001:db8::/32", text)
		case network.Bits() == 0:
			err = fmt.Errorf("trusted proxy: %s would trust everyone: give the proxy's own address or network", text)
		case network != network.Masked():
			err = fmt.Errorf("trusted proxy: %s is an address within a network: write the address alone, or %s", text, network.Masked())
		}
		problems = append(problems, err)
		p = append(p, network)
	}
	return p, errors.Join(problems...)
}

func (p Proxies) has(a netip.Addr) bool {
	for _, network := range p {
		if network.Contains(a) {
			return true
		}
	}
	return false
}

// sent reports whether a request comes from a trusted proxy.
func (p Proxies) sent(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && p.has(bare(from.Addr()))
}

// address is the IP address that a request came from: the connection's, unless that
// is a trusted proxy's; then the one that the proxies name. What a client itself
// writes into those headers is to the left of what a proxy adds, and is never used.
func (p Proxies) address(r *http.Request) string {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	a := bare(from.Addr())
	if p.has(a) {
		if named, ok := p.named(r.Header); ok {
			a = named
		}
	}
	return a.String()
}

// named returns the right-most address of X-Forwarded-For that is not a trusted
// proxy's. Forwarded (RFC 7239) counts only where there is no X-Forwarded-For. An
// unreadable element ends the search from the right: it is not known who wrote what
// is to the left of it.
func (p Proxies) named(h http.Header) (netip.Addr, bool) {
	lines, read := h.Values("X-Forwarded-For"), node
	if len(lines) == 0 {
		lines, read = h.Values("Forwarded"), forwardedFor
	}
	list := strings.Join(lines, ",")
	for more := true; more; {
		var last string
		list, last, more = cutLast(list, ',')
		if a, ok := read(last); !ok || !p.has(a) {
			return a, ok
		}
	}
	return netip.Addr{}, false
}

// forwardedFor reads the for parameter of one element of a Forwarded header.
func forwardedFor(element string) (a netip.Addr, ok bool) {
	for more := true; more; {
		var pair string
		element, pair, more = cutLast(element, ';')
		name, value, _ := strings.Cut(pair, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "for") {
			continue
		}
		if ok { // two of them
			return a, false
		}
		value = strings.TrimSpace(value)
		if len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
			value = value[1 : len(value)-1] // an address contains no backslash
		}
		if a, ok = node(value); !ok {
			return a, false
		}
	}
	return a, ok
}

// node reads an address, with or without a port; IPv6 may be in brackets.
func node(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if with, err := netip.ParseAddrPort(text); err == nil {
		return bare(with.Addr()), true
	}
	inner, bracket := strings.CutPrefix(text, "[")
	if bracket {
		inner, bracket = strings.CutSuffix(inner, "]")
		if !bracket || !strings.Contains(inner, ":") {
			return netip.Addr{}, false
		}
	}
	a, err := netip.ParseAddr(inner)
	return bare(a), err == nil
}

// bare returns the canonical form of an address: IPv4 not as IPv6, and without the
// zone, which has a meaning on one host only.
func bare(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// cutLast cuts a list at its last separator outside quotes. It reads from the right,
// so that an unclosed quote on the left does no harm.
func cutLast(list string, separator byte) (before, last string, found bool) {
	quoted := false
	for i := len(list) - 1; i >= 0; i-- {
		switch list[i] {
		case '"':
			unescaped := strings.TrimRight(list[:i], `\`)
			if (i-len(unescaped))%2 == 0 {
				quoted = !quoted
			}
		case separator:
			if !quoted {
				return list[:i], list[i+1:], true
			}
		}
	}
	return "", list, false
}
