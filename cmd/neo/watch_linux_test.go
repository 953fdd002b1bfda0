package main

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"neoapi/feed"
	"neoapi/internal/must"
	"neoapi/neoapitest"
	"neoapi/trade"
)

// A shownScreen is a terminal on which a test watches made-up updates.
type shownScreen struct {
	t       *testing.T
	master  *os.File
	shown   *watched
	updates chan feed.Update
	stop    context.CancelFunc
	done    chan error
}

// watchOn starts a live table of TCS and RELIANCE on a terminal of a size.
func watchOn(t *testing.T, rows, columns uint16, depth bool) *shownScreen {
	t.Helper()
	master, slave, err := openTerminal()
	must.Do(t, err)
	s := &shownScreen{t: t, master: master, shown: watching(), updates: make(chan feed.Update), done: make(chan error, 1)}
	s.resize(rows, columns)
	read := make(chan struct{})
	go func() {
		_, _ = io.Copy(s.shown, master)
		close(read)
	}()
	ctx, stop := context.WithCancel(t.Context())
	s.stop = stop
	w := watch[feed.Quote]{
		t: &terminal{out: slave, err: io.Discard}, what: "Quotes", columns: quoteColumns,
		key:    func(q feed.Quote) string { return q.Instrument.Token },
		forget: func(q feed.Quote) feed.Quote { return feed.Quote{Instrument: q.Instrument} },
	}
	if depth {
		w.lines = depthLines
	}
	w.put(feed.Quote{Instrument: tcs})
	w.put(feed.Quote{Instrument: reliance})
	go func() {
		defer slave.Close()
		s.done <- w.run(ctx, false, func(ctx context.Context) iter.Seq2[feed.Update, error] {
			return func(yield func(feed.Update, error) bool) {
				for {
					select {
					case u, ok := <-s.updates:
						if !ok {
							yield(nil, feed.ErrSessionEnded)
							return
						}
						if !yield(u, nil) {
							return
						}
					case <-ctx.Done():
						yield(nil, ctx.Err())
						return
					}
				}
			}
		}, func() error { return nil }, func(u feed.Update) (feed.Quote, bool) {
			q, ok := u.(feed.Quote)
			return q, ok
		})
	}()
	t.Cleanup(func() {
		stop()
		_ = master.Close()
		<-read
	})
	return s
}

var (
	tcs      = trade.Instrument{Segment: trade.NSE, Token: "11536", Symbol: "TCS-EQ"}
	reliance = trade.Instrument{Segment: trade.NSE, Token: "2885", Symbol: "RELIANCE-EQ"}
)

func (s *shownScreen) resize(rows, columns uint16) {
	s.t.Helper()
	must.Do(s.t, unix.IoctlSetWinsize(int(s.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}))
}

// frames are what was drawn, each as its lines.
func (s *shownScreen) frames() (all [][]string) {
	text := strings.ReplaceAll(s.shown.String(), "\r\n", "\n")
	for _, drawn := range strings.Split(text, "\x1b[H")[1:] {
		if end := strings.Index(drawn, "\x1b[K\x1b[J"); end >= 0 {
			all = append(all, strings.Split(drawn[:end], "\x1b[K\n"))
		}
	}
	return all
}

// until waits for a frame with a text in it, and returns it.
func (s *shownScreen) until(text string) []string {
	s.t.Helper()
	late := time.After(patience)
	for {
		if all := s.frames(); len(all) > 0 && strings.Contains(strings.Join(all[len(all)-1], "\n"), text) {
			return all[len(all)-1]
		}
		select {
		case <-s.shown.more:
		case <-late:
			s.t.Fatalf("%q is not shown: %q", text, s.shown.String())
		}
	}
}

// left waits for the end and checks that the terminal is as it was before.
func (s *shownScreen) left() error {
	s.t.Helper()
	err := <-s.done
	text := s.shown.String()
	for late := time.After(patience); !strings.HasSuffix(text, leaveScreen); text = s.shown.String() {
		select {
		case <-s.shown.more:
		case <-late:
			s.t.Fatalf("the terminal is left as %q", text[max(0, len(text)-200):])
		}
	}
	if !strings.HasPrefix(text, enterScreen) || strings.Count(text, enterScreen) != strings.Count(text, leaveScreen) {
		s.t.Errorf("it does not leave the screen that it entered: %q", text)
	}
	if on, off := strings.Count(text, "\x1b[32m")+strings.Count(text, "\x1b[31m"), strings.Count(text, "\x1b[0m"); on != off {
		s.t.Errorf("%d colours begin and %d end", on, off)
	}
	return err
}

func quoteOf(i trade.Instrument, last, close string) feed.Quote {
	q := feed.Quote{Instrument: i, Level: feed.Depth, At: time.Now(), Received: time.Now()}
	q.Last, _ = trade.ParseRupees(last)
	q.PrevClose, _ = trade.ParseRupees(close)
	for n := range int64(5) {
		q.Bids = append(q.Bids, trade.Level{Price: q.Last, Quantity: 100 + n, Orders: 1})
		q.Asks = append(q.Asks, trade.Level{Price: q.Last, Quantity: 200 + n, Orders: 1})
	}
	return q
}

var sgr = regexp.MustCompile("\x1b\\[\\d+m")

// A table fits the terminal, whatever its size, also when that changes.
func TestWatch_drawsWithinTheTerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	for _, depth := range []bool{false, true} {
		s := watchOn(t, 24, 120, depth)
		s.updates <- quoteOf(tcs, "3500.10", "3490.00")
		s.updates <- quoteOf(reliance, "123456.75", "123457.00")
		s.until("1,23,456.75")
		for _, size := range [][2]uint16{{24, 80}, {24, 40}, {5, 40}, {24, 20}, {2, 11}, {1, 3}, {24, 200}} {
			before := len(s.frames())
			s.resize(size[0], size[1])
			must.Do(t, syscall.Kill(syscall.Getpid(), syscall.SIGWINCH))
			for late := time.After(patience); len(s.frames()) == before; {
				select {
				case <-s.shown.more:
				case <-late:
					t.Fatal("a new size is not drawn")
				}
			}
			all := s.frames()
			for _, lines := range all[before:] {
				if len(lines) > int(size[0]) {
					t.Errorf("%v: %d lines", size, len(lines))
				}
				for _, line := range lines {
					// What only the most important columns cannot be narrowed to, the terminal cuts.
					if n := utf8.RuneCountInString(sgr.ReplaceAllString(line, "")); n > max(int(size[1]), 40) {
						t.Errorf("%v: %d columns: %q", size, n, line)
					}
				}
			}
		}
		s.stop()
		if err := s.left(); err != nil {
			t.Errorf("Ctrl-C: %v", err)
		}
	}
}

// What is shown is what is known: after a loss nothing old is left, and the first line
// says so.
func TestWatch_showsALossAndNothingOld(t *testing.T) {
	t.Setenv("TERM", "xterm")
	s := watchOn(t, 24, 100, false)
	s.until("connecting")
	s.updates <- quoteOf(tcs, "3500.10", "3490.00")
	s.until("3,500.10")
	at := time.Date(2027, time.March, 2, 9, 30, 15, 0, trade.IST)
	s.updates <- feed.Lost{At: at, Err: errors.New("reset by the peer")}
	if shown := strings.Join(s.until("no connection since 09:30:15: reset by the peer"), "\n"); strings.Contains(shown, "3,500.10") {
		t.Errorf("an old price is shown: %q", shown)
	}
	s.updates <- feed.Gap{From: at, To: at.Add(2 * time.Second)}
	s.until("live; nothing is known from 09:30:15 to 09:30:17")
	s.updates <- quoteOf(tcs, "3501.00", "3490.00")
	s.until("3,501.00")
	s.updates <- feed.Missing{Instruments: []trade.Instrument{reliance}}
	s.until("nothing comes of RELIANCE-EQ")
	close(s.updates)
	if err := s.left(); exitCode(t.Context(), err) != exitRefused {
		t.Errorf("the session has ended: %v", err)
	}
}

// Colours are for those who want them.
func TestWatch_colours(t *testing.T) {
	t.Setenv("TERM", "xterm")
	for variable, want := range map[string]bool{"": true, "1": false} {
		t.Setenv("NO_COLOR", variable)
		s := watchOn(t, 24, 100, true)
		s.updates <- quoteOf(tcs, "3489.90", "3490.00")
		s.until("-0.10")
		s.stop()
		must.Do(t, s.left())
		if got := sgr.MatchString(s.shown.String()); got != want {
			t.Errorf("NO_COLOR=%s: colours: %v", strconv.Quote(variable), got)
		}
	}
}

// A terminal that cannot move its cursor gets a line for each update.
func TestWatch_aDumbTerminalGetsLines(t *testing.T) {
	t.Setenv("TERM", "dumb")
	s := watchOn(t, 24, 100, false)
	s.updates <- quoteOf(tcs, "3489.90", "3490.00")
	s.updates <- feed.Lost{At: time.Now(), Err: errors.New("reset")}
	s.stop()
	must.Do(t, <-s.done)
	for late := time.After(patience); strings.Count(s.shown.String(), "\n") < 2; {
		select {
		case <-s.shown.more:
		case <-late:
			t.Fatalf("%q", s.shown.String())
		}
	}
	if text := s.shown.String(); strings.Contains(text, "\x1b") || !strings.HasPrefix(text, "TCS-EQ  nse_cm  3,489.90  -0.10") || !strings.Contains(text, "no connection since") {
		t.Errorf("%q", text)
	}
}

// Ctrl-Z leaves the screen to the shell, and fg takes it again; SIGTERM and Ctrl-\ leave it
// too.
func TestWatch_leavesTheScreenToTheShell(t *testing.T) {
	t.Parallel()
	needs(t, "bash")
	must.Do(t, asShipped())
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(0))
	dir := t.TempDir()
	must.Do(t, os.WriteFile(dir+"/secrets", []byte(srv.Account.Password+"\n"+srv.Account.MPIN+"\n"), 0o600))
	env := append(os.Environ(), "HOME="+dir, "TERM=xterm", "PS1=$ ", "NEO_SESSION="+dir+"/session.json", "NEO_ENV="+srv.URL,
		"NEO_CONSUMER_KEY="+srv.ConsumerKey, "NEO_CONSUMER_SECRET="+srv.ConsumerSecret)
	login := exec.CommandContext(t.Context(), "sh", "-c", "neo login --mobile "+srv.Account.Mobile+" --password-file - --mpin-file - <"+dir+"/secrets")
	login.Env = env
	if out, err := login.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	master, slave, err := openTerminal()
	must.Do(t, err)
	s := &shownScreen{t: t, master: master, shown: watching()}
	s.resize(24, 100)
	read := make(chan struct{})
	go func() {
		_, _ = io.Copy(s.shown, master)
		close(read)
	}()
	shell := exec.CommandContext(t.Context(), "bash", "--norc", "--noprofile", "-i")
	shell.Env, shell.Dir = env, dir
	shell.Stdin, shell.Stdout, shell.Stderr = slave, slave, slave
	shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	must.Do(t, shell.Start())
	_ = slave.Close()
	seen := 0
	step := func(typed, shows string) {
		t.Helper()
		_, err := master.WriteString(typed)
		must.Do(t, err)
		for late := time.After(patience); ; {
			if at := strings.Index(s.shown.String()[seen:], shows); at >= 0 {
				seen += at + len(shows)
				return
			}
			select {
			case <-s.shown.more:
			case <-late:
				t.Fatalf("after %q %q is not shown: %q", typed, shows, s.shown.String()[seen:])
			}
		}
	}
	step("neo watch orders\n", "Orders of "+srv.Account.UCC)
	step("\x1a", leaveScreen)
	step("", "Stopped")
	step("fg\n", enterScreen)
	step("", "Orders of "+srv.Account.UCC)
	step("\x03", leaveScreen)
	step("echo code-$?\n", "code-0\r")
	step("neo watch positions\n", "Positions of "+srv.Account.UCC)
	step("\x1c", leaveScreen)
	step("echo code-$?\n", "code-131\r")
	step("sh -c 'echo $$ >pid; exec neo watch orders'\n", "Orders of "+srv.Account.UCC)
	pid := must.Get(strconv.Atoi(strings.TrimSpace(string(must.Get(os.ReadFile(dir + "/pid"))(t)))))(t)
	must.Do(t, syscall.Kill(pid, syscall.SIGTERM))
	step("", leaveScreen)
	step("echo code-$?\n", "code-0\r")
	step("exit\n", "exit")
	_ = shell.Wait()
	_ = master.Close()
	<-read
}
