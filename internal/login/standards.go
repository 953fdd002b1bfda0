package login

import (
	"context"
	"errors"
	"slices"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/token"
	"neoapi/internal/wire"
)

// What the standards of OAuth have others do with tokens: introspection, revocation,
// and the service's own list of what has been revoked.

// The refusals of a revocation that only its HTTP side has words for.
var (
	// ErrForeignToken means that a token was issued to another consumer.
	ErrForeignToken = errors.New("this token was issued to another consumer")
	// ErrUnrevocable means an access token, which is stored nowhere: it ends with its
	// life, its consumer or the secret it was issued for.
	ErrUnrevocable = errors.New("access tokens cannot be revoked: they end within the hour, or with the consumer's secret")
)

// Introspect tells a consumer what a token is worth now. Whoever shows a token has
// it and can read its claims, so any consumer may ask; the sid, without which a
// trade token opens nothing here, is told to the session's own consumer only.
// Refusals: KindUnavailable.
func (s *Service) Introspect(ctx context.Context, consumer Consumer, compact string) (wire.Introspection, error) {
	if a, err := token.OpenAccess(s.Vault, compact, s.Now()); err == nil {
		c, err := s.consumer(ctx, a.Consumer, func(c Consumer) bool { return c.issued(a, s.Now()) })
		switch {
		case errors.Is(err, ErrNotFound):
			return wire.Introspection{}, nil
		case err != nil:
			return wire.Introspection{}, storeFault(err)
		case !c.issued(a, s.Now()):
			return wire.Introspection{}, nil
		}
		return wire.Introspection{
			Active: true, Scope: "default", ClientID: c.Key, TokenType: "Bearer", Exp: a.Expires,
			Iat: time.Unix(a.Expires, 0).Add(-accessLife).Unix(), Sub: c.Key,
		}, nil
	}
	session, claims, err := s.sessionOf(ctx, compact)
	if errors.Is(err, ErrNotFound) {
		return wire.Introspection{}, nil
	}
	if err != nil {
		return wire.Introspection{}, err
	}
	in := wire.Introspection{
		Active: true, Scope: claims.Scope[0], ClientID: session.Consumer,
		Exp: claims.Exp, Iat: claims.Iat, Sub: claims.Sub, Iss: claims.Iss, Jti: claims.Jti,
	}
	if session.Consumer == consumer.Key {
		in.SID = session.SID
	}
	return in, nil
}

// Revoke ends the session of a consumer's view or trade token, as logout does. A
// token that is not good any more, or never was, is none to revoke. Refusals:
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
	case errors.Is(err, ErrNotFound): // ended this moment by somebody else
		event.Outcome = noSuchSession
		return s.refuse(ctx, event, nil)
	case err != nil:
		return storeFault(err)
	}
	s.logged(ctx, event)
	s.closings.wake()
	return nil
}

// sessionOf returns the live session of a view or trade token and the token's
// claims: ErrNotFound if there is none, or KindUnavailable.
func (s *Service) sessionOf(ctx context.Context, compact string) (Session, wire.TradeClaims, error) {
	now := s.Now()
	claims, err := s.tradeClaims(ctx, compact, now)
	name := Identifier{ByUCC, credential.Secret(claims.Sub)}
	if errors.Is(err, token.ErrKind) {
		var view wire.ViewClaims
		view, err = s.viewClaims(ctx, compact)
		claims = wire.TradeClaims{Scope: view.Scope, Exp: view.Exp, Jti: view.Jti, Iat: view.Iat, Iss: view.Iss, Sub: view.Sub}
		name = Identifier{ByID, credential.Secret(view.Sub)}
	}
	var unavailable *Error
	if errors.As(err, &unavailable) {
		return Session{}, claims, err
	}
	if err != nil {
		return Session{}, claims, ErrNotFound
	}
	account, err := s.Accounts.Account(ctx, name)
	var session Session
	var consumer Consumer
	if err == nil {
		session, err = s.Sessions.SessionOf(ctx, account.ID, claims.Jti)
	}
	if err == nil {
		consumer, err = s.consumer(ctx, session.Consumer, session.through)
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return Session{}, claims, ErrNotFound
	case err != nil:
		return Session{}, claims, storeFault(err)
	case !now.Before(session.Expires) || session.Issued.Unix() != claims.Iat || !session.through(consumer):
		return Session{}, claims, ErrNotFound
	}
	return session, claims, nil
}

// revocationsPage is how many revocations one answer holds at most.
const revocationsPage = 1000

// RevocationKept is how long a revocation is kept, and told, after its token has
// expired: longer than a day, by which a verifier's clock, or the service's, may be
// set back afterwards.
const RevocationKept = 25 * time.Hour

// Revocations returns the trade tokens that are refused although they have not
// expired, after a number, and the keys whose tokens are taken. Refusals:
// KindUnavailable.
func (s *Service) Revocations(ctx context.Context, after int64) (wire.Revocations, error) {
	// The keys first: of a key that is removed meanwhile the next answer tells.
	r := wire.Revocations{Keys: s.keys.ring().IDs(), Revocations: []wire.Revocation{}}
	all, last, err := s.Sessions.Revocations(ctx, after, s.Now().Add(-RevocationKept), revocationsPage+1)
	if err != nil {
		return r, storeFault(err)
	}
	if r.More = len(all) > revocationsPage; r.More {
		all = all[:revocationsPage]
	}
	r.Next = last // which can be above the last of all, if that has expired
	for _, x := range all {
		r.Revocations = append(r.Revocations, wire.Revocation{Jti: x.TokenID, Exp: x.Expires.Unix()})
		r.Next = max(r.Next, x.Seq)
	}
	if r.More {
		r.Next = all[len(all)-1].Seq
	}
	slices.Sort(r.Keys)
	return r, nil
}
