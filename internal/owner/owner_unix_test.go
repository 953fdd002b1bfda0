//go:build unix

package owner_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"neoapi/internal/owner"
)

// theirs makes a directory of another user, if this is root, and returns whom it
// belongs to.
func theirs(t *testing.T) (dir string, uid int) {
	t.Helper()
	dir, uid = t.TempDir(), os.Geteuid()
	if uid == 0 {
		uid = 65534
		if err := os.Chown(dir, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	return dir, uid
}

func belongs(t *testing.T, path string, uid int, mode fs.FileMode) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := int(info.Sys().(*syscall.Stat_t).Uid); got != uid || info.Mode().Perm() != mode {
		t.Errorf("%s belongs to %d, mode %o; want %d, mode %o", path, got, info.Mode().Perm(), uid, mode)
	}
}

func TestCreate_givesWhatRootMakesToTheDirectorysOwner(t *testing.T) {
	dir, uid := theirs(t)
	for _, name := range []string{"file", "file"} { // the second one is there
		if err := owner.Create(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	belongs(t, filepath.Join(dir, "file"), uid, 0o600)
	if err := owner.MkdirAll(filepath.Join(dir, "a", "b")); err != nil {
		t.Fatal(err)
	}
	belongs(t, filepath.Join(dir, "a"), uid, 0o700)
	belongs(t, filepath.Join(dir, "a", "b"), uid, 0o700)
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if err := errors.Join(os.Chmod(socket, 0o600), owner.AdoptSocket(socket)); err != nil {
		t.Fatal(err)
	}
	belongs(t, socket, uid, 0o600)
}

// Whoever owns a directory must not have root give them the file that a link of theirs
// leads to, or one that was there.
func TestCreate_givesAwayNoFileThatIsThere(t *testing.T) {
	dir, _ := theirs(t)
	mine := filepath.Join(t.TempDir(), "mine")
	if err := os.WriteFile(mine, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"link": mine, "dangling": filepath.Join(t.TempDir(), "nothing")} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		err := owner.Create(filepath.Join(dir, name))
		if _, made := os.Stat(to); (name == "dangling") != errors.Is(made, fs.ErrNotExist) || (name == "dangling") != (err != nil) {
			t.Errorf("%s: %v, and %s: %v", name, err, to, made)
		}
	}
	belongs(t, mine, os.Geteuid(), 0o600)
	if err := os.WriteFile(filepath.Join(dir, "there"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := owner.Create(filepath.Join(dir, "there")); err != nil {
		t.Fatal(err)
	}
	belongs(t, filepath.Join(dir, "there"), os.Geteuid(), 0o600)
}

func TestExplain_leavesAnErrorWhereNoOwnerIsToBlame(t *testing.T) {
	dir, _ := theirs(t)
	path := filepath.Join(dir, "file")
	if err := owner.Create(path); err != nil {
		t.Fatal(err)
	}
	if got := owner.Explain(errors.New("full"), path, path+"-none"); got == nil || got.Error() != "full" || owner.Explain(nil, path) != nil {
		t.Errorf("got %v", got)
	}
	if err := owner.Create(filepath.Join(dir, "no", "file")); !errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "chown") {
		t.Errorf("got %v", err)
	}
}
