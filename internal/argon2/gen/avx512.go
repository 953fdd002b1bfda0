package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

var zmm = []reg.VecPhysical{
	reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7, reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
	reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23, reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31,
}

// An order lists the word that each lane of a register holds.
//
// A block is a matrix of 8 by 8 cells of two words. Register 4i+j holds rows 2i and 2i+1
// of columns 2j and 2j+1: word 4h+k is word k of these two columns in row 2i+h. So the
// round over the rows takes the registers of one i as a, b, c and d, and the round over
// the columns those of one j. Nothing moves from one register to another: only the
// diagonal steps rotate words within them. Memory holds blocks in this order too.
type order [8]int

var natural = order{0, 1, 2, 3, 4, 5, 6, 7}

// diagonal lists how far to turn a, b, c and d for the diagonal step: relative to b,
// which is ready last.
var diagonal = [4]int{-1, 0, 1, 2}

// inRow returns the order in which each lane holds the word n further on in its row.
func (o order) inRow(n int) order {
	for lane, word := range o {
		o[lane] = word&4 | (word+n)&3
	}
	return o
}

// inColumn is inRow for columns, whose four words span two rows.
func (o order) inColumn(n int) order {
	for lane, word := range o {
		place := (word>>2<<1 | word&1) + n
		o[lane] = place>>1&1<<2 | word&2 | place&1
	}
	return o
}

// lanes returns the source of each lane when a register goes from one order to another.
func lanes(from, to order) (lanes order) {
	for lane, word := range to {
		for l, w := range from {
			if w == word {
				lanes[lane] = l
			}
		}
	}
	return lanes
}

// A turner holds the constants of the turns that an instruction cannot encode.
type turner struct {
	registers map[order]reg.VecPhysical
	free      []reg.VecPhysical
}

// turn moves a register from one order to another.
func (t *turner) turn(r reg.VecPhysical, from, to order) {
	by := lanes(from, to)
	within, pairs := by.simple()
	switch {
	case by == natural:
	case within:
		build.VPERMQ(operand.U8(by[0]|by[1]<<2|by[2]<<4|by[3]<<6), r, r)
	case pairs:
		build.VSHUFI64X2(operand.U8(by[0]/2|by[2]/2<<2|by[4]/2<<4|by[6]/2<<6), r, r, r)
	default:
		build.VPERMQ(r, t.registers[by], r)
	}
}

// simple reports whether a turn stays within the halves of a register, alike in both, and
// whether it moves words in pairs.
func (o order) simple() (within, pairs bool) {
	within, pairs = true, true
	for l := range 4 {
		within = within && o[l] < 4 && o[l+4] == o[l]+4
		pairs = pairs && o[2*l]%2 == 0 && o[2*l+1] == o[2*l]+1
	}
	return within, pairs
}

// prepare loads the constant that a turn needs, if any.
func (t *turner) prepare(from, to order) {
	by := lanes(from, to)
	within, pairs := by.simple()
	if _, known := t.registers[by]; known || within || pairs {
		return
	}
	data := build.GLOBL(fmt.Sprintf("lanes%d", len(t.registers)), 8|16) // RODATA and NOPTR
	for lane, from := range by {
		build.DATA(lane*8, operand.U64(from))
	}
	build.VMOVDQU64(data, t.free[0])
	t.registers[by], t.free = t.free[0], t.free[1:]
}

// avx512 writes the kernel for AVX-512. A block stays in the registers from start to end,
// and then serves as the previous block of the next.
func avx512() {
	w := begin("fillAVX512", "fillAVX512 is a kernel for AVX-512.", blockSize)
	temps := [2]reg.VecPhysical{zmm[16], zmm[17]}
	right := func(n uint64, r, _ reg.VecPhysical) { build.VPRORQ(operand.U8(n), r, r) }
	byRow, byColumn := make([]set, 4), make([]set, 4)
	t := &turner{map[order]reg.VecPhysical{}, zmm[18:]}
	rowStep := func(j int) order { return natural.inRow(diagonal[j]) }
	columnStep := func(i, j int) order { return rowStep(j).inColumn(diagonal[i]) } // without turning row steps back first
	each := func(f func(i, j int, z reg.VecPhysical, offset int)) {
		for r, z := range zmm[:16] {
			f(r/4, r%4, z, r*64)
		}
	}
	each(func(i, j int, z reg.VecPhysical, offset int) {
		byRow[i][j], byColumn[j][i] = z, z
		t.prepare(rowStep(j), columnStep(i, j))
		t.prepare(columnStep(i, j), natural)
		build.VMOVDQU64(at(w.prev, offset), z)
	})
	w.choose("first", reg.X0)

	build.Label("block")
	build.CMPB(w.again, operand.U8(0))
	build.JNE(operand.LabelRef("again"))
	each(func(_, _ int, z reg.VecPhysical, offset int) {
		build.VPXORQ(at(w.ref, offset), z, z)
		build.VMOVDQU64(z, at(w.saved, offset))
	})
	build.JMP(operand.LabelRef("rounds"))
	build.Label("again")
	each(func(_, j int, z reg.VecPhysical, offset int) {
		build.VPXORQ(at(w.ref, offset), z, z)
		build.VPXORQ(at(w.dst, offset), z, temps[j%2])
		build.VMOVDQU64(temps[j%2], at(w.saved, offset))
	})

	build.Label("rounds")
	mix(byRow, temps, build.VPXORQ, right)
	each(func(_, j int, z reg.VecPhysical, _ int) { t.turn(z, natural, rowStep(j)) })
	mix(byRow, temps, build.VPXORQ, right)
	mix(byColumn, temps, build.VPXORQ, right)
	each(func(i, j int, z reg.VecPhysical, _ int) { t.turn(z, rowStep(j), columnStep(i, j)) })
	mix(byColumn, temps, build.VPXORQ, right)
	each(func(i, j int, z reg.VecPhysical, offset int) {
		t.turn(z, columnStep(i, j), natural)
		build.VPXORQ(at(w.saved, offset), z, z)
		build.VMOVDQU64(z, at(w.dst, offset))
		if offset == 0 {
			w.choose("next", reg.X0)
		}
	})
	w.repeat("block")
}
