// Package argon2 computes argon2id (RFC 9106) as golang.org/x/crypto/argon2 does, in a
// quarter to a third of its time: the innermost loop is assembly for AVX2 and AVX-512,
// and memory is used again. Start at [IDKey]. On other processors, and in a build with
// the tag purego, that package does the work.
//
// The assembly is written by the program in the folder gen.
package argon2

import (
	"fmt"

	"golang.org/x/crypto/argon2"
)

//go:generate go -C gen run . -out ../kernels_amd64.s -stubs ../kernels_amd64.go -pkg argon2

// Version is the version of Argon2, as PHC strings name it.
const Version = argon2.Version

// minKey is the shortest key that Argon2 has.
const minKey = 4

// IDKey returns a key of keyLen bytes that is derived from a password and a salt, with
// time passes over memory KiB in lanes. The key is that of IDKey in
// golang.org/x/crypto/argon2. The error is [ErrMemory] if there is not enough memory.
//
// The lanes are computed one after the other: whoever bounds how many hashes run at
// once has no processor left for a second lane.
func IDKey(password, salt []byte, time, memory uint32, lanes uint8, keyLen uint32) ([]byte, error) {
	k, _ := inUse()
	return k.idKey(password, salt, time, memory, lanes, keyLen)
}

func (k *kernel) idKey(password, salt []byte, time, memory uint32, lanes uint8, keyLen uint32) ([]byte, error) {
	if time < 1 || lanes < 1 || keyLen < minKey {
		return nil, fmt.Errorf("argon2id with t=%d, p=%d and a key of %d bytes: at least t=1, p=1 and %d bytes are needed", time, lanes, keyLen, minKey)
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
