//go:build unix

package journal

import (
	"os"

	"golang.org/x/sys/unix"
)

// tail is the end of a file, where records are appended. It is mapped into memory, so
// that a record costs no system call; what was copied there is the system's, whatever
// becomes of the process. Zeros follow the last record until the file is closed.
type tail struct {
	file   *os.File
	end    int64 // of the last record
	window []byte
	at     int64 // where the window begins
}

// windowSize is how much of a file is mapped at a time, and by how much it grows.
const windowSize = 1 << 20

// openTail opens a file to append at a byte. What follows there is cut off.
func openTail(path string, end int64) (*tail, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	t := &tail{file: f, end: end}
	if err := f.Truncate(end); err != nil {
		f.Close()
		return nil, err
	}
	return t, nil
}

func (t *tail) append(b []byte) error {
	if t.end+int64(len(b)) > t.at+int64(len(t.window)) {
		if err := t.slide(len(b)); err != nil {
			return err
		}
	}
	copy(t.window[t.end-t.at:], b)
	t.end += int64(len(b))
	return nil
}

// slide moves the window to the end. The room it needs is written first, with zeros: a
// full disk has to be an error and not a fault in memory.
func (t *tail) slide(n int) error {
	if err := t.unmap(); err != nil {
		return err
	}
	page := int64(os.Getpagesize())
	at := t.end / page * page
	size := (int64(n) + t.end - at + windowSize - 1) / windowSize * windowSize
	if _, err := t.file.WriteAt(make([]byte, at+size-t.end), t.end); err != nil {
		return err
	}
	window, err := unix.Mmap(int(t.file.Fd()), at, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	t.window, t.at = window, at
	return nil
}

func (t *tail) unmap() error {
	if t.window == nil {
		return nil
	}
	window := t.window
	t.window = nil
	if err := unix.Msync(window, unix.MS_SYNC); err != nil {
		return err
	}
	return unix.Munmap(window)
}

func (t *tail) sync() error {
	if t.window != nil {
		if err := unix.Msync(t.window, unix.MS_SYNC); err != nil {
			return err
		}
	}
	return t.file.Sync()
}

func (t *tail) close() error {
	err := t.unmap()
	if err == nil {
		err = t.file.Truncate(t.end)
	}
	if e := t.file.Close(); err == nil {
		err = e
	}
	return err
}
