// Package replay reads recordings of a market for the exchange on paper: files, and what
// another program is recording right now.
//
// Start with [Open]. A [Source] is what the exchange asks.
package replay

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"neoapi/internal/paper"
	"neoapi/internal/paper/listing"
	"neoapi/internal/recording"
)

// A Source is a recording. It is safe for concurrent use.
type Source struct {
	name  string
	start recording.Start // At as Began has it
	live  bool
	tell  func(string)

	mu     sync.Mutex
	file   *os.File // nil: what comes is in queue
	reader *recording.Reader
	keys   []listing.Key    // of the instruments, by number
	held   *recording.Event // was read, and comes next
	next   *event           // of a file: what has been read and was not taken
	taken  recording.Quote
	said   string // how it ended; "" before

	queue  []event
	room   *sync.Cond // queue has become shorter
	listed []recording.Instrument
	again  bool // listed is to be told first
}

type event struct {
	paper.Recorded
	quote recording.Quote
}

// longest is how much a queue holds of what the exchange has not asked for yet: a program
// that goes on writing then has to wait.
const longest = 1 << 14

// recent is how lately something that comes through a pipe must have begun to be a market
// as it is now, and no old recording.
const recent = time.Minute

// Open opens a recording. name is a file, or what to call what comes from r, if that is
// not nil: until a recording begins there, Open waits. now is the market's clock. tell gets
// a line when the recording ends, or cannot be read on.
func Open(name string, r io.Reader, now func() time.Time, tell func(string)) (*Source, error) {
	s := &Source{name: name, tell: tell}
	s.room = sync.NewCond(&s.mu)
	file, _ := r.(*os.File)
	if r == nil {
		var err error
		if file, err = os.Open(name); err != nil {
			return nil, err
		}
		r = file
	}
	if file != nil {
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			s.file = file
		}
	}
	var err error
	if s.reader, err = recording.NewReader(r); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), s.Close())
	}
	s.start = s.reader.Start()
	if s.file == nil {
		s.live = now().Sub(s.start.At).Abs() < recent
		go s.read()
		return s, nil
	}
	for e := new(event); s.take(e) && !e.Over; {
		if e.Quote != nil {
			s.start.At = e.At // so that there are prices at once
			break
		}
	}
	return s, nil
}

// Close closes the file.
func (s *Source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// Live reports whether what comes is a market as it is now.
func (s *Source) Live() bool { return s.live }

// Began returns when the recording began: of a file, when its first quote came.
func (s *Source) Began() time.Time { return s.start.At }

// Recording implements [paper.Source].
func (s *Source) Recording() (id string, began time.Time, live bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		s.next, s.held, s.said, s.keys = nil, nil, "", nil
		if _, err := s.file.Seek(0, io.SeekStart); err == nil {
			if r, err := recording.NewReader(s.file); err == nil {
				s.reader = r
			}
		}
	}
	s.again = s.file == nil && len(s.listed) > 0
	return s.start.Service + " " + strconv.FormatInt(s.start.At.UnixMicro(), 10), s.start.At, s.live
}

// Skip implements [paper.Source].
func (s *Source) Skip(n int64) {
	for range n {
		if _, ok := s.Next(time.Unix(1<<40, 0)); !ok {
			return
		}
	}
}

// Next implements [paper.Source].
func (s *Source) Next(by time.Time) (paper.Recorded, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return s.fromQueue(by)
	}
	if s.next == nil {
		s.next = &event{}
		if !s.take(s.next) {
			s.next = nil
			return paper.Recorded{}, false
		}
	}
	if s.next.At.After(by) {
		return paper.Recorded{}, false
	}
	e := s.next
	s.next = nil
	if e.Over {
		s.tell(s.said)
	}
	return e.Recorded, true
}

func (s *Source) fromQueue(by time.Time) (paper.Recorded, bool) {
	if s.again {
		s.again = false
		return paper.Recorded{At: s.start.At, Listed: s.listed}, true
	}
	if len(s.queue) == 0 || !s.live && s.queue[0].At.After(by) {
		return paper.Recorded{}, false
	}
	e := s.queue[0]
	s.queue = s.queue[1:]
	s.room.Signal()
	if e.Quote != nil {
		s.taken = e.quote
		e.Quote = &s.taken
	}
	s.listed = append(s.listed, e.Listed...)
	if e.Over {
		s.tell(s.said)
	}
	return e.Recorded, true
}

// read takes what comes through a pipe, until it ends.
func (s *Source) read() {
	for {
		var e event
		ok := s.take(&e)
		if e.Quote != nil {
			e.quote = *e.Quote
		}
		s.mu.Lock()
		for ok && len(s.queue) >= longest {
			s.room.Wait()
		}
		if ok {
			s.queue = append(s.queue, e)
		}
		s.mu.Unlock()
		if !ok {
			return
		}
	}
}

// take reads what the exchange has to know next; false at the end, of which it is told
// once.
func (s *Source) take(to *event) bool {
	for {
		e, err := s.nextEvent()
		switch {
		case err != nil:
			return s.over(to, s.reader.Time(), err)
		case e.Ended:
			return s.over(to, e.At, io.EOF)
		case e.Listed != nil:
			to.Recorded = paper.Recorded{At: e.At, Listed: s.list(e)}
			return true
		case e.Quote != nil:
			to.Recorded = paper.Recorded{At: e.At, Key: s.keys[e.Number-1], Quote: e.Quote}
			return true
		}
	}
}

func (s *Source) nextEvent() (recording.Event, error) {
	if e := s.held; e != nil {
		s.held = nil
		return *e, nil
	}
	return s.reader.Next()
}

// list returns an instrument with those that follow it: the exchange lists many in about
// the time of one.
func (s *Source) list(e recording.Event) (all []recording.Instrument) {
	for {
		segment, _ := listing.ParseSegment(e.Listed.Segment)
		s.keys = append(s.keys, listing.Key{Segment: segment, Token: e.Listed.Token})
		all = append(all, *e.Listed)
		if !s.reader.More() {
			return all
		}
		var err error
		if e, err = s.reader.Next(); err != nil {
			return all // and again, when what follows is asked for
		}
		if e.Listed == nil {
			s.held = &e
			return all
		}
	}
}

func (s *Source) over(to *event, at time.Time, err error) bool {
	if s.said != "" {
		return false
	}
	s.said = s.name + ": the recording has ended: its prices stand still from now on"
	if n := s.reader.Cut(); n > 0 {
		s.said = fmt.Sprintf("%s; %d bytes of what was being written at its end were left out", s.said, n)
	}
	if !errors.Is(err, io.EOF) {
		s.said = fmt.Sprintf("%s: %v: its prices stand still from now on", s.name, err)
	}
	to.Recorded = paper.Recorded{At: at, Over: true}
	return true
}
