package feed

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"neoapi"
)

// sessions gives the links of a feed their session, and sees to it that none uses one
// that the service has refused.
type sessions struct {
	client *neoapi.Client
	source neoapi.SessionSource

	mu      sync.Mutex
	had     bool            // there was a session
	refused map[string]bool // by token
	inARow  int             // sessions refused since one lasted
}

func newSessions(c *neoapi.Client, o *options) *sessions {
	source := o.sessions
	if source == nil {
		source = c.Sessions()
	}
	return &sessions{client: c, source: source, refused: map[string]bool{}}
}

// get returns a session that the service has not refused. Its error is a *SessionError that
// is final, which is an [ErrSessionEnded] if there was a session before, or a
// *ConnectionError if another one may be had later.
func (s *sessions) get(ctx context.Context) (neoapi.Session, error) {
	s.mu.Lock()
	had, inARow := s.had, s.inARow
	s.mu.Unlock()
	none := func(why error) (neoapi.Session, error) {
		return neoapi.Session{}, &SessionError{Err: why, final: true}
	}
	if inARow > 1 { // the one that replaced it, too
		return none(fmt.Errorf("%w (two in a row were refused)", ErrSessionEnded))
	}
	session, err := s.source.Session(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return neoapi.Session{}, closed(ctx)
	case err != nil && mayPass(err):
		return neoapi.Session{}, &ConnectionError{Err: fmt.Errorf("no session could be had: %w", err)}
	case err != nil && had:
		return none(fmt.Errorf("%w: %w", ErrSessionEnded, err))
	case err != nil:
		return none(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.had = true
	if s.refused[session.Token] {
		return none(ErrSessionEnded)
	}
	return session, nil
}

// mayPass reports whether the failure of a login says nothing about the account.
func mayPass(err error) bool {
	for _, passing := range []neoapi.Category{
		neoapi.ErrNetwork, neoapi.ErrRateLimited, neoapi.ErrOMSDown, neoapi.ErrTimeout, neoapi.ErrUnavailable, neoapi.ErrInternal,
	} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}

// ended notes that the service has refused a session.
func (s *sessions) ended(session neoapi.Session) {
	s.mu.Lock()
	again := s.refused[session.Token]
	if !again {
		s.refused[session.Token] = true
		s.inARow++
	}
	s.mu.Unlock()
	if !again { // each of a feed's links finds out
		s.source.Ended(session)
	}
}

// doubts reports whether a refusal of a session has to be confirmed: it is the one in place
// of a session that was refused too, and the next login would be the second in a row.
func (s *sessions) doubts(session neoapi.Session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inARow > 0 && !s.refused[session.Token]
}

// lasted notes that the service has taken a session, and not refused it soon after: one
// that does so with each would make somebody log in again and again.
func (s *sessions) lasted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inARow = 0
}

// dead reports whether the service says, when asked for something small, that a session
// has ended. It is false where that cannot be found out.
func (s *sessions) dead(ctx context.Context, session neoapi.Session) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	only := &one{session: session}
	form := url.Values{"jData": {`{"seg":"ALL","exch":"ALL","prod":"ALL"}`}}
	err := s.client.Do(ctx, http.MethodPost, "/quick/user/limits", form, nil, neoapi.WithKeeper(only), neoapi.AnswerWithin(5*time.Second))
	if only.isOver() {
		return true
	}
	e, ok := errors.AsType[*neoapi.Error](err)
	// A 403 without a code of the service is a proxy's.
	return ok && e.Category == neoapi.ErrSessionEnded && (e.Status == http.StatusUnauthorized || e.Code != "")
}

// one is a source of one session.
type one struct {
	session neoapi.Session
	mu      sync.Mutex
	over    bool
}

func (o *one) Session(context.Context) (neoapi.Session, error) {
	if o.isOver() {
		return neoapi.Session{}, ErrSessionEnded
	}
	return o.session, nil
}

func (o *one) Ended(neoapi.Session) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.over = true
}

func (o *one) isOver() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.over
}
