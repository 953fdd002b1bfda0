package login

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/google/uuid"

	"neoapi/internal/credential"
	"neoapi/internal/token"
	"neoapi/internal/wire"
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

// An Opened session is what a factor gives to the client: the record and its
// token, with what the answer says of the account.
type Opened struct {
	Session
	Token        string
	Caches       map[string]string
	GreetingName string
}

// Login judges a first factor and opens a view session. Refusals:
// KindCredentials, the same in words and time for a wrong secret and for an
// account that is unknown, disabled or without that factor; KindInput;
// KindUnavailable.
func (s *Service) Login(ctx context.Context, f FirstFactor) (Opened, error) {
	event := Event{
		Time: s.Now(), Action: "login", Factor: f.Factor, Consumer: f.Consumer.Key,
		Address: f.Caller.Address, RequestID: f.Caller.RequestID,
	}
	account, err := s.account(ctx, f.ID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Opened{}, storeFault(err)
	}
	// From here on an account that does not exist is an empty one: every check
	// below takes its time and fails.
	event.Account, event.UCC = account.ID, account.UCC

	var ok, locked bool
	var step int64
	switch f.Factor {
	case TOTP:
		locked, err = s.guarded(ctx, account, TOTP, func() bool {
			ok, step = s.judgeTOTP(account, f.Secret)
			ok = ok && account.UCC == string(f.UCC.Value)
			return ok
		})
	case Password, MPIN:
		// Judging and counting are one turn: of many wrong tries at once no more are
		// judged after the lock than hashes run side by side.
		ok, err = s.judgeHash(ctx, account, f.Factor, f.Secret, func(judge func() bool) (err error) {
			locked, err = s.guarded(ctx, account, f.Factor, judge)
			return err
		})
	default:
		return Opened{}, invalid(string(f.Factor), "is not a first factor")
	}
	if err != nil {
		return Opened{}, err
	}
	if !ok || account.Disabled || locked {
		event.Outcome = "refused"
		if locked {
			event.Outcome = "locked"
		}
		s.record(ctx, event)
		return Opened{}, wrongCredentials()
	}

	now := s.Now()
	view := Session{
		SID: uuid.NewString(), RID: uuid.NewString(), Kind: View,
		Account: account.ID, UCC: account.UCC, Consumer: f.Consumer.Key, First: f.Factor,
		ViewID: uuid.NewString(), KeyID: s.ring.Active(),
		Issued: now, Expires: dayEnd(now, viewAtLeast),
	}
	event.SID, event.Outcome = view.SID, "ok"
	switch err := s.Sessions.OpenView(ctx, view, step, event); {
	case errors.Is(err, ErrStepUsed):
		event.SID, event.Outcome = "", "TOTP code used before"
		s.record(ctx, event)
		return Opened{}, wrongCredentials()
	case err != nil:
		return Opened{}, storeFault(err)
	}
	view.Home = s.OMS.Home(account.UCC)
	return s.opened(account, view)
}

// account returns the account of an identifier. A PAN is looked up by its keyed
// hash.
func (s *Service) account(ctx context.Context, id Identifier) (Account, error) {
	if id.Kind == ByPAN {
		id.Value = credential.Secret(s.Vault.MAC(credential.PurposePAN, string(id.Value)))
	}
	return s.Accounts.Account(ctx, id)
}

// guarded judges a first factor under the account's locks: a wrong try is counted
// before its answer leaves. A locked account is judged like any other, so that
// its answer takes as long (bar P5).
func (s *Service) guarded(ctx context.Context, a Account, f Factor, judge func() bool) (locked bool, err error) {
	if a.ID == "" {
		judge()
		return false, nil
	}
	state, err := s.Sessions.State(ctx, a.ID)
	if err != nil {
		return false, storeFault(err)
	}
	locked = state.Locked(f, s.Now()) != nil
	if judge() || locked {
		return locked, nil
	}
	if err := s.Sessions.CountTry(ctx, a.ID, f, s.Now()); err != nil && !errors.Is(err, ErrLocked) {
		return false, storeFault(err)
	}
	return false, nil
}

// judgeHash checks a password or an MPIN; around runs while no other hash may
// take its turn. A good secret whose stored hash is weaker than today's is hashed
// anew (bar P1).
func (s *Service) judgeHash(ctx context.Context, a Account, f Factor, secret credential.Secret, around func(judge func() bool) error) (bool, error) {
	stored, plain := a.PasswordHash, []byte(secret)
	if f == MPIN {
		stored, plain = a.MPINHash, s.mpinBytes(secret)
	}
	ok, stale, err := s.verify(ctx, stored, plain, around)
	if err != nil || !ok || !stale {
		return ok, err
	}
	var fresh string
	if err := s.hash(ctx, func() { fresh = credential.Hash(plain) }); err != nil {
		return ok, nil // the login is good; the next one will upgrade
	}
	if err := s.Accounts.SetHash(ctx, a.ID, f, stored, fresh); err != nil {
		s.Log.WarnContext(ctx, "stronger hash not stored", "ucc", a.UCC, "cause", err)
	}
	return ok, nil
}

// judgeTOTP checks a TOTP code and returns its step. Whether the step was used
// before is judged when the session is stored.
func (s *Service) judgeTOTP(a Account, code credential.Secret) (bool, int64) {
	seed := make([]byte, 20)
	enrolled := len(a.TOTPSeed) > 0
	if enrolled {
		opened, err := s.Vault.Open(credential.PurposeTOTP, a.ID, a.TOTPSeed)
		if err != nil {
			s.Log.Error("TOTP seed cannot be opened", "ucc", a.UCC, "cause", err)
			return false, 0
		}
		seed = opened
	}
	step, ok := credential.MatchTOTP(seed, code, s.Now())
	return ok && enrolled, step
}

// opened mints the token of a stored session.
func (s *Service) opened(a Account, x Session) (Opened, error) {
	var claims any
	if x.Kind == View {
		claims = wire.ViewClaims{
			Scope: []string{wire.ScopeView}, Exp: x.Expires.Unix(), Jti: x.ViewID, Iat: x.Issued.Unix(),
			Iss: wire.Issuer, Sub: a.ID, UCC: x.UCC,
		}
	} else {
		claims = wire.TradeClaims{
			Scope: []string{wire.ScopeTrade}, Exp: x.Expires.Unix(), Jti: x.TradeID, Iat: x.Issued.Unix(),
			Iss: wire.Issuer, Sub: x.UCC,
		}
	}
	compact, err := s.ring.Mint(x.KeyID, claims)
	if err != nil {
		return Opened{}, &Error{Kind: KindInternal, Detail: "the session token could not be signed: log in again", Err: err}
	}
	caches := make(map[string]string, len(a.Caches))
	for name, changed := range a.Caches {
		caches[name] = strconv.FormatInt(changed, 10)
	}
	return Opened{Session: x, Token: compact, Caches: caches, GreetingName: a.GreetingName}, nil
}

// dayEnd returns the first midnight in IST that is at least so far away.
func dayEnd(now time.Time, atLeast time.Duration) time.Time {
	t := now.Add(atLeast).In(IST)
	midnight := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, IST)
	if midnight.Before(t) {
		midnight = midnight.AddDate(0, 0, 1)
	}
	return midnight
}

// view judges the sid and view token of a request: KindHeader, KindSession or
// KindTokenKind.
func (s *Service) view(sid, auth string) (wire.ViewClaims, error) {
	switch {
	case sid == "":
		return wire.ViewClaims{}, missing(wire.HeaderSID)
	case auth == "":
		return wire.ViewClaims{}, missing(wire.HeaderAuth)
	}
	claims, err := s.ring.View(auth, s.Now())
	switch {
	case errors.Is(err, token.ErrKind):
		return claims, &Error{Kind: KindTokenKind, Detail: "Auth must hold the view token of this login, not a trade token"}
	case errors.Is(err, token.ErrExpired):
		return claims, &Error{Kind: KindSession, Detail: "the view token has expired: log in again"}
	case err != nil:
		return claims, &Error{Kind: KindSession, Detail: "Auth does not hold a valid view token: log in again"}
	}
	return claims, nil
}
