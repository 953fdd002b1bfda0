package trade

import (
	"errors"
	"fmt"

	"neoapi"
)

// A Rejection is an order, or a change of one, that the service, the broker's risk check
// or the exchange has refused. It is an [ErrRejected]. The same order is rejected again:
// nothing in this package tries it again.
type Rejection struct {
	Order  Order  // as it is now; its Number is "" if the order never got one
	Reason string // the exchange's words
	Code   string // the service's code if it refused the call itself, such as "1009", or ""
	Change bool   // a change or a cancel was refused: the order is as it was before
	Err    error  // the service's answer, an [*neoapi.Error], or nil

	cancel bool // it was a cancel
}

// Error returns one line such as
//
//	trade: order 261130000000007 was rejected: RMS:Margin Exceeds,Cash Available:4.04
func (e *Rejection) Error() string {
	line := "trade: the order"
	if e.Order.Number != "" {
		line = "trade: order " + e.Order.Number
	}
	switch {
	case e.Change && e.Order.Number == "": // of a position
		line = "trade: the conversion"
	case e.Change:
		line = "trade: a change of order " + e.Order.Number
		if e.cancel {
			line = "trade: the cancel of order " + e.Order.Number
		}
	}
	line += " was rejected"
	if e.Code != "" {
		line += " (code " + e.Code + ")"
	}
	if e.Reason != "" {
		line += ": " + e.Reason
	}
	switch {
	case e.Code == "1009" && !e.cancel:
		line += "; the service can name the wrong field: check price, quantity and lot too"
	case e.Code == "" && e.Change && e.Order.Number != "":
		line += "; it is " + e.Order.short()
	}
	return line
}

// Is reports whether target is [ErrRejected].
func (*Rejection) Is(target error) bool { return target == ErrRejected }

// Unwrap returns the service's answer.
func (e *Rejection) Unwrap() error { return e.Err }

// Unknown says that the answer to a call was lost, and that what became of it could not
// be found out in the context's time. It is an [ErrUnknown].
type Unknown struct {
	Op    string // place, modify, cancel, exit or convert
	Tag   string // of an order that was placed: look for it with [Client.Find]
	Order Order  // of an order that was to be changed: as it was when it was last seen
	Cause error  // why the answer was lost, or why the search ended
}

// Error returns one line that says what to do.
func (e *Unknown) Error() string {
	switch cause := unhinted(e.Cause); e.Op {
	case "place":
		return withName(fmt.Sprintf("place: whether the order with the tag %s was placed is not known: %s; look for the tag with Find, or in the order book, before you place it again", e.Tag, cause))
	case "convert":
		return withName(fmt.Sprintf("convert: whether it was carried out is not known: %s; read the positions before you do anything else", cause))
	default:
		return withName(fmt.Sprintf("%s of order %s: whether it was carried out is not known: %s; read the order before you do anything else", e.Op, e.Order.Number, cause))
	}
}

// Is reports whether target is [ErrUnknown].
func (*Unknown) Is(target error) bool { return target == ErrUnknown }

// Unwrap returns the cause.
func (e *Unknown) Unwrap() error { return e.Cause }

// short describes an order for an error.
func (o *Order) short() string {
	line := string(o.State)
	if line == "" {
		line = "accepted, and its state is not known yet"
	}
	if o.Quantity > 0 {
		line += fmt.Sprintf(", %d of %d filled", o.FilledQty, o.Quantity)
	}
	if !o.State.Final() && o.PriceType != "" {
		line += ", " + string(o.PriceType)
		if o.Trigger.Sign() > 0 {
			line += " with the trigger " + o.Trigger.String()
		}
		if o.Price.Sign() > 0 {
			line += " at " + o.Price.String()
		}
	}
	return line
}

// An answer is what is known of a call after an error of [neoapi.Client.Do].
type answer int

const (
	answered  answer = iota // it succeeded
	unsent                  // it never left this machine
	denied                  // the service said that it was not carried out
	duplicate               // the service said that the tag was used before
	lost                    // nothing says whether it was carried out
)

// codes of refusals.
const (
	codeTagUsed      = "32"
	codeTagUsedOnce  = "5204"
	codeNotAMO       = "14"
	codeFinal        = "1021"
	codeExecuted     = "1006"
	codeAddress      = "100008"
	codeAddressMoved = "1037"
)

// judge says what an error means for a call that is not repeatable.
func judge(err error) answer {
	if err == nil {
		return answered
	}
	e, ok := errors.AsType[*neoapi.Error](err)
	switch {
	case !ok:
		return lost
	case !e.Sent:
		return unsent
	case e.Status == 0 || e.Status/100 == 5 || e.Status/100 == 3:
		return lost
	case e.Code == codeTagUsed || e.Code == codeTagUsedOnce:
		return duplicate
	}
	switch e.Category {
	case neoapi.ErrTimeout, neoapi.ErrUnavailable, neoapi.ErrInternal, neoapi.ErrOMSDown, neoapi.ErrNetwork:
		return lost
	case neoapi.ErrSessionEnded, neoapi.ErrAccessToken, neoapi.ErrWrongToken, neoapi.ErrRateLimited, neoapi.ErrIPNotAllowed:
		return denied // at the door
	}
	if e.Code == "" { // not an answer of the protocol: a page, an empty or a cut body
		return lost
	}
	return denied
}

// refusal returns the error for a call that was refused.
func refusal(err error, order Order, change bool) error {
	e, ok := errors.AsType[*neoapi.Error](err)
	if !ok {
		return err
	}
	switch {
	case e.Code == codeAddress || e.Code == codeAddressMoved || e.Category == neoapi.ErrIPNotAllowed:
		return &addressRefused{e}
	case e.Category == neoapi.ErrSessionEnded || e.Category == neoapi.ErrAccessToken || e.Category == neoapi.ErrWrongToken || e.Category == neoapi.ErrRateLimited:
		return err
	}
	return &Rejection{Order: order, Reason: e.Message, Code: e.Code, Change: change, Err: err}
}

// addressRefused is an [ErrAddress] with the service's answer.
type addressRefused struct{ err *neoapi.Error }

func (e *addressRefused) Error() string {
	what := "register this program's address with the broker"
	if e.err.Code == codeAddressMoved {
		what = "the session was opened from another address: log in again from this one"
	}
	return "trade: " + ErrAddress.Error() + ": " + what + "; reads and feeds go on: " + e.err.Error()
}

func (e *addressRefused) Is(target error) bool { return target == ErrAddress }
func (e *addressRefused) Unwrap() error        { return e.err }
