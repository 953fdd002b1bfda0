package argon2

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
	"unsafe"
)

// ErrMemory is returned when there is not enough memory for a hash.
var ErrMemory = errors.New("not enough memory for a hash")

const (
	// keptSize is the size of the buffers that are kept: what new hashes take (package
	// credential). Only another system's hash takes more, and the next good login
	// replaces it.
	keptSize = (19*1024 + scratchBlocks) * blockSize
	// idleLife is how long an unused buffer is kept.
	idleLife = time.Minute
	// wipeSize is how much is wiped at a time, because the runtime's wiping loop cannot
	// be interrupted.
	wipeSize = 64 << 10
)

// A buffer is the memory of one hash. It is zero between hashes.
type buffer struct {
	memory []byte // nil if it is only counted
	size   int    // of the hash, which leaves the rest of memory untouched
	since  time.Time
}

func (b *buffer) blocks() []block {
	return unsafe.Slice((*block)(unsafe.Pointer(unsafe.SliceData(b.memory))), b.size/blockSize)
}

// wipe clears everything the hash used. An attacker who finds what the last pass left
// could try passwords without the memory and time that a hash takes.
func (b *buffer) wipe() {
	for from := 0; from < b.size; from += wipeSize {
		wipePart(b.memory[from:min(from+wipeSize, b.size)])
	}
}

// wipePart is a function so that the collector can interrupt wipe where it calls it: a
// signal nearly always arrives within clear, which cannot be interrupted.
//
//go:noinline
func wipePart(b []byte) { clear(b) }

// A pool supplies buffers. It has as many as are in use at once, which callers and the
// available memory limit.
type pool struct {
	room    func(size int) error           // fails if this machine or container lacks the memory
	obtain  func(size int) ([]byte, error) // takes memory from the operating system
	release func(memory []byte)            // returns it

	mu      sync.Mutex
	changed sync.Cond   // signals that fewer are in use
	kept    []*buffer   // most recently used last
	idle    *time.Timer // releases kept; nil if it is empty
	inUse   int
	held    int // bytes in use
	coming  int // bytes being obtained or only counted: the system may not know of them yet
}

var buffers = newPool()

func newPool() *pool {
	p := &pool{room: room, obtain: obtain, release: release}
	p.changed.L = &p.mu
	return p
}

// take returns a buffer of size bytes, or one without memory that is only counted. When
// memory is short it waits for buffers in use, and returns ErrMemory if even those would
// not help.
func (p *pool) take(size int, counted bool) (*buffer, error) {
	b := &buffer{size: size}
	p.mu.Lock()
	defer p.mu.Unlock()
	for collected := false; ; {
		if last := len(p.kept) - 1; last >= 0 && size <= keptSize && !counted {
			b.memory = p.kept[last].memory
			p.kept = p.kept[:last]
			p.inUse++
			p.held += len(b.memory)
			return b, nil
		}
		err := p.obtainLocked(b, counted)
		switch {
		case err == nil:
			return b, nil
		case len(p.kept) > 0:
			p.releaseLocked(len(p.kept))
		case p.inUse > 0 && p.room(size-p.held) == nil: // room enough once those are back
			p.changed.Wait()
		case !collected:
			debug.FreeOSMemory() // garbage is memory too
			collected = true
		default:
			return nil, fmt.Errorf("%w: %w", ErrMemory, err)
		}
	}
}

// Hold counts size bytes, which another algorithm takes, as a hash's memory until free
// is called. The error is ErrMemory.
func Hold(size int) (free func(), err error) {
	b, err := buffers.take(size, true)
	if err != nil {
		return nil, err
	}
	return func() { buffers.give(b) }, nil
}

// Release gives the memory that is kept for the next hashes back to the system, for a
// program that has done its hashes for now.
func Release() {
	buffers.mu.Lock()
	defer buffers.mu.Unlock()
	buffers.releaseLocked(len(buffers.kept))
}

// obtainLocked gives a buffer its memory if there is room for it. It unlocks the pool
// while it waits for the operating system.
func (p *pool) obtainLocked(b *buffer, counted bool) error {
	size := b.size
	if !counted {
		size = max(size, keptSize)
	}
	if err := p.room(p.coming + size); err != nil {
		return err
	}
	p.inUse++
	p.held += size
	p.coming += size
	if counted {
		return nil
	}
	p.mu.Unlock()
	memory, err := p.obtain(size)
	p.mu.Lock()
	p.coming -= size
	if err != nil {
		p.inUse--
		p.held -= size
		p.changed.Broadcast()
		return err
	}
	b.memory = memory
	return nil
}

// give returns a buffer to the pool.
func (p *pool) give(b *buffer) {
	keep := len(b.memory) == keptSize
	switch {
	case keep:
		b.wipe()
	case b.memory != nil:
		p.release(b.memory) // the operating system wipes it before reuse
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inUse--
	if b.memory == nil {
		p.held -= b.size
		p.coming -= b.size
	}
	p.held -= len(b.memory)
	if keep {
		b.since = time.Now()
		p.kept = append(p.kept, b)
		if p.idle == nil {
			p.idle = time.AfterFunc(idleLife, p.expire)
		}
	}
	p.changed.Broadcast()
}

// expire releases the buffers that were idle for idleLife.
func (p *pool) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.kept) && time.Since(p.kept[n].since) >= idleLife {
		n++
	}
	p.releaseLocked(n)
	p.idle = nil
	if len(p.kept) > 0 {
		p.idle = time.AfterFunc(time.Until(p.kept[0].since.Add(idleLife)), p.expire)
	}
}

// releaseLocked releases the n buffers kept longest.
func (p *pool) releaseLocked(n int) {
	for _, b := range p.kept[:n] {
		p.release(b.memory)
	}
	p.kept = append([]*buffer(nil), p.kept[n:]...)
}
