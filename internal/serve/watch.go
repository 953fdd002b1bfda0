package serve

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/store/sqlite"
)

// The data directory is looked at once a second, and the master key is also opened again
// once a minute: another machine can have it forgotten.
const (
	watchEvery  = time.Second
	reopenEvery = time.Minute
)

// watched is what is known of the data directory of a running service.
type watched struct {
	database atomic.Pointer[error] // what is wrong with the database's files
	key      atomic.Pointer[error]

	looking chan error  // gets what a look at the key has found; nil if none is under way
	found   error       // the last
	keyFile os.FileInfo // when it was last opened
	opened  time.Time
}

// watch looks at the data directory until the context is done, and logs what is wrong
// with it. If the database's files are not those that were opened, the store refuses
// every call by itself. The master key's file is needed only at the next start.
func (d *Data) watch(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		d.look(ctx, log)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (d *Data) look(life context.Context, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(life, watchEvery)
	defer cancel()
	if s, ok := d.Store.(*sqlite.Store); ok {
		was, is := load(&d.watched.database), s.Look(ctx)
		if is != nil && (was == nil || was.Error() != is.Error()) {
			log.Error("the database is not usable", "cause", is.Error())
		}
		d.watched.database.Store(&is)
	}
	was, is := d.Health(), d.findKey(ctx)
	switch {
	case life.Err() != nil:
		return
	case is != nil && (was == nil || was.Error() != is.Error()):
		log.Error("the master key's file is wrong", "cause", is.Error())
	case is == nil && was != nil:
		log.Info("the master key's file is right again")
	}
	d.watched.key.Store(&is)
}

// Health returns what is wrong with the master key's file, or nil.
func (d *Data) Health() error { return load(&d.watched.key) }

func load(p *atomic.Pointer[error]) error {
	if err := p.Load(); err != nil {
		return *err
	}
	return nil
}

// findKey is lookAtKey, for which it does not wait forever: a file system that has gone
// away would keep the service from ending.
func (d *Data) findKey(ctx context.Context) error {
	w := &d.watched
	if w.looking == nil {
		found := make(chan error, 1)
		go func() { found <- d.lookAtKey(ctx) }()
		w.looking = found
	}
	select {
	case w.found = <-w.looking:
		w.looking = nil
		return w.found
	case <-time.After(2 * watchEvery): // the store needs no more than one
		return fmt.Errorf("master key: %s cannot be read: its file system does not answer", MasterKey(d.place.Dir))
	}
}

// lookAtKey returns why the file of the master key would not open the data at the next
// start, or what it returned last if the store cannot say.
func (d *Data) lookAtKey(ctx context.Context) error {
	w := &d.watched
	path := MasterKey(d.place.Dir)
	file, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		w.keyFile = nil
		return d.place.missingKey()
	}
	if err != nil {
		w.keyFile = nil
		return fmt.Errorf("master key: %w", err)
	}
	same := w.keyFile != nil && os.SameFile(file, w.keyFile) && file.ModTime().Equal(w.keyFile.ModTime()) && file.Mode() == w.keyFile.Mode()
	if same && time.Since(w.opened) < reopenEvery {
		return w.found
	}
	if _, err = readMasterKey(path); err == nil {
		var key []byte
		_, key, err = d.place.unlock(ctx, d.Store, false)
		switch {
		case err == nil && subtle.ConstantTimeCompare(key, d.key) == 0:
			err = credential.ErrSealed
		case err != nil && !errors.Is(err, credential.ErrSealed): // the store's
			return w.found
		}
	}
	w.keyFile, w.opened = file, time.Now()
	return d.place.foreignKey(err)
}
