package trade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"neoapi"
	"neoapi/neoapitest"
)

// noon is a time at which the exchange on paper's services start: its prices are made up,
// but always the same.
var noon = time.Date(2026, time.September, 22, 12, 2, 0, 0, IST)

// answering returns a client of a service that answers as no real one does. The clock
// shows now.
func answering(t *testing.T, now time.Time, answer http.HandlerFunc) *Client {
	t.Helper()
	front := httptest.NewServer(answer)
	t.Cleanup(front.Close)
	c, err := neoapi.New(neoapi.Config{Environment: neoapi.Environment(front.URL), ConsumerKey: "key", Rate: -1, Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return New(c)
}

// changed returns a client of the exchange on paper whose answers pass through change,
// which may answer itself.
func changed(t *testing.T, change func(w http.ResponseWriter, r *http.Request, next http.Handler)) (*neoapitest.Server, *Client) {
	t.Helper()
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(0), neoapitest.WithTime(noon))
	to, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
	}}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { change(w, r, proxy) }))
	t.Cleanup(front.Close)
	c, err := neoapi.New(neoapi.Config{Environment: neoapi.Environment(front.URL), ConsumerKey: srv.ConsumerKey, Rate: -1, Clock: srv.Now})
	if err != nil {
		t.Fatal(err)
	}
	return srv, New(c)
}

var anyShare = Instrument{Segment: NSE, Token: "1333", Symbol: "HDFCBANK-EQ", Kind: Share}

// chainOf returns a chain with strikes and a last price.
func chainOf(last string, strikes ...string) *Chain {
	c := &Chain{Underlying: Index("NIFTY"), at: map[Rupees]int{}, today: Date{2026, time.September, 22}}
	for _, s := range strikes {
		c.add(Instrument{Token: "c" + s, Kind: Call, Strike: MustRupees(s)})
	}
	c.sort()
	c.Spot = Quote{Token: "26000", Symbol: "NIFTY", PrevClose: MustRupees("23399"), At: time.Date(2026, time.September, 22, 10, 0, 0, 0, IST)}
	if last != "" {
		c.Spot.Last = MustRupees(last)
	}
	return c
}

func TestChain_isAtTheMoneyAtTheListedStrikeNearestToTheLastPrice(t *testing.T) {
	for _, c := range []struct {
		last, want string
		strikes    []string
	}{
		{"23412.35", "23400", []string{"23350", "23400", "23450"}},
		{"85050", "85000", []string{"85100", "85000"}}, // as near: the lower
		{"85050.01", "85100", []string{"85100", "85000"}},
		{"27.4", "27.5", []string{"25", "27.5", "30"}},
		{"83.1025", "83.10", []string{"83.00", "83.10", "83.25"}},
		{"1", "100", []string{"100", "200"}}, {"1000", "200", []string{"100", "200"}},
	} {
		if atm, err := chainOf(c.last, c.strikes...).ATM(); err != nil || atm.Strike != MustRupees(c.want) {
			t.Errorf("%s of %v: %s, %v", c.last, c.strikes, atm.Strike, err)
		}
	}
}

func TestChain_isNotAtTheMoneyWithoutAPriceOfToday(t *testing.T) {
	of := func(change func(*Chain)) *Chain {
		c := chainOf("23412.35", "18150", "23350", "23400", "23450")
		change(c)
		return c
	}
	for want, c := range map[string]*Chain{
		"it is 0 or missing":                                  of(func(c *Chain) { c.Spot.Last = Rupees{} }),
		"that of 23412.35 is from 2026-09-21 15:30:00":        of(func(c *Chain) { c.Spot.At = time.Date(2026, time.September, 21, 15, 30, 0, 0, IST) }),
		"the scrip master does not list it":                   of(func(c *Chain) { c.Spot = Quote{} }),
		"its previous close is 23399.00: Chain.Nearest finds": of(func(c *Chain) { c.Spot.Last = Rupees{} }),
	} {
		if atm, err := c.ATM(); !errors.Is(err, ErrNoSpot) || !strings.Contains(err.Error(), want) || atm.Strike.Known() {
			t.Errorf("%s, not %v: %s", want, err, atm.Strike)
		}
	}
	c := chainOf("", "18150", "23350", "23400")
	if row, err := c.Nearest(c.Spot.PrevClose); err != nil || row.Strike != MustRupees("23400") {
		t.Error(row.Strike, err)
	}
	for _, price := range []string{"0", "-1"} {
		if _, err := c.Nearest(MustRupees(price)); !errors.Is(err, ErrNoSpot) {
			t.Errorf("%s: %v", price, err)
		}
	}
	marked := of(func(c *Chain) { c.Spot, c.marked = Quote{}, MustRupees("23350") })
	if atm, err := marked.ATM(); err != nil || atm.Strike != MustRupees("23350") {
		t.Errorf("no quote of the index, but a mark: %s, %v", atm.Strike, err)
	}
	for _, last := range []string{`"0"`, `"0.0000"`, `"-5"`, `null`, `""`, `"NA"`, `{}`} {
		if q := decodeQuote(json.RawMessage(`{"ltp":` + last + `}`)); q.Last.Known() {
			t.Errorf("a last price of %s: %s", last, q.Last)
		}
	}
}

func TestOptionChain_ofAServiceWithoutOneIsMadeOfQuotes(t *testing.T) {
	var asked atomic.Int64
	srv, api := changed(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.Path, "option-chain") {
			http.Error(w, `{"stat":"Not_Ok","stCode":404,"emsg":"no such path"}`, http.StatusNotFound)
			return
		}
		if strings.Contains(r.URL.Path, "/quotes/") {
			asked.Add(1)
		}
		next.ServeHTTP(w, r)
	})
	srv.Market(t).SetPrice("nse_cm", "Nifty 50", "24512.30")
	chain, err := api.OptionChain(t.Context(), Index("NIFTY"), NearestExpiry)
	if err != nil {
		t.Fatal(err)
	}
	for r := range chain.Rows() {
		if r.CallQuote.Token != r.Call.Token || r.PutQuote.Token != r.Put.Token || !r.PutQuote.PrevClose.Known() {
			t.Fatalf("%+v", r)
		}
	}
	if atm, err := chain.ATM(); err != nil || atm.Strike != MustRupees("24500") {
		t.Error(atm.Strike, err)
	}
	if n := int64((2*chain.Len()+maxQuotes-1)/maxQuotes + 1); asked.Load() != n {
		t.Errorf("%d calls for %d strikes", asked.Load(), chain.Len())
	}
}

func TestOptionChain_hasAnEmptySideWhereOneIsNotListed(t *testing.T) {
	_, api := changed(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if !strings.HasSuffix(r.URL.Path, "nse_fo.csv") && !strings.Contains(r.URL.Path, "option-chain") {
			next.ServeHTTP(w, r)
			return
		}
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		var kept []string
		for line := range strings.Lines(rec.Body.String()) {
			if !strings.Contains(line, "NIFTY") || !strings.Contains(line, "24500PE") {
				kept = append(kept, line)
			}
		}
		if strings.Contains(r.URL.Path, "option-chain") {
			kept = []string{`{"common_data":{},"call":[],"put":[]}`}
		}
		fmt.Fprint(w, strings.Join(kept, ""))
	})
	chain, err := api.OptionChain(t.Context(), Index("NIFTY"), NearestExpiry)
	if err != nil {
		t.Fatal(err)
	}
	row, ok := chain.At(MustRupees("24500"))
	if !ok || row.Call.Token == "" || row.Put.Token != "" || row.PutQuote.Last.Known() {
		t.Errorf("%+v", row)
	}
	if _, ok := chain.Put("24500"); ok {
		t.Error("a put that is not listed")
	}
	if call, ok := chain.Call("24500.00"); !ok || call != row.Call {
		t.Errorf("%+v", call)
	}
}

func TestCandles_areAskedForInThePiecesThatTheServiceAllows(t *testing.T) {
	now := noon
	for _, c := range []struct {
		every Interval
		days  int // back
		calls int
	}{{OneMinute, 30, 1}, {OneMinute, 31, 2}, {FiveMinutes, 61, 2}, {TenMinutes, 60, 1}, {OneHour, 182, 3}, {Daily, 180, 1}, {Daily, 5000, 11}, {Weekly, 364, 3}} {
		var spans []piece
		api := answering(t, now, func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			from, err1 := time.ParseInLocation(time.DateOnly, q.Get("fromdate"), IST)
			to, err2 := time.ParseInLocation(time.DateOnly, q.Get("todate"), IST)
			if err1 != nil || err2 != nil || q.Get("interval") != string(c.every) || q.Get("neosymbol") != "nse_cm|1333" {
				t.Errorf("%s", r.URL)
			}
			spans = append(spans, piece{DateOf(from), DateOf(to)})
			var rows []string
			for day := from; !day.After(to); day = day.AddDate(0, 0, 1) {
				if c.every == Weekly && day.Weekday() != time.Monday {
					continue
				}
				rows = append(rows, `["`+day.Format("2006-01-02T15:04:05-0700")+`",1,2,0.5,1.5,100,0]`)
			}
			fmt.Fprintf(w, `{"status":"success","data":{"candles":[%s]}}`, strings.Join(rows, ","))
		})
		from := now.AddDate(0, 0, -c.days)
		candles, err := api.Candles(t.Context(), anyShare, c.every, from.Truncate(0), now)
		if err != nil || len(spans) != c.calls {
			t.Fatalf("%s, %d days: %d calls, %v", c.every, c.days, len(spans), err)
		}
		_, longest, _ := c.every.known()
		for n, s := range spans {
			if days := int(s.to.Time().Sub(s.from.Time()) / (24 * time.Hour)); days > longest || days < 0 {
				t.Errorf("%s: %v is too long", c.every, s)
			}
			if n > 0 && s.from.Time() != spans[n-1].to.Time().AddDate(0, 0, 1) {
				t.Errorf("%s: %v after %v", c.every, s, spans[n-1])
			}
		}
		if last := spans[len(spans)-1].to; last != DateOf(now) {
			t.Errorf("until %s", last)
		}
		for n := 1; n < len(candles); n++ {
			if !candles[n-1].Start.Before(candles[n].Start) {
				t.Fatal("order")
			}
		}
		before := len(spans)
		again, err := api.Candles(t.Context(), anyShare, c.every, from, now)
		if err != nil || len(spans) != before+1 || !slices.Equal(again, candles) {
			t.Errorf("%s again: %d calls more, %v", c.every, len(spans)-before, err)
		}
	}
}

func TestCandles_thatTheServiceDoesNotOfferAreNotAskedFor(t *testing.T) {
	now := noon
	api := answering(t, now, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("sent: %s", r.URL) })
	for _, every := range []Interval{"2min", "", "1", "day", "5MIN"} {
		if _, err := api.Candles(t.Context(), anyShare, every, now.AddDate(0, 0, -1), now); !errors.Is(err, ErrNotOffered) || !strings.Contains(err.Error(), "1min, 3min, 5min, 10min, 15min, 30min, 60min, D, W") {
			t.Errorf("%q: %v", every, err)
		}
	}
	if _, err := api.Candles(t.Context(), Instrument{Segment: MCX, Token: "1"}, Daily, now.AddDate(0, 0, -1), now); !errors.Is(err, ErrNotOffered) {
		t.Error(err)
	}
	if _, err := api.Candles(t.Context(), Instrument{}, Daily, now.AddDate(0, 0, -1), now); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	if _, err := api.Candles(t.Context(), anyShare, Daily, now, now.AddDate(0, 0, -1)); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	for from, to := range map[time.Time]time.Time{now: now, now.AddDate(0, 0, 1): now.AddDate(0, 0, 2)} {
		if all, err := api.Candles(t.Context(), anyShare, Daily, from, to); err != nil || len(all) > 0 {
			t.Errorf("%v, %v", all, err)
		}
	}
	for name, want := range map[string]Interval{"5m": FiveMinutes, "5min": FiveMinutes, "60": OneHour, "1h": OneHour, "D": Daily, "1w": Weekly, " 15M ": FifteenMinutes} {
		if got, err := ParseInterval(name); err != nil || got != want {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
	if _, err := ParseInterval("7m"); !errors.Is(err, ErrNotOffered) {
		t.Error(err)
	}
}

func TestCandles_areWhatTheServiceSaid(t *testing.T) {
	now := noon
	from := now.AddDate(0, 0, -2)
	status, body := http.StatusOK, ""
	api := answering(t, now, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	})
	fault := func(text string) string {
		return `{"status":"ERROR","fault":{"code":400,"message":"` + text + `"}}`
	}
	for _, text := range []string{"No data found", "Data not available for today before the market opens"} {
		status, body = http.StatusBadRequest, fault(text)
		if all, err := api.Candles(t.Context(), anyShare, FiveMinutes, from, now); err != nil || len(all) != 0 {
			t.Errorf("%s: %v, %v", text, all, err)
		}
	}
	body = fault("Invalid neosymbol")
	if _, err := api.Candles(t.Context(), anyShare, FiveMinutes, from, now); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown symbol: %v", err)
	}
	body = fault("Invalid todate")
	if _, err := api.Candles(t.Context(), anyShare, FiveMinutes, from, now); !errors.Is(err, neoapi.ErrInvalidInput) {
		t.Errorf("another fault: %v", err)
	}
	for _, broken := range []string{`{"status":"success"}`, `{"status":"success","data":{}}`, `{"status":"success","data":[]}`, `{"data":{"candles":{}}}`, `{"data":{"candles":[["x",1,2,3,4,5,6]]}}`, `{"data":{"candles":[[]]}}`, ``, `<html>`} {
		status, body = http.StatusOK, broken
		if all, err := api.Candles(t.Context(), anyShare, FiveMinutes, from, now); err == nil {
			t.Errorf("%s: %v", broken, all)
		}
	}
	body = `{"status":"success","data":{"candles":[
		["2026-09-22T12:00:00+0530",101.5,103.0,100.9,102.19999999999999,4100,null],
		["2026-09-22T11:55:00+0530","101.5",100.0,"x",102.2,"41",0],
		["2026-09-22T12:00:00+0530",101.5,103.0,100.9,102.25,4200,0],
		["2026-09-22T06:20:00Z",1e2,1.01e2,99,100,1]]}}`
	all, err := api.Candles(t.Context(), anyShare, FiveMinutes, from, now)
	if err != nil || len(all) != 3 {
		t.Fatal(all, err)
	}
	if c := all[2]; !c.Running || c.Close != MustRupees("102.25") || c.Volume != 4200 || c.Start != time.Date(2026, time.September, 22, 12, 0, 0, 0, IST) {
		t.Errorf("%+v", c)
	}
	if c := all[1]; c.Running || c.Open != MustRupees("101.50") || c.High != MustRupees("100") || c.Low.Known() || c.Close != MustRupees("102.20") {
		t.Errorf("high below close, and a low that is none: %+v", c)
	}
	if c := all[0]; c.Open != MustRupees("100") || c.High != MustRupees("101") || c.Start != time.Date(2026, time.September, 22, 11, 50, 0, 0, IST) {
		t.Errorf("%+v", c)
	}
	body = `{"data":{"candles":[["2026-09-21T00:00:00+0530",1,2,1,2,5,0],["2026-09-22T12:01:30+0530",1,2,1,2,5,0]]}}`
	all, err = api.Candles(t.Context(), anyShare, Daily, now.AddDate(0, 0, -1), now)
	if err != nil || len(all) != 2 || all[1].Start != DateOf(now).Time() || !all[1].Running || all[0].Running {
		t.Errorf("%+v, %v", all, err)
	}
	if barPrice(json.RawMessage("102.19999999999999")) != MustRupees("102.20") {
		t.Error("a price that was rounded in binary")
	}
}

func TestPace_letsFiveThroughAndThenOneInTwoSeconds(t *testing.T) {
	var p pace
	now := time.Date(2026, time.September, 22, 12, 0, 0, 0, IST)
	var waits []time.Duration
	for range 8 {
		waits = append(waits, p.take(now))
	}
	want := []time.Duration{0, 0, 0, 0, 0, 2 * time.Second, 4 * time.Second, 6 * time.Second}
	if !slices.Equal(waits, want) {
		t.Error(waits)
	}
	if d := p.take(now.Add(time.Minute)); d != 0 {
		t.Errorf("a minute later: %s", d)
	}
}

func TestQuotes_areAskedForAgainOnceIfTheServiceFailedItself(t *testing.T) {
	now := noon
	good := `[{"exchange":"nse_cm","exchange_token":"1333","ltp":"980.0000","lstup_time":"` + fmt.Sprint(now.Unix()-7) + `"}]`
	type answer struct {
		status int
		body   string
	}
	upstream := answer{400, `{"stat":"Not_Ok","emsg":"failed to call upstream","stCode":400}`}
	for name, c := range map[string]struct {
		first answer
		want  neoapi.Category // if it stays so
		calls int64
	}{
		"upstream": {upstream, neoapi.ErrUnavailable, 2},
		"424":      {answer{424, `{"stat":"Not_Ok","emsg":"failed dependency"}`}, "", 2},
		"502":      {answer{502, `<html>bad gateway</html>`}, "", 2},
		"html":     {answer{200, `<html>hello</html>`}, neoapi.ErrBadAnswer, 2},
		"bad":      {answer{400, `{"stat":"Not_Ok","emsg":"please provide valid quote type","stCode":1010}`}, neoapi.ErrInvalidInput, 1},
	} {
		for _, stays := range []bool{false, true} {
			var calls atomic.Int64
			api := answering(t, now, func(w http.ResponseWriter, _ *http.Request) {
				if n := calls.Add(1); n == 1 || stays {
					w.WriteHeader(c.first.status)
					fmt.Fprint(w, c.first.body)
					return
				}
				fmt.Fprint(w, good)
			})
			q, err := api.Quote(t.Context(), anyShare)
			if calls.Load() != c.calls {
				t.Errorf("%s: %d calls", name, calls.Load())
			}
			switch {
			case !stays && c.calls == 2:
				age, known := q.Age()
				if err != nil || q.Last != MustRupees("980") || age != 7*time.Second || !known {
					t.Errorf("%s: %+v, %v", name, q, err)
				}
			case err == nil, c.want != "" && !errors.Is(err, c.want):
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestQuotes_thatTheServiceLeavesOutAreNamed(t *testing.T) {
	now := noon
	var sizes []int
	api := answering(t, now, func(w http.ResponseWriter, r *http.Request) {
		names := strings.Split(strings.Split(r.URL.Path, "/")[5], ",")
		sizes = append(sizes, len(names))
		var rows []string
		for _, name := range names {
			segment, token, _ := strings.Cut(name, "|")
			if token != "7" {
				rows = append(rows, `{"exchange":"`+segment+`","exchange_token":"`+token+`","ltp":"`+token+`"}`)
			}
		}
		slices.Reverse(rows)
		fmt.Fprint(w, "["+strings.Join(rows, ",")+"]")
	})
	var of []Instrument
	for n := range 120 {
		of = append(of, Instrument{Segment: []Segment{NSE, NFO}[n%2], Token: fmt.Sprint(1 + n/2), Symbol: fmt.Sprint("S", n)})
	}
	quotes, err := api.Quotes(t.Context(), of)
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "S12 (nse_cm|7)") || !strings.Contains(err.Error(), "S13 (nse_fo|7)") {
		t.Error(err)
	}
	if !slices.Equal(sizes, []int{49, 49, 22}) || len(quotes) != len(of) {
		t.Error(sizes, len(quotes))
	}
	for n, q := range quotes {
		if q.Token != of[n].Token || q.Segment != of[n].Segment || q.Symbol != of[n].Symbol || q.Last.Known() == (q.Token == "7") {
			t.Fatalf("%d: %+v", n, q)
		}
	}
	index := Instrument{Segment: NSE, Token: "26000", Symbol: "NIFTY", Name: "NIFTY", Kind: IndexKind}
	if q, err := api.Quote(t.Context(), index); err != nil || q.Token != "26000" {
		t.Errorf("an index, by its name: %+v, %v", q, err)
	}
}

func TestInstruments_ofManyCallersAreReadOnce(t *testing.T) {
	var downloads atomic.Int64
	_, api := changed(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasSuffix(r.URL.Path, ".csv") {
			downloads.Add(1)
		}
		next.ServeHTTP(w, r)
	})
	var all sync.WaitGroup
	for n := range 16 {
		all.Go(func() {
			m, err := New(api.api).Instruments(t.Context(), NSE, BSE)
			if err != nil || len(m.Find(Search{Text: "tcs", Limit: 1 + n})) == 0 {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := downloads.Load(); n != 2 {
		t.Errorf("%d downloads", n)
	}
}

func TestInstruments_endWithTheirContext(t *testing.T) {
	stop := make(chan struct{})
	_, api := changed(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if !strings.HasSuffix(r.URL.Path, ".csv") {
			next.ServeHTTP(w, r)
			return
		}
		fmt.Fprint(w, testHeader, "\n")
		w.(http.Flusher).Flush()
		select { // endless
		case <-r.Context().Done():
		case <-stop:
		}
	})
	defer close(stop)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := api.Instruments(ctx, NSE); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}
