package trade_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/internal/tradewire"
	"neoapi/trade"
)

// asked is what a service was asked.
type asked struct{ method, path, fields string }

// scripted returns a client of a service that answers as no real one does, and what it
// was asked.
func scripted(t *testing.T, answer http.HandlerFunc) (*trade.Client, func() []asked) {
	t.Helper()
	var mu sync.Mutex
	var all []asked
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		all = append(all, asked{r.Method, r.URL.EscapedPath(), r.PostFormValue("jData")})
		mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(srv.Close)
	c := must.Get(neoapi.New(neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: "key", Rate: -1}))(t)
	must.Do(t, c.Use(neoapi.Session{Token: "token", SID: "sid", KType: "Trade"}))
	return trade.New(c), func() []asked {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// reports are the calls that return a list, each with how many rows it returned.
func reports(api *trade.Client) map[string]func(context.Context) (int, bool, error) {
	return map[string]func(context.Context) (int, bool, error){
		"orders": func(ctx context.Context) (int, bool, error) {
			all, err := api.Orders(ctx)
			return len(all), all != nil, err
		},
		"history": func(ctx context.Context) (int, bool, error) {
			all, err := api.History(ctx, "1")
			return len(all), all != nil, err
		},
		"trades": func(ctx context.Context) (int, bool, error) {
			all, err := api.Trades(ctx)
			return len(all), all != nil, err
		},
		"positions": func(ctx context.Context) (int, bool, error) {
			all, err := api.Positions(ctx)
			return len(all), all != nil, err
		},
		"holdings": func(ctx context.Context) (int, bool, error) {
			all, err := api.Holdings(ctx)
			return len(all), all != nil, err
		},
	}
}

func TestReports_emptyIsNotAFailureAndNoFailureIsEmpty(t *testing.T) {
	t.Parallel()
	for body, status := range map[string]int{
		`{"stat":"Not_Ok","stCode":5203,"errMsg":"No Data"}`: 200, `{"stat":"Ok","stCode":200,"data":[]}`: 200, `{"data":[]}`: 200, `[]`: 200,
		`{"stat":"Not_Ok","stCode":"5203","emsg":"No Data"}`: 400,
	} {
		api, _ := scripted(t, says(status, body))
		for report, read := range reports(api) {
			if body == "[]" && report == "history" { // asked by POST, whose answer is an object
				continue
			}
			if n, list, err := read(t.Context()); err != nil || n != 0 || !list {
				t.Errorf("%s of %s: %d rows, a list %t, %v", report, body, n, list, err)
			}
		}
	}
	for body, status := range map[string]int{
		``: 200, ` `: 200, `<html><title>Login</title></html>`: 200, `{"stat":"Ok","stCode":200}`: 200, `{"stat":"Ok","data":null}`: 200, `{"stat":"Ok","data":{}}`: 200, `{"stat":"Ok","data":"x"}`: 200,
		`{}`: 200, `null`: 200, `{"stat":"Ok","data":[{"nOrdNo":"1"},null]}`: 200, `{"stat":"Ok","data":["x"]}`: 200, `{"stat":"Ok","data":[{"nOrdNo":"1"}`: 200, `[{]`: 200, `<html>`: 502, `{"stat":"Not_Ok","stCode":1005,"errMsg":"refused"}`: 200,
		`{"stat":"Not_Ok","stCode":100022,"errMsg":"session"}`: 403, `{"error":true,"message":"x"}`: 403, `No Data`: 200, `{"stat":"Not_Ok","errMsg":"No Data"}`: 200,
	} {
		api, _ := scripted(t, says(status, body))
		for report, read := range reports(api) {
			if n, list, err := read(t.Context()); !is[*neoapi.Error](err) || n != 0 || list {
				t.Errorf("%s of %d %s: %d rows, a list %t, %v", report, status, body, n, list, err)
			}
		}
		for name, err := range singles(t, api) {
			if !is[*neoapi.Error](err) {
				t.Errorf("%s of %d %s: %v", name, status, body, err)
			}
		}
	}
}

// singles are the errors of the calls that return one thing.
func singles(t *testing.T, api *trade.Client) map[string]error {
	_, limits := api.Limits(t.Context())
	_, order := api.Order(t.Context(), "2")
	_, margin := api.Margin(t.Context(), trade.Buy(share(), 1).Market().Product(trade.MIS))
	return map[string]error{"limits": limits, "order": order, "margin": margin}
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func TestReports_areAskedForByTheirPaths(t *testing.T) {
	t.Parallel()
	api, all := scripted(t, says(200, `{"stat":"Ok","data":[{"nOrdNo":"1"}]}`))
	for _, x := range []struct {
		read string
		want asked
	}{
		{"positions", asked{"GET", "/portfolio/v2/positions", ""}}, {"orders", asked{"GET", "/quick/user/orders", ""}}, {"trades", asked{"GET", "/quick/user/trades", ""}},
		{"holdings", asked{"GET", "/portfolio/v1/holdings", ""}}, {"history", asked{"POST", "/quick/order/history", `{"nOrdNo":"1"}`}},
	} {
		n, _, err := reports(api)[x.read](t.Context())
		if last := all()[len(all())-1]; err != nil || n != 1 || last != x.want {
			t.Errorf("%s: %d rows, %v, asked %v, want %v", x.read, n, err, last, x.want)
		}
	}
	if o, err := api.Order(t.Context(), "1"); err != nil || o.Number != "1" || all()[len(all())-1].path != "/quick/user/orders/1" {
		t.Errorf("%+v, %v, asked %v", o, err, all())
	}
	if _, err := api.Order(t.Context(), "9/../x"); !errors.Is(err, trade.ErrNotFound) || all()[len(all())-1].path != "/quick/user/orders/9%2F..%2Fx" {
		t.Errorf("%v, asked %v", err, all())
	}
	n := len(all())
	if _, err := api.Order(t.Context(), ""); !errors.Is(err, trade.ErrNotFound) || len(all()) != n {
		t.Errorf("an order without a number: %v", err)
	}
}

// A service without an address says 404: the other one is asked, and from then on alone.
func TestReports_rememberWhatTheServiceLacks(t *testing.T) {
	t.Parallel()
	for path, x := range map[string]struct {
		read func(*trade.Client) error
		old  string
	}{
		tradewire.PathPositionsNew:  {func(api *trade.Client) error { _, err := api.Positions(context.Background()); return err }, tradewire.PathPositions},
		tradewire.PathOrders + "/1": {func(api *trade.Client) error { _, err := api.Order(context.Background(), "1"); return err }, tradewire.PathOrders},
	} {
		api, all := scripted(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == path {
				says(404, `{"error":true,"message":"not found"}`)(w, r)
				return
			}
			says(200, `{"stat":"ok","data":[{"nOrdNo":"1","tok":"1"}]}`)(w, r)
		})
		for range 3 {
			must.Do(t, x.read(api))
		}
		if want := []asked{{"GET", path, ""}, {"GET", x.old, ""}, {"GET", x.old, ""}, {"GET", x.old, ""}}; !reflect.DeepEqual(all(), want) {
			t.Errorf("asked was %v, want %v", all(), want)
		}
		api, all = scripted(t, says(500, `{"stat":"Not_Ok","stCode":1005,"errMsg":"x"}`))
		if err := x.read(api); err == nil || len(all()) != 1 {
			t.Errorf("after a failure that is not 404: %v, asked %v", err, all())
		}
	}
}

func TestReports_surviveWhatNoServiceSends(t *testing.T) {
	t.Parallel()
	endless := func(start, again string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, err := w.Write([]byte(start))
			block := []byte(strings.Repeat(again, 1+(1<<16)/len(again)))
			for n := 0; err == nil && n < 100<<20; n += len(block) {
				_, err = w.Write(block)
			}
		}
	}
	for name, answer := range map[string]http.HandlerFunc{
		"100 MB of rows":    endless(`{"stat":"Ok","data":[`, `{"nOrdNo":"1","qty":1},`),
		"100 MB of nesting": endless(`{"stat":"Ok","data":[`, `[`),
		"100 MB of text":    endless(`{"stat":"Ok","data":[{"nOrdNo":"`, `x`),
		"100 MB of page":    endless(`<html>`, `<p>`),
	} {
		api, _ := scripted(t, answer)
		if all, err := api.Orders(t.Context()); !is[*neoapi.Error](err) || all != nil {
			t.Errorf("%s: %d orders, %v", name, len(all), err)
		}
	}
	api, _ := scripted(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"stat":"Ok","data":[`))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := api.Orders(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a hang: %v", err)
	}
}

func TestLimits_haveNamesThatSayWhatTheyAre(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ body, cash, pledged, used, available string }{
		{`{"stat":"Ok","stCode":200,"Net":"179542.80","CollateralValue":"179542.80","Collateral":"0","MarginUsed":"0","TimeStamp":"1796060873181"}`, "179542.80", "0.00", "0.00", "179542.80"},
		{`{"stat":"Ok","stCode":200,"Net":"402108.10","CollateralValue":"179542.80","Collateral":"222565.50","MarginUsed":"0.20"}`, "179542.80", "222565.50", "0.20", "402108.10"},
	} {
		api, all := scripted(t, says(200, x.body))
		l := must.Get(api.Limits(t.Context()))(t)
		if l.Cash.String() != x.cash || l.Pledged.String() != x.pledged || l.Used.String() != x.used || l.Available.String() != x.available ||
			l.Cash.Add(l.Pledged).Sub(l.Used) != l.Available || l.Unread != "" {
			t.Errorf("%s is %+v", x.body, l)
		}
		if want := (asked{"POST", "/quick/user/limits", `{"seg":"ALL","exch":"ALL","prod":"ALL"}`}); all()[0] != want {
			t.Errorf("asked was %v", all())
		}
	}
	api, _ := scripted(t, says(200, `{"stat":"Not_Ok","stCode":5203,"errMsg":"No Data"}`))
	if _, err := api.Limits(t.Context()); !errors.Is(err, neoapi.ErrBadAnswer) {
		t.Errorf("no limits: %v", err)
	}
}

func TestMargin_ofSeveralIsTheSumOfTheirOwn(t *testing.T) {
	t.Parallel()
	need := "68339.000000"
	api, all := scripted(t, func(w http.ResponseWriter, r *http.Request) {
		says(200, `{"stat":"Ok","stCode":200,"rmsVldtd":"OK","avlCash":"100000.00","avlMrgn":"100000.000000","totMrgnUsd":"68339","mrgnUsd":"0.000000","ordMrgn":"`+need+`","reqdMrgn":"0.000000","insufFund":"0"}`)(w, r)
	})
	i := trade.Instrument{Segment: trade.NFO, Token: "40001", Symbol: "NIFTY26DEC24500CE", Lot: 75}
	one := must.Get(api.Margin(t.Context(), trade.Sell(i, 75).Limit(trade.MustRupees("100.50")).Product(trade.NRML)))(t)
	if one.Need.String() != "68339.00" || !one.Fits || one.Legs != 1 || one.Short.String() != "0.00" || one.Available.String() != "100000.00" || one.Unread != "" {
		t.Errorf("one leg: %+v", one)
	}
	want := `{"brkName":"KOTAK","brnchId":"ONLINE","exSeg":"nse_fo","prc":"100.5","prcTp":"L","prod":"NRML","qty":"75","slAbsOrTks":null,"slVal":null,"sqrOffAbsOrTks":null,"sqrOffVal":null,"tSLTks":null,"tok":"40001","trailSL":null,"trgPrc":null,"trnsTp":"S"}`
	if all()[0] != (asked{"POST", "/quick/user/check-margin", want}) {
		t.Errorf("asked was %v", all())
	}
	both := must.Get(api.Margin(t.Context(), trade.Sell(i, 75).Market().Product(trade.NRML), trade.Buy(i, 75).Stop(trade.MustRupees("99"), trade.MustRupees("99.50")).Product(trade.NRML)))(t)
	if both.Need.String() != "136678.00" || both.Fits || both.Legs != 2 || both.Short.String() != "36678.00" {
		t.Errorf("two legs: %+v", both)
	}
	if !strings.Contains(all()[1].fields, `"prc":"0","prcTp":"MKT"`) || !strings.Contains(all()[2].fields, `"trgPrc":"99","trnsTp":"B"`) {
		t.Errorf("asked was %v", all()[1:])
	}
	good := trade.Buy(i, 75).Market().Product(trade.NRML)
	for name, orders := range map[string][]trade.Ticket{ // what Place would not send is not asked for
		"no orders": nil, "no quantity": {good, trade.Buy(i, 0).Market().Product(trade.NRML)}, "a product of shares": {trade.Sell(i, 75).Market().Product(trade.CNC)},
		"no product": {good.Product("")}, "off the lot": {trade.Buy(i, 70).Market().Product(trade.NRML)},
	} {
		_, err := api.Margin(t.Context(), orders...)
		if bad, ok := errors.AsType[*trade.Invalid](err); !ok || bad.Field == "" || len(all()) != 3 {
			t.Errorf("of %s: %v", name, err)
		}
	}
	if i.Freeze = 76; must.Get(api.Margin(t.Context(), trade.Buy(i, 150).Market().Product(trade.NRML)))(t).Legs != 1 {
		t.Error("of one to be cut")
	}
}
