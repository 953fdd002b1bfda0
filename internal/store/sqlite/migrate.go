package sqlite

import (
	"bufio"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/rogpeppe/go-internal/lockedfile"
	_ "modernc.org/sqlite" // the driver that migrations run through

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
		err := up(limited, path)
		if !Busy(err) {
			return err
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

// up runs the migrations.
func up(ctx context.Context, path string) (err error) {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busyAtStart.Milliseconds()), "journal_mode(WAL)", "synchronous(FULL)",
	}}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}
