//go:build openssl && !cgo

package token

var _ int = "the tag openssl needs cgo: set CGO_ENABLED=1 and install a C compiler"
