package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"neoapi/internal/must"
	"neoapi/internal/paper"
	"neoapi/internal/paper/listing"
)

var start = time.Date(2026, 10, 5, 10, 0, 0, 0, listing.India)

func config() paper.Config {
	return paper.Config{Seed: 3, Start: start, Funds: 10_000_000 * listing.Rupee}
}

func open(t testing.TB, dir string) (*paper.Exchange, *Journal, []string) {
	t.Helper()
	var lines []string
	x, j, err := Open(dir, config(), func(s string) { lines = append(lines, s) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return x, j, lines
}

// share returns a share and its price.
func share(t testing.TB, x *paper.Exchange, now time.Time) (*listing.Instrument, listing.Price) {
	t.Helper()
	for _, i := range x.Listing(now).Instruments() {
		if i.Segment == listing.NSE && i.Kind == listing.Share && i.Series == "EQ" && i.Margin.Intraday > 0 {
			q, _ := x.Quote(now, i.Key)
			return i, q.Last
		}
	}
	t.Fatal("no share is listed")
	return nil, 0
}

// trade places some orders, one a second, and returns the time after them.
func trade(t testing.TB, x *paper.Exchange, now time.Time, from, n int) time.Time {
	t.Helper()
	for k := from; k < from+n; k++ {
		i, last := share(t, x, now)
		p := paper.Place{
			Account: fmt.Sprintf("A%d", k%3), Instrument: i.Key, Side: paper.Buy + paper.Side(k%2), Type: paper.Limit, Product: paper.MIS,
			Validity: paper.Day, Price: i.Floor(last) + i.Tick*listing.Price(k%5-2), Quantity: int64(1 + k%100), Tag: fmt.Sprintf("t%d", k), AfterHours: k%7 == 0,
		}
		if _, r := x.Place(now, p); r != nil {
			t.Fatal(r)
		}
		now = now.Add(time.Second)
	}
	return now
}

func dump(t testing.TB, x *paper.Exchange, now time.Time) string {
	return string(must.Get(json.Marshal(x.Dump(now)))(t))
}

func TestOpen_givesTheSameStateAgain(t *testing.T) {
	dir := t.TempDir()
	x, j, _ := open(t, dir)
	now := trade(t, x, start, 0, 50)
	now = trade(t, x, now.Add(26*time.Hour), 50, 50) // on the next day
	want := dump(t, x, now)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	x, _, lines := open(t, dir)
	if got := dump(t, x, now); got != want {
		t.Errorf("after opening it again:\n%s\nwant\n%s", got, want)
	}
	if len(lines) != 0 {
		t.Errorf("warned: %q", lines)
	}
	if files := must.Get(filepath.Glob(filepath.Join(dir, "*"+suffix)))(t); len(files) != 2 {
		t.Errorf("the files are %q", files)
	}
}

func TestOpen_cutsATornEnd(t *testing.T) {
	dir := t.TempDir()
	x, j, _ := open(t, dir)
	now := trade(t, x, start, 0, 5)
	want := dump(t, x, now)
	path := j.path(j.number)
	_ = j.Close()
	whole := must.Get(os.ReadFile(path))(t)
	x, j, _ = open(t, dir)
	now = trade(t, x, now, 5, 1)
	_ = j.Close()
	longer := must.Get(os.ReadFile(path))(t)
	for n := len(whole) + 1; n < len(longer); n++ {
		for _, zeros := range []int{0, 5000} { // as a killed process leaves it, too
			if zeros > 0 && strings.Trim(string(longer[n:]), "\x00") == "" {
				continue // that makes it whole
			}
			must.Do(t, os.WriteFile(path, append(longer[:n:n], make([]byte, zeros)...), 0o600))
			x, j, lines := open(t, dir)
			if got := dump(t, x, now); got != want {
				// the last order came a second before the dump: what is left has to be the same then too
				t.Fatalf("cut at byte %d:\n%s\nwant\n%s", n, got, want)
			}
			if len(lines) != 1 && len(strings.Trim(string(longer[len(whole):n]), "\x00")) > 0 {
				t.Fatalf("cut at byte %d: warned %q", n, lines)
			}
			_ = j.Close()
		}
	}
	must.Do(t, os.WriteFile(path, append(whole, make([]byte, 5000)...), 0o600))
	if _, _, lines := open(t, dir); len(lines) != 0 {
		t.Errorf("warned: %q", lines)
	}
}

func TestOpen_takesWhatAKilledProcessWrote(t *testing.T) {
	dir := t.TempDir()
	x, j, _ := open(t, dir)
	now := trade(t, x, start, 0, 20)
	want := dump(t, x, now)
	copied := t.TempDir() // the files as they are, with the process still there
	name := filepath.Base(j.path(j.number))
	must.Do(t, os.WriteFile(filepath.Join(copied, name), must.Get(os.ReadFile(filepath.Join(dir, name)))(t), 0o600))
	x, _, lines := open(t, copied)
	if got := dump(t, x, now); got != want || len(lines) != 0 {
		t.Errorf("warned %q:\n%s\nwant\n%s", lines, got, want)
	}
}

func TestOpen_refusesADamagedMiddle(t *testing.T) {
	dir := t.TempDir()
	x, j, _ := open(t, dir)
	trade(t, x, start, 0, 5)
	must.Do(t, j.Sync())
	path := j.path(j.number)
	_ = j.Close()
	b := must.Get(os.ReadFile(path))(t)
	_, n := record(b[len(magic):])
	b[len(magic)+n+head+3]++
	must.Do(t, os.WriteFile(path, b, 0o600))
	if _, _, err := Open(dir, config(), nil); err == nil {
		t.Error("a log with a damaged record in its middle was opened")
	}
}

func TestOpen_letsOneProcessIn(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if _, _, err := Open(dir, config(), nil); err == nil {
		t.Error("a directory in use was opened")
	}
}

// A disk that is full for a while refuses commands for that while: those before and after
// it are kept, also if a day begins meanwhile.
func TestJournal_goesOnAfterAFailure(t *testing.T) {
	place := func(x *paper.Exchange, now time.Time) *paper.Refusal {
		i, last := share(t, x, now)
		_, r := x.Place(now, paper.Place{Account: "A", Instrument: i.Key, Side: paper.Buy, Type: paper.Limit, Product: paper.MIS, Validity: paper.Day, Price: i.Floor(last), Quantity: 1})
		return r
	}
	fail := map[string]func(j *Journal, now *time.Time) (mend func()){
		"growing": func(j *Journal, _ *time.Time) func() {
			file := j.tail.file
			j.tail.file = must.Get(os.Open(j.path(j.number)))(t) // not to be written
			return func() { _ = j.tail.file.Close(); j.tail.file = file }
		},
		"beginning a day": func(j *Journal, now *time.Time) func() {
			*now = now.Add(24 * time.Hour)
			next := j.path(j.number + 1)
			must.Do(t, os.Mkdir(next, 0o700))
			return func() { must.Do(t, os.Remove(next)) }
		},
	}
	for name, f := range fail {
		t.Run(name, func(t *testing.T) {
			dir, now := t.TempDir(), start
			x, j, _ := open(t, dir)
			mend := f(j, &now)
			for range 2 {
				if r := place(x, now); r == nil || r.Reason != paper.NotWritten || strings.Contains(r.Text, dir) {
					t.Errorf("with a log that cannot be written: %v", r)
				}
			}
			mend()
			if r := place(x, now); r != nil {
				t.Fatal(r.Text)
			}
			if err := j.Sync(); err == nil {
				t.Error("nobody hears of it")
			}
			must.Do(t, j.Sync())
			want := dump(t, x, now)
			_ = j.Close()
			x, _, _ = open(t, dir)
			if got := dump(t, x, now); got != want {
				t.Errorf("opened again: %s\nwant %s", got, want)
			}
		})
	}
}

func TestClear_beginsAnew(t *testing.T) {
	dir := t.TempDir()
	x, j, _ := open(t, dir)
	empty := dump(t, x, start)
	trade(t, x, start, 0, 5)
	x = must.Get(j.Clear(config()))(t)
	if got := dump(t, x, start); got != empty {
		t.Errorf("after Clear: %s", got)
	}
	now := trade(t, x, start, 0, 3)
	want := dump(t, x, now)
	_ = j.Close()
	x, _, _ = open(t, dir)
	if got := dump(t, x, now); got != want {
		t.Errorf("opened after Clear: %s\nwant %s", got, want)
	}
}

func FuzzJournal_record(f *testing.F) {
	f.Add(appendRecord(appendRecord(nil, []byte("a command")), []byte{synced, 5}))
	f.Add([]byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		content, n := record(b)
		if n > len(b) || n > 0 && n != len(content)+head {
			t.Errorf("a record of %d bytes, %d in the file, out of %d", len(content), n, len(b))
		}
		if n > 0 && !bytes.Equal(appendRecord(nil, content), b[:n]) {
			t.Error("the record written again differs")
		}
		wasSynced(b, 0)
	})
}
