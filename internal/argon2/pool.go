package argon2

import (
	"golang.org/x/sys/unix"
	"unsafe"
)

type pool struct{ kept []*buffer }

var buffers pool

type buffer struct{ mem []byte }

func (b *buffer) blocks() []block {
	return unsafe.Slice((*block)(unsafe.Pointer(&b.mem[0])), len(b.mem)/blockSize)
}
func (p *pool) take(n int) (*buffer, error) {
	if len(p.kept) > 0 && len(p.kept[0].mem) >= n {
		b := p.kept[0]
		p.kept = nil
		return b, nil
	}
	mem, err := unix.Mmap(-1, 0, (n+1<<21)&^(1<<21-1), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	unix.Madvise(mem, unix.MADV_HUGEPAGE)
	return &buffer{mem}, nil
}
func (p *pool) give(b *buffer) { p.kept = []*buffer{b} }
