package neoapi_test

import (
	"fmt"
	"os"
	"testing"

	"neoapi/neoapitest"
)

// A stage is as much of a test as a service for an example needs.
type stage struct {
	testing.TB
	after []func()
}

func (*stage) Helper()                         {}
func (s *stage) Cleanup(f func())              { s.after = append(s.after, f) }
func (*stage) Fatal(args ...any)               { panic(fmt.Sprint(args...)) }
func (*stage) Fatalf(text string, a ...any)    { panic(fmt.Sprintf(text, a...)) }
func (*stage) Errorf(text string, args ...any) { panic(fmt.Sprintf(text, args...)) }

func (s *stage) TempDir() string {
	dir, err := os.MkdirTemp("", "neoapi-example")
	if err != nil {
		panic(err)
	}
	s.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// sandbox starts the service for an example, and gives it a directory.
func sandbox(opts ...neoapitest.Option) (srv *neoapitest.Server, dir string, stop func()) {
	s := new(stage)
	srv, dir = neoapitest.NewServer(s, opts...), s.TempDir()
	return srv, dir, func() {
		for i := len(s.after) - 1; i >= 0; i-- {
			s.after[i]()
		}
	}
}
