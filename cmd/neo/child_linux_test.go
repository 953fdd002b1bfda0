package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// started runs a shell script by neo exec, which says when it is ready.
func started(t *testing.T, script string) (neo *exec.Cmd, out *watched) {
	t.Helper()
	session := filepath.Join(t.TempDir(), "session.json")
	if err := os.WriteFile(session, []byte(`{"token":"t","sid":"s"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	neo = exec.CommandContext(t.Context(), os.Args[0])
	neo.Args = []string{"neo", "exec", "--session", session, "--", "sh", "-c", script} // by which name TestMain knows it
	neo.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}                              // as a shell starts a job
	out = watching()
	neo.Stdout, neo.Stderr = out, out
	if err := neo.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-neo.Process.Pid, syscall.SIGKILL)
		_ = neo.Wait()
	})
	out.until(t, "ready")
	return neo, out
}

// Whatever signal somebody may send is the program's.
func TestExec_passesOnWhateverSignalIsSent(t *testing.T) {
	signals := map[string]syscall.Signal{
		"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "TERM": syscall.SIGTERM, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2,
		"ALRM": syscall.SIGALRM, "VTALRM": syscall.SIGVTALRM, "WINCH": syscall.SIGWINCH, "CONT": syscall.SIGCONT, "TSTP": syscall.SIGTSTP,
		"IO": syscall.SIGIO, "PWR": syscall.SIGPWR, "RTMIN+1": 35, "RTMAX": 64,
	}
	var traps strings.Builder
	for name, s := range signals {
		fmt.Fprintf(&traps, "trap 'echo got %s.' %d\n", name, s)
	}
	neo, out := started(t, traps.String()+"echo ready; while :; do sleep 0.05; done")
	for name, s := range signals {
		if err := neo.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		out.until(t, "got "+regexp.QuoteMeta(name)+`\.`)
	}
}

// state returns the letter for what a process does, as ps shows it.
func state(t *testing.T, pid string) string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), ") ")
	return after[:1]
}

// A job that is stopped stops as a whole, so that a shell sees it, and goes on as a whole.
func TestExec_stopsAndGoesOnWithItsProgram(t *testing.T) {
	// One process: a shell that starts another by vfork does not stop while that one,
	// stopped too, has not run its program yet.
	neo, out := started(t, "echo ready $$.; exec sleep 600")
	pid := out.until(t, `ready (\d+)\.$`)
	stopped := func(want bool) {
		t.Helper()
		late := time.Now().Add(patience)
		for _, p := range []string{fmt.Sprint(neo.Process.Pid), pid} {
			for (state(t, p) == "T") != want {
				if time.Now().After(late) {
					t.Fatalf("process %s is in state %s, want stopped: %v", p, state(t, p), want)
				}
				time.Sleep(time.Millisecond)
			}
		}
	}
	for range 2 {
		for _, whole := range []int{1, -1} { // neo alone, and the whole job as a terminal does
			if err := syscall.Kill(whole*neo.Process.Pid, syscall.SIGTSTP); err != nil {
				t.Fatal(err)
			}
			stopped(true)
			if err := syscall.Kill(whole*neo.Process.Pid, syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			stopped(false)
		}
	}
}
