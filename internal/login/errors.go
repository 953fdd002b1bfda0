package login

import (
	"errors"
	"time"
)

// A Kind says why a request was refused. The HTTP layer gives each kind its
// status and code, in one place.
type Kind int

// The kinds of [Error].
const (
	KindInternal        Kind = iota // a fault of the service
	KindInput                       // the request is wrong: Field says where
	KindNoAccess                    // no access token
	KindBadAccess                   // an invalid or expired access token, or an unknown consumer
	KindAddress                     // the consumer may not send from this address
	KindClient                      // consumer key or secret refused (RFC 6749: invalid_client)
	KindMissing                     // the sid or the token is missing: Field names it, as the protocol does
	KindCredentials                 // password, MPIN, TOTP or OTP refused
	KindSession                     // the sid or its token is not valid, or no longer valid
	KindEnded                       // a trade session that was valid once and has ended
	KindTokenKind                   // a view token where a trade token belongs, or the reverse
	KindThrottled                   // too many requests of this consumer
	KindLocked                      // too many wrong tries
	KindTooSoon                     // this operation was asked for too often or too early
	KindOTPNotSent                  // no code could be delivered
	KindOMSDown                     // the OMS refused, or could not be reached
	KindOMSTimeout                  // the OMS did not answer in time
	KindUpstreamDown                // the trade API cannot be reached, and the call was not sent
	KindUpstreamTimeout             // the trade API did not answer in time, or not readably
	KindUnavailable                 // the store is down or slow, or the service is overloaded or stopping
	KindNotConfigured               // the operation needs something that is not configured
)

// An Error is a refusal. Detail is for the person at the other end: what
// happened and what to do, without any secret. Err is the cause, for the log.
type Error struct {
	Kind       Kind
	Field      string        // KindInput, KindMissing: the field
	Detail     string        // one sentence
	RetryAfter time.Duration // when another try can succeed; 0 if waiting does not help
	Err        error
}

// Error returns the refusal in one line, with its cause: for logs.
func (e *Error) Error() string {
	s := e.Detail
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// The errors that stores return, alone or wrapped. Anything else from a store
// means that the store is in trouble, and becomes KindUnavailable.
var (
	ErrNotFound  = errors.New("not found")
	ErrExists    = errors.New("already exists")          // as an ExistsError, which names the colliding field
	ErrLocked    = errors.New("locked")                  // as a LockedError, which says for how long
	ErrStepUsed  = errors.New("TOTP step already used")  // security.md O3
	ErrClaimed   = errors.New("claim is held")           // another try is being checked
	ErrTriesUsed = errors.New("tries are used up")       // security.md O6
	ErrClaimLost = errors.New("claim is not ours")       // the lease ran out, or the session was ended meanwhile
	ErrTooMany   = errors.New("too many one-time codes") // security.md O6, by the hour
	ErrSigns     = errors.New("this key signs")          // another one must sign before it is removed
	ErrOvertaken = errors.New("consumer was removed")    // a session that ended as it was completed
)

// A LockedError is an [ErrLocked] that says when another try is accepted.
type LockedError struct{ Wait time.Duration }

// Error returns how long the lock lasts.
func (e *LockedError) Error() string { return "locked for " + e.Wait.String() }

// Unwrap returns [ErrLocked].
func (e *LockedError) Unwrap() error { return ErrLocked }

// The errors that an OMS or a courier returns, alone or wrapped. An OMS that
// does not answer returns the context's error.
var (
	ErrRefused = errors.New("refused")
)

// An ExistsError is an [ErrExists] that names the colliding field: "UCC", "user id",
// "mobile number", "PAN", "id" or "consumer key".
type ExistsError struct {
	Field string
	There *Account // where accounts are added: the one with the same UCC, which may be of the same step; nil if there is none
}

// Error returns "UCC already exists" and the like.
func (e *ExistsError) Error() string { return e.Field + " " + ErrExists.Error() }

// Unwrap returns [ErrExists].
func (e *ExistsError) Unwrap() error { return ErrExists }

// Invalid returns the refusal of an input that does not have the form of its field.
func Invalid(field, detail string) *Error {
	return &Error{Kind: KindInput, Field: field, Detail: detail}
}

func missing(field string) *Error {
	return &Error{Kind: KindMissing, Field: field, Detail: "this header is required here"}
}

// wrongCredentials is the one answer to every refused first factor, whether or
// not the account exists (security.md P5).
func wrongCredentials() *Error {
	return &Error{Kind: KindCredentials, Detail: "the identifier or the secret is wrong"}
}

func badSession() *Error {
	return &Error{Kind: KindSession, Detail: "the session is unknown, ended or already used"}
}

// storeRetry is what callers are told to wait when the store does not answer.
const storeRetry = 2 * time.Second

// StoreFault returns the refusal, of KindUnavailable, that an unexpected error of a store
// becomes.
func StoreFault(err error) *Error {
	return &Error{Kind: KindUnavailable, Detail: "the service cannot reach its store", RetryAfter: storeRetry, Err: err}
}
