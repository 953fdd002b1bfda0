// Package background runs work that must not keep others waiting.
package background

import "runtime"

// Run runs f on a thread of low priority, where the system has such, and returns
// when it is done. f must not start goroutines that outlive it.
//
// The Go scheduler has no priorities: each goroutine gets its turn, which lasts 10 ms
// if it computes. The system's scheduler has them, so the thread is left to it;
// [Room] makes sure that Go does not hold it back.
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

// Room lets n calls of Run compute in addition to other work on every processor. Call
// it once, at the start of the program.
func Room(n int) { runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + n) }
