package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// A listening is where a service listens, as its clients see it.
type listening struct {
	at   string // host and port that work on this machine
	open bool   // other machines can reach it
}

// reachable returns how to reach a service that listens at an address. An unspecified
// address, which means all of the machine's, is not one to connect to.
func reachable(a *net.TCPAddr) listening {
	ip, _ := netip.AddrFromSlice(a.IP)
	ip = ip.Unmap().WithZone(a.Zone)
	x := listening{netip.AddrPortFrom(ip, uint16(a.Port)).String(), !ip.IsLoopback()}
	if ip.IsValid() && !ip.IsUnspecified() {
		x.at = strings.ReplaceAll(x.at, "%", "%25") // the zone of an address
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

// warning returns what it means that other machines can reach a sandbox, or "".
func (x listening) warning(listen string) string {
	if !x.open {
		return ""
	}
	_, port, _ := net.SplitHostPort(x.at)
	return "warning: this sandbox listens at " + listen + ": anyone on the network can log in to it, because its secrets are public. To keep it to this machine: --listen 127.0.0.1:" + port
}

// A listenAt is an address to listen at, and the setting it comes from.
type listenAt struct{ setting, address string }

// checkAddress returns what is wrong with the form of an address. "" means not set.
func checkAddress(x listenAt) error {
	if x.address == "" && x.setting != "listen" {
		return nil
	}
	_, port, err := net.SplitHostPort(x.address)
	if err != nil {
		return fmt.Errorf("%s: %q must be a host and a port, such as 127.0.0.1:9155", x.setting, x.address)
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return fmt.Errorf("%s: %q is not a port: give a number from 0 to 65535", x.setting, port)
	}
	return nil
}

// checkShared refuses an address that another setting already uses. --listen is ignored
// if systemd holds the socket.
func checkShared(x listenAt, others ...listenAt) error {
	var problems []error
	for _, y := range others {
		if shared(x.address, y.address) && (y.setting != "listen" || os.Getenv("LISTEN_FDS") == "") {
			problems = append(problems, fmt.Errorf("%s: %s is already taken by %s: give another port", x.setting, x.address, y.setting))
		}
	}
	return errors.Join(problems...)
}

// shared reports whether two addresses have a port of a host in common.
func shared(a, b string) bool {
	hostA, nameA, errA := net.SplitHostPort(a)
	hostB, nameB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil {
		return false
	}
	portA, errA := net.LookupPort("tcp", nameA)
	portB, errB := net.LookupPort("tcp", nameB)
	if errA != nil || errB != nil || portA != portB || portA == 0 { // port 0 is a free one
		return false
	}
	ipA, allA := hostOf(hostA)
	ipB, allB := hostOf(hostB)
	return allA || allB || ipA == ipB
}

// hostOf returns an address or a name in canonical form, and whether it means all
// addresses of the machine.
func hostOf(host string) (one string, all bool) {
	if host == "" {
		return "", true
	}
	if strings.EqualFold(host, "localhost") {
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return strings.ToLower(host), false
	}
	ip = ip.Unmap()
	return ip.String(), ip.IsUnspecified()
}
