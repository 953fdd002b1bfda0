package paperapi_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Chains and expiries have the form that the real service was seen to have.
func TestChain_hasTheFormThatWasSeen(t *testing.T) {
	t.Parallel()
	r := login(t)
	ask := func(path string) (int, map[string]any) {
		t.Helper()
		status, o, _ := r.send(gen3, "market", "/market-data/1.0/watchlist/"+path, "")
		return status, o
	}
	_, o := ask("expiries?exchange=nse_fo&underlying=NIFTY")
	expiries := o["expiries"].([]any)
	if o["exchange"] != "nse_fo" || o["underlying"] != "NIFTY" || len(expiries) < 3 || !slices.IsSortedFunc(expiries, func(a, b any) int { return strings.Compare(a.(string), b.(string)) }) {
		t.Errorf("%v", o)
	}
	if status, o := ask("expiries?exchange=nse_fo&underlying=NOTHING"); status != http.StatusOK || len(o["expiries"].([]any)) != 0 {
		t.Errorf("an unknown underlying: %d %v", status, o)
	}
	for _, c := range []struct {
		query  string
		most   int // rows of a side
		expiry any
	}{
		{"", 81, expiries[0]}, {"&count=10", 21, expiries[0]}, {"&count=20&expiry=" + expiries[1].(string), 41, expiries[1]}, {"&instrument_type=option&count=10", 21, expiries[0]},
	} {
		_, o := ask("option-chain?exchange=nse_fo&underlying=NIFTY" + c.query)
		common := o["common_data"].(map[string]any)
		has(t, "common_data", common, nil, []string{"mktLot", "multiplier", "unlSymbol", "exSeg", "expiryDt"})
		if common["expiryDt"] != c.expiry || common["exSeg"] != "nse_fo" || common["unlSymbol"] != "NIFTY" {
			t.Errorf("%s: %v", c.query, common)
		}
		for _, side := range []string{"call", "put"} {
			rows := o[side].([]any)
			if len(rows) > c.most || len(rows) < min(c.most, 41) {
				t.Errorf("%s: %d rows of %s", c.query, len(rows), side)
			}
			row := rows[0].(map[string]any)
			has(t, "inst", row["inst"].(map[string]any), nil, []string{"neoSymbol", "symbol", "strkPrc"})
			has(t, "quote", row["quote"].(map[string]any), nil, []string{"ltp", "o", "h", "l", "c", "pc", "vol"})
			has(t, "oi", row["oi"].(map[string]any), nil, []string{"cur", "prev", "chg"})
		}
	}
	_, o = ask("option-chain?exchange=nse_fo&underlying=NIFTY&instrument_type=fut")
	futures := o["future_contracts"].([]any)
	if len(futures) == 0 || len(o["call"].([]any)) != 0 || len(o["put"].([]any)) != 0 {
		t.Fatalf("%v", o)
	}
	form(t, "future", futures[0].(map[string]any)["inst"].(map[string]any), map[string]string{"exp": `20\d\d-\d\d-\d\d`, "neoSymbol": `nse_fo\|\d+`})
	for _, query := range []string{
		"exchange=nse_cm&underlying=NIFTY", "exchange=cde_fo&underlying=USDINR", "exchange=nse_fo", "exchange=nse_fo&underlying=NOTHING", "underlying=NIFTY",
		"exchange=nse_fo&underlying=NIFTY&count=15", "exchange=nse_fo&underlying=NIFTY&count=0", "exchange=nse_fo&underlying=NIFTY&count=x",
		"exchange=nse_fo&underlying=NIFTY&expiry=2020-01-01", "exchange=nse_fo&underlying=NIFTY&expiry=x", "exchange=nse_fo&underlying=NIFTY&instrument_type=stock",
	} {
		if _, o := ask("option-chain?" + query); o["stCode"] != json.Number("1009") || o["stat"] != "Not_Ok" || o["emsg"] == nil {
			t.Errorf("%s: %v", query, o)
		}
	}
}
