package paperfeed

import (
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"

	"neoapi/internal/paper/listing"
)

// Limits of HSM.
const (
	hsmAckEvery     = 5   // messages of data
	hsmChannels16   = 16  // that may be subscribed on; 64 may be paused
	hsmOfChannel    = 200 // topics
	hsmOfRequest    = 100 // topics, of which a message with all their snapshots has room
	hsmLongestTopic = 64
	hsmTopicBytes   = 512         // that a topic costs, about
	hsmLongestStep  = time.Minute // between two messages of a client that throttles them
)

// hsmAckTime is how long an acknowledgement may be due. Tests shorten it.
var hsmAckTime = time.Minute

// hsm is the market feed of generations 1 and 2. The goroutine that reads has its topics;
// what else is written to is under the client's lock, which the hub's comes before.
type hsm struct {
	client *client
	opened time.Time
	topics map[string]*hsmTopic
	on     [hsmChannels16 + 1]int // topics by channel

	paused uint64 // channels
	held   []*subscription
	acks   acks
	step   time.Duration // the least between two messages of data
	next   time.Time     // not before then
	timer  *time.Timer   // until next; nil: none is under way
}

// An hsmTopic is what a client has subscribed, on one channel or more.
type hsmTopic struct {
	kind  hsmKind
	name  string // as it was asked for, such as sf|nse_cm|11536
	asked string // the part after the segment
	of    *listing.Instrument
	sub   *subscription

	// Under the client's lock.
	channels uint64    // 0: it has been unsubscribed
	shown    bool      // the client has had a snapshot
	last     hsmValues // that it knows
}

// id returns the topic's number.
func (t *hsmTopic) id() uint32 {
	return hsmID(t.kind, t.of, strings.Trim(t.asked, "0123456789") != "")
}

func newHSM(c *client) protocol {
	return &hsm{client: c, opened: time.Now(), topics: map[string]*hsmTopic{}} // its clients send no pings
}

// first implements [protocol].
func (h *hsm) first(_ websocket.MessageType, data []byte) (claim, error) {
	r, err := parseHSM(data)
	if err != nil || r.kind != hsmConnect {
		return claim{}, errFirst
	}
	return claim{token: string(r.fields[1]), sid: string(r.fields[2])}, nil
}

// answer implements [protocol]. Clients that are refused subscribe all the same, and wait
// for answers: they get them for half the time that there is to prove a session, so that
// the rest is enough to say goodbye.
func (h *hsm) answer(refusal error) {
	if refusal == nil {
		h.send(hsmStatus(hsmConnect, true, hsmAckEvery))
		return
	}
	h.send(hsmStatus(hsmConnect, false, 0))
	goodbye := time.AfterFunc(time.Until(h.opened.Add(proveTime/2)), func() {
		h.client.close(errRefused.code, errRefused.reason)
	})
	defer goodbye.Stop()
	for err := error(nil); err == nil; {
		h.client.awaitRoom()
		h.client.pace()
		err = h.client.next(func(_ websocket.MessageType, data []byte) error {
			r, err := parseHSM(data)
			if err == nil && r.kind != hsmAck {
				h.send(hsmStatus(r.kind, false, 0))
			}
			return err
		})
	}
}

func (h *hsm) send(data []byte) {
	h.client.send(frame{kind: websocket.MessageBinary, data: data})
}

// frame implements [protocol]. Frames of text, which have been heartbeats, are passed over.
func (h *hsm) frame(kind websocket.MessageType, data []byte) error {
	if kind == websocket.MessageText {
		return nil
	}
	r, err := parseHSM(data)
	if err != nil {
		return errFrame
	}
	switch r.kind {
	case hsmAck:
		err = h.acknowledged(r)
	case hsmSubscribe, hsmUnsubscribe, hsmSnapshot:
		err = h.topical(r)
	case hsmPause, hsmResume:
		err = h.pause(r)
	case hsmThrottle:
		err = h.throttle(r)
	default:
		h.send(hsmStatus(r.kind, false, 0))
	}
	if err != nil {
		return errFrame
	}
	return nil
}

func (h *hsm) acknowledged(r hsmRequest) error {
	number, err := hsmNumber(r.fields[1])
	h.client.mu.Lock()
	defer h.client.mu.Unlock()
	h.acks.acknowledge(number, time.Now())
	return err
}

// topical does what is asked for topics: on a channel, or for a snapshot once.
func (h *hsm) topical(r hsmRequest) error {
	field, channel := r.fields[1], 0
	if r.kind == hsmSnapshot {
		field = r.fields[2]
	} else if len(r.fields[2]) == 1 {
		channel = int(r.fields[2][0])
	}
	names, err := hsmTopics(field)
	if err != nil {
		return err
	}
	switch {
	case len(names) > hsmOfRequest, r.kind != hsmSnapshot && (channel < 1 || channel > hsmChannels16):
		h.send(hsmStatus(r.kind, false, 0))
	case r.kind == hsmSubscribe:
		h.subscribe(names, channel)
	case r.kind == hsmUnsubscribe:
		h.unsubscribe(names, channel)
	default:
		h.snapshot(names)
	}
	time.Sleep(tokenTime * time.Duration(len(names)))
	return nil
}

// find returns the topic of a name.
func (h *hsm) find(name string) (*hsmTopic, bool) {
	kind, segment, asked, ok := splitTopic(name)
	if !ok || len(name) > hsmLongestTopic {
		return nil, false
	}
	i, ok := h.client.feeds.find(segment + "|" + asked)
	if !ok || kind == hsmIndex && i.Kind != listing.Index {
		return nil, false
	}
	t := &hsmTopic{kind: kind, name: name, asked: asked, of: i}
	t.sub = &subscription{client: h.client, of: t}
	return t, true
}

// subscribe subscribes topics on a channel: each begins with a snapshot, also one that is
// subscribed already. The answer is K if all of them are.
func (h *hsm) subscribe(names []string, channel int) {
	all := true
	for _, name := range names {
		t, known := h.topics[name]
		if !known {
			t, _ = h.find(name)
		}
		switch {
		case t == nil, t.channels&hsmChannel(channel) == 0 && h.on[channel] >= hsmOfChannel:
			all = false
		case known:
			h.put(t, channel)
			h.client.mu.Lock()
			t.shown = false
			h.requeue(t.sub)
			h.client.mu.Unlock()
		case !h.client.feeds.hub.subscribe(t.sub, t.of.Key):
			all = false
		default:
			h.topics[name] = t
			h.put(t, channel)
		}
	}
	h.send(hsmStatus(hsmSubscribe, all, 0)) // this wakes the client up
}

// put puts a topic on a channel.
func (h *hsm) put(t *hsmTopic, channel int) {
	h.client.mu.Lock()
	defer h.client.mu.Unlock()
	if t.channels&hsmChannel(channel) == 0 {
		h.on[channel]++
	}
	t.channels |= hsmChannel(channel)
}

// requeue queues a subscription's latest tick again, if it is not queued. The client's
// lock is held.
func (h *hsm) requeue(s *subscription) {
	if !s.queued && !h.client.closed {
		s.queued = true
		h.client.moved = append(h.client.moved, s)
		h.client.signal()
	}
}

// unsubscribe unsubscribes topics from a channel; those that are not on it, from all of
// theirs. The answer is K if all were subscribed.
func (h *hsm) unsubscribe(names []string, channel int) {
	all := true
	for _, name := range names {
		t := h.topics[name]
		if t == nil {
			all = false
			continue
		}
		gone := hsmChannel(channel)
		if t.channels&gone == 0 {
			gone = t.channels
		}
		h.client.mu.Lock()
		for n := range hsmChannels16 {
			if gone&hsmChannel(n+1) != 0 {
				h.on[n+1]--
			}
		}
		t.channels &^= gone
		if t.channels == 0 {
			h.held = slices.DeleteFunc(h.held, func(s *subscription) bool { return s == t.sub })
		}
		h.client.mu.Unlock()
		if t.channels == 0 {
			delete(h.topics, name)
			h.client.feeds.hub.unsubscribe(t.sub)
		}
	}
	h.send(hsmStatus(hsmUnsubscribe, all, 0))
}

// snapshot sends what instruments do now. The answer is K if all are listed.
func (h *hsm) snapshot(names []string) {
	type picture struct {
		*hsmTopic
		tick *tick
	}
	var all []picture
	for _, name := range names {
		t := h.topics[name]
		if t == nil {
			t, _ = h.find(name)
		}
		if t == nil {
			continue
		}
		if tick := h.client.feeds.hub.snapshot(t.of.Key, 0); tick != nil {
			all = append(all, picture{t, tick})
		}
	}
	h.send(hsmStatus(hsmSnapshot, len(all) == len(names), 0))
	if len(all) == 0 {
		return
	}
	// It is numbered when it is written.
	h.client.send(frame{held: hsmTopicBytes * len(all), more: func(write func(websocket.MessageType, []byte) error) error {
		h.client.mu.Lock()
		b := beginHSM(nil, h.number())
		for _, p := range all {
			p.shown = false
			b, _ = p.append(b, p.tick)
		}
		h.client.mu.Unlock()
		return write(websocket.MessageBinary, endHSM(b, len(all)))
	}})
}

// pause stops or resumes the updates of channels.
func (h *hsm) pause(r hsmRequest) error {
	channels, err := hsmChannels(r.fields[1])
	if err != nil {
		return err
	}
	h.send(hsmStatus(r.kind, true, 0))
	h.client.mu.Lock()
	defer h.client.mu.Unlock()
	if r.kind == hsmPause {
		h.paused |= channels
	} else {
		h.paused &^= channels
		h.release()
	}
	return nil
}

// throttle sets the least time between two messages of data, in milliseconds.
func (h *hsm) throttle(r hsmRequest) error {
	ms, err := hsmNumber(r.fields[1])
	if err != nil {
		return err
	}
	h.send(hsmStatus(hsmThrottle, true, 0))
	h.client.mu.Lock()
	defer h.client.mu.Unlock()
	h.step = min(time.Duration(ms)*time.Millisecond, hsmLongestStep)
	h.next = time.Time{}
	h.release()
	return nil
}

// release queues what was held back. The client's lock is held.
func (h *hsm) release() {
	held := h.held
	h.held = nil
	for _, s := range held {
		s.queued = false
		h.requeue(s)
	}
}

// end implements [protocol].
func (h *hsm) end() {
	for _, t := range h.topics {
		h.client.feeds.hub.unsubscribe(t.sub)
	}
	h.client.mu.Lock()
	defer h.client.mu.Unlock()
	if h.timer != nil {
		h.timer.Stop()
	}
}

// fill implements [protocol].
func (h *hsm) fill(frame []byte, moved []*subscription) ([]byte, []*subscription) {
	now := time.Now()
	if now.Before(h.next) {
		h.held = append(h.held, moved...)
		h.later(h.next.Sub(now))
		return frame, nil
	}
	packets := 0
	for len(moved) > 0 && len(frame) < batchBytes {
		s := moved[0]
		moved = moved[1:]
		t := s.of.(*hsmTopic) //nolint:forcetypeassert // HSM's have no other
		if t.channels != 0 && t.channels&^h.paused == 0 {
			h.held = append(h.held, s)
			continue
		}
		if s.queued = false; s.ended || s.latest == nil {
			continue
		}
		if len(frame) == 0 {
			frame = beginHSM(frame, 0)
		}
		var told bool
		if frame, told = t.append(frame, s.latest); told {
			packets++
		}
	}
	if packets == 0 {
		return frame[:0], moved
	}
	if h.step > 0 {
		h.next = now.Add(h.step)
	}
	numberHSM(frame, h.number())
	return endHSM(frame, packets), moved
}

// later queues what is held back after a time. The client's lock is held.
func (h *hsm) later(d time.Duration) {
	if h.timer != nil {
		return
	}
	h.timer = time.AfterFunc(d, func() {
		h.client.mu.Lock()
		defer h.client.mu.Unlock()
		h.timer = nil
		h.release()
	})
}

// number returns the number of a message of data that is about to be written. The client's
// lock is held.
func (h *hsm) number() uint32 {
	n, late := h.acks.send(time.Now())
	if late {
		time.AfterFunc(0, func() { h.client.close(websocket.StatusPolicyViolation, "messages of data are not acknowledged") })
	}
	return n
}

// append appends a packet of what an instrument does: all of it to begin with, then what
// has changed. It reports whether there is something to tell. The client's lock is held.
func (t *hsmTopic) append(b []byte, tick *tick) (_ []byte, told bool) {
	var v hsmValues
	v.of(t.kind, &tick.quote)
	n := len(b)
	if t.shown {
		b = appendHSMUpdate(b, t.id(), t.kind, &t.last, &v)
	} else {
		b = appendHSMSnapshot(b, t.id(), t.name, t.asked, t.kind, t.of, &v)
	}
	t.shown, t.last = true, v
	return b, len(b) > n
}

// acks are the numbers of the messages of data that a client gets and acknowledges.
type acks struct {
	sent, acknowledged uint32
	since              time.Time // that an acknowledgement is due
}

// send returns the number of the next message. It reports whether an acknowledgement has
// been due for too long.
func (a *acks) send(now time.Time) (number uint32, late bool) {
	a.sent++
	if a.sent-a.acknowledged == hsmAckEvery {
		a.since = now
	}
	return a.sent, a.sent-a.acknowledged >= hsmAckEvery && now.Sub(a.since) > hsmAckTime
}

// acknowledge notes that the client has had a message, and those before it.
func (a *acks) acknowledge(number uint32, now time.Time) {
	if number-a.acknowledged <= a.sent-a.acknowledged {
		a.acknowledged, a.since = number, now
	}
}
