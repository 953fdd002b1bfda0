package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"neoapi"
	"neoapi/trade"
)

// An orderProtocol is the order feed's. Its methods are called by the link alone.
type orderProtocol struct {
	feed  *OrderFeed
	forms map[string]form // by host
	early [][]byte        // frames that came before the answer

	host    string // of the connection
	session neoapi.Session
}

func (p *orderProtocol) addresses(ctx context.Context, s neoapi.Session) ([]string, error) {
	return orderAddresses(ctx, p.feed.client, s)
}

// beats are those of the service's own clients: a frame and pings in generations 1 and 2,
// pings alone in generation 3.
func (p *orderProtocol) beat(s neoapi.Session) beat {
	if p.feed.client.GenerationOf(s) == 3 {
		return beat{ping: 20 * time.Second}
	}
	return beat{text: []byte(`{"type":"hb"}`), every: 30 * time.Second, ping: 5 * time.Second}
}

// A form is how the next first frame is written: as JSON or, bare, without quotes and
// blanks, as the service's own clients do.
type form struct {
	bare    bool
	refused bool // the other form was refused
}

// greet proves the session. Some servers take the first frame as JSON, others without
// quotes alone: after a failure the other form is the next connection's. Only when both
// were refused the session was, unless a call says so before.
func (p *orderProtocol) greet(ctx context.Context, w *wire, s neoapi.Session) error {
	next := p.forms[w.host]
	first := `{type:cn,Authorization:` + s.Token + `,Sid:` + s.SID + `,src:WEB}`
	if !next.bare {
		quoted, err := json.Marshal(map[string]string{"type": "cn", "Authorization": s.Token, "Sid": s.SID, "src": "WEB"})
		if err != nil {
			return &ProtocolError{Err: err}
		}
		first = string(quoted)
	}
	err := p.prove(ctx, w, first, s)
	refusal, refused := errors.AsType[*SessionError](err)
	refused = refused && !refusal.doubtful
	switch {
	case err == nil:
		next.refused = false
	case refused && !next.refused:
		next.bare, next.refused = !next.bare, true
		err = &ConnectionError{Err: fmt.Errorf("%w; the other form of the first frame is next", refusal.Err)}
	default:
		next.bare, next.refused = !next.bare, false
	}
	if p.forms == nil {
		p.forms = map[string]form{}
	}
	p.forms[w.host] = next
	return err
}

// prove sends the first frame and reads until its answer.
func (p *orderProtocol) prove(ctx context.Context, w *wire, first string, s neoapi.Session) error {
	p.early, p.host, p.session = nil, w.host, s
	if err := w.write([]byte(first)); err != nil {
		return err
	}
	for size := 0; ; {
		_, data, err := w.read(ctx)
		if err != nil {
			return err
		}
		var said struct{ Type, Ak, Msg string }
		if err := json.Unmarshal(data, &said); err != nil && !json.Valid(data) {
			return &ProtocolError{Err: fmt.Errorf("%s answered the first frame with %q", w.host, clean(string(data), s))}
		}
		if said.Type != "cn" {
			if size += len(data); size <= maxEarly { // it is about orders, and kept until the feed is up
				p.early = append(p.early, append([]byte(nil), data...))
			}
			continue
		}
		if strings.EqualFold(said.Ak, "ok") {
			return nil
		}
		return &SessionError{
			Err:      fmt.Errorf("%s refused the session: %s", w.host, clean(said.Msg, s)),
			doubtful: !strings.EqualFold(said.Ak, "nk"),
		}
	}
}

// maxEarly is how many bytes are kept of frames that come before the answer to the first
// one. What is not kept the book has.
const maxEarly = 2 << 20

func (p *orderProtocol) up(_ context.Context, w *wire) error {
	p.feed.connect(w)
	for _, data := range p.early {
		if err := p.frame(textFrame, data, time.Time{}); err != nil {
			return err
		}
	}
	p.early = nil
	return nil
}

func (p *orderProtocol) down(why error, at time.Time) { p.feed.disconnect(why, at) }

// frame takes what the service says of an order or a position. What cannot be read can be
// an order's newest state: the book has it.
func (p *orderProtocol) frame(_ frameKind, data []byte, _ time.Time) error {
	o := p.feed
	var said struct {
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
		Ak   json.RawMessage `json:"ak"`
		Msg  json.RawMessage `json:"msg"`
	}
	err := json.Unmarshal(data, &said)
	if said.Type != "cn" && said.Type != "hb" {
		o.mu.Lock()
		o.heard = time.Now()
		o.mu.Unlock()
	}
	if err != nil {
		o.unread.Add(1)
		o.doubt()
		return nil
	}
	switch said.Type {
	case "order":
		order, err := trade.ParseOrder(said.Data)
		if err != nil || order.Number == "" || order.State == "" {
			o.unread.Add(1)
			o.doubt()
			return nil
		}
		o.hear(order)
	case "position":
		position, err := trade.ParsePosition(said.Data)
		if err != nil || position.Symbol == "" && position.Token == "" {
			o.unread.Add(1)
			return nil
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		o.position(position)
	case "cn":
		if strings.EqualFold(string(said.Ak), `"nk"`) {
			return &SessionError{Err: fmt.Errorf("%s refused the session, which it had taken: %s", p.host, clean(string(said.Msg), p.session))}
		}
	case "hb":
	default:
		o.unknown.Add(1)
	}
	return nil
}
