package trade_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/trade"
)

// asked is what a server was asked.
type asked struct{ method, path, form string }

func client(t *testing.T, answer string) (*trade.Client, *[]asked) {
	t.Helper()
	var all []asked
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		all = append(all, asked{r.Method, r.URL.Path, r.PostFormValue("jData")})
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(srv.Close)
	c := must.Get(neoapi.New(neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: "key", Rate: -1}))(t)
	must.Do(t, c.Use(neoapi.Session{Token: "token", SID: "sid", KType: "Trade"}))
	return trade.New(c), &all
}

func TestReports_areAskedForByTheirPaths(t *testing.T) {
	t.Parallel()
	c, all := client(t, `{"stat":"Ok","data":[{"nOrdNo":"1"}]}`)
	var want []asked
	for _, x := range []struct {
		read func() (trade.Report, error)
		want asked
	}{
		{func() (trade.Report, error) { return c.Positions(t.Context()) }, asked{"GET", "/quick/user/positions", ""}},
		{func() (trade.Report, error) { return c.Orders(t.Context()) }, asked{"GET", "/quick/user/orders", ""}},
		{func() (trade.Report, error) { return c.Trades(t.Context()) }, asked{"GET", "/quick/user/trades", ""}},
		{func() (trade.Report, error) { return c.Holdings(t.Context()) }, asked{"GET", "/portfolio/v1/holdings", ""}},
		{func() (trade.Report, error) { return c.Limits(t.Context()) }, asked{"POST", "/quick/user/limits", `{"seg":"ALL","exch":"ALL","prod":"ALL"}`}},
	} {
		rows, err := x.read()
		if want = append(want, x.want); err != nil || len(rows) != 1 || rows[0]["nOrdNo"] != "1" {
			t.Errorf("%v: %v, %v", x.want, rows, err)
		}
	}
	if !reflect.DeepEqual(*all, want) {
		t.Errorf("asked was %v, want %v", *all, want)
	}
}

func TestReport_losesNothing(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]trade.Report{
		`{"stat":"Ok","Net":"7"}`:                              {{"stat": "Ok", "Net": "7"}}, // one row
		`{"stat":"Ok","data":[{"nOrdNo":230120000017243001}]}`: {{"nOrdNo": json.Number("230120000017243001")}},
		`{"stat":"Not_Ok","stCode":5203,"errMsg":"No Data"}`:   nil,
		`{"stat":"Ok","stCode":200,"data":[]}`:                 {},
	} {
		c, _ := client(t, answer)
		if got, err := c.Orders(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %#v, %v", answer, got, err)
		}
	}
}
