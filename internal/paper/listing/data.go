package listing

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"
)

//go:embed data/*.json
var files embed.FS

// decimal is a price in a data file: a decimal in quotes. An empty text is no bound, the
// highest price.
type decimal Price

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *decimal) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*p = 1 << 62
		return nil
	}
	n, err := ParsePrice(string(b))
	*p = decimal(n)
	return err
}

// UnmarshalText reads a date as [Date.String] writes it.
func (d *Date) UnmarshalText(b []byte) error {
	t, err := time.Parse(time.DateOnly, string(b))
	if err != nil {
		return fmt.Errorf("%q is not a date such as 2026-09-01", b)
	}
	*d = Date{t.Year(), t.Month(), t.Day()}
	return nil
}

// MarshalText writes the date as [Date.String] does.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a segment's name on the wire.
func (s *Segment) UnmarshalText(b []byte) error {
	found, ok := ParseSegment(string(b))
	if !ok {
		return fmt.Errorf("%q is not a segment", b)
	}
	*s = found
	return nil
}

// MarshalText writes the segment's name on the wire.
func (s Segment) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// dated is a number with the date from which it holds.
type dated struct {
	From  Date
	Value int64
}

// at returns the number that holds on a date; the first one also before its date.
func at(rows []dated, d Date) int64 {
	value := rows[0].Value
	for _, r := range rows {
		if !d.Before(r.From) {
			value = r.Value
		}
	}
	return value
}

// plain is a share, an index or a spot price as data/instruments.json has it.
type plain struct {
	Segment    Segment
	Token      uint32
	Symbol     string
	Series     string
	ISIN       string
	Name       string // of a share its description
	Opening    decimal
	Volatility int
	Wander     int
	Class      string
	Volume     int64
	Lot        int64
	Max        int64
	Precision  int
	Tick       decimal
}

// class is what shares of a kind have in common.
type class struct {
	Band, Intraday, Funded, Wander int
	Tick                           decimal
}

// future and option are what a definition lists.
type future struct {
	Type   string
	Tick   decimal
	Months int // how many expiries
	Band   int
	Volume int64
}

type option struct {
	Type    string
	Tick    decimal
	Step    decimal // between strikes
	Strikes int     // on each side of the underlying's opening price
	Weeks   int     // how many of the nearest expiries of any kind
	Months  int     // how many monthly ones
	Before  int     // how many trading days before the future they expire
	Volume  int64   // of the middle strike
}

// contracts are the futures and options of an underlying.
type contracts struct {
	Segment   Segment
	Symbol    string
	Of        string // the underlying's symbol
	Expiry    string // which rule of data/calendar.json
	Lots, Max []dated
	Margin    [2]int // span and exposure
	Precision int
	GenDen    int64
	Future    *future
	Option    *option

	order uint32 // its place in the segment: part of its tokens
}

// expiryRule says on which days contracts expire. Weekdays are those of weekly ones, and
// of the last in the month. Else it is a day of the month, or so many trading days before
// its last one. A day without trading moves it before that day.
type expiryRule struct {
	Calendar   string
	Weekdays   []dated
	Day        int
	BeforeLast int `json:"before_last"`
	Months     []int
}

type session struct {
	From        Date
	Date        Date
	Segments    []Segment
	Open, Close string
}

type tables struct {
	Shares, Indices, Spots []plain
	Contracts              []contracts
	Holidays               map[string]map[string][]string
	Special                []session
	Expiries               map[string]expiryRule
	Ticks                  []rule
	Classes                map[string]class
	Protection             []rule
	StopGap                []rule `json:"stop_gap"`
	PriceProtection        []rule `json:"price_protection"`
	Hours                  []session

	holidays map[string]map[Date]bool
	years    map[string]map[int]bool
	special  map[Date]bool
}

// data returns what the files say. They are part of the program, so a fault in them is
// one of the program.
var data = sync.OnceValue(func() *tables {
	t := &tables{}
	for name, to := range map[string]any{"instruments": t, "calendar": t, "rules": t, "contracts": &t.Contracts} {
		b, err := files.ReadFile("data/" + name + ".json")
		if err == nil {
			r := json.NewDecoder(bytes.NewReader(b))
			r.DisallowUnknownFields()
			err = r.Decode(to)
		}
		if err != nil {
			panic(fmt.Sprintf("listing: data/%s.json: %v", name, err))
		}
	}
	var count [MCX + 1]uint32
	for i := range t.Contracts {
		c := &t.Contracts[i]
		c.order = count[c.Segment]
		count[c.Segment]++
		c.Precision, c.GenDen = max(c.Precision, 2), max(c.GenDen, 1)
	}
	t.holidays, t.years = map[string]map[Date]bool{}, map[string]map[int]bool{}
	for name, years := range t.Holidays {
		t.holidays[name], t.years[name] = map[Date]bool{}, map[int]bool{}
		for year, days := range years {
			for _, day := range days {
				var d Date
				if err := d.UnmarshalText([]byte(year + "-" + day)); err != nil {
					panic("listing: data/calendar.json: " + err.Error())
				}
				t.holidays[name][d] = true
				t.years[name][d.Year] = true
			}
		}
	}
	t.special = map[Date]bool{}
	for _, s := range t.Special {
		t.special[s.Date] = true
	}
	return t
})

// cash are the shares, indices and spot prices of a table of ticks. They are the same
// instruments on every day on which it holds.
type cash struct {
	all   []*Instrument // shares and indices
	spots []*Instrument // what contracts follow that nobody lists
	byKey map[Key]*Instrument
	named map[named]*Instrument
	of    map[string]*Instrument // underlyings by symbol
}

type named struct {
	Segment
	name string
}

var cashTables = sync.OnceValue(func() []*cash {
	var all []*cash
	for _, ticks := range data().Ticks {
		all = append(all, newCash(ticks))
	}
	return all
})

// cashOn returns what is not a contract on a date.
func cashOn(d Date) *cash {
	t := data().Ticks
	i := len(t) - 1
	for i > 0 && d.Before(t[i].From) {
		i--
	}
	return cashTables()[i]
}

func newCash(ticks rule) *cash {
	t := data()
	c := &cash{byKey: map[Key]*Instrument{}, named: map[named]*Instrument{}, of: map[string]*Instrument{}}
	add := func(p plain, i *Instrument) *Instrument {
		i.Key = Key{p.Segment, p.Token}
		i.Symbol, i.Opening, i.Volatility = p.Symbol, Price(p.Opening), p.Volatility
		i.Wander = max(i.Wander, p.Wander)
		i.Precision = max(p.Precision, 2)
		i.Multiplier, i.GenNum, i.GenDen, i.PriceNum, i.PriceDen = 1, 1, 1, 1, 1
		if c.byKey[i.Key] != nil || c.named[named{p.Segment, i.Name}] != nil {
			panic("listing: data/instruments.json has twice " + i.Key.String() + " or " + i.Name)
		}
		c.byKey[i.Key], c.named[named{p.Segment, i.Name}] = i, i
		if c.of[p.Symbol] == nil {
			c.of[p.Symbol] = i
		}
		return i
	}
	for _, p := range t.Shares {
		k, ok := t.Classes[p.Class]
		if !ok {
			panic("listing: data/instruments.json: unknown class " + p.Class)
		}
		name, ref := p.Symbol, p.Symbol
		if p.Segment == NSE {
			name += "-" + p.Series
			if p.Series != "EQ" {
				ref = name
			}
		}
		tick := k.Tick
		if tick == 0 {
			tick = ticks.step(Price(p.Opening)).Value
		}
		c.all = append(c.all, add(p, &Instrument{
			Name: name, Series: p.Series, ISIN: p.ISIN, Description: p.Name, RefKey: ref, Kind: Share,
			Lot: p.Lot, MaxOrder: p.Max, Tick: Price(tick), Band: k.Band, Volume: p.Volume, Wander: k.Wander,
			Margin: Margin{Intraday: k.Intraday, Funded: k.Funded},
		}))
	}
	for _, p := range slices.Concat(t.Indices, t.Spots) {
		i := add(p, &Instrument{Name: p.Name, Description: p.Symbol, RefKey: p.Symbol, Kind: Index, Lot: 1, Tick: max(Price(p.Tick), 100)})
		if p.Precision == 4 {
			i.Tick = Price(p.Tick)
		}
		if p.Segment.Cash() {
			c.all = append(c.all, i)
		} else {
			c.spots = append(c.spots, i)
		}
	}
	return c
}
