package paper

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"neoapi/internal/paper/listing"
)

// stateOf writes down all that decides what happens next, in books, orders and accounts.
// What is only looked up faster next time is no part of it.
func stateOf(x *Exchange) string {
	w := &writer{seen: map[uintptr]int{}}
	for _, v := range []any{x.now, x.date, x.accounts, x.ledger, x.orders, x.extras, x.versions, x.rows, x.fills, x.texts, x.tags, x.sequence, x.carried, x.flight, x.born, x.arrival, x.active} {
		w.write(reflect.ValueOf(v))
	}
	for _, in := range x.instruments {
		if in.book != nil || len(in.stops[Buy])+len(in.stops[Sell]) > 0 {
			for _, v := range []any{in.index, in.halted, in.book, in.stops, in.trailing, in.came} {
				w.write(reflect.ValueOf(v))
			}
		}
	}
	return string(w.out) + string(x.market.Save())
}

type writer struct {
	out  []byte
	seen map[uintptr]int
}

var skipped = []reflect.Type{reflect.TypeFor[*listing.Instrument](), reflect.TypeFor[func(*listing.Instrument) listing.Price]()}

func (w *writer) write(v reflect.Value) {
	switch {
	case v.IsZero(), v.Kind() == reflect.Slice && v.Len() == 0, v.Kind() == reflect.Map && v.Len() == 0:
		w.out = append(w.out, '0')
		return
	case v.Kind() == reflect.Struct && strings.HasPrefix(v.Type().Name(), "slab["):
		for k := range v.FieldByName("n").Uint() {
			w.write(v.FieldByName("chunks").Index(int(k+1) >> slabBits).Elem().Index(int(k+1) & (slabSize - 1)))
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || slices.Contains(skipped, v.Type()) {
			return
		}
		if n := w.seen[v.Pointer()]; n > 0 {
			w.out = fmt.Appendf(w.out, " as %d", n)
			return
		}
		w.seen[v.Pointer()] = len(w.seen) + 1
		w.write(v.Elem())
	case reflect.Struct:
		for k := range v.NumField() {
			if v.Type().Field(k).Name != "recent" {
				w.write(v.Field(k))
			}
		}
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
			w.out = fmt.Appendf(w.out, " %x", v.Bytes())
			return
		}
		w.out = fmt.Appendf(w.out, "[%d", v.Len())
		for k := range v.Len() {
			w.write(v.Index(k))
		}
	case reflect.Map:
		keys := map[string]reflect.Value{}
		for _, k := range v.MapKeys() {
			one := &writer{seen: map[uintptr]int{}}
			one.write(k)
			keys[string(one.out)] = k
		}
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			w.out = append(w.out, k...)
			w.write(v.MapIndex(keys[k]))
		}
	case reflect.Func:
	default:
		w.out = fmt.Appendf(w.out, " %v", v)
	}
}

// A report, a margin check and a command that is refused change nothing.
func TestExchange_readsAndRefusalsChangeNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := newDesk(t, Config{Seed: rapid.Uint64Range(0, 20).Draw(rt, "seed"), Funds: rapid.SampledFrom([]listing.Price{0, 20_000, 10_000_000}).Draw(rt, "funds") * listing.Rupee})
		tr := newTrader(rt, d)
		acts := tr.actions()
		delete(acts, "")
		var before string
		is := func(what string, same bool) {
			if after := stateOf(d.x); same && after != before {
				k := 0
				for k < len(after) && k < len(before) && after[k] == before[k] {
					k++
				}
				rt.Fatalf("%s changed something: …%s…, before it was …%s…", what, after[max(0, k-100):min(len(after), k+100)], before[k:min(len(before), k+100)])
			}
		}
		acts[""] = func(rt *rapid.T) {
			a, i, _ := tr.draw()
			before = stateOf(d.x)
			switch rapid.IntRange(0, 7).Draw(rt, "call") {
			case 0, 1:
				p := tr.order()
				_, _ = d.x.Margin(d.now, p)
				is(fmt.Sprintf("Margin %+v", p), true)
			case 2:
				d.x.Quote(d.now, i.Key)
				d.x.Orders(d.now, a)
				d.x.Trades(d.now, a)
				d.x.Positions(d.now, a)
				d.x.Holdings(d.now, a)
				d.x.Limits(d.now, "nobody")
				d.x.Dump(d.now)
				d.x.Candles(d.now, i.Key, time.Minute, d.now.Add(-time.Hour), d.now)
				is("a report", true)
			case 3:
				p := tr.order()
				p.Quantity = rapid.SampledFrom([]int64{0, -1, 1 << 62, maxQuantity + 1}).Draw(rt, "quantity")
				_, r := d.x.Place(d.now, p)
				is(fmt.Sprintf("Place %+v", p), r != nil)
			case 4:
				c := Change{Account: a, Number: Number(rapid.Uint64().Draw(rt, "number")), Type: Limit, Validity: Day, Price: 1, Quantity: 1}
				r := d.x.Modify(d.now, c)
				is("Modify", r != nil)
				r = d.x.Cancel(d.now, a, c.Number, false)
				is("Cancel", r != nil)
			case 5:
				from := rapid.SampledFrom([]Product{CNC, MIS, NRML, MTF}).Draw(rt, "from")
				to := rapid.SampledFrom([]Product{CNC, MIS, NRML, MTF}).Draw(rt, "to")
				r := d.x.Convert(d.now, a, i.Key, rapid.SampledFrom([]Side{Buy, Sell}).Draw(rt, "side"), from, to, i.Lot*rapid.Int64Range(1, 20).Draw(rt, "lots"))
				is(fmt.Sprintf("Convert %d to %d", from, to), r != nil)
			case 6:
				r := d.x.SetPrice(d.now, i.Key, -1)
				is("SetPrice", r != nil)
				r = d.x.Fund(d.now, a, -1, nil)
				is("Fund", r != nil)
			case 7:
				if p := tr.order(); !p.AfterHours {
					need, _ := d.x.Margin(d.now, p)
					again, _ := d.x.Margin(d.now, p)
					if need != again {
						rt.Fatalf("Margin says %+v, then %+v", need, again)
					}
				}
			}
		}
		rt.Repeat(acts)
	})
}

// What fills is the same whether anybody looked at the market before, or not.
func TestQuote_doesNotDecideWhatFills(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := Config{Seed: rapid.Uint64Range(0, 20).Draw(rt, "seed")}
		watched, alone := newDesk(t, cfg), newDesk(t, cfg)
		i := alone.share()
		var numbers []Number
		for range rapid.IntRange(1, 60).Draw(rt, "commands") {
			watched.x.Quote(watched.now, i.Key)
			if len(numbers) > 0 && rapid.IntRange(0, 2).Draw(rt, "cancel") == 0 {
				n := rapid.SampledFrom(numbers).Draw(rt, "number")
				_ = watched.x.Cancel(watched.now, "A", n, false)
				_ = alone.x.Cancel(alone.now, "A", n, false)
			} else {
				p := orderOf("A", i, "buy 50")
				p.Type, p.Side = Limit, rapid.SampledFrom([]Side{Buy, Sell}).Draw(rt, "side")
				p.Price = alone.x.market.At(i, alone.now) + i.Tick*listing.Price(rapid.IntRange(-2, 2).Draw(rt, "ticks"))
				n, _ := watched.x.Place(watched.now, p)
				if m, _ := alone.x.Place(alone.now, p); m != n {
					rt.Fatal("another number")
				}
				numbers = append(numbers, n)
			}
			d := rapid.SampledFrom([]time.Duration{0, 0, 500 * time.Millisecond}).Draw(rt, "wait")
			watched.now, alone.now = watched.now.Add(d), alone.now.Add(d)
		}
		same(rt, "state of who was alone", dump(alone.x, alone.now), dump(watched.x, watched.now))
	})
}

// The same commands at the same times give the same events, to the byte.
func TestEvents_areTheSameAgain(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var records [][]byte
		cfg := Config{Seed: rapid.Uint64Range(0, 20).Draw(rt, "seed"), Latency: rapid.SampledFrom([]time.Duration{0, 700 * time.Millisecond}).Draw(rt, "latency")}
		cfg.Log = func(r []byte) error { records = append(records, slices.Clone(r)); return nil }
		d := newDesk(t, cfg)
		tr := newTrader(rt, d)
		acts := tr.actions()
		acts["wait"] = func(rt *rapid.T) {
			d.now = d.now.Add(rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, time.Minute}).Draw(rt, "wait"))
			d.x.Run(d.now)
		}
		rt.Repeat(acts)
		cfg.Log = nil
		again := newDesk(t, cfg)
		for _, r := range records {
			if err := again.x.Apply(r); err != nil {
				rt.Fatal(err)
			}
		}
		again.x.Run(d.now)
		text := func(x *Exchange) string {
			var all []string
			for _, e := range x.Events() {
				switch {
				case e.Position != nil:
					e.Position.Instrument = nil
					all = append(all, fmt.Sprintf("%s %+v", e.Account, *e.Position))
				default:
					e.Order.Instrument = nil
					all = append(all, fmt.Sprintf("%s %+v %v", e.Account, *e.Order, e.Trade != nil))
				}
			}
			return strings.Join(all, "\n")
		}
		same(rt, "events", text(again.x), text(d.x))
	})
}
