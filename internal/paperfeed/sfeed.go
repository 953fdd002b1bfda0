package paperfeed

import (
	"strconv"
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
}

// wanted is what a client may subscribe once.
type wanted struct {
	key   listing.Key
	level uint8
}

// mostTokens is how many subscriptions a connection may have.
const mostTokens = 3000

func newSFeed(c *client) protocol {
	c.silence = silentTime
	return &marketFeed{client: c, subs: map[wanted]*subscription{}}
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
	if err != nil {
		return nil //nolint:nilerr // a heartbeat, or nothing that we know
	}
	hub := &m.client.feeds.hub
	var packets []byte
	symbols := map[string]string{}
	for _, token := range r.Tokens {
		symbols[token] = ""
		i, ok := m.client.feeds.find(token)
		if !ok {
			continue
		}
		symbols[token] = i.Name
		level := r.Topic.Level()
		if i.Kind == listing.Index {
			level = levelIndex
		}
		if level == 0 {
			continue // an index was asked for
		}
		want := wanted{i.Key, level}
		switch r.Action {
		case sfeed.Subscribe:
			if m.subs[want] != nil || len(m.subs) >= mostTokens {
				continue
			}
			s := &subscription{client: m.client, level: level}
			if hub.subscribe(s, i.Key) {
				m.subs[want] = s
			}
		case sfeed.Unsubscribe:
			if s := m.subs[want]; s != nil {
				hub.unsubscribe(s)
				delete(m.subs, want)
			}
		case sfeed.Snapshot:
			if t, ok := hub.snapshot(i.Key, level); ok {
				packets = append(packets, t.packet(level)...)
			}
		}
	}
	if len(packets) > 0 {
		m.client.send(frame{kind: websocket.MessageBinary, data: packets})
	}
	if r.Ack && r.Action != sfeed.Unsubscribe {
		ack := sfeed.Reply{Code: sfeed.ReplyAck, Description: sfeed.DescriptionSubscribed, Symbols: symbols}
		m.client.text(ack.Append(nil))
	}
	return nil
}

// end implements [protocol].
func (m *marketFeed) end() {
	for _, s := range m.subs {
		m.client.feeds.hub.unsubscribe(s)
	}
}

// fill implements [protocol].
func (m *marketFeed) fill(frame []byte, moved []*subscription) ([]byte, []*subscription) {
	for len(moved) > 0 && len(frame) < batchBytes {
		s := moved[0]
		moved = moved[1:]
		s.queued = false
		frame = append(frame, s.latest.packet(s.level)...)
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
