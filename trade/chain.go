package trade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"neoapi"
	"neoapi/internal/tradewire"
)

// An Underlying is what options and futures are of: see [Index], [Stock] and [Commodity].
type Underlying struct {
	Name    string  // as the scrip master's pSymbolName has it
	Segment Segment // of the contracts; "" looks in NFO and then in BFO
}

// Index is an index, such as NIFTY, BANKNIFTY or SENSEX.
func Index(name string) Underlying { return Underlying{Name: name} }

// Stock is a share whose contracts are traded at NSE, such as TCS.
func Stock(name string) Underlying { return Underlying{name, NFO} }

// Commodity is a commodity of MCX, such as GOLDM.
func Commodity(name string) Underlying { return Underlying{name, MCX} }

// An Expiry chooses the contracts of one day.
type Expiry struct{ on Date }

// NearestExpiry is the first day from today on that options expire on.
var NearestExpiry = Expiry{}

// On is a day.
func On(d Date) Expiry { return Expiry{d} }

// A Chain is the options of an underlying that expire on a day: every listed strike, with
// the quotes of when it was asked for.
type Chain struct {
	Underlying Underlying
	Expiry     Date
	Spot       Quote // of the underlying; of a commodity the nearest future
	rows       []ChainRow
	at         map[Rupees]int // of each strike, its row
	marked     Rupees         // the strike that the service calls at the money, if it says so
	today      Date
}

// A ChainRow is a strike. A side that is not listed is empty: its instrument has no
// token.
type ChainRow struct {
	Strike    Rupees
	Call, Put Instrument

	CallQuote, PutQuote Quote // Last, Open, High, Low, PrevClose, Volume and OpenInterest, where known
}

// contractsOf returns the master that lists options of an underlying, and their rows.
func (t *Client) contractsOf(ctx context.Context, of Underlying) (m *Master, f *scrips, rows []uint32, err error) {
	if of.Name == "" {
		return nil, nil, nil, &Invalid{Field: "underlying", Problem: "is missing, or has no name"}
	}
	segments := []Segment{NFO, BFO}
	if of.Segment != "" {
		segments = []Segment{of.Segment.wire()}
	} else if of.Name == "SENSEX" || of.Name == "BANKEX" || of.Name == "SENSEX50" {
		segments = []Segment{BFO} // saves reading the larger file
	}
	for _, s := range segments {
		if m, err = t.Instruments(ctx, s); err != nil {
			return nil, nil, nil, err
		}
		f = m.files[0]
		for _, row := range f.ofName(of.Name) {
			if k := f.rows[row].kind; k == kindCall || k == kindPut {
				rows = append(rows, row)
			}
		}
		if len(rows) > 0 {
			return m, f, rows, nil
		}
	}
	return nil, nil, nil, noSuch(nil, "there are no options of %q in %s", clip(of.Name), listed(segments))
}

// Expiries returns the days from today on that options of an underlying expire on,
// ascending, each once. It needs no login.
func (t *Client) Expiries(ctx context.Context, of Underlying) ([]Date, error) {
	_, f, rows, err := t.contractsOf(ctx, of)
	if err != nil {
		return nil, err
	}
	return f.expiries(rows, DateOf(t.api.Now())), nil
}

func (f *scrips) expiries(rows []uint32, today Date) []Date {
	var days []day
	for _, row := range rows {
		if d := f.rows[row].expiry; d >= dayOf(today) {
			days = append(days, d)
		}
	}
	slices.Sort(days)
	var dates []Date
	for _, d := range slices.Compact(days) {
		dates = append(dates, d.date())
	}
	return dates
}

// OptionChain returns the options of an underlying that expire on a day, with their
// quotes. It needs no login.
//
// The strikes are those that the day's scrip master lists, and those that the service's
// chain has besides; of these tick, freeze quantity and band are unknown. The quotes are the chain's or, where the service has no chain or it
// leaves a strike out, asked for one by one.
func (t *Client) OptionChain(ctx context.Context, of Underlying, expiry Expiry, opts ...neoapi.CallOption) (*Chain, error) {
	_, f, rows, err := t.contractsOf(ctx, of)
	if err != nil {
		return nil, err
	}
	c := &Chain{Underlying: Underlying{of.Name, f.segment}, Expiry: expiry.on, at: map[Rupees]int{}, today: DateOf(t.api.Now())}
	days := f.expiries(rows, c.today)
	switch {
	case len(days) == 0:
		return nil, noSuch(nil, "all options of %s in the scrip master of %s have expired", of.Name, f.date)
	case c.Expiry.IsZero():
		c.Expiry = days[0]
	case !slices.Contains(days, c.Expiry):
		return nil, noSuch(nil, "no options of %s expire on %s; they do on %s", of.Name, c.Expiry, listed(days[:min(len(days), 8)]))
	}
	for _, row := range rows {
		if f.rows[row].expiry == dayOf(c.Expiry) {
			var i Instrument
			f.fill(&i, &f.rows[row])
			c.add(i)
		}
	}
	quotes, err := t.chainQuotes(ctx, c, opts)
	if err != nil {
		return nil, err
	}
	c.sort()
	if err := t.quoteRest(ctx, c, quotes); err != nil {
		return nil, err
	}
	c.Spot, err = t.spot(ctx, c)
	return c, err
}

// add puts an option into its row.
func (c *Chain) add(i Instrument) {
	n, ok := c.at[i.Strike]
	if !ok {
		n = len(c.rows)
		c.at[i.Strike] = n
		c.rows = append(c.rows, ChainRow{Strike: i.Strike})
	}
	if i.Kind == Call && c.rows[n].Call.Token == "" {
		c.rows[n].Call = i
	} else if i.Kind == Put && c.rows[n].Put.Token == "" {
		c.rows[n].Put = i
	}
}

// sort puts the rows into the order of their strikes.
func (c *Chain) sort() {
	slices.SortFunc(c.rows, func(x, y ChainRow) int { return x.Strike.Cmp(y.Strike) })
	for n, r := range c.rows {
		c.at[r.Strike] = n
	}
}

// chainQuotes asks for the service's chain and returns its quotes by token. Strikes that
// the master does not have are added. Where there is no chain it returns none.
func (t *Client) chainQuotes(ctx context.Context, c *Chain, opts []neoapi.CallOption) (map[string]Quote, error) {
	raw, err := t.ask(ctx, slowLimit, tradewire.PathChain, url.Values{
		"exchange": {string(c.Underlying.Segment)}, "underlying": {c.Underlying.Name}, "expiry": {c.Expiry.String()},
		"count": {strconv.Itoa(min(1000, (len(c.rows)+9)/10*10))},
	}, opts)
	if fail, ok := errors.AsType[*neoapi.Error](err); ok && (fail.Status == http.StatusNotFound || fail.Code == unknownField || fail.Category == neoapi.ErrInvalidInput) {
		return nil, nil // this service or generation has none, or not of this segment
	}
	if err != nil {
		return nil, err
	}
	now := t.api.Now().In(IST)
	quotes := map[string]Quote{}
	listed := map[string]bool{"": true}
	for _, r := range c.rows {
		listed[r.Call.Token], listed[r.Put.Token] = true, true
	}
	rows, common := decodeChain(raw)
	other := common.text("expiryDt") != "" && common.text("expiryDt") != c.Expiry.String()
	for _, r := range rows {
		if r.instrument.Segment != c.Underlying.Segment {
			continue
		}
		if !listed[r.instrument.Token] {
			if other || !r.instrument.Strike.Known() {
				continue
			}
			r.instrument.Name, r.instrument.Expiry, r.instrument.Lot = c.Underlying.Name, c.Expiry, common.count("mktLot")
			c.add(r.instrument)
		}
		if r.atTheMoney && !c.marked.Known() {
			c.marked = r.instrument.Strike
		}
		r.quote.Received = now
		quotes[r.instrument.Token] = r.quote
	}
	return quotes, nil
}

// A chainRow is an option of the service's chain.
type chainRow struct {
	instrument Instrument
	quote      Quote
	atTheMoney bool
}

// decodeChain reads a chain: as the service sends it, at the top level with short names,
// or as its documents have it.
func decodeChain(raw json.RawMessage) (rows []chainRow, common fields) {
	answer := fieldsOf(raw)
	if inner := answer.object("data"); inner != nil {
		answer = inner
	}
	for _, side := range [...]struct {
		name string
		kind Kind
	}{{"call", Call}, {"put", Put}} {
		var list []json.RawMessage
		if json.Unmarshal(answer[side.name], &list) != nil {
			continue
		}
		for _, raw := range list {
			o := fieldsOf(raw)
			inst := first(o.object("inst"), o.object("instrument"))
			segment, token, ok := strings.Cut(inst.text("neoSymbol"), "|")
			if !ok || token == "" {
				continue
			}
			r := chainRow{
				instrument: Instrument{
					Segment: Segment(segment), Token: token, Symbol: inst.text("symbol"), Kind: side.kind, Strike: inst.firstPrice("strkPrc", "strikePrice"),
					Precision: 2, Multiplier: 1, GenNum: 1, GenDen: 1, PriceNum: 1, PriceDen: 1,
				},
				atTheMoney: inst.text("moneyness") == "ATM",
			}
			q, oi := o.object("quote"), first(o.object("oi"), o.object("openInterest"))
			r.quote = Quote{
				Segment: r.instrument.Segment, Token: token, Symbol: r.instrument.Symbol, Last: q.price("ltp"),
				Open: q.firstPrice("o", "open"), High: q.firstPrice("h", "high"), Low: q.firstPrice("l", "low"), PrevClose: q.firstPrice("c", "prevClose"),
				Volume: max(q.count("vol"), q.count("volume")), OpenInterest: max(oi.count("cur"), oi.count("current")), Raw: Raw(raw),
			}
			rows = append(rows, r)
		}
	}
	return rows, answer.object("common_data")
}

func first(x, y fields) fields {
	if x != nil {
		return x
	}
	return y
}

// firstPrice returns the first of several fields that is a price.
func (o fields) firstPrice(names ...string) Rupees {
	for _, name := range names {
		if r := o.price(name); r.Known() {
			return r
		}
	}
	return Rupees{}
}

// quoteRest sets the quotes of a chain, and asks for those that are not there.
func (t *Client) quoteRest(ctx context.Context, c *Chain, have map[string]Quote) error {
	var rest []Instrument
	for _, r := range c.rows {
		for _, i := range [...]Instrument{r.Call, r.Put} {
			if _, ok := have[i.Token]; !ok && i.Token != "" {
				rest = append(rest, i)
			}
		}
	}
	if have == nil {
		have = map[string]Quote{}
	}
	asked, err := t.Quotes(ctx, rest)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	for n, q := range asked {
		have[rest[n].Token] = q
	}
	for n := range c.rows {
		r := &c.rows[n]
		r.CallQuote, r.PutQuote = have[r.Call.Token], have[r.Put.Token]
	}
	return nil
}

// spot returns the quote of what a chain's options are of. It is unknown if the master has
// no such instrument.
func (t *Client) spot(ctx context.Context, c *Chain) (Quote, error) {
	of, err := t.underlyingOf(ctx, c)
	if err != nil || of.Token == "" {
		return Quote{}, err
	}
	q, err := t.Quote(ctx, of)
	if errors.Is(err, ErrNotFound) {
		return Quote{Segment: of.Segment, Token: of.Token, Symbol: of.Symbol}, nil
	}
	return q, err
}

func (t *Client) underlyingOf(ctx context.Context, c *Chain) (Instrument, error) {
	cash := NSE
	switch c.Underlying.Segment {
	case MCX, CDS:
		m, err := t.Instruments(ctx, c.Underlying.Segment)
		if err != nil {
			return Instrument{}, err
		}
		var near Instrument
		for _, i := range m.Find(Search{Name: c.Underlying.Name, Kind: Future}) {
			if !i.Expiry.Before(c.Expiry) && (near.Token == "" || i.Expiry.Before(near.Expiry)) {
				near = i
			}
		}
		return near, nil
	case BFO:
		cash = BSE
	}
	m, err := t.Instruments(ctx, cash)
	if err != nil {
		return Instrument{}, err
	}
	var of Instrument
	for _, i := range m.Find(Search{Name: c.Underlying.Name}) {
		if i.Kind == IndexKind || i.Series == "EQ" {
			return i, nil
		}
		if of.Token == "" {
			of = i
		}
	}
	return of, nil
}

// Len returns the number of strikes.
func (c *Chain) Len() int { return len(c.rows) }

// Rows returns the strikes, ascending.
func (c *Chain) Rows() iter.Seq[ChainRow] { return slices.Values(c.rows) }

// ErrNoSpot is an underlying without a price of today: see [Chain.ATM].
var ErrNoSpot = errors.New("the underlying has no last price")

// ATM returns the strike at the money: the listed one that is nearest to the underlying's
// last price; of two as near, the lower. Where the master does not list the underlying it
// is the strike that the service's chain calls so. If the last price is unknown, 0 or of
// an earlier day, as on a holiday, the error is [ErrNoSpot], says which, and names the
// previous close, which [Chain.Nearest] takes if that is what you want.
func (c *Chain) ATM() (ChainRow, error) {
	of := c.Underlying.Name
	why := ""
	switch at := DateOf(c.Spot.At); {
	case c.Spot.Token == "" && c.marked.Known():
		return c.Nearest(c.marked)
	case c.Spot.Token == "":
		why = "the scrip master does not list it"
	case !c.Spot.Last.Known():
		why = "it is 0 or missing, as before the first trade of a day and on holidays"
	case !at.IsZero() && at.Before(c.today):
		why = fmt.Sprintf("that of %s is from %s", c.Spot.Last, c.Spot.At.Format(time.DateTime))
	default:
		return c.Nearest(c.Spot.Last)
	}
	if c.Spot.PrevClose.Known() {
		return ChainRow{}, errorf("%w: %s: %s; its previous close is %s: Chain.Nearest finds the strike for it", ErrNoSpot, of, why, c.Spot.PrevClose)
	}
	return ChainRow{}, errorf("%w: %s: %s", ErrNoSpot, of, why)
}

// Nearest returns the listed strike that is nearest to a price; of two as near, the lower.
func (c *Chain) Nearest(price Rupees) (ChainRow, error) {
	if price.Sign() <= 0 {
		return ChainRow{}, errorf("%w: %q is no price of %s", ErrNoSpot, price, c.Underlying.Name)
	}
	if len(c.rows) == 0 {
		return ChainRow{}, noSuch(nil, "the chain of %s has no strikes", c.Underlying.Name)
	}
	best := c.rows[0]
	for _, r := range c.rows[1:] {
		if away(r.Strike, price).Less(away(best.Strike, price)) {
			best = r
		}
	}
	return best, nil
}

func away(x, y Rupees) Rupees {
	if x.Less(y) {
		x, y = y, x
	}
	return x.Sub(y)
}

// At returns the row of a strike, and whether it is listed.
func (c *Chain) At(strike Rupees) (ChainRow, bool) {
	n, ok := c.at[strike]
	if !ok {
		return ChainRow{}, false
	}
	return c.rows[n], true
}

// Call returns the call of a strike, such as "24500" or "27.5", and whether it is listed.
func (c *Chain) Call(strike string) (Instrument, bool) {
	r, _ := c.At(strikeOf(strike))
	return r.Call, r.Call.Token != ""
}

// Put returns the put of a strike, such as "24500" or "27.5", and whether it is listed.
func (c *Chain) Put(strike string) (Instrument, bool) {
	r, _ := c.At(strikeOf(strike))
	return r.Put, r.Put.Token != ""
}

func strikeOf(s string) Rupees {
	r, err := ParseRupees(strings.TrimSpace(s))
	if err != nil {
		return Rupees{}
	}
	return r
}

// listed joins things for a message.
func listed[T any](things []T) string {
	var all []string
	for _, thing := range things {
		all = append(all, fmt.Sprint(thing))
	}
	return strings.Join(all, ", ")
}
