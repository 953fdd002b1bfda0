package paper

// slab is a list that grows without moving what it has, and is dropped as a whole at the
// end of a day. Index 0 is not used: it means none.
type slab[T any] struct {
	chunks []*[slabSize]T
	n      uint32 // the last index
}

const (
	slabBits = 10
	slabSize = 1 << slabBits
)

// add returns a new element, which is zero, and its index.
func (s *slab[T]) add() (*T, uint32) {
	s.n++
	if int(s.n>>slabBits) == len(s.chunks) {
		s.chunks = append(s.chunks, new([slabSize]T))
	}
	return s.at(s.n), s.n
}

func (s *slab[T]) at(i uint32) *T { return &s.chunks[i>>slabBits][i&(slabSize-1)] }
