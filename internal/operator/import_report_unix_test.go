//go:build unix

package operator_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"neoapi/internal/must"
)

// somebodyElse is a user that the tests are not, if they are root.
const somebodyElse = 60123

// Rejected lines hold hashes: they go into a file that is the user's own and nobody
// else's, or nowhere. What lies in its place stays as it is, and nothing is imported.
func TestImportRejected_goesIntoNobodyElsesFile(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name string
		root bool // only root can lay it there
		lay  func(t *testing.T, dir, path, other string) error
		want string
	}{
		{"a symbolic link to a file", false, func(_ *testing.T, _, path, other string) error { return os.Symlink(other, path) }, "is a symbolic link"},
		{"a symbolic link to nothing", false, func(_ *testing.T, _, path, other string) error { return os.Symlink(other+"2", path) }, "is a symbolic link"},
		{"a hard link", false, func(_ *testing.T, _, path, other string) error { return os.Link(other, path) }, "also has another name"},
		{"a pipe", false, func(_ *testing.T, _, path, _ string) error { return syscall.Mkfifo(path, 0o600) }, "is not a regular file"},
		{"a directory", false, func(_ *testing.T, _, path, _ string) error { return os.Mkdir(path, 0o700) }, "is a directory"},
		{"a directory that everybody writes to", false, func(_ *testing.T, dir, _, _ string) error { return os.Chmod(dir, 0o777) }, "is writable by everyone"},
		{"an empty file of another user", true, func(t *testing.T, _, path, _ string) error {
			if err := os.WriteFile(path, nil, 0o666); err != nil {
				return err
			}
			return os.Chown(path, somebodyElse, somebodyElse)
		}, "belongs to another user"},
		{"another user's symbolic link", true, func(t *testing.T, dir, path, other string) error {
			if err := os.Symlink(other, path); err != nil {
				return err
			}
			return os.Lchown(path, somebodyElse, somebodyElse)
		}, "is a symbolic link"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			if x.root && os.Geteuid() != 0 {
				must.Skip(t, "only root gives files to others")
			}
			dir, other := t.TempDir(), filepath.Join(t.TempDir(), "other")
			put(t, other, "")
			file := filepath.Join(dir, "accounts.csv")
			put(t, file, head+row(1)+"bad line\n")
			if err := x.lay(t, dir, file+".rejected", other); err != nil {
				t.Fatal(err)
			}
			data := open(t, t.TempDir())
			_, err := importer(data, file).Run(t.Context())
			if err == nil || !strings.Contains(err.Error(), "rejected lines: ") || !strings.Contains(err.Error(), x.want) {
				t.Errorf("got %v, want it to say %s", err, x.want)
			}
			if text, err := os.ReadFile(other); err != nil || len(text) > 0 {
				t.Errorf("the other file holds %q, %v", text, err)
			}
			if _, err := os.Lstat(other + "2"); !os.IsNotExist(err) {
				t.Errorf("a file was made through the link: %v", err)
			}
			if all := uccs(t, data); len(all) > 0 {
				t.Errorf("imported: %v", all)
			}
		})
	}
}

// A directory such as /tmp, where nobody removes what others have made, will do; and a
// file that others may have open is made again.
func TestImportRejected_goesIntoANewFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "accounts.csv")
	report := file + ".rejected"
	put(t, file, head+row(1)+"bad line\n")
	put(t, report, "")
	if err := os.Chmod(report, 0o644); err != nil {
		t.Fatal(err)
	}
	watching, err := os.Open(report)
	if err != nil {
		t.Fatal(err)
	}
	defer watching.Close()
	data := open(t, t.TempDir())
	if _, err := importer(data, file).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if info, err := watching.Stat(); err != nil || info.Size() > 0 {
		t.Errorf("whoever had the file open reads %d bytes, %v", info.Size(), err)
	}
	info, err := os.Stat(report)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() == 0 {
		t.Errorf("%v, %v", info, err)
	}
	if len(rejected(t, report)) != 1 {
		t.Error("the rejected line is not there")
	}
}
