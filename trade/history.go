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

// stages are the states in the order in which an order goes through them, and what can
// follow each.
var stages = []struct {
	state State
	next  []State
}{
	{"", []State{Received, AfterMarket}},
	{AfterMarket, []State{AfterMarketModified, AfterMarketCancelled, Received, Validating, OpenPending, Open, Rejected}},
	{AfterMarketModified, []State{AfterMarketModified, AfterMarketCancelled, Received, Validating, OpenPending, Open, Rejected}},
	{Received, []State{Validating, OpenPending, Rejected}},
	{Validating, []State{OpenPending, Rejected}},
	{OpenPending, []State{Open, TriggerPending, Complete, Cancelled, Rejected}},
	{TriggerPending, []State{Open, Complete, Cancelled, Rejected, ModifyValidating, ModifyPending, CancelPending}},
	{Open, []State{Open, Complete, Cancelled, Rejected, ModifyValidating, ModifyPending, CancelPending}},
	{ModifyValidating, []State{ModifyPending, Modified, NotModified}},
	{ModifyPending, []State{Modified, NotModified}},
	{Modified, []State{Open, TriggerPending, Complete, Cancelled}},
	{NotModified, []State{Open, TriggerPending, Complete, Cancelled}},
	{CancelPending, []State{Cancelled, NotCancelled, Complete}},
	{NotCancelled, []State{Open, TriggerPending, Complete, Cancelled}},
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
		return slices.Contains(stages[i].next, s)
	}
	return false
}
