// Package credential has the pure functions that deal with secrets: hashing of
// passwords and MPINs, one-time codes, TOTP, and the vault, which encrypts values
// that must be read back and hashes with a key those that are only compared.
//
// Nothing here keeps state, reads a clock or accesses a store.
package credential

import (
	"fmt"
	"io"
	"log/slog"
)

// hidden is what every print of a Secret shows.
const hidden = "[hidden]"

// A Secret is a password, MPIN, one-time code or consumer secret on its way
// through the service. It prints as "[hidden]" with every verb that asks its
// operand, as a value in JSON, and in logs (security.md L1); convert it to a string to use
// it. As the key of a map encoding/json would print it: do not make it one.
type Secret string

// Format implements [fmt.Formatter].
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// MarshalText implements [encoding.TextMarshaler]; JSON uses it too.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue implements [slog.LogValuer].
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }
