package login

import "sync"

// inHand are the logins that this process is judging, by address. Each has charged its
// address in advance, and most are right: a login that finds nothing left for it waits
// for one of them to end before it is refused.
type inHand struct {
	mu  sync.Mutex
	all map[string]*hand
}

type hand struct {
	n       int
	ended   int         // so far
	waiting []chan bool // told whether to try again
}

// begin counts a login in, before it charges its address. It returns how many have ended.
func (h *inHand) begin(address string) (ended int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.all[address]
	if x == nil {
		x = &hand{}
		h.all[address] = x
	}
	x.n++
	return x.ended
}

// end counts a login out, which keeps its charge or has it back, and lets one that waits try
// again; the last login lets all.
func (h *inHand) end(address string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.all[address]
	x.ended++
	if h.leave(address, x, true) || len(x.waiting) == 0 {
		return
	}
	x.waiting[0] <- true
	x.waiting = x.waiting[1:]
}

// wait counts a login out that found nothing left, although only ended had ended when it
// began. It returns what says whether to try again, or nil if nobody is left to wait for.
func (h *inHand) wait(address string, ended int) <-chan bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.all[address]
	again := make(chan bool, 1)
	if x.ended != ended { // meanwhile
		again <- true
		h.leave(address, x, true)
		return again
	}
	if h.leave(address, x, false) {
		return nil
	}
	x.waiting = append(x.waiting, again)
	return again
}

// leave counts a login out. If it was the last one, all that wait are told whether to try
// again.
func (h *inHand) leave(address string, x *hand, again bool) (last bool) {
	if x.n--; x.n > 0 {
		return false
	}
	delete(h.all, address)
	for _, w := range x.waiting {
		w <- again
	}
	return true
}

// any reports whether logins of an address are in hand.
func (h *inHand) any(address string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all[address] != nil
}
