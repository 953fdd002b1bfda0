package paperfeed_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"neoapi"
	"neoapi/internal/must"
)

// An oldClient speaks HSM as the official clients of generations 1 and 2 do, and fails the
// test where they raise an error, close the socket or drop what came.
type oldClient struct {
	t  testing.TB
	ws *websocket.Conn

	every, counter uint32 // every so many messages of data one is acknowledged
	silent         bool   // none is
	topics         map[uint32]*oldTopic
	waiting        []oldEvent
}

// An oldTopic is what the client knows of a topic.
type oldTopic struct {
	kind   string
	values map[int]int32
	texts  map[byte]string
}

// An oldEvent is the answer to a request, or a packet of data.
type oldEvent struct {
	answer string    // such as "4 K"
	topic  *oldTopic // of a packet
	first  bool      // it is a snapshot
	told   []int     // the positions that it has
}

// price returns a value as a price, as the client prints it.
func (o *oldTopic) price(position int) string {
	mult, precision := o.scale()
	return fmt.Sprintf("%.*f", precision, float64(o.values[position])/(float64(mult)*math.Pow10(precision)))
}

// scale returns the topic's multiplier and precision.
func (o *oldTopic) scale() (multiplier int32, precision int) {
	k := map[string]int{"sf": 23, "if": 8, "dp": 32}[o.kind]
	return o.values[k], int(o.values[k+1])
}

// dialHSM opens a connection and proves a session.
func dialHSM(t testing.TB, s neoapi.Session, address string) *oldClient {
	t.Helper()
	o := &oldClient{t: t, ws: dial(t, address), topics: map[uint32]*oldTopic{}}
	o.connect(s.Token, s.SID)
	if e := o.next(); e.answer != "1 K" || o.every != 5 {
		t.Fatalf("answered %q, and every %d. message is to be acknowledged", e.answer, o.every)
	}
	return o
}

func (o *oldClient) send(frame []byte) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), patience)
	defer cancel()
	must.Do(o.t, o.ws.Write(ctx, websocket.MessageBinary, frame))
}

// request returns a message: its length, type and number of fields, and the fields.
func request(kind byte, fields ...[]byte) []byte {
	b := []byte{0, 0, kind, byte(len(fields))}
	for _, f := range fields {
		b = append(b, f...)
	}
	binary.BigEndian.PutUint16(b, uint16(len(b)-2))
	return b
}

// field returns a field of a message.
func field(id byte, value []byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{id}, uint16(len(value))), value...)
}

// topics returns a field of topics.
func topics(id byte, names []string) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(names)))
	for _, name := range names {
		b = append(append(b, byte(len(name))), name...)
	}
	return field(id, b)
}

func (o *oldClient) connect(token, sid string) {
	o.send(request(1, field(1, []byte(token)), field(2, []byte(sid)), field(3, []byte("JS_API"))))
}
func (o *oldClient) subscribe(channel byte, names ...string) {
	o.send(request(4, topics(1, names), field(2, []byte{channel})))
}
func (o *oldClient) unsubscribe(channel byte, names ...string) {
	o.send(request(5, topics(1, names), field(2, []byte{channel})))
}
func (o *oldClient) snapshot(names ...string) { o.send(request(9, topics(2, names))) }

// channels pauses (7) or resumes (8) channels up to 31, without a length.
func (o *oldClient) channels(kind byte, channels ...int) {
	mask := uint32(0)
	for _, n := range channels {
		mask |= 1 << n
	}
	b := append(append([]byte{kind, 1}, 1, 0, 8, 0, 0, 0, 0), binary.BigEndian.AppendUint32(nil, mask)...)
	o.send(append(b, 0, 0))
}

// next returns the next answer or packet.
func (o *oldClient) next() oldEvent {
	o.t.Helper()
	for len(o.waiting) == 0 {
		kind, b := hear(o.t, o.ws)
		if kind != websocket.MessageBinary {
			o.t.Fatalf("a frame of text: %s", b)
		}
		o.waiting = o.read(b)
	}
	e := o.waiting[0]
	o.waiting = o.waiting[1:]
	return e
}

// answered returns the next answer. Packets before it are left out.
func (o *oldClient) answered() string {
	o.t.Helper()
	for {
		if e := o.next(); e.answer != "" {
			return e.answer
		}
	}
}

// until returns the first packet with a value of a topic that ok likes.
func (o *oldClient) until(topic string, ok func(*oldTopic) bool) oldEvent {
	o.t.Helper()
	for {
		if e := o.next(); e.topic != nil && e.topic.name() == topic && ok(e.topic) {
			return e
		}
	}
}

// name returns the topic as it is asked for.
func (o *oldTopic) name() string { return o.kind + "|" + o.texts[53] + "|" + o.texts[52] }

// A cursor reads a frame.
type cursor struct {
	t testing.TB
	b []byte
}

func (c *cursor) take(n int) []byte {
	c.t.Helper()
	if n > len(c.b) {
		c.t.Fatalf("%d bytes are left, and %d should be", len(c.b), n)
	}
	taken := c.b[:n]
	c.b = c.b[n:]
	return taken
}
func (c *cursor) u8() byte    { c.t.Helper(); return c.take(1)[0] }
func (c *cursor) u16() uint16 { c.t.Helper(); return binary.BigEndian.Uint16(c.take(2)) }
func (c *cursor) u32() uint32 { c.t.Helper(); return binary.BigEndian.Uint32(c.take(4)) }

func (o *oldClient) read(b []byte) []oldEvent {
	o.t.Helper()
	c := &cursor{o.t, b}
	if n := int(c.u16()); n != len(c.b) {
		o.t.Fatalf("a message of %d bytes says that it has %d", len(c.b), n)
	}
	kind := c.u8()
	if kind == 6 {
		return o.data(c)
	}
	count := c.u8()
	c.u8()
	e := oldEvent{answer: fmt.Sprintf("%d %s", kind, c.take(int(c.u16())))}
	if kind == 1 && count == 2 {
		c.u8()
		for _, digit := range c.take(int(c.u16())) {
			o.every = o.every<<8 | uint32(digit)
		}
	}
	return []oldEvent{e}
}

func (o *oldClient) data(c *cursor) (events []oldEvent) {
	o.t.Helper()
	if o.every > 0 {
		number := c.u32()
		if o.counter++; o.counter == o.every && !o.silent {
			o.send(request(3, field(1, binary.BigEndian.AppendUint32(nil, number))))
			o.counter = 0
		}
	}
	for range c.u16() {
		p := &cursor{o.t, c.take(int(c.u16()))}
		switch kind := p.u8(); kind {
		case 'S':
			events = append(events, o.begin(p))
		case 'U':
			topic := o.topics[p.u32()]
			if topic == nil {
				o.t.Fatal("an update of a topic without a snapshot: old clients close the socket")
			}
			events = append(events, oldEvent{topic: topic, told: topic.set(p)})
		default:
			o.t.Fatalf("a packet of kind %d", kind)
		}
		if len(p.b) > 0 {
			o.t.Fatalf("%d bytes are left of a packet", len(p.b))
		}
	}
	if len(c.b) > 0 {
		o.t.Fatalf("%d bytes are left of a message", len(c.b))
	}
	return events
}

// begin reads a snapshot, and checks that old clients can do with it.
func (o *oldClient) begin(p *cursor) oldEvent {
	o.t.Helper()
	id := p.u32()
	name := string(p.take(int(p.u8())))
	kind, asked, _ := strings.Cut(name, "|")
	topic := &oldTopic{kind: kind, values: map[int]int32{}, texts: map[byte]string{}}
	told := topic.set(p)
	for range p.u8() {
		text := p.u8()
		topic.texts[text] = string(p.take(int(p.u8())))
	}
	o.topics[id] = topic
	multiplier, precision := topic.scale()
	closePosition, isQuote := map[string]int{"sf": 21, "if": 3}[kind]
	switch {
	case len(told) < map[string]int{"sf": 18, "if": 10, "dp": 34}[kind] || kind == "":
		o.t.Errorf("%s begins with the values %v", name, told)
	case multiplier == 0 || precision < 2 || isQuote && topic.values[closePosition] == 0:
		o.t.Errorf("%s: multiplier %d, precision %d, close %d", name, multiplier, precision, topic.values[closePosition])
	case topic.texts[53]+"|"+topic.texts[52] != asked || topic.texts[54] == "":
		o.t.Errorf("%s: texts %q", name, topic.texts)
	}
	return oldEvent{topic: topic, first: true, told: told}
}

// set reads values. What is unchanged is not told.
func (o *oldTopic) set(p *cursor) (told []int) {
	for k := range int(p.u8()) {
		if v := int32(p.u32()); v != math.MinInt32 {
			o.values[k] = v
			told = append(told, k)
		}
	}
	return told
}
