package neoapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"neoapi/internal/must"
)

// inMemory answers text without a socket, having read the request as a transport does.
func inMemory(text string) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Body != nil {
			io.Copy(io.Discard, r.Body)
			r.Body.Close()
		}
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)), Request: r}, nil
	})
}

const placed = `{"stat":"Ok","nOrdNo":"250122000624384","stCode":200}`

const order = `{"am":"NO","dq":"0","es":"nse_cm","mp":"0","pc":"CNC","pf":"N","pr":"102.35","pt":"L","qt":"10","rt":"DAY","tp":"0","ts":"TCS-EQ","tt":"B","ig":"run-7f3k2m9q"}`

// BenchmarkPlace measures an order by Do and the same body by a bare http.Client: the
// difference is what the client costs (at most 1.5 µs and 12 allocations).
func BenchmarkPlace(b *testing.B) {
	line := &http.Client{Transport: inMemory(placed)}
	form := url.Values{"jData": {order}}
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			req := must.Get(http.NewRequestWithContext(b.Context(), "POST", "https://mis.kotaksecurities.com"+placePath, strings.NewReader(form.Encode())))(b)
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Accept", "application/json")
			req.Header.Set("Sid", "sid-1")
			req.Header.Set("Auth", canaryTrade)
			resp := must.Get(line.Do(req))(b)
			must.Get(io.ReadAll(resp.Body))(b)
			resp.Body.Close()
		}
	})
	for name, session := range map[string]Session{"generation 1": gen1, "generation 3": gen3} {
		c := must.Get(New(Config{Environment: PROD, ConsumerKey: "key", AccessToken: canaryAccess, HTTPClient: line, Rate: -1}))(b)
		must.Do(b, c.Use(session))
		for how, opts := range map[string][]CallOption{"": nil, ", with a keeper": {WithKeeper(&keeping{tokens: []string{session.Token}})}} {
			b.Run(name+how, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					var answer json.RawMessage
					must.Do(b, c.Do(b.Context(), "POST", placePath, form, &answer, opts...))
				}
			})
		}
	}
}

// bookOf is an order book of so many rows of 730 bytes.
func bookOf(rows int) string {
	var text bytes.Buffer
	text.WriteString(`{"stat":"Ok","stCode":200,"data":[`)
	for i := range rows {
		if i > 0 {
			text.WriteByte(',')
		}
		row := text.Len()
		fmt.Fprintf(&text, `{"nOrdNo":"2501220006%05d","exOrdId":"1100000012345678","actId":"TESTYA24","GuiOrdId":"run-%05d","exSeg":"nse_cm","tok":"11536","sym":"TCS","trdSym":"TCS-EQ","series":"EQ","trnsTp":"B","prod":"CNC","prcTp":"L","prc":"102.35","trgPrc":"0.00","qty":%d,"fldQty":10,"unFldSz":0,"cnlQty":0,"dscQty":0,"avgPrc":"102.35","vldt":"DAY","ordSt":"complete","stat":"complete","rejRsn":"--","ordDtTm":"22-Jan-2025 14:28:01","exCfmTm":"22-Jan-2025 14:28:01","hsUpTm":"2025/01/22 14:28:01","boeSec":1737536281,"updRecvTm":1737536281000000123,"expDt":"NA","optTp":"XX","lotSz":"1","tckSz":"0.0500","brdLtQty":"1","multiplier":"1","precision":"2","algId":"99999"`, i, i, i+1)
		for text.Len()-row < 716 {
			text.WriteString(`,"x":"NA"`)
		}
		text.WriteString("}")
	}
	text.WriteString("]}")
	return text.String()
}

// BenchmarkBook measures an order book of 500 rows by Do, as text, beside a bare
// http.Client that copies it, and one that checks it with encoding/json.
func BenchmarkBook(b *testing.B) {
	text := bookOf(500)
	line := &http.Client{Transport: inMemory(text)}
	run := func(name string, read func() int) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if read() < 500*700 {
					b.Fatal("too short")
				}
			}
		})
	}
	get := func() []byte {
		resp := must.Get(line.Get("https://mis.kotaksecurities.com" + ordersPath))(b)
		defer resp.Body.Close()
		return must.Get(io.ReadAll(resp.Body))(b)
	}
	run("bare", func() int { return len(get()) })
	run("bare, checked by encoding/json", func() int {
		if data := get(); json.Valid(data) {
			return len(data)
		}
		return 0
	})
	c := must.Get(New(Config{Environment: PROD, ConsumerKey: "key", HTTPClient: line, Rate: -1}))(b)
	must.Do(b, c.Use(gen3))
	run("Do", func() int {
		var answer json.RawMessage
		must.Do(b, c.Do(b.Context(), "GET", ordersPath, nil, &answer))
		return len(answer)
	})
	b.Run("scan", func(b *testing.B) {
		data := []byte(text)
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			s := scanner{data: data}
			if s.whole(true); !s.ok {
				b.Fatal("not JSON")
			}
		}
	})
}
