package login

import (
	"strings"
	"testing"
)

func TestNetworks_allowWhatIsWithinThem(t *testing.T) {
	networks, err := ParseNetworks(" 203.0.113.0/24  198.51.100.7 2001:db8:5::/48\n2001:db8:6::9 ::ffff:192.0.2.9 ")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := networks.String(), "203.0.113.0/24 198.51.100.7 2001:db8:5::/48 2001:db8:6::9 192.0.2.9"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for address, want := range map[string]bool{
		"203.0.113.200": true, "198.51.100.7": true, "2001:db8:5:1::9": true, "2001:db8:6::9": true, "::ffff:203.0.113.5": true,
		"2001:db8:5::1%eth0": true, "192.0.2.9": true, "::ffff:192.0.2.9": true,
		"203.0.114.1": false, "198.51.100.8": false, "2001:db8:6::1": false, "192.0.2.1": false, "": false, "nonsense": false,
	} {
		if got := networks.Allow(address); got != want {
			t.Errorf("%q: %v", address, got)
		}
		if !Networks(nil).Allow(address) {
			t.Errorf("%q is refused where all are allowed", address)
		}
	}
}

func TestParseNetworks_namesEveryWrongOne(t *testing.T) {
	_, err := ParseNetworks("203.0.113.7/24 home ::ffff:10.0.0.0/104 10.0.0.0/33 fe80::1%eth0 10.0.0.0/8")
	for _, want := range []string{
		"203.0.113.7/24 is an address within a network: write the address alone, or 203.0.113.0/24", `"home" is not an address`,
		`"::ffff:10.0.0.0/104" is no`, `"10.0.0.0/33" is no`, `"fe80::1%eth0" is no`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %s", err, want)
		}
	}
	if err != nil && strings.Contains(err.Error(), "10.0.0.0/8") {
		t.Errorf("%v: names a good one", err)
	}
	if _, err := ParseNetworks(strings.Repeat("10.0.0.1 ", MaxNetworks+1)); err == nil {
		t.Error("any number of networks is taken")
	}
}
