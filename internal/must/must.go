// Package must ends a test at its first unexpected error, and decides what may be
// skipped. It is for tests only.
package must

import (
	"os"
	"testing"
)

// Skip skips a test that this machine cannot run, and says so. With CI=true, where
// nothing may be skipped, it fails the test.
func Skip(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("cannot be skipped, because CI=true: "+format, args...)
	}
	t.Skipf("NOT TESTED: "+format, args...)
}

// A TB is what the functions need of a test: a [testing.TB], or a rapid.T.
type TB interface {
	Helper()
	Fatal(args ...any)
}

// Do ends the test if err is not nil.
func Do(t TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Get gives what a function returned, and ends the test if that was an error:
//
//	s := must.Get(keeper.Session(ctx))(t)
func Get[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
