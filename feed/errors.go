package feed

import "errors"

// What a feed ends with, or refuses. Every error that comes with an update is also one of
// the four kinds below, which errors.As tells apart.
var (
	ErrNoFeed       = errors.New("the session names no feed")    // log in by TOTP and MPIN: only sessions of generation 3 have the market feed
	ErrSessionEnded = errors.New("the session has ended")        // and there is no other one
	ErrTooMany      = errors.New("too many instruments")         // more than the account may subscribe
	ErrSlow         = errors.New("the program reads too slowly") // orders would have to be dropped
	ErrClosed       = errors.New("the feed is closed")           // by Close, or by the end of its context
)

// A ConnectionError is a failure of the network, or of the service: the feed connects
// again by itself.
type ConnectionError struct{ Err error }

// A ProtocolError is something that the service sent and that cannot be understood.
type ProtocolError struct{ Err error }

// A SessionError is the service's word that it does not take a session any more, or the
// failure to get another one.
type SessionError struct{ Err error }

// A ProgramError is a panic of the program's callback.
type ProgramError struct {
	Value any // what it panicked with
	Stack []byte
}
