package trade_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/trade"
)

var kills = flag.Int("trade.kills", 10, "how often the program that places the order of a day is killed")

// A line is a way to a service on which, from an order on, a number of bytes pass, in both
// directions together; then whoever called is killed.
type line struct {
	net.Listener
	to string

	mu   sync.Mutex
	left int
	kill func()
	open []net.Conn
	seen int // bytes since the order began
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	l := &line{Listener: must.Get(net.Listen("tcp", "127.0.0.1:0"))(t), to: strings.TrimPrefix(to, "http://")}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", l.to)
			if err != nil {
				from.Close()
				continue
			}
			l.mu.Lock()
			l.open = append(l.open, from, server)
			l.mu.Unlock()
			go l.pass(from, server)
			go l.pass(server, from)
		}
	}()
	return l
}

func (l *line) pass(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	b := make([]byte, 4096)
	for {
		n, err := from.Read(b)
		if !l.allowed(b[:n], to) || err != nil {
			return
		}
	}
}

// allowed passes bytes on, as many as may pass.
func (l *line) allowed(b []byte, to net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == 0 && !bytes.Contains(b, []byte("/order/rule/ms/place")) {
		_, err := to.Write(b)
		return err == nil
	}
	l.seen += len(b)
	if l.kill == nil || len(b) <= l.left {
		l.left -= len(b)
		_, err := to.Write(b)
		return err == nil
	}
	_, _ = to.Write(b[:l.left])
	kill := l.kill
	l.kill = nil
	kill()
	for _, c := range l.open {
		c.Close()
	}
	l.open = nil
	return false
}

// A program that places the order of the day is killed at any byte of its exchange with
// the service, and starts again: there is one order, and the program knows it.
func TestPlaceOnce_programThatIsKilledPlacesOneOrder(t *testing.T) {
	if os.Getenv("TRADE_CHILD") != "" {
		once(t)
		return
	}
	t.Parallel()
	d := newDesk(t, 1)
	session, _ := d.api.Session()
	session.Environment = "" // the same service by another address
	saved := must.Get(session.Export())(t)
	access := must.Get(d.api.AccessToken(t.Context()))(t)
	l := newLine(t, d.srv.URL)
	run := func(label string, kill int) (number string) {
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, must.Get(os.Executable())(t), "-test.run=^TestPlaceOnce_programThatIsKilledPlacesOneOrder$")
		cmd.Env = append(os.Environ(), "TRADE_CHILD="+label, "TRADE_SESSION="+string(saved), "TRADE_ACCESS="+access, "TRADE_AT=http://"+l.Addr().String(),
			"TRADE_AHEAD="+time.Until(d.srv.Now()).String())
		dead := make(chan struct{})
		l.mu.Lock()
		l.seen, l.left, l.kill = 0, kill, func() { cancel(); <-dead }
		if kill < 0 {
			l.kill = nil
		}
		l.mu.Unlock()
		var out strings.Builder
		cmd.Stdout = &out
		must.Do(t, cmd.Start())
		err := cmd.Wait()
		close(dead)
		if _, number, _ = strings.Cut(out.String(), "number "); number != "" {
			number, _, _ = strings.Cut(number, "\n")
		}
		if kill < 0 && (err != nil || number == "") {
			t.Fatalf("%s: %v\n%s", label, err, out.String())
		}
		return number
	}
	run("measure", -1)
	l.mu.Lock()
	total := l.seen
	l.mu.Unlock()
	if total < 500 {
		t.Fatalf("the exchange took %d bytes", total)
	}
	runs := *kills
	before := len(d.book())
	killedAfter := 0
	for n := range runs {
		label := fmt.Sprintf("leg-%d", n)
		run(label, total*n/runs)
		stands := len(d.book()) - before
		killedAfter += stands
		number := run(label, -1)
		book := d.book()[before:]
		if len(book) != 1 || book[0].Number != number || !strings.HasPrefix(book[0].Tag, label+"-") {
			t.Fatalf("killed after %d of %d bytes: the program has %s, the exchange %+v", total*n/runs, total, number, book)
		}
		before++
	}
	if killedAfter == 0 || killedAfter == runs {
		t.Errorf("of %d programs that were killed %d had placed their order", runs, killedAfter)
	}
}

// once is the program.
func once(t *testing.T) {
	ahead := must.Get(time.ParseDuration(os.Getenv("TRADE_AHEAD")))(t)
	c := must.Get(neoapi.New(neoapi.Config{
		Environment: neoapi.Environment(os.Getenv("TRADE_AT")), ConsumerKey: "sandbox-consumer", AccessToken: os.Getenv("TRADE_ACCESS"),
		Clock: func() time.Time { return time.Now().Add(ahead) },
	}))(t)
	must.Do(t, c.Use(must.Get(neoapi.ParseSession([]byte(os.Getenv("TRADE_SESSION"))))(t)))
	tcs := share()
	order, err := trade.New(c).PlaceOnce(t.Context(), trade.Buy(tcs, 1).Limit(rupees("3450")).Product(trade.CNC).Tag(trade.DayTag(os.Getenv("TRADE_CHILD"))))
	must.Do(t, err)
	fmt.Printf("number %s\n", order.Number)
}
