package paperapi

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"neoapi/internal/paper"
	"neoapi/internal/tradewire"
	"neoapi/internal/wire"
)

// A Fault is what is to go wrong in one call.
type Fault struct {
	Name string
	Text string // of a rejection
	N    int    // parts, or seconds
}

// A Subject is what a call is about. A fault may be meant for some subjects only.
type Subject struct {
	Account string
	Symbol  string // the trading symbol
	Side    string // B or S
	Tag     string
}

// The faults of the exchange: what becomes of a call, besides the forms that its answer can
// take. Their number is given as "n".
const (
	faultTwice     = "twice"            // place: carried out twice
	faultDelayed   = "delayed"          // carried out, the answer comes n seconds later
	faultRejected  = "rejected"         // place: the order is rejected, for "text"
	faultLater     = "rejected_later"   // place: it rests, and is then rejected
	faultStuck     = "stuck"            // place: it stays in open pending
	faultParts     = "parts"            // place: it fills in n parts
	faultLag       = "book_lag"         // orders, trades: as n seconds ago
	faultMissing   = "missing_row"      // orders, trades: without the newest row
	faultDuplicate = "duplicate_tag"    // place: the tag is said to be used
	faultStale     = "stale"            // quotes: n seconds old
	faultStub      = "stub"             // scrip master: files of headers alone
	faultAddress   = "address"          // place, modify, cancel: the address is not registered (100008)
	faultMoved     = "address_changed"  // place, modify, cancel: not the session's address (1037)
	faultDelivery  = "no_authorisation" // place: a delivery sale lacks its authorisation
	faultDocument  = "documented"       // option chain: in the form of the documents
)

// exchangeFaults says which operations each fault of the exchange is for.
var exchangeFaults = map[string][]wire.Op{
	faultTwice: {tradewire.OpPlace}, faultRejected: {tradewire.OpPlace}, faultLater: {tradewire.OpPlace}, faultStuck: {tradewire.OpPlace},
	faultParts: {tradewire.OpPlace}, faultDuplicate: {tradewire.OpPlace}, faultDelivery: {tradewire.OpPlace},
	faultDelayed: {tradewire.OpPlace, tradewire.OpModify, tradewire.OpCancel, tradewire.OpExit},
	faultLag:     {tradewire.OpOrders, tradewire.OpTrades}, faultMissing: {tradewire.OpOrders, tradewire.OpTrades},
	faultStale: {tradewire.OpQuotes}, faultStub: {tradewire.OpMaster}, faultDocument: {tradewire.OpChain},
	faultAddress: {tradewire.OpPlace, tradewire.OpModify, tradewire.OpCancel}, faultMoved: {tradewire.OpPlace, tradewire.OpModify, tradewire.OpCancel},
}

// refusals are codes of the real service that the exchange on paper gives only as a fault.
var refusals = map[string]string{
	"1004": "insufficient balance", "1005": "internal error", "1006": "order already executed or cancelled", "1017": "algo order not allowed",
	"1041": "limits exceeded per second", "5204": "client order id already exists",
}

// SideOf returns the side of the orders that a fault is for, "" for both.
func SideOf(fault string) string {
	if fault == faultDelivery {
		return sideNames[paper.Sell]
	}
	return ""
}

// IsFault reports whether a fault of the exchange has this name, and whether it is one
// for the operation.
func IsFault(name string, op wire.Op) (known, fits bool) {
	if _, ok := refusals[name]; ok {
		_, trade := slices.BinarySearch(Ops(), string(op))
		return true, trade
	}
	ops, known := exchangeFaults[name]
	return known, slices.Contains(ops, op)
}

// FaultNames returns the names of the faults of the exchange.
func FaultNames() []string {
	var all []string
	for name := range exchangeFaults {
		all = append(all, name)
	}
	for code := range refusals {
		all = append(all, code)
	}
	slices.Sort(all)
	return all
}

// Ops returns the names of the operations.
func Ops() []string {
	all := []string{string(tradewire.OpQuotes)}
	for _, o := range operations {
		if !slices.Contains(all, string(o.op)) {
			all = append(all, string(o.op))
		}
	}
	slices.Sort(all)
	return all
}

// SubjectOf returns what a call is about, by its body: an order that it has or names.
func (a *API) SubjectOf(account string, body []byte) Subject {
	s := Subject{Account: account}
	f, err := formFields(body)
	if err != nil {
		return s
	}
	for _, field := range []string{"no", "on", "nOrdNo"} {
		if n, err := f.number(field); err == nil {
			a.mu.Lock()
			defer a.unlock()
			if o, refusal := a.exchange.Order(a.now(), account, n); refusal == nil {
				s.Symbol, s.Side, s.Tag = o.Name, sideNames[o.Side], o.FirstTag
			}
			return s
		}
	}
	if side, ok := sides[strings.ToLower(cmp.Or(f["tt"], f["trnsTp"]))]; ok {
		s.Side = sideNames[side]
	}
	s.Symbol, s.Tag = strings.TrimSpace(cmp.Or(f["ts"], f["trdSym"])), f["ig"]
	if s.Symbol == "" { // a check of margin
		a.mu.Lock()
		defer a.unlock()
		if i, ok := a.instrumentOf(f["exSeg"] + "|" + f["tok"]); ok {
			s.Symbol = i.Name
		}
	}
	return s
}

// strike takes the fault of a call, if there is one, and returns the failure that it is.
func (c *call) strike(o operation) error {
	if c.faults == nil {
		return nil
	}
	f, ok := c.faults(o.op, func() Subject { return c.SubjectOf(c.account, c.body) })
	if !ok {
		return nil
	}
	c.fault = f
	if text, ok := refusals[f.Name]; ok {
		code, _ := strconv.Atoi(f.Name)
		return &failure{code: code, text: cmp.Or(f.Text, text)}
	}
	switch f.Name {
	case faultDuplicate:
		return refused(&paper.Refusal{Reason: paper.TagUsed})
	case faultAddress:
		return &failure{status: http.StatusForbidden, code: codeAddress, text: "unauthorized"}
	case faultMoved:
		return &failure{status: http.StatusForbidden, code: codeAddressGone, text: "the address of the session has changed"}
	}
	return nil
}

// wait returns how long an answer is held back.
func (f Fault) wait() time.Duration {
	if f.Name != faultDelayed {
		return 0
	}
	return f.seconds()
}

func (f Fault) seconds() time.Duration { return time.Duration(max(1, f.N)) * time.Second }

// twist is what a fault makes of an order.
func (f Fault) twist() paper.Twist {
	switch f.Name {
	case faultRejected:
		return paper.Twist{Reject: cmp.Or(f.Text, "RMS:Rule: rejected on purpose")}
	case faultLater:
		return paper.Twist{Reject: cmp.Or(f.Text, "rejected by the exchange on purpose"), Later: true}
	case faultDelivery:
		return paper.Twist{Reject: "RMS:Rule: Check holdings: the sale is not authorised by DDPI or TPIN"}
	case faultStuck:
		return paper.Twist{Stuck: true}
	case faultParts:
		return paper.Twist{Parts: max(2, f.N)}
	}
	return paper.Twist{}
}

// book returns the day's orders, as a fault shows them.
func (c *call) book() paper.Marks {
	return c.fault.shown(c.exchange.MarkOrders(c.now, c.account, c.fault.asOf(c.now)))
}

// fills returns the day's trades, as a fault shows them.
func (c *call) fills() paper.Marks {
	return c.fault.shown(c.exchange.MarkTrades(c.now, c.account, c.fault.asOf(c.now)))
}

// asOf returns the time whose orders a fault shows, zero for the present.
func (f Fault) asOf(now time.Time) time.Time {
	if f.Name != faultLag {
		return time.Time{}
	}
	return now.Add(-f.seconds())
}

// shown returns what a fault shows of a book.
func (f Fault) shown(m paper.Marks) paper.Marks {
	if f.Name == faultMissing {
		m.DropNewest()
	}
	return m
}
