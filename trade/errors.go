package trade

import (
	"errors"
	"fmt"
	"strings"

	"neoapi"
)

// What can become of a call, beside the errors of package neoapi, which are returned as
// they are: compare with [errors.Is]. The text of every error that this package makes
// begins with "trade: ".
var (
	ErrInvalid    = errors.New("what was given breaks a rule")                        // nothing was sent; an [*Invalid]
	ErrRejected   = errors.New("the order was rejected")                              // by the service, the broker's risk check or the exchange; a [*Rejection]
	ErrNotPlaced  = errors.New("the order was not placed")                            // its answer was lost, and it is not in the book: see [Client.Place]
	ErrUnknown    = errors.New("whether the order was placed could not be found out") // an [*Unknown], which says what to do
	ErrNotFound   = errors.New("not found")                                           // an instrument, order or quote that the service does not have
	ErrNotOffered = errors.New("the service does not offer this")
	ErrAddress    = errors.New("orders are not allowed from this address") // codes 100008 and 1037; reads and feeds go on
)

// errorf is [fmt.Errorf] for the errors of this package: with its name in front, once,
// whatever the errors are that it wraps.
func errorf(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &named{withName(err.Error()), err}
}

// A named error is another one whose text begins with the package's name.
type named struct {
	text string
	err  error
}

func (e *named) Error() string { return e.text }
func (e *named) Unwrap() error { return e.err }

// withName puts the package's name in front of an error's text, and removes it elsewhere.
func withName(text string) string {
	return "trade: " + inner.Replace(strings.TrimPrefix(text, "trade: "))
}

var inner = strings.NewReplacer(": trade: ", ": ", "(trade: ", "(", "\ntrade: ", "; ", "\n", "; ")

// noSuch returns an [ErrNotFound] that says in full what there is not. Its cause, if it has
// one, is found by errors.As, and says no more than that.
func noSuch(cause error, format string, args ...any) error {
	return &absent{withName(fmt.Sprintf(format, args...)), cause}
}

type absent struct {
	text  string
	cause error
}

func (e *absent) Error() string        { return e.text }
func (e *absent) Is(target error) bool { return target == ErrNotFound }
func (e *absent) Unwrap() error        { return e.cause }

// resolved returns the error of a call whose answer was lost, once it is known what became of
// the call: the advice to find that out no longer applies.
func resolved(err error) error {
	e, ok := err.(*neoapi.Error) //nolint:errorlint // an error around it has words of its own
	if !ok || e.Retry != neoapi.RetryCheckFirst {
		return err
	}
	known := *e
	known.Hint, known.Retry = "", neoapi.RetrySame
	return &known
}

// unhinted returns the text of an error without the advice of neoapi's, for an error that
// gives its own.
func unhinted(err error) string {
	if err == nil {
		return "no answer says so"
	}
	text := err.Error()
	if e, ok := errors.AsType[*neoapi.Error](err); ok && e.Hint != "" {
		text = strings.ReplaceAll(text, "; "+e.Hint, "")
	}
	return text
}
