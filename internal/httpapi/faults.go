package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"neoapi/internal/front"
	"neoapi/internal/login"
	"neoapi/internal/tradewire"
	"neoapi/internal/wire"
)

// Faults are answers that go wrong on purpose, for those who test a client: the
// next answers of an operation fail in a way that the field's servers have been
// seen to fail in. Only the sandbox has them. The zero value has none. A Faults is
// safe for concurrent use.
type Faults struct {
	mu      sync.Mutex
	pending []Fault
}

// A Fault is what the next answers of an operation will be.
type Fault struct {
	Op    string `json:"op"`
	Fault string `json:"fault"`
	Times int    `json:"times"`
}

// shapes are the faults that are no row of the table of codes. Those marked lost
// happen to the answer: the operation itself has been done.
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
	"truncated":    {lost: true},
	"lost":         {lost: true},
	"close":        {},
	"hang":         {},
}

// FaultNames are the faults there are: the codes of the table, and the shapes.
func FaultNames() []string {
	var all []string
	for _, f := range wire.Failures {
		all = append(all, f.Code)
	}
	for name := range shapes {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// FaultOps are the operations whose answers can fail.
func FaultOps() []string {
	all := []string{"login", "session_2fa"}
	for _, r := range slices.Concat(wire.Routes, tradewire.Routes()) {
		if op := string(r.Op); r.Op != wire.OpValidate && !slices.Contains(all, op) {
			all = append(all, op)
		}
	}
	slices.Sort(all)
	return all
}

// maxFaults bounds what is pending, and how often one fault happens.
const maxFaults = 1000

// Add makes the next answers of an operation fail, after those that fail already.
// The error is of login.KindInput.
func (f *Faults) Add(x Fault) error {
	bad := func(field, detail string) error {
		return login.Invalid(field, detail)
	}
	switch {
	case !slices.Contains(FaultOps(), x.Op):
		return bad("op", fmt.Sprintf("must be one of %v", FaultOps()))
	case !slices.Contains(FaultNames(), x.Fault):
		return bad("fault", fmt.Sprintf("must be one of %v", FaultNames()))
	case x.Times < 1 || x.Times > maxFaults:
		return bad("times", "must be a number from 1 to "+strconv.Itoa(maxFaults))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.pending) >= maxFaults {
		return bad("fault", "so many faults are waiting that no more are taken")
	}
	f.pending = append(f.pending, x)
	return nil
}

// Clear forgets all faults that have not happened yet.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending = nil
}

// Pending returns the faults that have not happened yet.
func (f *Faults) Pending() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Fault{}, f.pending...)
}

// next takes the fault of an operation's next answer, "" for none.
func (f *Faults) next(op string) string {
	if f == nil {
		return ""
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.pending {
		if x := &f.pending[i]; x.Op == op {
			name := x.Fault
			if x.Times--; x.Times == 0 {
				f.pending = slices.Delete(f.pending, i, i+1)
			}
			return name
		}
	}
	return ""
}

// fail is how a call ends that gets the answer which a fault prescribes.
func (a *api) fail(w http.ResponseWriter, c *call, name string) outcome {
	if row, ok := wire.Lookup(name); ok {
		ans := front.Answer{Status: row.Status, Body: wire.Failed{Error: []wire.Problem{{Code: row.Code, Message: row.Meaning + ", on purpose"}}}}
		if row.Status == http.StatusTooManyRequests || row.Status == http.StatusServiceUnavailable {
			ans.Header = http.Header{"Retry-After": {"1"}}
		}
		if c.style == styleTrade || row.Status == http.StatusOK {
			code, _ := strconv.Atoi(row.Code)
			ans.Body = wire.NotOk{Stat: "Not_Ok", StCode: code, ErrMsg: row.Meaning + ", on purpose"}
		}
		return outcome{status: row.Status, size: front.Send(w, c.Request, ans)}
	}
	shape := shapes[name]
	switch {
	case name == "hang":
		<-c.Context().Done()
		return outcome{aborted: true}
	case name == "close":
		return outcome{aborted: true}
	case shape.lost:
		ans, err := a.work(w, c)
		if err != nil {
			ans = failure(c.endpoint, err)
		}
		if name != "truncated" {
			return outcome{err: err, aborted: true}
		}
		size := front.Send(half{w}, c.Request, ans)
		_ = http.NewResponseController(w).Flush()
		return outcome{status: ans.Status, size: size, err: err, aborted: true}
	}
	ans := front.Answer{Status: shape.status, Body: front.Raw{Type: "application/json", Text: []byte(shape.body)}}
	switch {
	case shape.html:
		ans.Body = front.Raw{Type: "text/html", Text: []byte(shape.body)}
	case shape.status == http.StatusFound:
		ans.Body, ans.Header = front.Raw{}, http.Header{"Location": {"http://127.0.0.1:1/elsewhere"}}
	}
	return outcome{status: shape.status, size: front.Send(w, c.Request, ans)}
}

// A half answer breaks off.
type half struct{ http.ResponseWriter }

// Write implements [http.ResponseWriter].
func (h half) Write(b []byte) (int, error) { return h.ResponseWriter.Write(b[:len(b)/2]) }

// faultsPath is where the sandbox's faults are made.
const faultsPath = "/sandbox/faults"

// sandboxFaults lists, adds and clears faults.
func (a *api) sandboxFaults(c *call) (front.Answer, error) {
	switch c.Method {
	case http.MethodDelete:
		a.Faults.Clear()
	case http.MethodPost:
		f, err := jsonBody(c)
		if err != nil {
			return front.Answer{}, err
		}
		x := Fault{Times: 1}
		if x.Op, err = f.text("op"); err != nil {
			return front.Answer{}, err
		}
		if x.Fault, err = f.text("fault"); err != nil {
			return front.Answer{}, err
		}
		if times, given := f["times"]; given {
			x.Times, _ = strconv.Atoi(fmt.Sprint(times)) // what is no number is 0, which is refused
		}
		if err := a.Faults.Add(x); err != nil {
			return front.Answer{}, err
		}
	}
	return success(struct {
		Pending []Fault  `json:"pending"`
		Ops     []string `json:"ops"`
		Faults  []string `json:"faults"`
	}{a.Faults.Pending(), FaultOps(), FaultNames()})
}
