package sqlite

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"zombiezen.com/go/sqlite"
)

// A place is where the files of an open database are. It notices when they are no
// longer the ones that were opened: removed, replaced by others, or overwritten, as
// when a copy is restored beside a running service. Whatever is stored from then on is
// lost, and would damage what was put there.
type place struct {
	path  string
	files [3]os.FileInfo // of the database, its log and the log's index, when they were opened
	kept  *kept

	mu     sync.Mutex
	header [100]byte // the database's, when last looked at
	copied copied
	lost   error // for good

	overwritten bool // the files are there, but not what was in them
	spoiled     bool // so is the log, or its index: nothing is copied from it
	salvaged    bool // by who holds the connection that writes
}

// suffixes are those of the files' names.
var suffixes = [3]string{"", "-wal", "-shm"}

// copied says how far the log has been copied into the database, which is the only way
// in which a database is written to. It is the same again only if nothing was copied
// between.
type copied struct {
	salt          [8]byte // of the log: another one each time it begins again
	done, allowed uint32  // how many of its pages have been copied, and how many may be by now
}

// logged says what the log has.
type logged struct {
	salt  [8]byte
	pages uint32
	size  int64 // of the file, at least
}

// kept are open files of a database, to read from. A process that closes a file loses
// all locks that SQLite has on it there. So the stores of a process share them, and the
// last one closes them.
type kept struct {
	database, log, index *os.File // the log and its index are nil until connections are open
	stores               int
}

var keeping struct {
	mu  sync.Mutex
	all []*kept
}

// keep returns the place of a database file that is about to be opened. Close it when
// its connections are closed.
func keep(path string) (*place, error) {
	keeping.mu.Lock()
	defer keeping.mu.Unlock()
	p := &place{path: path}
	is, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	for _, k := range keeping.all {
		if other, err := k.database.Stat(); err == nil && os.SameFile(other, is) {
			k.stores++
			p.kept = k
			return p, nil
		}
	}
	database, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	p.kept = &kept{database: database, stores: 1}
	keeping.all = append(keeping.all, p.kept)
	return p, nil
}

// opened notes which files the connections have opened.
func (p *place) opened() (err error) {
	keeping.mu.Lock()
	defer keeping.mu.Unlock()
	for i, suffix := range suffixes {
		if p.files[i], err = os.Stat(p.path + suffix); err != nil {
			return err
		}
	}
	for i, f := range []**os.File{nil, &p.kept.log, &p.kept.index} {
		if f == nil || *f != nil {
			continue
		}
		if *f, err = os.Open(p.path + suffixes[i]); err != nil {
			return err
		}
	}
	if p.copied, _, err = p.kept.state(); err == nil {
		_, err = p.kept.database.ReadAt(p.header[:], 0)
	}
	return err
}

// close closes the files with the last store that has them open.
func (p *place) close() error {
	keeping.mu.Lock()
	defer keeping.mu.Unlock()
	if p.kept.stores--; p.kept.stores > 0 {
		return nil
	}
	keeping.all = slices.DeleteFunc(keeping.all, func(k *kept) bool { return k == p.kept })
	err := p.kept.database.Close()
	for _, f := range []*os.File{p.kept.log, p.kept.index} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}

// state reads the log's index: how far the log has been copied, and what it has. The
// layout is part of SQLite's file format ("WAL-Index Format").
func (k *kept) state() (copied, logged, error) {
	var b [132]byte
	if _, err := k.index.ReadAt(b[:], 0); err != nil {
		return copied{}, logged{}, err
	}
	salt := [8]byte(b[32:40])
	l := logged{salt: salt, pages: binary.NativeEndian.Uint32(b[16:])}
	page := int64(binary.NativeEndian.Uint16(b[14:]))
	if page == 1 {
		page = 1 << 16
	}
	l.size = 32 + int64(l.pages)*(24+page)
	return copied{salt: salt, done: binary.NativeEndian.Uint32(b[96:]), allowed: binary.NativeEndian.Uint32(b[128:])}, l, nil
}

// look returns why the database is not to be used: for good if its files are others,
// or because they cannot be looked at now.
func (p *place) look() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lost != nil {
		return p.lost
	}
	for i, suffix := range suffixes {
		switch info, err := os.Stat(p.path + suffix); {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
			return p.lose(p.path+suffix, "was removed")
		case err != nil:
			return err
		case !os.SameFile(info, p.files[i]):
			return p.lose(p.path+suffix, "was replaced")
		}
		if i > 0 {
			continue
		}
		if err := p.lookInside(); err != nil { // before its log, which belongs to what was in it
			return err
		}
	}
	return nil
}

// lookInside looks whether the header of the database has changed although nothing was
// copied from the log, and whether the log still has what its index says.
func (p *place) lookInside() error {
	before, has, err := p.kept.state()
	if errors.Is(err, io.EOF) {
		p.spoiled = true
		return p.lose(p.path+suffixes[2], "was overwritten")
	}
	if err != nil {
		return err
	}
	var header [100]byte
	if n, err := p.kept.database.ReadAt(header[:], 0); n < len(header) {
		if !errors.Is(err, io.EOF) {
			return err
		}
		header = [100]byte{} // it was cut short
	}
	log, err := p.kept.log.Stat()
	if err != nil {
		return err
	}
	var salt [8]byte // zeros if the log was cut short
	if _, err := p.kept.log.ReadAt(salt[:], 16); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	after, still, err := p.kept.state()
	if err != nil {
		return err
	}
	if header != p.header && before == after && after == p.copied && after.done == after.allowed {
		p.overwritten = true
		return p.lose(p.path, "was overwritten")
	}
	if has == still && has.pages > 0 && (log.Size() < has.size || salt != has.salt) {
		p.spoiled = true
		return p.lose(p.path+suffixes[1], "was overwritten")
	}
	p.header, p.copied = header, after
	return nil
}

// lose notes that a file is not the one that was opened.
func (p *place) lose(file, what string) error {
	p.lost = fmt.Errorf("%s %s while it was in use: nothing is read or stored any more; put the right files in place, and restart the service", file, what)
	return p.lost
}

// at reports what a name leads to now: the file that was opened by it, or nothing.
func (p *place) at(i int) (mine, nothing bool) {
	info, err := os.Stat(p.path + suffixes[i])
	return err == nil && os.SameFile(info, p.files[i]), err != nil
}

// usable returns why nothing may be read or stored, or nil.
func (s *Store) usable() error {
	if s.place == nil {
		return nil
	}
	s.place.mu.Lock()
	defer s.place.mu.Unlock()
	if s.place.lost != nil {
		return s.place.lost
	}
	return nil
}

// Look looks whether the files of the database are still those that were opened, and
// returns why not. Call it every second. Once they are not, every call of the store
// fails, even if they come back. Each change looks, too, before it is committed.
func (s *Store) Look(ctx context.Context) error {
	err := s.place.look()
	if s.usable() == nil {
		return err
	}
	c, cerr := take(ctx, s.writer)
	if cerr != nil {
		return err
	}
	defer func() { s.writer <- c }()
	return errors.Join(err, s.salvage(c))
}

// salvage saves what is in the log of a database whose files are no longer those that
// were opened, and takes the log out of the way of what is in their place now, to which
// SQLite would apply it at the next start. c is the connection that writes; no
// transaction may be open.
func (s *Store) salvage(c *sqlite.Conn) error {
	p := s.place
	if p.salvaged || p.spoiled { // the next start takes from the log what it still has
		return nil
	}
	p.salvaged = true
	here, _ := p.at(0)
	here = here && !p.overwritten
	alone := true // nobody else can have opened the database with another log
	for i := range p.files[1:] {
		mine, nothing := p.at(i + 1)
		alone = alone && (mine || nothing)
	}
	var err error
	copied := false
	if !p.overwritten && (alone || !here) { // into the database that was opened, wherever that is now
		copied, err = copyLog(c)
	}
	if here {
		return err
	}
	if mine, _ := p.at(1); mine && copied {
		err = errors.Join(err, os.Remove(p.path+suffixes[1]))
	} else if mine {
		err = errors.Join(err, os.Rename(p.path+suffixes[1], p.path+suffixes[1]+".old"))
	}
	if mine, _ := p.at(2); mine {
		err = errors.Join(err, os.Remove(p.path+suffixes[2]))
	}
	return err
}

// copyLog copies the log into the database and empties it.
func copyLog(c *sqlite.Conn) (done bool, err error) {
	c.SetBusyTimeout(time.Second) // for who reads
	err = each(c, func(r *row) error { done = r.int() == 0; return nil }, "PRAGMA wal_checkpoint(TRUNCATE)")
	return done && err == nil, err
}
