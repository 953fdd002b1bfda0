package feed

import (
	"context"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// A life is that of a feed: its constructor begins it, Close or the end of the
// constructor's context ends it.
type life struct {
	ctx    context.Context
	end    context.CancelCauseFunc
	tasks  atomic.Int32 // goroutines
	abroad atomic.Int32 // those of them that are in the program's code
}

func newLife(ctx context.Context) *life {
	l := &life{}
	l.ctx, l.end = context.WithCancelCause(ctx)
	return l
}

// start runs f, which ends when l.ctx is done, in a goroutine of the feed.
func (l *life) start(f func()) {
	l.tasks.Add(1)
	go func() {
		defer l.tasks.Add(-1)
		f()
	}()
}

// call calls code of the program from a goroutine of the feed. Its error is a
// *ProgramError for a panic. Code that ends its goroutine, as a test's FailNow does, ends
// the feed.
func (l *life) call(f func()) (err error) {
	returned := false
	l.abroad.Add(1)
	defer l.abroad.Add(-1)
	defer func() {
		if v := recover(); v != nil {
			err = &ProgramError{Value: v, Stack: debug.Stack()}
		} else if !returned {
			l.end(&ProgramError{Value: "it ended the feed's goroutine", Stack: debug.Stack()})
		}
	}()
	f()
	returned = true
	return nil
}

// close ends the life, and returns when nothing is left of it but what the program's code
// holds up: it may be that code which calls.
func (l *life) close() error {
	l.end(ErrClosed)
	for began := time.Now(); l.tasks.Load() > l.abroad.Load() && time.Since(began) < 900*time.Millisecond; {
		time.Sleep(time.Millisecond)
	}
	return nil
}
