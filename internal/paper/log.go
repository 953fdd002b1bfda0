package paper

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"neoapi/internal/paper/ledger"
	"neoapi/internal/paper/listing"
)

// A record of the log is a command: its kind, its time in microseconds, and what it says.
// Numbers are varints, texts have their length before them. Only commands that change
// something are written.
const (
	recordPlace byte = iota + 1
	recordModify
	recordCancel
	recordExit
	recordConvert
	recordFund
	recordHand
	recordReplay
)

func (x *Exchange) recordOf(kind byte) []byte {
	return binary.AppendVarint(append(x.record[:0], kind), x.now)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendKey(b []byte, k listing.Key) []byte {
	return binary.AppendUvarint(append(b, byte(k.Segment)), uint64(k.Token))
}

// write gives a record to the log.
func (x *Exchange) write(b []byte) *Refusal {
	x.record = b
	if x.cfg.Log == nil || x.replaying {
		return nil
	}
	if err := x.cfg.Log(b); err != nil {
		return &Refusal{NotWritten, "", "the command could not be written down and was not carried out: the service's log says why"}
	}
	return nil
}

func (x *Exchange) logs() bool { return x.cfg.Log != nil && !x.replaying }

func (x *Exchange) logPlace(p *Place) *Refusal {
	if !x.logs() {
		return nil
	}
	b := appendKey(appendText(x.recordOf(recordPlace), p.Account), p.Instrument)
	b = append(b, byte(p.Side), byte(p.Type), byte(p.Product), byte(p.Validity), bit(p.AfterHours), byte(p.Protection))
	b = binary.AppendVarint(b, int64(p.Price))
	b = binary.AppendVarint(b, int64(p.Trigger))
	b = binary.AppendVarint(b, p.Quantity)
	b = binary.AppendVarint(b, p.Disclosed)
	b = appendText(appendText(b, p.Tag), p.Source)
	if p.StopDistance|p.TargetDistance|p.Trail == 0 && p.Twist == (Twist{}) {
		return x.write(append(b, 0))
	}
	b = append(b, 1)
	for _, d := range [...]listing.Price{p.StopDistance, p.TargetDistance, p.Trail} {
		b = binary.AppendVarint(b, int64(d))
	}
	return x.write(binary.AppendVarint(append(appendText(b, p.Twist.Reject), bit(p.Twist.Later), bit(p.Twist.Stuck)), int64(p.Twist.Parts)))
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func (x *Exchange) logChange(c *Change) *Refusal {
	if !x.logs() {
		return nil
	}
	b := binary.AppendUvarint(appendText(x.recordOf(recordModify), c.Account), uint64(c.Number))
	b = append(b, byte(c.Type), byte(c.Validity))
	b = binary.AppendVarint(b, int64(c.Price))
	b = binary.AppendVarint(b, int64(c.Trigger))
	b = binary.AppendVarint(b, c.Quantity)
	return x.write(binary.AppendVarint(b, c.Disclosed))
}

func (x *Exchange) logCancel(account string, n Number, afterHours bool) *Refusal {
	if !x.logs() {
		return nil
	}
	b := binary.AppendUvarint(appendText(x.recordOf(recordCancel), account), uint64(n))
	return x.write(append(b, bit(afterHours)))
}

func (x *Exchange) logExit(account string, n Number) *Refusal {
	if !x.logs() {
		return nil
	}
	return x.write(binary.AppendUvarint(appendText(x.recordOf(recordExit), account), uint64(n)))
}

func (x *Exchange) logConvert(account string, k listing.Key, side Side, from, to Product, quantity int64) *Refusal {
	if !x.logs() {
		return nil
	}
	b := appendKey(appendText(x.recordOf(recordConvert), account), k)
	return x.write(binary.AppendVarint(append(b, byte(side), byte(from), byte(to)), quantity))
}

func (x *Exchange) logFund(account string, funds listing.Price, holdings []ledger.Holding) *Refusal {
	if !x.logs() {
		return nil
	}
	b := binary.AppendVarint(appendText(x.recordOf(recordFund), account), int64(funds))
	if holdings == nil {
		return x.write(append(b, 0))
	}
	b = binary.AppendUvarint(append(b, 1), uint64(len(holdings)))
	for _, h := range holdings {
		b = appendKey(b, h.Key)
		for _, v := range [...]int64{h.Quantity, h.T1, h.Pledged, int64(h.Cost)} {
			b = binary.AppendVarint(b, v)
		}
	}
	return x.write(b)
}

func (x *Exchange) logHand(h *hand) *Refusal {
	if !x.logs() {
		return nil
	}
	b := appendKey(append(x.recordOf(recordHand), byte(h.kind)), h.key)
	for _, v := range [...]int64{int64(h.price), int64(h.high), h.quantity} {
		b = binary.AppendVarint(b, v)
	}
	return x.write(b)
}

var errRecord = errors.New("paper: a record of the log is damaged: take the log away, or start with what comes before it")

// reader reads a record. Its first mistake makes it bad for good.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) text() string {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) price() listing.Price { return listing.Price(r.int()) }

func (r *reader) key() listing.Key {
	k := listing.Key{Segment: listing.Segment(r.byte())}
	t := r.uint()
	if t > math.MaxUint32 {
		r.bad = true
	}
	k.Token = uint32(t)
	return k
}

// Apply takes a record of the log: it carries out the command at its time. It returns an
// error, and does nothing, if the record makes no sense.
func (x *Exchange) Apply(record []byte) error {
	r := &reader{b: record}
	kind := r.byte()
	micro := r.int()
	if r.bad || micro < epoch || micro >= epoch+1<<rowTimeBits-dayMicros || micro > x.now+maxJump {
		return errRecord
	}
	do := x.decode(kind, time.UnixMicro(micro), r)
	if do == nil || r.bad || len(r.b) > 0 {
		return errRecord
	}
	x.replaying = true
	refused := do()
	x.replaying = false
	if refused != nil {
		return errRecord // a command that was written had not been refused
	}
	return nil
}

// maxJump is how far a record can be from the one before: a log has a record for each
// day's begin.
const maxJump = 2 * dayMicros

const dayMicros = 24 * 3600 * 1_000_000

// decode returns what a record says has to be done.
func (x *Exchange) decode(kind byte, now time.Time, r *reader) func() *Refusal {
	switch kind {
	case recordPlace:
		p := r.place()
		return func() *Refusal { _, refused := x.Place(now, p); return refused }
	case recordModify:
		c := Change{Account: r.text(), Number: Number(r.uint()), Type: PriceType(r.byte()), Validity: Validity(r.byte())}
		c.Price, c.Trigger, c.Quantity, c.Disclosed = r.price(), r.price(), r.int(), r.int()
		return func() *Refusal { return x.Modify(now, c) }
	case recordCancel:
		account, n, amo := r.text(), Number(r.uint()), r.byte()
		return func() *Refusal { return x.Cancel(now, account, n, amo == 1) }
	case recordExit:
		account, n := r.text(), Number(r.uint())
		return func() *Refusal { return x.Exit(now, account, n) }
	case recordConvert:
		account, key := r.text(), r.key()
		side, from, to := Side(r.byte()), Product(r.byte()), Product(r.byte())
		quantity := r.int()
		return func() *Refusal {
			x.Convert(now, account, key, side, from, to, quantity) // it may have been refused for want of money
			return nil
		}
	case recordFund:
		account, funds := r.text(), r.price()
		holdings := r.holdings()
		return func() *Refusal { return x.Fund(now, account, funds, holdings) }
	case recordHand:
		h := hand{kind: handKind(r.byte()), key: r.key()}
		h.price, h.high, h.quantity = r.price(), r.price(), r.int()
		return func() *Refusal { return x.byHand(now, h) }
	case recordReplay:
		return x.decodeReplay(now, r)
	}
	return nil
}

func (r *reader) place() Place {
	p := Place{Account: r.text(), Instrument: r.key()}
	p.Side, p.Type, p.Product, p.Validity = Side(r.byte()), PriceType(r.byte()), Product(r.byte()), Validity(r.byte())
	p.AfterHours, p.Protection = r.byte() == 1, int(r.byte())
	p.Price, p.Trigger, p.Quantity, p.Disclosed = r.price(), r.price(), r.int(), r.int()
	p.Tag, p.Source = r.text(), r.text()
	if r.byte() == 1 {
		p.StopDistance, p.TargetDistance, p.Trail = r.price(), r.price(), r.price()
		p.Twist = Twist{Reject: r.text(), Later: r.byte() == 1, Stuck: r.byte() == 1, Parts: int(r.int())}
	}
	return p
}

func (r *reader) holdings() []ledger.Holding {
	if r.byte() == 0 {
		return nil
	}
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	holdings := make([]ledger.Holding, n)
	for k := range holdings {
		h := &holdings[k]
		h.Instrument = &listing.Instrument{Key: r.key()}
		h.Quantity, h.T1, h.Pledged, h.Cost = r.int(), r.int(), r.int(), r.price()
	}
	return holdings
}
