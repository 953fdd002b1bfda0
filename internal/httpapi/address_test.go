package httpapi

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// asked returns the address that a request from remote, with pairs of header
// names and values, is taken to come from.
func (p Proxies) asked(remote string, pairs ...string) string {
	r := &http.Request{RemoteAddr: remote, Header: http.Header{}}
	for i := 0; i < len(pairs); i += 2 {
		r.Header.Add(pairs[i], pairs[i+1])
	}
	return p.address(r)
}

func behind(t interface{ Fatal(...any) }, texts ...string) Proxies {
	p, err := ParseProxies(texts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const (
	xff = "X-Forwarded-For"
	rfc = "Forwarded"
	hop = "10.0.0.1:4711" // a trusted proxy's connection
)

func TestClientAddress_isTheOneThatATrustedProxyNames(t *testing.T) {
	p := behind(t, "10.0.0.0/8", "192.0.2.7", "2001:db8:aaaa::/48", "::ffff:192.0.2.8", "fe80::1%eth0")
	for name, x := range map[string]struct {
		remote string
		pairs  []string
		want   string
	}{
		"no header":                            {hop, nil, "10.0.0.1"},
		"one address":                          {hop, []string{xff, "203.0.113.9"}, "203.0.113.9"},
		"a client that is no proxy":            {"203.0.113.1:1", []string{xff, "203.0.113.9", rfc, "for=203.0.113.9"}, "203.0.113.1"},
		"what the client sent comes first":     {hop, []string{xff, "6.6.6.6, 203.0.113.9"}, "203.0.113.9"},
		"in a line of its own":                 {hop, []string{xff, "6.6.6.6", xff, "203.0.113.9"}, "203.0.113.9"},
		"two proxies":                          {hop, []string{xff, "6.6.6.6, 203.0.113.9, 10.1.1.1,192.0.2.7"}, "203.0.113.9"},
		"the last line is a proxy's":           {hop, []string{xff, "6.6.6.6,203.0.113.9", xff, "2001:db8:aaaa::1"}, "203.0.113.9"},
		"proxies all the way":                  {hop, []string{xff, "10.9.9.9, 192.0.2.7"}, "10.0.0.1"},
		"an address beside the network":        {hop, []string{xff, "203.0.113.9, 192.0.2.6"}, "192.0.2.6"},
		"a proxy named as mapped IPv4":         {"192.0.2.8:1", []string{xff, "203.0.113.9"}, "203.0.113.9"},
		"a proxy named with its zone":          {"[fe80::1%eth1]:1", []string{xff, "203.0.113.9"}, "203.0.113.9"},
		"a proxy's connection as mapped IPv4":  {"[::ffff:10.0.0.1]:1", []string{xff, "203.0.113.9"}, "203.0.113.9"},
		"a client's connection as mapped IPv4": {"[::ffff:203.0.113.1]:1", nil, "203.0.113.1"},
		"a client's connection with a zone":    {"[fe80::2%eth0]:1", nil, "fe80::2"},
		"mapped IPv4":                          {hop, []string{xff, "::ffff:203.0.113.9"}, "203.0.113.9"},
		"a mapped proxy among them":            {hop, []string{xff, "203.0.113.9, ::ffff:10.1.1.1"}, "203.0.113.9"},
		"IPv6":                                 {hop, []string{xff, "2001:DB8:0::9"}, "2001:db8::9"},
		"IPv6 in brackets":                     {hop, []string{xff, "[2001:db8::9]"}, "2001:db8::9"},
		"IPv6 with a port":                     {hop, []string{xff, "[2001:db8::9]:443"}, "2001:db8::9"},
		"IPv6 with a zone":                     {hop, []string{xff, "fe80::9%eth0"}, "fe80::9"},
		"IPv4 with a port":                     {hop, []string{xff, "203.0.113.9:443"}, "203.0.113.9"},
		"spaces and tabs":                      {hop, []string{xff, "6.6.6.6 ,\t 203.0.113.9\t "}, "203.0.113.9"},

		"an empty header":               {hop, []string{xff, ""}, "10.0.0.1"},
		"nothing at the end":            {hop, []string{xff, "203.0.113.9,"}, "10.0.0.1"},
		"nothing before a proxy":        {hop, []string{xff, "203.0.113.9, , 10.1.1.1"}, "10.0.0.1"},
		"a name":                        {hop, []string{xff, "example.com"}, "10.0.0.1"},
		"unknown":                       {hop, []string{xff, "203.0.113.9, unknown"}, "10.0.0.1"},
		"a name before a proxy":         {hop, []string{xff, "203.0.113.9, x, 10.1.1.1"}, "10.0.0.1"},
		"leading zeros":                 {hop, []string{xff, "203.0.113.009"}, "10.0.0.1"},
		"five numbers":                  {hop, []string{xff, "203.0.113.9.1"}, "10.0.0.1"},
		"a port that is none":           {hop, []string{xff, "203.0.113.9:x"}, "10.0.0.1"},
		"a port too large":              {hop, []string{xff, "203.0.113.9:65536"}, "10.0.0.1"},
		"a bracket too many":            {hop, []string{xff, "[203.0.113.9]"}, "10.0.0.1"},
		"a bracket that is not closed":  {hop, []string{xff, "[2001:db8::9"}, "10.0.0.1"},
		"a quoted address":              {hop, []string{xff, `"203.0.113.9"`}, "10.0.0.1"},
		"two addresses without a comma": {hop, []string{xff, "203.0.113.9 203.0.113.8"}, "10.0.0.1"},

		"Forwarded":                             {hop, []string{rfc, "for=203.0.113.9"}, "203.0.113.9"},
		"Forwarded in any case":                 {hop, []string{rfc, "For=203.0.113.9;PROTO=https"}, "203.0.113.9"},
		"Forwarded with more":                   {hop, []string{rfc, `by=10.0.0.1; for="203.0.113.9:80" ;host="a,b;for=6.6.6.6";proto=https`}, "203.0.113.9"},
		"Forwarded with a quoted quote":         {hop, []string{rfc, `for=203.0.113.9;host="\", for=6.6.6.6;by=\""`}, "203.0.113.9"},
		"Forwarded with a backslash at its end": {hop, []string{rfc, `for=203.0.113.9;host="a\\"`}, "203.0.113.9"},
		"Forwarded with IPv6":                   {hop, []string{rfc, `for="[2001:db8::9]:4711"`}, "2001:db8::9"},
		"Forwarded after a client's own":        {hop, []string{rfc, "for=6.6.6.6, for=203.0.113.9"}, "203.0.113.9"},
		"Forwarded after a client's open quote": {hop, []string{rfc, `for="6.6.6.6`, rfc, `for=203.0.113.9;host="a,b"`}, "203.0.113.9"},
		"Forwarded by two proxies":              {hop, []string{rfc, `for=203.0.113.9, for="[2001:db8:aaaa::2]"`}, "203.0.113.9"},
		"Forwarded that tells nothing":          {hop, []string{rfc, "proto=https"}, "10.0.0.1"},
		"Forwarded by somebody unknown":         {hop, []string{rfc, "for=unknown"}, "10.0.0.1"},
		"Forwarded by somebody hidden":          {hop, []string{rfc, `for="_gazonk"`}, "10.0.0.1"},
		"Forwarded twice in one element":        {hop, []string{rfc, "for=6.6.6.6;for=203.0.113.9"}, "10.0.0.1"},
		"Forwarded without a value":             {hop, []string{rfc, "for"}, "10.0.0.1"},
		"Forwarded with half a quote":           {hop, []string{rfc, `for="203.0.113.9`}, "10.0.0.1"},
		"an empty Forwarded":                    {hop, []string{rfc, ""}, "10.0.0.1"},
		"both, and they differ":                 {hop, []string{xff, "203.0.113.9", rfc, "for=203.0.113.8"}, "203.0.113.9"},
		"both, the first unreadable":            {hop, []string{xff, "x", rfc, "for=203.0.113.8"}, "10.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := p.asked(x.remote, x.pairs...); got != x.want {
				t.Errorf("%s, want %s", got, x.want)
			}
		})
	}
	if got := Proxies(nil).asked(hop, xff, "203.0.113.9"); got != "10.0.0.1" {
		t.Errorf("without trusted proxies: %s", got)
	}
}

func TestParseProxies_namesEveryBadOne(t *testing.T) {
	good := []string{"10.0.0.0/8", "::1", "2001:db8::/32", "127.0.0.1"}
	bad := []string{"0.0.0.0/0", "::/0", "10.0.0.1/8", "10.0.0.0/33", "example.com", "", "::ffff:10.0.0.0/104", "10.0.0.1:80", "10.0.0"}
	_, err := ParseProxies(append(bad, good...))
	if err == nil {
		t.Fatal("taken")
	}
	problems := strings.Split(err.Error(), "\n")
	if len(problems) != len(bad) {
		t.Errorf("%d problems, want %d:\n%v", len(problems), len(bad), err)
	}
	for i, text := range bad[:len(problems)] {
		if !strings.HasPrefix(problems[i], "trusted proxy: ") || !strings.Contains(problems[i], text) {
			t.Errorf("%q: %s", text, problems[i])
		}
	}
	if p := behind(t, good...); len(p) != len(good) {
		t.Errorf("%d of %d", len(p), len(good))
	}
}

// FuzzClientAddress: whatever a client sends itself, a proxy's word stands.
func FuzzClientAddress(f *testing.F) {
	for _, sent := range []string{"", "6.6.6.6", "10.0.0.1", `"`, `\`, `for="a`, `for=6.6.6.6;host="\"`, ",", "for=10.0.0.1, for=10.0.0.2", "[", "::1%"} {
		f.Add(sent)
	}
	p := behind(f, "10.0.0.0/8")
	const client = "203.0.113.9"
	f.Fuzz(func(t *testing.T, sent string) {
		for _, x := range []struct{ remote, header, added string }{
			{hop, xff, client},
			{hop, xff, client + ", 10.2.3.4"},
			{hop, rfc, `for="` + client + `:1";host="a,b;c"`},
			{hop, rfc, "for=" + client + `, for="10.2.3.4";by=10.0.0.1`},
			{client + ":1", xff, ""},
			{client + ":1", rfc, ""},
		} {
			ways := [][]string{{x.header, sent, x.header, x.added}, {x.header, sent + ", " + x.added}}
			if x.added == "" {
				ways = [][]string{{x.header, sent}}
			}
			for _, pairs := range ways {
				if got := p.asked(x.remote, pairs...); got != client {
					t.Fatalf("%q: %s", pairs, got)
				}
			}
			// The other header is not looked at where X-Forwarded-For is.
			if got := p.asked(hop, xff, client, rfc, sent); got != client {
				t.Fatalf("Forwarded: %q: %s", sent, got)
			}
			// Whatever is named is an address as it is always written.
			if a, err := netip.ParseAddr(p.asked(hop, x.header, sent)); err != nil || a != bare(a) {
				t.Fatalf("%q: %s, %v", sent, a, err)
			}
		}
	})
}

func TestClientAddress_isTheRightMostStrangerOfAnyChain(t *testing.T) {
	p := behind(t, "10.0.0.0/8", "2001:db8::/32")
	address := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) netip.Addr {
			return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "v4")))
		}),
		rapid.Custom(func(t *rapid.T) netip.Addr {
			return netip.AddrFrom4([4]byte(append([]byte{10}, rapid.SliceOfN(rapid.Byte(), 3, 3).Draw(t, "proxy")...)))
		}),
		rapid.Custom(func(t *rapid.T) netip.Addr {
			return netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "v6")))
		}),
		rapid.Custom(func(t *rapid.T) netip.Addr {
			return netip.AddrFrom16([16]byte(append([]byte{0x20, 0x01, 0x0d, 0xb8}, rapid.SliceOfN(rapid.Byte(), 12, 12).Draw(t, "proxy6")...)))
		}),
	)
	rapid.Check(t, func(t *rapid.T) {
		chain := rapid.SliceOfN(address, 1, 6).Draw(t, "chain")
		want := "10.0.0.1"
		var plain, standard []string
		for _, a := range chain {
			if !p.has(bare(a)) {
				want = bare(a).String()
			}
			port := netip.AddrPortFrom(a, 443).String()
			standard = append(standard, `for="`+port+`";proto=https`)
			if rapid.Bool().Draw(t, "with a port") {
				plain = append(plain, port)
			} else {
				plain = append(plain, a.String())
			}
		}
		separator := rapid.SampledFrom([]string{",", ", ", " ,\t"}).Draw(t, "separator")
		if got := p.asked(hop, xff, strings.Join(plain, separator)); got != want {
			t.Errorf("%s: %s, want %s", plain, got, want)
		}
		if got := p.asked(hop, rfc, strings.Join(standard, separator)); got != want {
			t.Errorf("%s: %s, want %s", standard, got, want)
		}
	})
}
