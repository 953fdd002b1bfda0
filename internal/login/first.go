package login

import (
	"context"
	"errors"
	"fmt"
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
		return Opened{}, StoreFault(err)
	}
	if account.UCC != "" { // it exists
		event.Account, event.UCC = account.ID, account.UCC
	}

	s.payFirst(ctx, account.ID)

	a := &firstTry{
		Service: s, first: f, account: account, event: event,
		try: Try{Account: account.ID, Factor: f.Factor, ID: uuid.NewString(), Now: s.Now(), Lease: tryLease},
	}
	defer a.end(ctx)
	if hashed {
		err = s.first.turn(ctx, func() error { return a.check(ctx) })
	} else {
		err = a.check(ctx)
	}
	if err != nil {
		return Opened{}, err
	}
	return a.open(ctx)
}

// A firstTry is a first factor that is being judged.
type firstTry struct {
	*Service
	first   FirstFactor
	account Account
	event   Event
	try     Try
	charge  Charge // that the address may have been charged; none without a Key
	tried   bool   // the account may have been charged
	step    int64  // of a TOTP code
	wrong   bool   // judged, and not right: what it was charged is not given back
	stored  bool   // the store knows how it ended
}

// open opens the view session of a factor that is right.
func (a *firstTry) open(ctx context.Context) (Opened, error) {
	s, f, account, event := a.Service, a.first, a.account, a.event
	now := s.Now()
	view := Session{
		SID: uuid.NewString(), RID: uuid.NewString(), Kind: View,
		Account: account.ID, UCC: account.UCC, Consumer: f.Consumer.Key, Incarnation: f.Consumer.Incarnation, First: f.Factor,
		ViewID: uuid.NewString(), KeyID: s.keys.ring().Active(),
		Issued: now, Expires: dayEnd(now, viewAtLeast),
	}
	event.SID, event.Outcome = view.SID, "ok"
	a.event.Outcome = "not stored"
	version, err := a.store(ctx, view, event)
	switch {
	case errors.Is(err, ErrStepUsed):
		return Opened{}, a.refuse(ctx, "TOTP code used before", true)
	case errors.Is(err, ErrLocked) || errors.Is(err, ErrClaimed):
		return Opened{}, a.refuse(ctx, "locked", false)
	case err != nil:
		return Opened{}, StoreFault(err)
	}
	if err := s.unchanged(ctx, account, version, view, event); err != nil {
		return Opened{}, err
	}
	view.Home = s.OMS.Home(account.UCC)
	return s.opened(ctx, account, view)
}

// store stores the view session of a factor that is right, and counts a TOTP code's try
// in the same transaction. It returns the version that the account has afterwards.
func (a *firstTry) store(ctx context.Context, view Session, event Event) (version int64, err error) {
	if a.first.Factor == TOTP {
		a.tried = true
		if version, err = a.Sessions.TryView(ctx, a.try, view, a.step, event); err == nil {
			a.stored = true
			a.logged(ctx, event)
		}
		return version, err
	}
	if err := a.Sessions.OpenView(ctx, view, 0, a.try.ID, event); err != nil {
		return 0, err
	}
	a.stored = true
	a.logged(ctx, event)
	now, err := a.Directory.Account(ctx, Identifier{ByID, credential.Secret(a.account.ID)})
	if errors.Is(err, ErrNotFound) {
		return -1, nil
	}
	return now.Version, err // if it fails the session is there, and nobody has its token
}

// unchanged ends a view session again if an operator has changed or removed its account
// since the account was read for the first factor: changing an account ends its sessions,
// and this one may have been opened just after (security.md S4). Only logins with the
// right secret read the version, so its cost reveals nothing (security.md P5).
func (s *Service) unchanged(ctx context.Context, a Account, version int64, view Session, event Event) error {
	if version == a.Version {
		return nil
	}
	event.Outcome = "changed meanwhile"
	if err := s.Sessions.Revoke(ctx, a.ID, view.SID, event); errors.Is(err, ErrNotFound) {
		return s.refuse(ctx, event, wrongCredentials())
	} else if err != nil {
		return StoreFault(err)
	}
	s.logged(ctx, event)
	return wrongCredentials()
}

// check counts a first factor and checks it. It runs in a hash's turn, so that no more
// tries are open at once than there are turns. A TOTP code that is right is counted when
// its session is stored: nothing is answered before.
func (a *firstTry) check(ctx context.Context) error {
	a.event.Outcome = "not judged"
	if err := a.chargeAddress(ctx); err != nil {
		return err
	}
	var good bool
	var err error
	if a.first.Factor == TOTP {
		good, a.step, err = a.verifyTOTP(a.account, a.first.Secret)
		if err != nil {
			return err
		}
		good = good && a.account.UCC == string(a.first.UCC.Value)
		if good && !a.account.Disabled { // TryView counts it, and takes as long for a locked account as Try
			return nil
		}
	}
	a.tried = true
	err = a.Allowances.Try(ctx, a.try)
	// A locked account is checked like any other, so that its answer takes as long
	// (security.md P5), and so is one with so many open tries that they could exceed the lock
	// together.
	locked := errors.Is(err, ErrLocked) || errors.Is(err, ErrClaimed)
	if err != nil && !locked {
		return StoreFault(err)
	}
	upgrade := func() {}
	if a.first.Factor != TOTP {
		if good, upgrade, err = a.verifyHash(ctx, a.account, a.first.Factor, a.first.Secret); err != nil {
			return err
		}
	}
	switch {
	case good && !locked && !a.account.Disabled:
		upgrade()
		return nil
	case locked && a.event.Account != "":
		return a.refuse(ctx, "locked", !good)
	case good:
		return a.refuse(ctx, "disabled", false)
	}
	return a.refuse(ctx, "refused", true)
}

// refuse ends a try with its event and returns the one answer to all of them, even if the
// client has gone away, because the secret was checked. failed means that it counts for
// the account. It costs the address its charge in any case.
func (a *firstTry) refuse(ctx context.Context, outcome string, failed bool) error {
	a.wrong = true
	a.event.Outcome = outcome
	ctx, cancel := toTheEnd(ctx)
	defer cancel()
	if err := a.Allowances.EndTry(ctx, a.try, failed, a.event); err != nil {
		return StoreFault(err) // a try left open counts as failed when its lease expires
	}
	a.stored = true
	a.logged(ctx, a.event)
	return wrongCredentials()
}

// end gives back what a try was charged, unless it was judged to be wrong, even if it
// panicked. After a success the address has its charge back before the answer.
func (a *firstTry) end(ctx context.Context) {
	if a.charge.Key != "" {
		defer a.inHand.end(a.charge.Key)
	}
	if a.wrong {
		return
	}
	if a.tried && !a.stored {
		a.after(ctx, func(ctx context.Context) error {
			err := a.Allowances.EndTry(ctx, a.try, false, a.event)
			if err == nil {
				a.logged(ctx, a.event)
			}
			return err
		}, a.account.ID)
	}
	giveBack := func(ctx context.Context) error { return a.Allowances.GiveBack(ctx, a.charge, a.Now()) }
	switch {
	case a.charge.Key == "":
	case a.stored:
		a.atOnce(ctx, giveBack, a.charge.Key)
	default:
		a.after(ctx, giveBack, a.charge.Key)
	}
}

// fromHere refuses a login from an address with so many wrong logins that it must
// wait: trying one password on many accounts locks none of them.
func (s *Service) fromHere(ctx context.Context, event Event) error {
	key := addressKey(event.Address)
	if key == "" || s.opt.AddressRate <= 0 {
		return nil
	}
	s.payFirst(ctx, key)
	wait, err := s.Allowances.Take(ctx, key, s.addressRate(), 0, s.Now())
	if wait > 0 && s.inHand.any(key) { // its own charge will decide
		wait = 0
	}
	return s.mayGoOn(ctx, event, wait, err)
}

// chargeAddress charges the address that a login comes from before the secret is checked,
// so that concurrent logins cannot evade the limit.
func (a *firstTry) chargeAddress(ctx context.Context) error {
	key := addressKey(a.event.Address)
	if key == "" || a.opt.AddressRate <= 0 {
		return nil
	}
	for {
		ended := a.inHand.begin(key)
		a.charge = Charge{Key: key, Rate: a.addressRate(), ID: a.try.ID, Now: a.Now()}
		wait, err := a.Allowances.Charge(ctx, a.charge)
		if wait <= 0 {
			return a.mayGoOn(ctx, a.event, 0, err)
		}
		a.charge = Charge{} // nothing was charged
		again := false
		if others := a.inHand.wait(key, ended); others != nil {
			select {
			case again = <-others:
			case <-ctx.Done():
				return busy(fmt.Errorf("waiting for other logins of the address: %w", ctx.Err()))
			}
		}
		if !again {
			return a.mayGoOn(ctx, a.event, wait, nil)
		}
		a.payFirst(ctx, key)
	}
}

// mayGoOn refuses a login whose address must wait.
func (s *Service) mayGoOn(ctx context.Context, event Event, wait time.Duration, err error) error {
	switch {
	case err != nil:
		return StoreFault(err)
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

// addressKey names the allowance of an address, "" for no address.
func addressKey(address string) string {
	if network := NetworkOf(address); network != "" {
		return "address " + network
	}
	return ""
}

// NetworkOf returns what one customer has: an IPv4 address, or the network of an IPv6
// address, of 64 bits. It is "" for no address.
func NetworkOf(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		network, _ := ip.Prefix(64) // 64 bits fit
		return network.String()
	}
	return ip.String()
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
		return false, nil, unreadable(err)
	}
	upgrade = func() {}
	if ok && exists && (stale || sealed) {
		upgrade = func() { s.upgrade(ctx, a, f, stored, secret) }
	}
	return ok && exists, upgrade, nil
}

func unreadable(err error) *Error {
	return &Error{Kind: KindInternal, Detail: "the service could not read its records: tell its operator", Err: err}
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
func (s *Service) verifyTOTP(a Account, code credential.Secret) (good bool, step int64, err error) {
	enrolled := len(a.TOTPSeed) > 0
	if !enrolled {
		a = s.standIn(a.ID)
	}
	seed, err := s.Vault.Open(credential.PurposeTOTP, a.ID, a.TOTPSeed)
	if err != nil {
		return false, 0, unreadable(err)
	}
	step, ok := credential.MatchTOTP(seed, code, s.Now())
	return ok && enrolled, step, nil
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
