package owner_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"neoapi/internal/must"
	"neoapi/internal/owner"
)

// as runs f as another user: on a thread of its own, which ends with it.
func as(t *testing.T, uid int, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid))
		if errno != 0 {
			done <- errno
			return
		}
		f()
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestExplain_namesTheChownForAFileOfRoots(t *testing.T) {
	if os.Geteuid() != 0 {
		must.Skip(t, "only root makes files that the directory's owner cannot open")
	}
	dir, uid := theirs(t)
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil { // as a version before this one made it
		t.Fatal(err)
	}
	var err error
	as(t, uid, func() { err = owner.Create(path) })
	if err == nil || !strings.Contains(err.Error(), "permission denied; "+path+" belongs to root, and its directory to ") ||
		!strings.Contains(err.Error(), ": run chown ") || !strings.HasSuffix(err.Error(), " "+path) {
		t.Errorf("got %v", err)
	}
	if err := os.Chown(path, uid, uid); err != nil {
		t.Fatal(err)
	}
	as(t, uid, func() { err = owner.Create(path) })
	if err != nil {
		t.Errorf("after that: %v", err)
	}
}
