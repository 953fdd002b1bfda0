package sfeed

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// FormatBatch and FormatFallback are the formats of an [Answer]: what a client asks for,
// and a downgrade that it refuses, because its frames are of another kind.
const (
	FormatBatch    = "native_batch"
	FormatFallback = "native_fallback"
)

// A First is the client's first frame: it proves a session.
type First struct {
	User              string `json:"user"` // UCC
	Auth              string `json:"auth"` // sid
	Format            string `json:"format"`
	Source            string `json:"source"`
	Platform          string `json:"platform"`
	Version           string `json:"version"`
	SDKVersion        int    `json:"sdk_version"`
	SDKDate           string `json:"sdk_date"`
	ConnReqTime       int64  `json:"conn_req_time"` // milliseconds
	SessionValidation bool   `json:"sessionValidation"`
}

// Append appends the frame to b.
func (f First) Append(b []byte) []byte { return appendJSON(b, f) }

// ParseFirst reads a client's first frame, whatever types its fields have. Its error is
// of a frame that is no JSON object.
func ParseFirst(frame []byte) (First, error) {
	var v struct {
		User              text   `json:"user"`
		Auth              text   `json:"auth"`
		Format            text   `json:"format"`
		Source            text   `json:"source"`
		Platform          text   `json:"platform"`
		Version           text   `json:"version"`
		SDKVersion        number `json:"sdk_version"`
		SDKDate           text   `json:"sdk_date"`
		ConnReqTime       number `json:"conn_req_time"`
		SessionValidation flag   `json:"sessionValidation"`
	}
	if err := parse(frame, &v); err != nil {
		return First{}, err
	}
	return First{
		User: string(v.User), Auth: string(v.Auth), Format: string(v.Format),
		Source: string(v.Source), Platform: string(v.Platform), Version: string(v.Version),
		SDKVersion: int(v.SDKVersion), SDKDate: string(v.SDKDate), ConnReqTime: int64(v.ConnReqTime),
		SessionValidation: bool(v.SessionValidation),
	}, nil
}

// An Action is what a [Request] asks for.
type Action uint8

// The actions.
const (
	Subscribe Action = iota + 1
	Unsubscribe
	Snapshot
)

// A Topic is what a [Request] is about.
type Topic uint8

// The topics.
const (
	Minis    Topic = iota + 1 // level 1
	Touches                   // level 4
	Depths                    // level 8
	Fulls                     // level 16; a snapshot is one of level 8
	Indices                   // tokens are names
	Statuses                  // of the markets: without tokens, and without a snapshot
)

// Level returns the level of a topic's quotes, or 0.
func (t Topic) Level() uint8 {
	return [...]uint8{Minis: LevelMini, Touches: LevelTouch, Depths: LevelDepth, Fulls: LevelFull, Indices: 0, Statuses: 0}[t]
}

// events are the names of requests, by topic.
var events = [...]struct{ subscribe, unsubscribe, snapshot string }{
	Minis:    {"subscribeScripsLite", "unsubscribeScripsLite", "snapshotScripsLite"},
	Touches:  {"subscribeScrips", "unsubscribeScrips", "snapshotScrips"},
	Depths:   {"subscribeDepth", "unsubscribeDepth", "snapshotDepth"},
	Fulls:    {"subscribeFullDepth", "unsubscribeFullDepth", "snapshotDepth"},
	Indices:  {"subscribeIndices", "unsubscribeIndices", "snapshotIndices"},
	Statuses: {"subscribeExchange", "unsubscribeExchange", ""},
}

// A Request is a client's frame after the first.
type Request struct {
	Action Action // 0: the event is unknown
	Topic  Topic
	Tokens []string // such as "nse_cm|11536" and "nse_cm|Nifty 50"
	Ack    bool     // it wants an [Ack]
}

// Append appends the frame to b.
func (r Request) Append(b []byte) []byte {
	e := events[r.Topic]
	v := struct {
		Event  string `json:"event"`
		Tokens string `json:"inputtoken,omitempty"`
		Ack    bool   `json:"ack_symbol,omitempty"`
	}{[...]string{"", e.subscribe, e.unsubscribe, e.snapshot}[r.Action], strings.Join(r.Tokens, ","), r.Ack}
	return appendJSON(b, v)
}

// ParseRequest reads a client's frame. Its error is of a frame that is no JSON object.
func ParseRequest(frame []byte) (Request, error) {
	var v struct {
		Event  text `json:"event"`
		Tokens text `json:"inputtoken"`
		Ack    flag `json:"ack_symbol"`
	}
	if err := parse(frame, &v); err != nil {
		return Request{}, err
	}
	r := Request{Ack: bool(v.Ack)}
	r.Action, r.Topic = eventOf(string(v.Event))
	for t := range strings.SplitSeq(string(v.Tokens), ",") {
		if t = strings.TrimSpace(t); t != "" {
			r.Tokens = append(r.Tokens, t)
		}
	}
	return r, nil
}

func eventOf(name string) (Action, Topic) {
	if name == "" {
		return 0, 0
	}
	for t, e := range events {
		switch name {
		case e.subscribe:
			return Subscribe, Topic(t)
		case e.unsubscribe:
			return Unsubscribe, Topic(t)
		case e.snapshot:
			return Snapshot, Topic(t)
		}
	}
	return 0, 0
}

// SplitToken splits a token of a [Request] into its segment and its instrument's token or
// index's name. It reports whether it has both.
func SplitToken(token string) (segment, name string, ok bool) {
	segment, name, ok = strings.Cut(token, "|")
	return segment, name, ok && segment != "" && name != ""
}

// parse reads a JSON object.
func parse(frame []byte, v any) error {
	if err := json.Unmarshal(frame, v); err != nil {
		return fmt.Errorf("sfeed: a control message: %w", err)
	}
	return nil
}

// appendJSON appends a value that has JSON.
func appendJSON(b []byte, v any) []byte {
	j, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings, numbers and maps of them
	}
	return append(b, j...)
}

// text is a string that may come as another type; an object or array is an empty one.
type text string

// UnmarshalJSON implements [json.Unmarshaler].
func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	switch {
	case json.Unmarshal(b, &s) == nil:
		*t = text(s)
	case b[0] == '{' || b[0] == '[':
		*t = ""
	default:
		*t = text(b)
	}
	return nil
}

// number is a whole number that may come as a string; what is none is 0.
type number int64

// UnmarshalJSON implements [json.Unmarshaler].
func (n *number) UnmarshalJSON(b []byte) error {
	var s text
	_ = s.UnmarshalJSON(b) // never fails
	*n = 0
	if i, err := strconv.ParseInt(strings.TrimSpace(string(s)), 10, 64); err == nil {
		*n = number(i)
	} else if f, err := strconv.ParseFloat(strings.TrimSpace(string(s)), 64); err == nil && f == float64(int64(f)) {
		*n = number(f)
	}
	return nil
}

// flag is a truth value that may come as a string or a number.
type flag bool

// UnmarshalJSON implements [json.Unmarshaler].
func (f *flag) UnmarshalJSON(b []byte) error {
	var s text
	_ = s.UnmarshalJSON(b) // never fails
	v, err := strconv.ParseBool(strings.TrimSpace(string(s)))
	*f = flag(err == nil && v)
	return nil
}
