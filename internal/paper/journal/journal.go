// Package journal keeps an exchange on paper in a directory: each day has a file, which
// begins with what the day began with and goes on with the day's commands. What a
// command's answer acknowledges has been written, so the end of the process loses
// nothing; the end of the machine loses what was not yet synced ([Journal.Sync]).
//
// Start with [Open].
package journal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"neoapi/internal/paper"
	"neoapi/internal/private"
)

const (
	magic  = "neoapi paper log 1\n"
	suffix = ".log"
	head   = 8 // of a record: its length and its checksum
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A Journal is the files of an exchange. Like the exchange, it is not safe for
// concurrent use.
type Journal struct {
	dir    string
	unlock func()
	tail   *tail // of the latest file
	number int
	buffer []byte
	upTo   int64  // what is on the disk of the latest file
	begin  []byte // what a new file begins with that could not be made yet
	failed error  // why a command since the last Sync was not written
	err    error  // why nothing more is written
}

// ErrUsed is why a directory cannot be opened that another process has open.
var ErrUsed = errors.New("is used by another process")

// Open opens the exchange that a directory has, or a new one of the configuration in an
// empty directory. warn gets a line about what was cut off the end of a file that a
// crash tore; it may be nil. Only one process at a time can have the directory.
func Open(dir string, cfg paper.Config, warn func(string)) (*paper.Exchange, *Journal, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	unlock, err := private.LockFile{Path: filepath.Join(dir, "lock")}.Lock(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, nil, fmt.Errorf("%s %w: stop that one, or use another directory", dir, ErrUsed)
	}
	if err != nil {
		return nil, nil, err
	}
	j := &Journal{dir: dir, unlock: unlock}
	cfg.Log, cfg.Snapshot = j.write, j.roll
	x, err := j.open(cfg, warn)
	if err != nil {
		j.Close()
		return nil, nil, err
	}
	return x, j, nil
}

func (j *Journal) open(cfg paper.Config, warn func(string)) (*paper.Exchange, error) {
	numbers, err := j.numbers()
	if err != nil {
		return nil, err
	}
	if len(numbers) == 0 {
		x := paper.New(cfg)
		j.roll(x.Begin())
		return x, j.renew()
	}
	j.number = numbers[len(numbers)-1]
	return j.replay(cfg, warn)
}

// numbers returns the numbers of the files, ascending.
func (j *Journal) numbers() ([]int, error) {
	entries, err := os.ReadDir(j.dir)
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), suffix)
		var n int
		if _, err := fmt.Sscanf(name, "%08d", &n); ok && err == nil && len(name) == 8 {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

func (j *Journal) path(number int) string {
	return filepath.Join(j.dir, fmt.Sprintf("%08d%s", number, suffix))
}

// replay reads the latest file: what it began with, then the commands.
func (j *Journal) replay(cfg paper.Config, warn func(string)) (*paper.Exchange, error) {
	path := j.path(j.number)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rest, ok := strings.CutPrefix(string(b[:min(len(b), len(magic))]), magic)
	if !ok || rest != "" {
		return nil, fmt.Errorf("%s is not a log of this version: use another directory, or the version that wrote it", path)
	}
	at := len(magic)
	snapshot, n := record(b[at:])
	if n == 0 {
		return nil, fmt.Errorf("%s is damaged at its begin: take the file away to go back to the one before it", path)
	}
	x, err := paper.Restore(cfg, snapshot)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for at += n; ; at += n {
		var command []byte
		if command, n = record(b[at:]); n == 0 {
			break
		}
		if command[0] == synced {
			continue
		}
		if err := x.Apply(command); err != nil {
			return nil, fmt.Errorf("%s, byte %d: %w", path, at, err)
		}
	}
	x.Events() // nobody waits for those
	if wasSynced(b[at:], at) {
		return nil, fmt.Errorf("%s is damaged at byte %d, and not at its end: restore it, or cut it there to lose what follows", path, at)
	}
	if n := len(strings.TrimRight(string(b[at:]), "\x00")); n > 0 && warn != nil {
		warn(fmt.Sprintf("%s: %d bytes of what was being written at the end were cut off", path, n))
	}
	j.tail, err = openTail(path, int64(at))
	return x, err
}

// record returns the record at the begin of b and how long it is in the file; 0 if there
// is no whole one.
func record(b []byte) (content []byte, length int) {
	if len(b) < head {
		return nil, 0
	}
	n := binary.LittleEndian.Uint32(b)
	if n == 0 || uint64(n) > uint64(len(b)-head) {
		return nil, 0
	}
	content = b[head : head+int(n)]
	if crc32.Checksum(content, castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return nil, 0
	}
	return content, head + int(n)
}

// synced begins a record that says up to which byte the file had been synced. After a
// power cut, what was written since may be there in parts: it is cut off from the first
// part that is missing. A part that is missing before is damage.
const synced = 0

// wasSynced reports whether a record in b, which is damaged at its begin, says that the
// byte at had been synced.
func wasSynced(b []byte, at int) bool {
	for k := range b {
		if content, n := record(b[k:]); n > 0 && content[0] == synced {
			if upTo, _ := binary.Uvarint(content[1:]); upTo > uint64(at) {
				return true
			}
		}
	}
	return false
}

func appendRecord(b, content []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(content)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(content, castagnoli))
	return append(b, content...)
}

// write appends a command. After a failure the file is as it was before, so that the next
// command is written once there is room again.
func (j *Journal) write(content []byte) error {
	err := j.renew()
	if err == nil {
		j.buffer = appendRecord(j.buffer[:0], content)
		err = j.tail.append(j.buffer)
	}
	if err != nil {
		j.failed = err
	}
	return err
}

// roll begins a new file. The one before is kept until the next time.
func (j *Journal) roll(snapshot []byte) {
	j.begin = appendRecord([]byte(magic), snapshot)
	_ = j.renew() // else before the next command, which it refuses if it fails again
}

// renew begins the new file that is due, if there is one.
func (j *Journal) renew() error {
	if j.err != nil || j.begin == nil {
		return j.err
	}
	next := j.number + 1
	if err := private.Write(j.path(next), j.begin); err != nil {
		return err
	}
	t, err := openTail(j.path(next), int64(len(j.begin)))
	if err != nil {
		return err
	}
	if j.tail != nil {
		_ = j.tail.close() // the new file has all that counts
	}
	j.tail, j.number, j.upTo, j.begin = t, next, 0, nil
	numbers, _ := j.numbers()
	for _, n := range numbers {
		if n < next-1 {
			_ = os.Remove(j.path(n)) // else the next day
		}
	}
	return nil
}

// Sync brings what was written to the disk. Its error is also why a command could not be
// written since the last time. Call it once a second, under the lock under
// which the exchange is used.
func (j *Journal) Sync() error {
	if err := j.renew(); err != nil {
		return err
	}
	failed := j.failed
	j.failed = nil
	end := j.tail.end
	if end == j.upTo {
		return failed
	}
	if err := j.tail.sync(); err != nil {
		return err
	}
	err := j.write(binary.AppendUvarint([]byte{synced}, uint64(end)))
	j.upTo = j.tail.end
	return errors.Join(failed, err)
}

// Clear removes all that was kept, and begins anew with what another exchange begins
// with. Open gave the exchange before; use what Clear returns from now on.
func (j *Journal) Clear(cfg paper.Config) (*paper.Exchange, error) {
	cfg.Log, cfg.Snapshot = j.write, j.roll
	x := paper.New(cfg)
	due := j.begin
	j.roll(x.Begin())
	if err := j.renew(); err != nil {
		j.begin = due
		return nil, err
	}
	return x, os.Remove(j.path(j.number - 1))
}

// Close syncs and closes the files.
func (j *Journal) Close() error {
	var err error
	if j.tail != nil {
		err = errors.Join(j.tail.sync(), j.tail.close())
	}
	if j.err == nil {
		j.err = errors.New("the log was closed")
	}
	j.unlock()
	return err
}
