package recording

import (
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"time"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// An Encoder makes a recording in memory: [Encoder.Take] gives what there is to write. It
// is not safe for concurrent use.
type Encoder struct {
	started bool
	block   []byte
	last    int64 // the time of the record before, in microseconds
	of      []*encoded
}

type encoded struct {
	units [fields]units
	quote Quote
}

// NewEncoder begins a recording.
func NewEncoder(s Start) *Encoder {
	e := &Encoder{block: make([]byte, 0, 64<<10)}
	e.json(kindStart, s)
	e.last = s.At.UnixMicro()
	return e
}

// Instrument adds an instrument and returns its number, for [Encoder.Quote].
func (e *Encoder) Instrument(i Instrument) int {
	e.of = append(e.of, &encoded{units: unitsOf(&i)})
	e.json(kindInstrument, i)
	return len(e.of)
}

// Quote adds an instrument's picture as it was received.
func (e *Encoder) Quote(instrument int, received time.Time, q *Quote) {
	o := e.of[instrument-1]
	e.block = appendUint(e.block, uint64(instrument)) //nolint:gosec // above 0
	e.at(received)
	e.block = appendChange(e.block, &o.units, &o.quote, q)
}

// Gap says that nothing was received between two times: pictures begin anew.
func (e *Encoder) Gap(from, to time.Time) {
	e.json(kindGap, Gap{from.UTC(), to.UTC()})
	for _, o := range e.of {
		o.quote = Quote{}
	}
}

// Status says what a market does.
func (e *Encoder) Status(s Status) { e.json(kindStatus, s) }

// End says that the recording was ended, and when.
func (e *Encoder) End(at time.Time) { e.json(kindEnd, struct{ At time.Time }{at.UTC()}) }

// Size returns how many bytes [Encoder.Take] has about.
func (e *Encoder) Size() int { return len(e.block) }

// Full reports whether [Encoder.Take] has to be called before more is added.
func (e *Encoder) Full() bool { return len(e.block) > maxBlock-spare-8<<10 }

// Take appends the block of what was added since it was called last.
func (e *Encoder) Take(b []byte) []byte {
	if !e.started {
		b, e.started = append(b, first...), true
	}
	if len(e.block) == 0 {
		return b
	}
	b = appendUint(append(b, mark), uint64(len(e.block)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(e.block, castagnoli))
	b = append(b, e.block...)
	e.block = e.block[:0]
	return b
}

// at adds a time, as what has passed since the record before.
func (e *Encoder) at(t time.Time) {
	micro := t.UnixMicro()
	e.block = appendDelta(e.block, &clockUnits, micro-e.last)
	e.last = micro
}

// clockUnits are those of times of receipt: many quotes have the same one.
var clockUnits = units{1_000, 1}

// json adds a record of a kind that is rare.
func (e *Encoder) json(kind byte, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic("recording: " + err.Error()) // texts, numbers and times alone
	}
	e.block = appendUint(append(e.block, 0, kind), uint64(len(text)))
	e.block = append(e.block, text...)
}
