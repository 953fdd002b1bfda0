package paperapi

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"neoapi/internal/paper"
	"neoapi/internal/paper/ledger"
	"neoapi/internal/paper/listing"
	"neoapi/internal/tradewire"
	"neoapi/internal/wire"
)

// monday is the time of these tests: eleven o'clock on a Monday.
var monday = time.Date(2026, 10, 5, 11, 0, 0, 0, listing.India)

// A desk calls an API as the gateway does.
type desk struct {
	*API
	t   failer
	now time.Time
}

// A failer is a test, or one of rapid's.
type failer interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func newDesk(t failer) *desk {
	d := &desk{t: t, now: monday}
	d.API = New(Config{Now: func() time.Time { return d.now }, Market: paper.Config{Seed: 7, Funds: 1_000_000 * listing.Rupee}})
	if err := d.Open("", false, nil); err != nil {
		t.Fatal(err)
	}
	return d
}

// identified returns a request with the identity that the gateway would write.
func identified(r *http.Request, ucc string) *http.Request {
	payload, _ := json.Marshal(map[string]string{"sub": ucc})
	r.Header.Set(wire.HeaderIdentity, "e30."+base64.RawURLEncoding.EncodeToString(payload)+".c2ln")
	return r
}

// ask sends a request and returns status and body.
func (d *desk) ask(r *http.Request) (int, []byte) {
	resp, err := d.RoundTrip(r)
	if err != nil {
		d.t.Fatalf("%s: %v", r.URL, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return resp.StatusCode, body
}

// form sends a body as the account A, and returns the answer's object.
func (d *desk) form(path, body string) map[string]any {
	r := identified(httptest.NewRequest(http.MethodPost, path, strings.NewReader(body)), "A")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, text := d.ask(r)
	var o map[string]any
	if err := json.Unmarshal(text, &o); err != nil || status >= 500 || o["stat"] == nil {
		d.t.Fatalf("%s %.300q: %d %s", path, body, status, text)
	}
	return o
}

// post sends fields.
func (d *desk) post(path string, fields map[string]any) map[string]any {
	text, err := json.Marshal(fields)
	if err != nil {
		d.t.Fatal(err)
	}
	return d.form(path, "jData="+url.QueryEscape(string(text)))
}

// state is all that there is.
func (d *desk) state() []paper.Dumped {
	var all []paper.Dumped
	d.Exchange(func(x *paper.Exchange, now time.Time) { all = x.Dump(now) })
	return all
}

// good is an order that rests.
func (d *desk) good() map[string]any {
	var price listing.Price
	d.Exchange(func(x *paper.Exchange, now time.Time) {
		q, _ := x.Quote(now, listing.Key{Segment: listing.NSE, Token: 11536})
		price = q.BandLow + 10*q.Tick
		price -= price % q.Tick
	})
	return map[string]any{
		"am": "NO", "dq": "0", "es": "nse_cm", "mp": "0", "pc": "CNC", "pf": "N", "pr": price.String(), "pt": "L", "qt": "2", "rt": "DAY", "tp": "0",
		"ts": "TCS-EQ", "tt": "B", "os": "NEOTRADEAPI",
	}
}

// bad are values that are wrong in every mandatory field, and almost every other.
var bad = []any{
	"", " ", "x", "-1", -1, "1e3", 1e20, "100000000000000000000", "0x10", "1.00001", "NaN", "∞", "١", "\x00", "1;2", []any{}, map[string]any{"a": 1}, []any{"1"},
	strings.Repeat("9", 4096), strings.Repeat("A", 4096), true, nil,
}

// A call with a wrong value is refused with the field's name, and nothing has changed.
func TestPlace_refusesBadFieldsAndChangesNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	good := d.good()
	number := d.post(tradewire.PathPlace, good)["nOrdNo"].(string)
	state := d.state()
	modify := map[string]any{"no": number, "pr": good["pr"], "pt": "L", "qt": "2", "vd": "DAY", "tp": "0", "dq": "0", "mp": "0", "am": "NO"}
	cancel := map[string]any{"on": number, "am": "NO"}
	margin := map[string]any{"exSeg": "nse_cm", "prc": good["pr"], "prcTp": "L", "prod": "CNC", "qty": "1", "tok": "11536", "trnsTp": "B"}
	refuses := func(path string, fields map[string]any, field string, value any) {
		t.Helper()
		changed := maps.Clone(fields)
		changed[field] = value
		if value == missing {
			delete(changed, field)
		}
		o := d.post(path, changed)
		if o["stCode"] != 1009.0 || o["stat"] != "Not_Ok" || !strings.Contains(o["errMsg"].(string), field) && !strings.Contains(o["errMsg"].(string), "lotwise") || o["errMsg"] != o["emsg"] {
			t.Errorf("%s with %s %.40v: %v", path, field, value, o)
		}
		if now := d.state(); !reflect.DeepEqual(now, state) {
			t.Fatalf("%s with %s %.40v changed something: %+v", path, field, value, now)
		}
	}
	for path, c := range map[string]struct {
		fields    map[string]any
		mandatory string
	}{
		tradewire.PathPlace:  {good, "es pc pr pt qt rt ts tt"},
		tradewire.PathModify: {modify, "no"},
		tradewire.PathCancel: {cancel, "on"},
		tradewire.PathMargin: {margin, "exSeg prc prcTp prod qty tok trnsTp"},
		tradewire.PathLimits: {map[string]any{"seg": "ALL", "exch": "ALL", "prod": "ALL"}, "seg exch prod"},
	} {
		for field := range strings.FieldsSeq(c.mandatory) {
			for _, value := range append(slices.Clone(bad), missing) {
				if none := value == nil || value == missing || value == "" || value == " "; none && path == tradewire.PathLimits {
					continue // which is all
				}
				refuses(path, c.fields, field, value)
			}
		}
		body, err := json.Marshal(c.fields)
		if err != nil {
			t.Fatal(err)
		}
		for field := range c.fields { // doubled
			twice := fmt.Sprintf(`{%q:%q,%s`, field, c.fields[field], body[1:])
			if o := d.form(path, "jData="+url.QueryEscape(twice)); o["stCode"] != 1009.0 || !strings.Contains(o["errMsg"].(string), field) {
				t.Errorf("%s with %s twice: %v", path, field, o)
			}
		}
	}
	for field, values := range map[string][]any{
		"qt": {"0", 0, "-1", "1.5", "10000001"},
		"pr": {"100.00001", "-5", "0"},
		"am": {"perhaps", 2, []any{}},
		"dq": {"-1", "x", "3", map[string]any{}},
		"mp": {"0.5", "-1", "101", "x"},
		"tp": {"x", "1.23456", "5"},
		"ig": {strings.Repeat("t", 51), strings.Repeat("t", 4096), "a\nb", "a\x00b", "\x00", "a\x7f", "ä", "\u202e", []any{}, map[string]any{}},
		"pt": {"SP", "2L", "3L", "SL-X"},
		"rt": {"GTC", "EOS", "GTD"},
		"ts": {"Nifty 50", "tcs-eq ", "TCS"},
		"es": {"NSE", "mcx", "nse_com"},
		"pc": {"BTST", "CNC,MIS"},
		"tt": {"BUYSELL", "1"},
	} {
		for _, value := range values {
			refuses(tradewire.PathPlace, good, field, value)
		}
	}
	for field, values := range map[string][]any{
		"qt": {"0", "-1", 1e20, "x"}, "pr": {"", "0", "100.00001", "-5"}, "tp": {"x"}, "vd": {"GTC", "EOS", "GTD"}, "pt": {"SP", "x"}, "dq": {"-1", "9"}, "mp": {"0.5", "x", 101}, "am": {"perhaps", 2},
		"no": {"250122000624384", "18446744073709551616"},
	} {
		for _, value := range values {
			refuses(tradewire.PathModify, modify, field, value)
		}
	}
	for _, n := range []string{"261005000000099", "0"} {
		refuses(tradewire.PathCancel, cancel, "on", n)
	}
	// Another account's order is as unknown as one that there is not.
	r := identified(httptest.NewRequest(http.MethodPost, tradewire.PathCancel, strings.NewReader("jData="+url.QueryEscape(`{"on":"`+number+`","am":"NO"}`))), "B")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if _, body := d.ask(r); !strings.Contains(string(body), `"stCode":1009`) {
		t.Errorf("another account's order: %s", body)
	}
	if now := d.state(); !reflect.DeepEqual(now, state) {
		t.Fatalf("something changed: %+v", now)
	}
}

// missing is no value at all.
var missing = new(int)

// Every form of value that clients send is taken.
func TestPlace_takesEveryFormOfValue(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	good := d.good()
	for field, values := range map[string][]any{
		"am": {"NO", "no", "N", false, nil, "", "YES", true, "Y"},
		"dq": {"0", 0, 0.0, nil, "", "1", 1, "2"},
		"mp": {"0", 0, nil, "", "0.0"},
		"tp": {"0", 0, 0.0, nil, "", "0.00"},
		"qt": {"3", 3, "3.0"},
		"pr": {good["pr"], json.Number(good["pr"].(string)), good["pr"].(string) + "00"},
		"ig": {nil, "", "a tag", strings.Repeat("t", 50), 12345, "~!@#$%^&*()"},
		"pt": {"L", "l", "Limit", "LIMIT"},
		"pc": {"CNC", "cnc", "MIS", "Intraday", "MTF"},
		"tt": {"B", "Buy", "buy", "BUY"},
		"rt": {"DAY", "Day", "IOC"},
		"os": {nil, "", "API", strings.Repeat("x", 4096), "a\nb"},
		"xx": {"unknown", nil, 1},
	} {
		for _, value := range values {
			o := maps.Clone(good)
			o[field] = value
			if a := d.post(tradewire.PathPlace, o); a["stat"] != "Ok" || len(a["nOrdNo"].(string)) != 15 {
				t.Errorf("%s %v: %v", field, value, a)
			}
		}
	}
}

// Whatever is sent: an order that has no number has left nothing, one that has a number is
// the only change, and the money is right to the paisa.
func TestPlace_leavesAnOrderOrNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	good := d.good()
	names := slices.Sorted(maps.Keys(good))
	names = append(names, "ig", "slv", "sov", "tsv", "tk")
	rapid.Check(t, func(t *rapid.T) {
		d.now = d.now.Add(time.Second)
		before := d.count()
		o := maps.Clone(good)
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			name := rapid.SampledFrom(names).Draw(t, "field")
			o[name] = rapid.OneOf(
				rapid.SampledFrom(bad), rapid.Just[any]("B"), rapid.Just[any]("S"), rapid.SampledFrom([]any{"SL", "MKT", "CO", "BO", "MIS", "IOC", "0", "1", "10", "3500", "YES"}),
				rapid.Map(rapid.String(), func(s string) any { return s }), rapid.Map(rapid.Int64(), func(n int64) any { return n }),
			).Draw(t, "value")
		}
		answer := d.post(tradewire.PathPlace, o)
		after := d.count()
		number, _ := answer["nOrdNo"].(string)
		switch {
		case answer["stat"] == "Ok" && (len(number) != 15 || after <= before):
			t.Fatalf("%v: %v, %d orders, then %d", o, answer, before, after)
		case answer["stat"] != "Ok" && (number != "" || after != before):
			t.Fatalf("%v: %v, %d orders, then %d", o, answer, before, after)
		}
		l := d.limits()
		if l.Net != l.Cash+l.Pledged-l.Used {
			t.Fatalf("%+v", l)
		}
	})
}

func (d *desk) count() (n int) {
	d.Exchange(func(x *paper.Exchange, now time.Time) { n = len(x.Orders(now, "A")) })
	return n
}

func (d *desk) limits() (l paper.Limits) {
	d.Exchange(func(x *paper.Exchange, now time.Time) { l = x.Limits(now, "A") })
	return l
}

// Limits and margin on the wire: the identity holds after every order, and an order that
// the margin check says fits is accepted while one rupee less is not enough for it.
func TestMargin_whatFitsIsAcceptedAndOneRupeeLessIsNot(t *testing.T) {
	t.Parallel()
	var listed []*listing.Instrument
	newDesk(t).Exchange(func(x *paper.Exchange, now time.Time) { listed = x.Listing(now).Instruments() })
	listed = slices.DeleteFunc(slices.Clone(listed), func(i *listing.Instrument) bool {
		return i.Kind == listing.Index || i.Kind == listing.Future && i.Margin.Span == 0
	})
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.SampledFrom(listed).Draw(t, "instrument")
		product := "NRML"
		if i.Segment.Cash() {
			product = "CNC"
			if i.Margin.Intraday > 0 && rapid.Bool().Draw(t, "intraday") {
				product = "MIS"
			}
		}
		side := "B"
		if product != "CNC" && rapid.Bool().Draw(t, "sell") {
			side = "S"
		}
		quantity := i.Lot * rapid.Int64Range(1, 3).Draw(t, "lots")
		var price listing.Price
		d := newDesk(t)
		d.Exchange(func(x *paper.Exchange, now time.Time) {
			q, _ := x.Quote(now, i.Key)
			price = q.Last
			if side == "S" { // where it rests
				price = q.BandHigh
			} else if q.BandLow > 0 {
				price = q.BandLow
			}
			price -= price % i.Tick
		})
		if i.MaxOrder > 0 && quantity > i.MaxOrder || price <= 0 {
			return
		}
		kind := rapid.SampledFrom([]string{"L", "MKT"}).Draw(t, "kind")
		if kind == "MKT" {
			price = 0
		}
		check := map[string]any{
			"exSeg": i.Segment.String(), "prc": price.String(), "prcTp": kind, "prod": product, "qty": fmt.Sprint(quantity), "tok": fmt.Sprint(i.Token), "trnsTp": side,
		}
		place := map[string]any{
			"es": i.Segment.String(), "pr": price.String(), "pt": kind, "pc": product, "qt": fmt.Sprint(quantity), "ts": i.Name, "tt": side, "rt": "DAY", "am": "NO",
		}
		need, err := listing.ParsePrice(strings.TrimSuffix(d.post(tradewire.PathMargin, check)["ordMrgn"].(string), "00"))
		if err != nil {
			t.Fatal(err)
		}
		for short, want := range map[listing.Price]string{0: "OK", listing.Rupee: "NOT_OK"} {
			if need < short {
				continue
			}
			d := newDesk(t)
			d.Exchange(func(x *paper.Exchange, now time.Time) { x.Fund(now, "A", need-short, []ledger.Holding{}) })
			if said := d.post(tradewire.PathMargin, check); said["rmsVldtd"] != want {
				t.Fatalf("%s: %v with %s: %v", i.Name, check, need-short, said)
			}
			answer := d.post(tradewire.PathPlace, place)
			if answer["stat"] != "Ok" {
				t.Fatalf("%v: %v", place, answer)
			}
			d.Exchange(func(x *paper.Exchange, now time.Time) {
				o := x.Orders(now, "A")[0]
				if got := map[bool]string{true: "NOT_OK", false: "OK"}[o.State == paper.Rejected]; got != want {
					t.Fatalf("%v with %s of %s: %s %s, the margin check says %s", place, need-short, need, o.State, o.Reason, want)
				}
			})
			limits := d.post(tradewire.PathLimits, map[string]any{"seg": "ALL", "exch": "ALL", "prod": "ALL"})
			var sum listing.Price
			for key, sign := range map[string]listing.Price{"CollateralValue": 1, "Collateral": 1, "MarginUsed": -1, "Net": -1} {
				p, err := listing.ParsePrice(limits[key].(string))
				if err != nil {
					t.Fatal(err)
				}
				sum += sign * p
			}
			if sum != 0 {
				t.Fatalf("Net is not CollateralValue + Collateral - MarginUsed: %v", limits)
			}
		}
	})
}

// Answers whose buffers are used again are never another's: each account reads its own
// orders while others read theirs, and one that was closed reads nothing.
func TestAnswers_keepToThemselves(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	good := d.good()
	body, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	accounts := []string{"A", "B", "C", "D"}
	for _, ucc := range accounts {
		for range 60 {
			r := identified(httptest.NewRequest(http.MethodPost, tradewire.PathPlace, strings.NewReader("jData="+url.QueryEscape(string(body)))), ucc)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			d.ask(r)
		}
	}
	var all sync.WaitGroup
	for k := range 8 {
		ucc := accounts[k%len(accounts)]
		all.Go(func() {
			for n := range 50 {
				resp, err := d.RoundTrip(identified(httptest.NewRequest(http.MethodGet, tradewire.PathOrders, nil), ucc))
				if err != nil {
					t.Error(err)
					return
				}
				if n%5 == 4 { // its session has ended
					_ = resp.Body.Close()
					if got, err := io.ReadAll(resp.Body); err == nil || len(got) > 0 {
						t.Errorf("%d bytes of a closed answer, %v", len(got), err)
					}
					continue
				}
				var report struct {
					Data []struct {
						Account string `json:"actId"`
					}
				}
				err = json.NewDecoder(resp.Body).Decode(&report)
				_ = resp.Body.Close()
				if err != nil || len(report.Data) != 60 || slices.ContainsFunc(report.Data, func(o struct {
					Account string `json:"actId"`
				}) bool {
					return o.Account != ucc
				}) {
					t.Errorf("%s reads %d orders, %v", ucc, len(report.Data), err)
				}
			}
		})
	}
	all.Wait()
}
