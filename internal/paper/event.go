package paper

// event is what happened, as it is kept until somebody asks: a row of an order, or a
// position that moved.
type event struct {
	order, row     uint32 // order 0: a position
	account, moved uint32 // of a position: instrument and product
}

// maxEvents is how many events are kept for [Exchange.Events].
const maxEvents = 1 << 14

// events are a ring.
type events struct {
	ring  []event
	first int
	n     int
	built []Event // of days that have ended
}

func (e *events) add(v event) {
	if e.n == len(e.ring) {
		if len(e.ring) == maxEvents {
			e.ring[e.first] = v
			e.first = (e.first + 1) % maxEvents
			return
		}
		ring := make([]event, max(64, 2*len(e.ring)))
		for k := range e.n {
			ring[k] = e.ring[(e.first+k)%len(e.ring)]
		}
		e.ring, e.first = ring, 0
	}
	e.ring[(e.first+e.n)%len(e.ring)] = v
	e.n++
}

// Events returns what happened since the last call. Without a call they are kept up to
// a bound, and then forgotten from the oldest.
func (x *Exchange) Events() []Event {
	x.buildEvents()
	all := x.events.built
	x.events.built = nil
	return all
}

// buildEvents makes events of what is kept of them. A position that moved several times
// is told once, as it is now, where it moved last.
func (x *Exchange) buildEvents() {
	e := &x.events
	type position struct{ account, moved uint32 }
	last := map[position]int{}
	for k := range e.n {
		if v := e.ring[(e.first+k)%len(e.ring)]; v.order == 0 {
			last[position{v.account, v.moved}] = k
		}
	}
	for k := range e.n {
		v := e.ring[(e.first+k)%len(e.ring)]
		if v.order == 0 {
			if last[position{v.account, v.moved}] == k {
				a := x.accounts[v.account]
				p := x.positionOf(a, x.instruments[v.moved>>4], Product(v.moved&15))
				e.built = append(e.built, Event{Account: a.name, Position: &p})
			}
			continue
		}
		o := x.asOf(v.order, v.row)
		out := Event{Account: o.Account, Order: &o}
		if r := x.rows.at(v.row); r.argument() == fillArgument {
			t := x.tradeOf(r.index())
			out.Trade = &t
		}
		e.built = append(e.built, out)
	}
	e.first, e.n = 0, 0
	if extra := len(e.built) - maxEvents; extra > 0 {
		e.built = append([]Event(nil), e.built[extra:]...)
	}
}
