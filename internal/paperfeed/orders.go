package paperfeed

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/coder/websocket"

	"neoapi/internal/paperapi"
)

// orders is the order feed: JSON in frames of text.
type orders struct {
	client   *client
	follower *paperapi.Follower
}

func newOrders(c *client) protocol {
	c.silence = silentTime
	return &orders{client: c}
}

// first implements [protocol]: the frame is JSON or, from clients of generations 2 and 3,
// the same without quotes.
func (o *orders) first(_ websocket.MessageType, data []byte) (claim, error) {
	fields := struct{ Type, Authorization, Sid string }{}
	if err := json.Unmarshal(data, &fields); err != nil {
		bare, ok := bareFields(data)
		if !ok {
			return claim{}, errFirst
		}
		fields.Type, fields.Authorization, fields.Sid = bare["type"], bare["authorization"], bare["sid"]
	}
	if fields.Type != "cn" {
		return claim{}, errFirst
	}
	return claim{sid: fields.Sid, token: fields.Authorization}, nil
}

// bareFields reads {type:cn,Sid:…}: JSON without its quotes.
func bareFields(data []byte) (map[string]string, bool) {
	inner, opened := bytes.CutPrefix(bytes.TrimSpace(data), []byte("{"))
	inner, closed := bytes.CutSuffix(inner, []byte("}"))
	if !opened || !closed {
		return nil, false
	}
	fields := map[string]string{}
	for field := range strings.SplitSeq(string(inner), ",") {
		name, value, ok := strings.Cut(field, ":")
		if !ok {
			return nil, false
		}
		fields[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
	}
	return fields, true
}

// Answers to the first frame.
const (
	connected = `{"ak":"ok","type":"cn","task":"cn","msg":"connected"}`
	refused   = `{"ak":"nk","type":"cn","task":"cn","msg":"the session is not valid"}`
)

// answer implements [protocol]. The state of the account follows, and then what happens:
// all that happens once the client can know that it is connected.
func (o *orders) answer(refusal error) {
	if refusal != nil {
		o.client.text([]byte(refused))
		return
	}
	following := make(chan *paperapi.Follower, 1)
	o.client.send(frame{more: func(write func(websocket.MessageType, []byte) error) error {
		f := <-following
		if err := write(websocket.MessageText, []byte(connected)); err != nil {
			return err
		}
		return f.State(func(data []byte) error { return write(websocket.MessageText, data) })
	}})
	o.follower = o.client.feeds.cfg.API.Follow(o.client.session.UCC, o.client.text)
	following <- o.follower
}

// frame implements [protocol]: heartbeats and whatever else comes are the sign of life
// that was asked for.
func (o *orders) frame(websocket.MessageType, []byte) error { return nil }

// end implements [protocol].
func (o *orders) end() {
	if o.follower != nil {
		o.follower.Stop()
	}
}

// fill implements [protocol]: there are no instruments.
func (o *orders) fill(frame []byte, _ []*subscription) ([]byte, []*subscription) { return frame, nil }
