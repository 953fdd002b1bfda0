package recording

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"
)

// A Gap is a time in which nothing was received.
type Gap struct{ From, To time.Time }

// A Status is what a market does.
type Status struct {
	Segment string
	State   int // the service's number
	Text    string
	At      time.Time
}

// More reports whether [Reader.Next] has something without reading on.
func (d *Reader) More() bool { return len(d.block) > 0 }

// An Event is what a recording says next. One of Listed, Quote, Gap, Status and Ended is
// set.
type Event struct {
	At     time.Time   // when it was received; of an instrument, what came before it
	Listed *Instrument // an instrument of which quotes follow
	Number int         // of the instrument, from 1
	Quote  *Quote      // its whole picture, until the next event
	Gap    *Gap
	Status *Status
	Ended  bool // the recording was ended, and did not just stop
}

// A Reader reads a recording.
type Reader struct {
	r     *bufio.Reader
	at    int64 // byte of the file at which the block begins
	next  int64
	start Start
	block []byte // what is left of the block
	whole []byte
	last  int64
	of    []*encoded
	cut   int64
}

// ErrForm is a file that is no recording.
var ErrForm = errors.New("this is not a recording of this version: neo record writes them")

// NewReader reads the begin of a recording, and waits for it.
func NewReader(r io.Reader) (*Reader, error) {
	d := &Reader{r: bufio.NewReaderSize(r, 64<<10)}
	line := make([]byte, len(first))
	if _, err := io.ReadFull(d.r, line); err != nil && !torn(err) {
		return nil, err
	}
	if string(line) != first {
		return nil, ErrForm
	}
	d.next = int64(len(first))
	if err := d.fill(); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the recording is empty")
		}
		return nil, err
	}
	kind, content, err := d.rare()
	if err == nil && kind != kindStart {
		err = d.damaged()
	}
	if err == nil && json.Unmarshal(content, &d.start) != nil {
		err = d.damaged()
	}
	if err == nil && !sane(d.start.At) {
		err = d.damaged()
	}
	d.last = d.start.At.UnixMicro()
	return d, err
}

// Start returns what the recording begins with.
func (d *Reader) Start() Start { return d.start }

// Time returns when what was read last was received.
func (d *Reader) Time() time.Time { return time.UnixMicro(d.last) }

// Cut returns how many bytes of a block that was being written were left out at the end.
func (d *Reader) Cut() int64 { return d.cut }

func torn(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

func (d *Reader) damaged() error {
	return fmt.Errorf("the recording is damaged in the block at byte %d", d.at)
}

// fill reads the next block. [io.EOF] is the end, also if a block was cut off there.
func (d *Reader) fill() error {
	d.at = d.next
	head, err := d.r.Peek(1)
	if err != nil {
		return err
	}
	if head[0] != mark {
		return d.tail()
	}
	head, err = d.r.Peek(1 + binary.MaxVarintLen32 + 4) // shorter at the end
	if err != nil && !torn(err) {
		return err
	}
	size, n := binary.Uvarint(head[1:])
	if n == 0 || n > 0 && len(head) < 1+n+4 {
		return d.rest()
	}
	if n < 0 || size == 0 || size > maxBlock {
		return d.damaged()
	}
	sum := binary.LittleEndian.Uint32(head[1+n:])
	_, _ = d.r.Discard(1 + n + 4)
	d.next = d.at + int64(1+n+4) + int64(size)
	if uint64(cap(d.whole)) < size {
		d.whole = make([]byte, size, max(2*size, 4096))
	}
	d.whole = d.whole[:size]
	got, err := io.ReadFull(d.r, d.whole)
	if err != nil {
		if torn(err) {
			d.cut, err = int64(1+n+4+got), io.EOF
		}
		return err
	}
	if crc32.Checksum(d.whole, castagnoli) != sum {
		return d.damaged()
	}
	d.block = d.whole
	return nil
}

// tail takes zeros at the end for a block that was not written: a disk may leave them.
func (d *Reader) tail() error {
	for {
		c, err := d.r.ReadByte()
		switch {
		case err != nil && d.cut == 0:
			return err
		case err != nil:
			return io.EOF
		case c != 0:
			d.cut = 0
			return d.damaged()
		}
		d.cut++
	}
}

// rest leaves out the begin of a block's head.
func (d *Reader) rest() error {
	n, err := io.Copy(io.Discard, d.r)
	d.cut = n
	if err == nil {
		err = io.EOF
	}
	return err
}

// uint reads a number of the block.
func (d *Reader) uint() (uint64, error) {
	v, n := binary.Uvarint(d.block)
	if n <= 0 {
		return 0, d.damaged()
	}
	d.block = d.block[n:]
	return v, nil
}

// rare reads a record of a kind that is rare, from its 0 on.
func (d *Reader) rare() (kind byte, content []byte, err error) {
	if len(d.block) < 2 || d.block[0] != 0 {
		return 0, nil, d.damaged()
	}
	kind = d.block[1]
	d.block = d.block[2:]
	n, err := d.uint()
	if err != nil || n > uint64(len(d.block)) {
		return 0, nil, d.damaged()
	}
	content, d.block = d.block[:n], d.block[n:]
	return kind, content, nil
}

// Next returns what comes next, and waits for it. [io.EOF] is the end.
func (d *Reader) Next() (Event, error) {
	for {
		if len(d.block) == 0 {
			if err := d.fill(); err != nil {
				return Event{}, err
			}
		}
		if d.block[0] != 0 {
			return d.quote()
		}
		kind, content, err := d.rare()
		if err != nil {
			return Event{}, err
		}
		if e, known, err := d.event(kind, content); err != nil || known {
			return e, err
		}
	}
}

// quote reads what changed of an instrument.
func (d *Reader) quote() (Event, error) {
	n, err := d.uint()
	if err != nil || n > uint64(len(d.of)) {
		return Event{}, d.damaged()
	}
	o := d.of[n-1]
	passed, err := d.uint()
	if err != nil {
		return Event{}, err
	}
	at := d.last + clockUnits.delta(passed)
	if !saneMicro(at) {
		return Event{}, d.damaged()
	}
	d.last = at
	rest, ok := o.quote.change(d.block, &o.units)
	if !ok {
		return Event{}, d.damaged()
	}
	d.block = rest
	return Event{At: time.UnixMicro(at), Number: int(n), Quote: &o.quote}, nil //nolint:gosec // at most as many as there are
}

// event decodes what is rare; false for a kind of a later version.
func (d *Reader) event(kind byte, content []byte) (e Event, known bool, err error) {
	e.At = time.UnixMicro(d.last)
	var to any
	var end struct{ At time.Time }
	switch kind {
	case kindInstrument:
		e.Listed = &Instrument{}
		to = e.Listed
	case kindGap:
		e.Gap = &Gap{}
		to = e.Gap
	case kindStatus:
		e.Status = &Status{}
		to = e.Status
	case kindEnd:
		e.Ended = true
		to = &end
	default:
		return e, false, nil
	}
	if json.Unmarshal(content, to) != nil {
		return e, true, d.damaged()
	}
	switch {
	case e.Listed != nil:
		if i := e.Listed; i.Tick < 0 || i.Lot < 0 {
			return e, true, d.damaged()
		}
		if len(d.of) == mostInstruments {
			return e, true, fmt.Errorf("the recording has more than %d instruments", mostInstruments)
		}
		d.of = append(d.of, &encoded{units: unitsOf(e.Listed)})
		e.Number = len(d.of)
	case e.Gap != nil:
		for _, o := range d.of {
			o.quote = Quote{}
		}
		e.At = e.Gap.To
	case e.Status != nil:
		e.At = e.Status.At
	default:
		e.At = end.At
	}
	if !sane(e.At) {
		return e, true, d.damaged()
	}
	return e, true, nil
}

// sane reports whether a time is one that a feed can have had.
func sane(t time.Time) bool { return saneMicro(t.UnixMicro()) }

func saneMicro(micro int64) bool { return micro >= 0 && micro < 1<<52 } // up to 2112
