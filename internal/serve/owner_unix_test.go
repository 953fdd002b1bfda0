//go:build unix

package serve

import (
	"os"
	"syscall"
	"testing"
)

func TestANewMasterKeyBelongsToWhomTheOldOneDid(t *testing.T) {
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
