//go:build !purego

package argon2

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"unsafe"

	"neoapi/internal/must"
)

// assembly returns the kernels of this machine that are assembly.
func assembly(t *testing.T) []kernel {
	all := kernels()
	if len(all) == 1 {
		must.Skip(t, "this processor has neither AVX-512 nor AVX2")
	}
	return all[:len(all)-1]
}

// RFC 9106, 5.3, has the only vector for argon2id. It uses a secret value and associated
// data, which our passwords do not.
func TestKernel_computesTheVectorOfTheRFC(t *testing.T) {
	fill := func(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }
	const want = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"
	for _, k := range assembly(t) {
		m := newMatrix(&k, 3, 32, 4)
		m.blocks = make([]block, m.size()/blockSize)
		key := m.key(initialHash(fill(1, 32), fill(2, 16), fill(3, 8), fill(4, 12), 3, 32, 4, 32), 32)
		if got := hex.EncodeToString(key); got != want {
			t.Errorf("%s: %s, want %s", k.name, got, want)
		}
	}
}

// The collector cannot interrupt a call, so it waits for its end.
func TestKernel_computesFewBlocksInACall(t *testing.T) {
	for _, k := range assembly(t) {
		for _, lanes := range []uint8{1, 4} {
			counted, most, total := k, uint64(0), uint64(0)
			counted.fill = func(memory *uint64, dst, prev, n uint64, refs *uint32, again bool, area, last, lane uint64) {
				most, total = max(most, n), total+n
				k.fill(memory, dst, prev, n, refs, again, area, last, lane)
			}
			if _, err := counted.idKey([]byte("password"), []byte("sixteen bytes..."), 2, 4096, lanes, 32); err != nil {
				t.Fatal(err)
			}
			if most > callBlocks || total < 2*4096-2*uint64(lanes) {
				t.Errorf("%s with %d lanes: %d blocks in calls of up to %d, want all blocks in calls of up to %d", k.name, lanes, total, most, callBlocks)
			}
		}
	}
}

// One bit of a block is wrong, at the start, in an address, in the middle or at the end.
func TestKernel_thatComputesAnythingElseIsNotUsed(t *testing.T) {
	for _, k := range assembly(t) {
		for _, wrong := range []int{0, 1, 2, 5, 12, 20, 31} {
			broken, call := k, 0
			broken.fill = func(memory *uint64, dst, prev, n uint64, refs *uint32, again bool, area, last, lane uint64) {
				k.fill(memory, dst, prev, n, refs, again, area, last, lane)
				if call == wrong {
					blocksAt(memory, dst+n)[dst+n-1][3] ^= 1 << 31 // this bit matters in an address
				}
				call++
			}
			got, err := choose([]kernel{broken, generic})
			if err == nil || got.name != "generic" || !strings.Contains(err.Error(), k.name) {
				t.Errorf("%s with a wrong bit in call %d: chose %s, error %v", k.name, wrong, got.name, err)
			}
		}
	}
}

// blocksAt returns the first n blocks of a kernel's memory.
func blocksAt(memory *uint64, n uint64) []block {
	return unsafe.Slice((*block)(unsafe.Pointer(memory)), n)
}
