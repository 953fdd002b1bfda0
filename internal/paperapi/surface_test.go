package paperapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"neoapi/neoapitest"
)

// Keys of reports: those of integers, and those of strings.
var (
	orderInts    = strings.Fields("qty fldQty unFldSz cnlQty dscQty minQty boeSec updRecvTm coPct refLmtPrc")
	orderStrings = strings.Fields(`nOrdNo exOrdId actId usrId GuiOrdId exSeg tok sym trdSym series it trnsTp prod prcTp prc trgPrc avgPrc vldt ordSt stat
		rejRsn ordDtTm exCfmTm ordEntTm hsUpTm uSec expDt optTp stkPrc lotSz tckSz brdLtQty multiplier precision genNum genDen prcNum prcDen ordSrc
		algId rmk ordModNo algCat algSeqNo brkClnt defMktProV dscQtyPct exUsrInfo expDtSsb mktPro mktProPct mktProFlg noMktProFlg mfdBy ordAutSt
		odCrt ordGenTp ordValDt rptTp reqId sipInd symOrdId classification vendorCode locId appInstlId strategyCode`)
	historyStrings = strings.Fields("exch exchTmstp exchOrdId flDtTm ordDur dclQty legOrdInd nReqId scripName")
	tradeInts      = strings.Fields("flLeg fldQty minQty brdLtQty")
	tradeStrings   = strings.Fields("nOrdNo exOrdId flId flDt flTm avgPrc exTm trdSym tok exSeg prod trnsTp prcTp hsUpTm GuiOrdId")
	positionInts   = strings.Fields("brdLtQty updRecvTm")
	positionText   = strings.Fields(`actId exSeg tok trdSym sym prod type optTp stkPrc expDt exp lotSz multiplier precision genNum genDen prcNum prcDen
		cfBuyQty cfSellQty cfBuyAmt cfSellAmt flBuyQty flSellQty buyAmt sellAmt sqrFlg posFlg upldPrc hsUpTm`)
	holdingNumbers = strings.Fields("instrumentToken quantity sellableQuantity averagePrice closingPrice holdingCost mktValue")
	holdingStrings = strings.Fields("symbol displaySymbol exchangeIdentifier exchangeSegment instrumentType scripId")
	limitStrings   = strings.Fields(`stat Category Net MarginUsed CollateralValue Collateral NotionalCash AdhocMargin RealizedMtomPrsnt
		UnrealizedMtomPrsnt MarginUsedPrsnt BoardLotLimit TimeStamp`)
	marginStrings = strings.Fields("avlCash totMrgnUsd mrgnUsd ordMrgn rmsVldtd reqdMrgn avlMrgn insufFund stat")
)

var integer = regexp.MustCompile(`^-?\d+$`)

// has checks that a row has these keys with these types.
func has(t *testing.T, what string, row map[string]any, ints, texts []string) {
	t.Helper()
	for _, key := range ints {
		if n, ok := row[key].(json.Number); !ok || !integer.MatchString(n.String()) {
			t.Errorf("%s: %s is %#v, not an integer", what, key, row[key])
		}
	}
	for _, key := range texts {
		if _, ok := row[key].(string); !ok {
			t.Errorf("%s: %s is %#v, not a string", what, key, row[key])
		}
	}
}

// form checks values against patterns.
func form(t *testing.T, what string, row map[string]any, patterns map[string]string) {
	t.Helper()
	for key, pattern := range patterns {
		if !regexp.MustCompile("^(?:" + pattern + ")$").MatchString(fmt.Sprint(row[key])) {
			t.Errorf("%s: %s is %v, not like %s", what, key, row[key], pattern)
		}
	}
}

const (
	dayAndTime = `\d\d-[A-Z][a-z]{2}-20\d\d \d\d:\d\d:\d\d`
	sortedTime = `20\d\d/\d\d/\d\d \d\d:\d\d:\d\d`
)

func TestReports_haveTheProtocolsKeysAndForms(t *testing.T) {
	t.Parallel()
	r := login(t)
	market := r.srv.Market(t)
	market.SetPrice("nse_cm", "TCS-EQ", "3500.00")
	r.srv.Fund(t, r.srv.Account.UCC, "9000000.00", neoapitest.Holding{Segment: "nse_cm", Symbol: "INFY-EQ", Quantity: 7, AveragePrice: "1400.3333"})
	filled := r.place(limitBuy.with(order{"pr": "3600.00", "pc": "INTRADAY", "ig": "a tag"}))
	resting := r.place(limitBuy)
	rejected := r.place(limitBuy.with(order{"pr": "3400.03"}))
	option := r.option()
	r.place(limitBuy.with(order{"es": "nse_fo", "ts": option.symbol, "pc": "NRML", "pt": "MKT", "pr": "0", "qt": option.lot}))

	rows := r.rows("/quick/user/orders")
	if len(rows) != 4 {
		t.Fatalf("%d orders", len(rows))
	}
	for _, row := range rows {
		o := row.(map[string]any)
		has(t, "order", o, orderInts, orderStrings)
		if o["stat"] != o["ordSt"] || o["algId"] != "99999" || o["ordSrc"] != "ADMINCPPAPI_NEOTRADEAPI" || o["usrId"] != "" {
			t.Errorf("%v", o)
		}
		form(t, "order", o, map[string]string{
			"nOrdNo": `\d{15}`, "ordDtTm": dayAndTime, "ordEntTm": dayAndTime, "exCfmTm": dayAndTime + `|NA`, "hsUpTm": sortedTime,
			"boeSec": `\d{10}`, "updRecvTm": `\d{19}`, "prc": `\d+\.\d\d`, "expDt": `\d\d [A-Z][a-z]{2}, 20\d\d|NA`, "exOrdId": `\d*`,
		})
	}
	one := func(number string) map[string]any {
		_, o, _ := r.send(gen3, "report", "/quick/user/orders/"+number, "")
		return o["data"].([]any)[0].(map[string]any)
	}
	if o := one(filled); o["prod"] != "MIS" || o["GuiOrdId"] != "a tag" || o["avgPrc"] == "0.00" || o["exCfmTm"] == "NA" {
		t.Errorf("%v", o)
	}
	if o := one(resting); o["GuiOrdId"] != o["ordModNo"] || !strings.HasPrefix(o["GuiOrdId"].(string), r.srv.Account.UCC+"-") || o["avgPrc"] != "0.00" || o["unFldSz"] != json.Number("1") {
		t.Errorf("%v", o)
	}
	if o := one(rejected); o["exOrdId"] != "" || o["exCfmTm"] != "NA" || o["unFldSz"] != json.Number("0") || o["cnlQty"] != json.Number("0") {
		t.Errorf("%v", o)
	} else {
		has(t, "rejected order", o, nil, []string{"rejShortDesc", "rejLongDesc", "rejAction"})
	}

	_, history, _ := r.send(gen3, "report", "/quick/order/history", `{"nOrdNo":"`+resting+`"}`)
	if _, nested := history["data"].([]any); !nested {
		t.Fatalf("%v", history)
	}
	for _, row := range history["data"].([]any) {
		has(t, "history", row.(map[string]any), orderInts, append(slices.Clone(orderStrings), historyStrings...))
	}
	_, trades, _ := r.send(gen3, "report", "/quick/user/trades", "")
	if trades["stat"] != "ok" || trades["tid"] == nil || len(trades["data"].([]any)) < 2 {
		t.Fatalf("%v", trades)
	}
	for _, row := range trades["data"].([]any) {
		has(t, "trade", row.(map[string]any), tradeInts, tradeStrings)
		form(t, "trade", row.(map[string]any), map[string]string{
			"flDt": `\d\d-[A-Z][a-z]{2}-20\d\d`, "flTm": `\d\d:\d\d:\d\d`, "exTm": dayAndTime, "hsUpTm": sortedTime, "tok": `\d+`,
		})
		if o := one(row.(map[string]any)["nOrdNo"].(string)); row.(map[string]any)["GuiOrdId"] != o["GuiOrdId"] {
			t.Errorf("the trade has the tag %v, its order %v", row.(map[string]any)["GuiOrdId"], o["GuiOrdId"])
		}
	}
	for path, priced := range map[string]bool{"/quick/user/positions": false, "/portfolio/v2/positions": true} {
		rows := r.rows(path)
		if len(rows) != 2 {
			t.Fatalf("%s: %v", path, rows)
		}
		for _, row := range rows {
			p := row.(map[string]any)
			has(t, "position", p, positionInts, positionText)
			if _, ltp := p["ltp"].(string); ltp != priced {
				t.Errorf("%s: ltp is %v", path, p["ltp"])
			}
			form(t, "position", p, map[string]string{
				"flBuyQty": `\d+`, "cfSellQty": `\d+`, "buyAmt": `\d+\.\d\d`, "hsUpTm": sortedTime, "posFlg": "true", "sqrFlg": "Y", "exp": `\d+|-`,
			})
		}
	}
	holdings := r.rows("/portfolio/v1/holdings")
	h := holdings[0].(map[string]any)
	has(t, "holding", h, nil, holdingStrings)
	for _, key := range holdingNumbers {
		if _, ok := h[key].(json.Number); !ok {
			t.Errorf("holding: %s is %#v, not a number", key, h[key])
		}
	}
	_, limits, _ := r.send(gen3, "report", "/quick/user/limits", `{"seg":"ALL","exch":"ALL","prod":"ALL"}`)
	has(t, "limits", limits, []string{"stCode"}, limitStrings)
	if len(limits) < 80 {
		t.Errorf("limits have %d keys", len(limits))
	}
	_, margin, _ := r.send(gen3, "report", "/quick/user/check-margin", `{"exSeg":"nse_cm","prc":"3500","prcTp":"L","prod":"CNC","qty":"10","tok":"11536","trnsTp":"B","brkName":"KOTAK","brnchId":"ONLINE"}`)
	has(t, "margin", margin, []string{"stCode"}, marginStrings)
	for _, key := range marginStrings[:4] {
		form(t, "margin", margin, map[string]string{key: `-?\d+\.\d{6}`})
	}
}

// A contract of today's master.
type contract struct{ symbol, token, lot string }

// option returns a call near the money of the nearest expiry.
func (r *trader) option() contract {
	r.t.Helper()
	_, o, _ := r.send(gen3, "market", "/market-data/1.0/watchlist/option-chain?exchange=nse_fo&underlying=NIFTY&count=10", "")
	calls := o["call"].([]any)
	inst := calls[len(calls)/2].(map[string]any)["inst"].(map[string]any)
	_, token, _ := strings.Cut(inst["neoSymbol"].(string), "|")
	return contract{inst["symbol"].(string), token, o["common_data"].(map[string]any)["mktLot"].(string)}
}

// Every failure that the protocol lists as ours, by a call without a fault.
func TestFailures_areThoseOfTheProtocol(t *testing.T) {
	t.Parallel()
	r := login(t)
	r.srv.Market(t).SetPrice("nse_cm", "TCS-EQ", "3500.00")
	resting := r.place(limitBuy.with(order{"ig": "used"}))
	gone := r.place(limitBuy)
	r.cancel(gone)
	done := r.place(limitBuy.with(order{"pr": "3600.00"}))
	after := r.place(limitBuy.with(order{"am": "YES"}))
	modify := order{"no": resting, "pr": "3399.00", "pt": "L", "qt": "1", "vd": "DAY", "tp": "0", "dq": "0", "mp": "0", "am": "NO", "os": "NEOTRADEAPI"}
	const modifyPath, cancelPath = "/quick/order/vr/modify", "/quick/order/cancel"
	for name, c := range map[string]struct {
		path string
		o    order
		code int
		text string // of errMsg
	}{
		"tag used":               {placePath, limitBuy.with(order{"ig": "used"}), 32, "error from core"},
		"AMO cancelled as other": {cancelPath, order{"on": after, "am": "NO"}, 14, "error from core"},
		"modify too late":        {modifyPath, modify.with(order{"no": done}), 1021, "order is completed"},
		"cancelled twice":        {cancelPath, order{"on": gone, "am": "NO"}, 1021, "order is completed"},
		"cancel too late":        {cancelPath, order{"on": done, "am": "NO"}, 1021, "order is completed"},
		"exit of none":           {"/quick/order/co/exit", order{"on": "1", "am": "NO"}, 1009, "order number"},
		"foreign number":         {cancelPath, order{"on": "250122000624384", "am": "NO"}, 1009, "order number"},
		"number of text":         {modifyPath, modify.with(order{"no": "x"}), 1009, "order number"},
		"history of none":        {"/quick/order/history", order{"nOrdNo": "1"}, 1009, "(nOrdNo)"},
		"lot":                    {placePath, limitBuy.with(order{"es": "nse_fo", "ts": r.option().symbol, "pc": "NRML"}), 1009, "lotwise"},
		"instrument":             {placePath, limitBuy.with(order{"ts": "NOTHING-EQ"}), 1009, "(ts)"},
		"index":                  {placePath, limitBuy.with(order{"ts": "Nifty 50"}), 1009, "(ts)"},
		"empty price":            {placePath, limitBuy.with(order{"pr": "", "pt": "MKT"}), 1009, "(pr)"},
		"price type SP":          {placePath, limitBuy.with(order{"pt": "SP"}), 1009, "(pt)"},
		"price type 2L":          {placePath, limitBuy.with(order{"pt": "2L"}), 1009, "(pt)"},
		"price type 3L":          {placePath, limitBuy.with(order{"pt": "3L"}), 1009, "(pt)"},
		"validity GTC":           {modifyPath, modify.with(order{"vd": "GTC"}), 1009, "(vd)"},
		"validity EOS":           {modifyPath, modify.with(order{"vd": "EOS"}), 1009, "(vd)"},
		"validity GTD":           {modifyPath, modify.with(order{"vd": "GTD"}), 1009, "(vd)"},
		"protection of half":     {placePath, limitBuy.with(order{"mp": "0.5"}), 1009, "(mp)"},
		"no data":                {"/quick/order/history", order{}, 1009, "order number"},
		"limits of a segment":    {"/quick/user/limits", order{"seg": "nse_cm", "exch": "ALL", "prod": "ALL"}, 1009, "(seg)"},
		"margin without token":   {"/quick/user/check-margin", order{"exSeg": "nse_cm"}, 1009, "(tok)"},
	} {
		status, o := r.post(c.path, c.o)
		if want := map[bool]int{true: 400, false: 200}[c.code == 32]; status != want || o["stCode"] != json.Number(fmt.Sprint(c.code)) || o["errMsg"] != o["emsg"] || !strings.Contains(o["errMsg"].(string), c.text) || strings.EqualFold(o["stat"].(string), "ok") {
			t.Errorf("%s: %d %v; want %d, %s", name, status, o, c.code, c.text)
		}
	}
	if _, o, _ := r.send(gen3, "report", "/portfolio/v1/holdings", ""); o["stCode"] != json.Number("5203") || o["stat"] != "Not_Ok" || o["errMsg"] != "No Data" {
		t.Errorf("no holdings: %v", o)
	}
	for what, body := range map[string]string{"no jData": "x=1", "nothing": "", "no JSON": "jData=%7B", "two": "jData=%7B%7D&jData=%7B%7D", "a list": "jData=%5B%5D", "more": "jData=%7B%7D%7B%7D"} {
		req, err := http.NewRequest(http.MethodPost, r.srv.URL+placePath, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		newest(req.Header, r, "order")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var o map[string]any
		err = json.NewDecoder(resp.Body).Decode(&o)
		_ = resp.Body.Close()
		if err != nil || o["stCode"] != 1007.0 || o["stat"] != "Not_Ok" {
			t.Errorf("%s: %v %v", what, err, o)
		}
	}
	// Money, band, tick, freeze and SL-M make a rejected order.
	for reason, o := range map[string]order{
		"Algo Id":        {"pt": "SL-M", "pr": "0", "tp": "3600.00"},
		"Margin Exceeds": {"qt": "9999"},
		"tick":           {"pr": "3400.03"},
		"ircuit":         {"pr": "100.00"},
		"No Holdings":    {"tt": "S", "pr": "3600.00"},
	} {
		n := r.place(limitBuy.with(o))
		if all := r.orders(); all[len(all)-1].Number != n || all[len(all)-1].State != "rejected" || !strings.Contains(all[len(all)-1].Reason, reason) {
			t.Errorf("%s: %+v", reason, all[len(all)-1])
		}
	}
}

// What cover and bracket orders, generation 1's names of values, and its modification by
// number alone need.
func TestClients_exitCoverAndBracketOrders(t *testing.T) {
	t.Parallel()
	r := login(t)
	r.srv.Market(t).SetPrice("nse_cm", "TCS-EQ", "3500.00")
	gen2, gen1 := generations[2], generations[0]
	const common = `{"am": "NO", "dq": "0", "es": "nse_cm", "mp": "0", "pf": "N", "pr": "3600", "qt": "2", "rt": "DAY", "ts": "TCS-EQ", "tt": "Buy", "ig": null, `
	for _, c := range []struct {
		product, more, path string
		legs                int
		g                   generation
	}{
		{"CO", `"pt": "L", "tp": "3300", "tk": null, "sot": null, "slt": null, "slv": null, "sov": null, "lat": null, "tlt": null, "tsv": null, "os": "NEOFINTECH001"}`, "/quick/order/co/exit", 1, gen2},
		{"BO", `"pt": "Limit", "tp": "0", "tk": "11536", "sot": "Absolute", "slt": "Absolute", "slv": "50", "sov": "60", "lat": "3500", "tlt": "N", "tsv": "0", "os": "NEOFINTECH001"}`, "/quick/order/bo/exit", 2, gen2},
		{"Bracket Order", `"pt": "MARKET", "tp": "0"}`, "/quick/order/bo/exit", 0, gen1},
	} {
		before := len(r.orders())
		body := strings.Replace(common, `"am"`, `"pc": "`+c.product+`", "am"`, 1) + c.more
		if c.g.name == "1 UAT" {
			body = strings.Replace(body, `"pr": "3600"`, `"pr": "0"`, 1)
		}
		n := r.ok(c.g, "order", c.g.orders+placePath, body)["nOrdNo"].(string)
		row := r.ok(gen3, "report", "/quick/user/orders/"+n, "")["data"].([]any)[0].(map[string]any)
		if want := map[string]string{"CO": "CO"}[c.product]; row["prod"] != want && row["prod"] != "BO" || row["ordSt"] != "complete" {
			t.Errorf("%s: %v", c.product, row)
		}
		if open := r.open(); len(open) != c.legs {
			t.Errorf("%s: %d legs: %+v", c.product, len(open), open)
		}
		r.ok(c.g, "order", c.g.orders+c.path, `{"on": "`+n+`", "am": "NO"}`)
		if open := r.open(); len(open) != 0 {
			t.Errorf("%s: after its exit: %+v", c.product, open)
		}
		if all := r.orders(); all[len(all)-1].Side != "S" || all[len(all)-1].State != "complete" || len(all) < before+2 {
			t.Errorf("%s: it was not closed: %+v", c.product, all[before:])
		}
		if _, o, _ := r.send(c.g, "order", c.g.orders+c.path, `{"on": "`+n+`", "am": "NO"}`); o["stCode"] != json.Number("1021") {
			t.Errorf("%s: a second exit: %v", c.product, o)
		}
	}
	for _, p := range r.srv.Positions(t, r.srv.Account.UCC) {
		if p.Net != 0 {
			t.Errorf("a position is left: %+v", p)
		}
	}
}

// open returns the orders that are not final.
func (r *trader) open() (open []neoapitest.Order) {
	for _, o := range r.orders() {
		if !slices.Contains([]string{"complete", "rejected", "cancelled"}, o.State) {
			open = append(open, o)
		}
	}
	return open
}

// The types of quotes have their keys, and what is no instrument is an error object.
func TestQuotes_haveTheKeysOfTheirType(t *testing.T) {
	t.Parallel()
	r := login(t)
	ask := func(path string) (int, []byte) {
		status, _, body := r.send(gen3, "market", gen3.ask+path, "")
		return status, body
	}
	const depth = "depth"
	head := []string{"display_symbol", "exchange", "exchange_token"}
	keys := map[string][]string{
		"all": strings.Fields(`ltp lstup_time last_traded_quantity total_buy total_sell last_volume avg_cost open_int change per_change low_price_range
			high_price_range year_high year_low ohlc depth`),
		"depth": {depth}, "market_depth": {depth}, "ohlc": {"ohlc"}, "ltp": {"ltp"}, "oi": {"open_int", "oi_high", "oi_las", "oi_low"},
		"52W": {"year_high", "year_low"}, "52w": {"year_high", "year_low"}, "circuit_limits": {"low_price_range", "high_price_range"},
	}
	keys[""] = keys["all"]
	for kind, want := range keys {
		path := "nse_cm|11536"
		if kind != "" {
			path += "/" + kind
		}
		status, body := ask(path)
		var rows []map[string]any
		if err := json.Unmarshal(body, &rows); err != nil || status != http.StatusOK || len(rows) != 1 {
			t.Errorf("%s: %d %v %s", kind, status, err, body)
			continue
		}
		var got []string
		for key, value := range rows[0] {
			got = append(got, key)
			if _, nested := value.(map[string]any); !nested {
				if _, ok := value.(string); !ok {
					t.Errorf("%s: %s is %v", kind, key, value)
				}
			}
		}
		all := append(slices.Clone(head), want...)
		slices.Sort(all)
		slices.Sort(got)
		if !slices.Equal(got, all) {
			t.Errorf("%s has %q, want %q", kind, got, all)
		}
	}
	for path, n := range map[string]int{
		"nse_cm%7C11536%2Cnse_cm%7CNifty%2050/ltp":            2,
		"nse_cm|26000/ltp":                                    1,
		"bse_cm|SENSEX/all":                                   1,
		strings.Repeat("nse_cm|11536,", 48) + "nse_cm|x/ohlc": -1,
		strings.Repeat("nse_cm|11536,", 48) + "nse_cm|11536/": 49,
		"nse_cm|11536/other":                                  -1,
		"nse_cm|99999999":                                     -1,
		"nse_cm|nifty 50":                                     -1,
		"11536":                                               -1,
	} {
		status, body := ask(strings.ReplaceAll(path, " ", "%20"))
		var rows []map[string]any
		var failed map[string]any
		switch {
		case n < 0:
			if json.Unmarshal(body, &failed) != nil || failed["stCode"] != 1009.0 || failed["emsg"] == nil || failed["stat"] != "Not_Ok" {
				t.Errorf("%s: %d %s", path, status, body)
			}
		case json.Unmarshal(body, &rows) != nil || len(rows) != n:
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	status, body := ask(strings.Repeat("nse_cm|11536,", 49) + "nse_cm|11536/ltp")
	if status != http.StatusBadRequest || !bytes.Contains(body, []byte(`"message":"Please set the Neo symbol max value to 50."`)) {
		t.Errorf("50 instruments: %d %s", status, body)
	}
}

// The failures of candles, and what is none.
func TestCandles_sayWhatIsWrong(t *testing.T) {
	t.Parallel()
	r := login(t)
	today := r.srv.Now().In(time.FixedZone("IST", 19_800))
	day := func(n int) string { return today.AddDate(0, 0, n).Format(time.DateOnly) }
	good := url.Values{"neosymbol": {"nse_cm|11536"}, "interval": {"D"}, "fromdate": {day(-7)}, "todate": {day(0)}}
	for name, c := range map[string]struct {
		change url.Values
		want   string // "" for success
	}{
		"good":                  {nil, ""},
		"index by name":         {url.Values{"neosymbol": {"nse_cm|Nifty 50"}}, ""},
		"index by token":        {url.Values{"neosymbol": {"nse_cm|26000"}}, ""},
		"the other VIX":         {url.Values{"neosymbol": {"nse_cm|INDIA VIX"}}, ""},
		"one day":               {url.Values{"fromdate": {day(0)}, "interval": {"1min"}}, ""},
		"the longest span":      {url.Values{"fromdate": {day(-30)}, "interval": {"5min"}}, ""},
		"too long a span":       {url.Values{"fromdate": {day(-31)}, "interval": {"5min"}}, "30 days"},
		"weeks":                 {url.Values{"fromdate": {day(-180)}, "interval": {"W"}}, ""},
		"no instrument":         {url.Values{"neosymbol": {"nse_cm|x"}}, "Invalid neosymbol"},
		"two":                   {url.Values{"neosymbol": {"nse_cm|11536", "nse_cm|11536"}}, "Invalid neosymbol"},
		"commodities":           {url.Values{"neosymbol": {"mcx_fo|1"}}, "Invalid neosymbol"},
		"interval":              {url.Values{"interval": {"2min"}}, "Invalid interval"},
		"interval in lower":     {url.Values{"interval": {"d"}}, "Invalid interval"},
		"a date of another":     {url.Values{"fromdate": {"01-09-2026"}}, "Invalid fromdate"},
		"a date there is not":   {url.Values{"todate": {"2026-02-30"}}, "Invalid todate"},
		"the wrong way round":   {url.Values{"fromdate": {day(0)}, "todate": {day(-7)}}, "Invalid todate"},
		"missing":               {url.Values{"todate": nil}, "Invalid todate"},
		"a range without a bar": {url.Values{"fromdate": {day(2)}, "todate": {day(5)}}, "No data found"},
		"long ago":              {url.Values{"fromdate": {"0001-01-01"}, "todate": {"0001-03-01"}}, "No data found"},
		"far away":              {url.Values{"fromdate": {"9999-10-01"}, "todate": {"9999-12-31"}}, "No data found"},
	} {
		q := url.Values{}
		for key, value := range good {
			if q[key] = value; c.change != nil && (c.change[key] != nil || c.change.Has(key)) {
				q[key] = c.change[key]
			}
		}
		status, o, body := r.send(gen3, "market", "/market-data/1.0/historical/details?"+q.Encode(), "")
		if c.want == "" {
			candles, _ := o["data"].(map[string]any)["candles"].([]any)
			if status != http.StatusOK || o["status"] != "success" || o["interval"] != q.Get("interval") || len(candles) == 0 || len(candles[0].([]any)) != 7 {
				t.Errorf("%s: %d %.300s", name, status, body)
			}
			continue
		}
		fault, _ := o["fault"].(map[string]any) // nil for a success
		if status != http.StatusBadRequest || o["status"] != "ERROR" || fault["code"] != json.Number("400") || !strings.Contains(fmt.Sprint(fault["message"]), c.want) {
			t.Errorf("%s: %d %s; want %s", name, status, body, c.want)
		}
	}
}
