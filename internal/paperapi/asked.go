package paperapi

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// requests are the last calls and what became of each. What the service refused itself is
// kept apart: strangers can send any number of such calls.
type requests struct {
	mu            sync.Mutex
	last          uint64 // numbers them: their times may go back
	took, refused ring
}

const (
	maxRequests = 1000
	maxRefused  = 500 // of them, if there are others
)

// ring is the last of many.
type ring struct {
	all  []Asked // at most maxRequests, then from the beginning again
	next int     // how many there have been
}

func (r *ring) add(x Asked) {
	if k := r.next % maxRequests; k < len(r.all) {
		r.all[k] = x
	} else {
		r.all = append(r.all, x)
	}
	r.next++
}

// newest calls f with each, the newest first, while it returns true.
func (r *ring) newest(f func(*Asked) bool) {
	for k := 1; k <= min(r.next, maxRequests) && f(&r.all[(r.next-k)%maxRequests]); k++ {
	}
}

// An Asked is one call that came, and what became of it. No credentials are in it, also if
// they were sent where none belong.
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

	number uint64
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

// hidden is what stands for a secret that a client sent where none belongs.
const hidden = "(hidden)"

// secret matches the names of fields that hold secrets. Those of instruments are tk and tok.
var secret = regexp.MustCompile(`(?i)pass|pin$|otp|ott$|secret|auth|^sid$|token|key$`)

// briefQuery returns a query, cut to what is remembered.
func briefQuery(raw string) string {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return ""
	}
	for name := range q {
		if secret.MatchString(name) {
			q[name] = []string{hidden}
		}
	}
	text, _ := url.QueryUnescape(q.Encode()) // for people
	return brief(text)
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
		if secret.MatchString(name) {
			value = hidden
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

// Turned remembers a call that the service refused itself, and its answer: for its
// session, its address or its rate, or because there is nothing at its path. What it asked
// for was not read.
func (a *API) Turned(op, account, requestID string, r *http.Request, status int, body any) {
	text, _ := json.Marshal(body) // it is an answer
	x := Asked{At: a.now().UTC(), Op: op, Method: r.Method, Path: brief(r.URL.Path), Account: account, Request: requestID, Status: status}
	x.tell(text)
	a.asked.refuse(x)
}

// tell adds what an answer says.
func (x *Asked) tell(body []byte) {
	var said struct {
		Order  string `json:"nOrdNo"`
		StCode int    `json:"stCode"`
		Text   string `json:"errMsg"`
		Error  []struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	_ = json.Unmarshal(body, &said) // what has another form says none of it
	x.Order, x.StCode, x.Error = said.Order, said.StCode, brief(said.Text)
	if x.Error == "" && len(said.Error) > 0 {
		x.Error = brief(said.Error[0].Message)
	}
}

func (r *requests) struck(requestID, fault string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.took.newest(func(x *Asked) bool {
		if x.Request == requestID {
			x.Fault = fault
		}
		return x.Request != requestID
	})
}

func (r *requests) add(x Asked) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	x.number = r.last
	r.took.add(x)
}

func (r *requests) refuse(x Asked) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	x.number = r.last
	r.refused.add(x)
}

func (r *requests) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.took.next, r.refused.next = 0, 0
}

// list returns them, the newest first: the last thousand, but no more than half of them
// refused if there are others.
func (r *requests) list() []Asked {
	r.mu.Lock()
	defer r.mu.Unlock()
	took, refused := make([]Asked, 0, maxRequests), make([]Asked, 0, maxRefused)
	most := max(maxRefused, maxRequests-r.took.next)
	r.refused.newest(func(x *Asked) bool {
		refused = append(refused, *x)
		return len(refused) < most
	})
	r.took.newest(func(x *Asked) bool {
		took = append(took, *x)
		return true
	})
	all := append(took, refused...)
	slices.SortFunc(all, func(a, b Asked) int { return cmp.Compare(b.number, a.number) })
	return all[:min(len(all), maxRequests)]
}
