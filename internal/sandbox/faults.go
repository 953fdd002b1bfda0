package sandbox

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"neoapi/internal/front"
	"neoapi/internal/login"
	"neoapi/internal/paperapi"
	"neoapi/internal/paperfeed"
	"neoapi/internal/tradewire"
	"neoapi/internal/wire"
)

// Faults are deliberate failures, for testing clients: the next answers of an
// operation fail in a way that existing servers have been seen to fail. Only the
// sandbox has them. The zero value has none. A Faults is safe for concurrent use.
type Faults struct {
	mu      sync.Mutex
	pending []Fault
	feeds   atomic.Int32 // how many of them are of feeds
	paper   *paperapi.API
}

// Of tells the faults of which exchange on paper they are: it knows the orders that calls
// name by their number, and remembers what became of calls. Call it before the first
// call.
func (f *Faults) Of(a *paperapi.API) { f.paper = a }

// subject returns what a call is about.
func (f *Faults) subject(account string, body []byte) paperapi.Subject {
	if f.paper == nil {
		return paperapi.Subject{Account: account}
	}
	return f.paper.SubjectOf(account, body)
}

// A Fault is what the next answers of an operation will be.
type Fault struct {
	Op    string `json:"op"`
	Fault string `json:"fault"`
	Times int    `json:"times"`

	// Which calls it strikes; "" for any.
	Account string `json:"account,omitempty"` // UCC
	Symbol  string `json:"symbol,omitempty"`  // the order's trading symbol
	Side    string `json:"side,omitempty"`    // the order's, B or S
	Tag     string `json:"tag,omitempty"`     // the order's

	Text string `json:"text,omitempty"` // what a rejection says
	N    int    `json:"n,omitempty"`    // parts, seconds, or every which frame

	passed int // frames of a feed since it last struck
}

// strikes reports whether a fault is for a call. What the call is about is only asked for
// if that matters.
func (x *Fault) strikes(op string, about func() paperapi.Subject) bool {
	if x.Op != op || x.Account+x.Symbol+x.Side+x.Tag == "" {
		return x.Op == op
	}
	is := func(want, has string) bool { return want == "" || want == has }
	on := about()
	return is(x.Account, on.Account) && is(x.Symbol, on.Symbol) && is(x.Side, on.Side) && is(x.Tag, on.Tag)
}

// shapes are the faults that are not in the table of codes. Those marked lost affect
// only the answer: the operation itself is carried out.
var shapes = map[string]struct {
	status int
	body   string
	lost   bool
	html   bool
}{
	"200_error":    {status: 200, body: `{"error":[{"code":"10020","message":"a failure with the status of a success"}]}`},
	"200_failure":  {status: 200, body: `{"stCode":1005,"errMsg":"a failure with the status of a success","status":"failure"}`},
	"fault":        {status: 401, body: `{"fault":{"code":"900901","message":"Invalid Credentials"}}`},
	"not_ok":       {status: 400, body: `{"stat":"Not_Ok","stCode":1005,"errMsg":"a failure in the trade API's shape"}`},
	"status_error": {status: 400, body: `{"status":"error","message":"a failure in yet another shape","errorCode":"10300"}`},
	"rate_limit":   {status: 429, body: `{"code":"900802","error":"Rate limit exceeded","message":"too many requests"}`},
	"double":       {status: 400, body: `"{\"error\":[{\"code\":\"10300\",\"message\":\"encoded twice\"}]}"`},
	"null_data":    {status: 200, body: `{"data":null}`},
	"empty":        {status: 200},
	"html_502":     {status: 502, body: "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>", html: true},
	"html_504":     {status: 504, body: "<html><head><title>504 Gateway Time-out</title></head><body></body></html>", html: true},
	"redirect":     {status: 302},
	"lost_502":     {status: 502, body: "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>", html: true, lost: true},
	"lost_hang":    {lost: true},
	"truncated":    {lost: true},
	"lost":         {lost: true},
	"close":        {},
	"hang":         {},
}

// allFaults are the faults there are: of answers, of the exchange on paper and of feeds.
func allFaults() []string {
	all := slices.Concat(FaultNames(), TradeFaultNames(), FeedFaultNames())
	slices.Sort(all)
	return slices.Compact(all)
}

// TradeFaultNames are the faults that only calls of the exchange on paper can have.
func TradeFaultNames() []string {
	all := append(slices.Clone(lostAnswers), paperapi.FaultNames()...)
	slices.Sort(all)
	return all
}

// lostAnswers are the shapes in which a trade API's answer has been seen to be lost.
var lostAnswers = []string{"lost_502", "lost_hang"}

// FaultNames are the faults that the answer of any operation can have: the codes of the
// table, and the shapes.
func FaultNames() []string {
	var all []string
	for _, f := range wire.Failures {
		all = append(all, f.Code)
	}
	for name := range shapes {
		if !slices.Contains(lostAnswers, name) {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// FaultOps are the operations whose answers can fail.
func FaultOps() []string {
	all := slices.Concat([]string{"login", "session_2fa"}, paperapi.Ops(), paperfeed.Ops())
	for _, r := range wire.Routes {
		if op := string(r.Op); r.Op != wire.OpValidate && !slices.Contains(all, op) {
			all = append(all, op)
		}
	}
	slices.Sort(all)
	return all
}

// maxFaults limits the pending faults, and how often one fault happens.
const maxFaults = 1000

// Add makes further answers of an operation fail, after those pending. The error is
// of login.KindInput.
func (f *Faults) Add(x Fault) error {
	switch {
	case !slices.Contains(FaultOps(), x.Op):
		return login.Invalid("op", fmt.Sprintf("must be one of %v", FaultOps()))
	case !slices.Contains(allFaults(), x.Fault):
		return login.Invalid("fault", fmt.Sprintf("must be one of %v", allFaults()))
	case !fits(x):
		return login.Invalid("fault", "is not one that can happen to this op")
	case slices.Contains(paperfeed.Ops(), x.Op):
		if err := checkFeed(x); err != nil {
			return err
		}
	case !slices.Contains(paperapi.Ops(), x.Op) && x.Account+x.Symbol+x.Side+x.Tag != "":
		return login.Invalid("op", "is not a trade call: account, symbol, side and tag are of trade calls, so this fault would strike none")
	case !slices.Contains(aboutOrders, x.Op) && x.Symbol+x.Side+x.Tag != "":
		return login.Invalid("op", fmt.Sprintf("is not about an order: symbol, side and tag are for %v, so this fault would strike none", aboutOrders))
	case x.Side != "" && x.Side != "B" && x.Side != "S":
		return login.Invalid("side", "must be B or S")
	}
	switch {
	case x.N < 0 || x.N > maxFaults:
		return login.Invalid("n", "must be a number from 1 to "+strconv.Itoa(maxFaults))
	case x.Times < 1 || x.Times > maxFaults:
		return login.Invalid("times", "must be a number from 1 to "+strconv.Itoa(maxFaults))
	}
	if x.Side == "" {
		x.Side = paperapi.SideOf(x.Fault)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.pending) >= maxFaults {
		return login.Invalid("fault", "so many faults are waiting that no more are taken")
	}
	f.pending = append(f.pending, x)
	f.count()
	return nil
}

// aboutOrders are the operations that say which order they are about.
var aboutOrders = []string{
	string(tradewire.OpPlace), string(tradewire.OpModify), string(tradewire.OpCancel), string(tradewire.OpExit), string(tradewire.OpHistory),
	string(tradewire.OpMargin), string(tradewire.OpConvert),
}

// fits reports whether a fault is one for its operation: those of the exchange are for
// some only.
func fits(x Fault) bool {
	switch {
	case slices.Contains(paperfeed.Ops(), x.Op):
		return paperfeed.FaultAt(x.Fault, x.Op) != 0
	case slices.Contains(lostAnswers, x.Fault):
		return slices.Contains(paperapi.Ops(), x.Op)
	case !slices.Contains(FaultNames(), x.Fault) && !slices.Contains(TradeFaultNames(), x.Fault):
		return false
	}
	known, fits := paperapi.IsFault(x.Fault, wire.Op(x.Op))
	return !known || fits
}

// Clear forgets all faults that have not happened yet.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending = nil
	f.count()
}

// Pending returns the faults that have not happened yet.
func (f *Faults) Pending() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Fault{}, f.pending...)
}

// take takes the fault of an operation's next answer: of those that the exchange on paper
// makes itself, or of the others.
func (f *Faults) take(op string, about func() paperapi.Subject, exchange bool) (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.pending {
		x := &f.pending[i]
		if known, _ := paperapi.IsFault(x.Fault, wire.Op(op)); known != exchange || !x.strikes(op, about) {
			continue
		}
		return f.use(i), true
	}
	return Fault{}, false
}

// use takes a pending fault once. The caller holds the lock.
func (f *Faults) use(i int) Fault {
	x := &f.pending[i]
	took := *x
	if x.Times--; x.Times == 0 {
		f.pending = slices.Delete(f.pending, i, i+1)
		f.count()
	}
	return took
}

// OfExchange takes the fault of a call that the exchange on paper makes itself.
func (f *Faults) OfExchange(op wire.Op, about func() paperapi.Subject) (paperapi.Fault, bool) {
	x, ok := f.take(string(op), about, true)
	return paperapi.Fault{Name: x.Fault, Text: x.Text, N: x.N}, ok
}

// Next takes the fault of an operation's next answer: a function that answers with it,
// or nil for none. trade reports whether the operation is one of the trade API; if so,
// account and body say which call it is. The function is called with one that carries out
// the operation, and returns the answer's status and size, and whether it was cut short, as
// its connection must then be.
func (f *Faults) Next(op string, trade bool, account string, body []byte) func(w http.ResponseWriter, r *http.Request, do func() front.Answer) (status, size int, cut bool) {
	x, ok := f.take(op, func() paperapi.Subject { return f.subject(account, body) }, false)
	if !ok {
		return nil
	}
	fail := failing(x.Fault, trade)
	if !trade || f.paper == nil {
		return fail
	}
	return func(w http.ResponseWriter, r *http.Request, do func() front.Answer) (status, size int, cut bool) {
		id := w.Header().Get(wire.HeaderRequestID)
		if !shapes[x.Fault].lost {
			status := 0
			if x.Fault != "hang" && x.Fault != "close" {
				status = answer(x.Fault, trade, r.URL.Path).Status
			}
			f.paper.Kept(op, account, id, r, body, x.Fault, status)
		}
		return fail(w, r, func() front.Answer {
			ans := do()
			f.paper.Struck(id, x.Fault)
			return ans
		})
	}
}

// failing returns a function that answers with a failure.
func failing(name string, trade bool) func(w http.ResponseWriter, r *http.Request, do func() front.Answer) (status, size int, cut bool) {
	return func(w http.ResponseWriter, r *http.Request, do func() front.Answer) (status, size int, cut bool) {
		shape := shapes[name]
		switch {
		case name == "hang":
			<-r.Context().Done()
			return 0, 0, true
		case name == "close":
			return 0, 0, true
		case name == "lost_hang":
			do()
			<-r.Context().Done()
			return 0, 0, true
		case name == "lost_502":
			do()
			ans := answer(name, trade, r.URL.Path)
			return ans.Status, front.Send(w, r, ans), false
		case name == "truncated":
			ans := do()
			size := front.Send(half{w}, r, ans)
			_ = http.NewResponseController(w).Flush()
			return ans.Status, size, true
		case shape.lost:
			do()
			return 0, 0, true
		}
		ans := answer(name, trade, r.URL.Path)
		return ans.Status, front.Send(w, r, ans), false
	}
}

// answer returns the answer of a fault that is not cut short, at a path.
func answer(name string, trade bool, path string) front.Answer {
	row, inTable := wire.Lookup(name)
	shape := shapes[name]
	switch {
	case inTable:
		ans := front.Answer{Status: row.Status, Body: wire.Failed{Error: []wire.Problem{{Code: row.Code, Message: row.Meaning + ", on purpose"}}}}
		if row.Status == http.StatusTooManyRequests || row.Status == http.StatusServiceUnavailable {
			ans.Header = http.Header{"Retry-After": {"1"}}
		}
		if row.Status == http.StatusUnauthorized {
			ans.Header = http.Header{"Www-Authenticate": {`Bearer realm="neo"`}}
		}
		switch {
		case trade || row.Status == http.StatusOK:
			code, _ := strconv.Atoi(row.Code)
			ans.Body = wire.NewNotOk(code, row.Meaning+", on purpose")
		case slices.ContainsFunc(wire.Routes, func(r wire.Route) bool { return r.Path == path && r.SaysGen3() }):
			ans.Body = wire.NewGen3Failed(row.Code, row.Meaning+", on purpose")
		}
		return ans
	case shape.status == http.StatusFound:
		return front.Answer{Status: shape.status, Body: front.Raw{}, Header: http.Header{"Location": {"http://127.0.0.1:1/elsewhere"}}}
	case shape.html:
		return front.Answer{Status: shape.status, Body: front.Raw{Type: "text/html", Text: []byte(shape.body)}}
	}
	return front.Answer{Status: shape.status, Body: front.Raw{Type: "application/json", Text: []byte(shape.body)}}
}

// A half answer breaks off.
type half struct{ http.ResponseWriter }

// Write implements [http.ResponseWriter].
func (h half) Write(b []byte) (int, error) { return h.ResponseWriter.Write(b[:len(b)/2]) }

// faultsPath is where faults are made.
const faultsPath = "/sandbox/faults"

// faultsPage lists, adds and clears faults.
func (s *Sandbox) faultsPage(r *http.Request, fields map[string]any) (front.Answer, error) {
	switch r.Method {
	case http.MethodDelete:
		s.Faults.Clear()
	case http.MethodPost:
		x, err := faultOf(fields)
		if err != nil {
			return front.Answer{}, err
		}
		if err := s.Faults.Add(x); err != nil {
			return front.Answer{}, err
		}
	}
	return success(struct {
		Pending []Fault  `json:"pending"`
		Ops     []string `json:"ops"`
		Faults  []string `json:"faults"`
	}{s.Faults.Pending(), FaultOps(), allFaults()}, nil), nil
}

// faultOf reads a fault. A null counts as absent.
func faultOf(fields map[string]any) (Fault, error) {
	x := Fault{Times: 1}
	texts := map[string]*string{
		"op": &x.Op, "fault": &x.Fault, "account": &x.Account, "symbol": &x.Symbol, "side": &x.Side, "tag": &x.Tag, "text": &x.Text,
	}
	numbers := map[string]*int{"times": &x.Times, "n": &x.N}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		value := fields[name]
		text, isText := texts[name]
		number, isNumber := numbers[name]
		switch {
		case !isText && !isNumber:
			return x, login.Invalid(shown(name), "is not known: a fault takes op, fault, times, account, symbol, side, tag, text and n")
		case value == nil:
		case isText:
			s, ok := value.(string)
			if !ok || s == "" {
				return x, login.Invalid(name, "must be a text that is not empty")
			}
			*text = s
		default:
			n, err := strconv.Atoi(fmt.Sprint(value))
			if err != nil || n < 1 || n > maxFaults {
				return x, login.Invalid(name, "must be a number from 1 to "+strconv.Itoa(maxFaults))
			}
			*number = n
		}
	}
	return x, nil
}
