//go:build !unix

package journal

import (
	"errors"
	"os"
)

// tail is the end of a file, where records are appended.
type tail struct {
	file *os.File
	end  int64 // of the last record
}

// openTail opens a file to append at a byte. What follows there is cut off.
func openTail(path string, end int64) (*tail, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(end); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &tail{f, end}, nil
}

func (t *tail) append(b []byte) error {
	if _, err := t.file.WriteAt(b, t.end); err != nil {
		return err // what was written of it is overwritten, or cut off as a torn end
	}
	t.end += int64(len(b))
	return nil
}

func (t *tail) sync() error  { return t.file.Sync() }
func (t *tail) close() error { return t.file.Close() }
