package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// dropText gives back the pages of the program itself that only its start has needed, such
// as the tables of telephone numbers and the parsers of configuration: 8 MB. The system
// maps a page again when it is needed again, from its cache. If this fails they stay.
func dropText() {
	self, err := os.Executable()
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer func() { _ = maps.Close() }()
	for _, m := range unchanged(maps, self) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED)
	}
}

// A mapping is a part of the process's memory.
type mapping struct{ from, to uintptr }

// unchanged returns where a file is mapped to be read only, as it is on disk: a linker
// may have written to such a mapping before, and a debugger may later.
func unchanged(smaps io.Reader, file string) (all []mapping) {
	var m mapping
	mine := false
	for lines := bufio.NewScanner(smaps); lines.Scan(); {
		var from, to uintptr
		var mode string
		line := lines.Text()
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); n == 3 {
			m, mine = mapping{from, to}, !strings.Contains(mode, "w") && strings.HasSuffix(line, " "+file)
			continue
		}
		if own, is := strings.CutPrefix(line, "Anonymous:"); is && mine && strings.TrimSpace(own) == "0 kB" {
			all = append(all, m)
		}
	}
	return all
}
