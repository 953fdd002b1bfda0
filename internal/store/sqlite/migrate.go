package sqlite

import (
	"bufio"
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"neoapi/internal/owner"
	"neoapi/internal/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// busyAtStart is how long one try to migrate waits for another process that has
// locked the database.
const busyAtStart = time.Second

// migrate runs the migrations under a lock file: of several processes that start
// at once, one migrates and the others wait.
func migrate(ctx context.Context, path string, wait store.Waiting) (err error) {
	if err := owner.Create(path + ".lock"); err != nil { // only the service's user may hold it
		return err
	}
	limited, cancel := context.WithTimeout(ctx, wait.Limit)
	defer cancel()
	long := time.After(store.NotifyAfter)
	unlock, err := lock(limited, path+".lock", long, wait)
	if err != nil {
		return gaveUp(ctx, err, wait, holder(path+".lock"))
	}
	defer unlock()
	by := "another process that has locked " + path
	for {
		err := up(ctx, path) // waiting is limited, work is not
		if err == nil {
			return nil
		}
		if !Busy(err) {
			return errors.Join(ctx.Err(), err)
		}
		select {
		case <-limited.Done():
			return gaveUp(ctx, errors.Join(limited.Err(), err), wait, by)
		case <-long:
			wait.Notify(by)
		default:
		}
	}
}

// gaveUp returns the error of a wait that ended without success: for its limit, or
// because the caller's context has ended.
func gaveUp(ctx context.Context, err error, wait store.Waiting, by string) error {
	if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &store.HeldError{For: wait.Limit, By: by, Err: err}
}

// lock locks a file. It waits until the context is done.
func lock(ctx context.Context, path string, long <-chan time.Time, wait store.Waiting) (unlock func(), err error) {
	type result struct {
		unlock func()
		err    error
	}
	got := make(chan result, 1)
	go func() {
		unlock, err := lockedfile.MutexAt(path).Lock()
		got <- result{unlock, err}
	}()
	for {
		select {
		case r := <-got:
			return r.unlock, r.err
		case <-long:
			wait.Notify(holder(path))
		case <-ctx.Done():
			go func() { // it cannot be interrupted
				if r := <-got; r.err == nil {
					r.unlock()
				}
			}()
			return nil, ctx.Err()
		}
	}
}

// holder describes the process that has locked a file, as far as the system says.
func holder(path string) string {
	said := "another process that has locked " + path
	info, err := os.Stat(path)
	if err != nil {
		return said
	}
	locks, err := os.Open("/proc/locks") // on Linux
	if err != nil {
		return said
	}
	defer locks.Close()
	inode := inodeOf(info)
	for lines := bufio.NewScanner(locks); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) < 6 || f[1] == "->" || !strings.HasSuffix(f[5], ":"+inode) {
			continue
		}
		name, _ := os.ReadFile("/proc/" + f[4] + "/comm")
		return fmt.Sprintf("process %s (%s), which has locked %s", f[4], strings.TrimSpace(string(name)), path)
	}
	return said
}

// versions makes the table of the migrations that were made. It is goose's: versions
// before this one migrate with goose, whose parser takes 16 MB at each start.
const versions = `CREATE TABLE IF NOT EXISTS goose_db_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL, is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now')));
	INSERT INTO goose_db_version (version_id, is_applied) SELECT 0, 1 WHERE NOT EXISTS (SELECT 1 FROM goose_db_version)`

// up makes the migrations that are missing, all or none. The caller holds the lock of
// migrations.
func up(ctx context.Context, path string) (err error) {
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	c.SetInterrupt(ctx.Done())
	c.SetBusyTimeout(busyAtStart)
	for _, query := range []string{"PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"} {
		if err := exec(c, query); err != nil {
			return err
		}
	}
	files, err := missing(c)
	if err != nil || len(files) == 0 {
		return err
	}
	commit, err := sqlitex.ImmediateTransaction(c)
	if err != nil {
		return err
	}
	defer commit(&err)
	if err := sqlitex.ExecuteScript(c, versions, nil); err != nil {
		return err
	}
	for _, file := range files {
		text, err := migrations.ReadFile(file.name)
		if err != nil {
			return err
		}
		last := bytes.LastIndexByte(text, ';') // ExecuteScript takes no comment behind it
		if err := sqlitex.ExecuteScript(c, string(text[:last+1]), nil); err != nil {
			return fmt.Errorf("%s: %w", file.name, err)
		}
		if err := exec(c, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, 1)`, file.version); err != nil {
			return err
		}
	}
	return nil
}

// A migration is one file.
type migration struct {
	name    string
	version int64
}

// missing returns the migrations that the database has not seen, in order.
func missing(c *sqlite.Conn) (files []migration, err error) {
	tables := 0
	count := func(r *row) error { tables++; return nil }
	if err := each(c, count, `SELECT 1 FROM sqlite_schema WHERE name = 'goose_db_version'`); err != nil {
		return nil, err
	}
	made := map[int64]bool{}
	if tables > 0 {
		note := func(r *row) error { made[r.int()] = true; return nil }
		if err := each(c, note, `SELECT version_id FROM goose_db_version WHERE is_applied`); err != nil {
			return nil, err
		}
	}
	names, err := fs.Glob(migrations, "migrations/*.sql") // in order
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		number, _, _ := strings.Cut(strings.TrimPrefix(name, "migrations/"), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, err
		}
		if !made[version] {
			files = append(files, migration{name, version})
		}
	}
	return files, nil
}
