package argon2

import "sync/atomic"

// A kernel computes blocks.
type kernel struct {
	name string
	// fill computes n blocks of memory from number dst on, each from the one before it,
	// the first from number prev, and from another one: of those whose numbers are in
	// refs, or, if that is nil, of the area blocks of its lane which end, round the
	// lane, at the number last. Both grow by one with each block. again mixes each block
	// with what it was, too. One more of refs is read than is used.
	fill func(memory *uint64, dst, prev, n uint64, refs *uint32, again bool, area, last, lane uint64)
	// place returns where in a block a word is.
	place func(i int) int
}

// generic is golang.org/x/crypto/argon2.
var generic = kernel{name: "generic"}

// using is the kernel that IDKey uses.
var using atomic.Pointer[kernel]

func init() { k := kernels(); using.Store(&k[0]) }

// A call is one of a kernel's fill.
type call struct {
	dst, prev, n     uint64
	refs             *uint32
	again            bool
	area, last, lane uint64
}

func (k *kernel) run(blocks []block, c call) {
	k.fill(&blocks[0][0], c.dst, c.prev, c.n, c.refs, c.again, c.area, c.last, c.lane)
}

func inOrder(i int) int { return i }
