package trade

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

func bodyOf(t *testing.T, jData string) map[string]any {
	t.Helper()
	var f map[string]any
	if err := json.Unmarshal([]byte(jData), &f); err != nil {
		t.Fatalf("%s: %v", jData, err)
	}
	return f
}

// Each generation's clients send these fields, and no others.
func TestBody_hasTheFieldsOfTheGeneration(t *testing.T) {
	t.Parallel()
	i := Instrument{Segment: NSE, Token: "1", Symbol: "M&M-EQ"}
	ticket := Buy(i, 5).Market().Product(MIS)
	order := Order{Number: "261130000000001", Segment: NSE, Symbol: "M&M-EQ", Token: "1", Side: SideBuy, Product: MIS, PriceType: Limit, Validity: Day, Price: MustRupees("10"), Quantity: 5}
	for generation, want := range map[int]struct{ place, modify, source string }{
		1: {"am dq es mp pc pf pr pt qt rt tp ts tt ig", "no pr pt qt tp dq vd mp am tk es pc ts tt dd fq", ""},
		2: {"am dq es mp pc pf pr pt qt rt tp ts tt ig os tk sot slt slv sov lat tlt tsv", "no pr pt qt tp dq vd mp am os tk es pc ts tt dd fq", "NEOFINTECH001"},
		3: {"am dq es mp pc pr pt qt rt tp ts tt ig os", "no pr pt qt tp dq vd mp am os", "NEOTRADEAPI"},
	} {
		for text, keys := range map[string]string{ticket.placing("tag", generation): want.place, order.modifying(generation, false): want.modify} {
			f := bodyOf(t, text)
			sorted := strings.Fields(keys)
			slices.Sort(sorted)
			if got := slices.Sorted(maps.Keys(f)); !slices.Equal(got, sorted) {
				t.Errorf("generation %d: %v, want %v", generation, got, sorted)
			}
			if want.source != "" && f["os"] != want.source {
				t.Errorf("generation %d: os is %v", generation, f["os"])
			}
			for name, value := range f {
				if _, text := value.(string); !text && value != nil {
					t.Errorf("generation %d: %s is %v", generation, name, value)
				}
			}
		}
	}
	if f := bodyOf(t, order.modifying(1, true)); f["dd"] != "NA" || f["fq"] != "0" || f["am"] != "YES" {
		t.Errorf("%v", f)
	}
}

// What is absent is "0" in every generation, and prices are the shortest exact decimals.
func TestBody_absentIsZeroAndPricesAreExact(t *testing.T) {
	t.Parallel()
	i := Instrument{Segment: NSE, Symbol: "TCS-EQ"}
	for generation := range 4 {
		ticket := Sell(i, 10).Market().Product(MIS)
		f := bodyOf(t, ticket.placing("tag", generation))
		if f["pr"] != "0" || f["tp"] != "0" || f["dq"] != "0" || f["mp"] != "0" || f["rt"] != "DAY" || f["am"] != "NO" || f["tt"] != "S" || f["pt"] != "MKT" {
			t.Errorf("generation %d: %v", generation, f)
		}
		ticket = ticket.Protection(2)
		if f := bodyOf(t, ticket.placing("tag", generation)); f["mp"] != "2" {
			t.Errorf("generation %d: %v", generation, f)
		}
	}
	for price, want := range map[string]string{
		"100": "100", "100.0": "100", "100.05": "100.05", "100.50": "100.5", "2345.35": "2345.35", "99999.95": "99999.95", "0.0025": "0.0025", "83.1025": "83.1025", "1000": "1000", "0.0000001": "0.0000001",
	} {
		ticket := Sell(i, 10).Limit(MustRupees(price)).Product(MIS)
		if f := bodyOf(t, ticket.placing("tag", 3)); f["pr"] != want || f["tp"] != "0" || f["mp"] != "0" {
			t.Errorf("%s is sent as %v", price, f["pr"])
		}
	}
	quoted := Sell(Instrument{Segment: NSE, Symbol: "A\"\\\nÄ"}, 1).Market()
	if f := bodyOf(t, quoted.placing("tag", 3)); f["ts"] != "A\"\\\nÄ" {
		t.Errorf("%q", f["ts"])
	}
}

// A tag is found as it was sent, as a cancel left it, and not in that of another order.
func TestTag_isRecognised(t *testing.T) {
	t.Parallel()
	for reported, yes := range map[string]bool{
		"leg-1-1130": true, "leg-1-1130-1764497000": true, "leg-1-11301": false, "leg-1-1130-x": false, "leg-1-1130-2": false, "leg-1": false, "": false,
		"leg-1-1130-abcdefgh": false, "xleg-1-1130": false, "1764497000-261130000000001-UCC01-ADMINAPI": false,
	} {
		if carries(reported, "leg-1-1130") != yes {
			t.Errorf("%q: %t", reported, !yes)
		}
	}
	for reported, yes := range map[string]bool{
		"1764497000-261130000000001-UCC01-ADMINAPI": true, "1764497000-261130000000001-UCC01-ADMINAPI-1764497009": true, "1764497000-261130000000001-U-X": true,
		"leg-1-1130": false, "leg-1-1130-1764497000": false, "": false, "1764497000": false, "x-ADMINAPI": false, "UCC01-0b7c2a4e-9d94-4d16-8d43-9a1ff1a0b9b0": false,
	} {
		if replaced(reported, "261130000000001") != yes {
			t.Errorf("%q: %t", reported, !yes)
		}
	}
	if original("leg-1-1130-1764497000") != "leg-1-1130" || original("leg-1-1130") != "leg-1-1130" || carries("x", "") {
		t.Error("an end that is none")
	}
}

// Reports of one order come in any order, and its state never goes back.
func TestMerge_neverGoesBack(t *testing.T) {
	t.Parallel()
	states := []Order{
		{Number: "1", State: Received, Sequence: 1}, {Number: "1", State: Open, Sequence: 2, FilledQty: 0}, {Number: "1", State: Open, Sequence: 3, FilledQty: 4},
		{Number: "1", State: Complete, Sequence: 4, FilledQty: 10},
	}
	for a := range states {
		for b := range states {
			newest := max(a, b)
			got := states[a].Merge(states[b])
			if got.State != states[newest].State || got.FilledQty != states[newest].FilledQty {
				t.Errorf("%d, then %d: %+v", a, b, got)
			}
		}
	}
	for _, final := range []State{Complete, Rejected, Cancelled, AfterMarketCancelled} {
		if got := (Order{State: final, FilledQty: 5}).Merge(Order{State: Open, FilledQty: 6, Sequence: 9}); got.State != final {
			t.Errorf("%s became %s", final, got.State)
		}
	}
}

// BSE reports a symbol without its series, and DAY as EOS.
func TestModify_readsWhatBSEReports(t *testing.T) {
	t.Parallel()
	i := Instrument{Segment: BSE, Token: "532461", Symbol: "PNB-A"}
	ticket := Buy(i, 5).Market().Product(CNC)
	there := Order{Number: "1", Segment: BSE, Token: "532461", Symbol: "PNB", Side: SideBuy, Product: CNC, Validity: "EOS", Tag: "1764497000-1-UCC01-ADMINAPI"}
	if s := (search{tag: "x", ticket: &ticket}); !s.may(&there) {
		t.Error("the order of a symbol without its series is passed over")
	}
	if f := bodyOf(t, there.modifying(3, false)); f["vd"] != "DAY" {
		t.Errorf("sent %v", f["vd"])
	}
}
