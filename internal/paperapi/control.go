package paperapi

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
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

// Control does what a control asks and returns its answer. The error is a [ControlError].
func (a *API) Control(c Control) (any, error) {
	switch path := c.Path; {
	case path == "/sandbox/market":
		return a.controlMarket(c.Fields)
	case path == "/sandbox/state":
		return a.reset()
	case path == "/sandbox/requests":
		return a.asked.list(), nil
	case strings.HasPrefix(path, accountsPath):
		ucc := strings.TrimPrefix(path, accountsPath)
		if c.Method == http.MethodPost {
			return a.controlAccount(ucc, c.Fields)
		}
		return a.account(ucc), nil
	}
	return nil, &ControlError{"path", "is not one of the sandbox's"}
}

// text returns a field that is a text or a number, "" if it is absent.
func text(f map[string]any, name string) string {
	if v, ok := f[name]; ok && v != nil {
		return fmt.Sprint(v)
	}
	return ""
}

func priceOf(f map[string]any, name string) (listing.Price, error) {
	p, err := listing.ParsePrice(text(f, name))
	if err != nil || p <= 0 || p > maxPrice {
		return 0, &ControlError{name, `must be a price such as "3500.05"`}
	}
	return p, nil
}

// controlMarket sets a price, prints a trade, halts, and so on.
func (a *API) controlMarket(f map[string]any) (any, error) {
	what := text(f, "set")
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if what == "run" && text(f, "segment") == "" {
		a.exchange.Release(now, listing.Key{})
		return map[string]any{"set": what}, nil
	}
	i, err := a.chosen(now, f)
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
func (a *API) move(now time.Time, what string, i *listing.Instrument, f map[string]any) error {
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
			n, err := strconv.ParseInt(text(f, "quantity"), 10, 64)
			if err != nil || n < 1 || n > maxQuantity {
				return &ControlError{"quantity", "must be a number from 1"}
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
	default:
		return &ControlError{"set", "must be price, trade, halt, band, gap or run"}
	}
	if refusal != nil {
		return &ControlError{cmp.Or(refusal.Field, "set"), refusal.Text}
	}
	return nil
}

// chosen returns the instrument that fields name by segment and token or symbol.
func (a *API) chosen(now time.Time, f map[string]any) (*listing.Instrument, error) {
	s, ok := listing.ParseSegment(text(f, "segment"))
	if !ok {
		return nil, &ControlError{"segment", "must be nse_cm, bse_cm, nse_fo, bse_fo, cde_fo or mcx_fo"}
	}
	day := a.exchange.Listing(now)
	if token := text(f, "token"); token != "" {
		n, err := strconv.ParseUint(token, 10, 32)
		if i, ok := day.Find(listing.Key{Segment: s, Token: uint32(n)}); err == nil && ok {
			return i, nil
		}
		return nil, &ControlError{"token", "is not listed in " + s.String()}
	}
	if i, ok := day.Named(s, text(f, "symbol")); ok {
		return i, nil
	}
	return nil, &ControlError{"symbol", "is not listed in " + s.String() + " today: the scrip master has the names"}
}

// controlAccount replaces an account's money and shares.
func (a *API) controlAccount(ucc string, f map[string]any) (any, error) {
	funds, err := listing.ParsePrice(text(f, "funds"))
	if err != nil || funds < 0 || funds > 1_000_000_000*listing.Rupee || funds%(listing.Rupee/100) != 0 {
		return nil, &ControlError{"funds", `must be an amount such as "100000.00"`}
	}
	a.mu.Lock()
	now := a.now()
	var holdings []ledger.Holding
	if list, given := f["holdings"]; given {
		rows, ok := list.([]any)
		if !ok {
			a.mu.Unlock()
			return nil, &ControlError{"holdings", "must be a list"}
		}
		holdings = []ledger.Holding{}
		for _, row := range rows {
			h, err := a.holding(now, row)
			if err != nil {
				a.mu.Unlock()
				return nil, err
			}
			holdings = append(holdings, h)
		}
	}
	refusal := a.exchange.Fund(now, ucc, funds, holdings)
	a.mu.Unlock()
	if refusal != nil {
		return nil, &ControlError{"funds", refusal.Text}
	}
	return a.account(ucc), nil
}

// holding reads one holding.
func (a *API) holding(now time.Time, row any) (h ledger.Holding, err error) {
	f, ok := row.(map[string]any)
	if !ok {
		return h, &ControlError{"holdings", "must be a list of objects"}
	}
	if h.Instrument, err = a.chosen(now, f); err != nil {
		return h, err
	}
	if !h.Segment.Cash() {
		return h, &ControlError{"segment", "of a holding must be nse_cm or bse_cm"}
	}
	h.Quantity, err = strconv.ParseInt(text(f, "quantity"), 10, 64)
	if err != nil || h.Quantity < 1 || h.Quantity > maxQuantity {
		return h, &ControlError{"quantity", "must be a number from 1"}
	}
	for name, n := range map[string]*int64{"t1": &h.T1, "pledged": &h.Pledged} {
		if text(f, name) == "" {
			continue
		}
		if *n, err = strconv.ParseInt(text(f, name), 10, 64); err != nil || *n < 0 || h.T1+h.Pledged > h.Quantity {
			return h, &ControlError{name, "must be a part of the quantity"}
		}
	}
	average, err := priceOf(f, "averagePrice")
	h.Cost = h.Amount(average, h.Quantity)
	return h, err
}

// account answers with what an account has.
func (a *API) account(ucc string) any {
	a.mu.Lock()
	defer a.mu.Unlock()
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

// reset returns to the seed.
func (a *API) reset() (any, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.market.Start = a.now()
	if a.journal == nil {
		a.exchange = paper.New(a.market)
	} else {
		x, err := a.journal.Clear(a.market)
		if err != nil {
			return nil, &ControlError{"state", "could not be cleared: " + err.Error()}
		}
		a.exchange = x
	}
	a.files = masters{}
	a.asked.clear()
	return map[string]any{"state": "as at the start"}, nil
}

// requests are the last calls and what became of each.
type requests struct {
	mu   sync.Mutex
	all  []Asked // at most maxRequests, then from the beginning again
	next int     // how many there have been
}

const maxRequests = 1000

// An Asked is one call that came, and what became of it. Credentials are not in it.
type Asked struct {
	At      time.Time `json:"at"`
	Op      string    `json:"op"`
	Method  string    `json:"method"`
	Path    string    `json:"path"`
	Query   string    `json:"query,omitempty"` // of market data
	Account string    `json:"account,omitempty"`
	Request string    `json:"requestId,omitempty"`
	Body    fields    `json:"jData,omitempty"`
	Fault   string    `json:"fault,omitempty"`
	Status  int       `json:"status"`
	Order   string    `json:"nOrdNo,omitempty"`
	StCode  int       `json:"stCode,omitempty"`
	Error   string    `json:"errMsg,omitempty"`
}

// Bounds of what is remembered of a call.
const (
	maxBrief  = 500
	maxFields = 50
)

// token is a token as the service issues them, wherever a client has put it.
var token = regexp.MustCompile(`eyJ[\w-]*\.[\w-]*\.[\w-]*`)

// brief returns a text cut to what is remembered, without tokens.
func brief(s string) string {
	if strings.Contains(s, "eyJ") {
		s = token.ReplaceAllString(s, "(token)")
	}
	if len(s) > maxBrief {
		return strings.ToValidUTF8(s[:maxBrief], "") + "…"
	}
	return s
}

// brief returns the fields, cut to what is remembered.
func (f fields) brief() fields {
	if f == nil {
		return nil
	}
	short := fields{}
	for name, value := range f {
		if len(short) == maxFields {
			break
		}
		short[brief(name)] = brief(value)
	}
	return short
}

// Struck adds a fault to what is remembered of a call that it left without its answer;
// one that it kept from the exchange is remembered by [API.Kept].
func (a *API) Struck(requestID, fault string) { a.asked.struck(requestID, fault) }

// Kept remembers a call that a fault kept from the exchange, and the status that it got:
// 0 for no answer.
func (a *API) Kept(op, account, requestID string, r *http.Request, body []byte, fault string, status int) {
	f, _ := formFields(body)
	a.asked.add(Asked{
		At: a.now().UTC(), Op: op, Method: r.Method, Path: brief(r.URL.Path), Account: account,
		Request: requestID, Body: f.brief(), Fault: fault, Status: status,
	})
}

func (r *requests) struck(requestID, fault string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k := 1; k <= min(r.next, maxRequests); k++ {
		if x := &r.all[(r.next-k)%maxRequests]; x.Request == requestID {
			x.Fault = fault
			return
		}
	}
}

func (r *requests) add(x Asked) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.next % maxRequests; k < len(r.all) {
		r.all[k] = x
	} else {
		r.all = append(r.all, x)
	}
	r.next++
}

func (r *requests) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all, r.next = nil, 0
}

// list returns them, the newest first.
func (r *requests) list() []Asked {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(r.next, maxRequests)
	list := make([]Asked, 0, n)
	for k := 1; k <= n; k++ {
		list = append(list, r.all[(r.next-k)%maxRequests])
	}
	return list
}
