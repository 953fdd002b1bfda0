package paperapi_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// control sends a request to one of the sandbox's own addresses.
func (r *trader) control(method, path string, body any) (int, map[string]any, string) {
	r.t.Helper()
	req, err := http.NewRequest(method, r.srv.URL+path, strings.NewReader(text(r.t, body)))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	var o struct{ Data map[string]any }
	if d := json.NewDecoder(bytes.NewReader(answer)); resp.StatusCode == http.StatusOK {
		d.UseNumber()
		_ = d.Decode(&o) // a list has another form
	}
	return resp.StatusCode, o.Data, string(answer)
}

// A market by hand: prices, trades, halts, bands, gaps, and back to the process.
func TestControls_moveTheMarket(t *testing.T) {
	t.Parallel()
	r := login(t)
	set := func(o order) map[string]any {
		t.Helper()
		status, data, text := r.control("POST", "/sandbox/market", order{"segment": "nse_cm", "symbol": "TCS-EQ"}.with(o))
		if status != http.StatusOK {
			t.Fatalf("%v: %d %s", o, status, text)
		}
		return data
	}
	last := func() map[string]any {
		t.Helper()
		_, _, body := r.send(gen3, "market", gen3.ask+"nse_cm|11536/all", "")
		var rows []map[string]any
		if err := json.Unmarshal(body, &rows); err != nil {
			t.Fatal(err)
		}
		return rows[0]
	}
	state := func(n string) string {
		for _, o := range r.orders() {
			if o.Number == n {
				return o.State
			}
		}
		return ""
	}
	if got := set(order{"set": "price", "price": "3500"}); got["last"] != "3500.00" || got["token"] != "11536" || last()["ltp"] != "3500.0000" {
		t.Errorf("price: %v", got)
	}
	resting := r.place(limitBuy.with(order{"pr": "3450.00"}))
	set(order{"set": "trade", "price": 3450.5, "quantity": 100})
	if state(resting) != "open" || last()["ltp"] != "3450.5000" {
		t.Errorf("a trade above the limit: %s, %v", state(resting), last())
	}
	set(order{"set": "price", "price": "3449.9", "symbol": nil, "token": 11536})
	if state(resting) != "complete" {
		t.Errorf("a price through the limit: %s", state(resting))
	}
	stop := r.place(limitBuy.with(order{"pt": "SL", "pr": "3560.00", "tp": "3550.00"}))
	set(order{"set": "gap", "price": "3555.00"})
	if state(stop) != "complete" {
		t.Errorf("a gap over the trigger: %s", state(stop))
	}
	set(order{"set": "halt"})
	halted := r.place(limitBuy.with(order{"pr": "3600.00"}))
	if state(halted) != "open" {
		t.Errorf("in a halt: %s", state(halted))
	}
	set(order{"set": "run"})
	if state(halted) != "complete" {
		t.Errorf("after it: %s", state(halted))
	}
	set(order{"set": "band", "low": "3000.00", "high": "3700.00"})
	if q := last(); q["low_price_range"] != "3000.0000" || q["high_price_range"] != "3700.0000" {
		t.Errorf("band: %v", q)
	}
	if status, data, _ := r.control("POST", "/sandbox/market", order{"set": "run"}); status != http.StatusOK || data["set"] != "run" {
		t.Errorf("all run: %d %v", status, data)
	}
	for name, c := range map[string]struct {
		o     order
		names string
	}{
		"no set": {order{"segment": "nse_cm", "symbol": "TCS-EQ"}, "set"}, "unknown set": {order{"set": "moon", "segment": "nse_cm", "symbol": "TCS-EQ"}, "set"},
		"no segment": {order{"set": "price", "symbol": "TCS-EQ", "price": "1"}, "segment"}, "no symbol": {order{"set": "price", "segment": "nse_cm", "price": "1"}, "symbol"},
		"no token":         {order{"set": "halt", "segment": "nse_cm", "token": "x"}, "token"},
		"no price":         {order{"set": "price", "segment": "nse_cm", "symbol": "TCS-EQ"}, "price"},
		"off the tick":     {order{"set": "price", "segment": "nse_cm", "symbol": "TCS-EQ", "price": "3500.01"}, "price"},
		"outside the band": {order{"set": "price", "segment": "nse_cm", "symbol": "TCS-EQ", "price": "1"}, "price"},
		"no quantity":      {order{"set": "trade", "segment": "nse_cm", "symbol": "TCS-EQ", "price": "3500"}, "quantity"},
		"an object":        {order{"set": order{}, "segment": "nse_cm", "symbol": "TCS-EQ"}, "set"},
	} {
		if status, _, text := r.control("POST", "/sandbox/market", c.o); status != http.StatusBadRequest || !strings.Contains(text, c.names) {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
}

// An account's page takes and shows money and shares; the state returns to the seed; the
// list of requests says what became of each.
func TestControls_accountsStateAndRequests(t *testing.T) {
	t.Parallel()
	r := login(t)
	account := "/sandbox/accounts/" + r.srv.Account.UCC
	holding := order{"segment": "nse_cm", "symbol": "TCS-EQ", "quantity": 25, "averagePrice": "3000.50"}
	_, before, _ := r.control("GET", account, nil)
	if before["cash"] != "1000000.00" || before["net"] != "1000000.00" {
		t.Errorf("at the start: %v", before)
	}
	status, data, body := r.control("POST", account, order{"funds": "250000.50", "holdings": []any{holding}})
	if status != http.StatusOK || data["cash"] != "250000.50" || len(data["holdings"].([]any)) != 1 {
		t.Fatalf("%d %s", status, body)
	}
	row := r.rows("/portfolio/v1/holdings")[0].(map[string]any)
	if row["averagePrice"] != json.Number("3000.5000") || row["quantity"] != json.Number("25") || row["sellableQuantity"] != json.Number("25") || row["exchangeIdentifier"] != "11536" {
		t.Errorf("%v", row)
	}
	if status, again, text := r.control("POST", account, order{"funds": data["cash"], "holdings": data["holdings"]}); status != http.StatusOK || again["cash"] != data["cash"] || len(again["holdings"].([]any)) != 1 {
		t.Errorf("what it shows is not what it takes: %d %s", status, text)
	}
	for name, o := range map[string]order{
		"no funds": {}, "negative": {"funds": "-1"}, "text": {"funds": "much"}, "object": {"funds": "1", "holdings": order{}},
		"contract": {"funds": "1", "holdings": []any{order{"segment": "nse_fo", "symbol": r.option().symbol, "quantity": 1, "averagePrice": "1"}}},
		"nothing":  {"funds": "1", "holdings": []any{order{"segment": "nse_cm", "symbol": "TCS-EQ", "quantity": 0, "averagePrice": "1"}}},
		"unlisted": {"funds": "1", "holdings": []any{order{"segment": "nse_cm", "symbol": "X", "quantity": 1, "averagePrice": "1"}}},
	} {
		if status, _, text := r.control("POST", account, o); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	if _, now, _ := r.control("GET", account, nil); now["cash"] != "250000.50" {
		t.Errorf("a refused change changed something: %v", now)
	}
	if status, _, _ := r.control("GET", "/sandbox/accounts/NOBODY1", nil); status != http.StatusNotFound {
		t.Errorf("an account that there is not: %d", status)
	}
	if _, lower, _ := r.control("GET", strings.ToLower(account), nil); lower["ucc"] != r.srv.Account.UCC {
		t.Errorf("in lower case: %v", lower)
	}

	n := r.place(limitBuy.with(order{"ig": "remember", "secret": strings.Repeat("x", 4000)}))
	r.post(placePath, limitBuy.with(order{"ig": "remember"}))
	r.rows("/quick/user/orders")
	asked := r.asked()
	if asked[0]["op"] != "orders" || asked[0]["status"] != 200.0 || asked[1]["stCode"] != 32.0 || asked[1]["status"] != 400.0 ||
		asked[2]["nOrdNo"] != n || asked[2]["account"] != r.srv.Account.UCC || asked[2]["jData"].(map[string]any)["ig"] != "remember" {
		t.Errorf("%v", asked[:3])
	}
	if listed := text(t, asked); strings.Contains(listed, r.session.Token) || strings.Contains(listed, r.srv.ConsumerKey) || strings.Contains(listed, r.session.SID) || len(listed) > 1<<20 {
		t.Error("credentials, or too much, are listed")
	}
	if status, _, _ := r.control("DELETE", "/sandbox/state", nil); status != http.StatusOK {
		t.Error(status)
	}
	if len(r.orders()) != 0 || len(r.asked()) != 0 {
		t.Error("orders or requests are left")
	}
	if _, now, _ := r.control("GET", account, nil); now["cash"] != "1000000.00" || len(now["holdings"].([]any)) != 0 {
		t.Errorf("not as at the start: %v", now)
	}
	r.place(limitBuy.with(order{"ig": "remember"})) // the tag is free again
	for range 1100 {
		r.rows("/portfolio/v1/holdings")
	}
	if asked := r.asked(); len(asked) != 1000 || slices.ContainsFunc(asked, func(a map[string]any) bool { return a["op"] != "holdings" }) {
		t.Errorf("%d requests are listed", len(asked))
	}
}
