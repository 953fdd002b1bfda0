package feed

import "time"

// Hasty makes a feed wait less than it says, by a factor, so that a test does not.
func Hasty(times time.Duration) Option { return func(o *options) { o.haste = times } }
