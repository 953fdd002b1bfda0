package login

import (
	"context"
	"time"

	"neoapi/internal/limit"
)

// The ports to the store are divided by caller; package store embeds them all in one
// interface, its contract. Every method honours its context, is safe for concurrent
// use, and is atomic, including its event.

// Directory looks up accounts and consumers for requests and operators.
type Directory interface {
	// Account returns the account that an identifier names, or ErrNotFound.
	Account(ctx context.Context, id Identifier) (Account, error)
	// SampleAccounts returns up to n accounts drawn at random, some perhaps more than
	// once; at least one if there are any.
	SampleAccounts(ctx context.Context, n int) ([]Account, error)
	// ListAccounts returns up to n accounts in the order of their UCC, after a UCC.
	ListAccounts(ctx context.Context, after string, n int) ([]Account, error)
	// SetHash replaces one stored hash if it is still old; otherwise it does nothing.
	SetHash(ctx context.Context, account string, f Factor, old, new string) error
	// Consumer returns a consumer by its key, or ErrNotFound.
	Consumer(ctx context.Context, key string) (Consumer, error)
	// ListConsumers returns up to n consumers in the order of their keys, after a key.
	ListConsumers(ctx context.Context, after string, n int) ([]Consumer, error)
}

// Operations are operators' changes of accounts and consumers. The service's own
// operations do not call it.
type Operations interface {
	// AddAccount stores a new account with its event. If its UCC, user id, mobile
	// number or PAN is taken it stores nothing and returns the ExistsError of that field.
	AddAccount(ctx context.Context, a Account, e Event) error
	// ChangeAccount loads an account, calls f to change its hashes, its TOTP seed or
	// Disabled, and saves these with the event; nothing else is saved. If f reports that
	// the account's sessions end, they end in the same transaction, as by Revoke. f may
	// be called more than once; if it returns an error nothing is stored. ErrNotFound if
	// there is no such account.
	ChangeAccount(ctx context.Context, account string, e Event, f func(a *Account) (ends bool, err error)) error
	// SetReach changes where and how an account's codes go, and stores the event, or
	// returns ErrNotFound.
	SetReach(ctx context.Context, account string, r Reach, e Event) error
	// SetCaches sets when data sets of an account last changed, leaves the others
	// unchanged, and stores the event, or returns ErrNotFound.
	SetCaches(ctx context.Context, account string, caches map[string]int64, e Event) error
	// RemoveAccount deletes an account and its sessions, as Revoke does, and stores the
	// event, or returns ErrNotFound. The account's counters stay, so that a used TOTP
	// step does not work again.
	RemoveAccount(ctx context.Context, account string, e Event) error
	// EraseAccount is RemoveAccount that also deletes the account's counters and the
	// codes still to be sent to it.
	EraseAccount(ctx context.Context, account string, e Event) error
	// ForgetEvents processes up to n events after a number: in those of a UCC it
	// replaces the UCC by a pseudonym and removes account, address and request id. It
	// returns the number of the last one processed, 0 if there was none, and how many it
	// changed.
	ForgetEvents(ctx context.Context, ucc, pseudonym string, after int64, n int) (last int64, changed int, err error)
	// Import returns the progress of the import of a file; the zero value if it has not
	// begun.
	Import(ctx context.Context, file string) (Import, error)
	// AddAccounts stores the accounts of one step of an import whose progress is from,
	// in one transaction. done receives for each account nil if it can be stored, or the
	// ExistsError of the field that is taken, with the account that has the same UCC; it
	// returns the progress after this step, and its event. It may be called more than
	// once. ErrClaimed if the progress is not from, because another process has
	// continued the import.
	AddAccounts(ctx context.Context, from Import, all []Account, done func(taken []error) (Import, Event, error)) error
	// AddConsumer stores a new consumer with its event, or returns the ExistsError of its key.
	AddConsumer(ctx context.Context, c Consumer, e Event) error
	// ChangeConsumer loads a consumer, calls f to change its rate, its secrets or its
	// networks, and saves these with the event; nothing else is saved. f may be called
	// more than once; if it returns an error nothing is stored. ErrNotFound if there is
	// no such consumer.
	ChangeConsumer(ctx context.Context, key string, e Event, f func(c *Consumer) error) error
	// RemoveConsumer deletes a consumer and stores the event, or returns ErrNotFound. It
	// stores a closing for each of the consumer's sessions whose end must be reported to
	// the OMS.
	RemoveConsumer(ctx context.Context, key string, e Event) error
}

// Keys are the signing keys.
type Keys interface {
	// SigningKeys returns the signing keys in the order of their time to sign; of two
	// with the same time, the one added first comes first.
	SigningKeys(ctx context.Context) ([]SigningKey, error)
	// AddFirstSigningKey stores k if there is no signing key at all; otherwise it does
	// nothing. If many processes start at once, one key remains.
	AddFirstSigningKey(ctx context.Context, k SigningKey) error
	// AddSigningKey stores a further key with its event.
	AddSigningKey(ctx context.Context, k SigningKey, e Event) error
	// RemoveSigningKey deletes a key and stores the event, or returns ErrNotFound. A key
	// that signs at e.Time is not deleted: ErrSigns. Concurrent calls never remove the
	// last key that signs.
	RemoveSigningKey(ctx context.Context, id string, e Event) error
	// KeyInUse reports whether a session that is unexpired at now has a token signed by
	// a key. It may read all sessions, so do not call it while a request waits.
	KeyInUse(ctx context.Context, key string, now time.Time) (bool, error)
}

// Trail is the audit trail. The other ports store events together with their changes;
// Record is for events without another change.
type Trail interface {
	// Record stores an event.
	Record(ctx context.Context, e Event) error
	// LastEvent returns the time of the event with the highest number, zero if there is
	// none.
	LastEvent(ctx context.Context) (time.Time, error)
	// Events returns the events of a query, in the order of their numbers. While
	// several write, an event can appear moments after one with a higher number.
	Events(ctx context.Context, q EventQuery) ([]Event, error)
}

// Sessions are the view and trade sessions with the state of their second factor.
// Every method touches the records of one sid or one account only, except Revocations,
// and Claim and Complete, which read the consumer. Each is linearizable.
type Sessions interface {
	// OpenView stores a view session, ends the try and forgets the failures of its
	// first factor. A TOTP step above 0 is marked as used by the account; if that step
	// or a later one was used before, nothing is stored and ErrStepUsed is returned.
	OpenView(ctx context.Context, v Session, totpStep int64, try string, e Event) error
	// TryView is Try and, if that is not refused, OpenView, in one transaction, for a
	// factor that is judged before it is counted because that takes no time. If the step
	// was used before, the try stays open. version is the account's, -1 if there is no such
	// account, read once an operator's change can no longer miss the session.
	TryView(ctx context.Context, t Try, v Session, totpStep int64, e Event) (version int64, err error)
	// Session returns the session of a sid, whatever its state, or ErrNotFound.
	Session(ctx context.Context, sid string) (Session, error)
	// SessionOf returns the session of an account whose current token has an id, or
	// ErrNotFound.
	SessionOf(ctx context.Context, account, tokenID string) (Session, error)
	// PendingView returns the view session that an OTP request means when it names
	// only an account: of the account's open views of that incarnation of the consumer,
	// unexpired at now, the newest without a live code that was opened after fresh, or
	// else the newest. ErrNotFound if there is none.
	PendingView(ctx context.Context, account string, consumer Consumer, fresh, now time.Time) (Session, error)
	// SetOTP puts a code into an open view session, in place of any other, counts
	// it for the session and the account, and gives the session fresh tries. It
	// does so only if the session's count of sends still is o.Sends (ErrClaimed
	// if not) and the account had fewer than o.PerHour codes in the hour before
	// o.Now (ErrTooMany, with the time until one more is allowed). ErrNotFound if
	// the session is not open. With the code its job is stored, if it has one.
	SetOTP(ctx context.Context, o NewOTP) (wait time.Duration, err error)
	// DropOTP takes back a code that could not be delivered, if it is still the current
	// one: session and account, including tries, are as if it had not been requested,
	// except that a code it replaced is gone. The session is Undelivered until the next
	// code.
	DropOTP(ctx context.Context, sid string, otp []byte) error
	// Claim counts a try of an open view session and of its account's second factor,
	// and takes the session's claim, before any code is looked at (security.md T2). It returns
	// the session as it is then, and its account, which is empty if it is not there.
	//   - ErrNotFound: no such session of this account, incarnation of the consumer and
	//     token, or expired
	//   - ErrClaimed: another request holds the claim and its lease has not run out, or
	//     so many tries of the account are open that they could pass the lock together
	//   - LockedError: the account's second factor is locked
	//   - ErrTriesUsed: c.MaxTries have been counted since the last code
	// If the session was completed within c.RepeatFor before c.Now with the same
	// c.Repeat, the completed session is returned instead, without a claim: its
	// Kind is Trade. A wrong c.Repeat within that time counts a try, and from
	// c.MaxTries on even the right one gives ErrNotFound, as all other claims of a
	// completed session do.
	//
	// If c.Redeem has the session's one-time code, the same transaction goes on as
	// Complete does with c.Redeem's session and event, and the trade session is returned:
	// not for an account that is disabled, not there, or not the one that c.Redeem names.
	Claim(ctx context.Context, c Claim) (Session, Account, error)
	// Fail gives the claim back; its try stays counted, and the account's try fails at
	// e.Time, with that of the MPIN if one is open under the claim's name.
	// ErrClaimLost if the claim is not held any more; the account's tries end and the
	// event is stored all the same.
	Fail(ctx context.Context, sid, claim string, e Event) error
	// Refund gives the claim back and takes all its tries back as well. ErrClaimLost
	// if the claim is not held any more; the account's tries end and the event is
	// stored all the same.
	Refund(ctx context.Context, sid, claim string, e Event) error
	// Complete turns the view session of t.SID into the trade session t, if the
	// claim is still held: the view token and the code are gone, t and the event are
	// stored, the failures of the account's second factor forgotten, and those of the
	// MPIN if a try of it is open under the claim's name. ErrClaimLost if not, and
	// then nothing is stored.
	//
	// Whoever removes a consumer ends its sessions, and this one may come just after
	// (security.md S4): if t's consumer, of that incarnation, is not there any more, t ends
	// in the same transaction, as by Revoke, e is stored as [Event.Overtaken] and
	// ErrOvertaken returned. Of a removal and a Complete at once, one sees the other.
	Complete(ctx context.Context, claim string, t Session, e Event) error
	// End removes a session whose current token still has the id tokenID, and stores
	// the event, and the session's closing if the OMS waits to learn of its end.
	// ErrNotFound if there is none.
	End(ctx context.Context, sid, tokenID string, e Event) error
	// Revoke removes a session of an account, or all of them if sid is "", claimed ones
	// included, and stores the event, and the closings of those whose end the OMS waits
	// to be told of. What is counted for the account stays. ErrNotFound if the account
	// has no such session.
	Revoke(ctx context.Context, account, sid string, e Event) error
	// SessionsOf returns the sessions of an account that are unexpired at now, view and
	// trade sessions, oldest first.
	SessionsOf(ctx context.Context, account string, now time.Time) ([]Session, error)
	// Revocations returns up to n trade tokens whose sessions were removed before the
	// tokens expire, those that expire after since, in the order in which they were
	// removed: numbered after a number, each removal with a higher one than all that
	// could be read before it. Whatever removes a trade session, or its consumer,
	// puts its token there. last is the highest number that is there.
	Revocations(ctx context.Context, after int64, since time.Time, n int) (all []Revocation, last int64, err error)
}

// Allowances are counts with limits: requests of a consumer or an address, and tries
// and codes of an account. Each method is linearizable.
type Allowances interface {
	// Take takes n from the allowance that a key names, by the rule of package limit,
	// and returns how long to wait: 0 if they were taken. n = 0 takes nothing and
	// reports how long one would have to wait; n < 0 gives back.
	Take(ctx context.Context, key string, r limit.Rate, n int, now time.Time) (wait time.Duration, err error)
	// Charge takes one from an allowance under the name c.ID, as Take does with n = 1, so
	// that GiveBack can undo it even if the caller does not know whether it was taken. A
	// name that was given back before, because this call is late, gives ErrClaimLost.
	Charge(ctx context.Context, c Charge) (wait time.Duration, err error)
	// GiveBack gives back what Charge took under the name c.ID, once however often it is
	// called. It has no effect [ChargeKept] after c.Now.
	GiveBack(ctx context.Context, c Charge, now time.Time) error
	// State returns the counters of an account; an empty state if there are none.
	State(ctx context.Context, account string) (AccountState, error)
	// Try counts a try of an account's first factor before it is checked (security.md T1,
	// T2). It is open until EndTry, OpenView or its lease ends it, which counts it as failed.
	// LockedError if the factor is locked; ErrClaimed if so many tries are open that they
	// could exceed the lock together, in which case it does not count.
	Try(ctx context.Context, t Try) error
	// EndTry ends a try, if it is open: either it failed at e.Time, or it does not
	// count. The event is stored in any case.
	EndTry(ctx context.Context, t Try, failed bool, e Event) error
	// Unlock forgets all failures of an account and stores the event.
	Unlock(ctx context.Context, account string, e Event) error
}

// Jobs is work outside requests: messages to send later, scans of all sessions, and
// the check of the store's health.
type Jobs interface {
	// AddJob stores a job.
	AddJob(ctx context.Context, j Job) error
	// ClaimJobs returns up to c.N jobs of a kind that are due at c.Now, the oldest first,
	// and makes them due again at the end of the lease: until then no other process gets
	// them. A job that is due later than the end of a lease that begins now was claimed
	// before the clock was set back: it is due. Each job says whether it was interrupted:
	// claimed before, and neither ended nor put off. A job may be what ends the
	// processes, so one that is interrupted repeatedly is due later each time: one lease
	// later the second time, then three, seven and fifteen leases ([MostDoublings]), but
	// no later than it expires.
	ClaimJobs(ctx context.Context, c JobClaim) ([]Job, error)
	// PutOffJob gives a claimed job back, to be done at due or later. ErrClaimLost if
	// the claim is not held any more.
	PutOffJob(ctx context.Context, id, claim string, due time.Time) error
	// EndJob removes a claimed job and stores the event, if there is one. A code that
	// was not delivered is taken back with it, as DropOTP does. ErrClaimLost if the
	// claim is not held any more; then nothing changes.
	EndJob(ctx context.Context, j Job, undelivered []byte, e *Event) error
	// Jobs reports how many jobs of a kind there are.
	Jobs(ctx context.Context, kind JobKind) (Queue, error)
	// Sweep removes up to n sessions that have expired at now, and allowances that are
	// full again, and returns how many it removed. It also removes revocations of tokens
	// that expired [RevocationKept] before now. Do not call it while a request waits.
	Sweep(ctx context.Context, now time.Time, n int) (int, error)
	// DropExpired forgets the codes of open logins that have expired at now: called
	// when the clock is set back, so that none of them works again.
	DropExpired(ctx context.Context, now time.Time) error
	// Rehearse does to the store what a login does, with records of nobody, and takes it
	// back, except for one small record in its own row that Sweep removes. It returns why
	// a login would fail. It does not wait long, and its cost does not depend on how much
	// is stored.
	Rehearse(ctx context.Context, now time.Time) error
	// Count returns how many view and how many trade sessions are unexpired at now. It
	// may read all of them, and is meant for metrics.
	Count(ctx context.Context, now time.Time) (views, trades int, err error)
}

// OMS is the order management system. It gives each session a home server.
type OMS interface {
	// Open opens a trade session with the OMS and returns its home server, which is
	// never empty. It is idempotent by SID. It returns an error wrapping ErrRefused
	// if the OMS says no, the context's error if it does not answer in time.
	Open(ctx context.Context, s OMSSession) (home string, err error)
	// Close ends the session with the OMS. It is idempotent by sid.
	Close(ctx context.Context, sid string) error
	// Home returns the home server that a UCC would get now, for the view session's
	// answer. It does not wait for anything.
	Home(ucc string) string
	// Here reports whether Open asks nobody: then a session's home server is Home's, and
	// Open need not be called.
	Here() bool
	// Remote reports whether the OMS must be told of the end of each session that it
	// has opened.
	Remote() bool
}

// OMSSession is what the OMS learns of a session.
type OMSSession struct {
	SID      string
	UCC      string
	Consumer string
	Expires  time.Time
}

// Courier carries a one-time code to a person.
type Courier interface {
	// Send delivers a code, or returns why it could not, in words without the code. A
	// message that is sent again has the same ID.
	Send(ctx context.Context, m Message) error
	// Ready returns why no code can be sent to an account now, or nil. It does not wait
	// for anything.
	Ready(a Account) error
}
