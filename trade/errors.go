package trade

import "errors"

// What can become of a call, beside the errors of package neoapi, which are returned as
// they are: compare with [errors.Is].
var (
	ErrInvalid    = errors.New("the order breaks a rule of its instrument")           // nothing was sent; an [*Invalid]
	ErrRejected   = errors.New("the order was rejected")                              // by the service, the broker's risk check or the exchange; a [*Rejection]
	ErrNotPlaced  = errors.New("the order was not placed")                            // its answer was lost, and it is not in the book: see [Client.Place]
	ErrUnknown    = errors.New("whether the order was placed could not be found out") // an [*Unknown], which says what to do
	ErrNotFound   = errors.New("there is none")                                       // an instrument, order or quote that the service does not have
	ErrNotOffered = errors.New("the service does not offer this")
	ErrAddress    = errors.New("orders are not allowed from this address") // codes 100008 and 1037; reads and feeds go on
)
