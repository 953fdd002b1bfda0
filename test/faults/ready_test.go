//go:build linux

package faults

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"neoapi/internal/sandbox"
	"neoapi/internal/store/postgres/pgtest"
)

// own returns the service's operator's address, which its command must have named.
func (s *service) own(t *testing.T) *service {
	t.Helper()
	log, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`url"?[=:]"?(http://127\.0\.0\.1:\d+)/metrics`).FindAllSubmatch(log, -1)
	if found == nil {
		t.Fatalf("the log does not tell where the metrics are:\n%s", log)
	}
	return &service{url: string(found[len(found)-1][1]), client: s.client}
}

// sandboxWith starts a sandbox with an operator's address.
func sandboxWith(t *testing.T, dir, database string) *service {
	t.Helper()
	s := sandboxIn(t, dir, database, inTrial, "--metrics=127.0.0.1:0")
	s.again = false
	return s
}

// becomes waits until the service says of itself, at both addresses and in its metrics,
// that it is ready or that it is not. No question may take longer than a store may.
func becomes(t *testing.T, s *service, ready bool) {
	t.Helper()
	own, up := s.own(t), `neo_part_up{part="store"} 0`
	if ready {
		up = `neo_part_up{part="store"} 1`
	}
	took := within(t, noisy(recoverWithin), "telling whether it is ready: "+up, func() bool {
		begin := time.Now()
		one, two := own.call("ready", "GET", "/readyz", nil), s.call("ready", "GET", "/readyz", nil)
		metrics := own.call("metrics", "GET", "/metrics", nil)
		if took := time.Since(begin); took > noisy(3*answerWithin) {
			t.Errorf("asking whether it is ready took %s", took)
		}
		return one.good() == ready && two.good() == ready && bytes.Contains(metrics.body, []byte(up+"\n"))
	})
	t.Logf("%s after %s", up, took)
}

// recorded waits for a line in the service's log.
func recorded(t *testing.T, s *service, pattern string) {
	t.Helper()
	within(t, noisy(recoverWithin), "a line "+pattern+" in the log", func() bool {
		log, err := os.ReadFile(s.log)
		if err != nil {
			t.Fatal(err)
		}
		return regexp.MustCompile(pattern).Match(log)
	})
}

// Each fault of PostgreSQL that stops logins, and only those, stops readiness, whether
// anybody logs in meanwhile or not; readiness comes back with logins, and without a
// restart. Some faults only a login finds.
func TestReadiness_isThatOfLoginsOnPostgreSQL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		begin, over string // statements of the database's owner; over is "" if the transaction is rolled back
		onlyLogins  bool
	}{
		{name: "a right is gone", begin: `REVOKE INSERT ON events FROM $role`, over: `GRANT INSERT ON events TO $role`},
		{name: "a table is locked", begin: `LOCK TABLE account_states IN EXCLUSIVE MODE`},
		{name: "a table is gone", begin: `ALTER TABLE jobs RENAME TO gone`, over: `ALTER TABLE gone RENAME TO jobs`},
		{name: "no connection", begin: `ALTER ROLE $role CONNECTION LIMIT 0; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '$role'`, over: `ALTER ROLE $role CONNECTION LIMIT -1`},
		{name: "rows of people are refused", begin: `ALTER TABLE sessions ADD CONSTRAINT none CHECK (ucc = '') NOT VALID`, over: `ALTER TABLE sessions DROP CONSTRAINT none`, onlyLogins: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			database := pgtest.Database(t)
			owner, role, address := limitedRole(t, database)
			s := sandboxWith(t, t.TempDir(), address)
			becomes(t, s, true)
			tx, err := owner.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec(t.Context(), strings.ReplaceAll(c.begin, "$role", role)); err != nil {
				t.Fatal(err)
			}
			if c.over != "" {
				if err := tx.Commit(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if c.onlyLogins {
				for i := range 4 {
					if a := s.password(demo(1+i), sandbox.DemoPassword); !a.unavailable() {
						t.Errorf("a login: %v", a)
					}
				}
			}
			becomes(t, s, false)
			recorded(t, s, `level=ERROR msg="not ready" part=store`)
			if c.over == "" {
				err = tx.Rollback(t.Context())
			} else {
				_, err = owner.Exec(t.Context(), strings.ReplaceAll(c.over, "$role", role))
			}
			if err != nil {
				t.Fatal(err)
			}
			becomes(t, s, true)
			recorded(t, s, `msg="ready again" part=store`)
			s.again = true
			s.view(t, demo(10))
		})
	}
}

// limitedRole returns a connection of a database's owner, and the name and address of a
// role that has all rights to the tables and is not their owner.
func limitedRole(t *testing.T, database string) (owner *pgx.Conn, role, address string) {
	t.Helper()
	owner, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	role = "role_of_" + strings.Trim(u.Path, "/")
	do := func(sql string) {
		t.Helper()
		if _, err := owner.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	do(`CREATE ROLE ` + role + ` LOGIN PASSWORD 'neo'`)
	do(`GRANT ALL ON ALL TABLES IN SCHEMA public TO ` + role + `; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO ` + role)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_, err := owner.Exec(ctx, `DROP OWNED BY `+role+`; DROP ROLE `+role)
		if err := errors.Join(err, owner.Close(ctx)); err != nil {
			t.Errorf("dropping the role: %v", err)
		}
	})
	u.User = url.User(role)
	return owner, role, u.String()
}

// What may become of a data directory while the service runs, and how many of the
// sessions are there after a restart: those at the time of the copy, or all.
var displacements = []struct {
	name string
	do   func(dir, copied string) error
}{
	{"removed", func(dir, _ string) error { return os.RemoveAll(dir) }},
	{"moved away", func(dir, _ string) error { return os.Rename(dir, dir+".old") }},
	{"a copy moved over neo.db", func(dir, copied string) error { return os.Rename(copied, filepath.Join(dir, "neo.db")) }},
	{"a copy written over neo.db", func(dir, copied string) error {
		to, err := os.OpenFile(filepath.Join(dir, "neo.db"), os.O_WRONLY|os.O_TRUNC, 0) // as cp does
		if err != nil {
			return err
		}
		from, err := os.Open(copied)
		if err == nil {
			_, err = io.Copy(to, from)
			err = errors.Join(err, from.Close())
		}
		return errors.Join(err, to.Close())
	}},
}

// If the data directory is removed, or the database in it replaced by a copy, the service
// says so, acknowledges nothing more, and leaves the copy as it is: after a restart it is
// what the service has.
func TestDataDirectory_replacedWhileItRunsIsNotWrittenTo(t *testing.T) {
	t.Parallel()
	for _, c := range displacements {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			top := t.TempDir()
			dir, copied := filepath.Join(top, "data"), filepath.Join(top, "copy.db")
			s := sandboxWith(t, dir, "")
			s.again = true
			before := s.trading(t, demo(1))
			if out, err := s.operator("backup", "--to="+copied); err != nil {
				t.Fatal(out, err)
			}
			text, err := os.ReadFile(copied)
			if err != nil {
				t.Fatal(err)
			}
			after := s.trading(t, demo(2))
			s.again = false
			if err := c.do(dir, copied); err != nil {
				t.Fatal(err)
			}
			becomes(t, s, false)
			recorded(t, s, `level=ERROR msg="the database is not usable"`)
			if a := s.password(demo(3), sandbox.DemoPassword); !a.unavailable() {
				t.Errorf("a login: %v", a)
			}
			if a := s.logout(before); !a.unavailable() {
				t.Errorf("a logout: %v", a)
			}
			s.stop(t)
			if !strings.HasPrefix(c.name, "a copy") {
				return
			}
			if now, err := os.ReadFile(filepath.Join(dir, "neo.db")); err != nil || !bytes.Equal(now, text) {
				t.Errorf("the copy was changed: %v", err)
			}
			s.again = true
			s.start(t)
			becomes(t, s, true)
			if a := s.clientIP(before); !a.good() {
				t.Errorf("a session from before the copy: %v", a)
			}
			if a := s.clientIP(after); a.good() {
				t.Errorf("a session from after the copy: %v", a)
			}
			s.view(t, demo(4))
		})
	}
}

// A database that is damaged while the service runs is noticed without a login.
func TestReadiness_noticesADamagedFile(t *testing.T) {
	t.Parallel()
	s := sandboxWith(t, t.TempDir(), "")
	s.stop(t) // the log is in the database
	s.start(t)
	becomes(t, s, true)
	f, err := os.OpenFile(filepath.Join(s.dir, "neo.db"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096 // the first one stays
	_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, int(info.Size()-page)), page)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	becomes(t, s, false)
	recorded(t, s, `level=ERROR msg="not ready" part=store cause=".*malformed`)
}
