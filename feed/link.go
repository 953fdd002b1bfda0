package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"neoapi"
)

// A link keeps a connection to one address of a feed: it dials, proves the session,
// beats, reads, and after a break does so again, by the rules of the package. All that it
// calls of its protocol it calls from one goroutine, one after the other, with no lock
// held.
type link struct {
	client   *neoapi.Client
	opts     *options
	sessions *sessions
	protocol protocol

	session   *neoapi.Session // the one to use next, if it is known already
	addresses []string        // of the session whose token follows, the next one to try first
	token     string
	sendable  bool // whether anything may be sent to one of the addresses tried
	tries     tries
	stats     *counters
}

// A protocol is what is different between the feeds.
type protocol interface {
	// addresses returns where the feed is, for a session, best first; or ErrNoFeed.
	addresses(context.Context, neoapi.Session) ([]string, error)
	// greet proves the session on a new connection: it sends the first frame and reads
	// frames until the answer is certain, or until ctx is done, which is ten seconds from
	// the start. It returns a *SessionError for a refusal, a *ProtocolError for an answer
	// that is none, and any error of write and read as it is. Whether a close or silence
	// means that the session has ended the link finds out.
	greet(context.Context, *wire, neoapi.Session) error
	// up is called once greet has succeeded: it subscribes, or starts to reconcile. ctx is
	// done when the connection has ended.
	up(ctx context.Context, w *wire) error
	// frame is called with each frame; data is valid until it returns. While it runs
	// nothing is read, so it must not wait for the program. A *SessionError is a refusal; an
	// error that wraps ErrSlow or a *ProgramError ends the feed; any other breaks the
	// connection, and there is another one.
	frame(kind frameKind, data []byte, at time.Time) error
	// down is called when a connection has ended or could not be had, before the next try,
	// but not when that is the end of the feed: this run returns.
	down(why error, at time.Time)
	// beat is how to keep the connection alive.
	beat(neoapi.Session) beat
}

func newLink(c *neoapi.Client, o *options, s *sessions, p protocol) *link {
	return &link{client: c, opts: o, sessions: s, protocol: p, tries: tries{haste: o.haste}, stats: &counters{}}
}

// prepare finds out what can be known at once: whether there is a session, and whether it
// names the feed. The network's failures are no error here: run meets them again.
func (l *link) prepare(ctx context.Context) error {
	s, err := l.sessions.get(ctx)
	if err == nil {
		l.session = &s
		err = l.locate(ctx, s)
	}
	if _, passing := errors.AsType[*ConnectionError](err); passing {
		return nil
	}
	return err
}

// run works until ctx is done or the feed is over, and returns why.
func (l *link) run(ctx context.Context) error {
	for {
		why := l.try(ctx)
		if ctx.Err() != nil {
			return closed(ctx)
		}
		if final(why) {
			l.opts.log.LogAttrs(ctx, slog.LevelWarn, "feed: it is over", slog.Any("why", why))
			return why
		}
		wait := l.tries.failed()
		l.opts.log.LogAttrs(ctx, slog.LevelWarn, "feed: not connected", slog.Any("why", why), slog.Duration("again", wait))
		l.protocol.down(why, l.client.Now())
		if pause(ctx, wait) != nil {
			return closed(ctx)
		}
	}
}

// final reports whether a feed ends with an error.
func final(err error) bool {
	_, program := errors.AsType[*ProgramError](err)
	return program || errors.Is(err, ErrSessionEnded) || errors.Is(err, ErrNoFeed) || errors.Is(err, ErrSlow) || errors.Is(err, ErrTooMany)
}

// closed returns the error of a feed whose context is done.
func closed(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(cause, ErrClosed) {
		return fmt.Errorf("%w: %w", ErrClosed, cause)
	}
	return ErrClosed
}

// try opens one connection, and returns why it ended or could not be had.
func (l *link) try(ctx context.Context) error {
	s, err := l.next(ctx)
	if err != nil {
		return err
	}
	if err := l.locate(ctx, s); err != nil {
		return err
	}
	w, err := dial(ctx, l.client, l.addresses[0], s)
	if err != nil {
		if l.elsewhere(err); !l.sendable && len(l.addresses) == 0 {
			return fmt.Errorf("%w: %w", ErrNoFeed, err)
		}
		return l.judge(ctx, s, err, false)
	}
	l.sendable = true
	defer w.drop()
	if err := l.greet(w, s); err != nil {
		l.elsewhere(err)
		return l.judge(ctx, s, err, true)
	}
	l.sessions.taken()
	l.tries.up()
	l.stats.connections.Add(1)
	l.opts.log.LogAttrs(ctx, slog.LevelInfo, "feed: connected", slog.String("host", w.host))
	w.keep(l.protocol.beat(s))
	if err := l.protocol.up(w.ctx, w); err != nil {
		return l.judge(ctx, s, err, false)
	}
	return l.judge(ctx, s, l.listen(w), false)
}

// next returns the session to use.
func (l *link) next(ctx context.Context) (s neoapi.Session, err error) {
	if l.session != nil {
		s, l.session = *l.session, nil
		return s, nil
	}
	return l.sessions.get(ctx)
}

// locate finds the feed's addresses, unless they are known.
func (l *link) locate(ctx context.Context, s neoapi.Session) (err error) {
	if len(l.addresses) > 0 && l.token == s.Token {
		return nil
	}
	l.addresses, err = l.protocol.addresses(ctx, s)
	l.token, l.sendable = s.Token, false
	if err == nil && len(l.addresses) == 0 {
		err = ErrNoFeed
	}
	return err
}

// elsewhere makes the next try go to another address, unless it was the session that was
// refused. After the last one the addresses are asked for anew.
func (l *link) elsewhere(err error) {
	if !errors.Is(err, neoapi.ErrInvalidInput) { // an address that does not belong to the service
		l.sendable = true
	}
	if _, session := errors.AsType[*SessionError](err); !session {
		l.addresses = l.addresses[1:]
	}
}

func (l *link) greet(w *wire, s neoapi.Session) error {
	ctx, cancel := context.WithTimeoutCause(w.ctx, answerLimit, &SessionError{Err: fmt.Errorf("%s did not answer the first frame for %v", w.host, answerLimit), doubtful: true})
	defer cancel()
	return l.protocol.greet(ctx, w, s)
}

// listen reads until the connection ends, and returns why.
func (l *link) listen(w *wire) error {
	for {
		kind, data, err := w.next()
		if err != nil {
			return err
		}
		if w.parting.Load() {
			continue
		}
		l.stats.frames.Add(1)
		l.stats.bytes.Add(int64(len(data)))
		w.busy.Store(true)
		err = l.protocol.frame(kind, data, l.client.Now())
		w.busy.Store(false)
		if err != nil {
			return err
		}
	}
}

// judge returns what an error means for the session: of a refusal it tells the session's
// source, and asks it for another. A refusal that is doubtful, and with greeting any end
// before the answer, is one only if the trade API confirms it.
func (l *link) judge(ctx context.Context, s neoapi.Session, err error, greeting bool) error {
	if ctx.Err() != nil || final(err) {
		return err
	}
	refusal, refused := errors.AsType[*SessionError](err)
	if refused && refusal.doubtful || !refused && greeting {
		if !l.sessions.dead(ctx, s) {
			if refused {
				return &ConnectionError{Err: refusal.Err}
			}
			return err
		}
		err, refused = &SessionError{Err: fmt.Errorf("%w; the session has ended", err)}, true
	}
	if !refused {
		return err
	}
	l.sessions.ended(s)
	another, none := l.sessions.get(ctx)
	if none != nil {
		return none
	}
	l.session = &another
	l.opts.log.LogAttrs(ctx, slog.LevelInfo, "feed: it has another session", slog.Any("why", err))
	return err
}

// tries spaces the tries to connect: at once after the first failure, then after waits
// that double.
type tries struct {
	failures int
	since    time.Time // when the present connection was made, if there is one
	haste    time.Duration
}

const (
	firstWait = 500 * time.Millisecond
	lastWait  = 30 * time.Second
	longLife  = 30 * time.Second // of a connection, after which the waits begin anew
)

func (t *tries) up() { t.since = time.Now() }

// failed notes that a connection ended or could not be had, and returns how long to wait.
func (t *tries) failed() time.Duration {
	if !t.since.IsZero() && time.Since(t.since) >= longLife/t.haste {
		t.failures = 0
	}
	t.since = time.Time{}
	t.failures++
	if t.failures == 1 {
		return 0
	}
	wait := lastWait
	if doublings := t.failures - 2; doublings < 6 {
		wait = firstWait << doublings
	}
	return (wait - rand.N(wait/4)) / t.haste // so that not all clients come at once
}

// pause waits, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
