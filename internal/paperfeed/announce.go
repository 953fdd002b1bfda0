package paperfeed

import (
	"github.com/coder/websocket"

	"neoapi/internal/paper/listing"
	"neoapi/internal/paperapi"
	"neoapi/internal/sfeed"
)

// status is what a market is doing. Without one it is open, as the exchange on paper
// always is.
type status struct {
	code int
	text string
}

func (h *hub) statusOf(s listing.Segment) status {
	if x, ok := h.statuses[s]; ok {
		return x
	}
	return status{code: sfeed.StatusOpen}
}

// closed reports whether a market was said to be closed: its quotes stay as they are.
func (h *hub) closed(s listing.Segment) bool { return h.statusOf(s).code == sfeed.StatusClose }

// watch sends a client the status of all markets, now and when one changes.
func (h *hub) watch(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var packets []byte
	for _, s := range listing.Segments {
		packets = h.appendStatus(packets, s)
	}
	c.send(frame{kind: websocket.MessageBinary, data: packets})
	h.watchers[c] = true
}

// unwatch ends it.
func (h *hub) unwatch(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.watchers, c)
}

func (h *hub) appendStatus(b []byte, s listing.Segment) []byte {
	now := h.statusOf(s)
	x := sfeed.Status{Code: uint16(now.code), Text: []byte(now.text)}
	return x.Append(b, sfeed.Header{Exchange: sfeed.Exchange(s.String())})
}

// announced tells what somebody has said by hand.
func (h *hub) announced(a paperapi.Announcement) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case a.Reset:
		for s, was := range h.statuses {
			if was.code != sfeed.StatusOpen {
				h.setStatus(s, status{code: sfeed.StatusOpen})
			}
		}
		for key := range h.auctions {
			h.setAuction(key, sfeed.Auction{Token: int32(key.Token)})
		}
		clear(h.auctions)
	case a.Instrument == nil:
		h.setStatus(a.Segment, status{a.Status, a.Text})
	default:
		n := scale(sfeed.Divider(a.Segment.String()))
		h.setAuction(a.Instrument.Key, sfeed.Auction{
			Token: int32(a.Instrument.Token), Reference: int32(n.of(a.Reference)), Imbalance: a.Imbalance, ImbalanceAtMarket: a.ImbalanceAtMarket,
		})
	}
}

func (h *hub) setStatus(s listing.Segment, now status) {
	h.statuses[s] = now
	packet := h.appendStatus(nil, s)
	for c := range h.watchers {
		c.send(frame{kind: websocket.MessageBinary, data: packet})
	}
}

func (h *hub) setAuction(key listing.Key, now sfeed.Auction) {
	packet := appendAuction(key, now)
	h.auctions[key] = packet
	t := h.tickers[key]
	if t == nil {
		return
	}
	var clients []*client
	for _, s := range t.subs {
		if hasAuction(s.level) && s.client.tick(s, nil, packet) {
			clients = append(clients, s.client)
		}
	}
	wake(clients)
}

func appendAuction(key listing.Key, now sfeed.Auction) []byte {
	h := sfeed.Header{Exchange: sfeed.Exchange(key.Segment.String())}
	if now.Reference != 0 {
		h.Auction = 1
	}
	return now.Append(nil, h)
}

// hasAuction reports whether who has a level is told of closing auctions.
func hasAuction(level uint8) bool { return level >= sfeed.LevelTouch && level != levelIndex }

// auctionOf returns the packet of a share's closing auction, for who has a level. Outside
// an auction it has zeros.
func (h *hub) auctionOf(t *ticker, level uint8) []byte {
	if !t.key.Segment.Cash() || !hasAuction(level) {
		return nil
	}
	if h.auctions[t.key] == nil {
		return appendAuction(t.key, sfeed.Auction{Token: int32(t.key.Token)})
	}
	return h.auctions[t.key]
}
