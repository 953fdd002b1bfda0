//go:build linux

package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// waitsToWrite reports whether a process waits for a pipe to be read.
func waitsToWrite(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/wchan", pid))
	for _, path := range threads {
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), "pipe_write") {
			return true
		}
	}
	return false
}

// Commands whose output nobody reads, as of a pager that was left open, hold nothing
// that others wait for: neither each other, nor a service, nor its next start.
func TestCommands_whoseOutputNobodyReadsHoldUpNobody(t *testing.T) {
	stores(t, func(t *testing.T, database string) {
		s := startSandbox(t, database, 40)
		for i := range 5 {
			s.trading(t, demo(1+i))
		}
		file := filepath.Join(t.TempDir(), "accounts.csv")
		if err := os.WriteFile(file, []byte("ucc,user_id,mobile,name,password_hash\nZZ0001,zz0001,+919800000001,Asha,$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		commands := []string{
			"audit", "audit --json --follow", "audit --ucc " + demo(1).ucc, "account list", "account list --json", "account export --all",
			"account export " + demo(1).ucc, "account show " + demo(1).ucc, "account sessions " + demo(1).ucc,
			"consumer list", "consumer list --json", "key list", "key list --json", "consumer add --name one", "account lock " + demo(30).ucc,
			"account erase --yes " + demo(31).ucc, "account import " + file, "key rotate", "key rotate-master",
		}
		if database == "" {
			commands = append(commands, "backup --to "+filepath.Join(t.TempDir(), "copy.db"))
		}
		for _, command := range commands {
			_, w := narrowPipe(t)
			fill(t, w)
			args := append(strings.Fields(command), "--data="+s.dir)
			if database != "" {
				args = append(args, "--database="+database)
			}
			cmd := neo(args...)
			var problems strings.Builder
			cmd.Stdout, cmd.Stderr = w, &problems
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { _ = cmd.Wait(); close(ended) }()
			t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
			within(t, noisy(recoverWithin), "neo "+command+" prints, while those before it wait", func() bool {
				select {
				case <-ended:
					t.Fatalf("neo %s: %s", command, problems.String())
				default:
				}
				return waitsToWrite(cmd.Process.Pid)
			})
		}
		s.trading(t, demo(10))
		for _, change := range []string{"account lock " + demo(32).ucc, "account erase --yes " + demo(33).ucc, "consumer add --name two", "key rotate --another", "key rotate-master"} {
			if out, err := s.operator(strings.Fields(change)...); err != nil {
				t.Errorf("neo %s: %v %s", change, err, out)
			}
		}
		s.stop(t)
		s.start(t)
		s.trading(t, demo(11))
	})
}
