package main

import (
	"os/exec"
	"syscall"
)

// endsWithUs has the kernel end a program when this process is killed, and so can
// pass nothing on any more.
func endsWithUs(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} }
