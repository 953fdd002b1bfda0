package paperapi

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"neoapi/internal/paper"
	"neoapi/internal/paper/listing"
)

// intervals are the bars that there are: how long one is, and the longest span of a
// request, in days.
var intervals = map[string]struct {
	length time.Duration
	days   int
}{
	"1min": {time.Minute, 30}, "3min": {3 * time.Minute, 30}, "5min": {5 * time.Minute, 30},
	"10min": {10 * time.Minute, 60}, "15min": {15 * time.Minute, 60},
	"30min": {30 * time.Minute, 90}, "60min": {time.Hour, 90},
	"D": {24 * time.Hour, 180}, "W": {7 * 24 * time.Hour, 180},
}

// historyYears is how far back bars go.
const historyYears = 5

// candles answers with the bars of an instrument.
func (c *call) candles() ([]byte, error) {
	q := c.URL.Query()
	bad := func(name string) error { return fault(400, "Invalid "+name) }
	for _, name := range []string{"neosymbol", "interval", "fromdate", "todate"} {
		if len(q[name]) != 1 || q.Get(name) == "" {
			return nil, bad(name)
		}
	}
	i, ok := c.instrumentOf(strings.Replace(q.Get("neosymbol"), "|INDIA VIX", "|India VIX", 1)) // as it is called here
	if !ok || i.Segment == listing.MCX {
		return nil, bad("neosymbol")
	}
	interval, ok := intervals[q.Get("interval")]
	if !ok {
		return nil, bad("interval")
	}
	from, err := date(q.Get("fromdate"))
	if err != nil {
		return nil, bad("fromdate")
	}
	to, err := date(q.Get("todate"))
	if err != nil || to.Before(from) {
		return nil, bad("todate")
	}
	if int(to.Start().Sub(from.Start())/(24*time.Hour)) > interval.days {
		return nil, fault(400, "the range is longer than "+strconv.Itoa(interval.days)+" days")
	}
	if first := listing.DateOf(c.now.AddDate(-historyYears, 0, 0)); from.Before(first) {
		from = first
	}
	c.after = func() ([]byte, error) {
		bars := c.bars(i, interval.length, from, to)
		if len(bars) == 0 {
			return nil, fault(400, "No data found")
		}
		return candlesOf(bars, q.Get("interval"), max(2, i.Precision)), nil
	}
	return nil, nil
}

// bars returns the bars of some days. Those of a month's minutes take a tenth of a second,
// and others trade meanwhile: they are read day by day.
func (c *call) bars(i *listing.Instrument, length time.Duration, from, to listing.Date) (bars []paper.Candle) {
	step := 1
	if length >= 24*time.Hour {
		step = int(to.Start().Sub(from.Start())/(24*time.Hour)) + 1
	}
	for d := from; !to.Before(d); d = d.Add(step) {
		end := d.Add(step)
		c.Exchange(func(x *paper.Exchange, _ time.Time) {
			bars = append(bars, x.Candles(c.now, i.Key, length, d.Start(), end.Start())...)
		})
	}
	return bars
}

// candlesOf writes bars out.
func candlesOf(bars []paper.Candle, interval string, decimals int) row {
	r := make(row, 0, 128+len(bars)*80)
	r.begin()
	r.text("status", "success")
	r.text("interval", interval)
	r.key("data")
	r = append(r, `{"candles":[`...)
	for _, b := range bars {
		r = append(r, '[', '"')
		r = b.Start.In(listing.India).AppendFormat(r, "2006-01-02T15:04:05-0700")
		r = append(r, '"', ',')
		for _, p := range []listing.Price{b.Open, b.High, b.Low, b.Close} {
			r = appendPrice(r, p, decimals)
			r = append(r, ',')
		}
		r = strconv.AppendInt(r, b.Volume, 10)
		r = append(r, ',')
		r = strconv.AppendInt(r, b.OpenInterest, 10)
		r = append(r, ']', ',')
	}
	r[len(r)-1] = ']'
	return append(r, '}', '}')
}

func date(text string) (listing.Date, error) {
	t, err := time.ParseInLocation(time.DateOnly, text, listing.India)
	return listing.DateOf(t), err
}

// contracts returns the segment and the underlying that a query names, and whether it asks
// for futures.
func (c *call) contracts() (s listing.Segment, symbol string, futures bool, err error) {
	q := c.URL.Query()
	s, ok := listing.ParseSegment(q.Get("exchange"))
	if !ok || s.Cash() || s == listing.Currency {
		return s, "", false, invalid("please provide valid exchange")
	}
	if symbol = q.Get("underlying"); symbol == "" {
		return s, "", false, invalid("please provide valid underlying")
	}
	switch strings.ToLower(q.Get("instrument_type")) {
	case "", "option":
	case "fut":
		futures = true
	default:
		return s, "", false, invalid("please provide valid instrument_type")
	}
	return s, symbol, futures, nil
}

func contractKinds(futures bool) []listing.Kind {
	if futures {
		return []listing.Kind{listing.Future}
	}
	return []listing.Kind{listing.Call, listing.Put}
}

// expiries answers with the dates at which an underlying's contracts expire.
func (c *call) expiries() ([]byte, error) {
	s, symbol, futures, err := c.contracts()
	if err != nil {
		return nil, err
	}
	var r row
	r.begin()
	r.text("exchange", s.String())
	r.text("underlying", symbol)
	r.key("expiries")
	r = append(r, '[')
	for n, d := range c.exchange.Listing(c.now).Expiries(s, symbol, contractKinds(futures)...) {
		if n > 0 {
			r = append(r, ',')
		}
		r = appendText(r, d.String())
	}
	return append(r, ']', '}'), nil
}

// defaultCount is how many strikes a chain has to each side of the money.
const defaultCount = 40

// chain answers with the options or the futures of an underlying.
func (c *call) chain() ([]byte, error) {
	s, symbol, futures, err := c.contracts()
	if err != nil {
		return nil, err
	}
	q := c.URL.Query()
	count := defaultCount
	if text := q.Get("count"); text != "" {
		if count, err = strconv.Atoi(text); err != nil || count < 10 || count%10 != 0 || count > 1000 {
			return nil, invalid("please provide valid count: a multiple of ten")
		}
	}
	day := c.exchange.Listing(c.now)
	expiries := day.Expiries(s, symbol, contractKinds(futures)...)
	if len(expiries) == 0 {
		return nil, invalid("please provide valid underlying")
	}
	expiry := expiries[0]
	if text := q.Get("expiry"); text != "" {
		if expiry, err = date(text); err != nil || !slices.Contains(expiries, expiry) {
			return nil, invalid("please provide valid expiry")
		}
	}
	rows := day.Chain(s, symbol, expiry)
	if futures {
		rows = slices.DeleteFunc(slices.Clone(day.Instruments()), func(i *listing.Instrument) bool {
			return i.Segment != s || i.Symbol != symbol || i.Kind != listing.Future
		})
		slices.SortFunc(rows, func(x, y *listing.Instrument) int { return cmp.Compare(x.Expiry.String(), y.Expiry.String()) })
	}
	switch {
	case futures && c.fault.Name == faultDocument:
		return c.documentedFutures(rows)
	case futures:
		return c.futuresChain(rows)
	case c.fault.Name == faultDocument:
		return c.documentedChain(rows, count)
	}
	return c.optionChain(rows, count)
}

// documentedChain is a chain in the form of the vendor's documents.
func (c *call) documentedChain(rows []*listing.Instrument, count int) ([]byte, error) {
	var r row
	r.begin()
	r.key("data")
	r.begin()
	r.common(rows[0])
	spot := c.spot(rows[0])
	for _, side := range sidesOfChain {
		of := side.of(rows)
		atm := middle(of, spot)
		r.key(side.name)
		r = append(r, '[')
		for n, i := range nearest(of, atm, count) {
			if n > 0 {
				r = append(r, ',')
			}
			q := c.quoteAt(i)
			r.begin()
			r.key("instrument")
			r.begin()
			r.text("neoSymbol", i.Key.String())
			r.text("symbol", i.Name)
			r.text("optionType", optionTypes[side.kind])
			r.text("strikePrice", short(i.Strike))
			r.text("moneyness", moneyness(i, of[atm].Strike))
			r.end()
			r = append(r, `,"quote":`...)
			r.begin()
			r.price("ltp", q.Last, 4)
			r.price("open", q.Open, 4)
			r.price("high", q.High, 4)
			r.price("low", q.Low, 4)
			r.price("prevClose", q.Close, 4)
			r = append(r, `"close":null,`...)
			r.number("volume", q.Volume)
			r.end()
			r = append(r, `,"openInterest":`...)
			r.begin()
			r.number("current", q.OpenInterest)
			r.number("previous", q.OpenInterest)
			r.number("change", 0)
			r = append(r, `"changePct":0.0}}`...)
		}
		r = append(r, ']', ',')
	}
	r.end()
	return append(r, '}'), nil
}

// documentedFutures are the futures in the form of the vendor's documents.
func (c *call) documentedFutures(rows []*listing.Instrument) ([]byte, error) {
	var r row
	r.begin()
	r.key("data")
	r.begin()
	r.common(rows[0])
	r = append(r, `"call":[],"put":[],`...)
	r.key("fut")
	r = append(r, '[')
	for n, i := range rows {
		if n > 0 {
			r = append(r, ',')
		}
		q := c.quoteAt(i)
		r.begin()
		r.key("inst")
		r.begin()
		r.text("neoSymbol", i.Key.String())
		r.text("symbol", i.Name)
		r.text("expiryDt", strings.ToUpper(i.Expiry.Start().Format("02-Jan-2006")))
		r.end()
		r = append(r, ',')
		r.key("quote")
		r.prices(q)
		r = append(r, ',')
		r.key("oi")
		r.begin()
		r.digits("cur", q.OpenInterest)
		r.digits("prev", q.OpenInterest)
		r.texts("0", "chg", "chgPct")
		r.end()
		r.end()
	}
	return append(r, ']', '}', '}'), nil
}

// moneyness says which side of the strike at the money an option's strike is on.
func moneyness(i *listing.Instrument, atm listing.Price) string {
	switch {
	case i.Strike == atm:
		return "ATM"
	case (i.Kind == listing.Call) == (i.Strike < atm):
		return "ITM"
	}
	return "OTM"
}

// common adds what the rows of a chain have in common.
func (r *row) common(i *listing.Instrument) {
	r.key("common_data")
	r.begin()
	r.digits("mktLot", i.Lot)
	r.digits("multiplier", i.Multiplier)
	r.text("unlSymbol", i.Symbol)
	r.text("exSeg", i.Segment.String())
	r.text("expiryDt", i.Expiry.String())
	r.end()
	*r = append(*r, ',')
}

// A chainSide is one of the two sides of a chain.
type chainSide struct {
	name string
	kind listing.Kind
}

var sidesOfChain = []chainSide{{"call", listing.Call}, {"put", listing.Put}}

// of returns the options of the side.
func (s chainSide) of(rows []*listing.Instrument) (of []*listing.Instrument) {
	for _, i := range rows {
		if i.Kind == s.kind {
			of = append(of, i)
		}
	}
	return of
}

// optionChain answers with count strikes to each side of the money.
func (c *call) optionChain(rows []*listing.Instrument, count int) ([]byte, error) {
	var r row
	r.begin()
	r.common(rows[0])
	spot := c.spot(rows[0])
	for _, side := range sidesOfChain {
		of := side.of(rows)
		r.key(side.name)
		r = append(r, '[')
		for n, i := range nearest(of, middle(of, spot), count) {
			if n > 0 {
				r = append(r, ',')
			}
			r.contract(c.quoteAt(i), func() {
				r.text("neoSymbol", i.Key.String())
				r.text("symbol", i.Name)
				r.text("strkPrc", short(i.Strike))
			})
		}
		r = append(r, ']', ',')
	}
	r.end()
	return r, nil
}

// spot returns the price of a contract's underlying.
func (c *call) spot(i *listing.Instrument) listing.Price {
	if i.Underlying != nil {
		i = i.Underlying
	}
	q, _ := c.exchange.Quote(c.now, i.Key)
	return cmp.Or(q.Last, q.Close)
}

func (c *call) quoteAt(i *listing.Instrument) *paper.Quote {
	q, _ := c.exchange.Quote(c.now, i.Key)
	return &q
}

// middle returns the index of the option whose strike is nearest to the price; of two as
// near, the lower.
func middle(of []*listing.Instrument, spot listing.Price) (best int) {
	for n, i := range of {
		if away(i.Strike, spot) < away(of[best].Strike, spot) {
			best = n
		}
	}
	return best
}

// nearest returns the options of count strikes to each side of the one at the money, and
// that one.
func nearest(of []*listing.Instrument, atm, count int) []*listing.Instrument {
	return of[max(0, atm-count):min(len(of), atm+count+1)]
}

func away(x, y listing.Price) listing.Price { return max(x-y, y-x) }

// contract adds a row of a chain.
func (r *row) contract(q *paper.Quote, inst func()) {
	r.begin()
	r.key("inst")
	r.begin()
	inst()
	r.end()
	*r = append(*r, ',')
	r.key("quote")
	r.prices(q)
	*r = append(*r, ',')
	r.key("oi")
	r.begin()
	r.digits("cur", q.OpenInterest)
	r.digits("prev", q.OpenInterest)
	r.price("chg", q.Last-q.Close, 4) // the price's change, as the real service has it
	r.end()
	*r = append(*r, ',')
	r.end()
}

// prices adds the quote of a row of a chain.
func (r *row) prices(q *paper.Quote) {
	r.begin()
	r.price("ltp", q.Last, 4)
	r.price("o", q.Open, 4)
	r.price("h", q.High, 4)
	r.price("l", q.Low, 4)
	r.price("c", q.Close, 4)
	r.price("pc", percent(q.Last-q.Close, q.Close), 4)
	r.digits("vol", q.Volume)
	r.end()
}

// futuresChain answers with all futures of an underlying.
func (c *call) futuresChain(rows []*listing.Instrument) ([]byte, error) {
	var r row
	r.begin()
	r.common(rows[0])
	r = append(r, `"call":[],"put":[],`...)
	r.key("future_contracts")
	r = append(r, '[')
	for n, i := range rows {
		if n > 0 {
			r = append(r, ',')
		}
		r.contract(c.quoteAt(i), func() {
			r.text("neoSymbol", i.Key.String())
			r.text("symbol", i.Name)
			r.text("exp", i.Expiry.String())
		})
	}
	r = append(r, ']')
	return append(r, '}'), nil
}

// short returns a price without decimals that are zero.
func short(p listing.Price) string {
	return strings.TrimSuffix(strings.TrimRight(p.Decimals(4), "0"), ".")
}
