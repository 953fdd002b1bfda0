package paper

import (
	"time"

	"neoapi/internal/paper/listing"
)

// Marks say which orders, or trades, an account had at a time, and how they were: eight
// bytes each. They stay true while the exchange goes on, so a long report is made of them
// piece by piece. The next day they are worth nothing. Read them as an [Exchange] is
// used: by one caller at a time.
type Marks struct {
	x   *Exchange
	day listing.Date
	all []mark
}

// mark is a row of an order's history, or if row is 0 a fill.
type mark struct{ index, row uint32 }

// Len returns how many there are.
func (m *Marks) Len() int { return len(m.all) }

// DropNewest leaves the last one out, if there is one.
func (m *Marks) DropNewest() { m.all = m.all[:max(0, len(m.all)-1)] }

// Order returns the order with an index, from 0, by number. ok is false if the day is over.
func (m *Marks) Order(k int) (o Order, ok bool) {
	if m.x.date != m.day {
		return o, false
	}
	return m.x.asOf(m.all[k].index, m.all[k].row), true
}

// Trade returns the trade with an index, from 0, the oldest first. ok is false if the day
// is over.
func (m *Marks) Trade(k int) (t Trade, ok bool) {
	if m.x.date != m.day {
		return t, false
	}
	return m.x.tradeOf(m.all[k].index), true
}

// MarkOrders returns an account's orders of the day as they were at a time, or as they are
// if that is zero.
func (x *Exchange) MarkOrders(now time.Time, account string, asOf time.Time) Marks {
	x.Run(now)
	m := Marks{x: x, day: x.date}
	a := x.known(account)
	if a == nil {
		return m
	}
	for i := a.first; i != 0; i = x.orders.at(i).next {
		o := x.orders.at(i)
		row := o.last
		for !asOf.IsZero() && row != 0 && x.rows.at(row).at() > asOf.UnixMicro() {
			row = x.rows.at(row).before
		}
		if row != 0 {
			m.all = append(m.all, mark{i, row})
		}
	}
	return m
}

// MarkTrades returns an account's trades of the day up to a time, or all if that is zero.
func (x *Exchange) MarkTrades(now time.Time, account string, until time.Time) Marks {
	x.Run(now)
	m := Marks{x: x, day: x.date}
	a := x.known(account)
	if a == nil {
		return m
	}
	for k := a.firstFill; k != 0; k = x.fills.at(k).next {
		if until.IsZero() || x.fills.at(k).at <= until.UnixMicro() {
			m.all = append(m.all, mark{index: k})
		}
	}
	return m
}

// Order returns an order as it is.
func (x *Exchange) Order(now time.Time, account string, n Number) (Order, *Refusal) {
	x.Run(now)
	i, r := x.numbered(account, n)
	if r != nil {
		return Order{}, r
	}
	return x.asIs(i), nil
}

// Time returns the market's time: now, or the latest time it has seen.
func (x *Exchange) Time(now time.Time) time.Time {
	x.Run(now)
	return at(x.now)
}
