package trade_test

import (
	"strings"
	"testing"

	"neoapi/trade"
)

// An order has ended in four states, and in none that nobody knows.
func TestState_isFinalInFourAlone(t *testing.T) {
	t.Parallel()
	final := []trade.State{trade.Complete, trade.Rejected, trade.Cancelled, trade.AfterMarketCancelled}
	for _, s := range final {
		if !s.Final() {
			t.Errorf("%s is not final", s)
		}
	}
	for _, s := range []trade.State{"", trade.Received, trade.Validating, trade.OpenPending, trade.Open, trade.TriggerPending, trade.ModifyValidating, trade.ModifyPending, trade.Modified,
		trade.NotModified, trade.CancelPending, trade.NotCancelled, trade.AfterMarket, trade.AfterMarketModified, "partially filled", "frozen", "COMPLETE", "complete "} {
		if s.Final() {
			t.Errorf("%q is final", s)
		}
	}
}

// A segment is the same by all its names, and no other.
func TestSegment_isTheSameByAnyName(t *testing.T) {
	t.Parallel()
	for want, names := range map[trade.Segment][]string{
		trade.NSE: {"NSE", "nse_cm", "NSE_EQ", "nse-eq", " nse "}, trade.BSE: {"BSE", "bse_cm", "BSE_EQ"}, trade.NFO: {"NFO", "nse_fo"}, trade.BFO: {"BFO", "bse_fo"},
		trade.MCX: {"MCX", "mcx_fo"}, trade.CDS: {"CDS", "cde_fo"},
	} {
		for _, name := range names {
			if got, err := trade.ParseSegment(name); err != nil || got != want {
				t.Errorf("%s: %s, %v", name, got, err)
			}
		}
	}
	for _, name := range []string{"", "nse_fo2", "NASDAQ", "nse_com", strings.Repeat("n", 1000)} {
		if got, err := trade.ParseSegment(name); err == nil || got != "" || len(err.Error()) > 200 {
			t.Errorf("%.20s: %s, %v", name, got, err)
		}
	}
}
