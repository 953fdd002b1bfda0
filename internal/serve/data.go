// Package serve assembles the parts: the data, the OMS, the service and its HTTP
// side. neo serve, neo sandbox, the operator's commands and neoapitest all start
// here.
//
// Start with [Open] for the data and [New] for a service on them.
package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/operator"
	"neoapi/internal/owner"
	"neoapi/internal/paste"
	"neoapi/internal/private"
	"neoapi/internal/store"
	"neoapi/internal/store/postgres"
	"neoapi/internal/store/sqlite"
)

// The files of a data directory.
const (
	DatabaseFile = "neo.db" // unless the database is elsewhere
	masterFile   = "master.key"
	masterTemp   = ".master-*" // a master key on its way there
)

// A Place says where data are.
type Place struct {
	Dir      string // the data directory, which holds the master key
	Database string // URL of a PostgreSQL database; "" for a file in the data directory

	Wait store.Waiting // for another process that holds the data
}

// Data are open data: the store and the vault of their data key.
type Data struct {
	Store store.Store
	Vault *credential.Vault
	By    string // who makes the changes of Admin, for the audit trail

	now   func() time.Time
	place Place
	key   []byte // the data key

	watched watched
}

// OpenExisting opens data that Open has created, and creates none.
func OpenExisting(ctx context.Context, p Place) (*Data, error) {
	if !p.Exists() {
		return nil, p.nothing()
	}
	return Open(ctx, p, nil)
}

// Exists reports whether a place has data: the database file or, for a database
// elsewhere, the master key.
func (p Place) Exists() bool {
	file := DatabaseFile
	if p.Database != "" {
		file = masterFile
	}
	_, err := os.Stat(filepath.Join(p.Dir, file))
	return err == nil
}

// nothing returns the error for opening a place without data.
func (p Place) nothing() error {
	if p.Database != "" {
		return private.Refused(fmt.Sprintf("there is no %s in %s, which is made by neo serve: %s", masterFile, p.Dir, p.whereItIs()))
	}
	if err := p.CheckUnused(); err != nil {
		return err
	}
	return private.Refused("there is no service data in " + p.Dir)
}

// CheckUnused refuses a place in which an operator's command must not create data: a
// master key without the database file belongs to a database elsewhere, which the
// operator forgot to name.
func (p Place) CheckUnused() error {
	if _, err := os.Stat(MasterKey(p.Dir)); err != nil || p.Database != "" || p.Exists() {
		return nil
	}
	return private.Refused(fmt.Sprintf("there is a %s in %s but no %s: if the data is in PostgreSQL, give the service's NEO_DATABASE or --database",
		masterFile, p.Dir, DatabaseFile))
}

// Open opens the data of a place, creating the data directory and what it lacks: the
// master key and, without another database, the database file, each readable only by
// its owner. now is the clock; nil means the system's. Close the data when done.
func Open(ctx context.Context, p Place, now func() time.Time) (*Data, error) {
	if err := owner.MkdirAll(p.Dir); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	store, err := p.open(ctx, now == nil)
	if err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	vault, key, err := p.openVault(ctx, store)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return &Data{Store: store, Vault: vault, now: now, place: p, key: key}, nil
}

// open opens the store. system reports that the clock is the system's, which must
// then agree with the database server's: other processes on the database use theirs.
func (p Place) open(ctx context.Context, system bool) (store.Store, error) {
	if p.Database == "" {
		return sqlite.Open(ctx, filepath.Join(p.Dir, DatabaseFile), p.Wait)
	}
	store, err := postgres.Open(ctx, p.Database, p.Wait)
	if err != nil || !system {
		return store, err
	}
	if err := sameClock(ctx, store); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// clocksApart is how far this machine's clock and the database server's may differ:
// as much as verifiers of tokens allow.
const clocksApart = time.Minute

// apart refuses a clock that differs too much from the database server's.
func apart(here, there time.Time) error {
	ahead := here.Sub(there).Round(time.Second)
	if ahead.Abs() <= clocksApart {
		return nil
	}
	side := "ahead of"
	if ahead < 0 {
		side = "behind"
	}
	return fmt.Errorf("this machine's clock is %s %s the database server's, and sessions, codes and locks would end at the wrong time: set it right",
		ahead.Abs(), side)
}

// A Kind says whether data belongs to a service or a sandbox. The two are never
// mixed: the sandbox's secrets are public (security.md C1).
type Kind string

// The kinds of data.
const (
	Service Kind = "service"
	Sandbox Kind = "sandbox"
)

// ClaimKind sets the kind of the data if it has none yet, and refuses data of another
// kind.
func (d *Data) ClaimKind(ctx context.Context, k Kind) error {
	settled, err := d.Store.PutOnce(ctx, "kind", []byte(k))
	if err != nil {
		return err
	}
	return k.check(Kind(settled))
}

// check refuses data of another kind.
func (k Kind) check(settled Kind) error {
	switch {
	case settled == k:
		return nil
	case k == Service:
		return errors.New("this data belongs to a sandbox, whose secrets are public: give the service a place of its own")
	}
	return errors.New("this data belongs to a service, and the sandbox's secrets are public: give the sandbox a place of its own")
}

// Close closes the store.
func (d *Data) Close() error { return d.Store.Close() }

// Admin returns the operator's side of the data.
func (d *Data) Admin() *operator.Admin {
	return &operator.Admin{Store: d.Store, Vault: d.Vault, Now: d.now, By: d.By}
}

// openVault reads the master key, or creates it for a new database, and checks that
// it belongs to this database.
func (p Place) openVault(ctx context.Context, store store.Store) (*credential.Vault, []byte, error) {
	path := filepath.Join(p.Dir, masterFile)
	check, err := store.PutOnce(ctx, "check", nil) // first: the process that stores it has its key in place
	if err != nil {
		return nil, nil, err
	}
	_, err = os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if check != nil { // its secrets were sealed with a key that exists
			return nil, nil, p.missingKey()
		}
		err = makeMasterKey(p.Dir, path)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("master key: %w", err)
	}
	vault, key, err := p.unlock(ctx, store, check == nil)
	if err == nil {
		check, err = store.PutOnce(ctx, "check", vault.Seal(credential.PurposeCheck, "", nil))
	}
	if err == nil {
		_, err = vault.Open(credential.PurposeCheck, "", check)
	}
	if err != nil {
		return nil, nil, p.foreignKey(err)
	}
	return vault, key, nil
}

// unlock opens the data key with the master key. credential.ErrSealed means that the
// key does not belong to this database.
func (p Place) unlock(ctx context.Context, store store.Store, isNew bool) (*credential.Vault, []byte, error) {
	path := MasterKey(p.Dir)
	for {
		master, err := readMasterKey(path)
		if err != nil {
			return nil, nil, err
		}
		vault, key, err := dataKey(ctx, store, master, isNew)
		if !errors.Is(err, credential.ErrSealed) {
			return vault, key, err
		}
		// An operator may have replaced this key and had it forgotten.
		if now, rerr := readMasterKey(path); rerr != nil || bytes.Equal(now, master) {
			return nil, nil, errors.Join(err, rerr)
		}
	}
}

func (p Place) missingKey() error {
	return fmt.Errorf("master key: %s is missing, and without it this database cannot be read: %s", MasterKey(p.Dir), p.whereItIs())
}

// foreignKey adds to the error of a key that does not open this database what to do;
// other errors are unchanged.
func (p Place) foreignKey(err error) error {
	if errors.Is(err, credential.ErrSealed) {
		return fmt.Errorf("master key: %s is not the key that this database was sealed with: %s", MasterKey(p.Dir), p.whereItIs())
	}
	return err
}

// whereItIs returns what to do if the right master key is missing.
func (p Place) whereItIs() string {
	if p.Database != "" {
		return "copy " + masterFile + " from the data directory of the other machine that runs this service"
	}
	return "put the right one back"
}

func readMasterKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() { // opening a pipe would wait for who writes to it
		return nil, fmt.Errorf("master key: %s is not a file", path)
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("master key: %w", owner.Explain(err, path))
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("master key: %s is readable by other users (mode %o): run chmod 600, and replace the secret: it may be known", path, info.Mode().Perm())
	}
	if text, err = paste.Text(text); err != nil {
		return nil, fmt.Errorf("master key: %s: %w", path, err)
	}
	key, err := credential.ParseMasterKey(string(text))
	if err != nil {
		return nil, fmt.Errorf("master key: %s: %w", path, err)
	}
	return key, nil
}

// makeMasterKey creates a new master key.
func makeMasterKey(dir, path string) error {
	f, err := writeMasterKey(dir, credential.NewMasterKey(), "")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f) }()
	// A link is atomic, and fails if another process was first: then that one's key is
	// used.
	if err := os.Link(f, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// writeMasterKey writes a master key to a temporary file in dir, and returns its
// name. It gets the owner of the directory, or of the key like.
func writeMasterKey(dir, text, like string) (name string, err error) {
	f, err := os.CreateTemp(dir, masterTemp) // mode 0600
	if err != nil {
		return "", err
	}
	if like == "" {
		err = owner.Adopt(f)
	} else {
		err = owner.Give(f, like)
	}
	_, werr := f.WriteString(text)
	if err := errors.Join(err, werr, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// Backup copies the database file of a place while others use it: see
// [sqlite.Backup].
func (p Place) Backup(ctx context.Context, to string) error {
	if !p.Exists() {
		return p.nothing()
	}
	if err := sqlite.Backup(ctx, filepath.Join(p.Dir, DatabaseFile), to); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

// MasterKey returns the path of a data directory's master key.
func MasterKey(dir string) string { return filepath.Join(dir, masterFile) }
