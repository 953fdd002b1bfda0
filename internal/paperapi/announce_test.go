package paperapi_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neoapi/internal/must"
	"neoapi/internal/paper"
	"neoapi/internal/paper/listing"
	"neoapi/internal/paperapi"
)

func TestControl_announcesWhatMarketsAndAuctionsDo(t *testing.T) {
	t.Parallel()
	api := paperapi.New(paperapi.Config{Now: time.Now, Market: paper.Config{Seed: 1, Start: time.Now()}})
	must.Do(t, api.Open("", false, func(string) {}))
	var said []paperapi.Announcement
	api.Announcements(func(a paperapi.Announcement) { said = append(said, a) })
	control := func(fields map[string]any) error {
		_, err := api.Control(paperapi.Control{Method: "POST", Path: "/sandbox/market", Fields: fields})
		return err
	}
	must.Do(t, control(map[string]any{"set": "status", "segment": "mcx_fo", "status": "2"}))
	must.Do(t, control(map[string]any{"set": "status", "segment": "nse_cm", "status": int64(10), "text": "CAS"}))
	must.Do(t, control(map[string]any{"set": "auction", "segment": "nse_cm", "symbol": "TCS-EQ", "price": "3500.10", "imbalance": "-5", "imbalanceAtMarket": int64(7)}))
	must.Do(t, control(map[string]any{"set": "auction", "segment": "nse_cm", "token": "11536"}))
	must.Get(api.Control(paperapi.Control{Method: "DELETE", Path: "/sandbox/state"}))(t)
	if len(said) != 5 || said[2].Instrument == nil || said[2].Instrument.Name != "TCS-EQ" || said[3].Instrument != nil && said[3].Instrument.Name != "TCS-EQ" {
		t.Fatalf("%+v", said)
	}
	said[2].Instrument, said[3].Instrument = nil, nil
	want := []paperapi.Announcement{
		{Segment: listing.MCX, Status: 2}, {Segment: listing.NSE, Status: 10, Text: "CAS"},
		{Segment: listing.NSE, Reference: 35_001_000, Imbalance: -5, ImbalanceAtMarket: 7}, {Segment: listing.NSE}, {Reset: true},
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
	said = nil
	for field, fields := range map[string]map[string]any{
		"status":    {"set": "status", "segment": "nse_cm", "status": "13"},
		"segment":   {"set": "status", "segment": "nse", "status": "1"},
		"text":      {"set": "status", "segment": "nse_cm", "status": "1", "text": "longer"},
		"symbol":    {"set": "status", "segment": "nse_cm", "status": "1", "symbol": "TCS-EQ"},
		"price":     {"set": "auction", "segment": "nse_cm", "symbol": "TCS-EQ", "price": "0"},
		"imbalance": {"set": "auction", "segment": "nse_cm", "symbol": "TCS-EQ", "imbalance": "many"},
		"quantity":  {"set": "auction", "segment": "nse_cm", "symbol": "TCS-EQ", "quantity": "1"},
		"token":     {"set": "auction", "segment": "nse_cm", "token": "4000000000"},
	} {
		var wrong *paperapi.ControlError
		if err := control(fields); !errors.As(err, &wrong) || wrong.Field != field {
			t.Errorf("%v: %v", fields, err)
		}
	}
	var wrong *paperapi.ControlError
	if err := control(map[string]any{"set": "auction", "segment": "nse_cm", "symbol": "Nifty 50", "price": "1"}); !errors.As(err, &wrong) || wrong.Field != "segment" {
		t.Errorf("an index: %v", err)
	}
	if len(said) > 0 {
		t.Errorf("what is wrong was announced: %+v", said)
	}
}

func TestFollow_givesEachFollowerWhatComesAfterItBegan(t *testing.T) {
	t.Parallel()
	api := paperapi.New(paperapi.Config{Now: time.Now, Market: paper.Config{Seed: 1, Start: time.Now(), Funds: 10_000_000 * listing.Rupee}})
	must.Do(t, api.Open("", false, func(string) {}))
	buy := func() {
		api.Exchange(func(x *paper.Exchange, now time.Time) {
			i, _ := x.Listing(now).Named(listing.NSE, "TCS-EQ")
			if _, refusal := x.Place(now, paper.Place{Account: "A", Instrument: i.Key, Side: paper.Buy, Type: paper.Market, Product: paper.CNC, Validity: paper.Day, Quantity: 1}); refusal != nil {
				t.Error(refusal)
			}
		})
	}
	count := func(n *int) func([]byte) { return func([]byte) { *n++ } }
	var first, second, other int
	buy() // nobody follows yet
	a := api.Follow("A", count(&first))
	defer api.Follow("B", count(&other)).Stop()
	buy()
	each := first
	b := api.Follow("A", count(&second))
	buy()
	a.Stop()
	buy()
	if each == 0 || first != 2*each || second != 2*each || other != 0 {
		t.Errorf("%d, %d and %d frames, where an order makes %d", first, second, other, each)
	}
	states := 0
	must.Do(t, b.State(func([]byte) error { states++; return nil }))
	if states != 3 { // two orders and a position
		t.Errorf("%d frames of what there was", states)
	}
	b.Stop()
	buy()
	if second != 2*each {
		t.Error("a frame came after the end")
	}
}
