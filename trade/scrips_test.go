package trade

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// testHeader has the oddities of real files: blanks, a semicolon, an order of its own, and
// columns that nobody knows.
const testHeader = "pTrdSymbol,pSymbol,lLotSize,pUnknown,pExchSeg,pSymbolName,pOptionType,pScripRefKey,pISIN,pDesc,pGroup,dTickSize ,lFreezeQty," +
	"lExpiryDate ,pExpiryDate,dStrikePrice;,lPrecision,lMultiplier ,dGenNum,dGenDen,dPriceNum   ,dPriceDen,dHighPriceRange ,dLowPriceRange ,pCreditRating,pInstType,CASEligible"

// A cells names cells of a row by their columns.
type cells map[string]string

// csvOf writes a scrip master of rows.
func csvOf(rows ...cells) string {
	var b strings.Builder
	b.WriteString(testHeader + "\n")
	for _, r := range rows {
		for n, name := range strings.Split(testHeader, ",") {
			if n > 0 {
				b.WriteByte(',')
			}
			b.WriteString(r[strings.Trim(name, " ;")])
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// with returns a copy of a row with other cells.
func (c cells) with(more ...string) cells {
	all := cells{}
	for k, v := range c {
		all[k] = v
	}
	for n := 0; n < len(more); n += 2 {
		all[more[n]] = more[n+1]
	}
	return all
}

var (
	share = cells{
		"pTrdSymbol": "TCS-EQ", "pSymbol": "11536", "lLotSize": "1", "pExchSeg": "nse_cm", "pSymbolName": "TCS", "pScripRefKey": "TCS-EQ",
		"pISIN": "INE467B01029", "pDesc": "TATA CONSULTANCY SERV LT", "pGroup": "EQ", "dTickSize": "10", "lFreezeQty": "100000", "lExpiryDate": "-1",
		"dStrikePrice": "-1", "lPrecision": "2", "lMultiplier": "-1", "dHighPriceRange": "385000", "dLowPriceRange": "315000",
	}
	option = cells{
		"pTrdSymbol": "NIFTY2692221000PE", "pSymbol": "56526", "lLotSize": "65", "pExchSeg": "nse_fo", "pSymbolName": "NIFTY", "pOptionType": "PE",
		"pScripRefKey": "NIFTY22SEP2621000.00PE", "pGroup": "XX", "dTickSize": "5", "lFreezeQty": "1756.00", "lExpiryDate": "1474554600",
		"pExpiryDate": "1474554600", "dStrikePrice": "2.1e+06", "lPrecision": "2", "lMultiplier": "-1", "dGenNum": "1", "dGenDen": "1",
		"dPriceNum": "1", "dPriceDen": "1", "dHighPriceRange": "2015", "dLowPriceRange": "5", "pInstType": "OPTIDX",
	}
	future = cells{
		"pTrdSymbol": "GOLDM25SEP26FUT", "pSymbol": "578790", "lLotSize": "100", "pExchSeg": "mcx_fo", "pSymbolName": "GOLDM", "dTickSize": "100",
		"lFreezeQty": "10000", "pExpiryDate": "1790380799", "lPrecision": "2", "lMultiplier": "1", "dGenNum": "1", "dGenDen": "10", "pInstType": "FUTCOM",
	}
)

// read returns a master of rows.
func read(t *testing.T, segment Segment, rows ...cells) *Master {
	t.Helper()
	f, err := readScrips(strings.NewReader(csvOf(rows...)), segment, Date{2026, time.August, 28})
	if err != nil {
		t.Fatal(err)
	}
	return &Master{files: []*scrips{f}}
}

// only returns the instrument of a master that has one.
func only(t *testing.T, segment Segment, row cells) Instrument {
	t.Helper()
	m := read(t, segment, row)
	found := m.Find(Search{})
	if len(found) != 1 {
		t.Fatal(m.Bad())
	}
	return found[0]
}

func TestScrips_haveEveryFieldOfTheirRow(t *testing.T) {
	for _, c := range []struct {
		row  cells
		want Instrument
	}{
		{share, Instrument{
			Segment: NSE, Token: "11536", Symbol: "TCS-EQ", Name: "TCS", Company: "TATA CONSULTANCY SERV LT", ISIN: "INE467B01029", Series: "EQ",
			Kind: Share, Lot: 1, Tick: MustRupees("0.10"), Freeze: 100_000, Lower: MustRupees("3150"), Upper: MustRupees("3850"),
			Precision: 2, Multiplier: 1, GenNum: 1, GenDen: 1, PriceNum: 1, PriceDen: 1,
		}},
		{option, Instrument{
			Segment: NFO, Token: "56526", Symbol: "NIFTY2692221000PE", Name: "NIFTY", Kind: Put, Expiry: Date{2026, time.September, 22},
			Strike: MustRupees("21000"), Lot: 65, Tick: MustRupees("0.05"), Freeze: 1756, Lower: MustRupees("0.05"), Upper: MustRupees("20.15"),
			Precision: 2, Multiplier: 1, GenNum: 1, GenDen: 1, PriceNum: 1, PriceDen: 1,
		}},
		{future, Instrument{
			Segment: MCX, Token: "578790", Symbol: "GOLDM25SEP26FUT", Name: "GOLDM", Kind: Future, Expiry: Date{2026, time.September, 25},
			Lot: 100, Tick: MustRupees("1"), Freeze: 10_000, Precision: 2, Multiplier: 1, GenNum: 1, GenDen: 10, PriceNum: 1, PriceDen: 1,
		}},
	} {
		if got := only(t, c.want.Segment, c.row); got != c.want {
			t.Errorf("got  %+v\nwant %+v", got, c.want)
		}
	}
	index := only(t, NSE, share.with("pISIN", "", "dTickSize", "-1", "lFreezeQty", "0", "dHighPriceRange", "0", "dLowPriceRange", "0"))
	if index.Kind != IndexKind || index.Tick.Known() || index.Freeze != 0 || index.Upper.Known() || index.Lower.Known() {
		t.Errorf("%+v", index)
	}
}

func TestScrips_expireOnTheDayInIndia(t *testing.T) {
	days := []struct {
		segment Segment
		seconds string
		want    Date
	}{
		{NFO, "1376145000", Date{2023, time.August, 10}}, {NFO, "1388241000", Date{2023, time.December, 28}}, {NFO, "1456410600", Date{2026, time.February, 24}},
		{NFO, "1474554600", Date{2026, time.September, 22}}, {CDS, "1474554600.00", Date{2026, time.September, 22}},
		{MCX, "1778803199", Date{2026, time.May, 14}}, {MCX, "1790380799", Date{2026, time.September, 25}}, {BFO, "1790087400", Date{2026, time.September, 22}},
		{NFO, "1.4745546e+09", Date{2026, time.September, 22}},
	}
	for _, d := range days {
		row := option.with("pExchSeg", string(d.segment), "pExpiryDate", d.seconds, "lExpiryDate", d.seconds, "pScripRefKey", "")
		if got := only(t, d.segment, row).Expiry; got != d.want {
			t.Errorf("%s %s: %s, not %s", d.segment, d.seconds, got, d.want)
		}
		row["pExpiryDate"] = ""
		if got := only(t, d.segment, row).Expiry; got != d.want {
			t.Errorf("%s %s in lExpiryDate alone: %s, not %s", d.segment, d.seconds, got, d.want)
		}
	}
	if os.Getenv("TZ") != "" {
		return
	}
	for _, zone := range []string{"America/New_York", "Asia/Kolkata", "Pacific/Kiritimati"} {
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestScrips_expireOnTheDayInIndia$")
		c.Env = append(os.Environ(), "TZ="+zone)
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("TZ=%s: %v\n%s", zone, err, out)
		}
	}
}

// refused returns the problem of the second of two rows, of which the first is good.
func refused(t *testing.T, segment Segment, good, bad cells) BadRow {
	t.Helper()
	m := read(t, segment, good, bad)
	rows, left := m.Bad()
	if len(rows) != 1 || left != 1 || m.Len() != 1 || rows[0].Line != 3 || rows[0].Kept {
		t.Fatalf("%d left out: %v", left, rows)
	}
	return rows[0]
}

func TestScrips_thatDisagreeWithTheirReferenceAreErrorsByLine(t *testing.T) {
	other := option.with("pTrdSymbol", "OTHER", "pSymbol", "1")
	for want, row := range map[string]cells{
		"expires on 2026-09-23 by its expiry, on 2026-09-22": other.with("pExpiryDate", "1474641000"),
		"strike 21050.00 by dStrikePrice, 21000.00":          other.with("dStrikePrice", "2105000"),
		"is a call by its option type, a put":                other.with("pOptionType", "CE"),
		"without an expiry":                                  other.with("pExpiryDate", "0", "lExpiryDate", "-1"),
		"without a strike":                                   other.with("dStrikePrice", "-1"),
	} {
		if got := refused(t, NFO, option, row).Error(); !strings.Contains(got, want) || !strings.Contains(got, "line 3") || !strings.Contains(got, "OTHER") {
			t.Errorf("%s, not: %s", got, want)
		}
	}
	m := read(t, NFO, option, other.with("pExpiryDate", "1474641000"))
	if _, err := m.Symbol(NFO, "OTHER"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("asked for by its symbol: %v", err)
	}
	stock := option.with("pTrdSymbol", "INFY26JUN660PE", "pSymbolName", "INFY", "pScripRefKey", "INFY30JUN26660.00PE", "dStrikePrice", "66000", "pExpiryDate", "1467297000")
	if got := only(t, NFO, stock); got.Expiry != (Date{2026, time.June, 30}) || got.Strike != MustRupees("660") {
		t.Errorf("%+v", got)
	}
}

func TestScrips_costARowWhereARowIsBad(t *testing.T) {
	other := share.with("pTrdSymbol", "OTHER-EQ", "pSymbol", "1")
	for want, row := range map[string]cells{
		"pSymbol is empty":                       other.with("pSymbol", ""),
		"pTrdSymbol is empty":                    other.with("pTrdSymbol", " "),
		"pSymbolName is empty":                   other.with("pSymbolName", ""),
		`lLotSize is "x"`:                        other.with("lLotSize", "x"),
		`lLotSize is "0"`:                        other.with("lLotSize", "0"),
		`lLotSize is "1.5"`:                      other.with("lLotSize", "1.5"),
		`lFreezeQty is "many"`:                   other.with("lFreezeQty", "many"),
		`dTickSize is "0.0000001"`:               other.with("dTickSize", "0.0000001"),
		`dTickSize is "1e+300"`:                  other.with("dTickSize", "1e+300"),
		`the row is of the segment "bse_cm"`:     other.with("pExchSeg", "bse_cm"),
		"the row has more than the 27 cells":     other.with("CASEligible", "false,x"),
		"a quotation mark is not closed":         other.with("pDesc", `"TATA`),
		"pDesc has 300 bytes":                    other.with("pDesc", strings.Repeat("x", 300)),
		"the row is longer than 65536 bytes":     other.with("pUnknown", strings.Repeat("x", 70_000)),
		"the row has more than the 27 cells of ": other.with("pDesc", "TATA, CONSULTANCY"),
	} {
		if got := refused(t, NSE, share, row).Problem; !strings.Contains(got, want) {
			t.Errorf("%s, not: %s", got, want)
		}
	}
	quoted := only(t, NSE, share.with("pDesc", `"TATA, ""THE"" CONSULTANCY "`, "pTrdSymbol", `"TCS-EQ"`))
	if quoted.Company != `TATA, "THE" CONSULTANCY` || quoted.Symbol != "TCS-EQ" {
		t.Errorf("%+v", quoted)
	}
	f, err := readScrips(strings.NewReader("\xef\xbb\xbf"+strings.ReplaceAll(csvOf(share), "\n", "\r\n")+"\r\n\r\n"), NSE, Date{})
	if err != nil || len(f.rows) != 1 || f.badRows != 0 {
		t.Errorf("a byte order mark and \\r\\n: %v", err)
	}
}

func TestScrips_ofAFileThatIsNotWholeAreRefused(t *testing.T) {
	whole := csvOf(share)
	header, _, _ := strings.Cut(whole, "\n")
	bad := share.with("lLotSize", "x")
	for want, text := range map[string]string{
		"is empty":                            "",
		"has a header and no rows":            header + "\n",
		"has no column lLotSize":              strings.Replace(whole, "lLotSize", "lLotSizeNew", 1),
		"was cut off in line 3":               whole + "TCS-BE,1153",
		"has 2 bad rows and 1 good ones":      csvOf(share, bad, bad),
		"all other rows are bad too":          csvOf(bad),
		"begins with a line of more than":     strings.Repeat("x", 70_000) + "\n" + whole,
		"has no column pOptionType, dStrikeP": strings.NewReplacer("pOptionType", "a", "dStrikePrice;", "b").Replace(csvOf(option)),
	} {
		segment := NSE
		if strings.Contains(want, "pOptionType") {
			segment = NFO
		}
		if _, err := readScrips(strings.NewReader(text), segment, Date{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, not: %s", err, want)
		}
	}
	broken := errors.New("broken")
	if _, err := readScrips(io.MultiReader(strings.NewReader(whole), iotest.ErrReader(broken)), NSE, Date{}); !errors.Is(err, broken) {
		t.Errorf("a broken connection: %v", err)
	}
}

func TestScrips_haveTheirOwnTick(t *testing.T) {
	for paise, c := range map[string]struct {
		tick       Rupees
		good, evil string
	}{
		"1": {MustRupees("0.01"), "0.07", "0.075"}, "5": {MustRupees("0.05"), "2345.35", "0.07"}, "10": {MustRupees("0.10"), "100.10", "100.05"},
		"50": {MustRupees("0.50"), "99999.50", "99999.95"}, "0.25": {MustRupees("0.0025"), "83.1025", "83.1020"}, "100": {MustRupees("1"), "7", "7.50"},
		"1e+02": {MustRupees("1"), "7", "7.50"}, "25.00": {MustRupees("0.25"), "0.75", "0.80"},
	} {
		i := only(t, NSE, share.with("dTickSize", paise))
		if i.Tick != c.tick || !MustRupees(c.good).IsMultiple(i.Tick) || MustRupees(c.evil).IsMultiple(i.Tick) {
			t.Errorf("%s paise: %s", paise, i.Tick)
		}
	}
	five := only(t, NSE, share.with("dTickSize", "5")).Tick
	for _, price := range []string{"0.15", "100.05", "2345.35", "99999.95"} {
		if !MustRupees(price).IsMultiple(five) {
			t.Error(price)
		}
	}
	if below, above := MustRupees("0.07").Nearest(five); below != MustRupees("0.05") || above != MustRupees("0.10") {
		t.Error(below, above)
	}
}

func TestScrips_haveTheirOwnFreezeQuantity(t *testing.T) {
	m := read(t, NFO,
		option.with("lLotSize", "65", "lFreezeQty", "1756"),
		option.with("pTrdSymbol", "BANKNIFTY", "pSymbolName", "BANKNIFTY", "pSymbol", "2", "lLotSize", "30", "lFreezeQty", "601", "pScripRefKey", ""),
		option.with("pTrdSymbol", "FINNIFTY", "pSymbolName", "FINNIFTY", "pSymbol", "3", "lLotSize", "25", "lFreezeQty", "1801.00", "pScripRefKey", ""),
		option.with("pTrdSymbol", "NONE", "pSymbol", "4", "lFreezeQty", "0"),
		option.with("pTrdSymbol", "BLOCK", "pSymbol", "5", "lFreezeQty", "99999999"),
		option.with("pTrdSymbol", "ONE", "pSymbol", "6", "lLotSize", "20", "lFreezeQty", "1"),
		option.with("pTrdSymbol", "LOT", "pSymbol", "7", "lLotSize", "20", "lFreezeQty", "20"),
	)
	for token, want := range map[string]int64{"56526": 1756, "2": 601, "3": 1801, "4": 0, "5": 0, "6": 0, "7": 0} {
		if i, err := m.Token(NFO, token); err != nil || i.Freeze != want {
			t.Errorf("%s: %d, not %d, %v", i.Symbol, i.Freeze, want, err)
		}
	}
	rows, left := m.Bad()
	if left != 0 || len(rows) != 2 || !rows[0].Kept || !strings.Contains(rows[0].Error(), "line 7 (ONE): the freeze quantity 1 is not above the lot of 20") {
		t.Errorf("the warnings: %v", rows)
	}
}

func TestScrips_areFoundByFieldsAndNotByTheFormOfTheirNames(t *testing.T) {
	of := func(symbol, token, name, seconds, strike string) cells {
		return option.with("pTrdSymbol", symbol, "pSymbol", token, "pSymbolName", name, "pExpiryDate", seconds, "dStrikePrice", strike, "pScripRefKey", "")
	}
	m := read(t, NFO,
		of("NIFTYNXT5026SEP66000PE", "1", "NIFTYNXT50", "1474554600", "6.6e+06"),
		of("NIFTY2680421000PE", "2", "NIFTY", "1470321000", "2.1e+06"),     // weekly, 2026-08-04
		of("NIFTY26O0621000PE", "3", "NIFTY", "1475764200", "2.1e+06"),     // weekly, 2026-10-06
		of("NIFTY26SEP21000PE", "4", "NIFTY", "1475159400", "2.1e+06"),     // monthly, 2026-09-29
		of("NIFTY26SEP21050PE", "5", "NIFTY", "1475159400", "2105000"),     // the same day
		of("BANKNIFTY26SEP50000PE", "6", "BANKNIFTY", "1475159400", "5e6"), // another
		of("NIFTY03JUL2421000PE", "7", "NIFTY", "1404484200", "2.1e+06"),   // 2024-07-03? see below
		of("NIFTY", "8", "OTHER", "1475159400", "100"),
	)
	symbols := func(s Search) (all []string) {
		for _, i := range m.Find(s) {
			all = append(all, i.Symbol)
		}
		return all
	}
	for _, c := range []struct {
		of   Search
		want []string
	}{
		{Search{Name: "NIFTY", Expiry: Date{2026, time.August, 4}}, []string{"NIFTY2680421000PE"}},
		{Search{Name: "NIFTY", Expiry: Date{2026, time.October, 6}}, []string{"NIFTY26O0621000PE"}},
		{Search{Name: "NIFTY", Expiry: Date{2026, time.September, 29}}, []string{"NIFTY26SEP21000PE", "NIFTY26SEP21050PE"}},
		{Search{Name: "NIFTY", Expiry: Date{2026, time.September, 30}}, nil},
		{Search{Name: "NIFTY", Expiry: Date{2026, time.September, 28}}, nil},
		{Search{Name: "NIFTYNXT50"}, []string{"NIFTYNXT5026SEP66000PE"}},
		{Search{Name: "BANKNIFTY", Kind: Call}, nil},
		{Search{Text: "nxt"}, []string{"NIFTYNXT5026SEP66000PE"}},
		{Search{Text: "nifty", Limit: 3}, []string{"NIFTY", "NIFTY03JUL2421000PE", "NIFTY2680421000PE"}},
		{Search{Prefix: "BANK"}, []string{"BANKNIFTY26SEP50000PE"}},
		{Search{Prefix: "NIFTY", Strike: MustRupees("21050")}, []string{"NIFTY26SEP21050PE"}},
		{Search{Text: "no such thing"}, nil},
		{Search{Segment: NSE}, nil},
	} {
		if got := symbols(c.of); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v, not %v", c.of, got, c.want)
		}
	}
	f := m.files[0]
	days := f.expiries(f.ofName("NIFTY"), Date{2026, time.August, 4})
	if want := []Date{{2026, time.August, 4}, {2026, time.September, 29}, {2026, time.October, 6}}; !slices.Equal(days, want) {
		t.Errorf("%v", days)
	}
	if got := symbols(Search{Text: "NIFTY"}); len(got) != 8 || got[len(got)-1] != "NIFTYNXT5026SEP66000PE" && got[len(got)-2] != "NIFTYNXT5026SEP66000PE" {
		t.Errorf("NIFTY itself first: %v", got)
	}
}

func TestScrips_ofThirdOfJulyAreNotOfTheFourth(t *testing.T) {
	// 2024-07-03 14:30, as seconds since 1980.
	seconds := fmt.Sprint(time.Date(2024, time.July, 3, 14, 30, 0, 0, time.UTC).Unix() - since1980)
	m := read(t, NFO, option.with("pExpiryDate", seconds, "pScripRefKey", "NIFTY03JUL2421000.00PE"))
	if len(m.Find(Search{Expiry: Date{2024, time.July, 3}})) != 1 || len(m.Find(Search{Expiry: Date{2024, time.July, 4}})) != 0 {
		t.Error(m.Find(Search{})[0].Expiry)
	}
}

func TestScrips_haveExactStrikes(t *testing.T) {
	for cell, want := range map[string]string{
		"66000": "660", "2750": "27.5", "2335000": "23350", "2.335e+06": "23350", "1.485e+07": "148500", "10.00": "0.10", "8310.25": "83.1025", "2333.35e2": "2333.35",
	} {
		i := only(t, NFO, option.with("dStrikePrice", cell, "pScripRefKey", ""))
		if i.Strike != MustRupees(want) {
			t.Errorf("%s: %s, not %s", cell, i.Strike, want)
		}
	}
	for _, cell := range []string{"-1", "0", "", "0.00"} {
		if i := only(t, NFO, option.with("dStrikePrice", cell, "pOptionType", "XX", "pInstType", "FUTIDX", "pScripRefKey", "")); i.Strike.Known() || i.Kind != Future {
			t.Errorf("a future's strike %q: %s", cell, i.Strike)
		}
	}
	m := read(t, NFO, option.with("dStrikePrice", "66000", "pScripRefKey", ""), option.with("dStrikePrice", "2750", "pScripRefKey", "", "pSymbol", "2", "pTrdSymbol", "X27.5PE"))
	for _, text := range []string{"660", "660.0", "660.00"} {
		if found := m.Find(Search{Strike: MustRupees(text)}); len(found) != 1 || found[0].Token != "56526" {
			t.Errorf("%s: %v", text, found)
		}
	}
	if found := m.Find(Search{Strike: MustRupees("27"), StrikeTo: MustRupees("28")}); len(found) != 1 || found[0].Token != "2" {
		t.Errorf("27 to 28: %v", found)
	}
}

func TestScrips_haveTheBandThatTheirDigitsLeaveOpen(t *testing.T) {
	for _, c := range []struct{ low, high, rating, lower, upper string }{
		{"315000", "385000", "3150.00-3850.00", "3150", "3850"},
		{"3.393e+06", "4.14698e+06", "33929.95-41469.85", "33929.95", "41469.85"}, // the columns have six digits
		{"3.393e+06", "4.14698e+06", "", "33929.95", "41469.85"},                  // what they leave open is allowed
		{"3.393e+06", "4.14698e+06", "1-2", "33929.95", "41469.85"},               // of another day
		{"8779", "13168", "87.79-131.68", "87.79", "131.68"},
		{"5", "2015", "", "0.05", "20.15"},
		{"1.2e+07", "1.3e+07", "", "119999.50", "130000.50"},
		{"0", "0", "", "", ""}, {"", "", "", "", ""}, {"-1", "-1", "-", "", ""}, {"x", "y", "z", "", ""},
	} {
		i := only(t, NSE, share.with("dLowPriceRange", c.low, "dHighPriceRange", c.high, "pCreditRating", c.rating))
		if i.Lower.String() != rupeesText(c.lower) || i.Upper.String() != rupeesText(c.upper) {
			t.Errorf("%+v: %s to %s", c, i.Lower, i.Upper)
		}
	}
}

func rupeesText(s string) string {
	if s == "" {
		return ""
	}
	return MustRupees(s).String()
}

func TestSearch_findsAnyPartInAnyCase(t *testing.T) {
	var rows []cells
	for n := range 500 {
		rows = append(rows, share.with("pTrdSymbol", fmt.Sprintf("S%03dQ&%c-EQ", n, 'A'+n%26), "pSymbol", fmt.Sprint(n), "pSymbolName", fmt.Sprintf("Name%d", n),
			"pDesc", fmt.Sprintf("The %d Company of %c", n*n, 'a'+n%26), "pISIN", fmt.Sprintf("INE%06d", n*7)))
	}
	m := read(t, NSE, rows...)
	all := m.Find(Search{})
	if len(all) != 500 || !slices.IsSortedFunc(all, func(x, y Instrument) int { return strings.Compare(x.Symbol, y.Symbol) }) {
		t.Fatal(len(all))
	}
	for _, text := range []string{"q&b", "7", "Q", "company of z", "name49", "INE0021", "-EQ", "s499q&f-eq", "EQThe", "9 C", "of aINE", "&", "zz", "ompan"} {
		var want []string
		for _, i := range all {
			for _, of := range []string{i.Symbol, i.Company, i.ISIN, i.Name} {
				if strings.Contains(strings.ToUpper(of), strings.ToUpper(text)) {
					want = append(want, i.Symbol)
					break
				}
			}
		}
		var got []string
		for _, i := range m.Find(Search{Text: text}) {
			got = append(got, i.Symbol)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %d found, not %d", text, len(got), len(want))
		}
	}
}
