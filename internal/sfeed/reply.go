package sfeed

import "encoding/json"

// Codes of a [Reply].
const (
	ReplyAck      = 1109
	ReplyAnswer   = 1117 // the session is good, by the service's documents
	ReplyGreeting = 1119 // the same as the service answers it; ours on connect, which says nothing yet
	ReplyRefused  = 1120
)

// DescriptionSubscribed is an acknowledgement's word for success.
const DescriptionSubscribed = "SUBSCRIBED"

// A Reply is a text frame of the server.
type Reply struct {
	Code int // 0: the frame has none

	// Of an answer to the first frame.
	Format   string
	Dividers *Dividers // nil: the frame does not name exchanges
	Message  string    // why it was refused

	// Of an acknowledgement.
	ErrorCode   int
	Description string
	Symbols     map[string]string // trading symbols, by the tokens as they were asked for
}

// Append appends the frame to b: all exchanges with the service's dividers for an answer,
// both maps for an acknowledgement.
func (r Reply) Append(b []byte) []byte {
	switch r.Code {
	case ReplyAck:
		type named struct {
			Symbol string `json:"trading_symbols"`
		}
		data, flat := make(map[string]named, len(r.Symbols)), r.Symbols
		for k, s := range r.Symbols {
			data[k] = named{s}
		}
		if flat == nil {
			flat = map[string]string{}
		}
		return appendJSON(b, struct {
			Code        int               `json:"message_code"`
			ErrorCode   int               `json:"error_code"`
			Description string            `json:"description"`
			Data        map[string]named  `json:"data"`
			Symbols     map[string]string `json:"trading_symbols"`
		}{r.Code, r.ErrorCode, r.Description, data, flat})
	case ReplyRefused:
		return appendJSON(b, struct {
			Code    int    `json:"message_code"`
			Message string `json:"message"`
		}{r.Code, r.Message})
	}
	type exchange struct {
		Value   int   `json:"value"`
		Divider int64 `json:"divider"`
	}
	exchanges := map[string]exchange{}
	for i, s := range segments {
		if s != "" {
			exchanges[s] = exchange{i, Divider(s)}
		}
	}
	return appendJSON(b, struct {
		Code      int                 `json:"message_code"`
		Format    string              `json:"format,omitempty"`
		Exchanges map[string]exchange `json:"exchanges"`
	}{r.Code, r.Format, exchanges})
}

// ParseReply reads a text frame of the server, whatever types its fields have. Its error
// is of a frame that is no JSON object.
func ParseReply(frame []byte) (Reply, error) {
	var v struct {
		Code        number          `json:"message_code"`
		Format      text            `json:"format"`
		Exchanges   json.RawMessage `json:"exchanges"`
		Message     text            `json:"message"`
		ErrorCode   number          `json:"error_code"`
		Description text            `json:"description"`
		Data        json.RawMessage `json:"data"`
		Symbols     json.RawMessage `json:"trading_symbols"`
	}
	if err := parse(frame, &v); err != nil {
		return Reply{}, err
	}
	r := Reply{
		Code: int(v.Code), Format: string(v.Format), Message: string(v.Message),
		ErrorCode: int(v.ErrorCode), Description: string(v.Description), Dividers: dividersOf(v.Exchanges),
	}
	r.addSymbols(v.Data)
	r.addSymbols(v.Symbols)
	return r, nil
}

// dividersOf reads the exchanges of an answer: name, number and divider of each. A number
// that is missing is the one that we know by the name.
func dividersOf(exchanges json.RawMessage) *Dividers {
	var all map[string]json.RawMessage
	if json.Unmarshal(exchanges, &all) != nil || len(all) == 0 {
		return nil
	}
	var d Dividers
	for name, raw := range all {
		var e struct {
			Value   *number `json:"value"`
			Divider number  `json:"divider"`
		}
		if json.Unmarshal(raw, &e) != nil {
			continue
		}
		n := number(Exchange(name))
		if e.Value != nil {
			n = *e.Value
		}
		if n == number(int8(n)) {
			d.Set(int8(n), int64(e.Divider))
		}
	}
	return &d
}

// addSymbols reads one of the two maps of an acknowledgement: token to symbol, or token
// to an object that has it.
func (r *Reply) addSymbols(symbols json.RawMessage) {
	var all map[string]json.RawMessage
	if json.Unmarshal(symbols, &all) != nil {
		return
	}
	for token, raw := range all {
		var symbol string
		var in struct {
			Symbol string `json:"trading_symbols"`
		}
		switch {
		case json.Unmarshal(raw, &symbol) == nil && string(raw) != "null":
		case json.Unmarshal(raw, &in) == nil && in.Symbol != "":
			symbol = in.Symbol
		default:
			continue
		}
		if r.Symbols == nil {
			r.Symbols = map[string]string{}
		}
		r.Symbols[token] = symbol
	}
}
