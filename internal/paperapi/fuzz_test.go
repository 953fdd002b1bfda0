package paperapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"neoapi/internal/paper"
	"neoapi/internal/tradewire"
)

// A flat object is read, and anything else refused, as encoding/json sees it.
func FuzzFields(f *testing.F) {
	for _, seed := range []string{`{}`, `{"qt":"1","pr":2.5,"am":true,"tp":null}`, `{"a":{}}`, `{"a":1,"a":1}`, `[]`, `{`, `{"a":"\u0000"}`, `{"a":1} x`, `{"a":"\ud800"}`, "\xff", `{"a":1,}`, `{"a":1e400}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := parseFields(text)
		var want map[string]any
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		bad := d.Decode(&want) != nil || want == nil || d.More()
		if err == nil && bad {
			t.Fatalf("%q was read as %v", text, got)
		}
		if err != nil {
			return
		}
		for name, value := range want {
			switch v := value.(type) {
			case string:
				if have, ok := got[name]; !ok || have != v {
					t.Fatalf("%q: %q is %q", text, name, have)
				}
			case nil:
				if _, ok := got[name]; ok {
					t.Fatalf("%q: %q is there", text, name)
				}
			case map[string]any, []any:
				t.Fatalf("%q was read as %v", text, got)
			}
		}
		for _, read := range []func(string) (any, error){
			func(n string) (any, error) { return got.quantity(n, 0) }, func(n string) (any, error) { return got.price(n) },
			func(n string) (any, error) { return got.number(n) }, func(n string) (any, error) { return got.yes(n) },
		} {
			for name := range got {
				_, _ = read(name)
			}
		}
	})
}

// No address, no query and no body makes the exchange answer anything but JSON of the
// protocol, or changes what another account has.
func FuzzCalls(f *testing.F) {
	for path := range operations {
		f.Add(path, "", "jData=%7B%7D")
	}
	f.Add(tradewire.PathQuotes+"nse_cm|11536,nse_cm|Nifty 50/all", "", "")
	f.Add(tradewire.PathQuotes+strings.Repeat(",", 100), "", "")
	f.Add(tradewire.PathOrders+"/261005000000001", "", "")
	f.Add(tradewire.PathFiles+"2026-10-05/nse_cm-v1.csv", "", "")
	f.Add(tradewire.PathFiles+"2026-10-05-stub/../x", "", "")
	f.Add(tradewire.PathCandles, "neosymbol=nse_cm|11536&interval=1min&fromdate=2026-10-01&todate=2026-10-05", "")
	f.Add(tradewire.PathCandles, "neosymbol=nse_cm%7CNifty+50&interval=W&fromdate=0000-01-01&todate=9999-12-31", "")
	f.Add(tradewire.PathChain, "exchange=nse_fo&underlying=NIFTY&count=10&instrument_type=fut", "")
	f.Add(tradewire.PathChain, "exchange=mcx_fo&underlying=GOLDM&expiry=2026-11-27&count=990", "")
	f.Add(tradewire.PathExpiries, "exchange=bse_fo&underlying=", "")
	f.Add(tradewire.PathPlace, "", "jData="+url.QueryEscape(`{"es":"nse_cm","pc":"CNC","pr":"3400","pt":"L","qt":"1","rt":"DAY","ts":"TCS-EQ","tt":"B","ig":"x"}`))
	f.Add(tradewire.PathMargin, "", "jData="+url.QueryEscape(`{"exSeg":"nse_cm","prc":"3500","prcTp":"L","prod":"CNC","qty":"10","tok":"11536","trnsTp":"B"}`))
	d := newDesk(f)
	number := d.post(tradewire.PathPlace, d.good())["nOrdNo"].(string)
	mine := func() (all []any) {
		d.Exchange(func(x *paper.Exchange, now time.Time) {
			all = []any{x.Orders(now, "A"), x.Limits(now, "A"), x.Positions(now, "A")}
		})
		return all
	}
	state := mine()
	f.Add(tradewire.PathModify, "", "jData="+url.QueryEscape(`{"no":"`+number+`","qt":"5"}`))
	f.Fuzz(func(t *testing.T, path, query, body string) {
		method := http.MethodGet
		if body != "" {
			method = http.MethodPost
		}
		r := httptest.NewRequest(method, "/", strings.NewReader(body))
		r.URL.Path, r.URL.RawQuery = path, query
		identified(r, "B")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		status, text := d.ask(r)
		if status >= 500 || !strings.HasPrefix(path, tradewire.PathFiles) && !json.Valid(text) {
			t.Fatalf("%s %q?%q %q: %d %.300s", method, path, query, body, status, text)
		}
		if now := mine(); !reflect.DeepEqual(now, state) {
			t.Fatalf("%s %q %q changed what another account has: %+v", method, path, body, now)
		}
	})
}

// No control makes a panic or an answer that is not JSON, and one that is refused changes
// nothing.
func FuzzControl(f *testing.F) {
	for _, seed := range []string{
		`{"set":"price","segment":"nse_cm","symbol":"TCS-EQ","price":"3500"}`, `{"set":"trade","segment":"nse_cm","token":11536,"price":3500,"quantity":5}`,
		`{"set":"halt","segment":"nse_cm","token":"11536"}`, `{"set":"band","segment":"nse_cm","token":"11536","low":"1","high":"2"}`, `{"set":"run"}`,
		`{"set":"gap","segment":"bse_cm","symbol":"SENSEX","price":"80000"}`, `{"funds":"1","holdings":[{"segment":"nse_cm","symbol":"TCS-EQ","quantity":1,"averagePrice":"1"}]}`,
		`{"funds":-1}`, `{"funds":"1","holdings":{}}`, `{"funds":1e300,"holdings":[[]]}`, `{"funds":"1","holdings":[{"segment":"nse_fo"}]}`, `null`,
	} {
		f.Add("/sandbox/market", seed)
		f.Add("/sandbox/accounts/A", seed)
	}
	d := newDesk(f)
	f.Fuzz(func(t *testing.T, path, body string) {
		decoder := json.NewDecoder(strings.NewReader(body))
		decoder.UseNumber()
		var fields map[string]any
		if decoder.Decode(&fields) != nil || ControlMethods(path) == "" {
			return
		}
		before := d.state()
		answer, err := d.Control(Control{Method: http.MethodPost, Path: path, Fields: fields})
		if err != nil {
			if now := d.state(); !reflect.DeepEqual(now, before) {
				t.Fatalf("%s %s: %v, and it changed something", path, body, err)
			}
			return
		}
		if text, err := json.Marshal(answer); err != nil || len(text) == 0 {
			t.Fatalf("%s %s: %v", path, body, err)
		}
	})
}
