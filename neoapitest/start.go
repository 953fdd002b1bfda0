package neoapitest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/serve"
	"neoapi/internal/store/sqlite"
	"neoapi/internal/token"
)

// What takes most of the time of a server's start is done once for this process.

// tables is a database file with the store's tables and nothing in them: a copy takes a
// fraction of the time of the migrations.
var tables = sync.OnceValues(func() (file []byte, err error) {
	dir, err := os.MkdirTemp("", "neoapitest-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, serve.DatabaseFile)
	store, err := sqlite.Open(context.Background(), path)
	if err != nil {
		return nil, err
	}
	if err := store.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// copyTables puts the tables into a directory.
func copyTables(dir string) error {
	file, err := tables()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, serve.DatabaseFile), file, 0o600)
}

// spareKeys are the signing keys of this process's servers that have ended: making one
// takes longer than the rest of a server's start.
var spareKeys struct {
	sync.Mutex
	all []token.Key
}

// addKey gives new data their first signing key, which no other server has that runs.
func addKey(ctx context.Context, t testing.TB, data *serve.Data, now time.Time) error {
	key, err := spareKey()
	if err != nil {
		return err
	}
	t.Cleanup(func() {
		spareKeys.Lock()
		defer spareKeys.Unlock()
		spareKeys.all = append(spareKeys.all, key)
	})
	sealed, err := login.SealSigningKey(data.Vault, key, now, now)
	if err != nil {
		return err
	}
	return data.Store.AddFirstSigningKey(ctx, sealed)
}

// spareKey returns a spare key, or a new one.
func spareKey() (token.Key, error) {
	spareKeys.Lock()
	defer spareKeys.Unlock()
	n := len(spareKeys.all)
	if n == 0 {
		return token.NewKey(token.Bits2048)
	}
	key := spareKeys.all[n-1]
	spareKeys.all = spareKeys.all[:n-1]
	return key, nil
}
