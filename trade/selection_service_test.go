package trade_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"neoapi/internal/must"
	"neoapi/neoapitest"
	"neoapi/trade"
)

// filled places an order and waits for its fill.
func (d *desk) filled(order trade.Ticket) trade.Order {
	d.t.Helper()
	o := must.Get(d.Place(d.t.Context(), order))(d.t)
	return must.Get(d.Await(d.t.Context(), o, trade.Complete))(d.t)
}

// net is what the exchange has of TCS under a product.
func (d *desk) net(product string) int64 {
	for _, p := range d.srv.Positions(d.t, d.srv.Account.UCC) {
		if p.Symbol == d.tcs.Symbol && p.Product == product {
			return p.Net
		}
	}
	return 0
}

func (d *desk) market10(side trade.Side, product trade.Product) trade.Ticket {
	if side == trade.SideSell {
		return trade.Sell(d.tcs, 10).Market().Product(product)
	}
	return trade.Buy(d.tcs, 10).Market().Product(product)
}

func TestSquareOff_needsToBeToldWhat(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	d.filled(d.market10(trade.SideBuy, trade.MIS))
	calls := d.sent.all.Load()
	for name, f := range map[string]func(context.Context, ...trade.Only) ([]trade.Result, error){"SquareOff": d.SquareOff, "CancelAll": d.CancelAll} {
		for _, only := range [][]trade.Only{nil, {trade.DryRun}, {trade.Within(time.Second)}, {trade.Tagged("")}} {
			if results, err := f(t.Context(), only...); !errors.Is(err, trade.ErrNothingSelected) || results != nil || d.sent.all.Load() != calls {
				t.Errorf("%s: %v, %v", name, results, err)
			}
		}
	}
}

// Rows of one symbol under two products are two positions, each closed by its own.
func TestSquareOff_closesEachPositionWithItsProduct(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	d.filled(d.market10(trade.SideSell, trade.MIS))
	d.filled(d.market10(trade.SideBuy, trade.NRML))
	d.filled(d.market10(trade.SideBuy, trade.CNC))
	plan := must.Get(d.SquareOff(t.Context(), trade.All, trade.DryRun))(t)
	if len(plan) != 3 || len(d.book()) != 3 {
		t.Fatalf("the plan is %+v", plan)
	}
	results := must.Get(d.SquareOff(t.Context(), trade.Intraday))(t)
	if len(results) != 1 || results[0].Order.Product != trade.MIS || results[0].Order.Side != trade.SideBuy || results[0].Order.FilledQty != 10 || d.net("MIS") != 0 || d.net("NRML") != 10 {
		t.Errorf("%+v", results)
	}
	if results, err := d.SquareOff(t.Context(), trade.Intraday); err != nil || len(results) != 0 { // flat
		t.Errorf("again: %+v, %v", results, err)
	}
	plan = must.Get(d.SquareOff(t.Context(), trade.In(d.tcs), trade.OfProduct(trade.NRML), trade.DryRun))(t)
	if fmt.Sprint(plan) != "[sell 10 TCS-EQ NRML market, label squareoff]" {
		t.Errorf("%+v", plan)
	}
}

// Shares sold from holdings are a sale and not a short position.
func TestSquareOff_leavesSoldHoldingsAlone(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	d.srv.Fund(t, d.srv.Account.UCC, "1000000.00", neoapitest.Holding{Segment: "nse_cm", Symbol: "TCS-EQ", Quantity: 100, AveragePrice: "3000.00"})
	d.filled(trade.Sell(d.tcs, 10).Market().Product(trade.CNC))
	for _, only := range [][]trade.Only{{trade.All}, {trade.OfProduct(trade.CNC)}} {
		if results, err := d.SquareOff(t.Context(), only...); err != nil || len(results) != 0 || d.net("CNC") != -10 {
			t.Errorf("%+v, %v", results, err)
		}
	}
	if results, err := d.SquareOff(t.Context(), trade.In(d.tcs)); err != nil || len(results) != 1 || d.net("CNC") != 0 { // asked by name
		t.Errorf("%+v, %v", results, err)
	}
}

// A label's square-off touches what its own trades made, and nobody else's orders.
func TestSquareOff_ofALabelClosesItsShareOnly(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	mine := func(o trade.Ticket) trade.Ticket { return o.Tag(trade.Label("mine")) }
	d.filled(trade.Buy(d.tcs, 75).Market().Product(trade.MIS).Tag(trade.Label("theirs")))
	d.filled(mine(trade.Buy(d.tcs, 60).Market().Product(trade.MIS)))
	changed := must.Get(d.Place(t.Context(), mine(trade.Buy(d.tcs, 15).Limit(rupees("3400")).Product(trade.MIS))))(t)
	must.Get(d.Modify(t.Context(), changed, trade.Change{Price: rupees("3500")}))(t) // whose tag is another one now
	d.market.SetPrice("nse_cm", "TCS-EQ", "3490.00")
	must.Get(d.Await(t.Context(), changed, trade.Complete))(t)
	theirs := must.Get(d.Place(t.Context(), trade.Sell(d.tcs, 75).Limit(rupees("3900")).Product(trade.MIS).Tag(trade.Label("theirs"))))(t)
	own := must.Get(d.Place(t.Context(), mine(trade.Sell(d.tcs, 75).Limit(rupees("3900")).Product(trade.MIS))))(t)
	results := must.Get(d.SquareOff(t.Context(), trade.Tagged("mine")))(t)
	if len(results) != 2 || results[0].Order.Number != own.Number || results[0].Order.State != trade.Cancelled || results[1].Order.FilledQty != 75 || d.net("MIS") != 75 {
		t.Errorf("%d left: %+v", d.net("MIS"), results)
	}
	if o := must.Get(d.Order(t.Context(), theirs.Number))(t); o.State != trade.Open {
		t.Errorf("theirs is %+v", o)
	}
	if results, err := d.SquareOff(t.Context(), trade.Tagged("mine")); err != nil || len(results) != 0 { // its own closing sale counts
		t.Errorf("again: %+v, %v", results, err)
	}
}

// What rests is cancelled before anything is closed: both could fill, and reverse the
// position.
func TestSquareOff_cancelsWhatRestsFirst(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	d.filled(d.market10(trade.SideBuy, trade.MIS))
	exit := must.Get(d.Place(t.Context(), trade.Sell(d.tcs, 10).Limit(rupees("3900")).Product(trade.MIS)))(t)
	other := must.Get(d.Place(t.Context(), trade.Buy(d.tcs, 10).Limit(rupees("3100")).Product(trade.CNC)))(t)
	plan := must.Get(d.SquareOff(t.Context(), trade.Intraday, trade.DryRun))(t)
	if len(plan) != 2 || plan[0].Order.State != trade.Open || d.sent.cancels.Load() != 0 ||
		plan[0].String() != "cancel "+exit.Number+" (open, 0 of 10 filled, L at 3900.00)" || plan[1].String() != "sell 10 TCS-EQ MIS market, label squareoff" {
		t.Errorf("the plan is %+v", plan)
	}
	results := must.Get(d.SquareOff(t.Context(), trade.Intraday))(t)
	if len(results) != 2 || results[0].Order.Number != exit.Number || results[0].Order.State != trade.Cancelled || results[1].Order.State != trade.Complete || d.net("MIS") != 0 {
		t.Errorf("%+v", results)
	}
	if o := must.Get(d.Order(t.Context(), other.Number))(t); o.State != trade.Open {
		t.Errorf("an order of another product: %+v", o)
	}
	// A cancel that the service does not do: nothing is closed.
	d.filled(d.market10(trade.SideBuy, trade.MIS))
	exit = must.Get(d.Place(t.Context(), trade.Sell(d.tcs, 10).Limit(rupees("3900")).Product(trade.MIS)))(t)
	d.srv.Fail(t, "cancel", "1004", 1000)
	results, err := d.SquareOff(t.Context(), trade.Intraday, trade.Within(time.Second))
	if !errors.Is(err, trade.ErrStillOpen) || len(results) != 1 || results[0].Order.Number != exit.Number || d.net("MIS") != 10 {
		t.Errorf("%+v, %v", results, err)
	}
}

// What is selected and rests is cancelled where nothing is held too: it could fill after the
// square-off, and open a position.
func TestSquareOff_leavesNothingThatOpensAPosition(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	d.market.SetPrice("nse_cm", "RELIANCE-EQ", "1400.00")
	reliance := must.Get(d.Instrument(t.Context(), trade.NSE, "RELIANCE-EQ"))(t)
	entry := func(product trade.Product, label string) trade.Order {
		o := trade.Buy(reliance, 10).Limit(rupees("1350")).Product(product).Tag(trade.Label(label))
		return must.Get(d.Place(t.Context(), o))(t)
	}
	for _, x := range []struct {
		only  []trade.Only
		stays string // of the four entries
	}{
		{[]trade.Only{trade.Tagged("a")}, "b-MIS b-CNC"}, {[]trade.Only{trade.Tagged("a"), trade.Intraday}, "a-CNC b-MIS b-CNC"}, {[]trade.Only{trade.Intraday}, "a-CNC b-CNC"},
		{[]trade.Only{trade.OfProduct(trade.CNC)}, "a-MIS b-MIS"}, {[]trade.Only{trade.In(d.tcs)}, "a-MIS a-CNC b-MIS b-CNC"}, {[]trade.Only{trade.In(reliance)}, ""}, {[]trade.Only{trade.All}, ""},
	} {
		var entries []trade.Order
		for _, label := range []string{"a", "b"} {
			entries = append(entries, entry(trade.MIS, label), entry(trade.CNC, label))
		}
		plan := must.Get(d.SquareOff(t.Context(), append([]trade.Only{trade.DryRun}, x.only...)...))(t)
		results := must.Get(d.SquareOff(t.Context(), x.only...))(t)
		var stays []string
		for i, o := range entries {
			if now := must.Get(d.Order(t.Context(), o.Number))(t); !now.State.Final() {
				stays = append(stays, []string{"a-MIS", "a-CNC", "b-MIS", "b-CNC"}[i])
			}
		}
		if strings.Join(stays, " ") != x.stays || len(plan) != len(results) || len(results) != len(entries)-len(stays) {
			t.Errorf("%s stay, want %s: %+v", stays, x.stays, results)
		}
		must.Get(d.CancelAll(t.Context(), trade.All))(t)
	}
	entry(trade.MIS, "")
	must.Get(d.SquareOff(t.Context(), trade.All))(t)
	d.market.SetPrice("nse_cm", "RELIANCE-EQ", "1340.00")
	if fills := must.Get(d.Trades(t.Context()))(t); len(fills) != 0 {
		t.Errorf("filled after the square-off: %+v", fills)
	}
}

// What was sent is not closed until the exchange says so.
func TestSquareOff_saysWhatIsStillOpen(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	d.filled(d.market10(trade.SideBuy, trade.MIS))
	d.market.Halt("nse_cm", "TCS-EQ")
	began := time.Now()
	results, err := d.SquareOff(t.Context(), trade.Intraday, trade.Within(time.Second))
	if !errors.Is(err, trade.ErrStillOpen) || len(results) != 1 || !errors.Is(results[0].Err, trade.ErrStillOpen) || time.Since(began) > 5*time.Second {
		t.Fatalf("%+v, %v", results, err)
	}
	o := results[0].Order
	if o.State != trade.Open || o.PriceType != trade.Limit || !o.Price.Known() || !strings.Contains(err.Error(), o.Number) || !strings.Contains(err.Error(), o.Price.String()) {
		t.Errorf("%+v, %v", o, err)
	}
	d.market.Run("nse_cm", "TCS-EQ")
	must.Get(d.SquareOff(t.Context(), trade.Intraday))(t)
	if d.net("MIS") != 0 {
		t.Errorf("%d left", d.net("MIS"))
	}
}

func TestCancelAll_cancelsWhatIsSelected(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	orders := map[string]trade.Order{}
	for label, o := range map[string]trade.Ticket{"a-cnc": d.resting(), "a-mis": d.resting().Product(trade.MIS), "b-mis": d.resting().Product(trade.MIS)} {
		orders[label] = must.Get(d.Place(t.Context(), o.Tag(trade.Label(label))))(t)
	}
	amo := must.Get(d.Place(t.Context(), d.resting().AfterMarket()))(t)
	d.filled(d.market10(trade.SideBuy, trade.MIS))
	if plan := must.Get(d.CancelAll(t.Context(), trade.All, trade.DryRun))(t); len(plan) != 4 || d.sent.cancels.Load() != 0 {
		t.Errorf("the plan is %+v", plan)
	}
	for _, c := range []struct {
		only []trade.Only
		want []string
	}{
		{[]trade.Only{trade.Tagged("a-"), trade.Intraday}, []string{orders["a-mis"].Number}},
		{[]trade.Only{trade.OfProduct(trade.MIS)}, []string{orders["b-mis"].Number}},
		{[]trade.Only{trade.In(trade.Instrument{Segment: trade.BSE, Token: "11536"})}, nil},
		{[]trade.Only{trade.In(d.tcs)}, []string{orders["a-cnc"].Number, amo.Number}},
		{[]trade.Only{trade.All}, nil},
	} {
		results, err := d.CancelAll(t.Context(), c.only...)
		var got []string
		for _, r := range results {
			if got = append(got, r.Order.Number); !r.Order.State.Final() || r.Err != nil {
				t.Errorf("%+v", r)
			}
		}
		slices.Sort(got)
		slices.Sort(c.want)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%v, want %v: %v", got, c.want, err)
		}
	}
}

func TestBasket_buysBeforeItSells(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	sell, buy := d.market10(trade.SideSell, trade.MIS), d.market10(trade.SideBuy, trade.NRML)
	results := must.Get(d.Basket(t.Context(), sell, buy))(t)
	book := d.book()
	if len(results) != 2 || results[0].Order.Side != trade.SideSell || results[1].Order.Side != trade.SideBuy || len(book) != 2 || book[0].Side != "B" || book[1].Side != "S" ||
		results[0].Order.State != trade.Complete || results[1].Order.State != trade.Complete {
		t.Errorf("%+v; the exchange has %+v", results, book)
	}

	// Legs of the day: the basket goes on where it stopped.
	first, second := buy.Tag(trade.DayTag("basket-1")), sell.Tag(trade.DayTag("basket-2"))
	d.srv.FailOrder(t, neoapitest.OrderFault{Op: "place", Fault: "1017", Side: "S"})
	if results, err := d.Basket(t.Context(), second, first); !errors.Is(err, trade.ErrRejected) || results[1].Order.State != trade.Complete {
		t.Errorf("%+v, %v", results, err)
	}
	if results, err := d.Basket(t.Context(), second, first); err != nil || results[0].Order.State != trade.Complete || len(d.book()) != 4 {
		t.Errorf("%+v, %v", results, err)
	}

	// An invalid leg: nothing is sent.
	results, err := d.Basket(t.Context(), buy, trade.Sell(d.tcs, 10))
	if !errors.Is(err, trade.ErrInvalid) || !strings.Contains(err.Error(), "leg 2") || !errors.Is(results[0].Err, trade.ErrNotReached) || len(d.book()) != 4 {
		t.Errorf("%+v, %v", results, err)
	}

	// The second leg that buys is rejected: nothing is sold, and the first one stands.
	d.srv.FailOrder(t, neoapitest.OrderFault{Op: "place", Fault: "parts", Side: "B", N: 2})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	d.market.Run("nse_cm", "TCS-EQ")
	tooMuch := trade.Buy(d.tcs, 29_000).Market().Product(trade.NRML)
	results, err = d.Basket(ctx, sell, buy, tooMuch)
	if !errors.Is(err, trade.ErrRejected) || !errors.Is(results[0].Err, trade.ErrNotReached) || results[1].Order.State != trade.Complete ||
		!strings.Contains(err.Error(), "leg 2 (order "+results[1].Order.Number) || len(d.book()) != 6 {
		t.Errorf("%+v, %v", results, err)
	}

	// A leg that rests when the context ends: nothing is sold.
	ctx, cancel = context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	results, err = d.Basket(ctx, sell, trade.Buy(d.tcs, 10).Limit(rupees("3001")).Product(trade.MIS))
	if !errors.Is(err, trade.ErrStillOpen) || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(results[0].Err, trade.ErrNotReached) || results[1].Order.State != trade.Open {
		t.Errorf("%+v, %v", results, err)
	}
}

func TestConvert_readsThePositionsBack(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	d.filled(d.market10(trade.SideBuy, trade.MIS))
	position := func() trade.Position {
		all := must.Get(d.Positions(t.Context()))(t)
		i := slices.IndexFunc(all, func(p trade.Position) bool { return p.Product == trade.MIS })
		return all[i]
	}
	if p, err := d.Convert(t.Context(), position(), 4, trade.CNC); err != nil || p.Net != 4 || p.Product != trade.CNC || d.net("MIS") != 6 {
		t.Errorf("%+v, %v", p, err)
	}
	for _, fault := range []string{"lost", "lost_502", "close", "html_502"} {
		before := d.net("CNC")
		d.srv.Fail(t, "convert", fault, 1)
		p, err := d.Convert(t.Context(), position(), 1, trade.CNC)
		if moved := d.net("CNC") - before; moved == 1 && (err != nil || p.Net != before+1) || moved == 0 && !errors.Is(err, trade.ErrUnchanged) {
			t.Errorf("%s: %+v, %v", fault, p, err)
		}
	}
	for _, bad := range []struct {
		quantity int64
		to       trade.Product
	}{{0, trade.CNC}, {100, trade.CNC}, {1, trade.MIS}, {1, ""}} {
		if _, err := d.Convert(t.Context(), position(), bad.quantity, bad.to); !errors.Is(err, trade.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, err := d.Convert(t.Context(), position(), 1, "XYZ"); !errors.Is(err, trade.ErrRejected) {
		t.Errorf("to an unknown product: %v", err)
	}
}

// While the market fills what rests, and changes it in parts, a square-off never turns a
// position round: at no trade is the net on the other side of nothing.
func TestSquareOff_neverReversesAPosition(t *testing.T) {
	t.Parallel()
	rounds := max(4, *runs/20)
	for first := 0; first < rounds; first += 20 {
		t.Run(fmt.Sprint(first), func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, 3)
			d.market.SetPrice("nse_cm", "RELIANCE-EQ", "1400.00")
			other := must.Get(d.Instrument(t.Context(), trade.NSE, "RELIANCE-EQ"))(t)
			for n := first; n < min(first+20, rounds); n++ {
				squareOffUnderFire(t, d, other, rand.New(rand.NewPCG(uint64(n), 25)))
			}
		})
	}
}

func squareOffUnderFire(t *testing.T, d *desk, other trade.Instrument, random *rand.Rand) {
	d.market.SetPrice("nse_cm", "TCS-EQ", "3500.00")
	d.market.SetPrice("nse_cm", "RELIANCE-EQ", "1400.00")
	side, quantity := trade.SideBuy, int64(10+random.IntN(90))
	open := func(s trade.Side, n int64) trade.Ticket {
		if s == trade.SideBuy {
			return trade.Buy(d.tcs, n)
		}
		return trade.Sell(d.tcs, n)
	}
	if random.IntN(2) == 0 {
		side = trade.SideSell
	}
	d.filled(open(side, quantity).Market().Product(trade.MIS))
	exits := map[trade.Side][]string{trade.SideSell: {"3510", "3520", "3530"}, trade.SideBuy: {"3490", "3480", "3470"}}[side.Opposite()]
	left := quantity
	for _, price := range exits { // target orders for the whole position, or a part
		n := min(left, 1+random.Int64N(quantity))
		if left -= n; n > 0 {
			must.Get(d.Place(t.Context(), open(side.Opposite(), n).Limit(rupees(price)).Product(trade.MIS)))(t)
		}
	}
	for range random.IntN(3) { // entries where nothing is held, which the market may reach meanwhile
		entry := trade.Buy(other, 1+random.Int64N(9)).Limit(rupees([]string{"1390", "1380"}[random.IntN(2)]))
		must.Get(d.Place(t.Context(), entry.Product(trade.MIS)))(t)
	}
	if random.IntN(3) == 0 {
		d.srv.FailOrder(t, neoapitest.OrderFault{Op: "place", Fault: "parts", N: 2})
	}
	if random.IntN(3) == 0 {
		d.srv.FailOrder(t, neoapitest.OrderFault{Op: []string{"cancel", "place"}[random.IntN(2)], Fault: "lost"})
	}
	stop := make(chan struct{})
	var fire sync.WaitGroup
	fire.Go(func() { // the market goes to the targets meanwhile
		for n, price := range append([]string{"3500"}, exits...) {
			select {
			case <-stop:
			case <-time.After(time.Duration(random.IntN(8)) * time.Millisecond):
				d.market.SetPrice("nse_cm", "TCS-EQ", price+".00")
				d.market.SetPrice("nse_cm", "RELIANCE-EQ", []string{"1400.00", "1390.00", "1380.00", "1400.00"}[n])
			}
		}
	})
	results, err := d.SquareOff(t.Context(), trade.Intraday)
	close(stop)
	fire.Wait()
	d.srv.Works()
	if err != nil {
		t.Errorf("%+v: %v", results, err)
	}
	if net := d.net("MIS"); net != 0 {
		t.Errorf("%s %d: %d left: %+v", side, quantity, net, results)
	}
	d.market.SetPrice("nse_cm", "RELIANCE-EQ", "1370.00") // below every entry
	for _, p := range must.Get(d.Positions(t.Context()))(t) {
		if p.Net != 0 {
			t.Errorf("%d %s are held: %+v", p.Net, p.Symbol, results)
		}
	}
	net := int64(0)
	for _, f := range must.Get(d.Trades(t.Context()))(t) {
		if f.Side == trade.SideBuy {
			net += f.Quantity
		} else {
			net -= f.Quantity
		}
	}
	if net != 0 {
		t.Errorf("the trades make %d", net)
	}
}

// Two square-offs of one client at once close a position once.
func TestSquareOff_atOnceClosesOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	d.filled(d.market10(trade.SideBuy, trade.MIS))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := d.SquareOff(t.Context(), trade.All); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if net := d.net("MIS"); net != 0 {
		t.Errorf("the position is %d", net)
	}
}
