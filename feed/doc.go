// Package feed has the service's live feeds: quotes as the market moves, and orders and
// positions as they change. A feed connects again after every break, with the session of
// the client's [neoapi.Keeper], and says what it missed: orders are read again and told
// without a loss, quotes start anew with a [Gap].
//
// Start with [Market] for quotes or [Orders] for an account's orders, and range over the
// feed's Updates. docs/feeds.md is the guide.
//
// Everything may be called from any goroutine, also from a callback or between two
// updates. No lock of the package is held while the program's code runs.
package feed
