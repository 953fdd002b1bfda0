package telemetry

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// The store fails if, of the calls of one operation in the last seconds, at least so
// many failed, and at least half. Where there were no calls in the last seconds, because
// no requests come to a service that is not ready, those shortly before count.
const (
	recent      = 3 // seconds
	remembered  = 5
	failedLeast = 3
)

// failures counts the store's calls by operation. One kind of call may fail alone, when a
// right or a table is missing, while others that are more frequent succeed.
type failures struct {
	mu  sync.Mutex
	ops map[string]*[remembered]second
}

// A second has the calls that ended within one.
type second struct {
	unix       int64
	ok, failed int
	cause      error // of the last one that failed
}

// beside are the operations of metrics, of tidying up, and of the rehearsal itself: requests do not depend on
// them.
var beside = map[string]bool{
	"count": true, "jobs": true, "sweep": true, "drop_expired": true, "key_in_use": true, "sample_accounts": true,
	"list_accounts": true, "list_consumers": true, "events": true, "last_event": true, "rehearse": true,
}

// add counts a call that ended now.
func (f *failures) add(op, outcome string, err error, now time.Time) {
	if beside[op] || outcome == "cancelled" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ops == nil {
		f.ops = map[string]*[remembered]second{}
	}
	seconds := f.ops[op]
	if seconds == nil {
		seconds = &[remembered]second{}
		f.ops[op] = seconds
	}
	s := &seconds[now.Unix()%remembered]
	if s.unix != now.Unix() {
		*s = second{unix: now.Unix()}
	}
	if outcome != "failed" {
		s.ok++
		return
	}
	s.failed++
	s.cause = err
}

// failing returns an error if the store fails.
func (f *failures) failing(now time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []error
	for op, seconds := range f.ops {
		var lately, before second
		for _, s := range seconds {
			switch age := now.Unix() - s.unix; {
			case age < recent:
				lately.add(s)
			case age < remembered:
				before.add(s)
			}
		}
		x := lately
		if lately.ok+lately.failed == 0 {
			x = before
		}
		if x.failed >= failedLeast && x.failed >= x.ok {
			all = append(all, fmt.Errorf("%s: %d of the last %d calls failed: %w", op, x.failed, x.ok+x.failed, x.cause))
		}
	}
	return errors.Join(all...)
}

func (s *second) add(x second) {
	s.ok += x.ok
	s.failed += x.failed
	if x.cause != nil && x.unix >= s.unix {
		s.unix, s.cause = x.unix, x.cause
	}
}
