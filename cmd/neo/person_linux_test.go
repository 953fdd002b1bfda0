package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

func init() { scriptCommands["person"] = cmdPerson }

// cmdPerson runs a command at a pseudo-terminal and answers what it asks. Each
// line of the file is a prompt as it appears and the answer after it; the shell
// expands the answer, so that it can be $(a command); ^C, ^D and ^\ are those keys. A person waits for the
// prompt and for the echo to be off before typing; a prompt that echoes fails the
// script, and so does a terminal that is left without echo. With a number before the file the
// command must end with that exit code. What the terminal showed becomes
// stderr, the command's standard output becomes stdout.
func cmdPerson(ts *testscript.TestScript, neg bool, args []string) {
	code := -1
	if n, err := strconv.Atoi(args[0]); err == nil {
		code, args = n, args[1:]
	}
	if len(args) < 2 {
		ts.Fatalf("usage: person [CODE] FILE CMD...")
	}
	master, slave, err := openTerminal()
	ts.Check(err)
	defer func() { _ = master.Close() }()

	cmd := command(ts, args[1], args[2:]...)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, &out, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	ts.Check(cmd.Start())
	screen := watching()
	read := make(chan struct{})
	go func() {
		_, _ = io.Copy(screen, master) // ends with an error when nobody has the other side open any more
		close(read)
	}()
	var failed error
	ended := make(chan struct{})
	go func() {
		failed = cmd.Wait()
		close(ended)
	}()

	problem := answer(ts, master, screen, ts.ReadFile(args[0]), ended)
	select {
	case <-ended:
		if problem == nil && !echoes(master) {
			problem = errors.New("the command left the terminal without echo")
		}
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		<-ended
		problem = errors.Join(problem, fmt.Errorf("the command still runs after %s", patience))
	}
	_ = slave.Close()
	<-read
	_, _ = io.WriteString(ts.Stdout(), out.String())
	_, _ = io.WriteString(ts.Stderr(), strings.ReplaceAll(screen.String(), "\r\n", "\n"))
	ts.Check(problem)
	if code >= 0 {
		if got := cmd.ProcessState.ExitCode(); got != code {
			ts.Fatalf("exit code %d, want %d", got, code)
		}
		return
	}
	if failed == nil == neg {
		ts.Fatalf("unexpected result: %v", failed)
	}
}

// keys are those that a terminal does not hand on as a character.
var keys = map[string]byte{"^C": 3, "^D": 4, `^\`: 28}

// answer types the answers of a dialogue, each when its prompt is there.
func answer(ts *testscript.TestScript, master *os.File, screen *watched, dialogue string, ended <-chan struct{}) error {
	seen := 0
	for _, line := range strings.Split(strings.TrimSpace(dialogue), "\n") {
		prompt, typed, found := strings.Cut(line, ":")
		if !found {
			return fmt.Errorf("dialogue: no prompt in %q", line)
		}
		prompt, typed = prompt+": ", strings.TrimSpace(typed)
		late := time.After(patience)
		for !strings.HasSuffix(screen.String()[seen:], prompt) || echoes(master) {
			select {
			case <-ended:
				return fmt.Errorf("the command ended before it asked %q", prompt)
			case <-late:
				return fmt.Errorf("the command does not ask %q without echo", prompt)
			case <-screen.more:
			case <-time.After(5 * time.Millisecond): // nothing tells when the echo goes off
			}
		}
		seen = len(screen.String())
		if key, ok := keys[typed]; ok {
			if _, err := master.Write([]byte{key}); err != nil {
				return err
			}
			continue
		}
		sh := exec.Command("sh", "-c", `printf '%s\n' "`+typed+`"`)
		sh.Env = environment(ts)
		text, err := sh.Output()
		if err != nil {
			return fmt.Errorf("dialogue: %q: %w", line, err)
		}
		if _, err := master.Write(text); err != nil {
			return err
		}
	}
	return nil
}

// echoes reports whether the terminal shows what is typed.
func echoes(master *os.File) bool {
	settings, err := unix.IoctlGetTermios(int(master.Fd()), unix.TCGETS)
	return err != nil || settings.Lflag&unix.ECHO != 0
}

// openTerminal opens a pseudo-terminal: the person's side and the program's.
func openTerminal() (master, slave *os.File, err error) {
	if master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		_ = master.Close()
		return nil, nil, err
	}
	return master, slave, nil
}
