package main

import (
	"os"
	"path/filepath"
	"testing"

	"neoapi/internal/must"
)

func TestRecord_replacesAFileWhenThereIsSomethingToRecord(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "monday.neorec")
	must.Do(t, os.WriteFile(name, []byte("what was recorded"), 0o600))
	c := recordCmd{File: name, Force: true}
	for _, text := range []string{"", "new"} {
		w, finish, err := c.open(&terminal{})
		must.Do(t, err)
		want := "what was recorded"
		if text != "" {
			want = text
			must.Get(w.Write([]byte(text)))(t)
		}
		must.Do(t, finish(text != ""))
		if got := must.Get(os.ReadFile(name))(t); string(got) != want {
			t.Errorf("it has %q, want %q", got, want)
		}
	}
	c.File = os.DevNull // which has nothing to empty
	w, finish, err := c.open(&terminal{})
	must.Do(t, err)
	must.Get(w.Write([]byte("x")))(t)
	must.Do(t, finish(true))
}
