package trade

import (
	"encoding/json"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"
)

// FuzzScrips reads any file: it is refused, or each of its rows is found.
func FuzzScrips(f *testing.F) {
	f.Add(csvOf(share, share.with("pTrdSymbol", "A&B-EQ", "pSymbol", "2")), byte(0), "&b")
	f.Add(csvOf(option, option.with("pDesc", `"a, ""b"""`, "dStrikePrice", "1e300")), byte(2), "26")
	f.Add(csvOf(future), byte(4), "fut")
	f.Add("\xef\xbb\xbf"+strings.ReplaceAll(csvOf(share), "\n", "\r\n"), byte(0), "T")
	f.Fuzz(func(t *testing.T, text string, n byte, part string) {
		checkScrips(t, text, allSegments[int(n)%len(allSegments)], part)
	})
}

// FuzzScripsRow reads a file of a good row and one with any cells.
func FuzzScripsRow(f *testing.F) {
	for n, r := range []cells{share, share, option, option, future, option} {
		f.Add(byte(n), r["pTrdSymbol"], r["pSymbol"], r["pSymbolName"], r["pOptionType"], r["pScripRefKey"], r["pDesc"], r["lLotSize"], r["dTickSize"], r["lFreezeQty"],
			r["pExpiryDate"], r["dStrikePrice"], r["dHighPriceRange"], r["pCreditRating"], r["dGenDen"], "a")
	}
	quote := func(s string) string {
		return `"` + strings.NewReplacer(`"`, `""`, "\n", " ", "\r", " ").Replace(s) + `"`
	}
	f.Fuzz(func(t *testing.T, n byte, symbol, token, name, option1, ref, desc, lot, tick, freeze, expiry, strike, high, rating, den, part string) {
		segment := allSegments[int(n)%len(allSegments)]
		good := share
		if !segment.Cash() {
			good = option.with("pScripRefKey", "", "pExpiryDate", "1474554600")
		}
		good = good.with("pExchSeg", "")
		row := good.with("pTrdSymbol", quote(symbol), "pSymbol", quote(token), "pSymbolName", quote(name), "pOptionType", quote(option1), "pScripRefKey", quote(ref),
			"pDesc", quote(desc), "lLotSize", quote(lot), "dTickSize", quote(tick), "lFreezeQty", quote(freeze), "pExpiryDate", quote(expiry), "dStrikePrice", quote(strike),
			"dHighPriceRange", quote(high), "pCreditRating", quote(rating), "dGenDen", quote(den))
		if !checkScrips(t, csvOf(good, row), segment, part) && len(symbol)+len(desc)+len(rating) < 1000 {
			t.Fatal("a file with a good row is refused")
		}
	})
}

// checkScrips reads a file and, if it is not refused, asks for everything in it.
func checkScrips(t *testing.T, text string, segment Segment, part string) bool {
	file, err := readScrips(strings.NewReader(text), segment, Date{2026, time.August, 28})
	if err != nil {
		return false
	}
	m := &Master{files: []*scrips{file}}
	all := m.Find(Search{})
	if len(all) != m.Len() || len(all) == 0 {
		t.Fatalf("%d of %d", len(all), m.Len())
	}
	found := map[Instrument]bool{}
	for _, i := range m.Find(Search{Text: part}) {
		found[i] = true
	}
	for _, i := range all {
		if i.Symbol == "" || i.Token == "" || i.Name == "" || i.Lot <= 0 || i.Freeze < 0 || i.Freeze > 0 && i.Freeze <= i.Lot || i.Tick.Sign() < 0 ||
			i.Option() != i.Strike.Known() || i.Expiry.IsZero() == (i.Option() || i.Kind == Future) || i.Upper.Known() && i.Upper.Sign() <= 0 {
			t.Fatalf("%+v", i)
		}
		if got, err := m.Symbol(segment, i.Symbol); err != nil || got.Symbol != i.Symbol {
			t.Fatalf("%q: %+v, %v", i.Symbol, got, err)
		}
		if got, err := m.Token(segment, i.Token); err != nil || got.Token != i.Token {
			t.Fatalf("%q: %+v, %v", i.Token, got, err)
		}
		want := part == ""
		for _, of := range []string{i.Symbol, i.Company, i.ISIN, i.Name} {
			want = want || strings.Contains(foldASCII(of), foldASCII(strings.ToUpper(part)))
		}
		if found[i] != want {
			t.Fatalf("%q in %+v: %t", part, i, found[i])
		}
	}
	return true
}

// foldASCII is upper for a text.
func foldASCII(s string) string {
	b := []byte(s)
	for n := range b {
		b[n] = upper(b[n])
	}
	return string(b)
}

// FuzzScaled compares the numbers of a scrip master with exact arithmetic.
func FuzzScaled(f *testing.F) {
	for _, s := range []string{"2.1e+06", "1801.00", "-1", "0.0000001", "1e300", "7.26405e+08", "9223372036854775807", "1e-7", ".5", "5.", "+0"} {
		f.Add(s, byte(5))
	}
	f.Fuzz(func(t *testing.T, s string, n byte) {
		shift := int(n % 8)
		got, ok := scaled(s, shift)
		if strings.Trim(s, "0123456789.eE+-") != "" || len(s) > 40 {
			if ok && len(s) <= 40 {
				t.Fatalf("%q: %d", s, got)
			}
			return
		}
		exact, valid := new(big.Rat).SetString(s)
		if !ok {
			return // too large, not exact, or no number
		}
		if !valid {
			t.Fatalf("%q: %d", s, got)
		}
		exact.Mul(exact, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(shift)), nil)))
		if !exact.IsInt() || exact.Num().Cmp(big.NewInt(got)) != 0 || got == math.MinInt64 {
			t.Fatalf("%q: %d, not %s", s, got, exact)
		}
	})
}

// FuzzMarket decodes any answer as quotes, a chain and candles.
func FuzzMarket(f *testing.F) {
	f.Add(`{"exchange":"nse_cm","exchange_token":"1","ltp":"1.5","lstup_time":"1790000000","ohlc":{"open":1},"depth":{"buy":[{"price":"1","quantity":"2","orders":3}],"sell":[]}}`)
	f.Add(`{"common_data":{"mktLot":"50"},"call":[{"inst":{"neoSymbol":"nse_fo|1","symbol":"X","strkPrc":"100"},"quote":{"ltp":"1","o":"1"},"oi":{"cur":"1"}}],"put":[]}`)
	f.Add(`{"data":{"call":[{"instrument":{"neoSymbol":"nse_fo|1","strikePrice":"100","moneyness":"ATM"},"openInterest":{"current":900}}],"put":[{}]}}`)
	f.Add(`{"candles":[["2026-09-01T09:15:00+0530",101.5,103.0,100.9,102.2,4100,0]]}`)
	f.Add(`{"candles":[["2026-09-01T09:15:00+0530",1e9,1e-9,"x",null,{}],[]],"call":{},"ohlc":[],"depth":"x"}`)
	f.Fuzz(func(t *testing.T, text string) {
		raw := json.RawMessage(text)
		q := decodeQuote(raw)
		if q.Last.Known() && q.Last.Sign() <= 0 || !q.At.IsZero() && q.At.Year() < 2000 || string(q.Raw) != text {
			t.Errorf("%+v", q)
		}
		for _, l := range append(q.Bids, q.Asks...) {
			if l.Price.Sign() <= 0 || l.Quantity <= 0 {
				t.Errorf("%+v", l)
			}
		}
		rows, _ := decodeChain(raw)
		c := &Chain{at: map[Rupees]int{}}
		for _, r := range rows {
			if r.instrument.Token == "" {
				t.Errorf("%+v", r)
			}
			if r.instrument.Strike.Known() {
				c.add(r.instrument)
			}
		}
		c.sort()
		if row, err := c.Nearest(MustRupees("100")); err == nil && !row.Strike.Known() {
			t.Errorf("%+v", row)
		}
		for _, every := range []Interval{FiveMinutes, Daily} {
			candles, err := decodeCandles(raw, every)
			for _, c := range candles {
				if err != nil || c.Start.Year() < 2000 || c.Start.Location() != IST {
					t.Errorf("%+v, %v", c, err)
				}
			}
		}
	})
}
