package store

import "time"

// Waiting says what an Open does that finds the database held by another process: by
// one that migrates it, or has its locks or all its connections. A store in a file does the
// same for each change.
type Waiting struct {
	Limit  time.Duration     // how long it waits before it gives up; 0 means DefaultWait
	Notify func(what string) // called at most once, after NotifyAfter, with what it waits for; may be nil
}

// DefaultWait is the limit of a Waiting that says none; NotifyAfter is how long one
// waits without a word.
const (
	DefaultWait = time.Minute
	NotifyAfter = 2 * time.Second
)

// Of returns the first of those given, complete.
func Of(given []Waiting) Waiting {
	var w Waiting
	if len(given) > 0 {
		w = given[0]
	}
	if w.Limit == 0 {
		w.Limit = DefaultWait
	}
	if w.Notify == nil {
		w.Notify = func(string) {}
	}
	return w
}

// A HeldError is what an Open returns that has waited for its limit.
type HeldError struct {
	For time.Duration
	By  string // who or what has the database
	Err error
}

func (e *HeldError) Error() string {
	return "gave up after " + e.For.String() + " of waiting for " + e.By + " (end that, or wait longer with --lock-wait): " + e.Err.Error()
}

func (e *HeldError) Unwrap() error { return e.Err }
