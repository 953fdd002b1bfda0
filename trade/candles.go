package trade

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"neoapi"
	"neoapi/internal/tradewire"
)

// An Interval is how long a candle is, by its name on the wire.
type Interval string

// The intervals that the service offers.
const (
	OneMinute      Interval = "1min"
	ThreeMinutes   Interval = "3min"
	FiveMinutes    Interval = "5min"
	TenMinutes     Interval = "10min"
	FifteenMinutes Interval = "15min"
	ThirtyMinutes  Interval = "30min"
	OneHour        Interval = "60min"
	Daily          Interval = "D"
	Weekly         Interval = "W"
)

// intervals are how long the candles are, and the longest range of one call: the days
// between the first and the last.
var intervals = []struct {
	Interval
	length time.Duration
	span   int
}{
	{OneMinute, time.Minute, 30}, {ThreeMinutes, 3 * time.Minute, 30}, {FiveMinutes, 5 * time.Minute, 30}, {TenMinutes, 10 * time.Minute, 60},
	{FifteenMinutes, 15 * time.Minute, 60}, {ThirtyMinutes, 30 * time.Minute, 90}, {OneHour, time.Hour, 90},
	{Daily, 24 * time.Hour, 180}, {Weekly, 7 * 24 * time.Hour, 180},
}

// known returns how long an interval is and its longest range.
func (v Interval) known() (length time.Duration, span int, err error) {
	var offered []string
	for _, i := range intervals {
		if i.Interval == v {
			return i.length, i.span, nil
		}
		offered = append(offered, string(i.Interval))
	}
	return 0, 0, errorf("%w: there are no candles of %q; the service offers %s", ErrNotOffered, clip(string(v)), strings.Join(offered, ", "))
}

// ParseInterval returns the interval of any of its names, in any case: 5m, 5min, 1h, 60m,
// D, 1d, day, W, 1w, week.
func ParseInterval(name string) (Interval, error) {
	s := strings.ToLower(strings.TrimSpace(name))
	switch s {
	case "1h", "hour":
		return OneHour, nil
	case "d", "1d", "day":
		return Daily, nil
	case "w", "1w", "week":
		return Weekly, nil
	}
	v := Interval(strings.TrimSuffix(strings.TrimSuffix(s, "in"), "m") + "min")
	if _, _, err := v.known(); err != nil {
		_, _, err := Interval(name).known()
		return "", err
	}
	return v, nil
}

// historyYears is how far back candles go.
const historyYears = 5

// Candles returns the candles of an instrument that overlap the time from from until
// before to, in order, none twice. It needs no login. The service has them for five years
// back, for contracts that have not expired, and not for mcx_fo: of an earlier time there
// are no candles, which is no error, so compare the first one's Start with from. No trading
// is no error and no candles either.
//
// The range is asked for in the pieces that the service allows, the earliest first, and a
// piece that ends before today only once in a program: it is kept for the next call. The
// service bans for hours who asks for too much: five calls may go out at once, and
// then one every two seconds, counted over all calls of the program to that service; a
// long range takes its time accordingly. Other programs are not counted, and a service on
// this machine, such as the sandbox, is asked without these waits.
//
// The last candle is marked Running while its interval has not ended. Prices are as the
// service has them: it does not say whether they are adjusted for splits; see
// [CheckDay]. A candle whose high is below its close is kept as it is.
func (t *Client) Candles(ctx context.Context, i Instrument, every Interval, from, to time.Time, opts ...neoapi.CallOption) ([]Candle, error) {
	length, span, err := every.known()
	switch {
	case err != nil:
		return nil, err
	case i.Segment == "" || i.Token == "":
		return nil, i.unquoted()
	case i.Segment == MCX:
		return nil, errorf("%w: there are no candles of %s", ErrNotOffered, i.Segment)
	case to.Before(from):
		return nil, &Invalid{Field: "to", Value: to.In(IST).Format(time.DateTime), Problem: "is before from, " + from.In(IST).Format(time.DateTime)}
	}
	now := t.api.Now().In(IST)
	if to.After(now) {
		to = now.Add(1) // a candle that begins now is one
	}
	if oldest := now.AddDate(-historyYears, 0, 0); from.Before(oldest) {
		from = oldest
	}
	var all []Candle
	for _, p := range pieces(every, span, from, to) {
		part, err := t.piece(ctx, i, every, p, DateOf(now), opts)
		if err != nil {
			return nil, err
		}
		all = append(all, part...)
	}
	slices.SortStableFunc(all, func(x, y Candle) int { return x.Start.Compare(y.Start) })
	kept := all[:0]
	for _, c := range all {
		if !c.Start.Add(length).After(from) || !c.Start.Before(to) {
			continue
		}
		c.Running = c.Start.Add(length).After(now)
		if n := len(kept); n > 0 && kept[n-1].Start.Equal(c.Start) {
			kept[n-1] = c
			continue
		}
		kept = append(kept, c)
	}
	return kept, nil
}

// A piece is the range of a call: two days, both included.
type piece struct{ from, to Date }

// pieces cuts a range. Weeks stay whole.
func pieces(every Interval, span int, from, to time.Time) (all []piece) {
	if !from.Before(to) {
		return nil
	}
	first, last := DateOf(from).Time(), DateOf(to.Add(-1)).Time()
	days := span + 1
	if every == Weekly {
		first = first.AddDate(0, 0, -int((first.Weekday()+6)%7)) // Monday
		days = span / 7 * 7
	}
	for !first.After(last) {
		end := first.AddDate(0, 0, days-1)
		if end.After(last) {
			end = last
		}
		all = append(all, piece{DateOf(first), DateOf(end)})
		first = end.AddDate(0, 0, 1)
	}
	return all
}

// piece returns the candles of a piece, from memory if its days are over.
func (t *Client) piece(ctx context.Context, i Instrument, every Interval, p piece, today Date, opts []neoapi.CallOption) ([]Candle, error) {
	key := pieceKey{t.scope(), i.Key(), every, p}
	if have, ok := bars.get(key); ok {
		return have, nil
	}
	if !loopback(key.scope.service) {
		if err := paceOf(key.scope).wait(ctx); err != nil {
			return nil, err
		}
	}
	name := i.QuoteName()
	if name == "India VIX" {
		name = "INDIA VIX" // as candles have it
	}
	raw, err := t.ask(ctx, slowLimit, tradewire.PathCandles, url.Values{
		"neosymbol": {string(i.Segment) + "|" + name}, "interval": {string(every)}, "fromdate": {p.from.String()}, "todate": {p.to.String()},
	}, opts)
	var candles []Candle
	switch fail, _ := errors.AsType[*neoapi.Error](err); {
	case err == nil:
		if candles, err = decodeCandles(raw, every); err != nil {
			return nil, errorf("the candles of %s from %s to %s: %w", i.Symbol, p.from, p.to, err)
		}
	case fail == nil || fail.Status != http.StatusBadRequest:
		return nil, err
	case says(fail, "no data found"), says(fail, "data not available"):
	case says(fail, "neosymbol"):
		return nil, noSuch(err, "the service has no candles of %s", i.Key())
	default:
		return nil, err
	}
	if p.to.Before(today) {
		bars.put(key, candles)
	}
	return candles, nil
}

func says(fail *neoapi.Error, text string) bool {
	return strings.Contains(strings.ToLower(fail.Message+" "+fail.Answer), text)
}

// decodeCandles reads the rows of an answer. A row without a time cannot be placed: it is
// an error, because a candle would be missing.
func decodeCandles(raw json.RawMessage, every Interval) ([]Candle, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var rows []json.RawMessage
	if list, ok := fieldsOf(raw)["candles"]; !ok || json.Unmarshal(list, &rows) != nil {
		return nil, errors.New("the answer has no list of candles")
	}
	all := make([]Candle, 0, len(rows))
	for n, row := range rows {
		var cells []json.RawMessage
		if json.Unmarshal(row, &cells) != nil || len(cells) < 5 {
			return nil, errorf("candle %d of %d cannot be read: %s", n+1, len(rows), clip(string(row)))
		}
		start, ok := barTime(textOf(cells[0]))
		if !ok {
			return nil, errorf("candle %d of %d has no time: %s", n+1, len(rows), clip(string(row)))
		}
		if every == Daily || every == Weekly {
			start = DateOf(start).Time() // today's may carry a time
		}
		c := Candle{Start: start, Open: barPrice(cells[1]), High: barPrice(cells[2]), Low: barPrice(cells[3]), Close: barPrice(cells[4])}
		if len(cells) > 5 {
			c.Volume, _ = scaled(textOf(cells[5]), 0)
		}
		all = append(all, c)
	}
	return all, nil
}

// barTime reads the start of a bar. Without a zone it is India's.
func barTime(s string) (time.Time, bool) {
	for _, form := range [...]string{"2006-01-02T15:04:05-0700", time.RFC3339, "2006-01-02T15:04:05", time.DateTime, time.DateOnly} {
		if at, err := time.ParseInLocation(form, s, IST); err == nil {
			return at.In(IST), at.Year() >= 2000 && at.Year() < 2200
		}
	}
	return time.Time{}, false
}

// barPrice reads a price of a candle, a JSON number, which may be one that a computer has
// rounded in binary: 102.19999999999999.
func barPrice(raw json.RawMessage) Rupees {
	s := textOf(raw)
	if n, ok := scaled(s, decimals); ok {
		return rupees(n)
	}
	if strings.Trim(s, "0123456789.eE+-") != "" {
		return Rupees{}
	}
	if v, err := strconv.ParseFloat(s, 64); err == nil && math.Abs(v) < 1e9 {
		return rupees(int64(math.Round(v*1e6)) * (scale / 1e6))
	}
	return Rupees{}
}

// ErrAdjusted is candles of one day that do not agree: see [CheckDay].
var ErrAdjusted = errors.New("adjusted?")

// CheckDay compares a daily candle with shorter ones of the same day, which the service
// may have adjusted for a split in one interval and not in the other. If the day's high is
// not that of the shorter ones, within a tick, the error says by what ratio they differ:
// 2.00 after a split of 1 to 2. Do not put such candles into one series.
func CheckDay(day Candle, shorter []Candle, tick Rupees) error {
	var high Rupees
	for _, c := range shorter {
		if DateOf(c.Start) == DateOf(day.Start) && c.High.Cmp(high) > 0 {
			high = c.High
		}
	}
	if !high.Known() || day.High.Sign() <= 0 {
		return nil
	}
	away := high.Sub(day.High)
	if away.Sign() < 0 {
		away = away.Neg()
	}
	if away.Cmp(tick) <= 0 || away.Sign() == 0 {
		return nil
	}
	ratio := float64(high.value()) / float64(day.High.value())
	return errorf("%w the high of %s is %s, that of its shorter candles %s: a ratio of %.2f", ErrAdjusted, DateOf(day.Start), day.High, high, ratio)
}
