package paperapi

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"neoapi/internal/paper"
	"neoapi/internal/paper/ledger"
	"neoapi/internal/paper/listing"
)

// A Control is a request to change the market or an account, or to look at what was
// asked. Its body is a flat JSON object but for holdings.
type Control struct {
	Method, Path string
	Fields       map[string]any
}

// controlPaths are the paths of controls; one that ends in a slash is followed by a UCC.
var controlPaths = map[string]string{ // and their methods
	"/sandbox/market":   "POST",
	accountsPath:        "GET, POST",
	"/sandbox/state":    "DELETE",
	"/sandbox/requests": "GET",
}

// ControlMethods returns the methods of a control's path, "" if it is none.
func ControlMethods(path string) string {
	if methods, ok := controlPaths[path]; ok && !strings.HasSuffix(path, "/") {
		return methods
	}
	if _, ok := AccountOf(path); ok {
		return controlPaths[accountsPath]
	}
	return ""
}

const accountsPath = "/sandbox/accounts/"

// AccountOf returns the UCC that the path of a control names, if it names one.
func AccountOf(path string) (ucc string, ok bool) {
	ucc, ok = strings.CutPrefix(path, accountsPath)
	return ucc, ok && ucc != "" && !strings.Contains(ucc, "/")
}

// A ControlError says what is wrong with a control, and of which field.
type ControlError struct {
	Field, Text string
}

// Error implements error.
func (e *ControlError) Error() string { return e.Field + " " + e.Text }

// Control does what a control asks and returns its answer. The error is a [ControlError]
// if the control is wrong.
func (a *API) Control(c Control) (any, error) {
	switch path := c.Path; {
	case path == "/sandbox/market":
		return a.controlMarket(formOf(c.Fields))
	case path == "/sandbox/state":
		return a.reset()
	case path == "/sandbox/requests":
		return a.asked.list(), nil
	case strings.HasPrefix(path, accountsPath):
		ucc := strings.TrimPrefix(path, accountsPath)
		if c.Method == http.MethodPost {
			return a.controlAccount(ucc, formOf(c.Fields))
		}
		return a.account(ucc), nil
	}
	return nil, &ControlError{"path", "is not one of the sandbox's"}
}

// priceOf returns a price that a field gives, which must be there.
func priceOf(f form, name string) (listing.Price, *ControlError) {
	v, err := f.text(name)
	if err != nil {
		return 0, err
	}
	p, wrong := listing.ParsePrice(v)
	if wrong != nil || p <= 0 || p > maxPrice {
		return 0, &ControlError{name, `must be a price such as "3500.05"`}
	}
	return p, nil
}

// marketForms are what can be set, and the fields that each takes besides the instrument's.
var marketForms = map[string][]string{
	"price": {"price"}, "gap": {"price"}, "trade": {"price", "quantity"}, "band": {"low", "high"}, "halt": nil, "run": nil,
}

// controlMarket sets a price, prints a trade, halts, and so on.
func (a *API) controlMarket(f form) (any, error) {
	what, err := f.name("set")
	switch {
	case err == nil && what == "status":
		return a.controlStatus(f)
	case err == nil && what == "auction":
		return a.controlAuction(f)
	}
	more, known := marketForms[what]
	if err != nil || !known {
		return nil, &ControlError{"set", "must be price, trade, halt, band, gap, run, status or auction"}
	}
	all := what == "run" && len(f) == 1
	if err := f.only("set "+what, append([]string{"set", "segment", "symbol", "token"}, more...)...); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.unlock()
	now := a.now()
	if all {
		a.exchange.Release(now, listing.Key{})
		return map[string]any{"set": what}, nil
	}
	i, err := a.chosen(now, f)
	if what == "run" && err != nil {
		err.Text += `; {"set":"run"} alone lets all prices go`
	}
	if err != nil {
		return nil, err
	}
	if err := a.move(now, what, i, f); err != nil {
		return nil, err
	}
	q, _ := a.exchange.Quote(now, i.Key)
	return map[string]any{"set": what, "segment": i.Segment.String(), "token": strconv.Itoa(int(i.Token)), "symbol": i.Name, "last": q.Last.String()}, nil
}

// move does one thing to an instrument.
func (a *API) move(now time.Time, what string, i *listing.Instrument, f form) error {
	var refusal *paper.Refusal
	switch what {
	case "price", "gap", "trade":
		p, err := priceOf(f, "price")
		if err != nil {
			return err
		}
		switch what {
		case "price":
			refusal = a.exchange.SetPrice(now, i.Key, p)
		case "gap":
			refusal = a.exchange.Gap(now, i.Key, p)
		default:
			n, err := f.whole("quantity", 1)
			if err != nil {
				return err
			}
			refusal = a.exchange.Print(now, i.Key, p, n)
		}
	case "halt":
		refusal = a.exchange.Halt(now, i.Key, true)
	case "run":
		if refusal = a.exchange.Halt(now, i.Key, false); refusal == nil {
			a.exchange.Release(now, i.Key)
		}
	case "band":
		low, err := priceOf(f, "low")
		if err != nil {
			return err
		}
		high, err := priceOf(f, "high")
		if err != nil {
			return err
		}
		refusal = a.exchange.SetBand(now, i.Key, low, high)
	}
	if refusal != nil {
		return undone(refusal, "set")
	}
	return nil
}

// undone is the error of a control that the exchange refuses: of a field, unless the
// exchange could not write it down.
func undone(r *paper.Refusal, field string) error {
	if r.Reason == paper.NotWritten {
		return errors.New(r.Text)
	}
	return &ControlError{cmp.Or(r.Field, field), r.Text}
}

// howNamed says how an instrument is named.
const howNamed = "an instrument is named by segment and symbol, or by segment and token"

// chosen returns the instrument that fields name by segment and token or symbol.
func (a *API) chosen(now time.Time, f form) (*listing.Instrument, *ControlError) {
	name, err := f.name("segment")
	if err != nil {
		return nil, &ControlError{"segment", err.Text + ": " + howNamed}
	}
	s, ok := listing.ParseSegment(name)
	if !ok {
		return nil, &ControlError{noSegment.Field, noSegment.Text} // others add to it
	}
	day := a.exchange.Listing(now)
	_, byToken := f["token"]
	_, bySymbol := f["symbol"]
	if !byToken && !bySymbol {
		return nil, &ControlError{"symbol", "is missing: " + howNamed}
	}
	var found *listing.Instrument
	if byToken {
		token, err := f.text("token")
		if err != nil {
			return nil, err
		}
		n, wrong := strconv.ParseUint(token, 10, 32)
		if found, ok = day.Find(listing.Key{Segment: s, Token: uint32(n)}); wrong != nil || !ok {
			return nil, &ControlError{"token", "is not listed in " + s.String() + " today: the scrip master has the tokens"}
		}
	}
	if !bySymbol {
		return found, nil
	}
	symbol, err := f.name("symbol")
	if err != nil {
		return nil, err
	}
	named, ok := day.Named(s, symbol)
	switch {
	case !ok:
		return nil, &ControlError{"symbol", "is not listed in " + s.String() + " today: the scrip master has the names"}
	case byToken && named.Key != found.Key:
		return nil, &ControlError{"symbol", "is not that of the token, which is " + found.Name + "'s: send one of the two"}
	}
	return named, nil
}

// controlAccount replaces an account's money and shares.
func (a *API) controlAccount(ucc string, f form) (any, error) {
	if err := f.only("an account", "funds", "holdings"); err != nil {
		return nil, err
	}
	wrong := &ControlError{"funds", `must be an amount such as "100000.00"`}
	amount, err := f.text("funds")
	if err != nil {
		wrong.Text = err.Text + `: an amount such as "100000.00"`
		return nil, wrong
	}
	funds, bad := listing.ParsePrice(amount)
	if bad != nil || funds < 0 || funds > 1_000_000_000*listing.Rupee || funds%(listing.Rupee/100) != 0 {
		return nil, wrong
	}
	a.mu.Lock()
	holdings, err := a.holdings(a.now(), f)
	if err != nil {
		a.unlock()
		return nil, err
	}
	refusal := a.exchange.Fund(a.now(), ucc, funds, holdings)
	a.unlock()
	if refusal != nil {
		return nil, undone(refusal, "funds")
	}
	return a.account(ucc), nil
}

// holdings reads the holdings of an account, nil if there are none given.
func (a *API) holdings(now time.Time, f form) ([]ledger.Holding, *ControlError) {
	list, given := f["holdings"]
	if !given {
		return nil, nil
	}
	rows, ok := list.([]any)
	if !ok {
		return nil, &ControlError{"holdings", "must be a list of objects"}
	}
	all := []ledger.Holding{}
	for n, row := range rows {
		h, err := a.holding(now, row)
		if err != nil {
			err.Field = strings.TrimSuffix(fmt.Sprintf("holdings[%d].%s", n, err.Field), ".")
			return nil, err
		}
		if slices.ContainsFunc(all, func(o ledger.Holding) bool { return o.Key == h.Key }) {
			return nil, &ControlError{fmt.Sprintf("holdings[%d]", n), "is " + h.Name + ", which is in the list already"}
		}
		all = append(all, h)
	}
	return all, nil
}

// holding reads one holding.
func (a *API) holding(now time.Time, row any) (h ledger.Holding, err *ControlError) {
	f, ok := row.(map[string]any)
	if !ok {
		return h, &ControlError{"", "must be an object"}
	}
	in := formOf(f)
	if err = in.only("a holding", "segment", "symbol", "token", "quantity", "averagePrice", "t1", "pledged"); err != nil {
		return h, err
	}
	if h.Instrument, err = a.chosen(now, in); err != nil {
		return h, err
	}
	if !h.Segment.Cash() {
		return h, &ControlError{"segment", "of a holding must be nse_cm or bse_cm"}
	}
	if h.Quantity, err = in.whole("quantity", 1); err != nil {
		return h, err
	}
	for _, part := range []struct {
		name string
		of   *int64
	}{{"t1", &h.T1}, {"pledged", &h.Pledged}} {
		if _, given := in[part.name]; !given {
			continue
		}
		if *part.of, err = in.whole(part.name, 0); err != nil || h.T1+h.Pledged > h.Quantity {
			return h, &ControlError{part.name, "must be a part of the quantity"}
		}
	}
	average, err := priceOf(in, "averagePrice")
	h.Cost = h.Amount(average, h.Quantity)
	return h, err
}

// account answers with what an account has.
func (a *API) account(ucc string) any {
	a.mu.Lock()
	defer a.unlock()
	now := a.now()
	l := a.exchange.Limits(now, ucc)
	holdings := []map[string]any{}
	for _, h := range a.exchange.Holdings(now, ucc) {
		holdings = append(holdings, map[string]any{
			"segment": h.Segment.String(), "token": strconv.Itoa(int(h.Token)), "symbol": h.Name, "averagePrice": average(h.Cost, h.Quantity).String(),
			"quantity": h.Quantity, "t1": h.T1, "pledged": h.Pledged,
		})
	}
	return map[string]any{
		"ucc": ucc, "cash": l.Cash.String(), "pledged": l.Pledged.String(), "used": l.Used.String(), "net": l.Net.String(), "holdings": holdings,
	}
}

// Time returns the market's time.
func (a *API) Time() (t time.Time) {
	a.Exchange(func(x *paper.Exchange, now time.Time) { t = x.Time(now) })
	return t
}

// reset returns to the seed.
func (a *API) reset() (any, error) {
	defer a.say(Announcement{Reset: true}) // when the exchange is let go
	a.mu.Lock()
	defer a.unlock()
	a.market.Start = a.now()
	if a.journal == nil {
		a.exchange = paper.New(a.market)
	} else {
		x, err := a.journal.Clear(a.market)
		if err != nil {
			return nil, fmt.Errorf("the exchange on paper could not be cleared: %w", err)
		}
		a.exchange = x
	}
	a.files = masters{}
	a.asked.clear()
	return map[string]any{"state": "as at the start"}, nil
}
