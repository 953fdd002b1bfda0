package argon2

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

func TestMemory_isBoundedByTheTightestControlGroup(t *testing.T) {
	root := t.TempDir()
	write := func(group, name, text string) {
		t.Helper()
		dir := filepath.Join(root, group)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	left := func(group string) int64 {
		return cgroupLeft(root, group, "memory.max", "memory.current", "")
	}
	if n := left("/a/b"); n != math.MaxInt64 {
		t.Errorf("without control groups: %d left", n)
	}
	write("a/b", "memory.max", "max\n")
	write("a/b", "memory.current", "1000\n")
	if n := left("/a/b"); n != math.MaxInt64 {
		t.Errorf("without a limit: %d left", n)
	}
	write("a", "memory.max", "5000\n")
	write("a", "memory.current", "2000\n")
	if n := left("/a/b"); n != 3000 {
		t.Errorf("with 2000 of 5000 used: %d left", n)
	}
	write("a", "memory.stat", "file 9\ninactive_file 500\nactive_file 7\n")
	if n := left("/a/b"); n != 3500 {
		t.Errorf("with 500 of them cached: %d left", n)
	}
	write("a", "memory.stat", "inactive_file 500\nactive_file 7\nfile_mapped 300\n")
	if n := left("/a/b"); n != 3207 {
		t.Errorf("with 300 of 507 cached being the program: %d left", n)
	}
	write("a", "memory.stat", "file_mapped 600\ninactive_file 500\nactive_file 7\n")
	if n := left("/a/b"); n != 3000 {
		t.Errorf("with no more cached than the program: %d left", n)
	}
	write("a", "memory.stat", "inactive_file 500\n")
	write("", "memory.max", "2500\n") // a container sees its own group as the root, under any name
	write("", "memory.current", "1500\n")
	for _, group := range []string{"/a/b", "/", "/elsewhere", "/../../elsewhere"} {
		if n := left(group); n != 1000 {
			t.Errorf("%s: %d left, want the root's 1000", group, n)
		}
	}
}

func TestMemory_hasNoRoomForEverything(t *testing.T) {
	if err := room(1 << 50); err == nil {
		t.Error("room for a pebibyte")
	}
	if err := room(1 << 20); err != nil {
		t.Errorf("no room for a mebibyte: %v", err)
	}
}
