//go:build unix

package serve

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestMasterKey_newBelongsToWhomTheOldOneDid(t *testing.T) {
	p := place(t, t.TempDir())
	d := full(t, p)
	key := MasterKey(p.Dir)
	if os.Geteuid() == 0 { // only root can take the service's files over
		if err := os.Chown(key, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	owner := func() [2]uint32 {
		info, err := os.Stat(key)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("mode %o", info.Mode().Perm())
		}
		s := info.Sys().(*syscall.Stat_t)
		return [2]uint32{s.Uid, s.Gid}
	}
	before := owner()
	if err := d.RotateMaster(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := owner(); now != before {
		t.Errorf("the new key belongs to %v, the old one did to %v", now, before)
	}
}

func TestData_madeByRootBelongsToTheDirectorysOwner(t *testing.T) {
	home, uid := t.TempDir(), os.Geteuid()
	if uid == 0 {
		uid = 65534
		if err := os.Chown(home, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	p := Place{Dir: filepath.Join(home, "data")}
	d := full(t, p)
	if err := d.RotateMaster(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Backup(t.Context(), filepath.Join(p.Dir, "copy.db")); err != nil {
		t.Fatal(err)
	}
	all, err := filepath.Glob(filepath.Join(p.Dir, "*"))
	if err != nil || len(all) < 7 { // the database with its log and two files more, the key and its lock, the copy
		t.Fatalf("%q, %v", all, err)
	}
	for _, path := range append(all, p.Dir) {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := int(info.Sys().(*syscall.Stat_t).Uid); got != uid || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s belongs to %d, mode %o; want %d", path, got, info.Mode().Perm(), uid)
		}
	}
}
