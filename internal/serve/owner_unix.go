//go:build unix

package serve

import (
	"os"
	"syscall"
)

// keepOwner gives a file the owner and group of another one. An operator may be
// root, where the service, which has to read the file, is not.
func keepOwner(file, like string) error {
	info, err := os.Stat(like)
	if err != nil {
		return err
	}
	mine, err := os.Stat(file)
	if err != nil {
		return err
	}
	was, is := info.Sys().(*syscall.Stat_t), mine.Sys().(*syscall.Stat_t)
	if was.Uid == is.Uid && was.Gid == is.Gid {
		return nil
	}
	return os.Chown(file, int(was.Uid), int(was.Gid))
}
