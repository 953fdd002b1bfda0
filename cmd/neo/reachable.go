package main

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// A listening is where a service listens, as those see it who are to reach it.
type listening struct {
	at   string // host and port that work on this machine
	open bool   // others than this machine reach it
}

// reachable says where a service is reached that listens at an address. One that stands
// for all of the machine's addresses is none to connect to.
func reachable(a *net.TCPAddr) listening {
	ip, _ := netip.AddrFromSlice(a.IP)
	ip = ip.Unmap().WithZone(a.Zone)
	x := listening{netip.AddrPortFrom(ip, uint16(a.Port)).String(), !ip.IsLoopback()}
	if ip.IsValid() && !ip.IsUnspecified() {
		x.at = strings.ReplaceAll(x.at, "%", "%25") // as addresses have a zone
		return x
	}
	x.at = net.JoinHostPort("127.0.0.1", strconv.Itoa(a.Port))
	if c, err := net.DialTimeout("tcp", x.at, time.Second); err == nil {
		_ = c.Close()
	} else { // a machine without IPv4
		x.at = net.JoinHostPort("::1", strconv.Itoa(a.Port))
	}
	return x
}

// warning says in plain words what it means that a sandbox is open, or "".
func (x listening) warning(listen string) string {
	if !x.open {
		return ""
	}
	_, port, _ := net.SplitHostPort(x.at)
	return "warning: this sandbox listens at " + listen + ": anyone on the network can log in to it, its secrets are public. To keep it to this machine: --listen 127.0.0.1:" + port
}
