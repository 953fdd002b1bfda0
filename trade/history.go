package trade

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"

	"neoapi"
	"neoapi/internal/tradewire"
)

// History returns the states that an order went through, the oldest first, each as an
// Order. They are in the service's sequence; those of one instant are in the order in
// which states can follow each other. An order that does not exist is [ErrNotFound].
func (t *Client) History(ctx context.Context, number string, opts ...neoapi.CallOption) ([]Order, error) {
	asked, _ := json.Marshal(map[string]string{"nOrdNo": number}) // a map of strings always marshals
	answer, err := t.post(ctx, tradewire.PathHistory, string(asked), opts)
	if err != nil {
		return nil, noOrder(number, err)
	}
	all, err := rows(tradewire.PathHistory, answer, orderLayout, decodeOrder)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if n := all[i].Number; n != "" && n != number {
			return nil, unreadable(tradewire.PathHistory, errors.New("it is the history of another order"))
		}
	}
	arrange(all)
	return all, nil
}

// arrange sorts the states of one order, which came the newest first.
func arrange(states []Order) {
	slices.Reverse(states)
	slices.SortStableFunc(states, func(a, b Order) int { return cmp.Compare(a.sequence(), b.sequence()) })
	var before State
	for len(states) > 0 {
		n := 1
		for n < len(states) && states[n].sequence() == states[0].sequence() {
			n++
		}
		if n <= maxTied {
			follow(before, states[:n])
		}
		before, states = states[n-1].State, states[n:]
	}
}

// maxTied is more than the states that an order has in one instant.
const maxTied = 64

// sequence is when the service recorded a state, by its finest clock.
func (o *Order) sequence() int64 {
	if o.Sequence != 0 || o.Updated.IsZero() {
		return o.Sequence
	}
	return o.Updated.UnixNano()
}

// follow arranges states of one instant that came after the state before: each is one
// that can follow the last, if there is such a one; filled quantities do not fall, and
// what ends an order comes last.
func follow(before State, states []Order) {
	for i := range states {
		best := i
		for k := i + 1; k < len(states); k++ {
			if earlier(before, &states[k], &states[best]) {
				best = k
			}
		}
		next := states[best]
		copy(states[i+1:best+1], states[i:best]) // the others stay as they came
		states[i], before = next, next.State
	}
}

// earlier reports whether of two states a comes before b, after the state before.
func earlier(before State, a, b *Order) bool {
	return cmp.Or(
		cmp.Compare(rank(!a.State.follows(before)), rank(!b.State.follows(before))),
		cmp.Compare(rank(a.State.Final()), rank(b.State.Final())),
		cmp.Compare(a.FilledQty, b.FilledQty),
		cmp.Compare(rank(a.State == before), rank(b.State == before)),
		cmp.Compare(a.State.stage(), b.State.stage()),
	) < 0
}

func rank(later bool) int {
	if later {
		return 1
	}
	return 0
}

// stages are the states in the order in which an order goes through them: what usually
// follows each, and what else can, where a report leaves something out or the exchange
// decides.
var stages = []struct {
	state State
	usual []State
	other []State
}{
	{"", []State{Received, AfterMarket}, nil},
	{AfterMarket, []State{AfterMarketModified, AfterMarketCancelled, Received, Validating, OpenPending, Open}, []State{Rejected}},
	{AfterMarketModified, []State{AfterMarketModified, AfterMarketCancelled, Received, Validating, OpenPending, Open}, []State{Rejected}},
	{Received, []State{Validating}, []State{OpenPending, Rejected}},
	{Validating, []State{OpenPending, Rejected}, nil},
	{OpenPending, []State{Open, TriggerPending, Rejected}, []State{Complete, Cancelled}},
	{TriggerPending, []State{Open, ModifyValidating, CancelPending}, []State{Complete, Cancelled, Rejected, ModifyPending}},
	{Open, []State{Open, Complete, ModifyValidating, CancelPending}, []State{Cancelled, Rejected, ModifyPending}},
	{ModifyValidating, []State{ModifyPending, NotModified}, []State{Modified}},
	{ModifyPending, []State{Modified, NotModified}, nil},
	{Modified, []State{Open, TriggerPending}, []State{Complete, Cancelled}},
	{NotModified, []State{Open, TriggerPending}, []State{Complete, Cancelled}},
	{CancelPending, []State{Cancelled, NotCancelled}, []State{Complete}},
	{NotCancelled, []State{Open, TriggerPending}, []State{Complete, Cancelled}},
}

// stage returns where in the life of an order a state is.
func (s State) stage() int {
	for i := range stages {
		if stages[i].state == s {
			return i
		}
	}
	return len(stages)
}

// follows reports whether an order can go from before to s.
func (s State) follows(before State) bool {
	if i := before.stage(); i < len(stages) {
		return slices.Contains(stages[i].usual, s) || slices.Contains(stages[i].other, s)
	}
	return false
}

// Follows reports whether an order usually is in state o right after another one, so that
// nothing seems to be missing in between: a live feed can lose frames. The zero Order is
// before the first one. What fills is open, and what changes says so.
func (o Order) Follows(before Order) bool {
	if i := before.State.stage(); i == len(stages) || !slices.Contains(stages[i].usual, o.State) {
		return false
	}
	if before.State != Open {
		return o.FilledQty <= before.FilledQty
	}
	return (o.Quantity == before.Quantity || o.Quantity == 0 || before.Quantity == 0) &&
		(o.Price == before.Price || !o.Price.Known() || !before.Price.Known()) &&
		(o.Reason == before.Reason || o.Reason == "" || o.State != Open)
}
