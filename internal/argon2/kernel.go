package argon2

import (
	"encoding/hex"
	"fmt"
	"sync"
)

// A kernel computes blocks.
type kernel struct {
	name string
	// fill computes n blocks of memory, from number dst on. Each is of the block before
	// it, the first of number prev, and of another: those whose numbers are in refs, or,
	// without refs, one of the area blocks of the lane that end with number last. Both
	// grow with each block, and the numbers go round at lane. again mixes in what each
	// block was before. One number more is read from refs than is used.
	//
	// fill is nil for the kernel that stands for golang.org/x/crypto/argon2.
	fill func(memory *uint64, dst, prev, n uint64, refs *uint32, again bool, area, last, lane uint64)
	// place returns where in a block of memory a word is.
	place func(word int) int
}

// Generic is the name of golang.org/x/crypto/argon2 as a kernel.
const Generic = "generic"

var generic = kernel{name: Generic}

func inOrder(word int) int { return word }

// What every kernel has to say before it is used: a key with two passes over segments
// that take two blocks of addresses.
const (
	knownTime   = 2
	knownMemory = 600
	known       = "f0d90b74b02c98b2c9abbee1b9ca563552b8b71d6b1cc0d02e669944aa6308ac"
)

// inUse returns the kernel that is used, and why it is not the best of this machine. It
// looks once.
var inUse = sync.OnceValues(func() (*kernel, error) { return choose(kernels()) })

// choose returns the first of some kernels if it computes a known answer, and generic if
// not.
func choose(all []kernel) (*kernel, error) {
	k := &all[0]
	if k.fill == nil {
		return k, nil
	}
	m := newMatrix(k, knownTime, knownMemory, 1)
	m.blocks = make([]block, m.size()/blockSize)
	key := m.key(initialHash([]byte("password"), []byte("sixteen bytes..."), nil, nil, knownTime, knownMemory, 1, 32), 32)
	if hex.EncodeToString(key) != known {
		return &generic, fmt.Errorf("the %s kernel computes a wrong argon2id hash on this machine: golang.org/x/crypto computes them instead", k.name)
	}
	return k, nil
}

// Kernel names what computes hashes in this process: "avx512", "avx2", or [Generic].
func Kernel() string {
	k, _ := inUse()
	return k.name
}

// Check returns an error if the best kernel for this machine is not used, as it did not
// compute a known answer.
func Check() error {
	_, err := inUse()
	return err
}
