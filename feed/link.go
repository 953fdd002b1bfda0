package feed

import (
	"context"
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
	protocol protocol
}

// A protocol is what is different between the feeds.
type protocol interface {
	// addresses returns where the feed is, for a session, best first; or ErrNoFeed.
	addresses(neoapi.Session) ([]string, error)
	// greet proves the session on a new connection: it sends the first frame and reads
	// frames until the answer is certain. Its error says which of the four kinds it is; a
	// *SessionError that the link has to confirm says so (doubtful).
	greet(ctx context.Context, c *wire, s neoapi.Session) error
	// up is called once greet has succeeded: it subscribes, or starts to reconcile.
	up(ctx context.Context, c *wire) error
	// frame is called with each frame; data is valid until it returns.
	frame(kind frameKind, data []byte, at time.Time) error
	// down is called when the connection has ended, before the next try.
	down(why error, at time.Time)
	// beat is what to send how often to stay alive, or nil, 0.
	beat() (text []byte, every time.Duration)
}

type frameKind int

const (
	textFrame frameKind = iota + 1
	binaryFrame
)

// A wire is one connection.
type wire struct{}

// run works until ctx is done or the feed is over, and returns why.
func (l *link) run(ctx context.Context) error { return errNotBuilt }

// write sends a text frame within a few seconds. It may be called from any goroutine.
func (w *wire) write(ctx context.Context, text []byte) error { return errNotBuilt }

// read returns the next frame; greet alone calls it. data is valid until the next call.
func (w *wire) read(ctx context.Context) (kind frameKind, data []byte, err error) {
	return 0, nil, errNotBuilt
}
