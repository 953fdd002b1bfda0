package serve

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"
)

// Whatever happens to the master key's file while the service runs, it says what the next
// start would; a rotation is no fault.
func TestMasterKey_isWatchedWhileTheServiceRuns(t *testing.T) {
	p := place(t, t.TempDir())
	d := full(t, p)
	path := MasterKey(p.Dir)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	look := func() error {
		d.look(t.Context(), slog.New(slog.NewTextHandler(&log, nil)))
		return d.Health()
	}
	written := time.Date(2026, time.March, 2, 9, 15, 0, 0, time.UTC)
	write := func(text string) func() error {
		return func() error {
			written = written.Add(time.Second) // the system's times can be too coarse to tell two apart
			return errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chtimes(path, written, written))
		}
	}
	for _, c := range []struct {
		name string
		do   func() error
		want string // in what is wrong; "" for nothing
	}{
		{"at first", func() error { return nil }, ""},
		{"removed", func() error { return os.Remove(path) }, "is missing"},
		{"still removed", func() error { return nil }, "is missing"},
		{"back", write(string(good)), ""},
		{"another one", write(strings.Repeat("0123456789abcdef", 4) + "\n"), "is not the key that this database was sealed with"},
		{"no key", write("no key\n"), "master key"},
		{"back again", write(string(good)), ""},
		{"readable by others", func() error { return os.Chmod(path, 0o644) }, "is readable by other users"},
		{"by nobody else", func() error { return os.Chmod(path, 0o600) }, ""},
		{"rotated", func() error { return d.RotateMaster(t.Context()) }, ""},
		{"others forgotten", func() error { _, err := d.ForgetMasters(t.Context()); return err }, ""},
		{"a directory", func() error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, "is not a file"},
		{"the old one", func() error { return errors.Join(os.Remove(path), write(string(good))()) }, "is not the key that this database was sealed with"},
	} {
		if err := c.do(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if err := look(); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 6 {
		t.Errorf("%d lines, want one for each fault:\n%s", n, log.String())
	}
}
