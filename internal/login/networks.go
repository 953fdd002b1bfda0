package login

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Networks are IPv4 and IPv6 networks from which a consumer may send. None means
// from everywhere.
type Networks []netip.Prefix

// MaxNetworks limits the networks to check for each request.
const MaxNetworks = 64

// ParseNetworks reads addresses and networks such as 203.0.113.7, 203.0.113.0/24 and
// 2001:db8::/48, separated by spaces, and returns every problem at once.
func ParseNetworks(text string) (Networks, error) {
	var all Networks
	var problems []error
	for _, word := range strings.Fields(text) {
		network, err := netip.ParsePrefix(word)
		if a, aerr := netip.ParseAddr(word); aerr == nil && a.Zone() == "" {
			a = a.Unmap()
			network, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		switch {
		case err != nil || network.Addr().Is4In6():
			problems = append(problems, fmt.Errorf("%q is not an address or a network such as 203.0.113.0/24 or 2001:db8::/48", word))
		case network != network.Masked():
			problems = append(problems, fmt.Errorf("%s is an address within a network: write the address alone, or %s", word, network.Masked()))
		default:
			all = append(all, network)
		}
	}
	if len(all) > MaxNetworks {
		problems = append(problems, fmt.Errorf("%d networks are too many: at most %d", len(all), MaxNetworks))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return all, nil
}

// String returns what ParseNetworks reads.
func (n Networks) String() string {
	words := make([]string, len(n))
	for i, network := range n {
		words[i] = network.String()
		if network.IsSingleIP() {
			words[i] = network.Addr().String()
		}
	}
	return strings.Join(words, " ")
}

// Allow reports whether an address, as in [Caller], may send.
func (n Networks) Allow(address string) bool {
	if len(n) == 0 {
		return true
	}
	a, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	a = a.Unmap().WithZone("")
	for _, network := range n {
		if network.Contains(a) {
			return true
		}
	}
	return false
}
