package logqueue_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"neoapi/internal/logqueue"
)

func json(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) }

// While nobody reads, lines are lost, however many goroutines log; afterwards each line
// is whole, those of one goroutine are in order, and the reports add up.
func TestQueue_losesLinesAndCountsThem(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = r.Close(), w.Close() }()
	q := logqueue.New(w)
	h := q.Handler(json)
	log := slog.New(h).With("of", "this test").WithGroup("g")
	const goroutines, lines = 50, 100
	var all sync.WaitGroup
	for i := range goroutines {
		all.Go(func() {
			for n := range lines {
				log.Info("line", "from", i, "n", n, "text", strings.Repeat("x", 100))
			}
		})
	}
	all.Wait() // though nobody has read yet
	lost := h.Lost()
	if lost == 0 || h.Health() == nil {
		t.Fatalf("%d lines are lost, and health is %v", lost, h.Health())
	}

	got, told := 0, uint64(0)
	last := map[int]int{}
	in := bufio.NewReader(r)
	for got+int(told) < goroutines*lines {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		var i, n int
		if found := regexp.MustCompile(`"lost":(\d+),"since":`).FindStringSubmatch(line); found != nil {
			var n uint64
			_, _ = fmt.Sscan(found[1], &n)
			told += n
			continue
		}
		if _, err := fmt.Sscanf(line[strings.Index(line, `"g":`):], `"g":{"from":%d,"n":%d,`, &i, &n); err != nil || !strings.HasSuffix(line, "x\"}}\n") {
			t.Fatalf("not a whole line: %q (%v)", line, err)
		}
		if before, seen := last[i]; seen && n <= before {
			t.Errorf("line %d of goroutine %d comes after line %d", n, i, before)
		}
		last[i] = n
		got++
	}
	if told != lost {
		t.Errorf("%d lines came, %d are lost, %d are reported", got, lost, told)
	}
	q.Flush(time.Minute)
	if err := h.Health(); err != nil {
		t.Error(err)
	}
}

// A small disk takes so many bytes.
type smallDisk struct {
	mu   sync.Mutex
	text bytes.Buffer
	room int
}

func (d *smallDisk) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := min(len(p), d.room)
	d.room -= n
	d.text.Write(p[:n])
	if n < len(p) {
		return n, errors.New("no space left")
	}
	return n, nil
}

func (d *smallDisk) has(room int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = room
}

func (d *smallDisk) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.String()
}

// When there is room again, what was lost is reported although nobody logs anything, and
// health is well. A line that was cut off does not spoil the next one.
func TestQueue_isWellAgainByItself(t *testing.T) {
	disk := &smallDisk{room: 130}
	q := logqueue.New(disk)
	h := q.Handler(json)
	log := slog.New(h)
	log.Info("first")
	log.Info("second")
	log.Info("third")
	q.Flush(time.Minute)
	if err := h.Health(); err == nil || !strings.Contains(err.Error(), "no space left; lines lost: 2") {
		t.Errorf("health: %v", err)
	}
	disk.has(1 << 20)
	for begin := time.Now(); h.Health() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatalf("health: %v", h.Health())
		}
	}
	log.Info("fourth")
	q.Flush(time.Minute)
	lines := strings.Split(disk.String(), "\n")
	if len(lines) != 5 || !strings.Contains(lines[0], "first") || !strings.Contains(lines[2], `"lost":2`) || !strings.HasSuffix(lines[3], `"msg":"fourth"}`) {
		t.Errorf("%q", lines)
	}
	if h.Health() != nil || h.Lost() != 2 {
		t.Errorf("health: %v, %d lost", h.Health(), h.Lost())
	}
}

// Nothing is lost if somebody reads.
func TestQueue_losesNothingThatIsRead(t *testing.T) {
	var out bytes.Buffer
	q := logqueue.New(&out)
	h := q.Handler(json)
	for range 5000 {
		slog.New(h).Info("line")
	}
	q.Flush(time.Minute)
	if n := strings.Count(out.String(), "\n"); n != 5000 || h.Lost() != 0 {
		t.Errorf("%d lines of 5000, %d lost", n, h.Lost())
	}
}
