// Package argon2 computes argon2id (RFC 9106) at a third of the CPU time that
// golang.org/x/crypto/argon2 takes, with the same results: its innermost loop is
// assembly for AVX2 and AVX-512, and its memory is kept from one hash to the next.
// Start at [IDKey]. Where a processor has neither, or the build is told purego, that
// package does the work.
//
// The assembly is written by the program in the folder gen: go generate.
package argon2

import (
	"fmt"

	"golang.org/x/crypto/argon2"
)

//go:generate go -C gen run . -out ../kernels_amd64.s -stubs ../kernels_amd64.go -pkg argon2

// Version is the version of Argon2 that this package computes, as PHC strings have it.
const Version = 0x13

// What the parameters may be.
const (
	maxLanes = 255
	minKey   = 4
)

// IDKey derives a key of keyLen bytes from a password and a salt by argon2id, with time
// passes over memory KiB in lanes. It returns what IDKey of golang.org/x/crypto/argon2
// returns, but an error that is [ErrMemory] if the memory cannot be had.
//
// The lanes are computed one after the other: a service that bounds how many hashes it
// computes at once has no processor to spare for a second lane.
func IDKey(password, salt []byte, time, memory uint32, lanes uint8, keyLen uint32) ([]byte, error) {
	return idKey(using.Load(), password, salt, time, memory, lanes, keyLen)
}

func idKey(k *kernel, password, salt []byte, time, memory uint32, lanes uint8, keyLen uint32) ([]byte, error) {
	if time < 1 || lanes < 1 || keyLen < minKey {
		return nil, fmt.Errorf("argon2id with t=%d,p=%d and a key of %d bytes: each has to be greater than that", time, lanes, keyLen)
	}
	m := newMatrix(k, time, memory, lanes)
	b, err := buffers.take(m.size())
	if err != nil {
		return nil, err
	}
	defer buffers.give(b)
	if k.fill == nil {
		return argon2.IDKey(password, salt, time, memory, lanes, keyLen), nil
	}
	m.blocks = b.blocks()
	h0 := initialHash(password, salt, time, memory, uint32(lanes), keyLen)
	m.fill(&h0)
	return m.key(keyLen), nil
}
