package paperapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"neoapi/internal/paperapi"
	"neoapi/neoapitest"
)

var gen3 = generations[len(generations)-1]

// An order's fields, those of a generation 3 client.
type order map[string]any

func (o order) with(more order) order {
	all := maps.Clone(o)
	maps.Copy(all, more)
	return all
}

var limitBuy = order{
	"am": "NO", "dq": "0", "es": "nse_cm", "mp": "0", "pc": "CNC", "pr": "3400.00", "pt": "L", "qt": "1", "rt": "DAY", "tp": "0", "ts": "TCS-EQ", "tt": "B",
	"os": "NEOTRADEAPI",
}

func text(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// post sends a generation 3 call and returns status and answer.
func (r *trader) post(path string, o order) (int, map[string]any) {
	r.t.Helper()
	status, answer, _ := r.send(gen3, "order", path, text(r.t, o))
	return status, answer
}

// place places an order that must get a number.
func (r *trader) place(o order) string {
	r.t.Helper()
	_, answer := r.post("/quick/order/rule/ms/place", o)
	number, _ := answer["nOrdNo"].(string)
	if number == "" {
		r.t.Fatalf("%v: %v", o, answer)
	}
	return number
}

// rows returns the rows of a report.
func (r *trader) rows(path string) []any {
	r.t.Helper()
	_, o, _ := r.send(gen3, "report", path, "")
	rows, _ := o["data"].([]any)
	return rows
}

func (r *trader) orders() []neoapitest.Order { return r.srv.Orders(r.t, r.srv.Account.UCC) }

// fail makes a fault over HTTP.
func (r *trader) fail(f order) {
	r.t.Helper()
	resp, err := http.Post(r.srv.URL+"/sandbox/faults", "application/json", strings.NewReader(text(r.t, f)))
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		r.t.Fatalf("fault %v: %s", f, body)
	}
}

const placePath = "/quick/order/rule/ms/place"

// Each fault of the exchange does what its name says, and the next call succeeds.
func TestFaults_doWhatTheirNamesSay(t *testing.T) {
	t.Parallel()
	r := login(t)
	market := r.srv.Market(t)
	market.SetPrice("nse_cm", "TCS-EQ", "3500.00")
	r.srv.Fund(t, r.srv.Account.UCC, "1000000.00", neoapitest.Holding{Segment: "nse_cm", Symbol: "TCS-EQ", Quantity: 10, AveragePrice: "3000.00"})
	last := func() neoapitest.Order { all := r.orders(); return all[len(all)-1] }
	crossing := limitBuy.with(order{"pr": "3600.00"})
	done := map[string]bool{}
	strike := func(op, fault string, more order, check func(t *testing.T)) {
		t.Helper()
		done[fault] = true
		r.fail(order{"op": op, "fault": fault}.with(more))
		t.Run(fault, func(t *testing.T) {
			check(t)
			r.srv.Works()
			if n := r.place(limitBuy); last().Number != n || last().State != "open" {
				t.Errorf("the order after the fault: %+v", last())
			}
		})
	}
	strike("place", "twice", nil, func(t *testing.T) {
		before := len(r.orders())
		n := r.place(crossing.with(order{"ig": "two"}))
		all := r.orders()
		if len(all) != before+2 || all[before].Number != n || all[before].Tag != "two" || all[before+1].State != "complete" {
			t.Errorf("%+v", all[before:])
		}
	})
	strike("place", "delayed", order{"n": 1}, func(t *testing.T) {
		begun := time.Now()
		n := r.place(limitBuy)
		if time.Since(begun) < time.Second || last().Number != n {
			t.Errorf("answered after %v", time.Since(begun))
		}
	})
	strike("place", "rejected", order{"text": "RMS:Rule: not today"}, func(t *testing.T) {
		if n := r.place(crossing); last().Number != n || last().State != "rejected" || last().Reason != "RMS:Rule: not today" {
			t.Errorf("%+v", last())
		}
	})
	strike("place", "rejected_later", nil, func(t *testing.T) {
		n := r.place(limitBuy)
		var states []string
		for _, row := range r.srv.History(t, r.srv.Account.UCC, n) {
			states = append(states, row.State)
		}
		if !slices.Equal(states, []string{"put order req received", "validation pending", "open pending", "open", "rejected"}) {
			t.Errorf("%q", states)
		}
	})
	strike("place", "no_authorisation", nil, func(t *testing.T) {
		if r.place(limitBuy); last().State != "open" {
			t.Errorf("a purchase: %+v", last())
		}
		if r.place(limitBuy.with(order{"tt": "S", "pr": "3600.00"})); last().State != "rejected" || !strings.Contains(last().Reason, "TPIN") {
			t.Errorf("%+v", last())
		}
	})
	strike("place", "stuck", nil, func(t *testing.T) {
		n := r.place(crossing)
		r.srv.Advance(time.Minute)
		if last().State != "open pending" {
			t.Errorf("%+v", last())
		}
		r.cancel(n)
	})
	strike("place", "parts", order{"n": 3}, func(t *testing.T) {
		n := r.place(crossing.with(order{"qt": "4"}))
		r.srv.Advance(5 * time.Second)
		fills := 0
		for _, row := range r.rows("/quick/user/trades") {
			if row.(map[string]any)["nOrdNo"] == n {
				fills++
			}
		}
		if fills != 3 || last().State != "complete" {
			t.Errorf("%d fills: %+v", fills, last())
		}
	})
	strike("place", "duplicate_tag", nil, func(t *testing.T) {
		if status, o := r.post(placePath, limitBuy); status != http.StatusBadRequest || o["stCode"] != json.Number("32") || o["emsg"] != "error from core" || !strings.Contains(o["stat"].(string), "already exists") {
			t.Errorf("%d %v", status, o)
		}
	})
	for fault, code := range map[string]string{"address": "100008", "address_changed": "1037"} {
		for op, path := range map[string]string{"place": placePath, "modify": "/quick/order/vr/modify", "cancel": "/quick/order/cancel"} {
			n := r.place(limitBuy)
			strike(op, fault, nil, func(t *testing.T) {
				before := len(r.orders())
				if status, o := r.post(path, limitBuy.with(order{"no": n, "on": n, "pr": "3399.00", "vd": "DAY"})); status < 400 || o["stCode"] != json.Number(code) {
					t.Errorf("%s: %d %v", op, status, o)
				}
				if all := r.orders(); len(all) != before || last().State != "open" || last().Price != "3400.00" {
					t.Errorf("%s changed something: %+v", op, last())
				}
				if report := r.rows("/quick/user/orders"); len(report) == 0 {
					t.Error("reports are not for registered addresses alone")
				}
			})
		}
	}
	for _, code := range []string{"1004", "1005", "1006", "1017", "1041", "5204"} {
		strike("place", code, nil, func(t *testing.T) {
			before := len(r.orders())
			if _, o := r.post(placePath, limitBuy); o["stCode"] != json.Number(code) || o["stat"] != "Not_Ok" || o["errMsg"] != o["emsg"] {
				t.Errorf("%v", o)
			}
			if len(r.orders()) != before {
				t.Error("an order was placed")
			}
		})
	}
	strike("orders", "book_lag", order{"n": 30, "times": 2}, func(t *testing.T) {
		r.srv.Advance(time.Minute)
		before := len(r.orders())
		n := r.place(limitBuy)
		if got := r.rows("/quick/user/orders"); len(got) != before || contains(got, map[string]any{"nOrdNo": n}) {
			t.Errorf("%d rows, %d orders before", len(got), before)
		}
		if _, o, _ := r.send(gen3, "report", "/quick/user/orders/"+n, ""); o["stCode"] != json.Number("1009") {
			t.Errorf("the order alone does not lag: %v", o)
		}
	})
	strike("orders", "missing_row", nil, func(t *testing.T) {
		n := r.place(limitBuy)
		if got := r.rows("/quick/user/orders"); len(got) != len(r.orders())-1 || contains(got, map[string]any{"nOrdNo": n}) {
			t.Errorf("%d rows of %d orders", len(got), len(r.orders()))
		}
	})
	strike("quotes", "stale", order{"n": 200}, func(t *testing.T) {
		_, _, quotes := r.send(gen3, "market", "/script-details/1.0/quotes/neosymbol/nse_cm|11536/all", "")
		want := fmt.Sprintf(`"lstup_time":"%d"`, r.srv.Now().Unix()-200)
		later := fmt.Sprintf(`"lstup_time":"%d"`, r.srv.Now().Unix()-201)
		if !bytes.Contains(quotes, []byte(want)) && !bytes.Contains(quotes, []byte(later)) {
			t.Errorf("%s has not %s", quotes, want)
		}
	})
	strike("scrip_master", "stub", nil, func(t *testing.T) {
		_, o, _ := r.send(gen3, "market", "/script-details/1.0/masterscrip/file-paths", "")
		resp, err := http.Get(o["data"].(map[string]any)["filesPaths"].([]any)[0].(string))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); err != nil || bytes.Count(body, []byte("\n")) != 1 || !bytes.Contains(body, []byte("pTrdSymbol")) {
			t.Errorf("%v: %.200s", err, body)
		}
	})
	const chain = "/market-data/1.0/watchlist/option-chain?exchange=nse_fo&underlying=NIFTY&count=10"
	strike("option_chain", "documented", order{"times": 2}, func(t *testing.T) {
		_, o, _ := r.send(gen3, "market", chain, "")
		data := o["data"].(map[string]any)
		calls := data["call"].([]any)
		atm := 0
		for _, row := range calls {
			if row.(map[string]any)["instrument"].(map[string]any)["moneyness"] == "ATM" {
				atm++
			}
		}
		if len(calls) != 21 || atm != 1 || data["common_data"] == nil {
			t.Errorf("%d calls, %d at the money: %.300v", len(calls), atm, o)
		}
		_, o, _ = r.send(gen3, "market", chain+"&instrument_type=fut", "")
		if futures := o["data"].(map[string]any)["fut"].([]any); len(futures) == 0 || futures[0].(map[string]any)["inst"].(map[string]any)["expiryDt"] == nil {
			t.Errorf("%v", o)
		}
	})
	for _, name := range paperapi.FaultNames() {
		if !done[name] {
			t.Errorf("no test of the fault %q", name)
		}
	}
}

// A fault of the answer's shape leaves the order where it belongs: accepted if its answer
// alone was lost, and never there otherwise.
func TestFaults_ofShapeLeaveOrdersWhereTheyBelong(t *testing.T) {
	t.Parallel()
	r := login(t)
	client := http.Client{Timeout: 2 * time.Second}
	for fault, accepted := range map[string]bool{
		"lost": true, "truncated": true, "lost_502": true, "lost_hang": true,
		"html_502": false, "html_504": false, "close": false, "hang": false, "empty": false, "rate_limit": false, "not_ok": false, "null_data": false,
	} {
		before := len(r.orders())
		r.srv.Fail(t, "place", fault, 1)
		req, err := http.NewRequest(http.MethodPost, r.srv.URL+placePath, strings.NewReader("jData="+url.QueryEscape(text(t, limitBuy))))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		newest(req.Header, r, "order")
		resp, err := client.Do(req)
		said := ""
		if err == nil {
			body, _ := io.ReadAll(resp.Body)
			said = string(body)
			_ = resp.Body.Close()
		}
		if strings.Contains(said, `"stCode":200}`) {
			t.Errorf("%s: the answer came: %s", fault, said)
		}
		if got := len(r.orders()) == before+1; got != accepted {
			t.Errorf("%s: accepted: %t", fault, got)
		}
		asked := r.asked()
		if asked[0]["fault"] != fault || asked[0]["op"] != "place" || (asked[0]["nOrdNo"] != nil) != accepted || asked[0]["jData"].(map[string]any)["ts"] != "TCS-EQ" {
			t.Errorf("%s: remembered as %v", fault, asked[0])
		}
	}
}

// asked returns what /sandbox/requests lists, the newest first.
func (r *trader) asked() (list []map[string]any) {
	r.t.Helper()
	resp, err := http.Get(r.srv.URL + "/sandbox/requests")
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct{ Data []map[string]any }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		r.t.Fatal(err)
	}
	return answer.Data
}

// Where a client puts a token that does not belong there, the list does not show it.
func TestRequests_haveNoTokens(t *testing.T) {
	t.Parallel()
	r := login(t)
	token := r.session.Token
	r.post(placePath, limitBuy.with(order{"Auth": token, "ig": token}))
	r.post("/quick/user/limits/"+token, order{})
	r.send(gen3, "market", "/script-details/1.0/quotes/neosymbol/nse_cm|11536?Auth="+token, "")
	r.srv.Fail(t, "place", "html_502", 1)
	r.post(placePath, limitBuy.with(order{"Auth": "Bearer " + token}))
	list := fmt.Sprint(r.asked())
	if !strings.Contains(list, "(token)") || strings.Contains(list, token[len(token)-20:]) || strings.Contains(list, strings.Split(token, ".")[1]) {
		t.Error("a token is in ", list)
	}
}

func (r *trader) cancel(number string) (int, map[string]any) {
	return r.post("/quick/order/cancel", order{"on": number, "am": "NO"})
}

// A fault that names an account, an instrument, a side or a tag waits for the order that
// it names, whether a call has the order or its number.
func TestFaults_strikeTheOrdersTheyName(t *testing.T) {
	t.Parallel()
	r := login(t, neoapitest.WithAccounts(1))
	market := r.srv.Market(t)
	market.SetPrice("nse_cm", "TCS-EQ", "3500.00")
	tagged := limitBuy.with(order{"ig": "mine"})
	other := limitBuy.with(order{"ts": "INFY-EQ", "pr": "10.00"})
	first := r.place(tagged)
	for _, c := range []struct {
		fault        order
		passes, hits func() map[string]any
	}{
		{order{"op": "place", "symbol": "TCS-EQ"}, r.placing(other), r.placing(limitBuy)},
		{order{"op": "place", "side": "S"}, r.placing(limitBuy), r.placing(limitBuy.with(order{"tt": "S"}))},
		{order{"op": "place", "tag": "yours"}, r.placing(limitBuy), r.placing(limitBuy.with(order{"ig": "yours"}))},
		{order{"op": "place", "account": r.srv.Account.UCC}, nil, r.placing(limitBuy)},
		{order{"op": "modify", "tag": "mine"}, r.modifying(r.place(limitBuy)), r.modifying(first)},
		{order{"op": "cancel", "symbol": "TCS-EQ", "side": "B"}, r.cancelling(r.place(other)), r.cancelling(first)},
		{order{"op": "history", "symbol": "TCS-EQ"}, r.asking(r.place(other)), r.asking(first)},
	} {
		r.fail(order{"fault": "1005"}.with(c.fault))
		if c.passes != nil {
			if o := c.passes(); o["stCode"] == json.Number("1005") {
				t.Errorf("%v struck another: %v", c.fault, o)
			}
		}
		if o := c.hits(); o["stCode"] != json.Number("1005") {
			t.Errorf("%v did not strike: %v", c.fault, o)
		}
		r.srv.Works()
	}
	r.fail(order{"op": "place", "fault": "1005", "account": "TEST000001"})
	if o := r.placing(limitBuy)(); o["stCode"] != json.Number("200") {
		t.Errorf("a fault of another account: %v", o)
	}
	r.srv.FailOrder(t, neoapitest.OrderFault{Op: "place", Fault: "rejected", Text: "no", Symbol: "TCS-EQ", Side: "B", Tag: "third", Times: 2})
	for range 2 {
		r.place(limitBuy)
		if all := r.orders(); all[len(all)-1].State != "open" {
			t.Errorf("%+v", all[len(all)-1])
		}
	}
	r.place(limitBuy.with(order{"ig": "third"}))
	if all := r.orders(); all[len(all)-1].Reason != "no" {
		t.Errorf("%+v", all[len(all)-1])
	}
}

func (r *trader) calling(path string, o order) func() map[string]any {
	return func() map[string]any { _, answer := r.post(path, o); return answer }
}
func (r *trader) placing(o order) func() map[string]any { return r.calling(placePath, o) }
func (r *trader) modifying(n string) func() map[string]any {
	return r.calling("/quick/order/vr/modify", order{"no": n, "pr": "3300", "pt": "L", "qt": "1", "vd": "DAY"})
}
func (r *trader) cancelling(n string) func() map[string]any {
	return r.calling("/quick/order/cancel", order{"on": n, "am": "NO"})
}
func (r *trader) asking(n string) func() map[string]any {
	return r.calling("/quick/order/history", order{"nOrdNo": n})
}
