package feed

// A table finds instruments by what a packet says: the number of an exchange and a token.
// It is a hash table with open addressing, because a map costs more than all else that is
// done with a tick.
type table struct {
	slots []slot // their number is a power of two
	used  int
	shift uint
}

type slot struct {
	key  uint64
	item *item // nil: free
}

// keyOf returns the key of a token.
func keyOf(exchange int8, token uint32) uint64 {
	return uint64(uint8(exchange))<<32 | uint64(token)
}

// indexKey returns the key of an index, whose token may be one of a share too.
func indexKey(exchange int8, token uint32) uint64 { return 1<<40 | keyOf(exchange, token) }

// at returns where a search for a key begins.
func (t *table) at(key uint64) int { return int(key * 0x9E3779B97F4A7C15 >> t.shift) }

// find returns the item of a key, or nil.
func (t *table) find(key uint64) *item {
	if len(t.slots) == 0 {
		return nil
	}
	for i := t.at(key); ; i++ {
		s := &t.slots[i&(len(t.slots)-1)]
		if s.key == key || s.item == nil {
			return s.item
		}
	}
}

// put adds an item, or replaces the one of that key.
func (t *table) put(key uint64, it *item) {
	if 2*(t.used+1) > len(t.slots) {
		t.grow()
	}
	for i := t.at(key); ; i++ {
		s := &t.slots[i&(len(t.slots)-1)]
		if s.item == nil {
			*s = slot{key, it}
			t.used++
			return
		}
		if s.key == key {
			s.item = it
			return
		}
	}
}

func (t *table) grow() {
	old := t.slots
	size := max(16, 2*len(old))
	t.slots, t.used, t.shift = make([]slot, size), 0, 64
	for n := size; n > 1; n /= 2 {
		t.shift--
	}
	for _, s := range old {
		if s.item != nil {
			t.put(s.key, s.item)
		}
	}
}

// remove takes a key out, and moves those that follow it to where they are found.
func (t *table) remove(key uint64) {
	if len(t.slots) == 0 {
		return
	}
	mask := len(t.slots) - 1
	i := t.at(key) & mask
	for t.slots[i].key != key || t.slots[i].item == nil {
		if t.slots[i].item == nil {
			return
		}
		i = (i + 1) & mask
	}
	t.slots[i] = slot{}
	t.used--
	for i = (i + 1) & mask; t.slots[i].item != nil; i = (i + 1) & mask {
		s := t.slots[i]
		t.slots[i] = slot{}
		t.used--
		t.put(s.key, s.item)
	}
}
