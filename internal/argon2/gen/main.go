// Command gen writes the assembly of package argon2: go generate in the folder above
// runs it.
//
// It is a module of its own so that what it imports is no requirement of neoapi.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	blockSize = 1024
	lineSize  = 64
)

func main() {
	ConstraintExpr("amd64,!purego")
	avx2()
	avx512()
	Generate()
}

// walk is what both kernels have in common: where the blocks of one call are, and which
// block each one is mixed with.
type walk struct {
	memory, dst, left, refs, area, last, lane reg.Register // arguments, counted on
	ref, saved                                reg.Register
	again                                     Mem
}

// begin starts a function: its arguments go to registers, and saved to room for one
// block on the stack.
func begin(name, doc string) (w walk, prev reg.Register) {
	TEXT(name, 0, "func(memory *uint64, dst, prev, n uint64, refs *uint32, again bool, area, last, lane uint64)")
	Pragma("noescape")
	Doc(doc)
	w.memory = Load(Param("memory"), reg.R8)
	w.dst = Load(Param("dst"), reg.RDI)
	prev = Load(Param("prev"), reg.RSI)
	w.left = Load(Param("n"), reg.R9)
	w.refs = Load(Param("refs"), reg.R10)
	w.area = Load(Param("area"), reg.R11)
	w.last = Load(Param("last"), reg.R12)
	w.lane = Load(Param("lane"), reg.R13)
	again, err := Param("again").Resolve()
	if err != nil {
		panic(err)
	}
	w.again = again.Addr
	w.ref, w.saved = reg.RBX, reg.RDX
	for _, index := range []reg.Register{w.dst, prev} {
		SHLQ(U8(10), index)
		ADDQ(w.memory, index)
	}
	return w, prev
}

// align puts the address of size bytes of the stack into w.saved, on a cache line.
func (w walk) align(size int) {
	room := AllocLocal(size + lineSize)
	LEAQ(room.Offset(lineSize-1), w.saved)
	ANDQ(I8(-lineSize), w.saved)
}

// next puts into w.ref the address of the block that the next one is mixed with: what
// refs holds, or else what the first word of the block before says (RFC 9106, 3.4.1.1
// and 3.4.2).
func (w walk) next(label string, word reg.Register) {
	TESTQ(w.refs, w.refs)
	JNZ(LabelRef(label + "_listed"))
	VMOVD(word, reg.EAX)
	IMULQ(reg.RAX, reg.RAX)
	SHRQ(U8(32), reg.RAX)
	IMULQ(w.area, reg.RAX)
	SHRQ(U8(32), reg.RAX)
	MOVQ(w.last, w.ref)
	SUBQ(reg.RAX, w.ref)
	MOVQ(w.ref, reg.RCX)
	SUBQ(w.lane, reg.RCX)
	CMOVQCC(reg.RCX, w.ref)
	INCQ(w.area)
	INCQ(w.last)
	JMP(LabelRef(label + "_known"))
	Label(label + "_listed")
	MOVL(Mem{Base: w.refs}, w.ref.(reg.GP).As32())
	ADDQ(I8(4), w.refs)
	Label(label + "_known")
	SHLQ(U8(10), w.ref)
	ADDQ(w.memory, w.ref)
}

func (w walk) prefetch() {
	for i := range blockSize / lineSize {
		PREFETCHT0(Mem{Base: w.ref, Disp: i * lineSize})
	}
}
