package argon2

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

// counted is a pool that counts and limits its memory from the operating system.
type counted struct {
	*pool
	mu          sync.Mutex
	bytes, most int
	bound       int // -1 for none
}

func newCounted(bound int) *counted {
	c := &counted{pool: newPool(), bound: bound}
	c.room = func(size int) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.bound >= 0 && c.bytes+size > c.bound {
			return errors.New("over the limit")
		}
		return nil
	}
	c.obtain = func(size int) ([]byte, error) {
		memory, err := obtain(size)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.bytes += len(memory)
		c.most = max(c.most, c.bytes)
		return memory, err
	}
	c.release = func(memory []byte) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.bytes -= len(memory)
		release(memory)
	}
	return c
}

// mapped returns how many bytes are mapped now, and the most that ever were.
func (c *counted) mapped() (now, most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes, c.most
}

// idleMemory returns the memory of the kept buffers.
func (c *counted) idleMemory() (all [][]byte) {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	for _, b := range c.kept {
		all = append(all, b.memory)
	}
	return all
}

// rests fails the test if the pool still counts anything as in use.
func (c *counted) rests(t *testing.T) {
	t.Helper()
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	if c.inUse != 0 || c.held != 0 || c.coming != 0 {
		t.Errorf("%d buffers with %d bytes still in use, %d bytes coming", c.inUse, c.held, c.coming)
	}
}

func (c *counted) taken(t *testing.T, size int) *buffer {
	t.Helper()
	b, err := c.take(size, false)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPool_usesABufferAgainAndKeepsItZeroUntilThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounted(-1)
		for _, size := range []int{keptSize, 100 * blockSize, keptSize, 11 * blockSize} {
			b := c.taken(t, size)
			if n := len(b.blocks()); n != size/blockSize {
				t.Errorf("got %d blocks for %d bytes", n, size)
			}
			if !bytes.Equal(b.memory, make([]byte, keptSize)) {
				t.Error("a buffer is not zero")
			}
			for _, block := range b.blocks() {
				block[0] = 1
			}
			memory := unsafe.Slice((*byte)(unsafe.Pointer(&b.blocks()[0])), size)
			for i := range memory {
				memory[i] = 0xff
			}
			c.give(b)
			if kept := c.idleMemory(); len(kept) != 1 || !bytes.Equal(kept[0], make([]byte, keptSize)) {
				t.Errorf("a buffer was kept without wiping the %d bytes used", size)
			}
		}
		if _, most := c.mapped(); most != keptSize {
			t.Errorf("mapped %d bytes, want one buffer", most)
		}
		time.Sleep(idleLife)
		synctest.Wait()
	})
}

func TestPool_releasesIdleBuffersAfterAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounted(-1)
		one, two := c.taken(t, keptSize), c.taken(t, keptSize)
		c.give(one)
		c.give(two)
		after := func(d time.Duration, want int) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if now, _ := c.mapped(); now != want*keptSize {
				t.Errorf("%d bytes are held, want %d buffers", now, want)
			}
		}
		after(idleLife-time.Second, 2)
		c.give(c.taken(t, keptSize)) // uses only one
		after(2*time.Second, 1)
		c.give(c.taken(t, keptSize))
		after(idleLife-time.Second, 1)
		after(time.Second, 0)
		c.give(c.taken(t, keptSize))
		after(0, 1)
		after(idleLife, 0)
	})
}

func TestPool_releasesALargeBufferAtOnce(t *testing.T) {
	c := newCounted(-1)
	c.give(c.taken(t, keptSize+blockSize))
	if now, _ := c.mapped(); now != 0 || len(c.idleMemory()) != 0 {
		t.Errorf("%d bytes are held", now)
	}
}

// With memory for one hash, others wait for it. A hash larger than all memory is
// refused, and kept buffers make room.
func TestPool_letsHashesWaitOrRefusesThemWhereMemoryIsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounted(keptSize + blockSize)
		first := c.taken(t, keptSize)
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { c.give(c.taken(t, keptSize)) })
			all.Go(func() { c.give(c.taken(t, keptSize+blockSize)) })
		}
		if _, err := c.take(256<<20, false); !errors.Is(err, ErrMemory) { // waiting would not help
			t.Errorf("256 MiB: %v, want ErrMemory", err)
		}
		synctest.Wait() // they wait
		c.give(first)
		all.Wait()
		if _, most := c.mapped(); most > keptSize+blockSize {
			t.Errorf("mapped up to %d bytes", most)
		}
		c.rests(t)
		b, err := c.take(keptSize, true) // golang.org/x/crypto/argon2 takes memory too
		if err != nil {
			t.Fatal(err)
		}
		var waited atomic.Bool
		go func() {
			other, err := c.take(keptSize, true)
			if err != nil {
				t.Error(err)
				return
			}
			waited.Store(true)
			c.give(other)
		}()
		synctest.Wait()
		if waited.Load() {
			t.Error("two counted buffers shared the memory of one")
		}
		c.give(b)
		synctest.Wait()
		if !waited.Load() {
			t.Error("the other never got its turn")
		}
		c.rests(t)
		time.Sleep(idleLife)
		synctest.Wait()
	})
}

func TestPool_returnsAnErrorWhereTheSystemRefusesMemory(t *testing.T) {
	c := newCounted(-1)
	refused := errors.New("mmap: cannot allocate memory")
	c.obtain = func(int) ([]byte, error) { return nil, refused }
	if _, err := c.take(keptSize, false); !errors.Is(err, ErrMemory) || !errors.Is(err, refused) {
		t.Errorf("%v, want ErrMemory with its cause", err)
	}
	c.rests(t)
}

func TestRelease_keepsNoBuffer(t *testing.T) {
	if _, err := IDKey([]byte("password"), []byte("sixteen bytes..."), 1, 8, 1, 32); err != nil {
		t.Fatal(err)
	}
	Release()
	buffers.mu.Lock()
	kept := len(buffers.kept)
	buffers.mu.Unlock()
	if kept != 0 {
		t.Errorf("%d buffers kept", kept)
	}
	if _, err := IDKey([]byte("password"), []byte("sixteen bytes..."), 1, 8, 1, 32); err != nil {
		t.Errorf("the next hash: %v", err)
	}
}
