package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
)

// errMissing means that PostgreSQL is not installed on this machine.
var errMissing = errors.New("PostgreSQL is not installed: there is no initdb in PATH or in /usr/lib/postgresql/*/bin")

// A Cluster is a PostgreSQL server for tests, on a Unix socket in a directory that
// nobody else may enter. It ends with the process that started it, however that ends.
// It does not wait for the disk.
type Cluster struct {
	dir    string
	bin    string
	owner  *owner
	args   []string
	keeper *exec.Cmd      // nil while the server is stopped
	word   io.WriteCloser // wakes the keeper
}

// keep runs the server until it reads a word or the end of its input. The word is the
// signal with which to stop the server; without one it is the last, and the process that started it has
// finished or died, and the directory is removed too.
const keep = `trap '' INT # Ctrl-C is for the tests: they end, and then so does this
dir=$1 last=$2; shift 2
"$@" >>"$dir/log" 2>&1 </dev/null &
read -r word
kill -"${word:-$last}" $!
wait $!
[ -n "$word" ] || rm -rf "$dir"`

// New makes and starts a cluster; settings are lines for its configuration, such
// as "ssl=on". Remove it when done.
func New(settings ...string) (_ *Cluster, err error) {
	c := &Cluster{}
	if c.bin, err = binaries(); err != nil {
		return nil, err
	}
	if c.owner, err = findOwner(); err != nil {
		return nil, err
	}
	// Not in TMPDIR: the path of a socket has at most about a hundred bytes.
	if c.dir, err = os.MkdirTemp("/tmp", "neo-pg-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Remove(), os.RemoveAll(c.dir))
		}
	}()
	if err := c.owner.give(c.dir); err != nil {
		return nil, err
	}
	initdb := c.command(filepath.Join(c.bin, "initdb"), "--pgdata", c.dir+"/data", "--username", "postgres", "--encoding", "UTF8",
		"--locale", "C", "--auth-local", "trust", "--auth-host", "scram-sha-256", "--no-sync", "--no-instructions")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	c.args = []string{
		"-c", keep, "keep", c.dir, "QUIT", filepath.Join(c.bin, "postgres"), "-D", c.dir + "/data", "-k", c.dir, "-c", "listen_addresses=",
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=500", "-c", "log_line_prefix=%m [%p] %d ",
	}
	for _, s := range settings {
		c.args = append(c.args, "-c", s)
	}
	return c, c.Start()
}

// command returns a command that the cluster's owner runs.
func (c *Cluster) command(name string, args ...string) *exec.Cmd {
	cmd := c.owner.as(exec.Command(name, args...))
	cmd.Dir = c.dir
	return cmd
}

// patience is how long a cluster may take to start.
const patience = time.Minute

// Start starts a cluster that was stopped, and waits until it answers.
func (c *Cluster) Start() error {
	cmd := c.command("sh", c.args...)
	word, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	c.keeper, c.word = cmd, word
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, c.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(c.dir, "log"))
			return fmt.Errorf("the cluster does not start: %w\n%s", err, log)
		}
	}
}

// URL returns the address of a database of the cluster.
func (c *Cluster) URL(database string) string {
	return "postgres://postgres@/" + database + "?host=" + c.dir
}

// Dir returns the directory of the cluster and of its socket.
func (c *Cluster) Dir() string { return c.dir }

// Crash kills the server, as the loss of its machine would, and keeps the data: the
// next Start recovers.
func (c *Cluster) Crash() error { return c.end("QUIT\n") }

// Stop shuts the server down cleanly, notifying its connections first, and keeps the data.
func (c *Cluster) Stop() error { return c.end("INT\n") }

// Remove ends the server and removes its data.
func (c *Cluster) Remove() error {
	if c.keeper == nil {
		return os.RemoveAll(c.dir)
	}
	return c.end("")
}

func (c *Cluster) end(word string) error {
	if c.keeper == nil {
		return nil
	}
	_, err := io.WriteString(c.word, word)
	err = errors.Join(err, c.word.Close(), c.keeper.Wait())
	c.keeper = nil
	return err
}

// binaries returns the folder of PostgreSQL's programs.
func binaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil { // postgres is in the same directory
			return filepath.Dir(path), nil
		}
	}
	all, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(all) == 0 {
		return "", errMissing
	}
	return filepath.Dir(all[len(all)-1]), nil
}

// Program returns the path of one of PostgreSQL's programs, such as pg_dump.
func Program(name string) (string, error) {
	bin, err := binaries()
	return filepath.Join(bin, name), err
}
