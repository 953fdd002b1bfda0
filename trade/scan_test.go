package trade

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// A reporter is a testing.T or a rapid.T.
type reporter interface {
	Errorf(format string, args ...any)
}

// asJSON reads rows with encoding/json.
func asJSON(text string, l *layout) (all [][]value, ok bool) {
	var list []json.RawMessage
	if json.Unmarshal([]byte(text), &list) != nil || list == nil {
		return nil, false
	}
	for _, raw := range list {
		var fields map[string]json.RawMessage
		if json.Unmarshal(raw, &fields) != nil || fields == nil {
			return nil, false
		}
		values := make([]value, len(l.keys))
		for key, raw := range fields {
			column, ok := l.columns[key]
			if !ok {
				continue
			}
			v := value{text: string(raw), kind: kindNumber}
			switch raw[0] {
			case '"':
				v.kind = kindString
				if json.Unmarshal(raw, &v.text) != nil {
					return nil, false
				}
			case '{', '[':
				v.kind = kindNested
			case 't', 'f':
				v.kind = kindBool
			case 'n':
				v.kind = kindNull
			}
			values[column] = v
		}
		all = append(all, values)
	}
	return all, true
}

// scanned reads rows with the scanner.
func scanned(text string, l *layout) (all [][]value, raws []Raw, ok bool) {
	err := scan(text, l, func(r *row) {
		values := make([]value, len(r.values))
		for column := range values {
			values[column] = *r.value(column)
			values[column].row = 0
		}
		all, raws = append(all, values), append(raws, r.raw)
	})
	return all, raws, err == nil
}

// agree compares the scanner with encoding/json.
func agree(t reporter, text string, l *layout) {
	want, fits := asJSON(text, l)
	got, raws, ok := scanned(text, l)
	if ok != fits {
		t.Errorf("%q: taken %t, by encoding/json %t", text, ok, fits)
		return
	}
	if !ok {
		return
	}
	for i := range got {
		for c := range got[i] {
			g, w := got[i][c], want[i][c]
			if g.kind == kindNested { // as written, where encoding/json may have replaced what is not UTF-8
				g.text, w.text = "", ""
			}
			if g != w {
				t.Errorf("%q: row %d has %q as %v, want %v", text, i, l.keys[c], g, w)
			}
		}
		if !utf8.ValidString(string(raws[i])) || !json.Valid([]byte(raws[i])) {
			t.Errorf("%q: the raw row is %q", text, raws[i])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%q: %d rows, want %d", text, len(got), len(want))
	}
}

// hostile are answers that a broken service may give.
var hostile = []string{
	`[]`, ` [ ] `, `[{}]`, `[{},{}]`, ``, `null`, `{}`, `[null]`, `[1]`, `["x"]`, `[[]]`, `[{}`, `[{},]`, `[,{}]`, `[{}]x`, `[{}] []`, `[{"a":1,}]`, `[{"a"}]`, `[{,}]`, "\ufeff[]",
	`[{"nOrdNo":"1","nOrdNo":2}]`, `[{"nOrdNo":"1","nOrdNo":{}}]`, `[{"nOrdNo" : "1" , "qty":10}]`, `[{"nOrdNo":"1"},{"nOrdNo":"2"},{"qty":1,"nOrdNo":"3"}]`,
	`[{"nOrdNo":null,"qty":true,"fldQty":false,"prc":[],"trgPrc":{"a":[1,"]"]}}]`, `[{"\u006eOrdNo":"\u0031"}]`, `[{"nOrdNo":"\"\\\/\b\f\n\r\t\ud83d\ude00"}]`,
	`[{"nOrdNo":"\ud83d"}]`, `[{"nOrdNo":"\x"}]`, `[{"nOrdNo":"\u12"}]`, "[{\"nOrdNo\":\"a\nb\"}]", "[{\"nOrdNo\":\"a\x00b\"}]", "[{\"nOrdNo\":\"\xff\xfe\"}]", "[{\"\xff\":1,\"nOrdNo\":\"é€\"}]",
	`[{"nOrdNo":"\\"}]`, `[{"nOrdNo":"\`, `[{"nOrdNo":"`, `[{"nOrdNo":`, `[{"nOrdNo"`, `[{"`, `[{`, `[`,
	`[{"qty":01}]`, `[{"qty":-}]`, `[{"qty":1.}]`, `[{"qty":.5}]`, `[{"qty":1e}]`, `[{"qty":1e+}]`, `[{"qty":-0.0E-5}]`, `[{"qty":+1}]`, `[{"qty":1 2}]`, `[{"qty":0x1}]`, `[{"qty":NaN}]`,
	`[{"qty":tru}]`, `[{"qty":truee}]`, `[{"qty":nul}]`, `[{"qty":[}]`, `[{"qty":{]}]`, `[{"qty":[1,]}]`, `[{"qty":["a]}]`, `[{"qty":["\x"]}]`, "[{\"qty\":[\"\x01\"]}]",
	`[{"qty":1}` + strings.Repeat(`,{"qty":1}`, 300) + `]`,
}

func TestScan_takesWhatEncodingJSONTakes(t *testing.T) {
	t.Parallel()
	for _, text := range hostile {
		agree(t, text, orderLayout)
	}
	for _, depth := range []int{10, maxDepth - 3, maxDepth - 2, maxDepth - 1, maxDepth, 1_000_000} {
		agree(t, `[{"qty":`+strings.Repeat("[", depth)+strings.Repeat("]", depth)+`}]`, orderLayout)
		agree(t, `[{"qty":`+strings.Repeat(`{"a":`, depth), orderLayout)
	}
	for i := range rowOf730 { // cut anywhere
		agree(t, "["+rowOf730[:i]+"]", orderLayout)
		agree(t, "["+rowOf730+","+rowOf730[:i], orderLayout)
	}
	for i := range rowOf730 { // and damaged anywhere
		for _, c := range []byte{0, '"', '\\', '{', ']', ',', ':', '0', 'x', 0xff} {
			agree(t, "["+rowOf730+","+rowOf730[:i]+string(c)+rowOf730[i+1:]+"]", orderLayout)
		}
	}
}

// FuzzScan compares the scanner with encoding/json, and reads every row as every type.
func FuzzScan(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	f.Add("[" + rowOf730 + "," + rowOf730 + "]")
	f.Fuzz(func(t *testing.T, text string) {
		for _, l := range []*layout{orderLayout, tradeLayout, positionLayout, holdingLayout} {
			agree(t, text, l)
		}
		decodeAll(t, text)
	})
}

// decodeAll reads an answer as every report: nothing panics, and every value is the same
// again after JSON.
func decodeAll(t reporter, text string) {
	orders, _ := rows("", json.RawMessage(text), orderLayout, decodeOrder)
	again(t, orders)
	trades, _ := rows("", json.RawMessage(text), tradeLayout, decodeTrade)
	again(t, trades)
	positions, _ := rows("", json.RawMessage(text), positionLayout, decodePosition)
	again(t, positions)
	holdings, _ := rows("", json.RawMessage(text), holdingLayout, decodeHolding)
	again(t, holdings)
	limits, _ := rows("", json.RawMessage(text), limitsLayout, decodeLimits)
	again(t, limits)
	margins, _ := rows("", json.RawMessage(text), marginLayout, decodeMargin)
	again(t, margins)
	for _, p := range positions {
		_, _ = p.DayPnL(nil), p.PositionPnL(nil, holdings...)
		_, _ = p.Profit(trades, nil, FIFO)
		_, _ = p.Profit(trades, nil, AverageCost)
	}
	arrange(orders)
}

func again[T any](t reporter, all []T) {
	for i := range all {
		text, err := json.Marshal(all[i])
		if err != nil {
			t.Errorf("%+v: %v", all[i], err)
			continue
		}
		var back T
		if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, all[i]) {
			t.Errorf("after JSON %#v, before %#v: %v", back, all[i], err)
		}
	}
}

func TestRows_anyTypeInAnyFieldCostsThatField(t *testing.T) {
	t.Parallel()
	values := rapid.OneOf(
		rapid.StringMatching(`"[A-Za-z0-9 .,:/\-]{0,24}"`), rapid.StringMatching(`-?[1-9][0-9]{0,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?`),
		rapid.SampledFrom([]string{`""`, `"NA"`, `"--"`, `"- "`, "null", "true", "false", "{}", "[]", `{"a":[1]}`, `"\u0000\ud800"`, `"1e400"`, `"0.00"`, "0", "-1",
			"9223372036854775807", "-9223372036854775808", "1e18", `"922337203685.4775807"`, "92233720368547758.07", `"31-Feb-2026 10:00:00"`, `"22-Jan-2025 14:28:01"`, `"9999-12-31T23:59:59Z"`}),
	)
	rapid.Check(t, func(r *rapid.T) {
		for _, l := range []*layout{orderLayout, tradeLayout, positionLayout, holdingLayout, limitsLayout, marginLayout} {
			var b bytes.Buffer
			for _, key := range rapid.Permutation(l.keys).Draw(r, "keys") {
				fmt.Fprintf(&b, `,%q:%s`, key, values.Draw(r, key))
			}
			text := "[{" + b.String()[1:] + "}]"
			agree(r, text, l)
			if !json.Valid([]byte(text)) {
				r.Fatalf("%s is no JSON", text)
			}
			decodeAll(r, text)
			if all, _, ok := scanned(text, l); !ok || len(all) != 1 {
				r.Fatalf("%s: %d rows, %t", text, len(all), ok)
			}
		}
	})
}

// rowOf730 is a row of an order book of the length that the bar is about.
const rowOf730 = `{"nOrdNo":"261130000000001","actId":"AB1234","GuiOrdId":"mine-1","exSeg":"nse_cm","tok":"11536","sym":"TCS","trdSym":"TCS-EQ",` +
	`"expDt":"NA","optTp":"NA","stkPrc":"0.00","lotSz":"1","tckSz":"0.1000","multiplier":"1","precision":"2","genNum":"1","genDen":"1","prcNum":"1","prcDen":"1",` +
	`"series":"EQ","trnsTp":"B","prod":"CNC","prcTp":"L","prc":"3450.10","trgPrc":"0.00","avgPrc":"3450.10","qty":10,"fldQty":10,"unFldSz":0,"cnlQty":0,"dscQty":0,` +
	`"vldt":"DAY","ordSt":"complete","stat":"complete","rejRsn":"--","ordDtTm":"30-Nov-2026 14:17:53","ordEntTm":"30-Nov-2026 14:17:51","exCfmTm":"30-Nov-2026 14:17:52",` +
	`"hsUpTm":"2026/11/30 14:17:53","boeSec":1796060873,"updRecvTm":1796060873181038000,"exOrdId":"1100000000000001","rmk":"--","minQty":0}`
