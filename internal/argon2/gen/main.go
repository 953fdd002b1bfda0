// Command gen writes the assembly of package argon2. Run it with go generate in the
// folder above.
//
// It is a separate module so that neoapi does not require its imports.
package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	blockSize = 1024
	lineSize  = 64
)

func main() {
	build.ConstraintExpr("amd64,!purego")
	avx2()
	avx512()
	build.Generate()
}

// at returns the operand n bytes after base.
func at(base reg.Register, n int) operand.Mem { return operand.Mem{Base: base, Disp: n} }

// A walk is what both kernels share: where the blocks of one call are, and which block
// to mix into each. The registers start with the arguments and advance.
type walk struct {
	memory, dst, prev, left, refs, area, last, lane reg.Register
	again                                           operand.Mem
	ref                                             reg.Register // address of the block to mix with the previous one
	saved                                           reg.Register // address of room on the stack, aligned to a cache line
}

// begin starts a function with room for size bytes on the stack.
func begin(name, doc string, size int) walk {
	build.TEXT(name, 0, "func(memory *uint64, dst, prev, n uint64, refs *uint32, again bool, area, last, lane uint64)")
	build.Pragma("noescape")
	build.Doc(doc)
	argument := func(name string, r reg.Register) reg.Register { return build.Load(build.Param(name), r) }
	w := walk{
		memory: argument("memory", reg.R8), dst: argument("dst", reg.RDI), prev: argument("prev", reg.RSI), left: argument("n", reg.R9),
		refs: argument("refs", reg.R10), area: argument("area", reg.R11), last: argument("last", reg.R12), lane: argument("lane", reg.R13),
		ref: reg.RBX, saved: reg.RDX,
	}
	again, err := build.Param("again").Resolve()
	if err != nil {
		panic(err)
	}
	w.again = again.Addr
	for _, number := range []reg.Register{w.dst, w.prev} {
		w.address(number)
	}
	room := build.AllocLocal(size + lineSize)
	build.LEAQ(room.Offset(lineSize-1), w.saved)
	build.ANDQ(operand.I8(-lineSize), w.saved)
	return w
}

// address turns the number of a block into its address.
func (w walk) address(number reg.Register) {
	build.SHLQ(operand.U8(10), number)
	build.ADDQ(w.memory, number)
}

// choose puts into w.ref the address of the block to mix into the next one: refs lists
// it, or else the first word of the block before chooses it (RFC 9106, 3.4.1.1 and
// 3.4.2).
func (w walk) choose(label string, word reg.Register) {
	listed, known := label+"_listed", label+"_known"
	build.TESTQ(w.refs, w.refs)
	build.JNZ(operand.LabelRef(listed))
	build.VMOVD(word, reg.EAX) // J1
	build.IMULQ(reg.RAX, reg.RAX)
	build.SHRQ(operand.U8(32), reg.RAX)
	build.IMULQ(w.area, reg.RAX)
	build.SHRQ(operand.U8(32), reg.RAX)
	build.MOVQ(w.last, w.ref)
	build.SUBQ(reg.RAX, w.ref)
	build.MOVQ(w.ref, reg.RCX)
	build.SUBQ(w.lane, reg.RCX)
	build.CMOVQCC(reg.RCX, w.ref) // wrap round the lane's end
	build.INCQ(w.area)
	build.INCQ(w.last)
	build.JMP(operand.LabelRef(known))
	build.Label(listed)
	build.MOVL(at(w.refs, 0), reg.EBX)
	build.ADDQ(operand.I8(4), w.refs)
	build.Label(known)
	w.address(w.ref)
}

// repeat jumps back to label for the next block, and returns after the last.
func (w walk) repeat(label string) {
	build.MOVQ(w.dst, w.prev)
	build.ADDQ(operand.U32(blockSize), w.dst)
	build.DECQ(w.left)
	build.JNZ(operand.LabelRef(label))
	build.VZEROUPPER()
	build.RET()
}

// A set is four registers, a, b, c and d, whose lanes compute the permutation GB side by
// side (RFC 9106, 3.6).
type set [4]reg.VecPhysical

// mix computes GB in some sets. It interleaves two sets at a time, because each has to
// wait for its product. The kernels differ in xor and right, which rotates the words of
// a register right.
func mix(sets []set, temps [2]reg.VecPhysical, xor func(...operand.Op), right func(n uint64, r, temp reg.VecPhysical)) {
	step := func(x, y, z int, turn uint64) { // x += y + 2·x·y, of the lower halves; z = (z ^ x) >>> turn
		for n := 0; n < len(sets); n += len(temps) {
			each := func(f func(x, y, z, temp reg.VecPhysical)) {
				for i, s := range sets[n : n+len(temps)] {
					f(s[x], s[y], s[z], temps[i])
				}
			}
			each(func(x, y, _, temp reg.VecPhysical) { build.VPMULUDQ(x, y, temp) })
			each(func(x, y, _, _ reg.VecPhysical) { build.VPADDQ(x, y, x) })
			each(func(x, _, _, temp reg.VecPhysical) { build.VPADDQ(x, temp, x) })
			each(func(x, _, _, temp reg.VecPhysical) { build.VPADDQ(x, temp, x) })
			each(func(x, _, z, _ reg.VecPhysical) { xor(x, z, z) })
			each(func(_, _, z, temp reg.VecPhysical) { right(turn, z, temp) })
		}
	}
	const a, b, c, d = 0, 1, 2, 3
	step(a, b, d, 32)
	step(c, d, b, 24)
	step(a, b, d, 16)
	step(c, d, b, 63)
}
