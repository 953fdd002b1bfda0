package sqlite

import (
	"os"
	"sync"
	"sync/atomic"
)

// A flusher flushes the write-ahead log to disk. Of callers that come together
// one flushes for all: what a caller wrote before it called is on disk when flush
// returns. The log keeps its file for as long as any connection is open.
type flusher struct {
	file *os.File
	last atomic.Uint64 // how many transactions have been written

	mu     sync.Mutex
	synced uint64 // how many of them are known to be on disk; guarded by mu
	failed error  // the first failure: after it the system may have dropped what it could not write
}

func newFlusher(path string) (*flusher, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &flusher{file: file}, nil
}

// written counts a transaction that has been written to the log.
func (f *flusher) written() { f.last.Add(1) }

// flush returns when every transaction counted so far is on disk.
func (f *flusher) flush() error {
	mine := f.last.Load()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed != nil || f.synced >= mine {
		return f.failed
	}
	upTo := f.last.Load()
	if err := f.file.Sync(); err != nil {
		f.failed = err
		return err
	}
	f.synced = upTo
	return nil
}

// Close closes the log's file.
func (f *flusher) Close() error { return f.file.Close() }
