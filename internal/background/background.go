// Package background runs work that must not keep others waiting.
package background

import "runtime"

// Run runs f on a thread of low priority, where the system has such, and returns
// when it is done. f must not start goroutines that outlive it.
//
// The Go scheduler knows no priorities: it gives every goroutine its turn, which
// for one that computes lasts 10 ms. The system's scheduler does, so the thread is
// its business; [Room] sees to it that Go does not hold it back.
func Run(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		lower()
		f()
	}()
	<-done
}

// Room lets n calls of Run compute beside as much other work as there are
// processors. A program calls it once, at its start.
func Room(n int) { runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + n) }
