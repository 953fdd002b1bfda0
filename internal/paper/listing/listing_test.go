package listing

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func date(t interface{ Fatal(...any) }, s string) Date {
	var d Date
	if err := d.UnmarshalText([]byte(s)); err != nil {
		t.Fatal(err)
	}
	return d
}

func anyDate(t *rapid.T) Date {
	return Date{2000, 1, 1}.Add(rapid.IntRange(0, 36500).Draw(t, "day"))
}

func TestDay_hasTheInstrumentsOfItsContract(t *testing.T) {
	day := On(Date{2026, 9, 1})
	for _, c := range []struct {
		segment Segment
		name    string
		token   uint32
		tick    string
		lot     int64
	}{
		{NSE, "TCS-EQ", 11536, "0.10", 1}, {NSE, "RELIANCE-EQ", 2885, "0.10", 1}, {NSE, "M&M-EQ", 2031, "0.10", 1},
		{NSE, "BAJAJ-AUTO-EQ", 16669, "0.50", 1}, {NSE, "IDEA-EQ", 14366, "0.01", 1}, {NSE, "SBIN-EQ", 3045, "0.05", 1},
		{NSE, "MARUTI-EQ", 10999, "1.00", 1}, {NSE, "MRF-EQ", 2277, "5.00", 1}, {NSE, "DEMOTEX-BE", 9101, "0.01", 1},
		{NSE, "DEMOSTAR-SM", 1, "0.01", 1200}, {NSE, "Nifty 50", 26000, "0.01", 1}, {BSE, "DEMO FINCAP", 539911, "0.01", 1},
		{BSE, "PNB", 532461, "0.01", 1}, {BSE, "SENSEX", 1, "0.01", 1}, {Currency, "USDINR", 9001, "0.0001", 1},
	} {
		i, ok := day.Named(c.segment, c.name)
		if !ok {
			t.Errorf("no %s in %s", c.name, c.segment)
			continue
		}
		if found, _ := day.Find(i.Key); i.Token != c.token || i.Tick.String() != c.tick || i.Lot != c.lot || found != i {
			t.Errorf("%s has token %d, tick %s and lot %d; want %d, %s, %d", c.name, i.Token, i.Tick, i.Lot, c.token, c.tick, c.lot)
		}
	}
	for _, c := range []struct {
		segment Segment
		name    string
		refKey  string
		lot     int64
		max     int64
		expiry  string
	}{
		{NSEDeriv, "NIFTY2690124500PE", "NIFTY01SEP2624500.00PE", 65, 1755, "2026-09-01"},
		{NSEDeriv, "NIFTY2690823000PE", "NIFTY08SEP2623000.00PE", 65, 1755, "2026-09-08"},
		{NSEDeriv, "NIFTY26SEP24500CE", "NIFTY29SEP2624500.00CE", 65, 1755, "2026-09-29"},
		{NSEDeriv, "NIFTY26NOVFUT", "NIFTY23NOV26FUT", 65, 1755, "2026-11-23"}, // the 24th is a holiday
		{NSEDeriv, "BANKNIFTY26SEPFUT", "BANKNIFTY29SEP26FUT", 30, 600, "2026-09-29"},
		{NSEDeriv, "VEDL26SEP292.5CE", "VEDL29SEP26292.50CE", 1150, 46000, "2026-09-29"},
		{BSEDeriv, "SENSEX2690380500CE", "SENSEX03SEP2680500.00CE", 20, 1000, "2026-09-03"},
		{Currency, "USDINR26SEP88.25CE", "USDINR28SEP2688.25CE", 1000, 10_000_000, "2026-09-28"},
		{MCX, "GOLDM04SEP26FUT", "", 100, 10_000, "2026-09-04"}, // the 5th is a Saturday
		{MCX, "NATURALGAS25SEP26FUT", "", 1250, 60_000, "2026-09-25"},
		{MCX, "NATURALGAS23SEP26285CE", "", 1250, 60_000, "2026-09-23"},
	} {
		i, ok := day.Named(c.segment, c.name)
		if !ok {
			t.Errorf("no %s in %s", c.name, c.segment)
			continue
		}
		if i.RefKey != c.refKey || i.Lot != c.lot || i.MaxOrder != c.max || i.Expiry.String() != c.expiry || i.Underlying == nil {
			t.Errorf("%s: %q, lot %d, at most %d, until %s", c.name, i.RefKey, i.Lot, i.MaxOrder, i.Expiry)
		}
	}
	for on, name := range map[string]string{"2026-10-01": "NIFTY26O0624500CE", "2026-11-25": "NIFTY26D0124500CE", "2026-11-04": "NIFTY26N0924500PE", "2027-01-01": "NIFTY2710524500PE"} {
		if _, ok := On(date(t, on)).Named(NSEDeriv, name); !ok {
			t.Errorf("no %s on %s", name, on)
		}
	}
	if n := len(day.Instruments()); n < 1000 || n > 3000 {
		t.Errorf("%d instruments", n)
	}
}

func TestDay_listsAContractUnchangedUntilItsExpiry(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := anyDate(t)
		today, tomorrow := On(d), On(d.Add(1))
		if again := On(d); len(again.all) != len(today.all) {
			t.Fatalf("%s has %d instruments, and then %d", d, len(today.all), len(again.all))
		}
		tokens := map[Key]string{}
		for _, i := range today.Instruments() {
			if other, ok := tokens[i.Key]; ok {
				t.Fatalf("%s and %s are both %s on %s", other, i.Name, i.Key, d)
			}
			tokens[i.Key] = i.Name
			if i.Kind == Index {
				continue
			}
			if i.Tick <= 0 || i.Lot <= 0 || i.MaxOrder%i.Lot != 0 || i.MaxOrder <= 0 || i.Opening <= 0 || i.Name == "" || i.Symbol == "" {
				t.Fatalf("%s on %s: %+v", i.Name, d, i)
			}
			if low, high := i.Bands(i.Opening); low <= 0 || high <= low || !i.OnTick(low) || !i.OnTick(high) {
				t.Fatalf("%s has a band from %s to %s around %s", i.Name, low, high, i.Opening)
			}
			if i.Expiry.IsZero() {
				if i.Segment.Cash() && len(i.ISIN) != 12 {
					t.Fatalf("%s has ISIN %q", i.Name, i.ISIN)
				}
				continue
			}
			if i.Expiry.Before(d) {
				t.Fatalf("%s is listed on %s, after its expiry", i.Name, d)
			}
			next, ok := tomorrow.Find(i.Key)
			if i.Expiry == d {
				if ok && next.Name == i.Name {
					t.Fatalf("%s is still listed on the day after its expiry %s", i.Name, d)
				}
				continue
			}
			if !ok || next.Name != i.Name || next.Lot != i.Lot || next.MaxOrder != i.MaxOrder || next.Strike != i.Strike || next.Expiry != i.Expiry {
				t.Fatalf("%s of %s is %+v on the next day", i.Name, d, next)
			}
			if named, _ := today.Named(i.Segment, i.Name); named != i {
				t.Fatalf("%s names two instruments on %s", i.Name, d)
			}
		}
	})
}

func TestDay_hasTheSameTokenInTwoSegments(t *testing.T) {
	day := On(Date{2026, 9, 1})
	segments := map[uint32][]string{}
	for _, i := range day.Instruments() {
		segments[i.Token] = append(segments[i.Token], i.Name)
	}
	if got := segments[532540]; !slices.Equal(got, []string{"LIQUIDBEES-EQ", "TCS"}) {
		t.Errorf("token 532540 is %q", got)
	}
}

func TestExpiries_followTheWeekdayAndMoveBeforeAHoliday(t *testing.T) {
	for _, c := range []struct {
		on, symbol string
		segment    Segment
		kind       Kind
		want       string
	}{
		{"2026-03-02", "NIFTY", NSEDeriv, Call, "2026-03-02 2026-03-10 2026-03-30 2026-04-28"}, // 3 and 31 March are holidays
		{"2026-09-01", "NIFTY", NSEDeriv, Call, "2026-09-01 2026-09-08 2026-09-29 2026-10-27"},
		{"2026-09-23", "NIFTY", NSEDeriv, Call, "2026-09-29 2026-10-06 2026-10-27"},
		{"2026-08-28", "SENSEX", BSEDeriv, Put, "2026-09-03 2026-09-10 2026-09-24"},
		{"2025-08-20", "NIFTY", NSEDeriv, Future, "2025-08-28 2025-09-30 2025-10-28"},
		{"2025-07-01", "SENSEX", BSEDeriv, Future, "2025-07-29 2025-08-26 2025-09-25"},
		{"2027-01-26", "NIFTY", NSEDeriv, Call, "2027-01-26 2027-02-02 2027-02-23"}, // no list of 2027: weekends only
		{"2026-09-01", "GOLD", MCX, Future, "2026-10-05 2026-12-04 2027-02-05"},
		{"2026-01-01", "COPPER", MCX, Future, "2026-01-30 2026-02-27 2026-03-31"},
		{"2026-09-01", "CRUDEOIL", MCX, Call, "2026-09-16"},
		{"2026-12-01", "USDINR", Currency, Future, "2026-12-29 2027-01-27 2027-02-24"},
	} {
		var got []string
		for _, e := range On(date(t, c.on)).Expiries(c.segment, c.symbol, c.kind) {
			got = append(got, e.String())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s on %s: %q, want %s", c.symbol, c.on, got, c.want)
		}
	}
	if HolidaysKnown(NSE, 2027) || !HolidaysKnown(MCX, 2026) {
		t.Error("wrong years have holidays")
	}
}

func TestCalendar_knowsTradingDaysAndHours(t *testing.T) {
	for _, c := range []struct {
		day     string
		segment Segment
		trading bool
	}{
		{"2026-09-14", NSE, false}, {"2026-09-14", MCX, true}, {"2026-02-01", NSE, true}, {"2026-09-05", NSE, false},
		{"2026-08-26", Currency, false}, {"2026-08-26", NSEDeriv, true}, {"2027-12-25", MCX, false}, {"2030-01-26", NSE, false},
	} {
		if got := Trading(c.segment, date(t, c.day)); got != c.trading {
			t.Errorf("trading in %s on %s: %v", c.segment, c.day, got)
		}
	}
	if d := NextTrading(NSE, Date{2026, 10, 1}); d.String() != "2026-10-05" {
		t.Errorf("after 1 October 2026 comes %s", d)
	}
	opens, closes, ok := Hours(NSEDeriv, Date{2026, 8, 3})
	if !ok || opens.Format(time.RFC3339) != "2026-08-03T09:15:00+05:30" || closes.Format("15:04") != "15:40" {
		t.Errorf("hours from %s to %s", opens, closes)
	}
}

func TestInstrument_protectsMarketOrders(t *testing.T) {
	day := On(Date{2026, 9, 1})
	tcs, _ := day.Named(NSE, "TCS-EQ")
	idea, _ := day.Named(NSE, "IDEA-EQ")
	option, _ := day.Named(NSEDeriv, "NIFTY26SEP24500CE")
	for _, c := range []struct {
		i       *Instrument
		last    string
		buy     bool
		percent int
		want    string
	}{
		{tcs, "3500.00", true, 0, "3517.50"}, {tcs, "3500.00", false, 0, "3482.50"}, {tcs, "3500.00", true, 3, "3605.00"},
		{tcs, "3500.10", true, 0, "3517.60"}, {tcs, "3500.10", false, 0, "3482.60"},
		{idea, "8.05", true, 0, "8.21"}, {idea, "8.05", false, 0, "7.89"}, {idea, "0.05", true, 0, "0.05"}, {idea, "0.01", false, 0, "0.01"},
		{option, "0.50", true, 0, "0.60"}, {option, "5.00", true, 0, "5.50"}, {option, "10.00", false, 0, "9.50"},
		{option, "100.00", true, 0, "103.00"}, {option, "500.00", false, 0, "490.00"}, {option, "600.00", true, 0, "606.00"},
		{option, "0.05", false, 0, "0.05"}, {option, "0.98", false, 0, "0.90"},
	} {
		last, err := ParsePrice(c.last)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.i.Protected(day.Date, last, c.buy, c.percent); got.String() != c.want {
			t.Errorf("%s at %s, buy %v, %d %%: %s, want %s", c.i.Name, c.last, c.buy, c.percent, got, c.want)
		}
	}
}

func TestInstrument_hasTheRulesOfItsMarket(t *testing.T) {
	day := On(Date{2026, 9, 1})
	get := func(s Segment, name string) *Instrument {
		i, ok := day.Named(s, name)
		if !ok {
			t.Fatalf("no %s", name)
		}
		return i
	}
	tcs, be, option := get(NSE, "TCS-EQ"), get(NSE, "DEMOTEX-BE"), get(NSEDeriv, "NIFTY26SEP24500CE")
	gold, xt := get(MCX, "GOLDM04SEP26FUT"), get(BSE, "DEMO FINCAP")
	if low, high := get(NSE, "DEMOTEX-BE").Bands(1003500); low.String() != "95.34" || high.String() != "105.36" {
		t.Errorf("band of 5 %% round 100.35: %s to %s", low, high)
	}
	if low, high := get(NSE, "Nifty 50").Bands(245_000_000); low != 0 || high != 0 {
		t.Errorf("an index has the band %s to %s", low, high)
	}
	if gap, ok := option.StopGap(day.Date, 100*Rupee); !ok || gap != 20*Rupee {
		t.Errorf("stop gap %s, %v", gap, ok)
	}
	if _, ok := gold.StopGap(day.Date, 100*Rupee); ok {
		t.Error("MCX has a stop gap")
	}
	if low, high, ok := option.Aggressive(day.Date, 30*Rupee); !ok || low.String() != "10.00" || high.String() != "50.00" {
		t.Errorf("limits of price protection: %s to %s, %v", low, high, ok)
	}
	if be.Intraday() || xt.Intraday() || !tcs.Intraday() || !be.TradeForTrade() || !xt.TradeForTrade() || tcs.TradeForTrade() {
		t.Error("wrong series are traded for trade")
	}
	if option.Delivery() || option.Funded() || !tcs.Funded() || be.Funded() || !be.Delivery() || gold.Immediate() || !tcs.Immediate() {
		t.Error("wrong products")
	}
	if n, ok := tcs.Disclosable(101); !ok || n != 11 {
		t.Errorf("least disclosed quantity %d, %v", n, ok)
	}
	if _, ok := option.Disclosable(650); ok {
		t.Error("an option may disclose a part")
	}
	if gold.Amount(120_000*Rupee, 100) != 1_200_000*Rupee {
		t.Errorf("100 g of gold are worth %s", gold.Amount(120_000*Rupee, 100))
	}
	if future := get(MCX, "NATURALGAS25SEP26FUT"); future.Amount(67_000, 1250) != 8375*Rupee {
		t.Errorf("a lot of gas is worth %s", future.Amount(67_000, 1250))
	}
}

func TestInstrument_roundsToTheTick(t *testing.T) {
	for _, c := range []struct{ tick, price, floor, ceil, nearest string }{
		{"0.05", "0.07", "0.05", "0.10", "0.05"}, {"0.05", "2345.35", "2345.35", "2345.35", "2345.35"},
		{"0.0025", "83.7526", "83.7525", "83.7550", "83.7525"}, {"1.00", "99.50", "99.00", "100.00", "100.00"},
	} {
		tick, _ := ParsePrice(c.tick)
		p, _ := ParsePrice(c.price)
		i := &Instrument{Tick: tick}
		for n, got := range []Price{i.Floor(p), i.Ceil(p), i.Nearest(p)} {
			if want, _ := ParsePrice([]string{c.floor, c.ceil, c.nearest}[n]); got != want {
				t.Errorf("%s on a tick of %s: %s, want %s", c.price, c.tick, got, want)
			}
		}
	}
}

func TestWriteCSV_hasTheFormOfTheRealFiles(t *testing.T) {
	day := On(Date{2026, 9, 1})
	for _, s := range Segments {
		rows := readCSV(t, day, s)
		if len(rows[0]) != 79 || rows[0][15] != "dTickSize " || rows[0][20] != "dStrikePrice;" || rows[0][17] != "lExpiryDate " {
			t.Fatalf("%s has the columns %q", s, rows[0])
		}
		for _, row := range rows[1:] {
			if row[4] == "" || row[2] != s.String() || row[0] == "" {
				t.Fatalf("%s has the row %q", s, row)
			}
			i, ok := day.Named(s, row[5])
			if !ok {
				if row[8] == "" && row[15] == "-1" && row[77] == "0" {
					continue // an index: its name in quotes is another
				}
				t.Fatalf("%s has %q, which is not listed", s, row[5])
			}
			if row[0] != strconv.Itoa(int(i.Token)) || !i.Expiry.IsZero() && (readExpiry(t, s, row[23]) != i.Expiry || row[17] != row[23]) {
				t.Fatalf("%s: %q", i.Name, row)
			}
			if strike, err := strconv.ParseFloat(row[20], 64); i.Kind.Option() && (err != nil || Price(strike*100) != i.Strike) {
				t.Fatalf("%s has strike %s", i.Name, row[20])
			}
			if freeze, err := strconv.ParseInt(row[77], 10, 64); i.Kind != Index && (err != nil || freeze != i.MaxOrder+1) {
				t.Fatalf("%s has freeze quantity %s", i.Name, row[77])
			}
		}
	}
	for name, want := range map[string]string{
		"NIFTY2690123000PE": "XX nse_fo OPTIDX NIFTY NIFTY01SEP2623000.00PE PE 5 65 1472740200 2.3e+06 1756",
		"NIFTY26SEPFUT":     "XX nse_fo FUTIDX NIFTY NIFTY29SEP26FUT XX 10 65 1475159400 -1 1756",
		"TCS-EQ":            "EQ nse_cm  TCS TCS  10 1 -1 -1 29272",
		"NIFTY":             " nse_cm  NIFTY NIFTY  -1 1 -1 -1 0",
		"USDINR26SEPFUT":    "XX cde_fo FUTCUR USDINR USDINR28SEP26FUT XX 0.25 1000 1475073000 -1 10000001",
		"GOLDM04SEP26FUT":   " mcx_fo FUTCOM GOLDM   100 100 1788566399  10001",
	} {
		found := false
		for _, s := range Segments {
			for _, row := range readCSV(t, day, s) {
				if row[5] == name {
					found = true
					got := strings.Join([]string{row[1], row[2], row[3], row[4], row[7], row[6], row[15], row[16], row[17], row[20], row[77]}, " ")
					if got != want {
						t.Errorf("%s:\n got %s\nwant %s", name, got, want)
					}
				}
			}
		}
		if !found {
			t.Errorf("no row of %s", name)
		}
	}
}

func readCSV(t *testing.T, day *Day, s Segment) [][]string {
	t.Helper()
	var b bytes.Buffer
	if err := day.WriteCSV(&b, s, func(i *Instrument) Price { return i.Nearest(i.Opening) }); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// readExpiry reads an expiry as the field's clients do.
func readExpiry(t *testing.T, s Segment, text string) Date {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if s == NSEDeriv || s == Currency {
		n += 315_532_800
	}
	y, m, d := time.Unix(n, 0).UTC().Date()
	return Date{y, m, d}
}

func TestPrice_parsesWhatItWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Price(rapid.Int64Range(-1e14, 1e14).Draw(t, "price"))
		if back, err := ParsePrice(p.String()); err != nil || back != p {
			t.Fatalf("%s is read as %s, %v", p, back, err)
		}
	})
}

func FuzzParsePrice(f *testing.F) {
	for _, s := range []string{"3500.05", "-1", "", ".", "1e3", "0x1", "99999999999999", "1.00001", "+1", "1.", ".5", "--1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := ParsePrice(s); err == nil {
			if back, err := ParsePrice(p.String()); err != nil || back != p {
				t.Errorf("%q is %s and then %s, %v", s, p, back, err)
			}
		}
	})
}

func BenchmarkOn(b *testing.B) {
	b.ReportAllocs()
	d := Date{2026, 9, 1}
	On(d)
	for b.Loop() {
		On(d)
	}
}

func BenchmarkWriteCSV(b *testing.B) {
	day := On(Date{2026, 9, 1})
	for b.Loop() {
		for _, s := range Segments {
			if err := day.WriteCSV(discard{}, s, func(i *Instrument) Price { return i.Nearest(i.Opening) }); err != nil {
				b.Fatal(err)
			}
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
