package login

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/e164"
	"neoapi/internal/paste"
)

// A Factor is a kind of proof of identity.
type Factor string

// The factors. Password, MPIN and TOTP come first; OTP and MPIN come second.
const (
	Password Factor = "password"
	MPIN     Factor = "mpin"
	TOTP     Factor = "totp"
	OTP      Factor = "otp"
)

// MPINDigits is the length of an MPIN.
const MPINDigits = 6

// An IdentifierKind is the kind of an identifier, as the protocol names it.
type IdentifierKind string

// The kinds of identifier.
const (
	ByMobile IdentifierKind = "mobileNumber"
	ByPAN    IdentifierKind = "pan"
	ByUserID IdentifierKind = "userid"
	ByUCC    IdentifierKind = "ucc"
	ByID     IdentifierKind = "userId" // the account's UUID: the view token's sub
)

// An Identifier names one account. Create one with [ParseIdentifier], which gives
// every spelling of a name the same form (security.md T3). A PAN is replaced by its
// keyed hash as soon as the service looks it up.
type Identifier struct {
	Kind  IdentifierKind
	Value credential.Secret // the normal form; hidden in prints because it may be a PAN
}

var (
	panForm    = regexp.MustCompile(`^[A-Z]{5}[0-9]{4}[A-Z]$`)
	numberForm = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	indian     = regexp.MustCompile(`^\+91[6-9][0-9]{9}$`)
	nameForm   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)
	uccForm    = regexp.MustCompile(`^[A-Z0-9]{1,32}$`)
)

// ParseIdentifier checks an identifier and brings it to its normal form: a
// mobile number of ten digits or E.164 to E.164, a PAN to upper case, a UCC to
// upper case. The error is of KindInput and names the field.
func ParseIdentifier(kind IdentifierKind, value string) (Identifier, error) {
	bad := func(detail string) (Identifier, error) { return Identifier{}, Invalid(string(kind), detail) }
	// Upper case of some other letters is ASCII: such a name must not become another's.
	upper := value
	if !strings.ContainsFunc(value, func(r rune) bool { return r > '~' }) {
		upper = strings.ToUpper(value)
	}
	switch kind {
	case ByMobile:
		bare := credential.IsDigits(value, 10, 10)
		if bare {
			value = "+91" + value
		}
		if problem := mobileProblem(value, bare); problem != "" {
			return bad(problem)
		}
	case ByPAN:
		value = upper
		if !panForm.MatchString(value) {
			return bad("must be five letters, four digits and a letter, such as AVRFT7865T")
		}
	case ByUCC:
		value = upper
		if !uccForm.MatchString(value) {
			return bad("must be up to 32 letters and digits")
		}
	case ByUserID, ByID:
		if !nameForm.MatchString(value) {
			return bad("must be up to 64 letters, digits, dots, dashes, underscores or at signs")
		}
	default:
		return bad("is not an identifier that this service knows")
	}
	return Identifier{kind, credential.Secret(value)}, nil
}

// mobileProblem returns why a number is not a possible number in E.164, or "". bare
// means that it was given without a country code.
func mobileProblem(value string, bare bool) string {
	if !numberForm.MatchString(value) {
		if err := paste.Odd(value, "+0123456789"); err != nil {
			return err.Error() + ": it must be digits, or a plus and digits"
		}
		return "must be ten digits, or a plus, the country code and the number"
	}
	if strings.HasPrefix(value, "+91") {
		switch {
		case indian.MatchString(value):
			return ""
		case bare:
			return "is not an Indian mobile number (they begin with 6 to 9): for another country give a plus and its code"
		}
		return "must be an Indian mobile number: +91 and ten digits, the first of them 6 to 9"
	}
	if !e164.Possible(value) {
		return "is not a valid number of its country code"
	}
	return ""
}

// ParsePasted is [ParseIdentifier] for text from an operator or a file: blanks,
// hyphens and the like are ignored (package paste). Over the protocol an identifier
// must have its exact form.
func ParsePasted(kind IdentifierKind, value string) (Identifier, error) {
	var err error
	switch kind {
	case ByMobile:
		value, err = paste.Mobile(value)
	case ByPAN:
		value, err = paste.PAN(value)
	case ByUCC:
		value, err = paste.UCC(value)
	case ByUserID:
		value, err = paste.UserID(value)
	}
	if err != nil {
		return Identifier{}, Invalid(string(kind), err.Error())
	}
	return ParseIdentifier(kind, value)
}

// An Account is one client of the broker, as stored. Secrets are hashed or
// sealed: see the fields.
type Account struct {
	ID     string // UUID; the view token's sub
	UCC    string // unique client code; the trade token's sub
	UserID string
	Mobile string // E.164
	Reach
	PANIndex     []byte // keyed hash, to find the account by its PAN
	PAN          []byte // sealed
	GreetingName string
	PasswordHash string // PHC string, argon2id
	MPINHash     string // PHC string, argon2id over a keyed hash; "" without MPIN
	TOTPSeed     []byte // sealed; empty without TOTP
	Caches       map[string]int64
	Disabled     bool // locked by an operator
	Created      time.Time
	Version      int64 // raised by the store with each [Operations.ChangeAccount]
}

// An Import is the progress of the import of a file of accounts.
type Import struct {
	File     string // hash of its content
	Offset   int64  // bytes of it that are done
	Line     int64  // lines of it that are done
	Added    int64  // lines whose accounts exist: added, or there before
	Rejected int64  // lines
	Report   int64  // bytes written about rejected lines
}

// A Reach says where and how an account's codes are sent, besides to the mobile number.
type Reach struct {
	Email    string   // "" without
	Couriers []string // the couriers to try, in this order; none means all that can reach the account
}

// A Consumer is a registered application.
type Consumer struct {
	Key string
	// Incarnation is a random id assigned when the consumer is added, so that a consumer
	// removed and added again is a different one, whatever the clock said. Its sessions
	// and access tokens carry it.
	Incarnation string
	Name        string
	SecretHash  []byte // keyed hash
	Rate        int    // requests a second; 0: the service's rate, below 0: no limit
	Created     time.Time

	OldSecretHash  []byte    // of the secret before the last rotation
	OldSecretUntil time.Time // when that one ends
	Allow          Networks  // networks from which it may send; none: any
}

// A SigningKey is a key pair, sealed. Of the keys whose time to sign has come, the
// latest signs; the older ones still verify what they have signed.
type SigningKey struct {
	ID      string
	Sealed  []byte // PKCS #8
	Created time.Time
	Signs   time.Time // it is published from Created on, and signs from Signs on
}

// A SessionKind distinguishes view sessions from trade sessions.
type SessionKind string

// The kinds of session.
const (
	View  SessionKind = "view"
	Trade SessionKind = "trade"
)

// A Session is the record of one sid: a view session until its second factor
// is complete, the trade session from then on.
type Session struct {
	SID         string
	RID         string // refresh id; each kind of session has its own
	Kind        SessionKind
	Account     string // id
	UCC         string
	Consumer    string // key
	Incarnation string // the consumer's
	First       Factor // never accepted as the second
	ViewID      string // jti of the view token
	TradeID     string // jti of the trade token; "" for a view session
	KeyID       string // the signing key of the current token
	Home        string // home server; "" for a view session
	Issued      time.Time
	Expires     time.Time

	// The second factor's state. Tries counts since the last code, TriesBefore those
	// before it; Sends counts the codes; OTP is the keyed hash of the current one.
	Tries       int
	TriesBefore int
	Sends       int
	OTP         []byte
	OTPExpires  time.Time
	LastSend    time.Time
	Undelivered bool // the last code could not be delivered

	// The claim of a view session whose code is being checked: its random name, "" if it
	// is free, and when its lease expires.
	ClaimID    string
	ClaimUntil time.Time

	// Completed is when the view session became a trade session. Repeat is the
	// keyed hash of the request id and the code that did it, for a repeat of that
	// request; empty if it had no id.
	Completed time.Time
	Repeat    []byte

	// Remote means that this trade session's end must be reported to the OMS.
	Remote bool
}

// A Revocation is a trade token that is refused although it has not expired.
type Revocation struct {
	Seq     int64 // set by the store
	TokenID string
	Expires time.Time
}

// An AccountState has the counters of an account across its sessions.
type AccountState struct {
	Account  string
	TOTPStep int64       // the last step used; earlier ones do not work any more
	TOTPUsed []int64     // the last steps that were used, oldest first: see [AccountState.UseTOTPStep]
	Sent     []time.Time // when codes were sent, oldest first; those older than an hour may be missing
	// Failures are counted for each first factor, and under OTP for all second
	// factors together.
	Failures map[Factor]Failures
}

// Failures are the failed and open tries of a factor since the last success.
type Failures struct {
	Count int
	Until time.Time            // no try is accepted before this time
	Open  map[string]time.Time // open tries by id: when each counts as failed; never, if it was refused
}

// A Try is one try of a factor, counted before it is checked (security.md T2).
type Try struct {
	Account string
	Factor  Factor
	ID      string // random: the try's name
	Now     time.Time
	Lease   time.Duration // after which it counts as failed if it was not ended
}

// NewOTP is what [Sessions.SetOTP] stores.
type NewOTP struct {
	SID     string
	Sends   int // the session's count of sends on which the decision was based
	Hash    []byte
	Expires time.Time
	Now     time.Time
	PerHour int
	Job     *Job // the job that sends the code; nil if the caller sends it
}

// A JobKind says what a job is about.
type JobKind string

// The kinds of job.
const (
	JobCode  JobKind = "code"  // send a code
	JobClose JobKind = "close" // report the end of a session to the OMS
)

// A Job is work still to be done outside, stored together with its cause.
type Job struct {
	ID      string // random
	Kind    JobKind
	SID     string
	Account string
	Sealed  []byte    // of a code: the letter
	Created time.Time // of a closing: by the database's clock
	Expires time.Time // from then on it is useless

	// What a claim returns.
	Tries       int    // how often it has been claimed
	Claim       string // by this one
	Interrupted bool   // claimed before, without a recorded outcome
}

// A JobClaim is a request of [Jobs.ClaimJobs].
type JobClaim struct {
	Kind  JobKind
	ID    string // random: the claim's name
	Now   time.Time
	Lease time.Duration
	N     int // at most so many
	// Fresh requests only unclaimed jobs: a process that has just started, or whose
	// clock was set, cannot know which leases have expired.
	Fresh bool
	Doing []string // ids of jobs that the caller is doing: not to be claimed, whatever the clock says
}

// MostDoublings is how often, at most, the wait of a repeatedly interrupted job doubles.
const MostDoublings = 4

// Latest returns when a job is due at the latest that was claimed or put off by a
// clock that has not been set back since, and allows for the skew of others.
func (c JobClaim) Latest() time.Time { return c.Now.Add(c.Lease + clockSkew) }

// A Queue is what waits to be done outside.
type Queue struct {
	Length int
	Oldest time.Time // when the oldest was stored; zero if there is none
}

// A Claim is what [Sessions.Claim] asks for.
type Claim struct {
	SID         string
	Account     string
	Consumer    string
	Incarnation string // the consumer's
	ViewID      string // jti of the view token that was shown
	ID          string // random: the claim's name
	Now         time.Time
	Lease       time.Duration // after which another request may take the claim, and the try counts as failed
	MaxTries    int
	Repeat      []byte
	RepeatFor   time.Duration
	Redeem      *Redemption // nil if the code is to be judged by the caller, under the claim
}

// A Redemption is a one-time code that was sent in, with what follows if it is right.
type Redemption struct {
	ID    Identifier // what was said of the account with it, perhaps nothing; a PAN as its keyed hash
	OTP   []byte     // keyed hash of the code
	Trade Session
	Event Event
}

// An Event is one line of the audit trail (security.md L2). It names no secret.
type Event struct {
	Seq       int64 // set by the store
	Time      time.Time
	Action    string // "login", "second factor", "otp", "logout", "account added", …
	Outcome   string // "ok" or why not
	Account   string // id; "" when nobody was recognised
	UCC       string
	Factor    Factor
	Consumer  string
	SID       string
	Address   string // the caller's IP address
	RequestID string
	By        string // who made a change that an operator makes, see package operator; "" for all else
}

// EventQuery asks for a part of the audit trail.
type EventQuery struct {
	UCC   string    // of this account only; "" for all
	Since time.Time // not older than this
	Until time.Time // older than this; zero for no end
	After int64     // numbered after this
	N     int       // at most so many: the first ones
	Last  bool      // of all that the above selects, the last N
}

// A Caller is what is known of a request's sender before anyone is recognised.
type Caller struct {
	Address   string // IP address
	RequestID string // X-Request-ID or Idempotency-Key; "" if none was sent
	Lane      Lane   // a rate of its own for the request, in place of the consumer's
}

// A Lane is a rate that some requests of a consumer have to themselves: a consumer's key
// is no secret, and a stranger who knows it must not use up the rate of its sessions. The
// zero Lane is the consumer's rate. A lane has no limit where a consumer has none.
type Lane struct {
	Name string
	Rate int // requests a second
}

// String names a session without its secrets.
func (s Session) String() string { return fmt.Sprintf("%s session %s of %s", s.Kind, s.SID, s.UCC) }
