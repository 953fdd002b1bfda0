// Package serve puts the parts together: a data directory, the stores, the OMS,
// the service and its HTTP side. neo serve, neo sandbox, the operator's commands
// and neoapitest all start here.
//
// Start with [Open] for a data directory and [New] for a service on one.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/store/sqlite"
)

// The files of a data directory.
const (
	databaseFile = "neo.db"
	masterFile   = "master.key"
)

// Data is an open data directory: the database and the vault of its master key.
type Data struct {
	Store *sqlite.Store
	Vault *credential.Vault
	now   func() time.Time
}

// OpenExisting opens a data directory that Open has made, and makes none.
func OpenExisting(ctx context.Context, dir string) (*Data, error) {
	if !Exists(dir) {
		return nil, fmt.Errorf("there is no service's data in %s", dir)
	}
	return Open(ctx, dir, nil)
}

// Exists tells whether a directory holds data.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, databaseFile))
	return err == nil
}

// Open opens a data directory, making it and what it lacks: the master key and
// the database, each readable by their owner only. now is the clock; nil means
// the system's. Close it when done.
func Open(ctx context.Context, dir string, now func() time.Time) (*Data, error) {
	if now == nil {
		now = time.Now
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	vault, err := openVault(dir)
	if err != nil {
		return nil, err
	}
	store, err := sqlite.Open(ctx, filepath.Join(dir, databaseFile))
	if err != nil {
		return nil, err
	}
	check, err := store.Settle(ctx, "check", vault.Seal(credential.PurposeCheck, "", nil))
	if err == nil {
		_, err = vault.Open(credential.PurposeCheck, "", check)
	}
	if errors.Is(err, credential.ErrSealed) {
		err = fmt.Errorf("master key: %s is not the key that this database was sealed with: put the right one back", filepath.Join(dir, masterFile))
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return &Data{store, vault, now}, nil
}

// A Kind says whose data a directory holds. The two are never mixed: the
// sandbox's secrets are public (bar C1).
type Kind string

// The kinds of data.
const (
	Service Kind = "service"
	Sandbox Kind = "sandbox"
)

// Be settles that the directory holds data of a kind, or refuses if it was
// settled otherwise.
func (d *Data) Be(ctx context.Context, k Kind) error {
	settled, err := d.Store.Settle(ctx, "kind", []byte(k))
	switch {
	case err != nil:
		return err
	case Kind(settled) == k:
		return nil
	case k == Service:
		return errors.New("this data directory belongs to a sandbox, whose secrets are public: give the service a directory of its own")
	}
	return errors.New("this data directory is a service's, and the sandbox's secrets are public: give the sandbox a directory of its own")
}

// Close closes the database.
func (d *Data) Close() error { return d.Store.Close() }

// Admin returns the operator's side of the data.
func (d *Data) Admin() *login.Admin {
	return &login.Admin{Accounts: d.Store, Sessions: d.Store, Vault: d.Vault, Now: d.now}
}

// openVault reads the master key of a data directory, or makes it for a new one.
func openVault(dir string) (*credential.Vault, error) {
	path := filepath.Join(dir, masterFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeMasterKey(dir, path); err != nil {
			return nil, fmt.Errorf("master key: %w", err)
		}
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("master key: others may read %s (mode %o): run chmod 600 on it, and consider it known to them", path, info.Mode().Perm())
	}
	key, err := credential.ParseMasterKey(string(text))
	if err != nil {
		return nil, fmt.Errorf("master key: %s: %w", path, err)
	}
	return credential.NewVault(key)
}

// makeMasterKey writes a new master key. It does not make one for a database
// that exists: its secrets were sealed with another.
func makeMasterKey(dir, path string) error {
	if _, err := os.Stat(filepath.Join(dir, databaseFile)); err == nil {
		return fmt.Errorf("%s is missing, and without it the database beside it cannot be read: put it back", path)
	}
	f, err := os.CreateTemp(dir, ".master-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, werr := f.WriteString(credential.NewMasterKey())
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return err
	}
	// A link is made whole or not at all, and fails if another process was first:
	// then that one's key is used.
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
