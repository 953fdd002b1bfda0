//go:build !purego

package argon2

import "golang.org/x/sys/cpu"

// kernels returns the kernels that this machine supports, best first.
func kernels() (all []kernel) {
	if cpu.X86.HasAVX512F {
		all = append(all, kernel{"avx512", fillAVX512, inPairs})
	}
	if cpu.X86.HasAVX2 {
		all = append(all, kernel{"avx2", fillAVX2, inOrder})
	}
	return append(all, generic)
}

// inOrder is for kernels that keep a block's words in their order.
func inOrder(word int) int { return word }

// inPairs returns the position of a word in the blocks of the AVX-512 kernel: see
// gen/avx512.go.
func inPairs(i int) int {
	row, column := i/16, i%16
	return row/2*32 + column/4*8 + row%2*4 + column%4
}
