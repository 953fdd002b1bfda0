package feed

import (
	"context"
	"testing"
	"time"

	"neoapi/internal/sfeed"
	"neoapi/trade"
)

// Whatever comes, the feed neither panics nor breaks, tells only what is subscribed, and
// goes on with the next good frame.
func FuzzMarketFeed_takesAnyFrame(f *testing.F) {
	index := sfeed.Index{Token: 26000, Value: 5, Name: []byte("Nifty 50")}
	auction := sfeed.Auction{Token: 1000, Reference: 5}
	status := sfeed.Status{Code: sfeed.StatusClose}
	mini := sfeed.Mini{Token: 1000, Last: 5}
	depth := sfeed.Quote{Token: 1001, Buys: rows(sfeed.Row{Qty: 1, Price: 2}, sfeed.Row{Qty: 1, Price: 1}), Sells: rows(sfeed.Row{Qty: 1, Price: 3})}
	h := sfeed.Header{Exchange: 1}
	whole := touch(touch(nil, 0, 1), 1, 2)
	for _, frame := range [][]byte{
		{}, whole, whole[:len(whole)-1], mini.Append(nil, sfeed.Header{Exchange: 1, Level: sfeed.LevelMini}), index.Append(nil, h), auction.Append(nil, h), status.Append(nil, h),
		quoteOf(depth, 1, sfeed.LevelDepth, 1), quoteOf(depth, 1, sfeed.LevelFull, 2), make([]byte, 200), []byte("\xff\xff8\x1c\x01\x04\x00\x00\x00"),
	} {
		f.Add(frame, false)
	}
	for _, text := range []string{
		answer, greeting, `{"message_code":1120}`, `{"message_code":1109,"trading_symbols":{"nse_cm|1000":"X"}}`, `{"message_code":1109}`, `{"format":"native_fallback"}`,
		`{"message_code":"1119","exchanges":{"nse_cm":{"value":1,"divider":-7}}}`, `[]`, `{`, ``, `{"exchanges":7}`,
	} {
		f.Add([]byte(text), true)
	}
	f.Fuzz(func(t *testing.T, frame []byte, text bool) {
		known := map[string]bool{share(0).Key(): true, share(1).Key(): true, "nse_cm|26000": true}
		m, l := offline(t, Quotes(share(0)), Depths(share(1)), Quotes(trade.Instrument{Segment: trade.NSE, Token: "26000", Name: "NIFTY", Kind: trade.IndexKind}),
			OnQuote(func(q *Quote) {
				if !known[q.Instrument.Key()] || q.Level == 0 || q.Received.IsZero() || len(q.Bids) > 5 || len(q.Asks) > 5 {
					t.Errorf("%+v", *q)
				}
			}))
		kind := binaryFrame
		if text {
			kind = textFrame
		}
		for range 2 {
			err := l.frame(kind, frame, time.Now())
			if !text && err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range m.Updates(ctx) {
		}
		l.down(context.Canceled, time.Now())
		l.begin()
		_ = l.frame(textFrame, []byte(answer), time.Now())
		if err := l.frame(binaryFrame, whole, time.Now()); err != nil {
			t.Fatal(err)
		}
		if q, ok := m.Quote(share(0)); !ok || q.Last != rupees("3500.10") {
			t.Errorf("after it: %v %v", ok, q.Last)
		}
	})
}
