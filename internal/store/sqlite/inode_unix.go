//go:build unix

package sqlite

import (
	"io/fs"
	"strconv"
	"syscall"
)

// inodeOf returns the number of a file.
func inodeOf(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return strconv.FormatUint(uint64(stat.Ino), 10)
}
