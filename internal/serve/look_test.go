package serve

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// A look at data changes neither them nor the log of a process that writes or was
// killed. Only what says who reads the log may be made.
func TestLook_changesNothing(t *testing.T) {
	p := Place{Dir: t.TempDir()}
	d := full(t, p)
	if err := d.ClaimKind(t.Context(), Service); err != nil {
		t.Fatal(err)
	}
	files := func(dir string) map[string][]byte {
		t.Helper()
		all := map[string][]byte{}
		names, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Ext(name) == ".db-shm" { // which says who reads
				text = nil
			}
			all[filepath.Base(name)] = text
		}
		return all
	}
	killed := t.TempDir() // as the process leaves them that is killed now
	for name, text := range files(p.Dir) {
		if text == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(killed, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{p.Dir, killed} {
		before := files(dir)
		if len(before["neo.db-wal"]) == 0 {
			t.Fatalf("%s has no log", dir)
		}
		first, err := (Place{Dir: dir}).Look(t.Context())
		if first != "" || err != nil {
			t.Errorf("%s: %q, %v", dir, first, err)
		}
		after := files(dir)
		delete(after, "neo.db-shm")
		delete(before, "neo.db-shm")
		for name := range after {
			if !bytes.Equal(after[name], before[name]) || len(after) != len(before) {
				t.Errorf("%s: %s is not as it was", dir, name)
			}
		}
	}
}
