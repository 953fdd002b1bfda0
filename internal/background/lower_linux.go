package background

import "syscall"

// nice is enough for others to be served first (BenchmarkOverload), and not so much that programs
// beside this one starve the thread: the garbage collector waits for it.
const nice = 10

// lower gives the calling thread a lower priority. Nobody needs a privilege for
// that.
func lower() { _ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, nice) }
