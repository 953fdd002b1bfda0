package argon2

import (
	"encoding/hex"
	"fmt"
	"sync"
)

// A kernel computes blocks.
type kernel struct {
	name string
	// fill computes n blocks of memory, from number dst on. It mixes the block before,
	// for the first one number prev, with another: the one that refs lists or, without
	// refs, one of the lane's area blocks that end with number last. area and last grow
	// with each block, and numbers wrap round at lane. With again it also mixes in the
	// block's old content. It may read one number more from refs than it uses.
	//
	// fill is nil for the kernel that represents golang.org/x/crypto/argon2.
	fill func(memory *uint64, dst, prev, n uint64, refs *uint32, again bool, area, last, lane uint64)
	// place returns the position of a word within a block of memory.
	place func(word int) int
}

// Generic is the kernel name of golang.org/x/crypto/argon2.
const Generic = "generic"

var generic = kernel{name: Generic}

// The known answer that a kernel must compute before it is used: a key with two passes
// over segments that need two blocks of addresses.
const (
	knownTime   = 2
	knownMemory = 600
	known       = "f0d90b74b02c98b2c9abbee1b9ca563552b8b71d6b1cc0d02e669944aa6308ac"
)

// inUse returns the kernel in use and, if it is not the machine's best, the reason. It
// chooses once.
var inUse = sync.OnceValues(func() (*kernel, error) { return choose(kernels()) })

// choose returns the first kernel if it computes the known answer, and otherwise generic
// and an error.
func choose(all []kernel) (*kernel, error) {
	k := &all[0]
	if k.fill == nil {
		return k, nil
	}
	m := newMatrix(k, knownTime, knownMemory, 1)
	m.blocks = make([]block, m.size()/blockSize)
	key := m.key(initialHash([]byte("password"), []byte("sixteen bytes..."), nil, nil, knownTime, knownMemory, 1, 32), 32)
	if hex.EncodeToString(key) != known {
		return &generic, fmt.Errorf("the %s kernel computes a wrong argon2id hash on this machine: using golang.org/x/crypto instead", k.name)
	}
	return k, nil
}

// Kernel returns the name of the kernel that this process uses: "avx512", "avx2", or
// [Generic].
func Kernel() string {
	k, _ := inUse()
	return k.name
}

// Check returns an error if this machine's best kernel is not in use because it failed
// to compute a known answer.
func Check() error {
	_, err := inUse()
	return err
}
