package testserver

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// Example returns a stand-in for the testing.TB of an example, which has none: a failure
// panics. end does what a test's end does.
func Example() (t testing.TB, end func()) {
	e := &example{}
	return e, func() {
		for i := len(e.after) - 1; i >= 0; i-- {
			e.after[i]()
		}
	}
}

type example struct {
	testing.TB
	after []func()
}

func (*example) Helper()                      {}
func (*example) Context() context.Context     { return context.Background() }
func (t *example) Cleanup(f func())           { t.after = append(t.after, f) }
func (*example) Fatal(args ...any)            { panic(fmt.Sprint(args...)) }
func (*example) Fatalf(text string, a ...any) { panic(fmt.Sprintf(text, a...)) }
func (*example) Errorf(text string, a ...any) { panic(fmt.Sprintf(text, a...)) }

func (t *example) TempDir() string {
	dir, err := os.MkdirTemp("", "neo-example")
	if err != nil {
		panic(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
