package login

import (
	"context"
	"errors"
	"time"

	"neoapi/internal/claims"
)

// CheckTrade checks the sid and trade token of a call after login and returns its
// session. consumer is the one that the call's access token names, or the zero
// Consumer for a call without one (generation 3): then the session's own consumer is
// looked up and counted. Refusals: KindMissing, KindSession, KindTokenKind,
// KindEnded, KindAddress, KindThrottled, KindUnavailable.
func (s *Service) CheckTrade(ctx context.Context, consumer Consumer, sid, auth string, caller Caller) (Session, error) {
	switch {
	case sid == "":
		return Session{}, missing("Sid")
	case auth == "":
		return Session{}, missing("Auth")
	}
	now := s.Now()
	says, err := s.tradeClaims(ctx, auth, now)
	if err != nil {
		return Session{}, tokenRefused(err)
	}
	session, err := s.liveTrade(ctx, sid, says, now)
	if err != nil {
		return Session{}, err
	}
	if consumer.Key == "" {
		if consumer, err = s.ByConsumerKey(ctx, session.Consumer, caller); err != nil {
			var e *Error
			if errors.As(err, &e) && e.Kind == KindBadAccess {
				return Session{}, sessionEnded() // its consumer was removed
			}
			return Session{}, err
		}
	}
	switch {
	case consumer.Key != session.Consumer:
		return Session{}, &Error{Kind: KindSession, Detail: "this session was opened by another consumer"}
	case session.Incarnation != consumer.Incarnation: // its consumer was removed, and added again
		return Session{}, sessionEnded()
	}
	return session, nil
}

// liveTrade returns the trade session of a sid. The sid alone never authenticates
// (security.md S2): the token must be this session's.
func (s *Service) liveTrade(ctx context.Context, sid string, says claims.Trade, now time.Time) (Session, error) {
	session, err := s.Sessions.Session(ctx, sid)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Session{}, StoreFault(err)
	}
	if err != nil || session.Kind != Trade || session.TradeID != says.Jti || session.Issued.Unix() != says.Iat || !now.Before(session.Expires) {
		return Session{}, sessionEnded()
	}
	return session, nil
}

// FeedSession returns the trade session that the first frame of a live feed names: by its
// sid and trade token, or by its sid and UCC for a feed of quotes whose clients send no
// token (security.md S2). It is no request of a consumer, and not counted as one. The error
// is one of the session, or KindUnavailable.
func (s *Service) FeedSession(ctx context.Context, ucc, sid, auth string) (Session, error) {
	var session Session
	var err error
	now := s.Now()
	switch {
	case sid == "":
		return Session{}, missing("Sid")
	case auth != "":
		var says claims.Trade
		if says, err = s.tradeClaims(ctx, auth, now); err != nil {
			return Session{}, tokenRefused(err)
		}
		session, err = s.liveTrade(ctx, sid, says, now)
	case ucc == "":
		return Session{}, missing("Auth")
	default:
		session, err = s.Sessions.Session(ctx, sid)
		if errors.Is(err, ErrNotFound) || err == nil && session.UCC != ucc {
			return Session{}, sessionEnded()
		}
	}
	var known *Error
	if errors.As(err, &known) {
		return Session{}, err
	}
	stands := false
	if err == nil {
		stands, err = s.Stands(ctx, session)
	}
	switch {
	case err != nil:
		return Session{}, StoreFault(err)
	case !stands:
		return Session{}, sessionEnded()
	}
	return session, nil
}

func sessionEnded() *Error { return &Error{Kind: KindEnded, Detail: "the session has ended"} }

// tokenRefused is the refusal of a token that is not a valid trade token.
func tokenRefused(err error) error {
	var unavailable *Error
	switch {
	case errors.As(err, &unavailable):
		return err
	case errors.Is(err, claims.ErrKind):
		return &Error{Kind: KindTokenKind, Detail: "Auth holds the view token, not the trade token"}
	case errors.Is(err, claims.ErrExpired):
		return sessionEnded()
	}
	return &Error{Kind: KindSession, Detail: "Auth does not hold a valid trade token"}
}

// Logout ends a trade session. Refusals: those of CheckTrade.
func (s *Service) Logout(ctx context.Context, consumer Consumer, sid, auth string, caller Caller) error {
	event := Event{
		Time: s.Now(), Action: "logout", Consumer: consumer.Key, SID: WellFormedSID(sid),
		Address: caller.Address, RequestID: caller.RequestID,
	}
	session, err := s.CheckTrade(ctx, consumer, sid, auth, caller)
	if err != nil {
		if event.Outcome = logoutRefused(err); event.Outcome != "" {
			return s.refuse(ctx, event, err)
		}
		return err
	}
	event.Outcome, event.Account, event.UCC = "ok", session.Account, session.UCC
	err = s.Sessions.End(ctx, session.SID, session.TradeID, event)
	switch {
	case errors.Is(err, ErrNotFound):
		event.Outcome = noSuchSession
		return s.refuse(ctx, event, &Error{Kind: KindEnded, Detail: "the session has ended"})
	case err != nil:
		return StoreFault(err)
	}
	s.logged(ctx, event)
	s.closings.wake()
	return nil
}

const noSuchSession = "no such session"

// logoutRefused returns what the audit trail records of a logout that CheckTrade
// refused; nothing if no token was checked, or the service was at fault.
func logoutRefused(err error) (outcome string) {
	var refused *Error
	if !errors.As(err, &refused) {
		return ""
	}
	switch refused.Kind {
	case KindSession, KindTokenKind:
		return "token refused"
	case KindEnded:
		return noSuchSession
	}
	return ""
}
