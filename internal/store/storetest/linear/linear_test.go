package linear

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"neoapi/internal/login"
)

// The checker must be able to fail: each of these histories is one that a store
// with a certain fault gives.
func TestCheck_tellsGoodHistoriesFromBad(t *testing.T) {
	claim := func(id string) input { return input{method: "Claim", id: id, now: time.Second} }
	held := func(tries int, id string) output {
		return output{err: "ok", seen: seen{kind: login.View, tries: tries, claim: id, until: time.Second + lease}}
	}
	shown := func(x seen) output { return output{err: "ok", seen: x} }
	ok := output{err: "ok"}
	opened := func(tries int) seen { return seen{kind: login.View, tries: tries} }
	refusal := func(err error) output { return output{err: errorName(err)} }
	complete := input{method: "Complete", id: "e", claim: "a", token: "token", now: time.Second}
	done := seen{kind: login.Trade, token: "token", repeat: "a", completed: time.Second}

	type step struct {
		in         input
		out        output
		call, back int64
	}
	for _, c := range []struct {
		name  string
		steps []step
		want  bool
	}{
		{"one after another", []step{
			{claim("a"), held(1, "a"), 1, 2},
			{input{method: "Fail", claim: "a"}, ok, 3, 4},
			{claim("b"), held(2, "b"), 5, 6},
			{input{method: "Refund", claim: "b"}, ok, 7, 8},
			{input{method: "Session"}, shown(opened(1)), 9, 10},
		}, true},
		{"of two at once the later call is first", []step{
			{claim("a"), refusal(login.ErrClaimed), 1, 10}, {claim("b"), held(1, "b"), 2, 9},
		}, true},
		{"two claims are given at once", []step{
			{claim("a"), held(1, "a"), 1, 10}, {claim("b"), held(1, "b"), 2, 9},
		}, false},
		{"a claim is refused though nobody holds it", []step{{claim("a"), refusal(login.ErrClaimed), 1, 2}}, false},
		{"a try is not counted", []step{
			{claim("a"), held(1, "a"), 1, 2}, {input{method: "Fail", claim: "a"}, ok, 3, 4}, {claim("b"), held(1, "b"), 5, 6},
		}, false},
		{"a try is lost after it was seen", []step{
			{claim("a"), held(1, "a"), 1, 2}, {input{method: "Session"}, shown(opened(0)), 3, 4},
		}, false},
		{"a read goes back in time", []step{
			{claim("a"), held(1, "a"), 1, 10}, {input{method: "Session"}, held(1, "a"), 2, 3}, {input{method: "Session"}, shown(opened(0)), 4, 5},
		}, false},
		{"a refund gives back more than a try", []step{
			{claim("a"), held(1, "a"), 1, 2}, {input{method: "Fail", claim: "a"}, ok, 3, 4},
			{claim("b"), held(2, "b"), 5, 6}, {input{method: "Refund", claim: "b"}, ok, 7, 8},
			{input{method: "Session"}, shown(opened(0)), 9, 10},
		}, false},
		{"a session is completed twice", []step{
			{claim("a"), held(1, "a"), 1, 2}, {complete, ok, 3, 10}, {complete, ok, 4, 9},
		}, false},
		{"a completed session can be claimed", []step{
			{claim("a"), held(1, "a"), 1, 2}, {complete, ok, 3, 4}, {claim("b"), held(2, "b"), 5, 6},
		}, false},
		{"an ended session lives", []step{
			{claim("a"), held(1, "a"), 1, 2}, {complete, ok, 3, 4}, {input{method: "End", token: "token"}, ok, 5, 6},
			{input{method: "Session"}, shown(done), 7, 8},
		}, false},
	} {
		var history []porcupine.Operation
		for i, s := range c.steps {
			history = append(history, porcupine.Operation{ClientId: i, Input: s.in, Output: s.out, Call: s.call, Return: s.back})
		}
		if got := porcupine.CheckOperations(model(view("sid")), history); got != c.want {
			t.Errorf("%s: linearizable is %v, want %v", c.name, got, c.want)
		}
	}
}
