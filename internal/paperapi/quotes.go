package paperapi

import (
	"net/url"
	"strconv"
	"strings"

	"neoapi/internal/paper"
	"neoapi/internal/paper/listing"
	"neoapi/internal/tradewire"
)

func keyOf(s listing.Segment, token int64) listing.Key {
	return listing.Key{Segment: s, Token: uint32(token)} //nolint:gosec // a quantity fits
}

// maxQuotes is the most instruments of one request.
const maxQuotes = 49

// kinds are the types of quotes: which parts of the whole each has.
var kinds = map[string]string{
	"": "all", "all": "all", "depth": "depth", "market_depth": "depth", "ohlc": "ohlc", "ltp": "ltp", "oi": "oi",
	"52w": "52w", "circuit_limits": "circuit_limits", "scrip_details": "scrip_details",
}

// quotes answers with the market's picture of instruments.
func (c *call) quotes() ([]byte, error) {
	rest := strings.TrimPrefix(c.path, tradewire.PathQuotes)
	asked, kind, _ := strings.Cut(rest, "/")
	if plain, err := url.PathUnescape(asked); err == nil { // the path may have been escaped twice
		asked = plain
	}
	form, ok := kinds[strings.ToLower(kind)]
	if !ok {
		return nil, invalid("please provide valid quote type")
	}
	list := strings.Split(asked, ",")
	if len(list) > maxQuotes {
		return nil, tooMany
	}
	all := make([]paper.Quote, 0, len(list))
	for _, name := range list {
		q, ok := c.quoteOf(name)
		if !ok {
			return nil, invalid("please provide valid neosymbol")
		}
		all = append(all, q)
	}
	r := row("[")
	for n := range all {
		r.quote(&all[n], form)
		r = append(r, ',')
	}
	r[len(r)-1] = ']'
	return r, nil
}

var tooMany = &shapedFailure{400, []byte(`{"fault":{"code":"400","description":"too many symbols","message":"Please set the Neo symbol max value to 50."}}`)}

// quoteOf returns the picture of an instrument by segment and token, or name.
func (c *call) quoteOf(name string) (paper.Quote, bool) {
	i, ok := c.instrumentOf(name)
	if !ok {
		return paper.Quote{}, false
	}
	q, ok := c.exchange.Quote(c.now, i.Key)
	if c.fault.Name == faultStale {
		q.At, q.LastTime = q.At.Add(-c.fault.seconds()), q.LastTime.Add(-c.fault.seconds())
	}
	return q, ok
}

// instrumentOf returns the instrument that "nse_cm|11536" or "nse_cm|Nifty 50" names.
func (a *API) instrumentOf(name string) (*listing.Instrument, bool) {
	segment, token, ok := strings.Cut(name, "|")
	s, known := listing.ParseSegment(strings.TrimSpace(segment))
	if !ok || !known {
		return nil, false
	}
	day := a.exchange.Listing(a.now())
	if n, err := strconv.ParseUint(token, 10, 32); err == nil {
		return day.Find(keyOf(s, int64(n))) //nolint:gosec // 32 bits
	}
	if i, ok := day.Named(s, token); ok && i.Kind == listing.Index {
		return i, true
	}
	return nil, false
}

// quote adds one quote of a type.
func (r *row) quote(q *paper.Quote, form string) {
	i := q.Instrument
	index := i.Kind == listing.Index
	all := form == "all"
	r.begin()
	if index {
		r.text("exchange_token", i.Name)
	} else {
		r.digits("exchange_token", int64(i.Token))
	}
	r.text("display_symbol", i.Name)
	r.text("exchange", i.Segment.String())
	if form == "ltp" || all {
		r.price("ltp", q.Last, 4)
	}
	if all {
		r.digits("lstup_time", max(0, q.At.Unix()))
		r.digits("last_traded_quantity", q.LastQuantity)
		r.digits("total_buy", q.TotalBuy)
		r.digits("total_sell", q.TotalSell)
		r.digits("last_volume", q.Volume)
		r.price("change", q.Last-q.Close, 4)
		r.price("per_change", percent(q.Last-q.Close, q.Close), 4)
		r.price("year_high", q.YearHigh, 4)
		r.price("year_low", q.YearLow, 4)
		if !index {
			r.price("avg_cost", average(q.Traded, q.Volume), 4)
		}
	}
	if form == "52w" {
		r.price("year_high", q.YearHigh, 4)
		r.price("year_low", q.YearLow, 4)
	}
	if (all || form == "oi") && !index {
		r.digits("open_int", q.OpenInterest)
	}
	if form == "oi" {
		r.texts("0", "oi_high", "oi_las", "oi_low")
	}
	if (all || form == "circuit_limits") && !index {
		r.price("low_price_range", q.BandLow, 4)
		r.price("high_price_range", q.BandHigh, 4)
	}
	if all || form == "ohlc" {
		r.key("ohlc")
		r.begin()
		r.price("open", q.Open, 4)
		r.price("high", q.High, 4)
		r.price("low", q.Low, 4)
		r.price("close", q.Close, 4)
		r.end()
		*r = append(*r, ',')
	}
	if form == "scrip_details" {
		r.digits("lot_size", i.Lot)
		r.price("tick_size", i.Tick, 4)
		r.text("series", i.Series)
		r.text("isin", i.ISIN)
	}
	if all || form == "depth" {
		r.depth(q)
	}
	r.end()
}

func (r *row) depth(q *paper.Quote) {
	r.key("depth")
	r.begin()
	for _, side := range []struct {
		name   string
		levels *[5]paper.Level
	}{{"buy", &q.Bids}, {"sell", &q.Asks}} {
		r.key(side.name)
		*r = append(*r, '[')
		for _, l := range side.levels {
			r.begin()
			r.price("price", l.Price, 4)
			r.digits("quantity", l.Quantity)
			r.digits("orders", int64(l.Orders))
			r.end()
			*r = append(*r, ',')
		}
		(*r)[len(*r)-1] = ']'
		*r = append(*r, ',')
	}
	r.end()
	*r = append(*r, ',')
}

// percent returns a share as a price: 1.25 % is 1.25 rupees.
func percent(part, whole listing.Price) listing.Price {
	if whole == 0 {
		return 0
	}
	return part * 100 * listing.Rupee / whole
}
