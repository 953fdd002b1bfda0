package trade

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"neoapi/internal/must"
)

// decodedOrder decodes a row of an order.
func decodedOrder(t *testing.T, row string) Order {
	t.Helper()
	all := must.Get(rows("", json.RawMessage("["+row+"]"), orderLayout, decodeOrder))(t)
	if len(all) != 1 {
		t.Fatalf("%d orders", len(all))
	}
	return all[0]
}

func TestOrder_stateIsOfOrdStAlone(t *testing.T) {
	t.Parallel()
	o := decodedOrder(t, `{"nOrdNo":"1","ordSt":"open","stat":"rejected","rejRsn":"RMS:Margin Exceeds","qty":10,"fldQty":0}`)
	if o.State != Open || o.State.Final() || o.Refused() != "RMS:Margin Exceeds" {
		t.Errorf("%+v", o)
	}
	o = decodedOrder(t, `{"nOrdNo":"1","stat":"complete","rejRsn":"no","qty":10,"fldQty":0}`)
	if o.State != "" || o.State.Final() {
		t.Errorf("without ordSt it is %q", o.State)
	}
	if o = decodedOrder(t, `{"nOrdNo":"1","ordSt":"rejected","rejRsn":"no","qty":10,"fldQty":0}`); o.Refused() != "" || o.Reason != "no" {
		t.Errorf("a rejected order's change was refused: %+v", o)
	}
	o = decodedOrder(t, `{"nOrdNo":"1","ordSt":"cancelled","rejRsn":"--","rmk":"16441 : ST Orders are not allowed in preopen or closing auction","qty":10,"fldQty":0}`)
	if o.Reason != "16441 : ST Orders are not allowed in preopen or closing auction" || o.Refused() != "" {
		t.Errorf("the exchange cancelled it: %+v", o)
	}
	for _, state := range []string{"partially filled", "Some New State"} { // kept, not final
		if o := decodedOrder(t, `{"ordSt":"`+state+`","qty":1,"fldQty":0}`); string(o.State) != state || o.State.Final() || o.Unread != "" {
			t.Errorf("%q is %+v", state, o)
		}
	}
}

func TestOrder_absentIsAbsent(t *testing.T) {
	t.Parallel()
	for _, none := range []string{`""`, `"NA"`, `"--"`, `"-"`, `"- "`, "null"} {
		o := decodedOrder(t, `{"nOrdNo":"1","exOrdId":`+none+`,"prc":`+none+`,"trgPrc":`+none+`,"avgPrc":`+none+`,"exCfmTm":`+none+`,"rejRsn":`+none+`,"dscQty":`+none+`,"qty":10,"fldQty":0}`)
		if o.ExchangeNumber != "" || o.Price.Known() || o.Trigger.Known() || o.AvgPrice.Known() || !o.Confirmed.IsZero() || o.Reason != "" || o.Unread != "" {
			t.Errorf("%s: %+v", none, o)
		}
		if o := decodedOrder(t, `{"nOrdNo":"1","qty":`+none+`}`); o.Unread != "qty,fldQty" {
			t.Errorf("quantities that are %s or missing are not told: %+v", none, o)
		}
	}
}

func TestOrder_averageIsOfFillsAlone(t *testing.T) {
	t.Parallel()
	for row, want := range map[string]string{
		`{"avgPrc":"0.00","qty":10,"fldQty":0}`:        "",
		`{"avgPrc":0,"qty":"10","fldQty":"0"}`:         "",
		`{"avgPrc":"10.1167","qty":150,"fldQty":150}`:  "10.1167",
		`{"avgPrc":"83.1025","qty":"1","fldQty":"1"}`:  "83.1025",
		`{"avgPrc":"--","qty":10,"fldQty":10}`:         "",
		`{"avgPrc":3500.05,"qty":10,"fldQty":"10.00"}`: "3500.05",
	} {
		if o := decodedOrder(t, row); o.AvgPrice.String() != want || o.Unread != "" {
			t.Errorf("%s: %q, unread %q", row, o.AvgPrice, o.Unread)
		}
	}
}

func TestOrder_averageOfItsTradesIsExact(t *testing.T) {
	t.Parallel()
	o := decodedOrder(t, `{"nOrdNo":"1","avgPrc":"10.1167","qty":150,"fldQty":150}`)
	trades := []Trade{{OrderNumber: "1", Quantity: 50, Price: MustRupees("10.15")}, {OrderNumber: "2", Quantity: 9, Price: MustRupees("1")}, {OrderNumber: "1", Quantity: 100, Price: MustRupees("10.10")}}
	if a := o.Average(trades); a.Amount != MustRupees("1517.50") || a.Quantity != 150 || a.String() != "10.1167" {
		t.Errorf("it is %+v", a)
	}
	if a := o.Average(trades[:2]); a.Known() {
		t.Errorf("without all its trades it is %+v", a)
	}
}

func TestOrder_numbersComeAsTextOrNumber(t *testing.T) {
	t.Parallel()
	o := decodedOrder(t, `{"nOrdNo":261130000000001,"tok":11536,"prc":3500.1,"trgPrc":"99.50","qty":"150","fldQty":75,"unFldSz":"75","cnlQty":0.0,"dscQty":1e2,"updRecvTm":"1796060873181038000"}`)
	if o.Number != "261130000000001" || o.Token != "11536" || o.Price != MustRupees("3500.1") || o.Trigger != MustRupees("99.5") ||
		o.Quantity != 150 || o.FilledQty != 75 || o.PendingQty != 75 || o.CancelledQty != 0 || o.DisclosedQty != 100 || o.Sequence != 1796060873181038000 || o.Unread != "" {
		t.Errorf("%+v", o)
	}
}

func TestOrder_fieldOfAnotherFormCostsThatField(t *testing.T) {
	t.Parallel()
	o := decodedOrder(t, `{"nOrdNo":"7","ordSt":"open","qty":10,"fldQty":4,"prc":{"v":1},"trgPrc":"n/a","exCfmTm":"yesterday","ordEntTm":["22-Jan-2025 14:28:01"],"prod":true,"dscQty":"2.5","trnsTp":"B"}`)
	if o.Number != "7" || o.State != Open || o.Quantity != 10 || o.FilledQty != 4 || o.Side != SideBuy {
		t.Errorf("the row was lost: %+v", o)
	}
	if o.Unread != "prod,prc,trgPrc,dscQty,ordEntTm,exCfmTm" || o.Price.Known() || o.Trigger.Known() || !o.Entered.IsZero() || !o.Confirmed.IsZero() || o.Product != "" {
		t.Errorf("unread is %q of %+v", o.Unread, o)
	}
	if text, ok := o.Raw.Get("prc"); !ok || text != `{"v":1}` {
		t.Errorf("raw prc is %q, %t", text, ok)
	}
	if text, ok := o.Raw.Get("trgPrc"); !ok || text != "n/a" {
		t.Errorf("raw trgPrc is %q, %t", text, ok)
	}
	if _, ok := o.Raw.Get("nothing"); ok {
		t.Error("a key that is not there was found")
	}
}

func TestOrder_hasThreeTimesInIndia(t *testing.T) {
	t.Parallel()
	o := decodedOrder(t, `{"nOrdNo":"1","qty":1,"fldQty":0,"ordEntTm":"22-Jan-2025 14:28:01","exCfmTm":"22-Jan-2025 14:28:05","ordDtTm":"22-Jan-2025 14:28:06","updRecvTm":1737536286123456789}`)
	for name, x := range map[string]struct{ got, want time.Time }{
		"entered":   {o.Entered, time.Date(2025, 1, 22, 14, 28, 1, 0, IST)},
		"confirmed": {o.Confirmed, time.Date(2025, 1, 22, 14, 28, 5, 0, IST)},
		"updated":   {o.Updated, time.Date(2025, 1, 22, 14, 28, 6, 123456789, IST)},
		"sent":      {o.Sent, time.Time{}},
	} {
		if x.got != x.want {
			t.Errorf("%s is %v, want %v", name, x.got, x.want)
		}
	}
}

func TestTime_everyFormIsRead(t *testing.T) {
	t.Parallel()
	at := time.Date(2025, 1, 22, 14, 28, 1, 0, IST)
	for text, want := range map[string]time.Time{
		`"22-Jan-2025 14:28:01"`: at, `"22-JAN-2025 14:28:01"`: at, `"2025/01/22 14:28:01"`: at, `"2025-01-22 14:28:01"`: at, `"2025-01-22T14:28:01+05:30"`: at,
		`"2025-01-22T08:58:01Z"`: at, `1737536281`: at, `"1737536281"`: at, `1737536281000`: at, `1737536281000000`: at, `1737536281000000000`: at,
		`"29-Feb-2024 00:00:00"`: time.Date(2024, 2, 29, 0, 0, 0, 0, IST), `"31-Dec-2099 23:59:59"`: time.Date(2099, 12, 31, 23, 59, 59, 0, IST),
		`"NA"`: {}, `0`: {}, `"01-Jan-1980 00:00:00"`: {}, `"01-Jan-1970 05:30:00"`: {}, `-2209008600`: {},
	} {
		o := decodedOrder(t, `{"qty":1,"fldQty":1,"ordEntTm":`+text+`}`)
		if o.Entered != want || o.Unread != "" && text != "-2209008600" {
			t.Errorf("%s is %v, want %v; unread %q", text, o.Entered, want, o.Unread)
		}
	}
	for _, text := range []string{`"29-Feb-2025 00:00:00"`, `"31-Apr-2025 00:00:00"`, `"22-Foo-2025 14:28:01"`, `"22-Jan-2025 24:00:00"`, `"22-Jan-2025 14:60:01"`, `"22-Jan-2025"`, `"22-Jan-2025T14:28:01"`, `true`, `"x"`, `"1-Jan-2025 14:28:01"`} {
		if o := decodedOrder(t, `{"qty":1,"fldQty":1,"ordEntTm":`+text+`}`); !o.Entered.IsZero() || o.Unread != "ordEntTm" {
			t.Errorf("%s is %v, unread %q", text, o.Entered, o.Unread)
		}
	}
}

// Against package time, for every day of two centuries.
func TestTime_agreesWithTheStandardLibrary(t *testing.T) {
	t.Parallel()
	for d := time.Date(2000, 1, 2, 0, 0, 0, 0, IST); d.Year() < 2200; d = d.AddDate(0, 0, 1).Add(7919 * time.Second) {
		for _, form := range []string{"02-Jan-2006 15:04:05", "2006/01/02 15:04:05"} {
			if seconds, ok := parseTime(d.Format(form)); !ok || seconds != d.Unix() {
				t.Fatalf("%s is %d, want %d", d.Format(form), seconds, d.Unix())
			}
		}
		for _, form := range []string{"02 Jan, 2006", "02-Jan-2006", "2006-01-02"} {
			if date, ok := parseDate(strings.ToUpper(d.Format(form))); !ok || date != DateOf(d) {
				t.Fatalf("%s is %v, want %v", d.Format(form), date, DateOf(d))
			}
		}
	}
}

func TestDate_isReadAsReportsHaveIt(t *testing.T) {
	t.Parallel()
	for row, want := range map[string]string{
		`"expDt":"03 Feb, 2026"`: "2026-02-03", `"expDt":"28 Jul, 2026"`: "2026-07-28", `"expDt":"NA","exp":"1785229200"`: "2026-07-28", `"exp":1785229200`: "2026-07-28",
		`"expDt":"NA","exp":"-"`: "", `"expDt":"31 Feb, 2026"`: "",
	} {
		all := must.Get(rows("", json.RawMessage(`[{`+row+`}]`), positionLayout, decodePosition))(t)
		if got := all[0].Expiry.String(); got != want || strings.Contains(all[0].Unread, "expDt") != strings.Contains(row, "31 Feb") {
			t.Errorf("%s is %q, want %q; unread %q", row, got, want, all[0].Unread)
		}
	}
}

// life is what an order goes through.
var life = []State{
	Received, Validating, OpenPending, Open, ModifyValidating, ModifyPending, Modified, Open, ModifyValidating, NotModified, Open, CancelPending, Cancelled,
}

func TestHistory_isInTheServicesSequence(t *testing.T) {
	t.Parallel()
	var states []Order
	for i, s := range life {
		states = append(states, Order{State: s, Sequence: int64(1796060873181038000 + i), Updated: time.Date(2031, 3, 3, 14, 0, 0, 0, IST)})
	}
	want := slices.Clone(states)
	rand.Shuffle(len(states), func(i, j int) { states[i], states[j] = states[j], states[i] })
	if arrange(states); !slices.Equal(states, want) {
		t.Errorf("it went through %v", statesOf(states))
	}
}

func TestHistory_keepsTheLegalOrderWithinAnInstant(t *testing.T) {
	t.Parallel()
	for _, path := range [][]State{
		{Received, Validating, OpenPending, Open},
		{Received, Validating, OpenPending, Open, Complete},
		{Received, Validating, OpenPending, TriggerPending, Open, Complete},
		{Received, Validating, OpenPending, Open, ModifyValidating, ModifyPending, Modified, Open},
		{Received, Validating, OpenPending, TriggerPending, ModifyValidating, NotModified, TriggerPending, CancelPending, Cancelled},
		{Received, Validating, Rejected}, {AfterMarket, AfterMarketModified, AfterMarketCancelled},
	} {
		for range 20 { // however they came, with the same second or nothing at all for a time
			var states []Order
			for _, s := range path {
				states = append(states, Order{State: s, Updated: time.Date(2031, 3, 3, 14, 0, 0, 0, IST)})
			}
			rand.Shuffle(len(states), func(i, j int) { states[i], states[j] = states[j], states[i] })
			if arrange(states); !slices.Equal(statesOf(states), path) {
				t.Fatalf("it went through %q, want %q", statesOf(states), path)
			}
		}
	}
	fills := []Order{{State: Open, FilledQty: 5}, {State: Complete, FilledQty: 7}, {State: Open, FilledQty: 2}, {State: Open}}
	if arrange(fills); fills[0].FilledQty != 0 || fills[1].FilledQty != 2 || fills[2].FilledQty != 5 || fills[3].State != Complete {
		t.Errorf("the filled quantity falls: %+v", fills)
	}
}

func statesOf(orders []Order) (all []State) {
	for _, o := range orders {
		all = append(all, o.State)
	}
	return all
}
