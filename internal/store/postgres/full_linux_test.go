package postgres_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"neoapi/internal/must"
	"neoapi/internal/store/postgres/pgtest"
)

// smallDisk makes a file system of so many bytes, which belongs to whom the directory
// like does.
func smallDisk(t *testing.T, size, like string) (dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		must.Skip(t, "only root makes a file system")
	}
	// Not in the test's directory: PostgreSQL's user could not enter it.
	dir, err := os.MkdirTemp("/tmp", "neo-small-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	err = unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size)
	if errors.Is(err, unix.EPERM) {
		must.Skip(t, "this root may not mount a file system")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	info, err := os.Stat(like)
	if err != nil {
		t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	if err := os.Chown(dir, int(owner.Uid), int(owner.Gid)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// fill takes all room of a file system until free is called.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "full")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(bytes.Repeat([]byte("x"), 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(f.Close(), os.Remove(path)); err != nil {
			t.Fatal(err)
		}
	}
}

// A full disk fails the rehearsal at once, while rows still fit into pages that are
// there, and not once there is room again.
func TestRehearse_findsAFullDisk(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		must.Skip(t, "only root makes a file system")
	}
	server := pgtest.Private(t)
	dir := smallDisk(t, "64m", server.Dir())
	admin := raw(t, server.URL("postgres"))
	execute(t, admin, `CREATE TABLESPACE small LOCATION '`+dir+`'`)
	execute(t, admin, `CREATE DATABASE small TABLESPACE small`)
	s := withConsumer(t, openAt(t, server.URL("small")))
	if err := errors.Join(wholeLogin(t.Context(), s), s.Rehearse(t.Context(), now)); err != nil {
		t.Fatal(err)
	}
	free := fill(t, dir)
	for range 3 {
		if err := s.Rehearse(t.Context(), now); err == nil {
			t.Error("the rehearsal succeeds on a full disk")
		}
	}
	var err error
	for range 1000 {
		if err = wholeLogin(t.Context(), s); err != nil {
			break
		}
	}
	if err == nil {
		t.Error("logins go on for ever: the disk is not full")
	}
	t.Log(err)
	free()
	if err := errors.Join(s.Rehearse(t.Context(), now), wholeLogin(t.Context(), s)); err != nil {
		t.Errorf("with room again: %v", err)
	}
}
