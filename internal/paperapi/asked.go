package paperapi

import (
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
)

// requests are the last calls and what became of each.
type requests struct {
	mu   sync.Mutex
	all  [maxRequests]Asked
	next int // how many there have been
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
	r.all[r.next%maxRequests] = x
	r.next++
}

func (r *requests) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next = 0
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
