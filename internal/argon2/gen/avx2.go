package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

var ymm = []reg.VecPhysical{
	reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7, reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15,
}

// turn24 and turn16 turn each word of a register right by so many bits.
func ymmG(turn24, turn16 Op, sets ...[5]reg.VecPhysical) {
	each := func(f func(a, b, c, d, t reg.VecPhysical)) {
		for _, s := range sets {
			f(s[0], s[1], s[2], s[3], s[4])
		}
	}
	mix := func() {
		each(func(a, b, c, d, t reg.VecPhysical) { VPMULUDQ(a, b, t) })
		each(func(a, b, c, d, t reg.VecPhysical) { VPADDQ(a, b, a) })
		each(func(a, b, c, d, t reg.VecPhysical) { VPADDQ(a, t, a) })
		each(func(a, b, c, d, t reg.VecPhysical) { VPADDQ(a, t, a) })
		each(func(a, b, c, d, t reg.VecPhysical) { VPXOR(a, d, d) })
	}
	other := func() { // the same of c, d and b
		each(func(a, b, c, d, t reg.VecPhysical) { VPMULUDQ(c, d, t) })
		each(func(a, b, c, d, t reg.VecPhysical) { VPADDQ(c, d, c) })
		each(func(a, b, c, d, t reg.VecPhysical) { VPADDQ(c, t, c) })
		each(func(a, b, c, d, t reg.VecPhysical) { VPADDQ(c, t, c) })
		each(func(a, b, c, d, t reg.VecPhysical) { VPXOR(c, b, b) })
	}
	mix()
	each(func(a, b, c, d, t reg.VecPhysical) { VPSHUFD(U8(0xb1), d, d) })
	other()
	each(func(a, b, c, d, t reg.VecPhysical) { VPSHUFB(turn24, b, b) })
	mix()
	each(func(a, b, c, d, t reg.VecPhysical) { VPSHUFB(turn16, d, d) })
	other()
	each(func(a, b, c, d, t reg.VecPhysical) { VPADDQ(b, b, t) })
	each(func(a, b, c, d, t reg.VecPhysical) { VPSRLQ(U8(63), b, b) })
	each(func(a, b, c, d, t reg.VecPhysical) { VPOR(t, b, b) })
}

func avx2() {
	w, prev := begin("fillAVX2", "fillAVX2 is a kernel for AVX2: see fillFunc.")
	w.align(2 * blockSize) // the second block is what the rows leave for the columns
	at := func(base reg.Register, r int) Mem { return Mem{Base: base, Disp: r * 32} }
	between := func(r int) Mem { return Mem{Base: w.saved, Disp: blockSize + r*32} }
	turn24, turn16 := bytesTurned("turn24", 3), bytesTurned("turn16", 2)

	VMOVQ(at(prev, 0), reg.X0)
	w.next("first", reg.X0)

	Label("block")
	VMOVDQU(turn24, reg.Y15)
	VMOVDQU(turn16, reg.Y14)
	for _, rows := range [][]int{{0, 1}, {2, 3}, {4, 5}, {6, 7}} {
		var sets [][5]reg.VecPhysical
		for n, r := range rows {
			set := [5]reg.VecPhysical{ymm[4*n], ymm[4*n+1], ymm[4*n+2], ymm[4*n+3], ymm[12+n]}
			for j := range 4 {
				VMOVDQU(at(prev, 4*r+j), set[j])
				VPXOR(at(w.ref, 4*r+j), set[j], set[j])
			}
			for j := range 4 {
				VMOVDQU(set[j], at(w.saved, 4*r+j))
			}
			sets = append(sets, set)
		}
		ymmG(reg.Y15, reg.Y14, sets...)
		for _, s := range sets {
			VPERMQ(U8(0x93), s[0], s[0])
			VPERMQ(U8(0x4e), s[3], s[3])
			VPERMQ(U8(0x39), s[2], s[2])
		}
		ymmG(reg.Y15, reg.Y14, sets...)
		for n, s := range sets {
			VPERMQ(U8(0x39), s[0], s[0])
			VPERMQ(U8(0x4e), s[3], s[3])
			VPERMQ(U8(0x93), s[2], s[2])
			for j := range 4 {
				VMOVDQU(s[j], between(4*rows[n]+j))
			}
		}
	}
	for j := range 4 {
		y := func(row int) reg.VecPhysical { return ymm[row] }
		even := [5]reg.VecPhysical{y(0), y(2), y(4), y(6), ymm[12]}
		odd := [5]reg.VecPhysical{y(1), y(3), y(5), y(7), ymm[13]}
		for row := range 8 {
			VMOVDQU(between(4*row+j), y(row))
		}
		ymmG(reg.Y15, reg.Y14, even, odd)
		// v5 is in the second word of row 2 and v6 in the first one of row 3.
		b, b2, d, d2 := ymm[8], ymm[9], ymm[10], ymm[11]
		VPALIGNR(U8(8), y(2), y(3), b)
		VPALIGNR(U8(8), y(3), y(2), b2)
		VPALIGNR(U8(8), y(7), y(6), d)
		VPALIGNR(U8(8), y(6), y(7), d2)
		ymmG(reg.Y15, reg.Y14, [5]reg.VecPhysical{y(0), b, y(5), d, ymm[12]}, [5]reg.VecPhysical{y(1), b2, y(4), d2, ymm[13]})
		VPALIGNR(U8(8), b2, b, y(2))
		VPALIGNR(U8(8), b, b2, y(3))
		VPALIGNR(U8(8), d2, d, y(7))
		VPALIGNR(U8(8), d, d2, y(6))
		for row := range 8 {
			VPXOR(at(w.saved, 4*row+j), y(row), y(row))
		}
		skip := LabelRef("fresh" + string(rune('0'+j)))
		CMPB(w.again, U8(0))
		JE(skip)
		for row := range 8 {
			VPXOR(at(w.dst, 4*row+j), y(row), y(row))
		}
		Label(string(skip))
		for row := range 8 {
			VMOVDQU(y(row), at(w.dst, 4*row+j))
		}
		if j == 0 {
			w.next("next", reg.X0)
			w.prefetch()
		}
	}
	MOVQ(w.dst, prev)
	ADDQ(U32(blockSize), w.dst)
	DECQ(w.left)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// bytesTurned defines what VPSHUFB takes to turn words right by n bytes.
func bytesTurned(name string, n int) Mem {
	data := GLOBL(name, RODATA|NOPTR)
	for i := range 32 {
		DATA(i, U8(i%16/8*8+(i+n)%8))
	}
	return data
}
