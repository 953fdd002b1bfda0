package main

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/jackc/pgx/v5"

	"neoapi/internal/login"
	"neoapi/internal/serve"
	"neoapi/internal/store/postgres/pgtest"
)

// opened makes data at a place.
func opened(t *testing.T, p serve.Place) *serve.Data {
	t.Helper()
	data, err := serve.Open(t.Context(), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := data.Close(); err != nil {
			t.Error(err)
		}
	})
	return data
}

// following runs neo audit --follow until stop, which returns what it has printed.
func following(t *testing.T, args ...string) (out *watched, stop func() string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out = watching()
	ended := make(chan int, 1)
	var stderr bytes.Buffer
	go func() {
		ended <- run(ctx, append([]string{"audit", "--follow", "--json"}, args...), strings.NewReader(""), out, &stderr)
	}()
	return out, func() string {
		cancel()
		if code := <-ended; code != exitDone {
			t.Errorf("exit code %d: %s", code, &stderr)
		}
		return out.String()
	}
}

func TestAudit_printsALateEventOnce(t *testing.T) {
	t.Parallel()
	address := pgtest.Database(t)
	place := serve.Place{Dir: t.TempDir(), Database: address}
	data := opened(t, place)
	record := func(outcome string) {
		t.Helper()
		if err := data.Store.Record(t.Context(), login.Event{Time: time.Now(), Action: "login", Outcome: outcome, UCC: "AB1234"}); err != nil {
			t.Fatal(err)
		}
	}
	// Two that have their numbers and are not committed yet.
	late := func(outcome string) pgx.Tx {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = tx.Exec(t.Context(), `INSERT INTO events (time, action, outcome, account, ucc, factor, consumer, sid, address, request_id)
			VALUES (now(), 'login', $1, '', 'AB1234', '', '', '', '', '')`, outcome)
		if err != nil {
			t.Fatal(err)
		}
		return tx
	}
	record("first")
	one := late("late one")
	record("second")
	all, stopAll := following(t, "--data", place.Dir, "--database", address)
	mine, stopMine := following(t, "--data", place.Dir, "--database", address, "--ucc", "AB1234", "--since", "1h")
	for _, out := range []*watched{all, mine} {
		out.until(t, "second")
	}
	two := late("late two")
	record("third")
	for _, out := range []*watched{all, mine} {
		out.until(t, "third")
	}
	for _, tx := range []pgx.Tx{two, one} {
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, out := range []*watched{all, mine} {
		out.until(t, "late one")
		out.until(t, "late two")
	}
	record("last")
	for _, x := range []struct {
		out  *watched
		stop func() string
	}{{all, stopAll}, {mine, stopMine}} {
		x.out.until(t, "last")
		var outcomes []string
		for text := range strings.Lines(x.stop()) {
			var e struct{ Outcome string }
			if err := json.Unmarshal([]byte(text), &e); err != nil {
				t.Fatal(err)
			}
			outcomes = append(outcomes, e.Outcome)
		}
		slices.Sort(outcomes)
		if want := []string{"first", "last", "late one", "late two", "second", "third"}; !slices.Equal(outcomes, want) {
			t.Errorf("printed %q", outcomes)
		}
	}
}

func TestAudit_showsEachEventOnceWhenReadAgain(t *testing.T) {
	t.Parallel()
	known := trail{seen: map[int64]bool{}}
	var shown []int64
	now := time.Now()
	random := rand.New(rand.NewPCG(1, 2))
	show := func(from, to int64) {
		var events []login.Event
		for seq := from; seq <= to; seq++ {
			events = append(events, login.Event{Seq: seq})
		}
		for _, e := range known.fresh(events, now) {
			shown = append(shown, e.Seq)
		}
	}
	last := int64(1)
	for last < overlapMost*3/2 {
		next := last + random.Int64N(5000)
		show(max(known.after+1, last-random.Int64N(20_000)), next)
		last = next
	}
	now = now.Add(overlap + 1) // what was read long ago is forgotten between two pages
	from := known.after + 1
	show(from, from+10)
	show(from+11, last)
	for i, seq := range shown {
		if seq != int64(i+1) {
			t.Fatalf("number %d came as %d", i+1, seq)
		}
	}
	if n := len(known.seen); n > overlapMost || n != len(known.late) {
		t.Errorf("%d events are remembered, and %d", n, len(known.late))
	}
}

func TestAudit_showsWhatATerminalObeysAsEscapes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := opened(t, serve.Place{Dir: dir})
	texts := []string{
		"\x1b[2J\x1b]0;title\x07", "two\nlines", "a\r\x00\tb", "\u009b31m\u0085", "\x9b31m\xff", "\u202eecila\u2066", "\ufeff\u200b", "\U000e0001", "plain ä ✓ 名",
	}
	for _, text := range texts {
		err := data.Store.Record(t.Context(), login.Event{
			Time: time.Now(), Action: text, Outcome: text, Account: text, UCC: text, Factor: login.Factor(text), Consumer: text, SID: text,
			Address: text, RequestID: text,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{}, {"--json"}} {
		var out, stderr bytes.Buffer
		if code := run(t.Context(), append([]string{"audit", "--data", dir}, args...), strings.NewReader(""), &out, &stderr); code != exitDone {
			t.Fatalf("%d: %s", code, &stderr)
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if heads := 1 - len(args); len(lines) != len(texts)+heads {
			t.Errorf("%d events in %d lines", len(texts), len(lines))
		}
		for i, line := range lines {
			if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar && len(args) == 0 }) {
				t.Errorf("%q", line)
			}
			if len(args) == 0 {
				continue
			}
			var e auditEvent
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Error(err)
			}
			if want := strings.ToValidUTF8(texts[i], "\ufffd"); strings.ReplaceAll(e.RequestID, "\ufffd\ufffd", "\ufffd") != want && e.RequestID != want {
				t.Errorf("%q became %q", texts[i], e.RequestID)
			}
		}
		if !strings.Contains(out.String(), "plain ä ✓ 名") {
			t.Error("what can be printed is not shown as it is")
		}
	}
}

func TestAudit_takesATimeInThePast(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for text, want := range map[string]time.Time{
		"24h": now.Add(-24 * time.Hour), "90s": now.Add(-90 * time.Second), "0s": now, "1h30m": now.Add(-90 * time.Minute),
		"2001-11-23":                time.Date(2001, 11, 22, 18, 30, 0, 0, time.UTC), // India's midnight
		"2001-11-23T09:00:00+05:30": time.Date(2001, 11, 23, 3, 30, 0, 0, time.UTC),
		"2001-11-23T03:30:00Z":      time.Date(2001, 11, 23, 3, 30, 0, 0, time.UTC),
		"2001-11-23T03:30:00.25Z":   time.Date(2001, 11, 23, 3, 30, 0, 250_000_000, time.UTC),
		"2001-11-23 09:00":          time.Date(2001, 11, 23, 3, 30, 0, 0, time.UTC),
		"2001-11-23T09:00:30":       time.Date(2001, 11, 23, 3, 30, 30, 0, time.UTC),
		"7d":                        now.Add(-7 * 24 * time.Hour),
		"now":                       now,
	} {
		var s sinceFlag
		if err := s.UnmarshalText([]byte(text)); err != nil || s.Sub(want).Abs() > time.Minute {
			t.Errorf("%s: %s, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "-1h", "24", "tomorrow", "d", "-1d", "2025-13-01", "2001-11-23 24:01", "2001-11-23 9", "yesterday9", " ", "2999-01-01", "2999-01-01T00:00:00Z", "\n"} {
		var s sinceFlag
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: %s", text, s)
		}
	}
}

func TestAudit_helpNamesEveryColumn(t *testing.T) {
	t.Parallel()
	field, ok := reflect.TypeFor[auditCmd]().FieldByName("Columns")
	if help := field.Tag.Get("help"); !ok || !strings.HasSuffix(help, ": "+columnNames()+".") {
		t.Errorf("the help says %q", help)
	}
}

func TestAudit_dayBeginsInIndia(t *testing.T) {
	t.Parallel()
	// 19:00 UTC of the 23rd is 00:30 of the 24th in India.
	now := time.Date(2026, 11, 23, 19, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"today":              time.Date(2026, 11, 23, 18, 30, 0, 0, time.UTC),
		"Yesterday":          time.Date(2026, 11, 22, 18, 30, 0, 0, time.UTC),
		"yesterday 09:15":    time.Date(2026, 11, 23, 3, 45, 0, 0, time.UTC),
		"00:20":              time.Date(2026, 11, 23, 18, 50, 0, 0, time.UTC),
		"today 00:20:05":     time.Date(2026, 11, 23, 18, 50, 5, 0, time.UTC),
		"2026-11-23":         time.Date(2026, 11, 22, 18, 30, 0, 0, time.UTC),
		"2h":                 time.Date(2026, 11, 23, 17, 0, 0, 0, time.UTC),
		"2026-11-23t00:00z":  {},
		"yesterday tomorrow": {},
	} {
		if got, err := parseWhen(text, now); !got.Equal(want) || want.IsZero() != (err != nil) {
			t.Errorf("%q: %s, %v, want %s", text, got, err, want)
		}
	}
}

func TestLocks_areToldAsATryWouldFindThem(t *testing.T) {
	t.Parallel()
	now := time.Now()
	soon := now.Add(time.Minute).In(login.IST).Format(time.RFC3339)
	nine := login.Failures{Count: 9, Open: map[string]time.Time{"left behind": now}}
	for name, x := range map[string]struct {
		failures map[login.Factor]login.Failures
		want     string
	}{
		"nothing":                         {nil, ""},
		"nine wrong passwords":            {map[login.Factor]login.Failures{login.Password: {Count: 9}}, ""},
		"a lock that is over":             {map[login.Factor]login.Failures{login.TOTP: {Count: 12, Until: now}}, ""},
		"a lock":                          {map[login.Factor]login.Failures{login.TOTP: {Count: 12, Until: now.Add(time.Minute)}}, "TOTP after 12 wrong tries, until " + soon},
		"a hundred":                       {map[login.Factor]login.Failures{login.OTP: {Count: 100, Until: now.Add(-time.Hour)}}, "second factor after 100 wrong tries, until it is unlocked with neo account unlock"},
		"nine, and one that nobody ended": {map[login.Factor]login.Failures{login.MPIN: nine}, "MPIN after 10 wrong tries, until " + soon},
		"nine, and one that is under way": {map[login.Factor]login.Failures{login.MPIN: {Count: 9, Open: map[string]time.Time{"x": now.Add(time.Second)}}}, ""},
		"two factors, in their right order": {map[login.Factor]login.Failures{login.OTP: {Count: 10, Until: now.Add(time.Minute)}, login.Password: {Count: 10, Until: now.Add(time.Minute)}},
			"password after 10 wrong tries, until " + soon + "; second factor after 10 wrong tries, until " + soon},
	} {
		if got := strings.Join(locks(login.AccountState{Failures: x.failures}, now), "; "); got != x.want {
			t.Errorf("%s: %q, want %q", name, got, x.want)
		}
	}
}
