package tape

import (
	"bytes"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"neoapi/internal/paper/listing"
)

var (
	today  = listing.Date{Year: 2026, Month: 9, Day: 1}
	listed = listing.On(today)
)

func instrument(t interface{ Fatalf(string, ...any) }, s listing.Segment, name string) *listing.Instrument {
	i, ok := listed.Named(s, name)
	if !ok {
		t.Fatalf("no %s in %s", name, s)
	}
	return i
}

// some are instruments of each kind.
func some(t interface{ Fatalf(string, ...any) }) []*listing.Instrument {
	var all []*listing.Instrument
	for _, k := range []struct {
		s    listing.Segment
		name string
	}{
		{listing.NSE, "TCS-EQ"}, {listing.NSE, "IDEA-EQ"}, {listing.NSE, "MRF-EQ"}, {listing.NSE, "DEMOTEX-BE"}, {listing.NSE, "DEMOSTAR-SM"},
		{listing.NSE, "Nifty 50"}, {listing.NSE, "India VIX"}, {listing.BSE, "PNB"}, {listing.NSEDeriv, "NIFTY26SEPFUT"},
		{listing.NSEDeriv, "NIFTY2690124500PE"}, {listing.NSEDeriv, "NIFTY26SEP24500CE"}, {listing.NSEDeriv, "VEDL26SEP292.5CE"},
		{listing.Currency, "USDINR26SEPFUT"}, {listing.Currency, "USDINR26SEP88.25PE"}, {listing.MCX, "GOLDM04SEP26FUT"},
	} {
		all = append(all, instrument(t, k.s, k.name))
	}
	return all
}

// byHand does something to prices, at most a few times.
func byHand(t *rapid.T, m *Market, all []*listing.Instrument) {
	at := today.Start().Add(-24 * time.Hour)
	for range rapid.IntRange(0, 5).Draw(t, "hands") {
		at = at.Add(time.Duration(rapid.IntRange(1, 40_000).Draw(t, "later")) * Step)
		i := rapid.SampledFrom(all).Draw(t, "instrument")
		if i.Underlying != nil && rapid.Bool().Draw(t, "underlying") {
			i = i.Underlying
		}
		p := i.Nearest(m.At(i, at) * listing.Price(rapid.IntRange(97, 103).Draw(t, "to")) / 100)
		switch rapid.IntRange(0, 3).Draw(t, "what") {
		case 0:
			m.Set(i, at, p)
		case 1:
			m.Gap(i, at, p)
		case 2:
			m.Release(i, at)
		case 3:
			m.Record(i, at, p, i.Lot)
		}
	}
}

func TestBars_areTheFoldOfTheirTicks(t *testing.T) {
	all := some(t)
	rapid.Check(t, func(t *rapid.T) {
		m := New(rapid.Uint64().Draw(t, "seed"))
		i := rapid.SampledFrom(all).Draw(t, "of")
		byHand(t, m, []*listing.Instrument{i})
		s := m.of(i)
		from := tick(today.Start()) - ticksPerDay + int64(rapid.IntRange(0, 2*ticksPerDay).Draw(t, "from"))
		to := from + 1 + int64(rapid.IntRange(0, 3000).Draw(t, "ticks"))
		got := s.bar(from, to, m.fill)
		var want priceBar
		var volume int64
		for n := from; n < to; n++ {
			v := s.price(n)
			if v <= 0 || !i.OnTick(v) {
				t.Fatalf("%s is at %s", i.Name, v)
			}
			want.add(priceBar{v, v, v, v})
			if k, ok := s.tick(n); ok {
				if k.Price != v || k.Quantity < i.Lot || k.Quantity%i.Lot != 0 {
					t.Fatalf("%s trades %+v at a price of %s", i.Name, k, v)
				}
				volume += k.Quantity
			}
		}
		if got != want {
			t.Fatalf("%s: bar %v, ticks %v", i.Name, got, want)
		}
		if v := s.volume(from, to); v != volume {
			t.Fatalf("%s: volume %d, ticks %d", i.Name, v, volume)
		}
	})
}

func TestCandles_ofADayAgreeWithItsMinutes(t *testing.T) {
	all := some(t)
	rapid.Check(t, func(t *rapid.T) {
		m := New(rapid.Uint64().Draw(t, "seed"))
		i := rapid.SampledFrom(all).Draw(t, "of")
		byHand(t, m, []*listing.Instrument{i})
		now := today.Start().Add(time.Duration(rapid.IntRange(0, ticksPerDay-1).Draw(t, "now")) * Step)
		from, to := today.Add(-2).Start(), today.Add(1).Start()
		days := m.Candles(i, 24*time.Hour, from, to, now)
		if len(days) != 3 || !days[2].Start.Equal(today.Start()) {
			t.Fatalf("days %v", days)
		}
		for _, minutes := range []int{1, 5, 15, 60} {
			bars := m.Candles(i, time.Duration(minutes)*time.Minute, from, to, now)
			for _, day := range days {
				sum := Bar{Start: day.Start}
				for _, b := range bars {
					if listing.DateOf(b.Start) != listing.DateOf(day.Start) {
						continue
					}
					if sum.Open == 0 {
						sum.Open, sum.High, sum.Low = b.Open, b.High, b.Low
					}
					sum.High, sum.Low, sum.Close = max(sum.High, b.High), min(sum.Low, b.Low), b.Close
					sum.Volume += b.Volume
					sum.OpenInterest = b.OpenInterest
				}
				day.Traded = 0
				if sum != day {
					t.Fatalf("%s: %d minutes give %+v, the day is %+v", i.Name, minutes, sum, day)
				}
			}
		}
		running := m.Day(i, now)
		running.Traded = days[2].Traded
		if running != days[2] {
			t.Fatalf("%s: the day so far is %+v, its candle %+v", i.Name, running, days[2])
		}
		if last := m.At(i, now); running.Close != last {
			t.Fatalf("%s closes at %s and is at %s", i.Name, running.Close, last)
		}
	})
}

func TestMarket_doesNotDependOnWhatWasAskedBefore(t *testing.T) {
	all := some(t)
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		one := New(seed)
		byHand(t, one, all)
		kept := one.Save()
		for range 20 {
			i := rapid.SampledFrom(all).Draw(t, "of")
			at := today.Start().Add(time.Duration(rapid.IntRange(-3*ticksPerDay, ticksPerDay).Draw(t, "at")) * Step)
			two := New(seed)
			if err := two.Load(kept, listed.Find); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(two.Save(), kept) {
				t.Fatalf("kept %s, then %s", kept, two.Save())
			}
			if a, b := one.At(i, at), two.At(i, at); a != b {
				t.Fatalf("%s is at %s and at %s", i.Name, a, b)
			}
			if a, b := one.Day(i, at), two.Day(i, at); a != b {
				t.Fatalf("the day of %s is %+v and %+v", i.Name, a, b)
			}
			bids, asks := one.Depth(i, at, 0, 0)
			if b, a := two.Depth(i, at, 0, 0); a != asks || b != bids {
				t.Fatalf("the depth of %s differs", i.Name)
			}
		}
	})
}

func TestPrices_stayInTheDaysBand(t *testing.T) {
	all := some(t)
	rapid.Check(t, func(t *rapid.T) {
		m := New(rapid.Uint64().Draw(t, "seed"))
		i := rapid.SampledFrom(all).Draw(t, "of")
		byHand(t, m, []*listing.Instrument{i})
		d := today.Add(-rapid.IntRange(0, 400).Draw(t, "day"))
		low, high := i.Bands(m.Close(i, d.Add(-1)))
		b := m.Candles(i, 24*time.Hour, d.Start(), d.Add(1).Start(), d.Add(1).Start())[0]
		if i.Kind == listing.Index || len(m.of(i).pieces) > 0 {
			return // no band, or set by hand to anything
		}
		if i.Underlying != nil && len(m.of(i.Underlying).pieces) > 0 {
			return
		}
		if b.Low < low || b.High > high {
			t.Fatalf("%s went from %s to %s on %s in a band from %s to %s", i.Name, b.Low, b.High, d, low, high)
		}
	})
}

func TestNext_findsTheFirstTradeThatAPlainWalkFinds(t *testing.T) {
	all := some(t)
	rapid.Check(t, func(t *rapid.T) {
		m := New(rapid.Uint64().Draw(t, "seed"))
		i := rapid.SampledFrom(all).Draw(t, "of")
		byHand(t, m, []*listing.Instrument{i})
		from := today.Start().Add(time.Duration(rapid.IntRange(-20_000, 20_000).Draw(t, "from")) * Step)
		to := from.Add(time.Duration(rapid.IntRange(0, 20_000).Draw(t, "ticks")) * Step)
		p := m.At(i, from)
		low := p - i.Tick*listing.Price(rapid.IntRange(-1, 40).Draw(t, "low"))
		high := max(i.Tick, p+i.Tick*listing.Price(rapid.IntRange(-1, 40).Draw(t, "high")))
		got, ok := m.Next(i, from, to, low, high)
		var want Tick
		found := false
		for at := from; at.Before(to) && !found; at = at.Add(Step) {
			if k, is := m.Tick(i, at); is && (k.Price <= low || k.Price >= high) {
				want, found = k, true
			}
		}
		if ok != found || ok && got != want {
			t.Fatalf("%s: %+v %v, a walk finds %+v %v", i.Name, got, ok, want, found)
		}
	})
}

func TestOptions_areFreeOfArbitrage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := New(rapid.Uint64().Draw(t, "seed"))
		series := rapid.SampledFrom([]struct {
			s      listing.Segment
			symbol string
		}{{listing.NSEDeriv, "NIFTY"}, {listing.NSEDeriv, "VEDL"}, {listing.BSEDeriv, "SENSEX"}, {listing.Currency, "USDINR"}, {listing.MCX, "CRUDEOIL"}}).Draw(t, "of")
		expiry := rapid.SampledFrom(listed.Expiries(series.s, series.symbol, listing.Call)).Draw(t, "expiry")
		chain := listed.Chain(series.s, series.symbol, expiry)
		at := expiry.Add(1).Start().Add(-Step * time.Duration(rapid.IntRange(1, 8*ticksPerDay).Draw(t, "left")))
		if rapid.Bool().Draw(t, "set") {
			under := chain[0].Underlying
			m.Set(under, at, under.Nearest(under.Opening*listing.Price(rapid.IntRange(90, 110).Draw(t, "to"))/100))
		}
		spot := m.At(chain[0].Underlying, at)
		var calls, puts, strikes []listing.Price
		for k := 0; k < len(chain); k += 2 {
			c, p := chain[k], chain[k+1]
			calls, puts, strikes = append(calls, m.At(c, at)), append(puts, m.At(p, at)), append(strikes, c.Strike)
			if c.Kind != listing.Call || p.Kind != listing.Put || c.Strike != p.Strike {
				t.Fatalf("%s beside %s", c.Name, p.Name)
			}
		}
		step := chain[0].Tick
		for k := range calls {
			if calls[k] < spot-strikes[k] || puts[k] < strikes[k]-spot || calls[k] < step || puts[k] < step {
				t.Fatalf("at %s the strike %s has %s and %s", spot, strikes[k], calls[k], puts[k])
			}
			if gap := calls[k] - puts[k] - spot + strikes[k]; gap > 2*step || gap < -2*step {
				t.Fatalf("parity is off by %s at the strike %s", gap, strikes[k])
			}
			if k > 0 && (calls[k] > calls[k-1] || puts[k] < puts[k-1]) {
				t.Fatalf("prices do not follow the strikes at %s", strikes[k])
			}
			if k > 1 && (calls[k-2]+calls[k]-2*calls[k-1] < -2*step || puts[k-2]+puts[k]-2*puts[k-1] < -2*step) {
				t.Fatalf("a butterfly at %s gives money", strikes[k-1])
			}
		}
	})
}

func TestOptions_endAtIntrinsic(t *testing.T) {
	m := New(7)
	for _, name := range []string{"NIFTY2690124500PE", "NIFTY2690124500CE", "NIFTY26SEP24000CE", "NIFTY26SEPFUT"} {
		i := instrument(t, listing.NSEDeriv, name)
		end := m.Close(i, i.Expiry)
		if got := m.Settlement(i); end-got > i.Tick || got-end > i.Tick {
			t.Errorf("%s closes at %s and is settled at %s", name, end, got)
		}
	}
	ce := instrument(t, listing.NSEDeriv, "NIFTY2690124500CE")
	m.Set(ce.Underlying, ce.Expiry.Start(), 24612*listing.Rupee+4000)
	if got := m.Settlement(ce); got.String() != "112.40" {
		t.Errorf("a call of 24500 at 24612.40 is settled at %s", got)
	}
	if got := m.Settlement(instrument(t, listing.NSEDeriv, "NIFTY2690124500PE")); got != 0 {
		t.Errorf("a put of 24500 at 24612.40 is settled at %s", got)
	}
}

func TestSet_holdsThePriceUntilItIsReleased(t *testing.T) {
	m := New(1)
	tcs := instrument(t, listing.NSE, "TCS-EQ")
	at := today.Start().Add(10 * time.Hour)
	before := m.Day(tcs, at.Add(-Step))
	m.Set(tcs, at, 3550*listing.Rupee)
	later := at.Add(3 * time.Hour)
	if p := m.At(tcs, later); p != 3550*listing.Rupee || !m.Held(tcs, later) {
		t.Errorf("held at %s", p)
	}
	after := m.Day(tcs, later)
	if printed, ok := New(1).Tick(tcs, at); !ok || after.Volume != before.Volume+printed.Quantity+1 {
		t.Errorf("volume %d, then %d", before.Volume, after.Volume)
	}
	if bids, asks := m.Depth(tcs, later, 0, 3551*listing.Rupee); bids[0].Price.String() != "3549.90" || asks[0].Price.String() != "3550.10" || asks[4].Price.String() != "3550.50" {
		t.Errorf("depth %v %v", bids, asks)
	}
	if _, ok := m.Next(tcs, at, later, 3600*listing.Rupee, 0); ok {
		t.Error("a held price trades")
	}
	m.Release(tcs, later)
	if p := m.At(tcs, later); p != 3550*listing.Rupee {
		t.Errorf("released at %s", p)
	}
	for h := range 200 {
		p := m.At(tcs, later.Add(time.Duration(h)*time.Minute))
		if math.Abs(float64(p)/float64(3550*listing.Rupee)-1) > 0.05 {
			t.Fatalf("went on at %s", p)
		}
	}
	if k, ok := m.Tick(tcs, later.Add(time.Hour)); !ok || k.Quantity < 1 {
		t.Error("does not trade again")
	}
}

func TestRelease_goesOnFromThePriceThatWasHeld(t *testing.T) {
	all := some(t)
	rapid.Check(t, func(t *rapid.T) {
		m := New(rapid.Uint64().Draw(t, "seed"))
		i := rapid.SampledFrom(all).Draw(t, "of")
		at := today.Start().Add(time.Duration(rapid.IntRange(0, ticksPerDay/2).Draw(t, "at")) * Step)
		low, high := i.Bands(m.Close(i, today.Add(-1)))
		if i.Kind == listing.Index {
			low, high = i.Floor(i.Opening/2), i.Opening*2
		}
		p := i.Tick * listing.Price(rapid.Int64Range(int64(low/i.Tick), int64(high/i.Tick)).Draw(t, "to"))
		m.Set(i, at, p)
		later := at.Add(time.Duration(rapid.IntRange(0, ticksPerDay/4).Draw(t, "later")) * Step)
		if got := m.At(i, later); got != p {
			t.Fatalf("%s held at %s is at %s", i.Name, p, got)
		}
		m.Release(i, later)
		if got := m.At(i, later); got != p {
			t.Fatalf("%s released at %s is at %s", i.Name, p, got)
		}
		if b := m.Day(i, today.Add(1).Start().Add(-Step)); i.Kind != listing.Index && (b.High > high || b.Low < low) {
			t.Fatalf("%s went from %s to %s in a band from %s to %s", i.Name, b.Low, b.High, low, high)
		}
	})
}

func TestForget_dropsWhatHasExpired(t *testing.T) {
	m := New(1)
	tcs, put := instrument(t, listing.NSE, "TCS-EQ"), instrument(t, listing.NSEDeriv, "NIFTY2690124500PE")
	m.Set(put, today.Start(), 100*listing.Rupee)
	m.Record(tcs, today.Start(), 3500*listing.Rupee, 10)
	m.Set(tcs, today.Start(), 3500*listing.Rupee)
	m.Forget(today)
	if len(m.of(put).pieces) != 1 {
		t.Error("forgot a contract on its last day")
	}
	m.Forget(today.Add(1))
	if len(m.of(put).pieces) != 0 || len(m.of(tcs).trades) == 0 {
		t.Error("wrong things were forgotten")
	}
	m.Forget(today.Add(200))
	if len(m.of(tcs).trades) != 0 || !m.Held(tcs, today.Add(200).Start()) {
		t.Error("a trade of half a year ago is kept, or a held price is not")
	}
}

func TestBand_keepsThePriceWithinUntilTheDayEnds(t *testing.T) {
	m := New(1)
	tcs := instrument(t, listing.NSE, "TCS-EQ")
	at := today.Start().Add(time.Hour)
	p := m.At(tcs, at)
	low, high := p-2*tcs.Tick, p+2*tcs.Tick
	m.Band(tcs, at, low, high)
	b := m.Candles(tcs, time.Hour, at, today.Add(1).Start(), today.Add(1).Start())
	for _, b := range b {
		if b.Low < low || b.High > high {
			t.Fatalf("went from %s to %s", b.Low, b.High)
		}
	}
	if next := m.Candles(tcs, 24*time.Hour, today.Add(1).Start(), today.Add(2).Start(), today.Add(2).Start())[0]; next.Low >= low && next.High <= high {
		t.Error("the band holds on the next day")
	}
}

func FuzzLoad(f *testing.F) {
	m := New(1)
	tcs := instrument(f, listing.NSE, "TCS-EQ")
	m.Set(tcs, today.Start(), 3500*listing.Rupee)
	m.Record(tcs, today.Start(), 3500*listing.Rupee, 10)
	f.Add(m.Save())
	f.Add([]byte(`[{"Segment":"nse_cm","Token":11536,"Pieces":[{},{"From":-1}]}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := New(1)
		if m.Load(b, listed.Find) == nil {
			m.Day(tcs, today.Start().Add(time.Hour))
		}
	})
}

func TestGap_movesContractsToo(t *testing.T) {
	m := New(1)
	future := instrument(t, listing.NSEDeriv, "NIFTY26SEPFUT")
	call := instrument(t, listing.NSEDeriv, "NIFTY26SEP24500CE")
	at := today.Start().Add(10 * time.Hour)
	index := m.At(future.Underlying, at)
	before := m.At(call, at)
	m.Gap(future.Underlying, at, index*102/100/100*100)
	if p := m.At(future, at); p < index*101/100 {
		t.Errorf("the future is at %s, the index was at %s", p, index)
	}
	if p := m.At(call, at); p <= before {
		t.Errorf("the call went from %s to %s", before, p)
	}
	if m.At(future.Underlying, at.Add(time.Hour)) == m.At(future.Underlying, at.Add(2*time.Hour)) {
		t.Error("the index does not move")
	}
}

func TestDepth_hasBidsBelowAsksOnTheTickAndInTheBand(t *testing.T) {
	all := some(t)
	rapid.Check(t, func(t *rapid.T) {
		m := New(rapid.Uint64().Draw(t, "seed"))
		i := rapid.SampledFrom(all).Draw(t, "of")
		at := today.Start().Add(time.Duration(rapid.IntRange(0, ticksPerDay).Draw(t, "at")) * Step)
		p := m.At(i, at)
		low, high := max(p-2*i.Tick, i.Tick), p+i.Tick
		bids, asks := m.Depth(i, at, low, high)
		if i.Kind == listing.Index {
			if bids[0].Price != 0 || asks[0].Price != 0 {
				t.Fatal("an index has orders")
			}
			return
		}
		for k := range 5 {
			for _, l := range []Level{bids[k], asks[k]} {
				if l.Price != 0 && (l.Price < low || l.Price > high || !i.OnTick(l.Price) || l.Quantity < i.Lot || l.Quantity%i.Lot != 0 || l.Orders < 1) {
					t.Fatalf("%s has the level %+v around %s", i.Name, l, p)
				}
			}
			if k > 0 && (bids[k].Price >= bids[k-1].Price && bids[k].Price != 0 || asks[k].Price <= asks[k-1].Price && asks[k].Price != 0) {
				t.Fatalf("%s has the levels %v %v", i.Name, bids, asks)
			}
		}
		if bids[0].Price >= asks[0].Price && asks[0].Price != 0 || bids[0].Price > p || asks[0].Price < p || asks[0].Price > p+i.Tick {
			t.Fatalf("%s at %s: bid %s, ask %s", i.Name, p, bids[0].Price, asks[0].Price)
		}
	})
}

func TestYear_holdsTheDaysBeforeIt(t *testing.T) {
	m := New(5)
	for _, i := range some(t) {
		low, high := m.Year(i, today)
		for n := 1; n <= 7; n++ {
			d := today.Add(-n)
			b := m.Candles(i, 24*time.Hour, d.Start(), d.Add(1).Start(), today.Start())[0]
			if b.Low < low || b.High > high {
				t.Errorf("%s went from %s to %s on %s; the year's range is %s to %s", i.Name, b.Low, b.High, d, low, high)
			}
		}
	}
}

func TestSameShare_hasOnePriceOnBothExchanges(t *testing.T) {
	m := New(3)
	at := today.Start().Add(time.Hour)
	n, b := instrument(t, listing.NSE, "RELIANCE-EQ"), instrument(t, listing.BSE, "RELIANCE")
	if x, y := m.At(n, at), m.At(b, at); math.Abs(float64(x)/float64(y)-1) > 0.005 {
		t.Errorf("%s on NSE, %s on BSE", x, y)
	}
	m.Set(n, at, 1500*listing.Rupee)
	if m.At(b, at) == 1500*listing.Rupee {
		t.Error("a price set on one exchange is set on the other")
	}
}
