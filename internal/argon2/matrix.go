package argon2

import (
	"encoding/binary"
	"hash"

	"golang.org/x/crypto/blake2b"
)

// Names and letters are those of RFC 9106.
const (
	blockWords = 128
	blockSize  = 8 * blockWords
	syncPoints = 4
	typeID     = 2 // argon2id
)

type block = [blockWords]uint64

// The blocks after a matrix, used to generate addresses.
const (
	zeroBlock = iota
	inputBlock
	addressBlock
	scratchBlocks
)

// callBlocks is the most blocks that one call of a kernel computes. The garbage
// collector and the scheduler cannot interrupt a call: at 0.1 to 0.3 µs a block they
// wait for 20 µs.
const callBlocks = 64

// A matrix is the memory of one hash.
type matrix struct {
	*kernel
	blocks        []block // lane by lane, then scratchBlocks
	time, lanes   uint32
	lane, segment uint32 // lengths in blocks
}

func newMatrix(k *kernel, time, memory uint32, lanes uint8) matrix {
	segment := max(memory/(syncPoints*uint32(lanes)), 2)
	return matrix{kernel: k, time: time, lanes: uint32(lanes), lane: syncPoints * segment, segment: segment}
}

// size returns the size of the matrix in bytes.
func (m *matrix) size() int { return (int(m.lanes)*int(m.lane) + scratchBlocks) * blockSize }

// scratch returns the number of scratch block n.
func (m *matrix) scratch(n uint32) uint32 { return m.lanes*m.lane + n }

// set writes words into a block of memory, and get reads them.
func (m *matrix) set(to *block, words *block) {
	for i, word := range words {
		to[m.place(i)] = word
	}
}

func (m *matrix) get(from *block) (words block) {
	for i := range words {
		words[i] = from[m.place(i)]
	}
	return words
}

// key computes all blocks and then the key.
func (m *matrix) key(h0 [blake2b.Size]byte, size uint32) []byte {
	m.start(&h0)
	for pass := range m.time {
		for slice := range uint32(syncPoints) {
			for lane := range m.lanes {
				m.fillSegment(position{pass, slice, lane, 0})
			}
		}
	}
	return m.end(size)
}

// start computes the first two blocks of each lane.
func (m *matrix) start(h0 *[blake2b.Size]byte) {
	for lane := range m.lanes {
		for column := range uint32(2) {
			var bytes [blockSize]byte
			longHash(bytes[:], h0[:], le32(column), le32(lane))
			var words block
			for i := range words {
				words[i] = binary.LittleEndian.Uint64(bytes[8*i:])
			}
			m.set(&m.blocks[lane*m.lane+column], &words)
		}
	}
}

// A position locates the block to compute.
type position struct{ pass, slice, lane, index uint32 } // index is within the segment

// fillSegment computes the segment at p.
func (m *matrix) fillSegment(p position) {
	if p.pass == 0 && p.slice == 0 {
		p.index = 2
	}
	var refs [callBlocks + 1]uint32 // kernels read one more than they use
	for p.index < m.segment {
		n := min(m.segment-p.index, callBlocks)
		switch {
		case p.pass == 0 && p.slice < syncPoints/2: // no secret decides what to read
			if p.index%blockWords == 0 || p.index == 2 {
				m.address(p)
			}
			n = min(n, blockWords-p.index%blockWords)
			for i := range n {
				at := p
				at.index += i
				refs[i] = m.reference(at, m.blocks[m.scratch(addressBlock)][m.place(int(at.index%blockWords))])
			}
			m.mix(p, n, &refs)
		case m.lanes == 1: // the kernel chooses
			m.mix(p, n, nil)
		default:
			n = 1
			refs[0] = m.reference(p, m.blocks[m.before(p)][m.place(0)])
			m.mix(p, n, &refs)
		}
		p.index += n
	}
}

// mix computes n blocks, starting at p.
func (m *matrix) mix(p position, n uint32, refs *[callBlocks + 1]uint32) {
	area, start := m.area(p, p.lane)
	var first *uint32
	if refs != nil {
		first = &refs[0]
	}
	m.fill(&m.blocks[0][0], uint64(p.lane*m.lane+p.slice*m.segment+p.index), uint64(m.before(p)), uint64(n),
		first, p.pass > 0, uint64(area), uint64(start+area-1), uint64(m.lane))
}

// before returns the number of the block before p in its lane. Before the first comes
// the last.
func (m *matrix) before(p position) uint32 {
	at := p.slice*m.segment + p.index
	if at == 0 {
		at = m.lane
	}
	return p.lane*m.lane + at - 1
}

// area returns how many blocks of a lane may be mixed into the block at p, and the first
// of them (RFC 9106, 3.4.2).
func (m *matrix) area(p position, lane uint32) (area, start uint32) {
	area = p.slice * m.segment
	if p.pass > 0 {
		area, start = (syncPoints-1)*m.segment, (p.slice+1)%syncPoints*m.segment
	}
	switch {
	case lane == p.lane:
		area += p.index - 1
	case p.index == 0:
		area--
	}
	return area, start
}

// reference returns the number of the block to mix into the one at p. random holds J1
// and J2, which choose it.
func (m *matrix) reference(p position, random uint64) uint32 {
	lane := uint32(random>>32) % m.lanes
	if p.pass == 0 && p.slice == 0 {
		lane = p.lane
	}
	area, start := m.area(p, lane)
	j1 := random & 0xffffffff
	x := j1 * j1 >> 32
	y := uint64(area) * x >> 32
	at := start + area - 1 - uint32(y)
	if at >= m.lane {
		at -= m.lane
	}
	return lane*m.lane + at
}

// address computes the block that chooses what to mix into the next blockWords blocks
// (RFC 9106, 3.4.1.2).
func (m *matrix) address(p position) {
	input := block{uint64(p.pass), uint64(p.lane), uint64(p.slice), uint64(m.lanes * m.lane), uint64(m.time), typeID, uint64(p.index/blockWords + 1)}
	m.set(&m.blocks[m.scratch(inputBlock)], &input)
	m.blocks[m.scratch(zeroBlock)] = block{}
	for _, from := range []uint32{inputBlock, addressBlock} {
		refs := [2]uint32{m.scratch(from)}
		m.fill(&m.blocks[0][0], uint64(m.scratch(addressBlock)), uint64(m.scratch(zeroBlock)), 1, &refs[0], false, 0, 0, 0)
	}
}

// end derives the key from the last blocks of all lanes.
func (m *matrix) end(size uint32) []byte {
	var words block
	for lane := range m.lanes {
		for i, word := range m.get(&m.blocks[(lane+1)*m.lane-1]) {
			words[i] ^= word
		}
	}
	var bytes [blockSize]byte
	for i, word := range words {
		binary.LittleEndian.PutUint64(bytes[8*i:], word)
	}
	key := make([]byte, size)
	longHash(key, bytes[:])
	return key
}

// initialHash returns H_0.
func initialHash(password, salt, secret, data []byte, time, memory, lanes, keyLen uint32) (h0 [blake2b.Size]byte) {
	h := newHash(blake2b.Size)
	for _, part := range [][]byte{
		le32(lanes), le32(keyLen), le32(memory), le32(time), le32(Version), le32(typeID),
		le32(uint32(len(password))), password, le32(uint32(len(salt))), salt,
		le32(uint32(len(secret))), secret, le32(uint32(len(data))), data,
	} {
		h.Write(part)
	}
	h.Sum(h0[:0])
	return h0
}

// longHash is H': it fills out with a hash of the parts.
func longHash(out []byte, parts ...[]byte) {
	h := newHash(min(len(out), blake2b.Size))
	h.Write(le32(uint32(len(out))))
	for _, part := range parts {
		h.Write(part)
	}
	v := h.Sum(nil)
	for len(out) > blake2b.Size {
		n := copy(out, v[:blake2b.Size/2])
		out = out[n:]
		h = newHash(min(len(out), blake2b.Size))
		h.Write(v)
		v = h.Sum(nil)
	}
	copy(out, v)
}

func newHash(size int) hash.Hash {
	h, err := blake2b.New(size, nil)
	if err != nil {
		panic(err) // it accepts all sizes from 1 to 64
	}
	return h
}

func le32(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }
