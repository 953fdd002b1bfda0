package main

import (
	"net"
	"strconv"
	"strings"
	"testing"
)

func TestASandboxSaysWhereItIsReachedAndByWhom(t *testing.T) {
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
