package sandbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"neoapi/internal/must"
)

// Kept data are from the time that the clock showed: it goes on from there, and one whose
// file cannot be read does not start at another time.
func TestClock_isKeptWithTheData(t *testing.T) {
	dir := t.TempDir()
	c := must.Get(KeptClock(dir))(t)
	if c.Ahead() != 0 {
		t.Errorf("a new one is ahead by %s", c.Ahead())
	}
	must.Do(t, c.move(map[string]any{"advance": "36h"}))
	must.Do(t, c.move(map[string]any{"advance": "90m"}))
	if again := must.Get(KeptClock(dir))(t); again.Ahead() != 37*time.Hour+30*time.Minute {
		t.Errorf("it was left 37h30m ahead, and is %s", again.Ahead())
	}
	if err := c.move(map[string]any{"advance": "1000000h"}); err == nil || c.Ahead() != 37*time.Hour+30*time.Minute {
		t.Errorf("%v, and it is ahead by %s", err, c.Ahead())
	}
	left := must.Get(os.ReadDir(dir))(t)
	if len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	file := filepath.Join(dir, left[0].Name())
	for _, text := range []string{"", "soon", "9000000h", "-9000000h"} {
		must.Do(t, os.WriteFile(file, []byte(text), 0o600))
		if _, err := KeptClock(dir); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
