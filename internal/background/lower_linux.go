package background

import "syscall"

// nice is high enough that other work is served first (BenchmarkOverload), but not so high that
// other programs starve the thread, for which the garbage collector waits.
const nice = 10

// lower gives the calling thread a lower priority. That needs no privilege.
func lower() { _ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, nice) }
