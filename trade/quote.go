package trade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"neoapi"
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
	return all[0], err // beside ErrStale there is the quote
}

// Quotes returns the market in instruments, in their order. It needs no login. A call takes
// 49 instruments; more are asked for in several, within the rate. The service refuses a
// call that names an instrument it does not know. Where it has left one out the quote is
// unknown and the error, an [ErrNotFound], names it; the other quotes are there beside the
// error, and so they are beside an [ErrStale].
func (t *Client) Quotes(ctx context.Context, of []Instrument, opts ...QuoteOption) ([]Quote, error) {
	asked := quoting{part: PartAll}
	for _, opt := range opts {
		opt(&asked)
	}
	quotes := make([]Quote, 0, len(of))
	var problems []error
	for some := range slices.Chunk(of, maxQuotes) {
		got, err := t.someQuotes(ctx, some, asked)
		if got == nil && err != nil {
			return nil, err
		}
		quotes, problems = append(quotes, got...), append(problems, err)
	}
	return quotes, errors.Join(problems...)
}

func (t *Client) someQuotes(ctx context.Context, of []Instrument, asked quoting) ([]Quote, error) {
	names := make([]string, 0, len(of))
	for _, i := range of {
		if i.Segment == "" || i.Token == "" {
			return nil, i.unquoted()
		}
		names = append(names, url.PathEscape(string(i.Segment)+"|"+i.QuoteName()))
	}
	raw, err := t.ask(ctx, readLimit, tradewire.PathQuotes+strings.Join(names, ",")+"/"+url.PathEscape(string(asked.part)), nil, nil)
	if fail, ok := errors.AsType[*neoapi.Error](err); ok && fail.Code == unknownField {
		return nil, noSuch(err, "the service has no quotes of %s", keys(of))
	}
	if err != nil {
		return nil, err
	}
	var rows []json.RawMessage
	if json.Unmarshal(raw, &rows) != nil {
		return nil, errorf("the quotes of %s are no list", keys(of))
	}
	answered := make(map[string]Quote, len(rows))
	now := t.api.Now().In(IST)
	for _, row := range rows {
		q := decodeQuote(row)
		q.Received = now
		answered[strings.ToLower(string(q.Segment)+"|"+q.Token)] = q
	}
	quotes := make([]Quote, 0, len(of))
	var problems []error
	for _, i := range of {
		q, ok := answered[strings.ToLower(string(i.Segment)+"|"+i.QuoteName())]
		if !ok {
			q, ok = answered[i.Key()]
		}
		if !ok {
			problems = append(problems, noSuch(nil, "the service has no quote of %s (%s)", i.Symbol, i.Key()))
			quotes = append(quotes, Quote{Segment: i.Segment, Token: i.Token, Symbol: i.Symbol})
			continue
		}
		q.Segment, q.Token, q.Symbol = i.Segment, i.Token, i.Symbol
		problems = append(problems, asked.fresh(q))
		quotes = append(quotes, q)
	}
	return quotes, errors.Join(problems...)
}

// unknownField is the code of an instrument that the service does not know.
const unknownField = "1009"

// keys names instruments for an error.
func keys(of []Instrument) string {
	if len(of) > 3 {
		return fmt.Sprintf("one of %d instruments", len(of))
	}
	var names []string
	for _, i := range of {
		names = append(names, i.Key())
	}
	return strings.Join(names, ", ")
}

// indexNames are how quotes and candles name the indices that contracts have as their
// underlying; others go by their tokens.
var indexNames = map[string]string{
	"NIFTY": "Nifty 50", "BANKNIFTY": "Nifty Bank", "FINNIFTY": "Nifty Fin Service", "NIFTYNXT50": "Nifty Next 50", "INDIAVIX": "India VIX",
	"INDIA VIX": "India VIX", "SENSEX": "SENSEX", "BANKEX": "BANKEX",
}

// QuoteName returns what stands for the instrument's token where the service quotes it, over
// HTTP and in a feed: an index goes by its name, such as "Nifty 50".
func (i Instrument) QuoteName() string {
	if i.Kind == IndexKind {
		if name, ok := indexNames[strings.ToUpper(i.Name)]; ok {
			return name
		}
	}
	return i.Token
}

// fresh returns an error if a quote is older than it may be.
func (a quoting) fresh(q Quote) error {
	if a.oldest <= 0 {
		return nil
	}
	age, known := q.Age()
	switch {
	case !known:
		return errorf("%w: that of %s has no time", ErrStale, q.Symbol)
	case age > a.oldest:
		return errorf("%w: that of %s is %s old, of %s; at most %s are allowed", ErrStale, q.Symbol, age.Round(time.Second), q.At.Format(time.TimeOnly), a.oldest)
	}
	return nil
}

// decodeQuote reads a quote. An instrument that has not traded today has a last price of 0,
// which is none.
func decodeQuote(row json.RawMessage) Quote {
	o := fieldsOf(row)
	q := Quote{
		Segment: Segment(o.text("exchange")), Token: o.text("exchange_token"), Symbol: o.text("display_symbol"),
		Last: o.price("ltp"), LastQty: o.count("last_traded_quantity"), AvgPrice: o.price("avg_cost"),
		Volume: o.count("last_volume"), OpenInterest: o.count("open_int"), TotalBuy: o.count("total_buy"), TotalSell: o.count("total_sell"),
		Upper: o.price("high_price_range"), Lower: o.price("low_price_range"), YearHigh: o.price("year_high"), YearLow: o.price("year_low"),
		At: o.seconds("lstup_time"), Raw: Raw(row),
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

// unquoted is the error for an instrument that cannot be asked about.
func (i Instrument) unquoted() *Invalid {
	return &Invalid{Field: "instrument", Value: clip(i.Symbol), Problem: "has no segment or no token: take it from Client.Instrument"}
}
