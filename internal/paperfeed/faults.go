package paperfeed

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"neoapi/internal/front"
	"neoapi/internal/paper"
	"neoapi/internal/paperapi"
	"neoapi/internal/sfeed"
	"neoapi/internal/tradewire"
	"neoapi/internal/wire"
)

// A Fault is what is to go wrong at a connection of a feed.
type Fault struct {
	Name string
	N    int // seconds, for the faults that wait
}

// The operations of feeds, as faults name them.
const (
	OpOrders = string(tradewire.OpOrderFeed)
	OpMarket = string(tradewire.OpMarketFeed)    // SFeed
	OpOld    = string(tradewire.OpMarketFeedOld) // HSM
)

// Ops returns the names of the operations.
func Ops() []string { return []string{OpMarket, OpOld, OpOrders} }

// A Moment is when a fault strikes.
type Moment int

// The moments of a connection.
const (
	Upgrade  Moment = iota + 1 // before the upgrade is answered: it is not known whose connection this is
	Greeting                   // a first frame has proved a session, and is to be answered
	Frame                      // a frame leaves
	Update                     // the frame that leaves is one of the first of an order
)

const (
	faultUpgradeClose = "upgrade_close"   // the connection ends before the upgrade is answered
	faultUpgradeHang  = "upgrade_hang"    // the upgrade is not answered
	faultRefused      = "nk"              // the session is refused as the order feed and HSM do
	faultRefusedNew   = "1120"            // and as SFeed does
	faultClose        = "close"           // closed after the first frame, without an answer
	faultHang         = "hang"            // the first frame is not answered, nor is anything sent
	faultSlow         = "slow"            // answered n seconds late
	faultFallback     = "native_fallback" // the session is accepted for another format
	faultDrop         = "drop"            // the connection breaks
	faultGoodbye      = "goodbye"         // the connection is closed as by a server that goes down
	faultSilent       = "silent"          // nothing more is sent; pings are answered
	faultDead         = "dead"            // and pings are not
	faultDelayed      = "delayed"         // this frame and those that follow wait n seconds
	faultTwice        = "twice"           // sent twice
	faultReordered    = "reordered"       // sent after the next one
	faultLost         = "lost"            // not sent
	faultCut          = "cut"             // its first half alone
	faultGarbage      = "garbage"         // bytes without a meaning before it
	faultUnknown      = "unknown"         // a frame or packet of an unknown kind before it
	faultBare         = "bare"            // without quantity, price and symbol, before the order is open
)

// faults says when each fault strikes, and which feeds can have it, if not all.
var faults = map[string]struct {
	at  Moment
	ops []string
}{
	"401": {at: Upgrade}, "403": {at: Upgrade}, "429": {at: Upgrade}, "502": {at: Upgrade}, "503": {at: Upgrade},
	faultUpgradeClose: {at: Upgrade}, faultUpgradeHang: {at: Upgrade},
	faultRefused: {Greeting, []string{OpOrders, OpOld}}, faultRefusedNew: {Greeting, []string{OpMarket}},
	faultFallback: {Greeting, []string{OpMarket}},
	faultClose:    {at: Greeting}, faultHang: {at: Greeting}, faultSlow: {at: Greeting},
	faultDrop: {at: Frame}, faultGoodbye: {at: Frame}, faultSilent: {at: Frame}, faultDead: {at: Frame}, faultDelayed: {at: Frame},
	faultTwice: {at: Frame}, faultReordered: {at: Frame}, faultLost: {at: Frame}, faultCut: {at: Frame}, faultGarbage: {at: Frame},
	faultUnknown: {at: Frame},
	faultBare:    {Update, []string{OpOrders}},
}

// FaultNames returns the names of the faults of feeds.
func FaultNames() []string {
	var all []string
	for name := range faults {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// FaultAt returns when a fault of this name strikes a feed, or 0 if the feed cannot have it.
func FaultAt(name, op string) Moment {
	f := faults[name]
	if !slices.Contains(Ops(), op) || f.ops != nil && !slices.Contains(f.ops, op) {
		return 0
	}
	return f.at
}

// InSeconds reports whether the number of a fault is one of seconds. That of others says
// which frames it strikes: every n-th.
func InSeconds(name string) bool { return name == faultSlow || name == faultDelayed }

// Strike takes the fault of a moment, if there is one, and it is one of what the frame is about.
type Strike func(op string, at Moment, about func() paperapi.Subject) (Fault, bool)

// struck takes the fault of a moment.
func (s Strike) struck(op string, at Moment, about func() paperapi.Subject) (Fault, bool) {
	if s == nil {
		return Fault{}, false
	}
	return s(op, at, about)
}

// spoilUpgrade makes an upgrade fail, if there is a fault for it. Either the connection has
// ended, or err is what it is refused with.
func (f *Feeds) spoilUpgrade(w http.ResponseWriter, r *http.Request, op wire.Op) (spoilt bool, err error) {
	fault, ok := f.cfg.Faults.struck(string(op), Upgrade, func() paperapi.Subject { return paperapi.Subject{} })
	if !ok {
		return false, nil
	}
	status, err := strconv.Atoi(fault.Name)
	if err == nil {
		if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "1")
		}
		return true, &front.Refusal{Status: status, Detail: "refused on purpose"}
	}
	if fault.Name == faultUpgradeHang {
		select {
		case <-r.Context().Done():
		case <-f.ending:
		}
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		err = conn.Close()
	}
	return true, err
}

// seconds is how long a fault waits.
func (f Fault) seconds() time.Duration { return time.Duration(max(1, f.N)) * time.Second }

// A message is a frame without its head.
type message struct {
	kind websocket.MessageType
	data []byte
}

// An outlet is the way of frames out of a connection: faults strike there. It is used by the
// goroutine that writes, once a session is proved.
type outlet struct {
	strike  Strike
	op      string
	account string

	answered bool          // the first frame, which is the answer, has left
	wait     time.Duration // before it
	fallback bool          // it names another format

	about func() paperapi.Subject // what now is about

	now  message     // the frame that leaves
	held *message    // one that the next frame overtakes
	mute bool        // nothing leaves, for good
	deaf atomic.Bool // pings are not answered either
}

// A departure is what is sent in place of a frame.
type departure struct {
	wait   time.Duration // before it
	frames [3]message
	n      int    // of frames
	end    ending // after it
}

// with adds frames.
func (d *departure) with(all ...message) {
	d.n += copy(d.frames[d.n:], all)
}

// An ending is how a fault ends a connection.
type ending int

const (
	stays   ending = iota
	breaks         // without a word
	departs        // with a close frame
)

// plain reports whether frames leave as they are: there are no faults here.
func (o *outlet) plain() bool { return o.strike == nil }

// errSilent is why a connection ends without an answer.
var errSilent = errors.New("paperfeed: the connection ends on purpose")

// spoilAnswer prepares the fault of the answer to a first frame that proves a session.
// Where there is to be no answer it reports so, with an error if the connection has ended.
// Otherwise the error is what the session is refused with.
func (c *client) spoilAnswer() (silent bool, err error) {
	strike := c.feeds.cfg.Faults
	c.out.strike, c.out.op, c.out.account, c.out.about = strike, string(c.op), c.session.UCC, c.out.subject
	f, ok := strike.struck(c.out.op, Greeting, c.out.about)
	if !ok {
		return false, nil
	}
	switch f.Name {
	case faultRefused, faultRefusedNew:
		return false, errRefused
	case faultClose:
		c.cut()
		return true, errSilent
	case faultHang:
		c.out.mute = true
		c.ws.SetReadLimit(longestFrame)
		c.heard()
		return true, nil
	case faultSlow:
		c.out.wait = f.seconds()
	case faultFallback:
		c.out.fallback = true
	}
	return false, nil
}

// writeSpoilt writes a frame, or what faults make of it.
func (c *client) writeSpoilt(m message) error {
	d := c.out.pass(m)
	if err := c.pause(d.wait); err != nil {
		return err
	}
	for _, m := range d.frames[:d.n] {
		if err := c.writePlain(m.kind, m.data); err != nil {
			return err
		}
	}
	switch d.end {
	case breaks:
		c.cut()
		return errSilent
	case departs:
		_ = c.ws.Close(websocket.StatusGoingAway, "on purpose") // fails if the connection has gone
		return errSilent
	}
	return nil
}

// pause waits, but not longer than the connection lasts.
func (c *client) pause(wait time.Duration) error {
	if wait == 0 {
		return nil
	}
	over := time.NewTimer(wait)
	defer over.Stop()
	defer c.signal() // of what was queued meanwhile
	for {
		select {
		case <-over.C:
			return nil
		case <-c.wake:
			c.mu.Lock()
			ended := c.ended
			c.mu.Unlock()
			if ended {
				return errSilent
			}
		}
	}
}

// subject is what the frame is about.
func (o *outlet) subject() paperapi.Subject {
	s := paperapi.Subject{Account: o.account}
	if o.op == OpOrders {
		var frame struct{ Data struct{ TrdSym string } }
		_ = json.Unmarshal(o.now.data, &frame)
		s.Symbol = frame.Data.TrdSym
	}
	return s
}

// pass returns what leaves in place of a frame. The frame's bytes are others' too: it does
// not change them.
func (o *outlet) pass(m message) (d departure) {
	switch {
	case o.mute:
		return d
	case !o.answered:
		o.answered = true
		if o.fallback {
			m.data = bytes.ReplaceAll(m.data, []byte(sfeed.FormatBatch), []byte(faultFallback))
		}
		d.wait = o.wait
		d.with(m)
		return d
	}
	o.now = m
	if f, ok := o.strike.struck(o.op, Frame, o.about); ok {
		o.spoil(&d, m, f)
	} else {
		d.with(o.bare(m))
	}
	o.now = message{}
	if o.held != nil && d.n > 0 {
		d.with(*o.held)
		o.held = nil
	}
	return d
}

// spoil makes of a frame what a fault makes of it.
func (o *outlet) spoil(d *departure, m message, f Fault) {
	switch f.Name {
	case faultDrop:
		d.end, o.mute = breaks, true
	case faultGoodbye:
		d.end, o.mute = departs, true
	case faultSilent:
		o.mute = true
	case faultDead:
		o.mute = true
		o.deaf.Store(true)
	case faultDelayed:
		d.wait = f.seconds()
		d.with(m)
	case faultTwice:
		d.with(m, m)
	case faultReordered:
		if o.held != nil {
			d.with(m)
			return
		}
		o.held = &message{m.kind, bytes.Clone(m.data)}
	case faultCut:
		d.with(message{m.kind, m.data[:len(m.data)/2]})
	case faultGarbage:
		d.with(garbage(m.kind), m)
	case faultUnknown:
		d.with(o.unknown(m)...)
	}
}

// bare returns an order's frame as the service sends some: without what a client would
// like to know.
func (o *outlet) bare(m message) message {
	if o.op != OpOrders || !bytes.HasPrefix(m.data, []byte(`{"type":"order"`)) || !first(m.data) {
		return m
	}
	if _, ok := o.strike.struck(o.op, Update, o.about); !ok {
		return m
	}
	var frame struct {
		Type string                     `json:"type"`
		Data map[string]json.RawMessage `json:"data"`
	}
	if json.Unmarshal(m.data, &frame) != nil {
		return m
	}
	for _, key := range []string{"qty", "unFldSz", "prc", "trgPrc", "sym", "trdSym"} {
		delete(frame.Data, key)
	}
	data, err := json.Marshal(frame)
	if err != nil {
		return m
	}
	return message{m.kind, data}
}

// first reports whether an order's frame is one of before it is at the exchange.
func first(data []byte) bool {
	for _, s := range []paper.State{paper.PutReceived, paper.ValidationPending, paper.OpenPending} {
		if bytes.Contains(data, []byte(`"ordSt":"`+s.String()+`"`)) {
			return true
		}
	}
	return false
}

// garbage returns a frame that means nothing.
func garbage(kind websocket.MessageType) message {
	if kind == websocket.MessageText {
		return message{kind, []byte(`}{"type":`)}
	}
	data := make([]byte, 61)
	for i := range data {
		data[i] = byte(i*167 + 89)
	}
	return message{kind, data}
}

// unknown puts something of an unknown kind before a frame.
func (o *outlet) unknown(m message) []message {
	switch {
	case o.op == OpOld:
		return []message{{websocket.MessageBinary, []byte{0, 2, 99, 0}}, m}
	case o.op == OpOrders:
		return []message{{websocket.MessageText, []byte(`{"type":"announcement","data":{"text":"sent on purpose"}}`)}, m}
	case m.kind == websocket.MessageText:
		return []message{{m.kind, []byte(`{"message_code":1999,"description":"sent on purpose"}`)}, m}
	}
	packet := make([]byte, 20, 20+len(m.data))
	binary.LittleEndian.PutUint16(packet, uint16(len(packet)))
	binary.LittleEndian.PutUint16(packet[2:], 7999)
	packet[4] = 1
	return []message{{m.kind, append(packet, m.data...)}}
}
