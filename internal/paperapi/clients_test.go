package paperapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"neoapi"
	"neoapi/internal/testserver"
	"neoapi/neoapitest"
)

// A trader is logged in and sends requests by hand, as other people's clients do.
type trader struct {
	t       testing.TB
	srv     *neoapitest.Server
	session neoapi.Session
	access  string
}

func login(t testing.TB, opts ...neoapitest.Option) *trader {
	t.Helper()
	srv := neoapitest.NewServer(t, append([]neoapitest.Option{neoapitest.WithConsumerRate(0)}, opts...)...)
	srv.Advance(testserver.IntoTheDay(srv.Now()))
	c, err := neoapi.New(neoapi.Config{
		Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret, Clock: srv.Now, Rate: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if err := c.Login(ctx, neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password}); err != nil {
		t.Fatal(err)
	}
	session, err := c.Session2FA(ctx, srv.OTP(t))
	if err != nil {
		t.Fatal(err)
	}
	access, err := c.AccessToken(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return &trader{t, srv, session, access}
}

// A generation of clients: where it sends what, and with which headers.
type generation struct {
	name                                    string
	orders, history, portfolio, master, ask string
	headers                                 func(h http.Header, r *trader, kind string)
	query                                   bool // ?sId=
}

func older(h http.Header, r *trader, kind string) {
	h.Set("Authorization", "Bearer "+r.access)
	if kind == "market" {
		return
	}
	h.Set("Sid", r.session.SID)
	h.Set("Auth", r.session.Token)
	if kind != "holdings" {
		h.Set("neo-fin-key", "neotradeapi")
	}
}

func newest(h http.Header, r *trader, kind string) {
	h.Set("X-Request-ID", "5e2dd6a6-9d94-4d16-8d43-9a1ff1a0b9b0")
	h.Set("X-Client-ID", r.srv.ConsumerKey[:8]+"***")
	if kind == "market" || kind == "order" {
		h.Set("Authorization", r.srv.ConsumerKey)
	}
	if kind == "market" {
		h.Set("Content-Type", "application/x-www-form-urlencoded")
		return
	}
	h.Set("Sid", r.session.SID)
	h.Set("Auth", r.session.Token)
}

var generations = []generation{
	{"1 UAT", "/orderapi/1.0", "/orderapi/1.0", "/portfolio/1.0", "/scrip/1.0/masterscrip/file-paths", "", older, true},
	{"1 PROD", "/Orders/2.0", "/Orders/2.0", "/Portfolio/1.0", "/Files/1.0/masterscrip/v1/file-paths", "", older, true},
	{"2", "/apim/orders/2.0", "/apim/order/2.0", "/apim/portfolio/2.0", "/apim/files/2.0/masterscrip/v1/file-paths", "/apim/quotes/2.0/quotes/neosymbol/", older, true},
	{"2, older hosts", "/Orders/2.0", "/Orders/2.0", "/Portfolio/1.0", "/Files/1.0/masterscrip/v2/file-paths", "/apim/quotes/1.0/quotes/neosymbol/", older, true},
	{"3", "", "", "", "/script-details/1.0/masterscrip/file-paths", "/script-details/1.0/quotes/neosymbol/", newest, false},
}

// send sends a request; body is jData as Python's json.dumps writes it, "" for a GET.
func (r *trader) send(g generation, kind, path, jData string) (int, map[string]any, []byte) {
	r.t.Helper()
	method, body := http.MethodGet, io.Reader(nil)
	if jData != "" {
		method, body = http.MethodPost, strings.NewReader("jData="+url.QueryEscape(jData))
	}
	if g.query && kind != "market" {
		path += "?sId=" + url.QueryEscape(r.session.HSServerID)
	}
	req, err := http.NewRequest(method, r.srv.URL+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if jData != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	g.headers(req.Header, r, kind)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	var object map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if len(text) > 0 && text[0] == '{' && d.Decode(&object) != nil {
		r.t.Fatalf("%s: not JSON: %.200s", path, text)
	}
	return resp.StatusCode, object, text
}

// ok sends a request that must succeed.
func (r *trader) ok(g generation, kind, path, jData string) map[string]any {
	r.t.Helper()
	status, o, text := r.send(g, kind, path, jData)
	if status != http.StatusOK || o["stat"] != nil && !strings.EqualFold(o["stat"].(string), "ok") {
		r.t.Fatalf("generation %s: %s %s: %d %.300s", g.name, path, jData, status, text)
	}
	return o
}

// The requests of the vendor's Python clients, as their sources write them.
func TestClients_ofAllGenerationsTrade(t *testing.T) {
	t.Parallel()
	for _, g := range generations {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			r := login(t)
			market := r.srv.Market(t)
			market.SetPrice("nse_cm", "TCS-EQ", "3500.00")
			order := func(price, quantity, tag string) string {
				source := map[string]string{"1": `}`, "2": `, "tk": null, "sot": null, "slt": null, "slv": null, "sov": null, "lat": null, "tlt": null, "tsv": null, "os": "NEOFINTECH001"}`}[g.name[:1]]
				if g.name == "3" {
					return `{"am": "NO", "dq": null, "es": "nse_cm", "mp": "0", "pc": "CNC", "pr": "` + price + `", "pt": "L", "qt": "` + quantity + `", "rt": "DAY", "tp": null, "ts": "TCS-EQ", "tt": "B", "ig": ` + tag + `, "os": "NEOTRADEAPI"}`
				}
				return `{"am": "NO", "dq": "0", "es": "nse_cm", "mp": "0", "pc": "CNC", "pf": "N", "pr": "` + price + `", "pt": "L", "qt": "` + quantity + `", "rt": "DAY", "tp": "0", "ts": "TCS-EQ", "tt": "B", "ig": ` + tag + source
			}
			resting := r.ok(g, "order", g.orders+"/quick/order/rule/ms/place", order("3400.00", "10", "null"))["nOrdNo"].(string)
			r.ok(g, "order", g.orders+"/quick/order/rule/ms/place", order("3600.00", "5", `"mine"`))

			modify := `{"tk": "11536", "mp": "0", "pc": "CNC", "dd": "NA", "dq": 0, "vd": "DAY", "ts": "TCS-EQ", "tt": "B", "pr": "3410", "pt": "Limit", "fq": 0, "am": "NO", "tp": "0", "qt": "12", "no": "` + resting + `", "es": "nse_cm"}`
			if g.name == "3" {
				modify = `{"mp": "0", "dq": "0", "vd": "DAY", "pr": "3410", "pt": "L", "am": "NO", "tp": null, "qt": "12", "no": "` + resting + `", "os": "NEOTRADEAPI"}`
			}
			r.ok(g, "order", g.orders+"/quick/order/vr/modify", modify)

			rows := r.ok(g, "report", g.orders+"/quick/user/orders", "")["data"].([]any)
			if len(rows) != 2 || !contains(rows, map[string]any{"nOrdNo": resting, "ordSt": "open", "prc": "3410.00", "qty": json.Number("12"), "trdSym": "TCS-EQ", "tok": "11536"}) ||
				!contains(rows, map[string]any{"ordSt": "complete", "fldQty": json.Number("5"), "GuiOrdId": "mine"}) {
				t.Errorf("orders: %v", rows)
			}
			history := r.ok(g, "report", g.history+"/quick/order/history", `{"nOrdNo": "`+resting+`"}`)
			if rows := history["data"].([]any); len(rows) < 6 || rows[len(rows)-1].(map[string]any)["ordSt"] != "put order req received" {
				t.Errorf("history: %v", rows)
			}
			if trades := r.ok(g, "report", g.orders+"/quick/user/trades", "")["data"].([]any); !contains(trades, map[string]any{"trdSym": "TCS-EQ", "fldQty": json.Number("5"), "tok": "11536"}) {
				t.Errorf("trades: %v", trades)
			}
			if positions := r.ok(g, "report", g.orders+"/quick/user/positions", "")["data"].([]any); !contains(positions, map[string]any{"trdSym": "TCS-EQ", "flBuyQty": "5", "prod": "CNC"}) {
				t.Errorf("positions: %v", positions)
			}
			limits := r.ok(g, "report", g.orders+"/quick/user/limits", `{"seg": "ALL", "exch": "ALL", "prod": "ALL"}`)
			if limits["CollateralValue"] != "1000000.00" {
				t.Errorf("limits: %v", limits)
			}
			margin := r.ok(g, "report", g.orders+"/quick/user/check-margin", `{"exSeg": "nse_cm", "prc": "3500", "prcTp": "L", "prod": "CNC", "qty": "10", "tok": "11536", "trnsTp": "B", "trgPrc": "0", "brkName": "KOTAK", "brnchId": "ONLINE", "slAbsOrTks": null, "slVal": null, "sqrOffAbsOrTks": null, "sqrOffVal": null, "trailSL": null, "tSLTks": null}`)
			if margin["ordMrgn"] != "35000.000000" || margin["rmsVldtd"] != "OK" {
				t.Errorf("margin: %v", margin)
			}
			r.ok(g, "order", g.orders+"/quick/order/cancel", `{"on": "`+resting+`", "am": "NO"}`)
			if _, o, _ := r.send(g, "order", g.orders+"/quick/order/cancel", `{"on": "`+resting+`", "am": "NO"}`); o["stCode"] != json.Number("1021") {
				t.Errorf("cancelled twice: %v", o)
			}
			r.checkMarketData(g)
			r.checkHoldings(g)
		})
	}
}

// contains reports whether one of the rows has all these values.
func contains(rows []any, want map[string]any) bool {
	for _, row := range rows {
		has := true
		for key, value := range want {
			has = has && row.(map[string]any)[key] == value
		}
		if has {
			return true
		}
	}
	return false
}

func (r *trader) checkHoldings(g generation) {
	r.t.Helper()
	if _, o, _ := r.send(g, "holdings", g.portfolio+"/portfolio/v1/holdings", ""); o["stCode"] != json.Number("5203") {
		r.t.Errorf("no holdings: %v", o)
	}
	r.srv.Advance(24 * time.Hour)
	// The session ends long before; another one sees the shares.
	status, _, _ := r.send(g, "holdings", g.portfolio+"/portfolio/v1/holdings", "")
	if status != http.StatusForbidden && status != http.StatusUnauthorized {
		r.t.Errorf("the session of yesterday: %d", status)
	}
	if p := r.srv.Positions(r.t, r.srv.Account.UCC); len(p) != 0 {
		r.t.Errorf("the shares are still a position: %+v", p)
	}
}

// checkMarketData asks for what needs no session.
func (r *trader) checkMarketData(g generation) {
	r.t.Helper()
	paths := r.ok(g, "market", g.master, "")["data"].(map[string]any)["filesPaths"].([]any)
	var file string
	for _, p := range paths {
		if file == "" && strings.Contains(strings.ToLower(p.(string)), "nse_cm") {
			file = p.(string)
		}
	}
	resp, err := http.Get(file) // no headers at all
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !bytes.Contains(text, []byte("TCS-EQ")) || !bytes.Contains(text, []byte("dTickSize ,")) {
		r.t.Errorf("%s: %d, %v, %.200s", file, resp.StatusCode, err, text)
	}
	if g.ask == "" {
		return
	}
	_, _, quotes := r.send(g, "market", g.ask+url.PathEscape("nse_cm|11536,nse_cm|Nifty 50")+"/all", "")
	var rows []map[string]any
	if err := json.Unmarshal(quotes, &rows); err != nil || len(rows) != 2 || rows[0]["exchange_token"] != "11536" || rows[1]["exchange_token"] != "Nifty 50" {
		r.t.Errorf("quotes: %s", quotes)
	}
	if g.name != "3" {
		return
	}
	for path, want := range map[string]string{
		"/market-data/1.0/historical/details?neosymbol=nse_cm%7C11536&interval=D&fromdate=" + r.day(-20) + "&todate=" + r.day(0): `"status":"success"`,
		"/market-data/1.0/watchlist/expiries?exchange=nse_fo&underlying=NIFTY":                                                   `"expiries":["`,
		"/market-data/1.0/watchlist/option-chain?exchange=nse_fo&underlying=NIFTY&count=20":                                      `"call":[{"inst":`,
	} {
		if status, _, text := r.send(g, "market", path, ""); status != http.StatusOK || !bytes.Contains(text, []byte(want)) {
			r.t.Errorf("%s: %d %.300s", path, status, text)
		}
	}
}

func (r *trader) day(n int) string {
	return r.srv.Now().In(time.FixedZone("IST", 19_800)).AddDate(0, 0, n).Format(time.DateOnly)
}
