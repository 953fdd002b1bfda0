package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

var zmm = []reg.VecPhysical{
	reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7, reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
	reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23, reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31,
}

// A block is an 8x8 matrix of cells of two words. Register 4i+j holds rows 2i and 2i+1
// of columns 2j and 2j+1: word k of columns 2j and 2j+1 in row 2i+h is in its lane 4h+k.
// So a round over rows takes the four registers of one i, and a round over columns
// those of one j, and nothing has to be moved between them but what the diagonal steps
// turn within each register. The blocks in memory are in this order too.
//
// An order says which word, of those of its register, each lane holds.
type order [8]int

var natural = order{0, 1, 2, 3, 4, 5, 6, 7}

// row returns the word n after word e in a row of four, column that in a column.
func row(e, n int) int { return e&4 | (e+n)&3 }

func column(e, n int) int {
	in := e>>2<<1 | e&1 // its place among the column's four
	in = (in + n) & 3
	return in>>1<<2 | e&2 | in&1
}

// turned returns an order in which each lane holds what is n further.
func (o order) turned(further func(e, n int) int, n int) (to order) {
	for lane, e := range o {
		to[lane] = further(e, n)
	}
	return to
}

// from returns which lane of from to take for each lane of o.
func (o order) from(from order) (lanes order) {
	for lane, e := range o {
		for l, has := range from {
			if has == e {
				lanes[lane] = l
			}
		}
	}
	return lanes
}

// An orderly has the constants that turning takes.
type orderly struct {
	constants map[order]reg.VecPhysical
	free      []reg.VecPhysical
	seen      []order
}

// turn brings a register from one order to another.
func (k *orderly) turn(r reg.VecPhysical, from, to order) {
	lanes := to.from(from)
	if lanes == natural {
		return
	}
	within, halves := true, true // 256 bits; pairs of lanes
	for l := range 4 {
		within = within && lanes[l] < 4 && lanes[l+4] == lanes[l]+4
		halves = halves && lanes[2*l]%2 == 0 && lanes[2*l+1] == lanes[2*l]+1
	}
	switch {
	case within:
		VPERMQ(U8(lanes[0]|lanes[1]<<2|lanes[2]<<4|lanes[3]<<6), r, r)
	case halves:
		VSHUFI64X2(U8(lanes[0]/2|lanes[2]/2<<2|lanes[4]/2<<4|lanes[6]/2<<6), r, r, r)
	default:
		VPERMQ(r, k.constant(lanes), r)
	}
}

func (k *orderly) constant(lanes order) reg.VecPhysical {
	c, known := k.constants[lanes]
	if !known {
		c, k.free = k.free[0], k.free[1:]
		k.constants[lanes] = c
		k.seen = append(k.seen, lanes)
	}
	return c
}

func zmmG(sets ...[5]reg.VecPhysical) {
	each := func(f func(a, b, c, d, t reg.VecPhysical)) {
		for _, s := range sets {
			f(s[0], s[1], s[2], s[3], s[4])
		}
	}
	half := func(turns ...uint64) {
		each(func(a, b, c, d, t reg.VecPhysical) { VPMULUDQ(a, b, t) })
		each(func(a, b, c, d, t reg.VecPhysical) { VPADDQ(a, b, a) })
		each(func(a, b, c, d, t reg.VecPhysical) { VPADDQ(a, t, a) })
		each(func(a, b, c, d, t reg.VecPhysical) { VPADDQ(a, t, a) })
		each(func(a, b, c, d, t reg.VecPhysical) { VPXORQ(a, d, d) })
		each(func(a, b, c, d, t reg.VecPhysical) { VPRORQ(U8(turns[0]), d, d) })
		each(func(a, b, c, d, t reg.VecPhysical) { VPMULUDQ(c, d, t) })
		each(func(a, b, c, d, t reg.VecPhysical) { VPADDQ(c, d, c) })
		each(func(a, b, c, d, t reg.VecPhysical) { VPADDQ(c, t, c) })
		each(func(a, b, c, d, t reg.VecPhysical) { VPADDQ(c, t, c) })
		each(func(a, b, c, d, t reg.VecPhysical) { VPXORQ(c, b, b) })
		each(func(a, b, c, d, t reg.VecPhysical) { VPRORQ(U8(turns[1]), b, b) })
	}
	half(32, 24)
	half(16, 63)
}

// diagonal is what the four registers of a round are turned by before its second step,
// against the second of them, which is ready last.
var diagonal = [4]int{-1, 0, 1, 2}

func avx512() {
	w, prev := begin("fillAVX512", "fillAVX512 is a kernel for AVX-512 (F): see fillFunc.")
	w.align(blockSize)
	k := &orderly{constants: map[order]reg.VecPhysical{}, free: zmm[18:]}
	var orders [16]order
	byRow := func(i int) (s [5]reg.VecPhysical) {
		return [5]reg.VecPhysical{zmm[4*i], zmm[4*i+1], zmm[4*i+2], zmm[4*i+3], zmm[16+i%2]}
	}
	byColumn := func(j int) (s [5]reg.VecPhysical) {
		return [5]reg.VecPhysical{zmm[j], zmm[4+j], zmm[8+j], zmm[12+j], zmm[16+j%2]}
	}
	// Which constants there are is known when all has been planned.
	for r := range orders {
		i, j := r/4, r%4
		across := natural.turned(row, diagonal[j])
		k.plan(across, across.turned(column, diagonal[i]))
		k.plan(across.turned(column, diagonal[i]), natural)
	}
	for n, lanes := range k.seen {
		name := fmt.Sprintf("lanes%d", n)
		data := GLOBL(name, RODATA|NOPTR)
		for l, from := range lanes {
			DATA(l*8, U64(from))
		}
		VMOVDQU64(data, k.constants[lanes])
	}
	for r := range 16 {
		VMOVDQU64(Mem{Base: prev, Disp: r * 64}, zmm[r])
	}
	w.next("first", reg.X0)

	Label("block")
	CMPB(w.again, U8(0))
	JNE(LabelRef("again"))
	for r := range 16 {
		VPXORQ(Mem{Base: w.ref, Disp: r * 64}, zmm[r], zmm[r])
		VMOVDQU64(zmm[r], Mem{Base: w.saved, Disp: r * 64})
	}
	JMP(LabelRef("rounds"))
	Label("again")
	for r := range 16 {
		VPXORQ(Mem{Base: w.ref, Disp: r * 64}, zmm[r], zmm[r])
		t := zmm[16+r%2]
		VPXORQ(Mem{Base: w.dst, Disp: r * 64}, zmm[r], t)
		VMOVDQU64(t, Mem{Base: w.saved, Disp: r * 64})
	}
	Label("rounds")
	for _, two := range [][2]int{{0, 1}, {2, 3}} {
		zmmG(byRow(two[0]), byRow(two[1]))
		for _, i := range two {
			for j := range 4 {
				k.turn(zmm[4*i+j], natural, natural.turned(row, diagonal[j]))
			}
		}
		zmmG(byRow(two[0]), byRow(two[1]))
	}
	for n, two := range [][2]int{{0, 1}, {2, 3}} {
		zmmG(byColumn(two[0]), byColumn(two[1]))
		for _, j := range two {
			across := natural.turned(row, diagonal[j])
			for i := range 4 {
				k.turn(zmm[4*i+j], across, across.turned(column, diagonal[i]))
			}
		}
		zmmG(byColumn(two[0]), byColumn(two[1]))
		for _, j := range two {
			across := natural.turned(row, diagonal[j])
			for i := range 4 {
				r := 4*i + j
				k.turn(zmm[r], across.turned(column, diagonal[i]), natural)
				VPXORQ(Mem{Base: w.saved, Disp: r * 64}, zmm[r], zmm[r])
				VMOVDQU64(zmm[r], Mem{Base: w.dst, Disp: r * 64})
			}
		}
		if n == 0 {
			w.next("next", reg.X0)
			w.prefetch()
		}
	}
	ADDQ(U32(blockSize), w.dst)
	DECQ(w.left)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// plan makes room for the constant that a turn takes.
func (k *orderly) plan(from, to order) {
	lanes := to.from(from)
	within, halves := true, true
	for l := range 4 {
		within = within && lanes[l] < 4 && lanes[l+4] == lanes[l]+4
		halves = halves && lanes[2*l]%2 == 0 && lanes[2*l+1] == lanes[2*l]+1
	}
	if !within && !halves {
		k.constant(lanes)
	}
}
