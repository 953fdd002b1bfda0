package trade

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"neoapi/internal/private"
)

// A disk is where the masters of a segment of a service are kept between programs: files
// of the user's cache directory, as they were downloaded, named by segment and day. It is
// a convenience: what cannot be read or written there is downloaded again. Its dir is ""
// if there is no such directory, or the service is on this machine.
type disk struct {
	dir     string
	segment Segment
}

func (t *Client) disk(segment Segment) *disk {
	d := &disk{segment: segment}
	service := t.api.Service()
	base, err := os.UserCacheDir()
	if err != nil || loopback(service) {
		return d
	}
	name := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '.' {
			return r
		}
		return '-'
	}, strings.ToLower(service))
	sum := sha256.Sum256([]byte(service))
	d.dir = filepath.Join(base, "neo", "instruments", name[:min(len(name), 60)]+"-"+hex.EncodeToString(sum[:6]))
	if _, err := private.Ready(filepath.Join(d.dir, "x")); err != nil {
		d.dir = "" // others could change what is there
	}
	return d
}

func (d *disk) lock(ctx context.Context) (unlock func()) {
	if d.dir == "" {
		return func() {}
	}
	unlock, err := private.LockFile{Path: filepath.Join(d.dir, string(d.segment)+".lock")}.Lock(ctx)
	if err != nil {
		return func() {}
	}
	return unlock
}

// days returns the days of the files that are there, the newest first.
func (d *disk) days() (days []Date) {
	if d.dir == "" {
		return nil
	}
	entries, _ := os.ReadDir(d.dir)
	for _, e := range entries {
		middle, ok := strings.CutPrefix(e.Name(), string(d.segment)+".")
		middle, csv := strings.CutSuffix(middle, ".csv")
		if day, err := time.Parse(time.DateOnly, middle); ok && csv && err == nil {
			days = append(days, Date{day.Year(), day.Month(), day.Day()})
		}
	}
	slices.SortFunc(days, func(x, y Date) int { return -cmp.Compare(dayOf(x), dayOf(y)) })
	return days
}

func (d *disk) path(day Date) string {
	return filepath.Join(d.dir, string(d.segment)+"."+day.String()+".csv")
}

// load returns the newest master that is there, if it is of the day or later.
func (d *disk) load(from Date) *scrips {
	for _, day := range d.days() {
		if !from.IsZero() && day.Before(from) {
			return nil
		}
		if f := d.read(day); f != nil {
			return f
		}
	}
	return nil
}

func (d *disk) read(day Date) *scrips {
	path := d.path(day)
	file, err := os.OpenFile(path, os.O_RDONLY|private.Careful, 0)
	if err != nil {
		return nil
	}
	defer file.Close()
	if private.CheckOwn(file, path) != nil {
		return nil
	}
	f, err := readScrips(file, d.segment, day)
	if err != nil {
		return nil
	}
	return f
}

// A copied file is one that is being downloaded. A failure to write it ends the copy, not
// the download.
type copied struct {
	disk *disk
	file *os.File
}

func (d *disk) begin() *copied {
	c := &copied{disk: d}
	if d.dir == "" {
		return c
	}
	old, _ := filepath.Glob(filepath.Join(d.dir, "."+string(d.segment)+"-*"))
	for _, path := range old { // of programs that were killed: the lock is ours
		os.Remove(path)
	}
	c.file, _ = os.CreateTemp(d.dir, "."+string(d.segment)+"-*") // mode 0600
	return c
}

// Write implements [io.Writer].
func (c *copied) Write(p []byte) (int, error) {
	if c.file != nil {
		if _, err := c.file.Write(p); err != nil {
			c.discard()
		}
	}
	return len(p), nil
}

func (c *copied) discard() {
	if c.file != nil {
		c.file.Close()
		os.Remove(c.file.Name())
		c.file = nil
	}
}

// keep gives the file its name, and removes those of earlier days.
func (c *copied) keep(f *scrips) {
	if c.file == nil || c.file.Sync() != nil {
		return
	}
	name := c.file.Name()
	if c.file.Close() != nil || os.Rename(name, c.disk.path(f.date)) != nil {
		os.Remove(name)
		c.file = nil
		return
	}
	c.file = nil
	for _, day := range c.disk.days() {
		if day.Before(f.date) {
			os.Remove(c.disk.path(day))
		}
	}
}

var _ io.Writer = (*copied)(nil)
