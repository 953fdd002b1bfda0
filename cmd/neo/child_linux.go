package main

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

func init() {
	passedOn = append(passedOn, syscall.SIGPWR, syscall.SIGTSTP,
		syscall.SIGCHLD) // not passed on: it says that the program has stopped
	for s := syscall.Signal(35); s <= 64; s++ { // SIGRTMIN+1 to SIGRTMAX: 34 is the C library's in some places
		passedOn = append(passedOn, s)
	}
}

// endsWithUs has the kernel end a program when this process is killed, and so can
// pass nothing on any more.
func endsWithUs(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} }

// A stopper has this process stop when its program does after a SIGTSTP: then a shell
// sees that its job has stopped. A program that goes on in spite of it has us go on.
type stopper struct{ asked bool }

// passes reports whether a signal is to be passed on to the program.
func (st *stopper) passes(s os.Signal, pid int) bool {
	switch s {
	case syscall.SIGTSTP:
		st.asked = true
	case syscall.SIGCONT:
		st.asked = false
	}
	if st.asked && hasStopped(pid) { // it had the signal from the terminal, or from us
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
	return err == nil && syscall.Signal(info.Signo) == syscall.SIGCHLD // else there is nothing to tell
}
