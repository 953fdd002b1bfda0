package httpapi

import (
	"context"
	"errors"
	"sync"
	"time"

	"neoapi/internal/login"
)

const (
	streamSize     = 64 << 10               // an answer that is longer, or of unknown length, is a stream
	streamCheck    = 500 * time.Millisecond // how often the sessions of streams are checked (security.md S4)
	streamTrust    = 10 * time.Second       // how long streams go on while the store does not answer
	streamsAtOnce  = 16                     // of one session
	streamsChecked = 8                      // sessions checked concurrently
	streamsLook    = 3 * time.Second        // at all of them
)

// Streams are the open WebSockets and long answers, which end when their session
// does. The zero value has none.
type streams struct {
	mu    sync.Mutex
	ended bool
	of    map[string]*streaming // by sid
	busy  sync.WaitGroup
}

// streaming has the running answers of one session.
type streaming struct {
	session login.Session
	stood   time.Time // when the session was last seen alive
	all     map[*passage]bool
}

var (
	errEnded   = errors.New("the session has ended")
	errUnknown = errors.New("the store has not confirmed the session for too long")
	errStops   = errors.New("the service is stopping")
)

// add watches an answer. One that stays open indefinitely ends with the service; the
// number of these is limited.
func (s *streams) add(p *passage, stays bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[string]*streaming{}
	}
	sid := p.call.session.SID
	x := s.of[sid]
	if x == nil {
		x = &streaming{session: p.call.session, stood: time.Now(), all: map[*passage]bool{}}
		s.of[sid] = x
	}
	switch {
	case stays && s.ended:
		return &login.Error{Kind: login.KindUnavailable, Detail: "the service is about to stop: connect again", RetryAfter: upstreamRetry, Err: errStops}
	case len(x.all) >= streamsAtOnce:
		return &login.Error{Kind: login.KindTooSoon, Detail: "this session has too many streams open: close one", RetryAfter: upstreamRetry}
	}
	s.busy.Add(1)
	x.all[p] = stays
	return nil
}

// remove records the end of a call, watched or not.
func (s *streams) remove(p *passage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.of[p.call.session.SID]
	if x == nil {
		return
	}
	if _, watched := x.all[p]; watched {
		delete(x.all, p)
		s.busy.Done()
	}
	if len(x.all) == 0 {
		delete(s.of, p.call.session.SID)
	}
}

// check checks the session of every stream.
func (s *streams) check(ctx context.Context, svc *login.Service) {
	s.mu.Lock()
	all := make(chan *streaming, len(s.of))
	for _, x := range s.of {
		all <- x
	}
	s.mu.Unlock()
	close(all)
	// A store that does not answer is waited for once, not for each session.
	ctx, cancel := context.WithTimeout(ctx, streamsLook)
	defer cancel()
	var checks sync.WaitGroup
	for range min(streamsChecked, len(all)) {
		checks.Go(func() {
			for x := range all {
				s.look(ctx, svc, x)
			}
		})
	}
	checks.Wait()
}

func (s *streams) look(ctx context.Context, svc *login.Service, x *streaming) {
	ctx, cancel := login.WithPatience(ctx)
	defer cancel()
	stands, err := svc.Stands(ctx, x.session)
	s.mu.Lock()
	defer s.mu.Unlock()
	why := errEnded
	switch {
	case err == nil && stands:
		x.stood = time.Now()
		return
	case err != nil && time.Since(x.stood) < streamTrust && svc.Now().Before(x.session.Expires):
		return
	case err != nil:
		why = errUnknown
	}
	for p := range x.all {
		p.cancel(why)
	}
}

// end ends answers that stay open, and lets no more of them begin.
func (s *streams) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for _, x := range s.of {
		for p, stays := range x.all {
			if stays {
				p.cancel(errStops)
			}
		}
	}
}
