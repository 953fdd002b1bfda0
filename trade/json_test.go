package trade

import (
	"encoding/json"
	"testing"
	"time"
)

func TestJSON_everyTypeIsTheSameAgain(t *testing.T) {
	t.Parallel()
	at := time.Date(2031, 3, 3, 14, 0, 0, 123456789, IST)
	price, none := MustRupees("3500.0000001"), Rupees{}
	i := Instrument{Segment: MCX, Token: "1", Symbol: "X", Kind: Call, Expiry: Date{2026, time.December, 29}, Strike: price, Tick: none, Lot: 1250, GenDen: 10}
	again(t, []Instrument{{}, i})
	again(t, []Order{{}, {Number: "1", Price: price, Trigger: MustRupees("0"), Sent: at, Entered: at, Confirmed: at, Updated: at, Sequence: at.UnixNano(), State: "strange", Raw: `{"a":"<\u0000>"}`}})
	again(t, []Trade{{}, {ID: "1", At: at, Price: price}})
	again(t, []Position{{}, {Instrument: i, Net: -5, AvgPrice: Average{price, 5, 2}, Updated: at, Last: price}})
	again(t, []Holding{{}, {Quantity: 1, Cost: price}})
	again(t, []Limits{{}, {Cash: price, At: at}})
	again(t, []Margin{{}, {Need: price, Fits: true, Legs: 2}})
	again(t, []Quote{{}, {Last: price, At: at, Received: at, Bids: []Level{{price, 1, 2}}}})
	again(t, []Candle{{}, {Start: at, Open: price, Running: true}})
	again(t, []Average{{}, {price, 1, 2}})
	again(t, []Date{{}, {2026, time.February, 3}})
	again(t, []Rupees{none, price, price.Neg(), MustRupees("0")})

	var d Date
	if text, err := json.Marshal(Date{2026, time.February, 3}); err != nil || string(text) != `"2026-02-03"` || d.UnmarshalText([]byte("2026-02-30")) == nil || !d.IsZero() {
		t.Errorf("a date is %s, %v", text, err)
	}
}
