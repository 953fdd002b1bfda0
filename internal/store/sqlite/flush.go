package sqlite

import (
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// flushWithin is how long a change that need not be on disk before its caller
// continues may wait for a flush.
const flushWithin = 50 * time.Millisecond

// A flusher flushes the write-ahead log to disk, which SQLite itself does only at
// checkpoints. A killed process loses nothing even without it, because the system has
// what was written. A flush protects against a power cut.
//
// Of concurrent callers one flushes for all. The log keeps its file for as long as
// any connection is open.
type flusher struct {
	file *os.File
	last atomic.Uint64 // how many transactions have been written
	soon atomic.Bool   // a flush is due within flushWithin
	fail atomic.Pointer[error]

	mu     sync.Mutex
	synced uint64 // how many of the transactions are known to be on disk
	closed bool
}

func newFlusher(path string) (*flusher, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &flusher{file: file}, nil
}

// written counts a transaction written to the log and makes sure that it is on disk
// soon.
func (f *flusher) written() {
	f.last.Add(1)
	if f.soon.CompareAndSwap(false, true) {
		time.AfterFunc(flushWithin, func() {
			f.soon.Store(false)
			_ = f.flush() // the next change returns a failure
		})
	}
}

// failed returns the first failure of a flush. After a failure the system may have
// dropped what it could not write, and no later flush repairs that: the store accepts
// no more changes.
func (f *flusher) failed() error {
	if err := f.fail.Load(); err != nil {
		return *err
	}
	return nil
}

// flush returns when every transaction counted so far is on disk.
func (f *flusher) flush() error {
	mine := f.last.Load()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.failed(); err != nil || f.synced >= mine || f.closed {
		return err
	}
	upTo := f.last.Load()
	if err := f.file.Sync(); err != nil {
		f.fail.Store(&err)
		return err
	}
	f.synced = upTo
	return nil
}

// Close flushes the rest and closes the log's file.
func (f *flusher) Close() error {
	err := f.flush()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if cerr := f.file.Close(); err == nil {
		err = cerr
	}
	return err
}
