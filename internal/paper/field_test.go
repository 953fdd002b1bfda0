package paper

import (
	"strings"
	"testing"
	"time"

	"neoapi/internal/paper/listing"
)

// bare is an exchange where only accounts and what is printed by hand trade.
func bare(t testing.TB) (*desk, *listing.Instrument) {
	d := newDesk(t, Config{Seed: 1, NoHouse: true})
	i := d.share()
	d.set(i, "10.00")
	return d, i
}

func TestPlace_marketOrderWalksTheBook(t *testing.T) {
	d, i := bare(t)
	d.set(i, "10.10")
	d.place("S1", i, "sell 100 @ 10.10")
	d.place("S2", i, "sell 100 @ 10.15")
	n := d.place("B", i, "buy 150")
	equal(t, "fills", d.fills("B", n), "100 @ 10.10, 50 @ 10.15")
	o := d.last("B", n)
	equal(t, "amount", o.FilledAmount.String(), "1517.50")
	equal(t, "state", o.State, Complete)
	equal(t, "type", o.Type, Limit)
	equal(t, "history", d.states("B", n), "put order req received, validation pending, open pending, open, open 100, complete")
	h := d.history("B", n)
	for k, want := range []PriceType{Market, Market, Limit, Limit} {
		equal(t, "price type of a row", h[k].Type, want)
	}
	equal(t, "price of the first row", h[0].Price, 0)
	equal(t, "protected price, 2 % below 100", h[2].Price.String(), "10.30")
}

func TestPlace_restOfAMarketOrderRests(t *testing.T) {
	d, i := bare(t)
	d.place("S", i, "sell 65 @ 10.00")
	n := d.place("B", i, "buy 100")
	o := d.last("B", n)
	equal(t, "state", o.State, Open)
	equal(t, "type", o.Type, Limit)
	equal(t, "price", o.Price.String(), "10.20")
	equal(t, "filled", o.Filled, 65)
}

func TestStop_staysTriggered(t *testing.T) {
	d, i := bare(t)
	n := d.place("B", i, "buy 10 @ 10.20 trigger 10.10")
	equal(t, "before", d.states("B", n), "put order req received, validation pending, open pending, trigger pending")
	d.print(i, "10.05", 5)
	equal(t, "below the trigger", d.last("B", n).State, TriggerPending)
	d.print(i, "10.25", 5)
	equal(t, "after", d.last("B", n).State, Open)
	d.print(i, "10.30", 5)
	equal(t, "after the price went back", d.last("B", n).State, Open)
	d.print(i, "10.15", 5)
	equal(t, "traded through", d.fills("B", n), "10 @ 10.20")
}

func TestStop_onTheWrongSideFiresAtOnce(t *testing.T) {
	d, i := bare(t)
	n := d.place("B", i, "buy 10 @ 10.00 trigger 9.90")
	equal(t, "history", d.states("B", n), "put order req received, validation pending, open pending, trigger pending, open")
	n = d.place("B", i, "sell 10 @ 9.75 trigger 9.80")
	equal(t, "history", d.states("B", n), "put order req received, validation pending, open pending, trigger pending")
	n = d.place("B", i, "sell 10 @ 10.30 trigger 10.40")
	equal(t, "history", d.states("B", n), "put order req received, validation pending, open pending, trigger pending, open")
}

func TestStop_cascadesOneByOne(t *testing.T) {
	d, i := bare(t)
	d.place("M", i, "buy 10 @ 9.95")
	d.place("M", i, "buy 10 @ 9.90")
	d.place("M", i, "buy 10 @ 9.85")
	late := d.place("A", i, "sell 10 @ 9.80 trigger 9.90")
	early := d.place("B", i, "sell 10 @ 9.80 trigger 9.95")
	d.place("C", i, "sell 10 @ 9.95")
	equal(t, "the first to be triggered", d.fills("B", early), "10 @ 9.90")
	equal(t, "triggered by its trade", d.fills("A", late), "10 @ 9.85")
}

func TestBook_limitFillsThroughTheQueueOnly(t *testing.T) {
	d := newDesk(t, Config{Seed: 1})
	i := d.share()
	d.set(i, "100.00")
	q, _ := d.x.Quote(d.now, i.Key)
	bid := q.Bids[0]
	n, r := d.x.Place(d.now, Place{Account: "B", Instrument: i.Key, Side: Buy, Type: Limit, Product: MIS, Validity: Day, Price: bid.Price, Quantity: 100})
	if r != nil {
		t.Fatal(r)
	}
	d.x.Print(d.now, i.Key, bid.Price, bid.Quantity)
	equal(t, "filled when the queue ahead has traded", d.last("B", n).Filled, 0)
	d.x.Print(d.now, i.Key, bid.Price, 30)
	equal(t, "filled of what printed beyond it", d.last("B", n).Filled, 30)
	d.x.Print(d.now, i.Key, bid.Price-i.Tick, 1)
	equal(t, "filled when it traded below", d.last("B", n).State, Complete)
	for _, tr := range d.x.Trades(d.now, "B") {
		equal(t, "price", tr.Price, bid.Price)
	}
}

func TestBook_timeDecidesAtAPrice(t *testing.T) {
	d, i := bare(t)
	first := d.place("A", i, "buy 100 @ 10.00")
	second := d.place("B", i, "buy 100 @ 10.00")
	other := d.place("C", i, "buy 100 @ 9.90")
	d.x.Cancel(d.now, "C", other, false)
	d.place("S", i, "sell 100 @ 10.00")
	equal(t, "first", d.last("A", first).Filled, 100)
	equal(t, "second", d.last("B", second).Filled, 0)
}

func TestPlace_limitBeyondTheMarketFillsAtTheMarket(t *testing.T) {
	d, i := bare(t)
	d.set(i, "211.00")
	d.place("S", i, "sell 100 @ 211.00")
	n := d.place("B", i, "buy 100 @ 230.00")
	equal(t, "fills", d.fills("B", n), "100 @ 211.00")
	q, _ := d.x.Quote(d.now, i.Key)
	if q.High < rupees("211.00") || q.Low > rupees("211.00") {
		t.Errorf("the fill at 211.00 is not in the day's range %s to %s", q.Low, q.High)
	}
}

func TestPosition_flipIsExact(t *testing.T) {
	d, i := bare(t)
	d.set(i, "50.00")
	d.place("A", i, "sell 100 @ 50.00")
	d.place("M", i, "buy 100 @ 50.00")
	d.set(i, "40.00")
	d.place("M", i, "sell 150 @ 40.00")
	d.place("A", i, "buy 150 @ 40.00")
	l := d.x.Limits(d.now, "A")
	equal(t, "realized", l.Realized.String(), "1000.00")
	equal(t, "net", d.net("A", i, MIS), 50)
	equal(t, "unrealized", l.Unrealized.String(), "0.00")
}

func TestRoll_settlesOptionsAtIntrinsicValue(t *testing.T) {
	d := newDesk(t, Config{Seed: 1, NoHouse: true, Funds: 100_000_000 * listing.Rupee})
	call := d.contract(listing.NSEDeriv, listing.Call)
	d.x.Run(call.Expiry.Start().Add(10 * time.Hour)) // its last day
	d.now = call.Expiry.Start().Add(10 * time.Hour)
	call, _ = d.x.Listing(d.now).Find(call.Key)
	spot := call.Strike + rupees("12.40")
	spot = call.Underlying.Nearest(spot)
	if r := d.x.SetPrice(d.now, call.Underlying.Key, spot); r != nil {
		t.Fatal(r)
	}
	q, _ := d.x.Quote(d.now, call.Key)
	buy := Place{Account: "A", Instrument: call.Key, Side: Buy, Type: Limit, Product: NRML, Validity: Day, Price: q.Last, Quantity: call.Lot}
	sell := buy
	sell.Account, sell.Side = "B", Sell
	rest := buy
	rest.Price -= call.Tick
	var numbers []Number
	for _, p := range []Place{sell, buy, rest} {
		n, r := d.x.Place(d.now, p)
		if r != nil {
			t.Fatal(r)
		}
		numbers = append(numbers, n)
	}
	equal(t, "bought", d.net("A", call, NRML), call.Lot)
	before := d.x.Limits(d.now, "A").Cash
	d.x.Events()
	d.now = call.Expiry.Add(1).Start().Add(time.Hour)
	d.x.Run(d.now)
	equal(t, "gone", len(d.x.Positions(d.now, "A")), 0)
	want := before - call.Amount(q.Last, call.Lot) + call.Amount(spot-call.Strike, call.Lot)
	equal(t, "cash", d.x.Limits(d.now, "A").Cash, want)
	var ended bool
	for _, e := range d.x.Events() {
		ended = ended || e.Order != nil && e.Order.Number == numbers[2] && e.Order.State == Cancelled && e.Order.Remark != ""
	}
	equal(t, "the resting order was cancelled by the exchange", ended, true)
	if _, r := d.x.History(d.now, "A", numbers[2]); r == nil {
		t.Error("the order of an earlier day is still there")
	}
}

func TestPlace_sameTokenInTwoSegmentsIsTwoInstruments(t *testing.T) {
	d := newDesk(t, Config{Seed: 1, NoHouse: true})
	tokens := map[uint32]*listing.Instrument{}
	var a, b *listing.Instrument
	for _, i := range d.x.Listing(d.now).Instruments() {
		if i.Kind == listing.Index {
			continue
		}
		if other, ok := tokens[i.Token]; ok {
			a, b = other, i
			break
		}
		tokens[i.Token] = i
	}
	if a == nil {
		t.Fatal("no token is listed in two segments")
	}
	qa, _ := d.x.Quote(d.now, a.Key)
	qb, _ := d.x.Quote(d.now, b.Key)
	p := Place{Account: "A", Instrument: a.Key, Side: Buy, Type: Limit, Product: MIS, Validity: Day, Price: qa.Last, Quantity: a.Lot}
	if n, r := d.x.Place(d.now, p); r != nil || d.last("A", n).State != Open {
		t.Fatal(r, n)
	}
	p = Place{Account: "B", Instrument: b.Key, Side: Sell, Type: Limit, Product: MIS, Validity: Day, Price: qb.Last, Quantity: b.Lot}
	if n, r := d.x.Place(d.now, p); r != nil || d.last("B", n).State != Open {
		t.Fatal(r, d.last("B", n).Reason)
	}
	equal(t, "trades", len(d.x.Trades(d.now, "A"))+len(d.x.Trades(d.now, "B")), 0)
}

func TestMargin_closingNeedsNone(t *testing.T) {
	d, i := bare(t)
	d.set(i, "100.00")
	if r := d.x.Fund(d.now, "A", rupees("2000.00"), nil); r != nil {
		t.Fatal(r)
	}
	d.place("M", i, "buy 1000 @ 100.00")
	n := d.place("A", i, "sell 100 @ 100.00")
	equal(t, "sold short", d.fills("A", n), "100 @ 100.00")
	d.place("N", i, "sell 100 @ 100.05")
	n = d.place("A", i, "buy 100 @ 100.05")
	equal(t, "bought back", d.last("A", n).State, Complete)
	need, r := d.x.Margin(d.now, orderOf("C", i, "buy 100 @ 100.00"))
	if r != nil {
		t.Fatal(r)
	}
	if r := d.x.Fund(d.now, "C", need.Order, nil); r != nil {
		t.Fatal(r)
	}
	if r := d.x.Fund(d.now, "D", need.Order-listing.Rupee/100, nil); r != nil {
		t.Fatal(r)
	}
	equal(t, "what margin says fits is accepted", d.last("C", d.place("C", i, "buy 100 @ 100.00")).State, Open)
	o := d.last("D", d.place("D", i, "buy 100 @ 100.00"))
	equal(t, "a paisa less is not", o.State, Rejected)
	if !strings.HasPrefix(o.Reason, "RMS:Margin Exceeds,Cash Available:") {
		t.Error(o.Reason)
	}
}

func TestPlace_freezeFigureIsTheFirstRefused(t *testing.T) {
	d := newDesk(t, Config{Seed: 1, NoHouse: true, Funds: 1_000_000_000 * listing.Rupee})
	for _, i := range d.x.Listing(d.now).Instruments() {
		if i.MaxOrder == 0 || i.Kind != listing.Future || i.Segment != listing.NSEDeriv {
			continue
		}
		q, _ := d.x.Quote(d.now, i.Key)
		largest := i.MaxOrder / i.Lot * i.Lot
		p := Place{Account: "A", Instrument: i.Key, Side: Buy, Type: Limit, Product: NRML, Validity: Day, Price: i.Floor(q.Last), Quantity: largest}
		n, r := d.x.Place(d.now, p)
		if r != nil {
			t.Fatal(r)
		}
		if o := d.last("A", n); o.State != Open {
			t.Errorf("%s: %d of at most %d: %s", i.Name, largest, i.MaxOrder, o.Reason)
		}
		p.Quantity += i.Lot
		n, _ = d.x.Place(d.now, p)
		if o := d.last("A", n); o.State != Rejected || !strings.Contains(o.Reason, "freeze") {
			t.Errorf("%s: %d of at most %d: %s %s", i.Name, p.Quantity, i.MaxOrder, o.State, o.Reason)
		}
		return
	}
	t.Fatal("no future has a freeze quantity")
}
