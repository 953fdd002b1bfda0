// Package argon2 computes argon2id (RFC 9106) like golang.org/x/crypto/argon2, in a
// quarter to a third of its time: the innermost loop is assembly for AVX2 and AVX-512,
// and buffers are reused. Start at [IDKey]. On other processors, and in a build with the
// tag purego, that package does the work.
//
// The program in the folder gen writes the assembly.
package argon2

import (
	"fmt"

	"golang.org/x/crypto/argon2"
)

//go:generate go -C gen run . -out ../kernels_amd64.s -stubs ../kernels_amd64.go -pkg argon2

// Version is the Argon2 version as written in PHC strings.
const Version = argon2.Version

// minKey is the shortest key that Argon2 allows, in bytes.
const minKey = 4

// IDKey derives a key of keyLen bytes from a password and a salt, with time passes over
// memory KiB in lanes. It returns the same key as IDKey in golang.org/x/crypto/argon2,
// or [ErrMemory] if there is not enough memory.
//
// It computes lanes one after the other: a caller that limits concurrent hashes has no
// processor left for a second lane.
func IDKey(password, salt []byte, time, memory uint32, lanes uint8, keyLen uint32) ([]byte, error) {
	k, _ := inUse()
	return k.idKey(password, salt, time, memory, lanes, keyLen)
}

func (k *kernel) idKey(password, salt []byte, time, memory uint32, lanes uint8, keyLen uint32) ([]byte, error) {
	if time < 1 || lanes < 1 || keyLen < minKey {
		return nil, fmt.Errorf("argon2id with t=%d, p=%d and a key of %d bytes: use at least t=1, p=1 and %d bytes", time, lanes, keyLen, minKey)
	}
	m := newMatrix(k, time, memory, lanes)
	b, err := buffers.take(m.size(), k.fill == nil)
	if err != nil {
		return nil, err
	}
	defer buffers.give(b)
	if k.fill == nil {
		return argon2.IDKey(password, salt, time, memory, lanes, keyLen), nil
	}
	m.blocks = b.blocks()
	return m.key(initialHash(password, salt, nil, nil, time, memory, uint32(lanes), keyLen), keyLen), nil
}
