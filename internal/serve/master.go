package serve

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/lockedfile"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/owner"
	"neoapi/internal/store"
)

// Everything is sealed or hashed with the data key. The database has that key sealed
// with the master key, once for each master key that may open it. So a new master key
// changes no stored data, and nothing for running processes.
const dataKeyPrefix = "data key "

// dataKey returns the data key and its vault, creating it for a new database.
// credential.ErrSealed means that the master key does not belong to this database.
func dataKey(ctx context.Context, store store.Store, master []byte, isNew bool) (*credential.Vault, []byte, error) {
	name, sealing, err := sealingOf(master)
	if err != nil {
		return nil, nil, err
	}
	sealed, err := store.PutOnce(ctx, name, nil)
	if err != nil {
		return nil, nil, err
	}
	key := master // of a database created before there were data keys
	if sealed == nil {
		all, err := store.Names(ctx, dataKeyPrefix)
		if err != nil {
			return nil, nil, err
		}
		if slices.ContainsFunc(all, func(other string) bool { return other != name }) {
			return nil, nil, credential.ErrSealed
		}
		if isNew {
			fresh := make([]byte, credential.MasterKeySize)
			_, _ = rand.Read(fresh) // never fails: crypto/rand ends the process instead
			if sealed, err = store.PutOnce(ctx, name, sealing.Seal(credential.PurposeDataKey, "", fresh)); err != nil {
				return nil, nil, err
			}
		}
	}
	if sealed != nil {
		if key, err = sealing.Open(credential.PurposeDataKey, "", sealed); err != nil {
			return nil, nil, err
		}
	}
	vault, err := credential.NewVault(key)
	return vault, key, err
}

// sealingOf returns the name under which the data key is stored for a master key, and
// what seals it.
func sealingOf(master []byte) (name string, sealing *credential.Vault, err error) {
	id, err := credential.MasterKeyID(master)
	if err != nil {
		return "", nil, err
	}
	sealing, err = credential.NewVault(master)
	return dataKeyPrefix + id, sealing, err
}

// RotateMaster replaces the master key in the data directory by a new one. The old
// one still opens the data until ForgetMasters is called.
func (d *Data) RotateMaster(ctx context.Context) error {
	unlock, err := d.lockMaster()
	if err != nil {
		return err
	}
	defer unlock()
	path := filepath.Join(d.place.Dir, masterFile)
	old, err := readMasterKey(path)
	if err != nil {
		return err
	}
	// Keys left behind by a rotation that was killed.
	left, err := fs.Glob(os.DirFS(d.place.Dir), masterTemp)
	for _, file := range left {
		err = errors.Join(err, os.Remove(filepath.Join(d.place.Dir, file)))
	}
	if err != nil {
		return fmt.Errorf("master key: %w", err)
	}
	text := credential.NewMasterKey()
	master, err := credential.ParseMasterKey(text)
	if err != nil {
		return err
	}
	file, err := writeMasterKey(d.place.Dir, text, path)
	if err != nil {
		return fmt.Errorf("master key: %w", err)
	}
	defer func() { _ = os.Remove(file) }()
	// First both keys open the data, then the file changes: whenever this is
	// interrupted, the key in the file is valid.
	for _, key := range [][]byte{old, master} {
		name, sealing, err := sealingOf(key)
		if err != nil {
			return err
		}
		if _, err := d.Store.PutOnce(ctx, name, sealing.Seal(credential.PurposeDataKey, "", d.key)); err != nil {
			return err
		}
	}
	id, err := credential.MasterKeyID(master)
	if err != nil {
		return err
	}
	if err := d.Store.Record(ctx, d.Admin().KeyEvent("master key added", id)); err != nil {
		return err
	}
	if err := os.Rename(file, path); err != nil {
		return fmt.Errorf("master key: %w", err)
	}
	return syncDir(d.place.Dir)
}

// ForgetMasters retires all master keys except the one in the data directory, and
// returns how many there were.
func (d *Data) ForgetMasters(ctx context.Context) (n int, err error) {
	unlock, err := d.lockMaster()
	if err != nil {
		return 0, err
	}
	defer unlock()
	master, err := readMasterKey(filepath.Join(d.place.Dir, masterFile))
	if err != nil {
		return 0, err
	}
	own, _, err := sealingOf(master)
	if err != nil {
		return 0, err
	}
	all, err := d.Store.Names(ctx, dataKeyPrefix)
	if err != nil {
		return 0, err
	}
	if len(all) > 0 && !slices.Contains(all, own) { // changed since the data were opened
		return 0, errors.New("master key: the file in the data directory does not open this data: nothing was forgotten")
	}
	for _, name := range all {
		if name == own {
			continue
		}
		err := d.Store.Forget(ctx, name, d.Admin().KeyEvent("master key forgotten", strings.TrimPrefix(name, dataKeyPrefix)))
		if err != nil && !errors.Is(err, login.ErrNotFound) {
			return n, err
		}
		n++
	}
	return n, nil
}

// lockMaster waits until no other process changes the master key of this data
// directory. Otherwise a process that forgets keys could forget one that another is
// about to put into the file, which would then open nothing.
func (d *Data) lockMaster() (unlock func(), err error) {
	path := filepath.Join(d.place.Dir, masterFile+".lock")
	err = owner.Create(path) // only the service's user may hold it
	if err == nil {
		unlock, err = lockedfile.MutexAt(path).Lock()
	}
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	return unlock, nil
}

// syncDir puts a directory's names on disk.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
