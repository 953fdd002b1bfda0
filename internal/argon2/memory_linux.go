package argon2

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// obtain maps memory, in huge pages where possible, and leaves it out of core dumps. It
// populates every page, because a later fault would lengthen a call of a kernel, which
// cannot be interrupted.
func obtain(size int) ([]byte, error) {
	memory, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("mmap: %w", err)
	}
	_ = unix.Madvise(memory, unix.MADV_HUGEPAGE) // without it a hash takes a little longer
	_ = unix.Madvise(memory, unix.MADV_DONTDUMP)
	switch err := unix.Madvise(memory, unix.MADV_POPULATE_WRITE); {
	case err == nil:
	case errors.Is(err, unix.EINVAL): // before Linux 5.14
		for i := 0; i < len(memory); i += os.Getpagesize() {
			memory[i] = 0
		}
	default:
		release(memory)
		return nil, fmt.Errorf("madvise: %w", err)
	}
	return memory, nil
}

func release(memory []byte) { _ = unix.Munmap(memory) }

// What to leave, in bytes: for everything else, and of the program's own pages. Linux
// counts those as cache, so it would drop them, only to read them again with every step.
const (
	spare   = 8 << 20
	program = 12 << 20
)

// room returns an error unless this machine and all control groups of this process have
// size plus spare bytes left. Linux would grant more, and end the process when it uses
// it.
func room(size int) error {
	left := int64(math.MaxInt64)
	if available, ok := field(readFile("/proc/meminfo"), "MemAvailable:"); ok {
		left = available << 10
	}
	for _, line := range strings.Split(string(readFile("/proc/self/cgroup")), "\n") {
		parts := strings.SplitN(line, ":", 3)
		switch {
		case len(parts) != 3:
		case parts[1] == "":
			left = min(left, cgroupLeft("/sys/fs/cgroup", parts[2], "memory.max", "memory.current", ""))
		case parts[1] == "memory":
			left = min(left, cgroupLeft("/sys/fs/cgroup/memory", parts[2], "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"))
		}
	}
	if int64(size)+spare > left {
		return fmt.Errorf("%d MiB of memory left: need %d MiB, and %d MiB to spare", max(left, 0)>>20, size>>20, spare>>20)
	}
	return nil
}

// cgroupLeft returns how much memory a control group and its ancestors have left. A
// container does not see all of them, and its root is the container's own group. prefix is
// that of the names in memory.stat.
func cgroupLeft(root, group, limit, usage, prefix string) int64 {
	left := int64(math.MaxInt64)
	for dir := path.Join("/", group); ; dir = path.Dir(dir) {
		number := func(name string) (int64, bool) {
			n, err := strconv.ParseInt(string(bytes.TrimSpace(readFile(path.Join(root, dir, name)))), 10, 64)
			return n, err == nil
		}
		most, bounded := number(limit)
		used, known := number(usage)
		if bounded && known {
			left = min(left, most-used+dropped(readFile(path.Join(root, dir, "memory.stat")), prefix))
		}
		if dir == "/" {
			return left
		}
	}
}

// dropped returns how much cache Linux drops before it runs out of memory, less what the
// program needs of it.
func dropped(stat []byte, prefix string) int64 {
	inactive, _ := field(stat, prefix+"inactive_file")
	active, _ := field(stat, prefix+"active_file")
	mapped, ok := field(stat, prefix+"mapped_file") // version 1
	if !ok {
		mapped, _ = field(stat, "file_mapped")
	}
	return max(0, min(inactive, inactive+active-min(mapped, program)))
}

// field returns the number that follows a name at the start of a line.
func field(text []byte, name string) (int64, bool) {
	for _, line := range strings.Split(string(text), "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name {
			n, err := strconv.ParseInt(f[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// readFile returns a file's content, or nothing if it cannot be read, which sets no
// limit.
func readFile(name string) []byte {
	text, _ := os.ReadFile(name)
	return text
}
