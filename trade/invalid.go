package trade

import "strings"

// Invalid says why a call was not made: what it was given, such as a field of an order,
// breaks a rule of its instrument or of the service. It is an [ErrInvalid].
type Invalid struct {
	Field   string   // such as "quantity", "price" or "trigger"
	Value   string   // what it is; "" if it is missing
	Problem string   // what is wrong with it, to be read after field and value
	Nearest []string // the nearest values that would do, if there are any
}

// Error returns one line such as
//
//	trade: price 100.07 is not a multiple of the tick 0.05: use 100.05 or 100.10
func (e *Invalid) Error() string {
	line := "trade: " + e.Field
	if e.Value != "" {
		line += " " + e.Value
	}
	line += " " + e.Problem
	if len(e.Nearest) > 0 {
		line += ": use " + strings.Join(e.Nearest, " or ")
	}
	return line
}

// Is reports whether target is [ErrInvalid].
func (*Invalid) Is(target error) bool { return target == ErrInvalid }
