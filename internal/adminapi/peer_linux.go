package adminapi

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// peer returns the user on the other end of a socket.
func peer(conn *net.UnixConn) string {
	raw, err := conn.SyscallConn()
	if err != nil {
		return ""
	}
	var who *unix.Ucred
	var uerr error
	if err := raw.Control(func(fd uintptr) { who, uerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil || uerr != nil {
		return ""
	}
	return fmt.Sprintf("uid %d", who.Uid)
}
