package paper

// tags are the day's tags, end to end, and a table that finds the order of one.
type tags struct {
	text  [][]byte
	table []uint32 // orders, by hash; its length is a power of two
	used  int
}

const tagChunk = 1 << 16

// keep stores a tag and returns where it begins.
func (t *tags) keep(tag string) uint32 {
	n := len(t.text)
	if n == 0 || len(t.text[n-1])+len(tag) > tagChunk {
		t.text = append(t.text, make([]byte, 0, tagChunk))
		n++
	}
	at := uint32((n-1)*tagChunk + len(t.text[n-1]))
	t.text[n-1] = append(t.text[n-1], tag...)
	return at
}

func (t *tags) bytes(at uint32, length uint8) []byte {
	if length == 0 {
		return nil
	}
	return t.text[at/tagChunk][at%tagChunk:][:length]
}

func tagHash[T string | []byte](account uint32, tag T) uint64 {
	h := uint64(account)*0x9e3779b97f4a7c15 + 0xcbf29ce484222325
	for k := range len(tag) {
		h = (h ^ uint64(tag[k])) * 0x100000001b3
	}
	return mix(h)
}

func (x *Exchange) tagOf(o *order) string { return string(x.tags.bytes(o.tag, o.tagLen)) }

// shownTag returns the tag that reports show: an order without one has an identifier.
func (x *Exchange) shownTag(o *order) string {
	if o.tagLen == 0 {
		return x.accounts[o.account].name + "-" + pseudoUUID(x.cfg.Seed, uint64(o.number))
	}
	return x.tagOf(o)
}

// tagged returns the order that used a tag today, or 0.
func (x *Exchange) tagged(account uint32, tag string) uint32 {
	t := &x.tags
	if t.used == 0 {
		return 0
	}
	mask := uint64(len(t.table) - 1)
	for k := tagHash(account, tag) & mask; t.table[k] != 0; k = (k + 1) & mask {
		o := x.orders.at(t.table[k])
		if o.account == account && string(t.bytes(o.tag, o.tagLen)) == tag {
			return t.table[k]
		}
	}
	return 0
}

// useTag notes that an order has its tag.
func (x *Exchange) useTag(i uint32) {
	t := &x.tags
	if 4*t.used >= 3*len(t.table) {
		old := t.table
		t.table = make([]uint32, max(1024, 2*len(old)))
		for _, k := range old {
			if k != 0 {
				x.insertTag(k)
			}
		}
	}
	t.used++
	x.insertTag(i)
}

func (x *Exchange) insertTag(i uint32) {
	t := &x.tags
	o := x.orders.at(i)
	mask := uint64(len(t.table) - 1)
	k := tagHash(o.account, t.bytes(o.tag, o.tagLen)) & mask
	for t.table[k] != 0 {
		k = (k + 1) & mask
	}
	t.table[k] = i
}
