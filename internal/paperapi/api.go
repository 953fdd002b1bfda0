// Package paperapi speaks the trade protocol for the exchange on paper, behind the
// gateway: it believes the header Neo-Identity, which the gateway alone writes, and
// checks no session itself.
//
// Start with [New]. An [API] is the gateway's transport.
package paperapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"neoapi/internal/claims"
	"neoapi/internal/paper"
	"neoapi/internal/paper/journal"
	"neoapi/internal/paper/listing"
	"neoapi/internal/tradewire"
	"neoapi/internal/wire"
)

// Config configures an [API].
type Config struct {
	Market paper.Config     // of the exchange: its seed, what accounts begin with, and so on
	Now    func() time.Time // the service's clock: the market's too

	// Faults, if not nil, takes the fault of the next call of an operation. The function says
	// what the call is about.
	Faults func(wire.Op, func() Subject) (Fault, bool)
}

// An API answers trade calls. It is safe for concurrent use.
type API struct {
	now    func() time.Time
	market paper.Config
	faults func(wire.Op, func() Subject) (Fault, bool)
	asked  requests
	turns  turns

	mu       sync.Mutex // an Exchange is not safe for concurrent use
	exchange *paper.Exchange
	journal  *journal.Journal // nil: nothing is kept
	files    masters

	followers map[string][]*Follower // by account
	announce  func(Announcement)
	closed    bool // it has been said that a recording has ended; guarded by mu

	descriptions map[*listing.Instrument][]byte
}

// New returns an API. Call [API.Open] before anything else.
func New(cfg Config) *API { return &API{market: cfg.Market, now: cfg.Now, faults: cfg.Faults} }

// Open opens the exchange: in memory, or as a directory keeps it if dir is not "". warn
// gets what a person should know of what was found there. If another process has it, that
// is an error, or if shared is set the exchange is one of its own, in memory. Call
// [API.Close] in the end.
func (a *API) Open(dir string, shared bool, warn func(string)) (err error) {
	a.mu.Lock()
	defer a.unlock()
	a.market.Start = a.now()
	if dir == "" {
		a.exchange = paper.New(a.market)
		return nil
	}
	if a.exchange, a.journal, err = journal.Open(dir, a.market, warn); errors.Is(err, journal.ErrUsed) && shared {
		warn(err.Error() + "; meanwhile this process has an exchange of its own, in memory")
		a.exchange, a.journal = paper.New(a.market), nil
		return nil
	}
	if err != nil {
		return fmt.Errorf("the exchange on paper: %w", err)
	}
	return nil
}

// Run brings what happens to the disk once a second until the context is done. failed
// gets the first error of several in a row.
func (a *API) Run(ctx context.Context, failed func(error)) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for was := error(nil); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := a.sync()
		if err != nil && was == nil {
			failed(err)
		}
		was = err
		a.closeReplayed()
	}
}

func (a *API) sync() error {
	a.mu.Lock()
	defer a.unlock()
	a.exchange.Run(a.now())
	if a.journal == nil {
		return nil
	}
	return a.journal.Sync()
}

// Close closes the files of the exchange.
func (a *API) Close() error {
	a.mu.Lock()
	defer a.unlock()
	if a.journal == nil {
		return nil
	}
	return a.journal.Close()
}

// Exchange calls f with the exchange and the market's time, and nobody else meanwhile.
func (a *API) Exchange(f func(x *paper.Exchange, now time.Time)) {
	a.mu.Lock()
	defer a.unlock()
	f(a.exchange, a.now())
}

// A call is one trade call.
type call struct {
	*http.Request
	*API
	account string // the UCC; "" for a call by the consumer alone
	now     time.Time
	path    string // without the prefix of a generation
	body    []byte
	fault   Fault

	form    fields // of the body
	formErr error

	after func() ([]byte, error) // makes the answer, if it takes long, without the exchange's lock

	rows *report // the answer, if it is a list
	long *answer // the answer, if it is a long one
}

// An operation answers one path.
type operation struct {
	method string
	op     wire.Op
	open   bool // a consumer's key is enough
	answer func(*call) ([]byte, error)
}

// operations are the paths that are not followed by anything.
var operations = map[string]operation{
	tradewire.PathPlace:        {"POST", tradewire.OpPlace, false, (*call).place},
	tradewire.PathModify:       {"POST", tradewire.OpModify, false, (*call).modify},
	tradewire.PathCancel:       {"POST", tradewire.OpCancel, false, (*call).cancel},
	tradewire.PathExitCover:    {"POST", tradewire.OpExit, false, (*call).exit},
	tradewire.PathExitBracket:  {"POST", tradewire.OpExit, false, (*call).exit},
	tradewire.PathConvert:      {"POST", tradewire.OpConvert, false, (*call).convert},
	tradewire.PathHistory:      {"POST", tradewire.OpHistory, false, (*call).history},
	tradewire.PathOrders:       {"GET", tradewire.OpOrders, false, (*call).orders},
	tradewire.PathTrades:       {"GET", tradewire.OpTrades, false, (*call).trades},
	tradewire.PathPositions:    {"GET", tradewire.OpPositions, false, (*call).positions},
	tradewire.PathPositionsNew: {"GET", tradewire.OpPositions, false, (*call).positions},
	tradewire.PathHoldings:     {"GET", tradewire.OpHoldings, false, (*call).holdings},
	tradewire.PathLimits:       {"POST", tradewire.OpLimits, false, (*call).limits},
	tradewire.PathMargin:       {"POST", tradewire.OpMargin, false, (*call).margin},
	tradewire.PathMaster:       {"GET", tradewire.OpMaster, true, (*call).masterFiles},
	tradewire.PathCandles:      {"GET", tradewire.OpCandles, true, (*call).candles},
	tradewire.PathChain:        {"GET", tradewire.OpChain, true, (*call).chain},
	tradewire.PathExpiries:     {"GET", tradewire.OpExpiries, true, (*call).expiries},
}

// find returns the operation of a neutral path.
func find(path string) (operation, bool) {
	if o, ok := operations[path]; ok {
		return o, true
	}
	switch {
	case strings.HasPrefix(path, tradewire.PathQuotes):
		return operation{"GET", tradewire.OpQuotes, true, (*call).quotes}, true
	case tradewire.OneOrder(path):
		return operation{"GET", tradewire.OpOrders, false, (*call).oneOrder}, true
	}
	return operation{}, false
}

// Serves reports whether there is something at an address, and for which method.
func Serves(address string) (method string, ok bool) {
	path := tradewire.Neutral(address)
	if Public(path) {
		return http.MethodGet, true
	}
	o, ok := find(path)
	return o.method, ok
}

// RoundTrip implements [http.RoundTripper]: it answers a call that the gateway has let
// through.
func (a *API) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer func() { _ = r.Body.Close() }()
	}
	c := &call{Request: r, API: a, path: tradewire.Neutral(r.URL.Path)}
	status, header, text := a.serve(c)
	if header == nil {
		header = http.Header{}
	}
	if header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/json")
	}
	header.Set("X-Content-Type-Options", "nosniff")
	body, size := c.long, int64(-1) // of a long answer: nobody knows
	if body == nil {
		body, size = newAnswer(text, Public(c.path)), int64(len(text))
	}
	return &http.Response{
		Status: strconv.Itoa(status) + " " + http.StatusText(status), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: body, ContentLength: size, Request: r,
	}, nil
}

func (a *API) serve(c *call) (int, http.Header, []byte) {
	if strings.HasPrefix(c.path, tradewire.PathFiles) {
		return a.file(c)
	}
	r := c.Request
	o, ok := find(c.path)
	switch {
	case !ok:
		return c.fails(&failure{status: http.StatusNotFound, code: codeField, text: "there is nothing at this path"})
	case r.Method != o.method && !(r.Method == http.MethodHead && o.method == http.MethodGet):
		return c.fails(&failure{status: http.StatusMethodNotAllowed, code: codeField, text: "this path takes " + o.method})
	}
	id, err := identity(r.Header.Get(wire.HeaderIdentity))
	if err != nil || !o.open && id.Sub == "" {
		return c.fails(&failure{status: http.StatusUnauthorized, code: codeSession, text: "a session is needed"})
	}
	c.account = id.Sub
	body, err := a.answer(c, o)
	var header http.Header
	status := http.StatusOK
	if err != nil {
		status, header, body = c.fails(err)
	}
	a.note(c, o, status, body)
	if wait := c.fault.wait(); wait > 0 {
		select {
		case <-time.After(wait):
		case <-r.Context().Done():
		}
	}
	return status, header, body
}

// answer runs an operation on the exchange.
func (a *API) answer(c *call, o operation) ([]byte, error) {
	if err := c.read(); err != nil { // no lock is held while a client sends
		return nil, err
	}
	if err := c.strike(o); err != nil {
		return nil, err
	}
	body, err := a.carryOut(c, o)
	switch {
	case err == nil && c.after != nil:
		return c.after()
	case err != nil || c.rows == nil:
		return body, err
	case c.rows.n <= pieceRows:
		r := opened(c.rows.stat)
		err := a.piece(c.rows, &r, 0)
		return r, err
	}
	done, err := a.turns.take(c.Context(), c.account)
	if err != nil {
		return nil, err
	}
	if body, err = a.carryOut(c, o); err != nil || c.rows == nil { // time has passed
		done()
		return body, err
	}
	c.long = a.longAnswer(c.rows, done)
	return nil, nil
}

func (a *API) carryOut(c *call, o operation) ([]byte, error) {
	a.mu.Lock()
	defer a.unlock()
	c.now, c.rows = a.now(), nil
	return o.answer(c)
}

// read reads the body, which may come slowly.
func (c *call) read() (err error) {
	if c.Body != nil {
		if c.body, err = io.ReadAll(io.LimitReader(c.Body, maxBody+1)); err != nil || len(c.body) > maxBody {
			return errNoForm
		}
	}
	if c.Method == http.MethodPost {
		c.form, c.formErr = c.parse()
	}
	return nil
}

// note remembers a call and what became of it.
func (a *API) note(c *call, o operation, status int, body []byte) {
	x := Asked{
		At: a.now().UTC(), Op: string(o.op), Method: c.Method, Path: c.URL.Path, Account: c.account,
		Request: c.Header.Get(wire.HeaderRequestID), Fault: c.fault.Name, Status: status,
	}
	if x.Body = c.form.brief(); o.open {
		x.Query = briefQuery(c.URL.RawQuery)
	}
	x.Path = brief(x.Path)
	if status != http.StatusOK || len(body) < 512 {
		x.tell(body)
	}
	a.asked.add(x)
}

// fails answers with a failure, in the form of the call.
func (c *call) fails(err error) (int, http.Header, []byte) {
	f := &failure{status: http.StatusInternalServerError, code: codeInternal, text: "internal error"}
	var shaped *shapedFailure
	if errors.As(err, &shaped) {
		return shaped.status, nil, shaped.body
	}
	errors.As(err, &f)
	status := f.status
	if status == 0 {
		status = http.StatusOK
	}
	stat := f.stat
	if stat == "" {
		stat = "Not_Ok"
	}
	var b row
	b.begin()
	b.text("stat", stat)
	b.number("stCode", int64(f.code))
	b.texts(f.text, "errMsg", "emsg")
	b.end()
	var header http.Header
	if f.retry > 0 {
		header = http.Header{"Retry-After": {strconv.Itoa(int(f.retry.Seconds()))}}
	}
	return status, header, b
}

// A shapedFailure is a failure whose body is not the protocol's usual one.
type shapedFailure struct {
	status int
	body   []byte
}

// Error implements error.
func (s *shapedFailure) Error() string { return string(s.body) }

// fault is the failure of candles.
func fault(status int, text string) error {
	body, _ := json.Marshal(map[string]any{"status": "ERROR", "fault": map[string]any{"code": status, "message": text}})
	return &shapedFailure{status, body}
}

// identity reads the header that the gateway wrote.
func identity(header string) (claims.Identity, error) {
	var id claims.Identity
	parts := strings.Split(header, ".")
	if len(parts) != 3 {
		return id, errors.New("no identity")
	}
	payload, ok := claims.Decode(parts[1])
	if !ok {
		return id, errors.New("no identity")
	}
	return id, json.Unmarshal(payload, &id)
}
