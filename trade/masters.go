package trade

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"neoapi/internal/tradewire"
)

const (
	recheck   = 10 * time.Minute // how long an older master is used before today's is asked for again
	fileLimit = 3 * time.Minute  // of a download
)

var allSegments = []Segment{NSE, BSE, NFO, BFO, MCX, CDS}

var errNoMasters = errorf("the service names no scrip masters")

// Instrument returns the instrument with a trading symbol, such as "TCS-EQ", from today's
// scrip master: see [Client.Instruments].
func (t *Client) Instrument(ctx context.Context, segment Segment, symbol string) (Instrument, error) {
	m, err := t.Instruments(ctx, segment)
	if err != nil {
		return Instrument{}, err
	}
	return m.Symbol(segment, symbol)
}

// Instruments returns today's scrip masters of the segments: of all that the service has,
// if none is given. It needs no login.
//
// A master is downloaded once a day in India: all clients of a service in a process share
// it, and all programs of a user on a machine by files in the user's cache directory. That
// of a service on this machine, such as the sandbox, is kept in memory only, for one
// client: its tokens mean nothing elsewhere. A new master replaces an older one only if it
// is complete: its header has the columns that are needed, most of its rows are good, and
// they are at least half as many as the day before. Otherwise the older one is used, and
// [Master.Stale] says why; without an older one that is the error.
func (t *Client) Instruments(ctx context.Context, segments ...Segment) (*Master, error) {
	listing := sync.OnceValues(func() (map[Segment]string, error) { return t.masterFiles(ctx) })
	if len(segments) == 0 {
		files, err := listing()
		if err != nil {
			return nil, err
		}
		for s := range files {
			segments = append(segments, s)
		}
	}
	segments = slices.Clone(segments)
	for n, s := range segments {
		if segments[n] = s.wire(); !slices.Contains(allSegments, segments[n]) {
			return nil, errorf("%w: there are no instruments of the segment %q", ErrNotOffered, clip(string(s)))
		}
	}
	slices.Sort(segments)
	m := &Master{}
	for _, s := range slices.Compact(segments) {
		f, stale, err := t.master(ctx, s, listing)
		if err != nil {
			return nil, err
		}
		m.files = append(m.files, f)
		m.stale = errors.Join(m.stale, stale)
	}
	return m, nil
}

// atHand returns an instrument from today's master, if the process has read it already.
func (t *Client) atHand(segment Segment, token, symbol string) (i Instrument, ok bool) {
	e := t.keptFor(segment)
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	default: // it is being read
		return i, false
	}
	f := e.file
	if f == nil || f.date.Before(DateOf(t.api.Now())) {
		return i, false
	}
	row, ok := f.byToken(token)
	if !ok {
		row, ok = f.bySymbol(symbol)
	}
	if ok {
		f.fill(&i, &f.rows[row])
	}
	return i, ok && i.Symbol == symbol
}

// masters are those of a process.
var masters = struct {
	sync.Mutex
	all map[masterKey]*kept
}{all: map[masterKey]*kept{}}

type masterKey struct {
	scope
	segment Segment
}

// A kept master, whose fields belong to who has the turn.
type kept struct {
	turn    chan struct{}
	file    *scrips
	stale   error // why file is not of today
	checked time.Time
}

// keptFor returns where a segment's master is kept.
func (t *Client) keptFor(segment Segment) *kept {
	k := masterKey{t.scope(), segment}
	masters.Lock()
	defer masters.Unlock()
	e := masters.all[k]
	if e == nil {
		e = &kept{turn: make(chan struct{}, 1)}
		masters.all[k] = e
		if loopback(k.service) {
			runtime.AddCleanup(t.api, func(k masterKey) {
				masters.Lock()
				defer masters.Unlock()
				delete(masters.all, k)
			}, k)
		}
	}
	return e
}

// loopback reports whether a service is on this machine.
func loopback(service string) bool {
	u, err := url.Parse(service)
	if err != nil {
		return false
	}
	host := strings.ToLower(u.Hostname())
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && addr.Unmap().IsLoopback()
}

// master returns a segment's master: of today, or an older one and why.
func (t *Client) master(ctx context.Context, segment Segment, listing func() (map[Segment]string, error)) (f *scrips, stale, err error) {
	e := t.keptFor(segment)
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	now := t.api.Now()
	today := DateOf(now)
	if e.file != nil && (!e.file.date.Before(today) || recent(e.checked, now)) {
		return e.file, e.stale, nil
	}
	d := t.disk(segment)
	e.newer(d.load(today))
	if e.file == nil || e.file.date.Before(today) {
		err = t.renew(ctx, e, d, today, listing)
	}
	switch {
	case ctx.Err() != nil:
		return nil, nil, ctx.Err()
	case e.file == nil:
		return nil, nil, err
	case e.file.date.Before(today):
		e.checked = now
		e.stale = errorf("the instruments of %s are those of %s: %w", segment, e.file.date, err)
	default:
		e.stale = nil
	}
	return e.file, e.stale, nil
}

func recent(at, now time.Time) bool { return !now.Before(at) && now.Sub(at) < recheck }

// newer keeps a file if it is of a later day.
func (e *kept) newer(f *scrips) {
	if f != nil && (e.file == nil || e.file.date.Before(f.date)) {
		e.file = f
	}
}

// renew gets today's master, or the newest that can be had, and returns why it is not
// today's.
func (t *Client) renew(ctx context.Context, e *kept, d *disk, today Date, listing func() (map[Segment]string, error)) error {
	unlock := d.lock(ctx) // one download for all programs
	defer unlock()
	e.newer(d.load(today)) // another program may have just made it
	if e.file != nil && !e.file.date.Before(today) {
		return nil
	}
	e.newer(d.load(Date{}))
	fresh, err := t.download(ctx, e.file, d, today, listing)
	e.newer(fresh)
	return err
}

// download gets the service's master, if it is newer than the one that is there.
func (t *Client) download(ctx context.Context, old *scrips, d *disk, today Date, listing func() (map[Segment]string, error)) (*scrips, error) {
	files, err := listing()
	if err != nil {
		return nil, err
	}
	segment := d.segment
	address, ok := files[segment]
	if !ok {
		return nil, errorf("%w: it names no scrip master of %s", ErrNotOffered, segment)
	}
	date := dateIn(address)
	if date.IsZero() {
		date = today
	}
	if old != nil && !old.date.Before(date) {
		return nil, errorf("the service has none of today yet")
	}
	ctx, cancel := context.WithTimeout(ctx, fileLimit)
	defer cancel()
	body, err := t.api.Download(ctx, address, maxMasterBytes)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	copied := d.begin()
	defer copied.discard()
	f, err := readScrips(io.TeeReader(body, copied), segment, date)
	if err != nil {
		return nil, err
	}
	if old != nil && 2*len(f.rows) < len(old.rows) {
		return nil, errorf("the scrip master of %s of %s has only %d instruments, and that of %s had %d: it is not complete", segment, date, len(f.rows), old.date, len(old.rows))
	}
	copied.keep(f)
	if date.Before(today) {
		err = errorf("the service has none of today yet")
	}
	return f, err
}

// dateIn returns the date that is a part of a path, or none.
func dateIn(address string) Date {
	u, err := url.Parse(address)
	if err != nil {
		return Date{}
	}
	for part := range strings.SplitSeq(u.Path, "/") {
		if len(part) >= len(time.DateOnly) {
			if day, err := time.Parse(time.DateOnly, part[:len(time.DateOnly)]); err == nil {
				return Date{day.Year(), day.Month(), day.Day()}
			}
		}
	}
	return Date{}
}

// masterFiles returns where the files of the day's scrip masters are.
func (t *Client) masterFiles(ctx context.Context) (map[Segment]string, error) {
	raw, err := t.ask(ctx, readLimit, tradewire.PathMaster, nil, nil)
	if err != nil {
		return nil, err
	}
	var paths []json.RawMessage
	if json.Unmarshal(fieldsOf(raw)["filesPaths"], &paths) != nil {
		return nil, errNoMasters
	}
	var addresses []string
	for _, raw := range paths {
		var address string
		if json.Unmarshal(raw, &address) == nil {
			addresses = append(addresses, address)
		}
	}
	files := map[Segment]string{}
	for _, s := range allSegments {
		if address := fileOf(s, addresses); address != "" {
			files[s] = address
		}
	}
	if len(files) == 0 {
		return nil, errNoMasters
	}
	return files, nil
}

// fileOf returns the address of a segment's file: the first whose name contains the
// segment's or else, because names have changed before, whose whole address does.
func fileOf(s Segment, addresses []string) string {
	for _, whole := range []bool{false, true} {
		for _, address := range addresses {
			name, _, _ := strings.Cut(strings.ToLower(address), "?")
			if !whole {
				name = name[strings.LastIndexByte(name, '/')+1:]
			}
			if strings.Contains(name, string(s)) {
				return address
			}
		}
	}
	return ""
}
