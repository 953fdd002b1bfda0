//go:build unix

package private

import (
	"io/fs"
	"os"
	"syscall"
)

// modes means that a file's mode says who may read it.
const modes = true

// careful opens no symbolic link and does not wait for the other end of a pipe.
const careful = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// owned reports whether a file belongs to the process's user or to root.
func owned(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (int(stat.Uid) == os.Geteuid() || stat.Uid == 0)
}

// own reports whether a file belongs to the process's user.
func own(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}

// links returns how many names a file has.
func links(info fs.FileInfo) uint64 {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 1
	}
	return uint64(stat.Nlink)
}

// syncDir makes a rename in dir outlast a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
