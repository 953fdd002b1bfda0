package trade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"neoapi/internal/tradewire"
)

// maxQuotes is how many instruments one call may name.
const maxQuotes = 49

// A QuoteOption changes how [Client.Quote] and [Client.Quotes] ask.
type QuoteOption func(*quoting)

type quoting struct {
	part   QuotePart
	oldest time.Duration
}

// A QuotePart is the part of a quote to ask for; the rest of the quote is then unknown.
type QuotePart string

// The parts.
const (
	PartAll     QuotePart = "all"
	PartLast    QuotePart = "ltp"
	PartOHLC    QuotePart = "ohlc"
	PartDepth   QuotePart = "depth"
	PartOI      QuotePart = "oi"
	PartYear    QuotePart = "52w"
	PartCircuit QuotePart = "circuit_limits"
)

// Part asks for a part of each quote. Only [PartAll] has a time.
func Part(p QuotePart) QuoteOption { return func(q *quoting) { q.part = p } }

// MaxAge makes a quote older than d an [ErrStale], which says how old it is. A quote
// without a time is refused too.
func MaxAge(d time.Duration) QuoteOption { return func(q *quoting) { q.oldest = d } }

// ErrStale is a quote that is older than [MaxAge] allows.
var ErrStale = errors.New("the quote is too old")

// Age returns how long before it was received the exchange last changed the quote, and
// whether that is known.
func (q Quote) Age() (age time.Duration, known bool) {
	if q.At.IsZero() {
		return 0, false
	}
	return max(0, q.Received.Sub(q.At)), true
}

// Quote returns the market in an instrument.
func (t *Client) Quote(ctx context.Context, i Instrument, opts ...QuoteOption) (Quote, error) {
	all, err := t.Quotes(ctx, []Instrument{i}, opts...)
	if len(all) == 0 {
		return Quote{}, err
	}
	return all[0], err
}

// Quotes returns the market in instruments, in their order. Calls take 49 instruments;
// more are split.
func (t *Client) Quotes(ctx context.Context, of []Instrument, opts ...QuoteOption) ([]Quote, error) {
	asked := quoting{part: PartAll}
	for _, opt := range opts {
		opt(&asked)
	}
	quotes := make([]Quote, 0, len(of))
	for some := range slices.Chunk(of, maxQuotes) {
		names := make([]string, 0, len(some))
		for _, i := range some {
			names = append(names, i.Key())
		}
		raw, err := t.get(ctx, tradewire.PathQuotes+strings.ReplaceAll(strings.Join(names, ","), " ", "%20")+"/"+string(asked.part), nil, nil)
		if err != nil {
			return nil, err
		}
		answered, err := decodeQuotes(raw, t.now())
		if err != nil {
			return nil, err
		}
		if len(answered) != len(some) {
			return nil, fmt.Errorf("%d quotes for %d instruments", len(answered), len(some))
		}
		for n := range answered {
			answered[n].Segment, answered[n].Token, answered[n].Symbol = some[n].Segment, some[n].Token, some[n].Symbol
		}
		quotes = append(quotes, answered...)
	}
	return quotes, nil
}

func decodeQuotes(raw json.RawMessage, now time.Time) ([]Quote, error) {
	var rows []json.RawMessage
	if err := json.Unmarshal(raw, &rows); err != nil {
		return nil, err
	}
	quotes := make([]Quote, 0, len(rows))
	for _, row := range rows {
		quotes = append(quotes, decodeQuote(row, now))
	}
	return quotes, nil
}

func decodeQuote(row json.RawMessage, now time.Time) Quote {
	o := fieldsOf(row)
	q := Quote{
		Segment: Segment(o.text("exchange")), Token: o.text("exchange_token"), Symbol: o.text("display_symbol"),
		Last: o.price("ltp"), LastQty: o.count("last_traded_quantity"), PrevClose: Rupees{}, AvgPrice: o.price("avg_cost"),
		Volume: o.count("last_volume"), OpenInterest: o.count("open_int"), TotalBuy: o.count("total_buy"), TotalSell: o.count("total_sell"),
		Upper: o.price("high_price_range"), Lower: o.price("low_price_range"), YearHigh: o.price("year_high"), YearLow: o.price("year_low"),
		At: o.seconds("lstup_time"), Received: now.In(IST), Raw: Raw(row),
	}
	bars := o.object("ohlc")
	q.Open, q.High, q.Low, q.PrevClose = bars.price("open"), bars.price("high"), bars.price("low"), bars.price("close")
	depth := o.object("depth")
	q.Bids, q.Asks = levels(depth["buy"]), levels(depth["sell"])
	return q
}

// levels reads one side of a book, without the levels that are not there.
func levels(raw json.RawMessage) (side []Level) {
	var rows []json.RawMessage
	if json.Unmarshal(raw, &rows) != nil {
		return nil
	}
	for _, row := range rows {
		o := fieldsOf(row)
		if l := (Level{o.price("price"), o.count("quantity"), o.count("orders")}); l.Price.Known() && l.Quantity > 0 {
			side = append(side, l)
		}
	}
	return side
}
