package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"zombiezen.com/go/sqlite"

	"neoapi/internal/owner"
	"neoapi/internal/private"
)

// Backup writes a copy of the database file at from to a new file at to, readable only
// by its owner. It contains everything acknowledged before the call; others may go on
// writing. Nobody else may be able to replace files in the directory of to. Backup
// changes nothing at from, not even its schema. When it returns, the copy has been read
// back and is on disk; after an error there is no copy.
func Backup(ctx context.Context, from, to string) (err error) {
	if _, err := os.Lstat(to); !errors.Is(err, os.ErrNotExist) {
		return errors.Join(private.Refused(to+" already exists: give the backup a new name"), err)
	}
	from, err = filepath.Abs(from)
	if err != nil {
		return err
	}
	if err := private.CheckPlace(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	part, err := os.CreateTemp(filepath.Dir(to), filepath.Base(to)+".part-") // mode 0600
	if errors.Is(err, fs.ErrNotExist) {
		return private.Refused("there is no directory " + filepath.Dir(to))
	}
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, part.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(part.Name()))
		}
	}()
	// Read-write, because only such a connection can recover the log of a killed
	// process. Nothing is written through it.
	if err := onFile(ctx, from, func(c *sqlite.Conn) error {
		c.SetBusyTimeout(busyTimeout)
		return exec(c, "VACUUM INTO ?", part.Name())
	}); err != nil {
		return owner.Explain(err, from, from+"-wal", from+"-shm")
	}
	if err := onFile(ctx, part.Name(), func(c *sqlite.Conn) error {
		return each(c, func(r *row) error {
			if found := r.text(); found != "ok" {
				return fmt.Errorf("the copy is damaged, and so may be the database: %s", found)
			}
			return nil
		}, "PRAGMA quick_check(1)")
	}); err != nil {
		return err
	}
	if err := errors.Join(owner.Adopt(part), part.Sync()); err != nil {
		return err
	}
	// Link, unlike Rename, does not replace a file created there meanwhile.
	if err := os.Link(part.Name(), to); err != nil {
		return err
	}
	if err := os.Remove(part.Name()); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

// onFile runs f on a connection of its own to a database file, until the context
// ends.
func onFile(ctx context.Context, path string, f func(c *sqlite.Conn) error) error {
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return err
	}
	c.SetInterrupt(ctx.Done())
	return errors.Join(f(c), c.Close())
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
