package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"neoapi"
	"neoapi/trade"
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
	unproved  int  // connections in a row to the address that proved no session
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
	// down is called when a connection has ended or could not be had, before the next try. A
	// refusal is followed by the end of the feed if there is no other session: run returns
	// what the feed ends with.
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
		what := "feed: not connected"
		if l.tries.connected() {
			what = "feed: the connection is lost"
		}
		wait := l.tries.failed()
		l.opts.log.LogAttrs(ctx, slog.LevelWarn, what, slog.Any("why", why), slog.Duration("again", wait))
		l.protocol.down(why, l.client.Now().In(trade.IST))
		if _, refused := errors.AsType[*SessionError](why); refused {
			switch err := l.renew(ctx); {
			case final(err):
				l.opts.log.LogAttrs(ctx, slog.LevelWarn, "feed: it is over", slog.Any("why", err))
				return err
			case err == nil:
				wait = 0 // of two in a row that are refused the feed ends
			}
		}
		if pause(ctx, wait) != nil {
			return closed(ctx)
		}
	}
}

// renew asks for another session in place of one that was refused, which may take as long
// as a person takes to log in.
func (l *link) renew(ctx context.Context) error {
	if _, err := l.sessions.get(ctx); err != nil {
		return err
	}
	l.opts.log.LogAttrs(ctx, slog.LevelInfo, "feed: it has another session")
	return nil
}

// final reports whether a feed ends with an error.
func final(err error) bool {
	_, program := errors.AsType[*ProgramError](err)
	session, ok := errors.AsType[*SessionError](err)
	return program || ok && session.final || errors.Is(err, ErrSlow) || errors.Is(err, ErrTooMany)
}

// closed returns the error of a feed whose context is done: its cause, if that is one of the
// four kinds.
func closed(ctx context.Context) error {
	cause := context.Cause(ctx)
	if ours(cause) {
		return cause
	}
	return fmt.Errorf("%w: %w", ErrClosed, cause)
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
		err = l.judge(ctx, s, err, false)
		if l.elsewhere(err, 0); !l.sendable && len(l.addresses) == 0 {
			return noFeed(fmt.Errorf("%w: %w", ErrNoFeed, bare(err)))
		}
		return err
	}
	defer w.drop()
	if err := l.greet(w, s); err != nil {
		err = l.judge(ctx, s, err, true)
		l.elsewhere(err, 1) // twice: the order feed's first frame has two forms
		return err
	}
	l.unproved = 0
	l.tries.up()
	l.stats.connections.Add(1)
	l.opts.log.LogAttrs(ctx, slog.LevelInfo, "feed: connected", slog.String("host", w.host))
	w.keep(l.protocol.beat(s))
	l.followRenewals(w)
	if err := l.protocol.up(w.ctx, w); err != nil {
		return l.judge(ctx, s, err, false)
	}
	err = l.listen(w)
	if _, refused := errors.AsType[*SessionError](err); !refused || l.tries.lived() {
		l.sessions.lasted()
	}
	return l.judge(ctx, s, err, false)
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
	l.token, l.sendable, l.unproved = s.Token, false, 0
	if err == nil && len(l.addresses) == 0 {
		err = ErrNoFeed
	}
	return noFeed(err)
}

// noFeed makes an [ErrNoFeed] one of the four kinds.
func noFeed(err error) error {
	if errors.Is(err, ErrNoFeed) {
		return &SessionError{Err: err, final: true}
	}
	return err
}

// elsewhere makes the next try go to another address, unless it was the session that was
// refused, or the address has not failed so often before. After the last one the addresses
// are asked for anew.
func (l *link) elsewhere(err error, before int) {
	if !errors.Is(err, neoapi.ErrInvalidInput) { // an address that does not belong to the service
		l.sendable = true
	}
	if _, session := errors.AsType[*SessionError](err); session {
		return
	}
	if l.unproved++; l.unproved > before {
		l.addresses, l.unproved = l.addresses[1:], 0
	}
}

func (l *link) greet(w *wire, s neoapi.Session) error {
	ctx, cancel := context.WithTimeoutCause(w.ctx, answerLimit, &SessionError{Err: fmt.Errorf("%s did not answer the first frame for %v", w.host, answerLimit), doubtful: true})
	defer cancel()
	return l.protocol.greet(ctx, w, s)
}

// followRenewals ends a connection whose session the client has replaced, because its
// Keeper renewed it or the program logged in again: the old one may be silent from then on.
// A source that is not the client's is asked only when the connection has ended: it may
// have to log in for an answer.
func (l *link) followRenewals(w *wire) {
	if now, ok := l.client.Session(); !ok || now.Token != w.session.Token {
		return
	}
	w.every(lookLimit/l.opts.haste, func() {
		if now, ok := l.client.Session(); ok && now.Token != w.session.Token {
			w.end(&ConnectionError{Err: errors.New("the session was renewed, and the new one needs a connection of its own")})
		}
	})
}

// lookLimit is how long a renewed session may go unnoticed.
const lookLimit = 2 * time.Second

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

// judge returns what an error means for the session: of a refusal, a *SessionError, it has
// told the session's source. A refusal that is doubtful, or the second in a row, and with
// greeting any end before the answer, is one only if the trade API confirms it.
func (l *link) judge(ctx context.Context, s neoapi.Session, err error, greeting bool) error {
	if ctx.Err() != nil || final(err) {
		return err
	}
	refusal, refused := errors.AsType[*SessionError](err)
	if refused && (refusal.doubtful || l.sessions.doubts(s)) || !refused && greeting {
		if !l.sessions.dead(ctx, s) {
			if refused {
				return &ConnectionError{Err: refusal.Err}
			}
			return err
		}
		err, refused = &SessionError{Err: fmt.Errorf("%w, and the session has ended", bare(err))}, true
	}
	if !refused {
		return err
	}
	l.sessions.ended(s)
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

func (t *tries) connected() bool { return !t.since.IsZero() }

// lived reports whether the present connection has lived for long.
func (t *tries) lived() bool { return t.connected() && time.Since(t.since) >= longLife/t.haste }

// failed notes that a connection ended or could not be had, and returns how long to wait.
func (t *tries) failed() time.Duration {
	if t.lived() {
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
	return (wait - rand.N(wait/5)) / t.haste // so that not all clients come at once
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
