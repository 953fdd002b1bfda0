package paperapi_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"neoapi/neoapitest"
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
	traded := set(order{"set": "trade", "price": 3450.5, "quantity": 100}) // and half a second later the price is its own again
	if state(resting) != "open" || traded["last"] != "3450.50" {
		t.Errorf("a trade above the limit: %s, %v", state(resting), traded)
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

// What a control does not know, or what is not clear, is refused with what would do: a
// misspelt field must not let all prices go.
func TestControls_refuseWhatIsNotClear(t *testing.T) {
	t.Parallel()
	r := login(t, neoapitest.WithAccounts(1))
	r.srv.Market(t).SetPrice("nse_cm", "TCS-EQ", "3500.00")
	tcs := order{"segment": "nse_cm", "symbol": "TCS-EQ"}
	share := tcs.with(order{"quantity": 1, "averagePrice": "1.00"})
	for _, c := range []struct {
		page  string
		body  any
		names string
	}{
		{"market", order{"set": "run", "symbol": "TCS-EQ"}, "segment: is missing"},
		{"market", order{"set": "run", "token": 11536}, "segment: is missing"},
		{"market", order{"set": "run", "segment": "nse_cm"}, "symbol: is missing"},
		{"market", order{"set": "run", "symbl": "TCS-EQ"}, "symbl: is not known"},
		{"market", order{"set": "run", "price": "1"}, "price: is not known"},
		{"market", order{"set": "halt"}, "segment: is missing"},
		{"market", tcs.with(order{"set": "halt", "token": "1594"}), "symbol: is not that of the token, which is INFY-EQ's"},
		{"market", tcs.with(order{"set": "price", "price": "3500", "quantity": 1}), "quantity: is not known"},
		{"market", tcs.with(order{"set": "price", "price": true}), "price: must be a text or a number"},
		{"market", tcs.with(order{"set": "trade", "price": "3500", "quantity": 1.5}), "quantity: must be a whole number"},
		{"market", tcs.with(order{"set": "trade", "price": "3500"}), "quantity: is missing"},
		{"market", tcs.with(order{"set": "band", "low": "3000"}), "high: is missing"},
		{"market", order{"set": "halt", "segment": []string{"nse_cm"}, "symbol": "TCS-EQ"}, "segment: must be a text"},
		{"market", order{"set": "halt", "segment": "nse_cm", "symbol": 11536}, "symbol: must be a text"},
		{"market", json.RawMessage(`{"set":"halt","set":"run"}`), "set: is in the body more than once"},
		{"market", json.RawMessage(`[{"set":"run"}]`), "body: must be a JSON object"},
		{"market", json.RawMessage(`{"set":[[[[[1]]]]]}`), "body: is nested too deeply"},
		{"accounts/TEST000001", order{"fund": "1.00"}, "fund: is not known"},
		{"accounts/TEST000001", order{"holdings": []any{}}, "funds: is missing"},
		{"accounts/TEST000001", order{"funds": true}, "funds: must be a text or a number"},
		{"accounts/TEST000001", order{"funds": "1.00", "holdings": []any{share, "x"}}, "holdings[1]: must be an object"},
		{"accounts/TEST000001", order{"funds": "1.00", "holdings": []any{share, share}}, "holdings[1]: is TCS-EQ, which is in the list already"},
		{"accounts/TEST000001", order{"funds": "1.00", "holdings": []any{share.with(order{"qty": 1})}}, "holdings[0].qty: is not known"},
		{"accounts/TEST000001", order{"funds": "1.00", "holdings": []any{share.with(order{"t1": 2})}}, "holdings[0].t1: must be a part"},
		{"accounts/TEST000001", order{"funds": "1.00", "holdings": []any{tcs.with(order{"quantity": 1})}}, "holdings[0].averagePrice: is missing"},
		{"accounts/TEST000001", json.RawMessage(`{"funds":"1","holdings":[{"quantity":1,"quantity":2}]}`), "holdings[0].quantity: is in the body more than once"},
		{"clock", order{}, "body: must have one of"},
		{"clock", order{"advance": "5m", "set": "2031-03-03T09:20:00+05:30"}, "body: must have one of"},
		{"clock", order{"advance": 5}, "advance: must be a time"},
		{"clock", order{"advance": "-5m"}, "advance: must be a time"},
		{"clock", order{"advance": "2562047h"}, "advance: leads past"},
		{"clock", order{"set": "2031-03-03"}, "set: must be a time"},
		{"clock", order{"set": "2101-01-01T00:00:00Z"}, "set: must be a time"},
		{"clock", order{"sett": "2031-03-03T09:20:00+05:30"}, "sett: is not known"},
		{"faults", order{"op": "place", "fault": "lost", "tags": "x"}, "tags: is not known"},
		{"faults", order{"op": "place", "fault": "lost", "tag": 5}, "tag: must be a text"},
		{"faults", order{"op": "place", "fault": "lost", "account": ""}, "account: must be a text that is not empty"},
		{"faults", order{"op": []string{"place"}, "fault": "lost"}, "op: must be a text"},
		{"faults", order{"fault": "lost"}, "op: must be one of"},
		{"faults", order{"op": "place", "fault": "lost", "times": "many"}, "times: must be a number"},
		{"faults", order{"op": "place", "fault": "delayed", "n": 1e6}, "n: must be a number"},
		{"faults", order{"op": "login", "fault": "502", "account": r.srv.Account.UCC}, "op: is not a trade call"},
		{"faults", order{"op": "orders", "fault": "lost", "symbol": "TCS-EQ"}, "op: is not about an order"},
		{"faults", json.RawMessage(`{"op":"place","fault":"lost","op":"cancel"}`), "op: is in the body more than once"},
	} {
		if status, _, text := r.control("POST", "/sandbox/"+c.page, c.body); status != http.StatusBadRequest || !strings.Contains(text, c.names) {
			t.Errorf("%s %s: %d %s, want %q", c.page, said(c.body), status, text, c.names)
		}
	}
	if status, _, text := r.control("DELETE", "/sandbox/faults", order{"op": "place"}); status != http.StatusBadRequest {
		t.Errorf("DELETE of one fault: %d %s", status, text)
	}
	if _, now, _ := r.control("GET", "/sandbox/accounts/TEST000001", nil); now["cash"] != "1000000.00" {
		t.Errorf("a refused body changed the account: %v", now)
	}
	if _, quote, _ := r.control("POST", "/sandbox/market", tcs.with(order{"set": "run"})); quote["last"] != "3500.00" {
		t.Errorf("a refused body moved the market: %v", quote)
	}
	// All forms of a value that there may be, and nulls as in jData.
	for _, body := range []any{
		order{"set": "price", "segment": "nse_cm", "symbol": nil, "token": "11536", "price": 3500},
		tcs.with(order{"set": "price", "token": 11536, "price": "3500.00"}), tcs.with(order{"set": "run", "token": nil}), order{"set": "run"},
	} {
		if status, _, text := r.control("POST", "/sandbox/market", body); status != http.StatusOK {
			t.Errorf("%v: %d %s", body, status, text)
		}
	}
}

func said(body any) string {
	text, _ := json.Marshal(body)
	return string(text)
}

// The list has what the service refuses itself, and never a secret, wherever one was sent.
func TestRequests_haveWhatTheServiceRefuses(t *testing.T) {
	t.Parallel()
	r := login(t, neoapitest.WithConsumerRate(10))
	ask := func(method, path string, header ...string) {
		t.Helper()
		req, err := http.NewRequest(method, r.srv.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for k := 0; k < len(header); k += 2 {
			req.Header.Set(header[k], header[k+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		_ = resp.Body.Close()
	}
	sid, auth := []string{"Sid", r.session.SID}, []string{"Auth", r.session.Token}
	const orders = "/quick/user/orders"
	ask("GET", orders)
	ask("GET", orders, append(sid, "Auth", r.session.Token[:len(r.session.Token)-2])...)
	ask("GET", orders, append(append(sid, auth...), "Authorization", "not-a-key-of-ours")...)
	ask("GET", "/quick/user/nothing", append(sid, auth...)...)
	ask("DELETE", orders, append(sid, auth...)...)
	ask("GET", "/script-details/1.0/masterscrip/file-paths")
	ask("GET", "/login/nothing") // not a trade call
	r.post("/quick/order/cancel", order{"on": "1", "password": r.srv.Account.Password, "mpin": r.srv.Account.MPIN})
	ask("GET", "/market-data/1.0/watchlist/expiries?exchange=nse_fo&underlying=NIFTY&password="+r.srv.Account.Password, "Authorization", r.srv.ConsumerKey)
	var burst sync.WaitGroup
	for range 60 {
		burst.Go(func() { ask("GET", orders, "Sid", r.session.SID, "Auth", r.session.Token) })
	}
	burst.Wait()
	r.srv.EndSession(t, r.session.SID)
	r.srv.Advance(time.Second)
	ask("GET", orders, append(sid, auth...)...)
	asked := r.asked()
	at := 0
	for _, want := range []struct {
		op     string
		status float64
	}{
		{"orders", 403}, {"orders", 429}, {"expiries", 200}, {"cancel", 200}, {"scrip_master", 401}, {"orders", 405}, {"unknown", 404}, {"orders", 401}, {"orders", 401}, {"orders", 401},
	} {
		for ; at < len(asked) && (asked[at]["op"] != want.op || asked[at]["status"] != want.status); at++ {
			if want.op != "expiries" && want.status != 429 {
				t.Errorf("before %v: %v", want, asked[at])
			}
		}
		if at == len(asked) {
			t.Fatalf("%v is not listed where it belongs: %v", want, asked)
		}
		if want.status >= 400 && asked[at]["errMsg"] == nil {
			t.Errorf("%v says nothing", asked[at])
		}
		at++
	}
	listed := text(t, asked)
	for _, secret := range []string{r.session.Token[20:60], r.session.SID, r.srv.Account.Password, r.srv.Account.MPIN, r.srv.ConsumerKey, "not-a-key-of-ours", r.access} {
		if strings.Contains(listed, secret) {
			t.Errorf("%q is listed", secret)
		}
	}
}

// Strangers, who can send any number of calls, do not drive a trader's from the list.
func TestRequests_keepWhatStrangersDriveOut(t *testing.T) {
	t.Parallel()
	r := login(t)
	for range 600 {
		r.rows("/portfolio/v1/holdings")
	}
	for range 1100 {
		resp, err := http.Get(r.srv.URL + "/quick/user/orders")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	r.rows("/quick/user/orders")
	count := map[any]int{}
	asked := r.asked()
	for _, a := range asked {
		count[a["status"]]++
	}
	if len(asked) != 1000 || count[200.0] != 500 || asked[0]["status"] != 200.0 || asked[1]["status"] != 401.0 {
		t.Errorf("%d calls: %v, the newest %v", len(asked), count, asked[0])
	}
}

// From another language the clocks are moved over HTTP, as Advance and SetTime do.
func TestClock_isMovedOverHTTP(t *testing.T) {
	t.Parallel()
	r := login(t)
	at := time.Date(2031, time.March, 3, 9, 20, 0, 0, time.FixedZone("IST", 19800))
	if status, data, text := r.control("POST", "/sandbox/clock", order{"set": at.Format(time.RFC3339)}); status != http.StatusOK || data["service"] != at.Format(time.RFC3339) || data["market"] != data["service"] {
		t.Fatalf("%d %s", status, text)
	}
	if now := r.srv.Now(); now.Before(at) || now.After(at.Add(time.Hour)) {
		t.Errorf("the service's clock is at %v", now)
	}
	if status, _, _ := r.send(gen3, "order", "/quick/user/orders", ""); status != http.StatusForbidden {
		t.Errorf("a session that ended years ago: %d", status)
	}
	if _, data, text := r.control("POST", "/sandbox/clock", order{"advance": "24h"}); !strings.HasPrefix(text, `{"data":{"service":"2031-03-04T09:2`) {
		t.Errorf("a day later: %v", data)
	}
	if status, data, _ := r.control("POST", "/sandbox/clock", order{"set": "2031-03-03T09:20:00+05:30"}); status != http.StatusOK || data["market"] == data["service"] {
		t.Errorf("set back, the market went back too: %v", data)
	}
	r.control("DELETE", "/sandbox/state", nil)
	if _, data, _ := r.control("GET", "/sandbox/clock", nil); !strings.HasPrefix(data["market"].(string), "2031-03-03T09:2") {
		t.Errorf("a new market is at %v", data)
	}
}
