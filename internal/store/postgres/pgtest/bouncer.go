package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"neoapi/internal/must"
)

// errNoBouncer means that PgBouncer is not installed on this machine.
var errNoBouncer = errors.New("PgBouncer is not installed: there is no pgbouncer in PATH or in /usr/sbin")

// Bouncer starts a PgBouncer before the server of a database, and returns the address
// of the database through it. settings are lines for the section [pgbouncer] of its
// configuration, such as "pool_mode = transaction". It ends with the test, or with the
// process, however that ends.
func Bouncer(t testing.TB, database string, settings ...string) string {
	t.Helper()
	address, err := bouncer(t, database, settings)
	if errors.Is(err, errNoBouncer) {
		must.Skip(t, "%v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func bouncer(t testing.TB, database string, settings []string) (string, error) {
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			return "", errNoBouncer
		}
	}
	owner, err := findOwner() // it does not run as root either
	if err != nil {
		return "", err
	}
	cfg, err := pgx.ParseConfig(database)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("/tmp", "neo-pgb-")
	if err != nil {
		return "", err
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	server := fmt.Sprintf("host=%s port=%d", cfg.Host, cfg.Port)
	if cfg.Password != "" {
		server += " password=" + cfg.Password
	}
	file := "[databases]\n* = " + server + "\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = " + dir + "\nlisten_port = 6432\nauth_type = trust\n" +
		"auth_file = " + dir + "/users\n"
	for _, line := range settings {
		file += line + "\n"
	}
	for name, text := range map[string]string{"users": strconv.Quote(cfg.User) + ` ""` + "\n", "ini": file} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), owner.give(path)); err != nil {
			return "", err
		}
	}
	if err := owner.give(dir); err != nil {
		return "", err
	}
	cmd := owner.as(exec.Command("sh", "-c", keep, "keep", dir, "TERM", program, dir+"/ini"))
	cmd.Dir = dir
	word, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	t.Cleanup(func() {
		_ = word.Close()
		_ = cmd.Wait()
	})
	address := url.URL{Scheme: "postgres", User: url.User(cfg.User), Path: "/" + cfg.Database, RawQuery: url.Values{"host": {dir}, "port": {"6432"}}.Encode()}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		c, err := pgx.Connect(ctx, address.String())
		if err == nil {
			return address.String(), c.Close(ctx)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			return "", fmt.Errorf("PgBouncer does not start: %w\n%s", err, log)
		}
	}
}
