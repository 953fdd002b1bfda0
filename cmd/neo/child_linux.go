package main

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

func init() {
	passedOn = append(passedOn, syscall.SIGPWR, syscall.SIGTSTP,
		syscall.SIGCHLD) // not passed on: it reports that the program has stopped
	for s := syscall.Signal(35); s <= 64; s++ { // SIGRTMIN+1 to SIGRTMAX: 34 is the C library's in some places
		passedOn = append(passedOn, s)
	}
}

// endsWithUs makes the kernel end the program if this process is killed, after which
// it cannot pass on signals.
func endsWithUs(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} }

// A stopper stops this process when its program stops after a SIGTSTP, so that a
// shell sees its job stopped. If the program ignores the signal, we continue too.
type stopper struct{ asked bool }

// passes reports whether to pass a signal on to the program.
func (st *stopper) passes(s os.Signal, pid int) bool {
	switch s {
	case syscall.SIGTSTP:
		st.asked = true
	case syscall.SIGCONT:
		st.asked = false
	}
	if st.asked && hasStopped(pid) { // it got the signal from the terminal, or from us
		st.asked = false
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) // until SIGCONT
		return false
	}
	return s != syscall.SIGCHLD && !ofTerminal(s)
}

// hasStopped reports whether a child of this process is stopped.
func hasStopped(pid int) bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, pid, &info, unix.WSTOPPED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err == nil && syscall.Signal(info.Signo) == syscall.SIGCHLD // otherwise it has not stopped
}
