package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// A program is one that neo exec or neo sandbox runs, with its arguments.
type program struct {
	path string
	args []string
}

// findProgram finds the program given after --. If it cannot be run, the error has
// the exit code that a shell uses.
func findProgram(command []string) (program, error) {
	path, err := exec.LookPath(command[0])
	switch {
	case err == nil:
		return program{path, command}, nil
	case (errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist)) && !onPath(command[0]):
		return program{}, notRun{fmt.Errorf("cannot run %s: there is no such program", command[0]), exitNotFound}
	}
	return program{}, cannotRun(command[0], err)
}

// onPath reports whether PATH has a file of this name, which is then not executable,
// because exec.LookPath skipped it.
func onPath(name string) bool {
	if strings.ContainsRune(name, filepath.Separator) {
		return false
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	return false
}

func cannotRun(name string, err error) error {
	var why *exec.Error
	var path *fs.PathError
	switch {
	case errors.As(err, &path):
		err = path.Err
	case errors.As(err, &why):
		err = why.Err
	}
	if errors.Is(err, exec.ErrNotFound) {
		err = fs.ErrPermission
	}
	return notRun{fmt.Errorf("cannot run %s: %w", name, err), exitNotExecutable}
}

// run runs the program as if it had been started in place of this one: it has the same input and outputs,
// signals sent to us are passed on to it, we stop and continue with it, and we exit with its exit code.
// run returns when the program has ended; when the context is done it asks the program to end, with
// SIGTERM.
func (p program) run(ctx context.Context, t *terminal, env []string) error {
	// With Pdeathsig the program ends with the thread that started it, so the thread must live as long.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	signals := make(chan os.Signal, 64) // room for one of each kind
	for _, s := range passedOn {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	defer signal.Stop(signals)
	cmd := exec.Command(p.path, p.args[1:]...)
	cmd.Args[0] = p.args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = t.in, under(t.out), under(t.err), env
	endsWithUs(cmd)
	if err := cmd.Start(); err != nil {
		return cannotRun(p.args[0], err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	over := ctx.Done()
	var stops stopper
	for {
		select {
		case s := <-signals:
			if stops.passes(s, cmd.Process.Pid) {
				_ = cmd.Process.Signal(s)
			}
		case <-over:
			_ = cmd.Process.Signal(syscall.SIGTERM)
			over = nil
		case err := <-done:
			var exit *exec.ExitError
			if !errors.As(err, &exit) {
				return err
			}
			if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
				return exitError(exitSignal + int(status.Signal()))
			}
			return exitError(exit.ExitCode())
		}
	}
}
