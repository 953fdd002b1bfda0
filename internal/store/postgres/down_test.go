package postgres_test

import (
	"context"
	"net/url"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"neoapi/internal/store/postgres"
)

// What may work later is told from what somebody has to put right.
func TestDown_isADatabaseThatMayBeThereLater(t *testing.T) {
	withoutEnv(t)
	noTLS, name := listen(t, nil)
	certificate, _ := selfSigned(t)
	untrusted, _ := listen(t, &certificate)
	c := guarded(t)
	wrong := "postgres://neo:wrong@/postgres?host=" + c.Dir()
	for address, down := range map[string]bool{
		"postgres://postgres@127.0.0.1:1/neo":                           true,
		"postgres://postgres@/neo?host=" + url.QueryEscape(t.TempDir()): true,
		"postgres://postgres@127.0.0.1:" + noTLS + name:                 false,
		"postgres://postgres@127.0.0.1:" + untrusted + name:             false,
		wrong:            false,
		c.URL("nowhere"): false,
		"nonsense":       false,
	} {
		err := works(address)
		if err == nil {
			t.Errorf("%s: can be opened", address)
		}
		if got := postgres.Down(err); got != down {
			t.Errorf("%s: down: %v, want %v: %v", address, got, down, err)
		}
	}
	if locked := (&pgconn.PgError{Code: "55P03"}); !postgres.Down(locked) {
		t.Error("a lock that was waited for too long is not taken for what may be over later")
	}
	if postgres.Down(syscall.ENOSPC) || !postgres.Down(works("postgres://postgres@127.0.0.1:1/neo")) || postgres.Down(nil) || postgres.Down(context.Canceled) {
		t.Error("what is no failure of the database is taken for one")
	}
}
