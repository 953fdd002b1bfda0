package linear

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"neoapi/internal/login"
)

// start is when a history begins. Stores keep times to the millisecond.
var start = time.Date(2026, time.March, 2, 9, 15, 0, 123_000_000, time.UTC)

func at(d time.Duration) time.Time { return start.Add(d) }

const (
	lease     = 20 * time.Second
	repeatFor = time.Minute
	maxTries  = 3
)

// view is the view session that a history is about. Its account is called as it is.
func view(sid string) login.Session {
	return login.Session{
		SID: sid, RID: "rid", Kind: login.View, Account: sid, UCC: sid, Consumer: "consumer", Incarnation: "incarnation",
		First: login.Password, ViewID: "view id", KeyID: "key", Issued: at(0), Expires: at(time.Hour),
	}
}

func event(name, account string) login.Event {
	return login.Event{Time: at(0), Action: "history", Outcome: "ok", Account: account, UCC: account, RequestID: name}
}

// An input is one call: of which method, and with which arguments.
type input struct {
	method string        // of a Handle
	id     string        // unique: the event's name, the code, or the new claim
	claim  string        // Fail, Refund, Complete
	token  string        // End; Complete: the trade token's id
	code   string        // DropOTP
	sends  int           // SetOTP
	repeat string        // Claim: the claim whose completion this repeats
	now    time.Duration // after start: Claim, Complete, Try
	failed bool          // EndTry
}

func (in input) String() string {
	return fmt.Sprintf("%s(%s claim=%s token=%s code=%s sends=%d repeat=%s now=%v)",
		in.method, in.id, in.claim, in.token, in.code, in.sends, in.repeat, in.now)
}

// What the methods take for an input.

func (in input) newOTP(v login.Session) login.NewOTP {
	return login.NewOTP{SID: v.SID, Sends: in.sends, Hash: []byte(in.id), Expires: at(time.Hour), Now: at(0), PerHour: clients*callsOfClient + 1}
}

func (in input) newClaim(v login.Session) login.Claim {
	return login.Claim{
		SID: v.SID, Account: v.Account, Consumer: v.Consumer, Incarnation: v.Incarnation, ViewID: v.ViewID, ID: in.id,
		Now: at(in.now), Lease: lease, MaxTries: maxTries, Repeat: []byte(in.repeat), RepeatFor: repeatFor,
	}
}

func (in input) trade(v login.Session) login.Session {
	v.RID, v.Kind, v.TradeID, v.Home, v.Repeat = "trade rid", login.Trade, in.token, "server1", []byte(in.claim)
	v.Issued, v.Expires = at(in.now), at(in.now+time.Hour)
	return v
}

func (in input) try(v login.Session) login.Try {
	return login.Try{Account: v.Account, Factor: login.OTP, ID: in.id, Now: at(in.now), Lease: lease}
}

// do makes the call. Its error is one that the ports do not promise.
func (in input) do(ctx context.Context, s Handle, v login.Session) (output, error) {
	e := event(in.id, v.Account)
	var x login.Session
	var a login.AccountState
	var err error
	switch in.method {
	case "Session":
		x, err = s.Session(ctx, v.SID)
	case "SetOTP":
		_, err = s.SetOTP(ctx, in.newOTP(v))
	case "DropOTP":
		err = s.DropOTP(ctx, v.SID, []byte(in.code))
	case "Claim":
		x, _, err = s.Claim(ctx, in.newClaim(v))
	case "Fail":
		err = s.Fail(ctx, v.SID, in.claim, e)
	case "Refund":
		err = s.Refund(ctx, v.SID, in.claim, e)
	case "Complete":
		err = s.Complete(ctx, in.claim, in.trade(v), e)
	case "End":
		err = s.End(ctx, v.SID, in.token, e)
	case "Revoke":
		err = s.Revoke(ctx, v.Account, "", e)
	case "Try":
		err = s.Try(ctx, in.try(v))
	case "EndTry":
		err = s.EndTry(ctx, login.Try{Account: v.Account, Factor: login.OTP, ID: in.claim}, in.failed, e)
	case "State":
		a, err = s.State(ctx, v.Account)
	}
	out := outputOf(x, a, err)
	if out.err == "" {
		return out, err
	}
	return out, nil
}

// An output is what a call gave: the name of its error, and from Session, Claim and
// State what they show.
type output struct {
	err string
	seen
	counted string
}

// seen is what a session's record shows. Everything else of it never changes.
type seen struct {
	kind      login.SessionKind // "" when the session has ended
	tries     int
	before    int // tries that the current code replaced
	sends     int
	code      string
	claim     string
	until     time.Duration
	token     string
	repeat    string
	completed time.Duration
}

func outputOf(x login.Session, a login.AccountState, err error) output {
	if err != nil {
		return output{err: errorName(err)}
	}
	return output{"ok", seenOf(x), countedOf(a)}
}

func seenOf(x login.Session) seen {
	return seen{
		kind: x.Kind, tries: x.Tries, before: x.TriesBefore, sends: x.Sends, code: string(x.OTP), claim: x.ClaimID, until: after(x.ClaimUntil),
		token: x.TradeID, repeat: string(x.Repeat), completed: after(x.Completed),
	}
}

// countedOf is what is counted for an account, as text.
func countedOf(a login.AccountState) string {
	var b strings.Builder
	for _, f := range slices.Sorted(maps.Keys(a.Failures)) {
		x := a.Failures[f]
		fmt.Fprintf(&b, "%s %d until %v", f, x.Count, after(x.Until))
		for _, id := range slices.Sorted(maps.Keys(x.Open)) {
			fmt.Fprintf(&b, " %s=%v", id, after(x.Open[id]))
		}
	}
	return b.String()
}

// after returns how long after start a time is, 0 for none.
func after(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return t.Sub(start)
}

// errorName returns a short name of an error that the ports promise here, "ok" for
// none, "" for any other.
func errorName(err error) string {
	if err == nil {
		return "ok"
	}
	for _, e := range promised {
		if errors.Is(err, e) {
			return e.Error()
		}
	}
	return ""
}

var promised = []error{
	login.ErrNotFound, login.ErrClaimed, login.ErrTriesUsed, login.ErrClaimLost, login.ErrTooMany, login.ErrLocked,
}

// A state is what is stored of a sid and its account.
type state struct {
	session login.Session // the zero Session when it has ended
	account login.AccountState
}

// model is a store in which one call comes after another. It keeps the rules of
// package login, which have tests of their own: what a history shows is that each
// call is atomic.
func model(v login.Session) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return state{session: v} },
		Step: func(s, in, out any) (bool, any) {
			want, next := s.(state).step(in.(input), v)
			return out.(output) == want, next
		},
		Equal: func(a, b any) bool {
			x, y := a.(state), b.(state)
			return seenOf(x.session) == seenOf(y.session) && countedOf(x.account) == countedOf(y.account)
		},
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%v -> %v", in, out) },
		DescribeState: func(s any) string {
			x := s.(state)
			return fmt.Sprintf("%+v %s", seenOf(x.session), countedOf(x.account))
		},
	}
}

// step returns what a call gives in a state, and the state after it.
func (s state) step(in input, v login.Session) (output, state) {
	x, a := s.session, s.account
	a.Sent, a.Failures = slices.Clone(a.Sent), maps.Clone(a.Failures) // the rules copy the rest
	refuse := func(err error) (output, state) { return outputOf(x, a, err), s }
	if x.Kind == "" {
		switch in.method {
		case "Session", "SetOTP", "Claim", "End", "Revoke":
			return refuse(login.ErrNotFound)
		case "Complete":
			return refuse(login.ErrClaimLost)
		}
	}
	out, err := output{err: "ok"}, error(nil)
	switch in.method {
	case "Session":
		return outputOf(x, login.AccountState{}, nil), s
	case "State":
		return outputOf(login.Session{}, a, nil), s
	case "SetOTP":
		if _, err = x.PutOTP(&a, in.newOTP(v)); err != nil {
			return refuse(err)
		}
	case "DropOTP":
		if !x.TakeBackOTP(&a, []byte(in.code)) {
			return out, s
		}
	case "Claim":
		changed, err := x.TakeClaim(&a, in.newClaim(v))
		if out = outputOf(x, login.AccountState{}, err); !changed {
			return out, s
		}
		return out, state{x, a}
	case "Fail", "Refund":
		err = x.LeaveClaim(in.claim, in.method == "Refund")
		a.LeaveClaim(in.claim, in.method == "Refund", at(0))
	case "Complete":
		if err = x.Become(&a, in.claim, in.trade(v)); err != nil {
			return refuse(err)
		}
	case "End":
		if x.Kind != login.Trade || x.TradeID != in.token {
			return refuse(login.ErrNotFound)
		}
		x = login.Session{}
	case "Revoke":
		x = login.Session{}
	case "Try":
		err = a.Try(in.try(v))
	case "EndTry":
		a.EndTry(login.OTP, in.claim, in.failed, at(0))
	}
	out.err = errorName(err)
	return out, state{x, a}
}
