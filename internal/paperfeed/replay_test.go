package paperfeed_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"neoapi/internal/must"
	"neoapi/neoapitest"
)

// This file replays what the official Python clients send, byte for byte, and checks that
// what comes back is what they take. HSM's frames are in hsm_wire_test.go and
// oldclient_test.go.

// Generation 3's market feed: Python's json.dumps has blanks.
const (
	pythonFirst = `{"user": "%s", "auth": "%s", "format": "native_batch", "source": "NEOTRADEAPI", "platform": "Web", "version": "1.2.3", ` +
		`"sdk_version": 2, "sdk_date": "2026-08-07T09:41:17.667Z", "conn_req_time": 1788245580123, "sessionValidation": false}`
	pythonSubscribe   = `{"event": "%s", "inputtoken": "%s", "ack_symbol": true}`
	pythonUnsubscribe = `{"event": "%s", "inputtoken": "%s"}`
)

func TestReplay_ofGeneration3sMarketFeed(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	_, s := login(t, srv)
	ws := dial(t, s.FeedURL)
	say(t, ws, fmt.Sprintf(pythonFirst, s.UCC, s.SID))
	answer := &pythonAnswer{}
	hearJSON(t, ws, answer)
	if answer.Code != 1117 && answer.Code != 1119 || answer.Format == "native_fallback" || answer.Exchanges["nse_cm"] != (pythonExchange{1, 100}) ||
		answer.Exchanges["cde_fo"] != (pythonExchange{3, 10_000_000}) || answer.Exchanges["ncd_co"] != (pythonExchange{10, 1}) {
		t.Errorf("answered %+v", answer)
	}

	// What each event is answered with: one acknowledgement, with a name for every token
	// that was asked for, and packets of one size.
	for _, c := range []struct {
		event, tokens, symbol string
		code, level, size     int
	}{
		{"subscribeScrips", "nse_cm|11536,nse_cm|99999999", "TCS-EQ", 7208, 4, 176},
		{"subscribeScripsLite", "nse_cm|1594", "INFY-EQ", 7208, 1, 54},
		{"subscribeDepth", "nse_cm|11536", "TCS-EQ", 7208, 8, 304},
		{"subscribeFullDepth", "nse_cm|11536", "TCS-EQ", 7208, 16, 304},
		{"subscribeIndices", "nse_cm|Nifty 50", "Nifty 50", 7207, 0, 87},
		{"snapshotScrips", "nse_cm|2885", "RELIANCE-EQ", 7208, 4, 176},
		{"snapshotScripsLite", "nse_cm|2885", "RELIANCE-EQ", 7208, 1, 54},
		{"snapshotDepth", "nse_cm|2885", "RELIANCE-EQ", 7208, 8, 304},
		{"snapshotIndices", "nse_cm|Nifty Bank", "Nifty Bank", 7207, 0, 87},
	} {
		first, _, _ := strings.Cut(c.tokens, ",")
		_, name, _ := strings.Cut(first, "|")
		say(t, ws, fmt.Sprintf(pythonSubscribe, c.event, c.tokens))
		acked, came := false, false
		for !acked || !came {
			kind, data := hear(t, ws)
			if kind == websocket.MessageText {
				ack := &pythonAck{}
				must.Do(t, json.Unmarshal(data, ack))
				if ack.Code != 1109 || ack.Symbols[first] != c.symbol || len(ack.Symbols) != strings.Count(c.tokens, ",")+1 || acked {
					t.Errorf("%s: acknowledged by %s", c.event, data)
				}
				acked = true
				continue
			}
			for _, p := range pythonBatch(t, data) {
				if p.of(name) && p.code() == c.code && p.level() == c.level {
					came = true
					if len(p) != c.size {
						t.Errorf("%s: a packet of %d bytes", c.event, len(p))
					}
				}
			}
		}
	}

	// An unsubscribe is not answered: the next frame of text is of what follows it.
	say(t, ws, fmt.Sprintf(pythonUnsubscribe, "unsubscribeScrips", "nse_cm|11536"))
	say(t, ws, `{"event": "subscribeExchange"}`)
	say(t, ws, fmt.Sprintf(pythonSubscribe, "snapshotScrips", "nse_cm|1333"))
	ack := &pythonAck{}
	hearJSON(t, ws, ack)
	if ack.Symbols["nse_cm|1333"] == "" {
		t.Errorf("after an unsubscribe: %+v", ack)
	}
}

type pythonExchange struct{ Value, Divider int }

type pythonAnswer struct {
	Code      int `json:"message_code"`
	Format    string
	Exchanges map[string]pythonExchange
}

type pythonAck struct {
	Code    int               `json:"message_code"`
	Symbols map[string]string `json:"trading_symbols"`
}

// hearJSON reads the next frame of text.
func hearJSON(t testing.TB, ws *websocket.Conn, v any) {
	t.Helper()
	for {
		if kind, data := hear(t, ws); kind == websocket.MessageText {
			if err := json.Unmarshal(data, v); err != nil {
				t.Fatalf("%s: %v", data, err)
			}
			return
		}
	}
}

// A pythonPacket is a packet as the client cuts it out of a frame.
type pythonPacket []byte

func pythonBatch(t testing.TB, frame []byte) (packets []pythonPacket) {
	t.Helper()
	for len(frame) > 0 {
		n := int(binary.LittleEndian.Uint16(frame))
		if n < 9 || n > len(frame) {
			t.Fatalf("a packet of %d bytes, and %d are left: the client drops the rest of the frame", n, len(frame))
		}
		packets = append(packets, frame[:n])
		frame = frame[n:]
	}
	return packets
}

func (p pythonPacket) code() int  { return int(binary.LittleEndian.Uint16(p[2:])) }
func (p pythonPacket) level() int { return int(p[5]) }

// of reports whether the packet is of a token or, of an index, of a name.
func (p pythonPacket) of(name string) bool {
	if len(p) < 13 {
		return false
	}
	if p.code() == 7207 {
		text, _, _ := bytes.Cut(p[66:87], []byte{0})
		return string(text) == name
	}
	return strconv.Itoa(int(binary.LittleEndian.Uint32(p[9:]))) == name
}

// The refusal that the client tells apart: a code that is neither 1117 nor 1119.
func TestReplay_ofGeneration3sRefusal(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	_, s := login(t, srv)
	for _, c := range [][2]string{{s.UCC, "1"}, {"neome", s.SID}, {s.UCC, ""}} {
		ws := dial(t, s.FeedURL)
		say(t, ws, fmt.Sprintf(pythonFirst, c[0], c[1]))
		answer := &pythonAnswer{}
		hearJSON(t, ws, answer)
		if answer.Code != 1120 {
			t.Errorf("%q: answered %+v", c, answer)
		}
		ended(t, ws)
	}
}

// The first frames and heartbeats of the order feed, by generation: as JSON, and in
// generations 2 and 3 the same without quotes.
var pythonOrders = map[string]struct{ query, first, beat string }{
	"generation 1": {"?sId=server1", `{"type": "cn", "Authorization": "%s", "Sid": "%s", "src": "WEB"}`, `{"type": "hb"}`},
	"generation 2": {"", `{type:cn,Authorization:%s,Sid:%s,src:WEB}`, `{type:hb}`},
	"generation 3": {"", `{type:cn,Authorization:%s,Sid:%s,src:WEB}`, ""},
}

func TestReplay_ofTheOrderFeeds(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	c, s := login(t, srv)
	for generation, says := range pythonOrders {
		t.Run(generation, func(t *testing.T) {
			ws := dial(t, s.OrderFeedURL+says.query)
			say(t, ws, fmt.Sprintf(says.first, s.Token, s.SID))
			if kind, data := hear(t, ws); kind != websocket.MessageText || string(data) != `{"ak":"ok","type":"cn","task":"cn","msg":"connected"}` {
				t.Fatalf("answered %s", data)
			}
			if says.beat != "" {
				say(t, ws, says.beat)
			}
			number := place(t, c, buyTen)
			if says.beat != "" {
				say(t, ws, says.beat)
			}
			complete, position := false, false
			for !complete || !position {
				kind, data := hear(t, ws)
				if kind != websocket.MessageText {
					t.Fatalf("a binary frame %x", data)
				}
				f := pythonUpdate{}
				must.Do(t, json.Unmarshal(data, &f))
				switch f.Type {
				case "order": // those of the orders before are pushed too
					f.isOrder(t)
					complete = complete || string(f.Data["nOrdNo"]) == `"`+number+`"` && string(f.Data["ordSt"]) == `"complete"`
				case "position":
					f.isPosition(t)
					position = true
				default: // a second cn starts another heartbeat in the older clients
					t.Errorf("a frame %s", data)
				}
			}
		})
	}
}

type pythonUpdate struct {
	Type string
	Data map[string]json.RawMessage
}

// isOrder checks the types that generation 3's client reads; one of another type makes it
// hand the whole update on as it came.
func (f *pythonUpdate) isOrder(t testing.TB) {
	t.Helper()
	f.are(t, `"`, "nOrdNo exOrdId ordSt avgPrc trnsTp prcTp prod exSeg sym trdSym tok ordDtTm exCfmTm")
	for name := range strings.FieldsSeq("qty fldQty unFldSz updRecvTm boeSec") {
		if n, ok := f.Data[name]; ok {
			if _, err := strconv.ParseInt(strings.Trim(string(n), `"`), 10, 64); err != nil {
				t.Errorf("%s is %s", name, n)
			}
		}
	}
}

// isPosition checks that numbers are strings.
func (f *pythonUpdate) isPosition(t testing.TB) {
	t.Helper()
	f.are(t, `"`, "actId exSeg tok trdSym prod flBuyQty flSellQty cfBuyQty cfSellQty buyAmt sellAmt lotSz multiplier precision genNum genDen prcNum prcDen")
}

func (f *pythonUpdate) are(t testing.TB, prefix, names string) {
	t.Helper()
	for name := range strings.FieldsSeq(names) {
		if v, ok := f.Data[name]; ok && !strings.HasPrefix(string(v), prefix) {
			t.Errorf("%s is %s", name, v)
		}
	}
}

// The clients ping every 5 or 20 seconds, and close when no answer comes.
func TestReplay_pingsAreAnswered(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	_, s := login(t, srv)
	for feed, ws := range map[string]*websocket.Conn{
		"order feed": openOrders(t, s), "market feed": openMarket(t, s), "older market feed": dialHSM(t, s, origin(srv)).ws,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		read := make(chan struct{})
		go func() {
			defer close(read)
			for _, _, err := ws.Read(ctx); err == nil; _, _, err = ws.Read(ctx) {
			}
		}()
		for range 3 {
			if err := ws.Ping(ctx); err != nil {
				t.Errorf("%s: %v", feed, err)
			}
		}
		cancel()
		<-read
	}
}

// Generation 1 opens a connection for each quote, asks for a snapshot and closes it. It
// keeps the topics of all its connections in one list, by their numbers.
func TestReplay_ofGeneration1sQuotes(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	_, s := login(t, srv)
	numbers := map[string]uint32{}
	for range 5 {
		for _, topic := range []string{tcs, tcsDP, nifty} {
			o := dialHSM(t, s, origin(srv))
			o.snapshot(topic)
			if a := o.answered(); a != "9 K" {
				t.Fatalf("%s: %s", topic, a)
			}
			if e := o.next(); !e.first || e.topic.name() != topic {
				t.Fatalf("%s: %+v", topic, e)
			}
			for number := range o.topics {
				if was := numbers[topic]; was != 0 && was != number {
					t.Errorf("%s has the numbers %d and %d", topic, was, number)
				}
				numbers[topic] = number
			}
			must.Do(t, o.ws.Close(websocket.StatusNormalClosure, ""))
		}
	}
}
