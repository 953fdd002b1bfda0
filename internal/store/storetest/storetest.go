// Package storetest is the conformance suite of the stores. [Run] holds a store
// to every promise of package store and of the ports in it, concurrency included;
// [Processes] does so over several handles and processes on one database.
//
// A store passes it from a test of its own:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) store.Store { … })
//	}
package storetest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/store"
)

// A test is one promise and what shows that a store keeps it.
type test struct {
	name string
	run  func(t *testing.T, s store.Store)
}

// Run holds a store to its promises. Each call of open gives an empty store, of
// which no test before holds anything any more.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	groups := []struct {
		name  string // of the ports
		tests [][]test
	}{
		{"Directory and Operations", [][]test{accountTests, consumerTests, changeTests, importTests}},
		{"Keys", [][]test{keyTests}},
		{"Trail", [][]test{eventTests}},
		{"Sessions", [][]test{viewTests, codeTests, claimTests, redeemTests, completeTests, endTests, revocationTests}},
		{"Allowances", [][]test{lockTests, allowanceTests}},
		{"Jobs", [][]test{jobTests}},
		{"Once", [][]test{onceTests}},
		{"all ports", [][]test{clockTests, contextTests, concurrencyTests}},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, test := range slices.Concat(g.tests...) {
				t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
			}
		})
	}
}

// start is when every test begins. Stores keep times to the millisecond.
var start = time.Date(2026, time.March, 2, 9, 15, 0, 123_000_000, time.UTC)

// at returns a time after start.
func at(d time.Duration) time.Time { return start.Add(d) }

// crumb is what a store may drop of a time.
const crumb = 456_789 * time.Nanosecond

const (
	lease     = 20 * time.Second
	repeatFor = time.Minute
	maxTries  = 3
	perHour   = 3
)

// newAccount returns the n-th account, with every field set.
func newAccount(n int) login.Account {
	return login.Account{
		ID:           fmt.Sprintf("b7a1c0de-0000-4000-8000-%012d", n),
		UCC:          fmt.Sprintf("UCC%03d", n),
		UserID:       fmt.Sprintf("user.%03d@home", n),
		Mobile:       fmt.Sprintf("+9199999%05d", n),
		PANIndex:     []byte(fmt.Sprintf("\x00\xff index %03d", n)), // not text: a keyed hash is any bytes
		PAN:          []byte(fmt.Sprintf("\x00\xfe sealed %03d", n)),
		Reach:        login.Reach{Email: fmt.Sprintf("user.%03d@example.com", n), Couriers: []string{"sms", "mail"}},
		GreetingName: fmt.Sprintf("O'Näme \"%d\"; --\n😀", n),
		PasswordHash: fmt.Sprintf("$argon2id$v=19$m=19456,t=2,p=1$password%03d", n),
		MPINHash:     fmt.Sprintf("$argon2id$v=19$m=19456,t=2,p=1$mpin%03d", n),
		TOTPSeed:     []byte(fmt.Sprintf("\x00\xfd seed %03d", n)),
		Caches:       map[string]int64{"lastUpdatedTS": 1_772_442_000, "watchlist": 1_772_442_001 + int64(n), "ø": 1 << 60},
		Disabled:     true,
		Version:      int64(n) + 1,
		Created:      at(time.Duration(n)*time.Second + crumb),
	}
}

func byID(n int) login.Identifier { return named(login.ByID, newAccount(n).ID) }

func named(kind login.IdentifierKind, value string) login.Identifier {
	return login.Identifier{Kind: kind, Value: credential.Secret(value)}
}

// consumerOf is what sessions name of a consumer.
func consumerOf(key string) login.Consumer {
	return login.Consumer{Key: key, Incarnation: "incarnation of " + key}
}

// newConsumer returns a consumer with every field set.
func newConsumer(key string) login.Consumer {
	allow, _ := login.ParseNetworks("203.0.113.7 2001:db8::/48")
	return login.Consumer{
		Key: key, Incarnation: consumerOf(key).Incarnation, Name: "Name of " + key, SecretHash: []byte("\x00\xff" + key), Rate: 7, Created: at(crumb),
		OldSecretHash: []byte("\x00\xfe" + key), OldSecretUntil: at(time.Hour + crumb), Allow: allow,
	}
}

// newEvent returns an event with every field set but Seq. Its name is unique to
// it within a test.
func newEvent(name, account string) login.Event {
	return login.Event{
		Time: at(crumb), Action: "second factor", Outcome: "wrong code", Account: account, UCC: uccOf(account),
		Factor: login.OTP, Consumer: "consumer-1", SID: "sid of " + name, Address: "2001:db8::1", RequestID: name, By: "by " + name,
	}
}

// uccOf is the UCC of an account in its events.
func uccOf(account string) string {
	if account == "" {
		return ""
	}
	return "UCC of " + account
}

// newView returns an open view session as the service stores it, without a code.
func newView(sid, account string) login.Session {
	return login.Session{
		SID: sid, RID: "rid-of-" + sid, Kind: login.View, Account: account, UCC: "UCC-of-" + account, Consumer: "consumer-1", Incarnation: consumerOf("consumer-1").Incarnation,
		First: login.Password, ViewID: "view-id-of-" + sid, KeyID: "key-1", Issued: at(0), Expires: at(time.Hour),
	}
}

// newTrade returns the trade session that a view session becomes at a time.
func newTrade(v login.Session, now time.Time) login.Session {
	return login.Session{
		SID: v.SID, RID: "trade-rid-of-" + v.SID, Kind: login.Trade, Account: v.Account, UCC: v.UCC, Consumer: v.Consumer, Incarnation: v.Incarnation,
		First: v.First, ViewID: v.ViewID, TradeID: "trade-id-of-" + v.SID, KeyID: "key-2", Home: "server1",
		Issued: now, Expires: now.Add(time.Hour), Repeat: []byte("repeat of " + v.SID),
	}
}

// endAll ends all sessions of an account, as an operator does.
func endAll(ctx context.Context, s store.Store, account string) error {
	return s.Revoke(ctx, account, "", newEvent("revoked", account))
}

// completed returns a trade session as Complete stores it.
func completed(x login.Session) login.Session {
	x.Completed = x.Issued
	return x
}

// newClaim returns a claim of a view session that is good in itself.
func newClaim(v login.Session, id string, now time.Time) login.Claim {
	return login.Claim{
		SID: v.SID, Account: v.Account, Consumer: v.Consumer, Incarnation: v.Incarnation, ViewID: v.ViewID, ID: id,
		Now: now, Lease: lease, MaxTries: maxTries, RepeatFor: repeatFor,
	}
}

// newCode returns the code that follows the first sends codes of a session.
func newCode(sid string, sends int, now time.Time) login.NewOTP {
	return login.NewOTP{
		SID: sid, Sends: sends, Hash: []byte(fmt.Sprintf("\x00\xffcode %d of %s", sends+1, sid)),
		Expires: now.Add(5 * time.Minute), Now: now, PerHour: perHour,
	}
}

// open stores a view session and returns it.
func open(t *testing.T, s store.Store, sid, account string) login.Session {
	t.Helper()
	v := newView(sid, account)
	good(t, s.OpenView(t.Context(), v, 0, "try", newEvent("opened "+sid, account)))
	return v
}

// trade stores a view session, completes it at start and returns the record.
func trade(t *testing.T, s store.Store, sid, account string) login.Session {
	t.Helper()
	v := open(t, s, sid, account)
	claim(t, s, newClaim(v, "claim of "+sid, at(0)))
	x := newTrade(v, at(0))
	good(t, s.Complete(t.Context(), "claim of "+sid, x, newEvent("completed "+sid, account)))
	return completed(x)
}

// withConsumer adds the consumer that newView's sessions are opened through, if it is
// not there.
func withConsumer(t *testing.T, s store.Store) {
	t.Helper()
	if err := s.AddConsumer(t.Context(), newConsumer("consumer-1"), newEvent("added consumer-1", "")); !errors.Is(err, login.ErrExists) {
		good(t, err)
	}
}

// claim takes a claim that must be given. Its consumer is there from then on: nothing is
// completed for one that is not.
func claim(t *testing.T, s store.Store, c login.Claim) login.Session {
	t.Helper()
	withConsumer(t, s)
	x, _, err := s.Claim(t.Context(), c)
	if err != nil {
		t.Fatalf("claim %s: %v", c.ID, err)
	}
	return x
}

// stored returns the stored session of a sid.
func stored(t *testing.T, s store.Store, sid string) login.Session {
	t.Helper()
	x, err := s.Session(t.Context(), sid)
	if err != nil {
		t.Fatalf("session %s: %v", sid, err)
	}
	return x
}

// good ends the test if err is not nil.
func good(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("got error %q, want none", err)
	}
}

// refused reports an error that is not the wanted one.
func refused(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %q", err, want)
	}
}

// same reports what differs between two values. Empty and nil are the same, and
// so are times within the same millisecond.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateApproxTime(time.Millisecond-1)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// events returns the whole audit trail, or one account's.
func events(t *testing.T, s store.Store, account string) []login.Event {
	t.Helper()
	q := login.EventQuery{N: 10_000}
	if account != "" {
		q.UCC = uccOf(account)
	}
	all, err := s.Events(t.Context(), q)
	good(t, err)
	return all
}

// eventNames returns the names of an account's events, in order.
func eventNames(t *testing.T, s store.Store, account string) []string {
	t.Helper()
	var names []string
	for _, e := range events(t, s, account) {
		names = append(names, e.RequestID)
	}
	return names
}

// contents is all that can be read of a store.
type contents struct {
	Accounts  []login.Account
	Consumers []login.Consumer
	Keys      []login.SigningKey
	Events    []login.Event
	Sessions  map[string]login.Session
	Queues    map[login.JobKind]int
	Once      []string
}

// read returns what a store holds; of its sessions those whose sids are given.
func read(t *testing.T, s store.Store, sids ...string) contents {
	t.Helper()
	var c contents
	var err error
	c.Accounts, err = s.ListAccounts(t.Context(), "", 1000)
	good(t, err)
	c.Consumers, err = s.ListConsumers(t.Context(), "", 1000)
	good(t, err)
	c.Keys, err = s.SigningKeys(t.Context())
	good(t, err)
	c.Events = events(t, s, "")
	c.Once, err = s.Names(t.Context(), "")
	good(t, err)
	c.Queues = map[login.JobKind]int{}
	for _, kind := range []login.JobKind{login.JobCode, login.JobClose} {
		q, err := s.Jobs(t.Context(), kind)
		good(t, err)
		c.Queues[kind] = q.Length
	}
	c.Sessions = map[string]login.Session{}
	for _, sid := range sids {
		switch x, err := s.Session(t.Context(), sid); {
		case err == nil:
			c.Sessions[sid] = x
		case !errors.Is(err, login.ErrNotFound):
			t.Fatalf("session %s: %v", sid, err)
		}
	}
	return c
}

// unchanged runs f and reports what it changed in the store.
func unchanged(t *testing.T, s store.Store, sids []string, f func()) {
	t.Helper()
	before := read(t, s, sids...)
	f()
	same(t, "the store has changed", read(t, s, sids...), before)
}

// full ends the test if a field of a record is zero, but for those excepted: a
// field that is new must get a value here, or nobody sees whether it is stored.
func full(t *testing.T, record any, except ...string) {
	t.Helper()
	v := reflect.ValueOf(record)
fields:
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		for _, e := range except {
			if e == name {
				continue fields
			}
		}
		if v.Field(i).IsZero() {
			t.Fatalf("%s.%s has no value in this test", v.Type(), name)
		}
	}
}

// changed fails unless every field of a record differs from before, but for some: a new
// field must be changed in the test, which then notices if a store does not save it.
func changed[R any](t *testing.T, before, after R, except ...string) {
	t.Helper()
	was, is := reflect.ValueOf(before), reflect.ValueOf(after)
	for i := range was.NumField() {
		name := was.Type().Field(i).Name
		if !slices.Contains(except, name) && reflect.DeepEqual(was.Field(i).Interface(), is.Field(i).Interface()) {
			t.Fatalf("%s.%s is not changed in this test", was.Type(), name)
		}
	}
}

// together runs f n times at once and returns what each run gave.
func together(n int, f func(i int) error) []error {
	errs := make([]error, n)
	ready := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-ready
			errs[i] = f(i)
		})
	}
	close(ready)
	wg.Wait()
	return errs
}

// outcomes counts errors: nil as "ok", those of package login and of contexts by
// their name. Any other error ends the test.
func outcomes(t *testing.T, errs []error) map[string]int {
	t.Helper()
	count := map[string]int{}
	for _, err := range errs {
		name := errorName(err)
		if name == "" {
			t.Fatalf("unexpected error: %v", err)
		}
		count[name]++
	}
	return count
}

// errorName returns a short name of an error that the ports promise, "ok" for
// none, "" for any other.
func errorName(err error) string {
	if err == nil {
		return "ok"
	}
	for _, e := range []error{
		login.ErrNotFound, login.ErrExists, login.ErrLocked, login.ErrStepUsed, login.ErrClaimed, login.ErrTriesUsed, login.ErrClaimLost,
		login.ErrTooMany, context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, e) {
			return e.Error()
		}
	}
	return ""
}

// rounds is how often a race is run again.
func rounds(n int) int {
	if testing.Short() {
		return 1
	}
	return n
}
