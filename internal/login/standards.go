package login

import (
	"context"
	"errors"
	"slices"
	"time"

	"neoapi/internal/claims"
	"neoapi/internal/credential"
	"neoapi/internal/token"
)

// The OAuth standards for tokens: introspection, revocation, and the service's own
// list of revoked tokens.

// The refusals of a revocation, which only the HTTP side can express.
var (
	// ErrForeignToken means that a token was issued to another consumer.
	ErrForeignToken = errors.New("this token was issued to another consumer")
	// ErrUnrevocable means an access token, which is stored nowhere: it ends with its
	// life, its consumer or the secret it was issued for.
	ErrUnrevocable = errors.New("access tokens cannot be revoked: they end within the hour, or with the consumer's secret")
)

// A TokenState is the state of a token: the zero value if it is not valid.
type TokenState struct {
	Active          bool
	Access          bool // an access token, not a session's
	Scope, Consumer string
	Issued, Expires int64 // unix seconds
	Subject         string
	Issuer, ID, SID string // of a session's token; SID for its own consumer only
}

// Introspect returns to a consumer whether a token is valid, and its claims. Any
// consumer may ask, because whoever has a token can read its claims; only the
// session's own consumer gets the sid, without which a trade token is of no use here.
// Refusals: KindUnavailable.
func (s *Service) Introspect(ctx context.Context, consumer Consumer, compact string) (TokenState, error) {
	if a, err := token.OpenAccess(s.Vault, compact, s.Now()); err == nil {
		c, err := s.consumer(ctx, a.Consumer, func(c Consumer) bool { return c.issued(a, s.Now()) })
		switch {
		case errors.Is(err, ErrNotFound):
			return TokenState{}, nil
		case err != nil:
			return TokenState{}, StoreFault(err)
		case !c.issued(a, s.Now()):
			return TokenState{}, nil
		}
		return TokenState{
			Active: true, Access: true, Scope: "default", Consumer: c.Key, Expires: a.Expires,
			Issued: time.Unix(a.Expires, 0).Add(-accessLife).Unix(), Subject: c.Key,
		}, nil
	}
	session, says, err := s.sessionOf(ctx, compact)
	if errors.Is(err, ErrNotFound) {
		return TokenState{}, nil
	}
	if err != nil {
		return TokenState{}, err
	}
	in := TokenState{
		Active: true, Scope: says.Scope[0], Consumer: session.Consumer,
		Expires: says.Exp, Issued: says.Iat, Subject: says.Sub, Issuer: says.Iss, ID: says.Jti,
	}
	if session.Consumer == consumer.Key {
		in.SID = session.SID
	}
	return in, nil
}

// Revoke ends the session of a consumer's view or trade token, as logout does. A
// token that is no longer valid, or never was, needs no revocation. Refusals:
// ErrForeignToken, ErrUnrevocable, KindUnavailable.
func (s *Service) Revoke(ctx context.Context, consumer Consumer, compact string, caller Caller) error {
	event := Event{Time: s.Now(), Action: "revocation", Consumer: consumer.Key, Address: caller.Address, RequestID: caller.RequestID}
	if _, err := token.OpenAccess(s.Vault, compact, s.Now()); err == nil {
		event.Outcome = "access token"
		return s.refuse(ctx, event, ErrUnrevocable)
	}
	session, _, err := s.sessionOf(ctx, compact)
	if errors.Is(err, ErrNotFound) {
		event.Outcome = noSuchSession
		return s.refuse(ctx, event, nil)
	}
	if err != nil {
		return err
	}
	event.Account, event.UCC, event.SID = session.Account, session.UCC, session.SID
	id := session.TradeID
	if session.Kind == View {
		id = session.ViewID
	}
	if session.Consumer != consumer.Key {
		event.Outcome = "another consumer's"
		return s.refuse(ctx, event, ErrForeignToken)
	}
	event.Outcome = "ok"
	switch err := s.Sessions.End(ctx, session.SID, id, event); {
	case errors.Is(err, ErrNotFound): // ended concurrently by another request
		event.Outcome = noSuchSession
		return s.refuse(ctx, event, nil)
	case err != nil:
		return StoreFault(err)
	}
	s.logged(ctx, event)
	s.closings.wake()
	return nil
}

// sessionOf returns the live session of a view or trade token and the token's
// claims: ErrNotFound if there is none, or KindUnavailable.
func (s *Service) sessionOf(ctx context.Context, compact string) (Session, claims.Trade, error) {
	now := s.Now()
	says, err := s.tradeClaims(ctx, compact, now)
	name := Identifier{ByUCC, credential.Secret(says.Sub)}
	if errors.Is(err, claims.ErrKind) {
		var view claims.View
		view, err = s.viewClaims(ctx, compact)
		says = view.Common()
		name = Identifier{ByID, credential.Secret(view.Sub)}
	}
	var unavailable *Error
	if errors.As(err, &unavailable) {
		return Session{}, says, err
	}
	if err != nil {
		return Session{}, says, ErrNotFound
	}
	account, err := s.Directory.Account(ctx, name)
	var session Session
	var consumer Consumer
	if err == nil {
		session, err = s.Sessions.SessionOf(ctx, account.ID, says.Jti)
	}
	if err == nil {
		consumer, err = s.consumer(ctx, session.Consumer, session.through)
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return Session{}, says, ErrNotFound
	case err != nil:
		return Session{}, says, StoreFault(err)
	case !now.Before(session.Expires) || session.Issued.Unix() != says.Iat || !session.through(consumer):
		return Session{}, says, ErrNotFound
	}
	return session, says, nil
}

// revocationsPage is the most revocations in one answer.
const revocationsPage = 1000

// RevocationKept is how long a revocation is kept and listed after its token has
// expired. It is longer than a day, by which a verifier's clock, or the service's,
// may be set back.
const RevocationKept = 25 * time.Hour

// Revoked is a part of the list of revoked tokens.
type Revoked struct {
	All  []Revocation // in the order in which their sessions ended
	Next int64        // where to continue; below the number asked after if numbering has started over
	More bool         // there are more already
	Keys []string     // the ids of all signing keys: tokens of others are refused
}

// Revocations returns the trade tokens after a number that are refused although they
// have not expired, and the keys whose tokens are accepted. Refusals:
// KindUnavailable.
func (s *Service) Revocations(ctx context.Context, after int64) (Revoked, error) {
	// The keys first: the next answer reports a key that is removed meanwhile.
	r := Revoked{Keys: s.keys.ring().IDs()}
	all, last, err := s.Sessions.Revocations(ctx, after, s.Now().Add(-RevocationKept), revocationsPage+1)
	if err != nil {
		return r, StoreFault(err)
	}
	if r.More = len(all) > revocationsPage; r.More {
		all = all[:revocationsPage]
	}
	r.All, r.Next = all, last // last can be above the last of all, if that has expired
	for _, x := range all {
		r.Next = max(r.Next, x.Seq)
	}
	if r.More {
		r.Next = all[len(all)-1].Seq
	}
	slices.Sort(r.Keys)
	return r, nil
}
