package serve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/store"
	"neoapi/internal/store/postgres"
	"neoapi/internal/store/sqlite"
)

// Look opens the master key and the database of a place as [Open] does, but only to
// read them: it creates nothing and migrates nothing. first says what the first start
// will create, or "" if nothing is missing.
func (p Place) Look(ctx context.Context) (first string, err error) {
	path := MasterKey(p.Dir)
	_, missing := os.Stat(path)
	hasKey := !errors.Is(missing, fs.ErrNotExist)
	if p.Database == "" && !p.Exists() {
		if err := p.CheckUnused(); err != nil {
			return "", fmt.Errorf("%w; if not, put the file back: a start would create a new, empty one", err)
		}
		return fmt.Sprintf("there is no data in %s yet: the first start creates it", p.Dir), p.canBeMade()
	}
	store, made, err := p.openToRead(ctx)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	var check []byte
	if made {
		if check, err = store.PutOnce(ctx, "check", nil); err != nil {
			return "", err
		}
	}
	switch {
	case check == nil && hasKey:
		_, err = readMasterKey(path)
		return "the database is empty: the first start creates its tables", err
	case check == nil:
		return "the database is empty: the first start creates its tables, and " + path, nil
	case !hasKey:
		return "", p.missingKey()
	}
	vault, _, err := p.unlock(ctx, store, false)
	if err == nil {
		_, err = vault.Open(credential.PurposeCheck, "", check)
	}
	if err != nil {
		return "", p.foreignKey(err)
	}
	kind, err := store.PutOnce(ctx, "kind", nil)
	if err == nil && kind != nil {
		err = Service.check(Kind(kind))
	}
	return "", err
}

// canBeMade refuses a data directory that cannot be created, because a file is in its
// place or above it.
func (p Place) canBeMade() error {
	for dir := p.Dir; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir):
			continue
		case errors.Is(err, syscall.ENOTDIR):
			continue // the file is above it
		case err == nil && !info.IsDir():
			err = fmt.Errorf("%s is not a directory", dir)
		}
		if err != nil {
			return fmt.Errorf("data directory: %w", err)
		}
		return nil
	}
}

// openToRead opens the store for reading. made is false if it has not been created
// yet.
func (p Place) openToRead(ctx context.Context) (store store.Store, made bool, err error) {
	if p.Database == "" {
		s, err := sqlite.OpenToRead(ctx, filepath.Join(p.Dir, DatabaseFile))
		if err != nil {
			return nil, false, err
		}
		made, err = s.Made(ctx)
		return s, made, err
	}
	s, err := postgres.OpenToRead(ctx, p.Database, p.Wait)
	if err != nil {
		return nil, false, err
	}
	made, err = s.Made(ctx)
	if err == nil {
		err = sameClock(ctx, s)
	}
	if err != nil {
		return nil, false, errors.Join(err, s.Close())
	}
	return s, made, nil
}

// sameClock refuses a machine whose clock is not the database server's.
func sameClock(ctx context.Context, s *postgres.Store) error {
	began := time.Now()
	there, err := s.Clock(ctx)
	if err != nil {
		return err
	}
	return apart(began.Add(time.Since(began)/2), there)
}
