package paperfeed

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"neoapi/internal/paper"
	"neoapi/internal/paper/listing"
	"neoapi/internal/sfeed"
)

// marketFeed is SFeed: text frames control, binary ones have packets.
type marketFeed struct {
	client *client
	subs   map[wanted]*subscription
	tokens map[string]int // how often each is subscribed
}

// wanted is what a client may subscribe once. A token that names nothing counts too.
type wanted struct {
	token string
	level uint8
}

// mostTokens is how many instruments may be subscribed on a connection, and longestToken
// how long what names one may be: what names none is kept too.
const (
	mostTokens   = 3000
	longestToken = 64
)

// tokenTime is how long reading is put off for each frame, and each instrument that it
// names: without it a client could keep the exchange busy by asking again and again.
const tokenTime = 20 * time.Microsecond

func newSFeed(c *client) protocol {
	c.silence = silentTime
	return &marketFeed{client: c, subs: map[wanted]*subscription{}, tokens: map[string]int{}}
}

// first implements [protocol].
func (m *marketFeed) first(_ websocket.MessageType, data []byte) (claim, error) {
	f, err := sfeed.ParseFirst(data)
	if err != nil {
		return claim{}, errFirst
	}
	return claim{ucc: f.User, sid: f.Auth}, nil
}

// answer implements [protocol].
func (m *marketFeed) answer(refusal error) {
	r := sfeed.Reply{Code: sfeed.ReplyAnswer, Format: sfeed.FormatBatch}
	if refusal != nil {
		r = sfeed.Reply{Code: sfeed.ReplyRefused, Message: "Auth failed: the session is not valid"}
	}
	m.client.text(r.Append(nil))
}

// frame implements [protocol]. What is no request is passed over.
func (m *marketFeed) frame(_ websocket.MessageType, data []byte) error {
	r, err := sfeed.ParseRequest(data)
	if err != nil || r.Action == 0 {
		return nil //nolint:nilerr // a heartbeat, or nothing that we know
	}
	if r.Topic == sfeed.Statuses {
		m.statuses(r)
		return nil
	}
	ack := sfeed.Reply{Code: sfeed.ReplyAck, Description: sfeed.DescriptionSubscribed, Symbols: map[string]string{}}
	var packets []byte
	for _, token := range r.Tokens {
		ack.Symbols[token] = ""
		level := r.Topic.Level()
		i, ok := m.client.feeds.find(token)
		if ok {
			ack.Symbols[token] = i.Name
		}
		if ok && i.Kind == listing.Index {
			level = levelIndex
		}
		switch want := (wanted{token, level}); {
		case r.Action == sfeed.Unsubscribe:
			m.unsubscribe(want)
		case r.Action == sfeed.Subscribe && !m.subscribe(want, i):
			delete(ack.Symbols, token)
			ack.ErrorCode, ack.Description = 1, tooManyTokens
		case r.Action == sfeed.Snapshot && ok && level != 0:
			if t := m.client.feeds.hub.snapshot(i.Key, level); t != nil {
				packets = append(packets, t.packet(level)...)
			}
		}
		if len(packets) >= batchBytes {
			m.client.send(frame{kind: websocket.MessageBinary, data: packets})
			packets = nil
		}
	}
	if len(packets) > 0 {
		m.client.send(frame{kind: websocket.MessageBinary, data: packets})
	}
	if r.Ack && r.Action != sfeed.Unsubscribe {
		m.client.text(ack.Append(nil))
	}
	wake([]*client{m.client})
	time.Sleep(tokenTime * time.Duration(len(r.Tokens)))
	return nil
}

// statuses answers a request for the status of markets.
func (m *marketFeed) statuses(r sfeed.Request) {
	switch r.Action {
	case sfeed.Subscribe:
		m.client.feeds.hub.watch(m.client)
	case sfeed.Unsubscribe:
		m.client.feeds.hub.unwatch(m.client)
	}
	if r.Ack && r.Action == sfeed.Subscribe {
		m.client.text(sfeed.Reply{Code: sfeed.ReplyAck, Description: sfeed.DescriptionSubscribed, Symbols: map[string]string{}}.Append(nil))
	}
}

// tooManyTokens says so in an acknowledgement, which names those that are subscribed.
var tooManyTokens = fmt.Sprintf("NOT SUBSCRIBED: as many instruments are as there may be, which is %d on a connection", mostTokens)

// subscribe subscribes an instrument, and reports whether there is room for it. i is nil if
// the token names none.
func (m *marketFeed) subscribe(want wanted, i *listing.Instrument) (room bool) {
	switch {
	case m.subs[want] != nil:
		return true
	case len(want.token) > longestToken:
		return true // like one that names nothing
	case m.tokens[want.token] == 0 && len(m.tokens) >= mostTokens:
		return false
	}
	want.token = strings.Clone(want.token) // it is a part of the frame
	s := &subscription{client: m.client, level: want.level}
	if i != nil && want.level != 0 && !m.client.feeds.hub.subscribe(s, i.Key) {
		return false
	}
	m.subs[want] = s
	m.tokens[want.token]++
	return true
}

// unsubscribe ends a subscription, if there is one.
func (m *marketFeed) unsubscribe(want wanted) {
	s := m.subs[want]
	if s == nil {
		return
	}
	m.client.feeds.hub.unsubscribe(s)
	delete(m.subs, want)
	if m.tokens[want.token]--; m.tokens[want.token] == 0 {
		delete(m.tokens, want.token)
	}
}

// end implements [protocol].
func (m *marketFeed) end() {
	for _, s := range m.subs {
		m.client.feeds.hub.unsubscribe(s)
	}
	m.client.feeds.hub.unwatch(m.client)
}

// fill implements [protocol].
func (m *marketFeed) fill(frame []byte, moved []*subscription) ([]byte, []*subscription) {
	for len(moved) > 0 && len(frame) < batchBytes {
		s := moved[0]
		moved = moved[1:]
		if s.queued = false; s.ended {
			continue
		}
		if s.latest != nil {
			frame = append(frame, s.latest.packet(s.level)...)
		}
		frame = append(frame, s.auction...)
		s.latest, s.auction = nil, nil
	}
	return frame, moved
}

// find returns the instrument that a token names, such as nse_cm|11536 or nse_cm|Nifty 50.
func (f *Feeds) find(token string) (i *listing.Instrument, ok bool) {
	segment, name, ok := sfeed.SplitToken(token)
	s, known := listing.ParseSegment(segment)
	if !ok || !known {
		return nil, false
	}
	f.cfg.API.Exchange(func(x *paper.Exchange, now time.Time) {
		day := x.Listing(now)
		if n, err := strconv.ParseUint(name, 10, 32); err == nil {
			i, ok = day.Find(listing.Key{Segment: s, Token: uint32(n)})
			return
		}
		i, ok = day.Named(s, name)
		ok = ok && i.Kind == listing.Index
	})
	return i, ok
}
