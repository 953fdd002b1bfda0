package login

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"time"

	"github.com/google/uuid"

	"neoapi/internal/argon2"
	"neoapi/internal/claims"
	"neoapi/internal/credential"
	"neoapi/internal/limit"
)

// A FirstFactor is a login: an identifier and one secret.
type FirstFactor struct {
	Consumer Consumer
	ID       Identifier
	Factor   Factor // Password, MPIN or TOTP
	Secret   credential.Secret
	UCC      Identifier // TOTP only: must be the same account's
	Caller   Caller
}

// An Opened session is the result of a factor for the client: the record and its
// token, with the account's data for the answer.
type Opened struct {
	Session
	Token        string
	Caches       map[string]string
	GreetingName string
}

// Login checks a first factor and opens a view session. Refusals: KindCredentials,
// the same in words and time for a wrong secret and for an account that is unknown,
// locked, disabled or without that factor; KindInput; KindTooSoon for an address with
// too many wrong logins; KindUnavailable.
func (s *Service) Login(ctx context.Context, f FirstFactor) (Opened, error) {
	hashed := f.Factor != TOTP
	if hashed { // refuse what the queue cannot take before anything is read
		leave, err := s.first.enter()
		if err != nil {
			return Opened{}, err
		}
		defer leave()
	}
	event := Event{
		Time: s.Now(), Action: "login", Factor: f.Factor, Consumer: f.Consumer.Key,
		Address: f.Caller.Address, RequestID: f.Caller.RequestID,
	}
	if err := s.fromHere(ctx, event); err != nil {
		return Opened{}, err
	}
	account, err := s.account(ctx, f.ID)
	if err != nil {
		return Opened{}, storeFault(err)
	}
	if account.UCC != "" { // it exists
		event.Account, event.UCC = account.ID, account.UCC
	}

	try := Try{Account: account.ID, Factor: f.Factor, ID: uuid.NewString(), Now: s.Now(), Lease: tryLease}
	var step int64
	check := func() (err error) { step, err = s.tryFirst(ctx, f, account, try, event); return err }
	if hashed {
		err = s.first.turn(ctx, check)
	} else {
		err = check()
	}
	if err != nil {
		return Opened{}, err
	}

	now := s.Now()
	view := Session{
		SID: uuid.NewString(), RID: uuid.NewString(), Kind: View,
		Account: account.ID, UCC: account.UCC, Consumer: f.Consumer.Key, Incarnation: f.Consumer.Incarnation, First: f.Factor,
		ViewID: uuid.NewString(), KeyID: s.keys.ring().Active(),
		Issued: now, Expires: dayEnd(now, viewAtLeast),
	}
	event.SID, event.Outcome = view.SID, "ok"
	switch err := s.Sessions.OpenView(ctx, view, step, try.ID, event); {
	case errors.Is(err, ErrStepUsed):
		event.SID, event.Outcome = "", "TOTP code used before"
		return Opened{}, s.refuseFirst(ctx, try, event, true)
	case err != nil:
		event.SID, event.Outcome = "", "not stored"
		s.giveBack(ctx, try, event)
		return Opened{}, storeFault(err)
	}
	s.logged(ctx, event)
	if err := s.unchanged(ctx, account, view, event); err != nil {
		return Opened{}, err
	}
	view.Home = s.OMS.Home(account.UCC)
	return s.opened(ctx, account, view)
}

// unchanged ends a view session again if an operator has changed or removed its account
// since the account was read for the first factor: changing an account ends its sessions,
// and this one may have been opened just after (security.md S4). Only logins with the
// right secret take this extra read, so its cost reveals nothing (security.md P5).
func (s *Service) unchanged(ctx context.Context, a Account, view Session, event Event) error {
	now, err := s.Directory.Account(ctx, Identifier{ByID, credential.Secret(a.ID)})
	switch {
	case err == nil && now.Version == a.Version:
		return nil
	case err != nil && !errors.Is(err, ErrNotFound):
		return storeFault(err) // the session is there, and nobody has its token
	}
	event.Outcome = "changed meanwhile"
	if err := s.Sessions.Revoke(ctx, a.ID, view.SID, event); errors.Is(err, ErrNotFound) {
		return s.refuse(ctx, event, wrongCredentials())
	} else if err != nil {
		return storeFault(err)
	}
	s.logged(ctx, event)
	return wrongCredentials()
}

// tryFirst counts a first factor, checks it, and ends the try if it is refused. It
// runs in a hash's turn, so that no more tries are open at once than there are turns.
func (s *Service) tryFirst(ctx context.Context, f FirstFactor, a Account, try Try, event Event) (step int64, err error) {
	if err := s.chargeAddress(ctx, event, 1); err != nil {
		return 0, err
	}
	err = s.Allowances.Try(ctx, try)
	// A locked account is checked like any other, so that its answer takes as long
	// (security.md P5), and so is one with so many open tries that they could exceed the lock
	// together.
	locked := errors.Is(err, ErrLocked) || errors.Is(err, ErrClaimed)
	if err != nil && !locked { // counted or not: nothing was checked
		event.Outcome = "not judged"
		s.giveBack(ctx, try, event)
		return 0, storeFault(err)
	}
	var good bool
	upgrade := func() {}
	if f.Factor == TOTP {
		good, step = s.verifyTOTP(a, f.Secret)
		good = good && a.UCC == string(f.UCC.Value)
	} else if good, upgrade, err = s.verifyHash(ctx, a, f.Factor, f.Secret); err != nil {
		event.Outcome = "not judged"
		s.giveBack(ctx, try, event)
		return 0, err
	}
	if good && !locked && !a.Disabled {
		upgrade()
		return step, s.chargeAddress(ctx, event, -1)
	}
	switch event.Outcome = "refused"; {
	case locked && event.Account != "":
		event.Outcome = "locked"
	case good:
		event.Outcome = "disabled"
	}
	return 0, s.refuseFirst(ctx, try, event, !good)
}

// giveBack ends a try that a fault of the service cut short, after the answer.
func (s *Service) giveBack(ctx context.Context, try Try, event Event) {
	s.after(ctx, func(ctx context.Context) error {
		err := s.Allowances.EndTry(ctx, try, false, event)
		if err == nil {
			s.logged(ctx, event)
		}
		return err
	})
}

// refuseFirst ends a try of a first factor with its event and returns the one answer
// to all of them, even if the client has gone away, because the secret was checked.
func (s *Service) refuseFirst(ctx context.Context, try Try, event Event, failed bool) error {
	ctx, cancel := toTheEnd(ctx)
	defer cancel()
	if err := s.Allowances.EndTry(ctx, try, failed, event); err != nil {
		return storeFault(err) // a try left open counts as failed when its lease expires
	}
	s.logged(ctx, event)
	return wrongCredentials()
}

// fromHere refuses a login from an address with so many wrong logins that it must
// wait: trying one password on many accounts locks none of them.
func (s *Service) fromHere(ctx context.Context, event Event) error {
	return s.chargeAddress(ctx, event, 0)
}

// chargeAddress takes n from the allowance of the address that a login comes from, by
// the rule of Allowances.Take. It is charged before the secret is checked, so that
// concurrent logins cannot evade it, and given back after a successful login.
func (s *Service) chargeAddress(ctx context.Context, event Event, n int) error {
	key := addressKey(event.Address)
	if key == "" || s.opt.AddressRate <= 0 {
		return nil
	}
	wait, err := s.Allowances.Take(ctx, key, s.addressRate(), n, s.Now())
	switch {
	case err != nil:
		return storeFault(err)
	case wait > 0:
		event.Outcome = "too many wrong ones from this address"
		return s.refuse(ctx, event, addressMustWait(wait))
	}
	return nil
}

func addressMustWait(wait time.Duration) *Error {
	return &Error{Kind: KindTooSoon, Detail: "too many wrong logins came from this address: wait before the next", RetryAfter: wait}
}

func (s *Service) addressRate() limit.Rate { return limit.Rate{N: s.opt.AddressRate, Per: time.Minute} }

// addressKey names the allowance of an address: an IPv4 address, or the network
// of an IPv6 address that one customer has, of 64 bits. It is "" for no address.
func addressKey(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		network, _ := ip.Prefix(64) // 64 bits fit
		return "address " + network.String()
	}
	return "address " + ip.String()
}

// account returns the account of an identifier or, for an unknown identifier, its
// decoy: the same decoy each time, without a UCC. Both paths make one lookup that hits
// and one that misses, so that they take equally long (security.md P5). A PAN is looked
// up by its keyed hash.
func (s *Service) account(ctx context.Context, id Identifier) (Account, error) {
	id = s.hashed(id)
	a, err := s.Directory.Account(ctx, id)
	other := Identifier{ByID, credential.Secret(uuid.NewString())}
	switch {
	case errors.Is(err, ErrNotFound):
		a = s.standIn(string(id.Value))
		if known := s.known[rand.IntN(len(s.known))].Load(); known != nil {
			other.Value = *known
		}
	case err != nil:
		return a, err
	default:
		known := credential.Secret(a.ID)
		s.known[rand.IntN(len(s.known))].Store(&known)
	}
	if _, err := s.Directory.Account(ctx, other); err != nil && !errors.Is(err, ErrNotFound) {
		return a, err
	}
	return a, nil
}

// verifyHash checks a password or an MPIN, in its turn of a queue; an account without one
// matches nothing but costs the same (security.md P5). upgrade rehashes a correct secret
// if its stored hash is weaker than today's, or another system's (security.md P1); call it
// once the factor has been accepted, so that the time of a refusal does not reveal that
// the secret was right.
func (s *Service) verifyHash(ctx context.Context, a Account, f Factor, secret credential.Secret) (good bool, upgrade func(), err error) {
	stored := a.PasswordHash
	if f == MPIN {
		stored = a.MPINHash
	}
	exists := stored != ""
	owner := a.ID
	if !exists {
		n := s.standIn(a.ID)
		stored, owner = n.MPINHash, n.ID
	}
	phc, sealed, err := credential.OpenHash(s.Vault, credential.PurposeMPIN, owner, stored)
	plain := []byte(secret)
	if f == MPIN && !sealed {
		plain = s.mpinBytes(secret)
	}
	var ok, stale bool
	if err == nil {
		hashing(ctx, func() { ok, stale, err = credential.Verify(phc, plain) })
	}
	switch {
	case errors.Is(err, argon2.ErrMemory):
		return false, nil, busy(err)
	case err != nil:
		return false, nil, &Error{Kind: KindInternal, Detail: "the service could not read its records: tell its operator", Err: err}
	}
	upgrade = func() {}
	if ok && exists && (stale || sealed) {
		upgrade = func() { s.upgrade(ctx, a, f, stored, secret) }
	}
	return ok && exists, upgrade, nil
}

// upgrade replaces a stored hash by one of today's.
func (s *Service) upgrade(ctx context.Context, a Account, f Factor, stored string, secret credential.Secret) {
	plain := []byte(secret)
	if f == MPIN {
		plain = s.mpinBytes(secret)
	}
	var fresh string
	var err error
	hashing(ctx, func() { fresh, err = credential.Hash(plain) })
	if err == nil {
		err = s.Directory.SetHash(ctx, a.ID, f, stored, fresh)
	}
	if err != nil { // the next login will upgrade
		s.Log.WarnContext(ctx, "stronger hash not stored", "ucc", a.UCC, "cause", err)
	}
}

// verifyTOTP checks a TOTP code and returns its step. Whether the step was used
// before is checked when the session is stored.
func (s *Service) verifyTOTP(a Account, code credential.Secret) (bool, int64) {
	enrolled := len(a.TOTPSeed) > 0
	if !enrolled {
		a = s.standIn(a.ID)
	}
	seed, err := s.Vault.Open(credential.PurposeTOTP, a.ID, a.TOTPSeed)
	if err != nil {
		s.Log.Error("TOTP seed cannot be opened", "ucc", a.UCC, "cause", err)
		return false, 0
	}
	step, ok := credential.MatchTOTP(seed, code, s.Now())
	return ok && enrolled, step
}

// opened mints the token of a stored session.
func (s *Service) opened(ctx context.Context, a Account, x Session) (Opened, error) {
	var says any
	if x.Kind == View {
		says = claims.View{
			Scope: []string{claims.ScopeView}, Exp: x.Expires.Unix(), Jti: x.ViewID, Iat: x.Issued.Unix(),
			Iss: claims.Issuer, Sub: a.ID, UCC: x.UCC,
		}
	} else {
		says = claims.Trade{
			Scope: []string{claims.ScopeTrade}, Exp: x.Expires.Unix(), Jti: x.TradeID, Iat: x.Issued.Unix(),
			Iss: claims.Issuer, Sub: x.UCC,
		}
	}
	compact, err := s.mint(ctx, x.KeyID, says)
	if err != nil {
		return Opened{}, err
	}
	caches := make(map[string]string, len(a.Caches))
	for name, changed := range a.Caches {
		caches[name] = strconv.FormatInt(changed, 10)
	}
	return Opened{Session: x, Token: compact, Caches: caches, GreetingName: a.GreetingName}, nil
}

// dayEnd returns the first midnight in IST that is at least atLeast away.
func dayEnd(now time.Time, atLeast time.Duration) time.Time {
	return Days{}.End(now, atLeast)
}

// view checks the sid and view token of a request. Refusals: KindMissing,
// KindSession, KindTokenKind.
func (s *Service) view(ctx context.Context, sid, auth string) (claims.View, error) {
	switch {
	case sid == "":
		return claims.View{}, missing("Sid")
	case auth == "":
		return claims.View{}, missing("Auth")
	}
	says, err := s.viewClaims(ctx, auth)
	var unavailable *Error
	switch {
	case errors.As(err, &unavailable):
		return says, err
	case errors.Is(err, claims.ErrKind):
		return says, &Error{Kind: KindTokenKind, Detail: "Auth must hold the view token of this login, not a trade token"}
	case errors.Is(err, claims.ErrExpired):
		return says, &Error{Kind: KindSession, Detail: "the view token has expired"}
	case err != nil:
		return says, &Error{Kind: KindSession, Detail: "Auth does not hold a valid view token"}
	}
	return says, nil
}
