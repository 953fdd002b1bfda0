package feed

import "io"

// This file has what is not built yet. Who builds a thing deletes it here.

// Record writes what comes to w: see docs/feeds.md for the form. (record.go)
func Record(w io.Writer) Option { return func(o *options) { o.record = w } }
