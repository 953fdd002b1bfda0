package sfeed_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"neoapi/internal/sfeed"
)

func TestFirst_isWhatTheServiceReads(t *testing.T) {
	f := sfeed.First{
		User: "TESTYA24", Auth: "sid-1", Format: sfeed.FormatBatch, Source: "NEOTRADEAPI", Platform: "Web",
		Version: "1.2.3", SDKVersion: 2, SDKDate: "2026-08-07T09:41:17.667Z", ConnReqTime: traded * 1000,
	}
	const want = `{"user":"TESTYA24","auth":"sid-1","format":"native_batch","source":"NEOTRADEAPI","platform":"Web","version":"1.2.3",` +
		`"sdk_version":2,"sdk_date":"2026-08-07T09:41:17.667Z","conn_req_time":1788245580000,"sessionValidation":false}`
	if got := string(f.Append(nil)); got != want {
		t.Errorf("appended\n%s, want\n%s", got, want)
	}
	for _, frame := range []string{
		want,
		strings.ReplaceAll(strings.ReplaceAll(want, ":", " : "), ` : 41 : 17`, ":41:17"),
		strings.NewReplacer(`1788245580000`, `"1788245580000"`, `_version":2`, `_version":"2"`, `false`, `"false"`).Replace(want),
		strings.NewReplacer(`false`, `null,"new":{"a":[1]}`).Replace(want),
	} {
		if got, err := sfeed.ParseFirst([]byte(frame)); err != nil || got != f {
			t.Errorf("%s: %v\n%+v", frame, err, got)
		}
	}
}

func TestRequest_hasTheServicesEvents(t *testing.T) {
	tokens := []string{"nse_cm|11536", "nse_cm|Nifty 50"}
	for _, c := range []struct {
		request sfeed.Request
		want    string
	}{
		{sfeed.Request{sfeed.Subscribe, sfeed.Touches, tokens, true}, `{"event":"subscribeScrips","inputtoken":"nse_cm|11536,nse_cm|Nifty 50","ack_symbol":true}`},
		{sfeed.Request{sfeed.Unsubscribe, sfeed.Touches, tokens, false}, `{"event":"unsubscribeScrips","inputtoken":"nse_cm|11536,nse_cm|Nifty 50"}`},
		{sfeed.Request{sfeed.Snapshot, sfeed.Touches, tokens, true}, `{"event":"snapshotScrips","inputtoken":"nse_cm|11536,nse_cm|Nifty 50","ack_symbol":true}`},
		{sfeed.Request{sfeed.Subscribe, sfeed.Minis, tokens[:1], false}, `{"event":"subscribeScripsLite","inputtoken":"nse_cm|11536"}`},
		{sfeed.Request{sfeed.Unsubscribe, sfeed.Minis, tokens[:1], false}, `{"event":"unsubscribeScripsLite","inputtoken":"nse_cm|11536"}`},
		{sfeed.Request{sfeed.Snapshot, sfeed.Minis, tokens[:1], false}, `{"event":"snapshotScripsLite","inputtoken":"nse_cm|11536"}`},
		{sfeed.Request{sfeed.Subscribe, sfeed.Depths, tokens[:1], false}, `{"event":"subscribeDepth","inputtoken":"nse_cm|11536"}`},
		{sfeed.Request{sfeed.Unsubscribe, sfeed.Depths, tokens[:1], false}, `{"event":"unsubscribeDepth","inputtoken":"nse_cm|11536"}`},
		{sfeed.Request{sfeed.Snapshot, sfeed.Depths, tokens[:1], false}, `{"event":"snapshotDepth","inputtoken":"nse_cm|11536"}`},
		{sfeed.Request{sfeed.Subscribe, sfeed.Fulls, tokens[:1], false}, `{"event":"subscribeFullDepth","inputtoken":"nse_cm|11536"}`},
		{sfeed.Request{sfeed.Unsubscribe, sfeed.Fulls, tokens[:1], false}, `{"event":"unsubscribeFullDepth","inputtoken":"nse_cm|11536"}`},
		{sfeed.Request{sfeed.Subscribe, sfeed.Indices, tokens[1:], true}, `{"event":"subscribeIndices","inputtoken":"nse_cm|Nifty 50","ack_symbol":true}`},
		{sfeed.Request{sfeed.Unsubscribe, sfeed.Indices, tokens[1:], false}, `{"event":"unsubscribeIndices","inputtoken":"nse_cm|Nifty 50"}`},
		{sfeed.Request{sfeed.Snapshot, sfeed.Indices, tokens[1:], false}, `{"event":"snapshotIndices","inputtoken":"nse_cm|Nifty 50"}`},
		{sfeed.Request{sfeed.Subscribe, sfeed.Statuses, nil, false}, `{"event":"subscribeExchange"}`},
		{sfeed.Request{sfeed.Unsubscribe, sfeed.Statuses, nil, false}, `{"event":"unsubscribeExchange"}`},
	} {
		if got := string(c.request.Append(nil)); got != c.want {
			t.Errorf("appended %s, want %s", got, c.want)
		}
		if got, err := sfeed.ParseRequest([]byte(c.want)); err != nil || !cmp.Equal(got, c.request) {
			t.Errorf("%s: %v, %+v", c.want, err, got)
		}
	}
}

func TestParseRequest_takesWhatClientsSend(t *testing.T) {
	for frame, want := range map[string]sfeed.Request{
		`{"event": "subscribeScrips", "inputtoken": "nse_cm|11536, nse_cm|2885,,", "ack_symbol": "true"}`: {sfeed.Subscribe, sfeed.Touches, []string{"nse_cm|11536", "nse_cm|2885"}, true},
		`{"event":"subscribeScrips","inputtoken":null,"ack_symbol":1}`:                                    {sfeed.Subscribe, sfeed.Touches, nil, true},
		`{"event":"subscribeEverything","inputtoken":"nse_cm|1"}`:                                         {Tokens: []string{"nse_cm|1"}},
		`{"event":{"a":1},"inputtoken":["nse_cm|1"]}`:                                                     {},
		`{}`: {},
	} {
		if got, err := sfeed.ParseRequest([]byte(frame)); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: %v, %+v", frame, err, got)
		}
	}
	for _, frame := range []string{``, `[]`, `"subscribeScrips"`, `{"event":`, `{type:cn}`, `1`} {
		if got, err := sfeed.ParseRequest([]byte(frame)); err == nil {
			t.Errorf("%s: %+v without an error", frame, got)
		}
	}
}

func TestSplitToken_needsSegmentAndName(t *testing.T) {
	for token, want := range map[string][2]string{"nse_cm|11536": {"nse_cm", "11536"}, "nse_cm|Nifty 50": {"nse_cm", "Nifty 50"}, "11536": {}, "nse_cm|": {}, "|1": {}, "": {}} {
		segment, name, ok := sfeed.SplitToken(token)
		if ok != (want[0] != "") || ok && [2]string{segment, name} != want {
			t.Errorf("%q: %q, %q, %t", token, segment, name, ok)
		}
	}
}

func TestReply_givesEveryExchangeItsDivider(t *testing.T) {
	for _, code := range []int{sfeed.ReplyAnswer, sfeed.ReplyGreeting} {
		frame := sfeed.Reply{Code: code, Format: sfeed.FormatBatch}.Append(nil)
		r, err := sfeed.ParseReply(frame)
		if err != nil || r.Code != code || r.Format != sfeed.FormatBatch || r.Dividers == nil {
			t.Fatalf("%s: %v, %+v", frame, err, r)
		}
		for segment, want := range map[string]int64{
			"nse_cm": 100, "nse_fo": 100, "cde_fo": 10_000_000, "nse_com": 10_000, "bse_cm": 100,
			"bse_fo": 100, "bse_cd": 10_000_000, "bse_co": 10_000, "mcx_fo": 100, "ncd_co": 1,
		} {
			if got := r.Dividers.Of(sfeed.Exchange(segment)); got != want || sfeed.Divider(segment) != want || sfeed.AllDividers().Of(sfeed.Exchange(segment)) != want {
				t.Errorf("%d: %s has divider %d, want %d", code, segment, got, want)
			}
		}
	}
}

// As the generation's Python client reads it: an exchange's number from the answer or else
// from its name, a missing divider as 100.
func TestParseReply_readsDividersOfEveryForm(t *testing.T) {
	for exchanges, want := range map[string]int64{
		`{"nse_cm":{"value":1,"divider":1000}}`:          1000,
		`{"nse_cm":{"value":"1","divider":"1000"}}`:      1000,
		`{"nse_cm":{"value":1.0,"divider":1000.0}}`:      1000,
		`{"nse_cm":{"divider":1000}}`:                    1000,
		`{"of_tomorrow":{"value":1,"divider":1000}}`:     1000,
		`{"nse_cm":{"value":1}}`:                         100,
		`{"nse_cm":{"value":1,"divider":0}}`:             100,
		`{"nse_cm":{"value":1,"divider":-1}}`:            100,
		`{"nse_cm":{"value":1,"divider":"x"}}`:           100,
		`{"nse_cm":{"value":1,"divider":{}}}`:            100,
		`{"nse_cm":{"value":1e9,"divider":1000}}`:        100,
		`{"nse_cm":7,"x":{"value":1,"divider":1000}}`:    1000,
		`{"nse_fo":{"value":2,"divider":10}}`:            100,
		`{"nse_cm":{"value":null,"divider":1000},"x":0}`: 1000,
	} {
		r, err := sfeed.ParseReply([]byte(`{"message_code":1117,"exchanges":` + exchanges + `}`))
		if err != nil || r.Dividers == nil || r.Dividers.Of(1) != want {
			t.Errorf("%s: %v, %+v, want %d", exchanges, err, r.Dividers.Of(1), want)
		}
	}
	for _, frame := range []string{`{"message_code":1119}`, `{"message_code":1119,"exchanges":null}`, `{"message_code":1119,"exchanges":[1]}`, `{"message_code":1119,"exchanges":{}}`} {
		if r, err := sfeed.ParseReply([]byte(frame)); err != nil || r.Dividers != nil {
			t.Errorf("%s: %v, %v", frame, err, r.Dividers)
		}
	}
}

func TestParseReply_readsRefusalsAndDowngrades(t *testing.T) {
	for frame, want := range map[string]sfeed.Reply{
		`{"message_code":1120,"message":"Auth failed: log in again"}`: {Code: sfeed.ReplyRefused, Message: "Auth failed: log in again"},
		`{"message_code":"1120"}`:                                     {Code: sfeed.ReplyRefused},
		`{"message_code":1117,"format":"native_fallback"}`:            {Code: sfeed.ReplyAnswer, Format: sfeed.FormatFallback},
		`{"message_code":{}}`:                                         {},
		`{"anything":1}`:                                              {},
	} {
		if got, err := sfeed.ParseReply([]byte(frame)); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: %v, %+v", frame, err, got)
		}
	}
	if got := string(sfeed.Reply{Code: sfeed.ReplyRefused, Message: "Auth failed"}.Append(nil)); got != `{"message_code":1120,"message":"Auth failed"}` {
		t.Errorf("appended %s", got)
	}
	for _, frame := range []string{``, `null?`, `[{"message_code":1117}]`, `"1117"`, `<html>`} {
		if got, err := sfeed.ParseReply([]byte(frame)); err == nil {
			t.Errorf("%s: %+v without an error", frame, got)
		}
	}
}

func TestReply_acknowledgesInBothShapes(t *testing.T) {
	r := sfeed.Reply{Code: sfeed.ReplyAck, Description: sfeed.DescriptionSubscribed, Symbols: map[string]string{"nse_cm|11536": "TCS-EQ"}}
	const want = `{"message_code":1109,"error_code":0,"description":"SUBSCRIBED","data":{"nse_cm|11536":{"trading_symbols":"TCS-EQ"}},"trading_symbols":{"nse_cm|11536":"TCS-EQ"}}`
	if got := string(r.Append(nil)); got != want {
		t.Errorf("appended\n%s, want\n%s", got, want)
	}
	if got := string(sfeed.Reply{Code: sfeed.ReplyAck}.Append(nil)); !strings.Contains(got, `"data":{},"trading_symbols":{}`) {
		t.Errorf("of nothing: %s", got)
	}
	for _, frame := range []string{
		want,
		`{"message_code":1109,"description":"SUBSCRIBED","trading_symbols":{"nse_cm|11536":"TCS-EQ"}}`,
		`{"message_code":"1109","error_code":"0","description":"SUBSCRIBED","data":{"nse_cm|11536":{"trading_symbols":"TCS-EQ"}}}`,
		`{"message_code":1109,"description":"SUBSCRIBED","data":[],"trading_symbols":{"nse_cm|11536":"TCS-EQ","nse_cm|1":null,"nse_cm|2":7}}`,
	} {
		if got, err := sfeed.ParseReply([]byte(frame)); err != nil || !cmp.Equal(got, r) {
			t.Errorf("%s: %v, %+v", frame, err, got)
		}
	}
}

func TestControl_roundTrips(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		first := rapid.Make[sfeed.First]().Draw(r, "first")
		if got, err := sfeed.ParseFirst(first.Append(nil)); err != nil || got != first {
			r.Fatalf("first: %v, %+v", err, got)
		}
		ack := sfeed.Reply{
			Code: sfeed.ReplyAck, ErrorCode: rapid.Int().Draw(r, "error"), Description: rapid.String().Draw(r, "description"),
			Symbols: rapid.MapOfN(rapid.String(), rapid.String(), 1, 5).Draw(r, "symbols"),
		}
		if got, err := sfeed.ParseReply(ack.Append(nil)); err != nil || !cmp.Equal(got, ack) {
			r.Fatalf("acknowledgement: %v, %+v", err, got)
		}
	})
}

func FuzzControl(f *testing.F) {
	f.Add([]byte(`{"event":"subscribeScrips","inputtoken":"nse_cm|11536","ack_symbol":true}`))
	f.Add([]byte(`{"message_code":1117,"format":"native_batch","exchanges":{"nse_cm":{"value":1,"divider":100}}}`))
	f.Add(sfeed.Reply{Code: sfeed.ReplyAck, Symbols: map[string]string{"nse_cm|11536": "TCS-EQ"}}.Append(nil))
	f.Add([]byte(`{"user":1,"auth":[],"conn_req_time":"x"}`))
	f.Fuzz(func(t *testing.T, frame []byte) {
		object := json.Unmarshal(frame, &struct{}{}) == nil
		_, err := sfeed.ParseReply(frame)
		if (err == nil) != object {
			t.Errorf("reply: %v", err)
		}
		if _, err = sfeed.ParseRequest(frame); (err == nil) != object {
			t.Errorf("request: %v", err)
		}
		if _, err = sfeed.ParseFirst(frame); (err == nil) != object {
			t.Errorf("first: %v", err)
		}
	})
}
