package main

import (
	"bytes"
	"errors"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

func init() { scriptCommands["screen"] = cmdScreen }

// cmdScreen runs a command whose standard output is a terminal of so many columns.
// What it showed there becomes stdout, with \e for the escape character.
func cmdScreen(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: screen COLUMNS CMD...")
	}
	columns, err := strconv.ParseUint(args[0], 10, 16)
	ts.Check(err)
	master, slave, err := openTerminal()
	ts.Check(err)
	defer func() { _ = master.Close() }()
	ts.Check(unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: uint16(columns)}))
	cmd := command(ts, args[1], args[2:]...)
	var problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = slave, &problems
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	ts.Check(cmd.Start())
	_ = slave.Close()
	var shown bytes.Buffer
	_, _ = io.Copy(&shown, master) // ends with an error when the command has ended
	err = cmd.Wait()
	_, _ = io.WriteString(ts.Stdout(), strings.NewReplacer("\r\n", "\n", "\x1b", `\e`).Replace(shown.String()))
	_, _ = io.WriteString(ts.Stderr(), problems.String())
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Check(err)
	}
	if (err != nil) != neg {
		ts.Fatalf("unexpected result: %v", err)
	}
}
