package main

import (
	"net"
	"strconv"
	"strings"
	"testing"
)

func TestSandbox_saysWhereItIsReachedAndByWhom(t *testing.T) {
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	for ip, want := range map[string]struct {
		at   string
		open bool
	}{
		"127.0.0.1": {"127.0.0.1", false}, "127.0.0.9": {"127.0.0.9", false}, "::1": {"[::1]", false}, "::ffff:127.0.0.1": {"127.0.0.1", false},
		"0.0.0.0": {"127.0.0.1", true}, "::": {"127.0.0.1", true}, "": {"127.0.0.1", true}, "192.168.1.7": {"192.168.1.7", true}, "2001:db8::7": {"[2001:db8::7]", true},
	} {
		got := reachable(&net.TCPAddr{IP: net.ParseIP(ip), Port: port})
		if got.at != want.at+":"+strconv.Itoa(port) || got.open != want.open {
			t.Errorf("%q: %+v", ip, got)
		}
		if told := got.warning("there"); (told != "") != want.open || want.open && !strings.Contains(told, "anyone on the network can log in") {
			t.Errorf("%q: %s", ip, told)
		}
	}
}

// Two settings must not name one port of one host.
func TestListenAddresses_sharedOnlyIfOneTakesTheOther(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		a, b string
		want bool
	}{
		{"127.0.0.1:9155", "127.0.0.1:9155", true},
		{"127.0.0.1:9155", "127.0.0.1:9156", false},
		{"127.0.0.1:9155", "127.0.0.2:9155", false},
		{":9155", "127.0.0.1:9155", true},
		{"127.0.0.1:9155", "0.0.0.0:9155", true},
		{"[::]:9155", "127.0.0.1:9155", true},
		{"localhost:9155", "127.0.0.1:9155", true},
		{"[::ffff:127.0.0.1]:9155", "127.0.0.1:9155", true},
		{"a.example.com:80", "A.example.com:http", true},
		{"127.0.0.1:0", "127.0.0.1:0", false},
		{"127.0.0.1:9155", "", false},
		{"127.0.0.1:9155", "unix:/run/neo.sock", false},
		{"127.0.0.1:99999", "127.0.0.1:99999", false}, // which is no port
	} {
		if shared(x.a, x.b) != x.want || shared(x.b, x.a) != x.want {
			t.Errorf("%s and %s: shared is not %v", x.a, x.b, x.want)
		}
	}
}
