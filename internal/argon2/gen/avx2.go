package main

import (
	"strconv"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

var ymm = []reg.VecPhysical{
	reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7, reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15,
}

// avx2 writes the kernel for AVX2. Half a block fits into the registers, so the kernel
// computes the rows and columns of a block two at a time and keeps the block on the
// stack in between. A register holds four words of a row, two from each of two columns.
func avx2() {
	w := begin("fillAVX2", "fillAVX2 is a kernel for AVX2.", 2*blockSize)
	mixed := func(r int) operand.Mem { return at(w.saved, r*32) } // the previous block mixed with the other
	rows := func(r int) operand.Mem { return at(w.saved, blockSize+r*32) }
	right24, right16 := reg.Y14, reg.Y15
	build.VMOVDQU(bytesTurned("right24", 3), right24)
	build.VMOVDQU(bytesTurned("right16", 2), right16)
	right := turnRight(right24, right16)
	temps := [2]reg.VecPhysical{reg.Y12, reg.Y13}

	build.VMOVQ(at(w.prev, 0), reg.X0)
	w.choose("first", reg.X0)
	build.Label("block")
	for row := 0; row < 8; row += 2 {
		sets := []set{set(ymm[0:4]), set(ymm[4:8])}
		each := func(f func(r int, y reg.VecPhysical)) {
			for i := range 8 {
				f(4*row+i, ymm[i])
			}
		}
		turn := func(a, c, d uint64) { // the four words of each row in a, c and d
			for _, s := range sets {
				build.VPERMQ(operand.U8(a), s[0], s[0])
				build.VPERMQ(operand.U8(d), s[3], s[3])
				build.VPERMQ(operand.U8(c), s[2], s[2])
			}
		}
		each(func(r int, y reg.VecPhysical) {
			build.VMOVDQU(at(w.prev, r*32), y)
			build.VPXOR(at(w.ref, r*32), y, y)
			build.VMOVDQU(y, mixed(r))
		})
		mix(sets, temps, vpxor, right)
		turn(0x93, 0x39, 0x4e) // relative to b, which is ready last
		mix(sets, temps, vpxor, right)
		turn(0x39, 0x93, 0x4e)
		each(func(r int, y reg.VecPhysical) { build.VMOVDQU(y, rows(r)) })
	}
	for column := range 4 { // two columns at a time
		each := func(f func(r int, y reg.VecPhysical)) {
			for row := range 8 {
				f(4*row+column, ymm[row])
			}
		}
		// across fills four registers for the diagonal step with the second word of one row's
		// cell and the first of another's.
		across := func(b0, b1, d0, d1 reg.VecPhysical, of [4]reg.VecPhysical) {
			build.VPALIGNR(operand.U8(8), of[0], of[1], b0)
			build.VPALIGNR(operand.U8(8), of[1], of[0], b1)
			build.VPALIGNR(operand.U8(8), of[3], of[2], d0)
			build.VPALIGNR(operand.U8(8), of[2], of[3], d1)
		}
		each(func(r int, y reg.VecPhysical) { build.VMOVDQU(rows(r), y) })
		mix([]set{{ymm[0], ymm[2], ymm[4], ymm[6]}, {ymm[1], ymm[3], ymm[5], ymm[7]}}, temps, vpxor, right)
		across(ymm[8], ymm[9], ymm[10], ymm[11], [4]reg.VecPhysical{ymm[2], ymm[3], ymm[6], ymm[7]})
		mix([]set{{ymm[0], ymm[8], ymm[5], ymm[10]}, {ymm[1], ymm[9], ymm[4], ymm[11]}}, temps, vpxor, right)
		across(ymm[2], ymm[3], ymm[7], ymm[6], [4]reg.VecPhysical{ymm[9], ymm[8], ymm[10], ymm[11]})
		each(func(r int, y reg.VecPhysical) { build.VPXOR(mixed(r), y, y) })
		fresh := "fresh" + strconv.Itoa(column)
		build.CMPB(w.again, operand.U8(0))
		build.JE(operand.LabelRef(fresh))
		each(func(r int, y reg.VecPhysical) { build.VPXOR(at(w.dst, r*32), y, y) })
		build.Label(fresh)
		each(func(r int, y reg.VecPhysical) { build.VMOVDQU(y, at(w.dst, r*32)) })
		if column == 0 {
			w.choose("next", reg.X0)
		}
	}
	w.repeat("block")
}

// turnRight returns a function that rotates the words of a register right. It takes the
// constants for 24 and 16 bits.
func turnRight(right24, right16 reg.VecPhysical) func(n uint64, r, temp reg.VecPhysical) {
	return func(n uint64, r, temp reg.VecPhysical) {
		switch n {
		case 32:
			build.VPSHUFD(operand.U8(0xb1), r, r)
		case 24:
			build.VPSHUFB(right24, r, r)
		case 16:
			build.VPSHUFB(right16, r, r)
		case 63:
			build.VPADDQ(r, r, temp)
			build.VPSRLQ(operand.U8(63), r, r)
			build.VPOR(temp, r, r)
		}
	}
}

func vpxor(ops ...operand.Op) { build.VPXOR(ops[0], ops[1], ops[2]) }

// bytesTurned returns the VPSHUFB operand that rotates words right by n bytes.
func bytesTurned(name string, n int) operand.Mem {
	data := build.GLOBL(name, 8|16) // RODATA and NOPTR
	for i := range 32 {
		build.DATA(i, operand.U8(i/8%2*8+(i+n)%8))
	}
	return data
}
