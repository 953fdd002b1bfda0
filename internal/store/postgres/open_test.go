package postgres_test

import (
	"context"
	"errors"
	"testing"

	"neoapi/internal/store"
	"neoapi/internal/store/postgres"
	"neoapi/internal/store/postgres/pgtest"
	"neoapi/internal/store/storetest"
)

var processes = storetest.Processes{Open: func(ctx context.Context, url string) (store.Store, error) { return postgres.Open(ctx, url) }}

func TestMain(m *testing.M) { processes.Main(m) }

func TestProcesses(t *testing.T) { processes.Run(t, pgtest.Empty) }

func TestOpen_waitsForAMigrationAndHonoursItsContext(t *testing.T) {
	url := pgtest.Empty(t)
	other := raw(t, url)
	if _, err := other.Exec(t.Context(), `SELECT pg_advisory_lock(7366010000)`); err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 1)
	go func() { opened <- processes.OpenAndClose(url) }()
	someoneWaits(t, url)
	if s, err := postgres.Open(shortly(t), url); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("opened %v with error %v, want that of the context", s, err)
	}
	select {
	case err := <-opened:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	if _, err := other.Exec(t.Context(), `SELECT pg_advisory_unlock(7366010000)`); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Error(err)
	}
}
