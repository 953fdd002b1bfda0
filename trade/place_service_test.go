package trade_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/internal/testserver"
	"neoapi/neoapitest"
	"neoapi/trade"
)

// A desk is an account at an exchange on paper whose TCS stands at 3500.
type desk struct {
	*trade.Client
	t      *testing.T
	srv    *neoapitest.Server
	market neoapitest.Market
	api    *neoapi.Client
	sent   sent
	tcs    trade.Instrument
}

// sent counts the calls that go out, by the last part of their path.
type sent struct {
	base                                  http.RoundTripper
	places, modifies, cancels, reads, all atomic.Int64
}

func (s *sent) RoundTrip(r *http.Request) (*http.Response, error) {
	s.all.Add(1)
	switch {
	case strings.HasSuffix(r.URL.Path, "/place"):
		s.places.Add(1)
	case strings.HasSuffix(r.URL.Path, "/modify"):
		s.modifies.Add(1)
	case strings.HasSuffix(r.URL.Path, "/cancel"):
		s.cancels.Add(1)
	default:
		s.reads.Add(1)
	}
	base := s.base
	if base == nil {
		base = http.DefaultTransport
	}
	return base.RoundTrip(r)
}

// newDesk opens one by a login of a generation.
func newDesk(t *testing.T, generation int, opts ...trade.Option) *desk {
	t.Helper()
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(0))
	srv.Advance(testserver.IntoTheDay(srv.Now()))
	d := &desk{t: t, srv: srv, market: srv.Market(t)}
	srv.Fund(t, srv.Account.UCC, "100000000.00")
	d.market.Band("nse_cm", "TCS-EQ", "3000.00", "4000.00")
	d.market.SetPrice("nse_cm", "TCS-EQ", "3500.00")
	d.api = must.Get(neoapi.New(neoapi.Config{
		Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret, Rate: -1, Clock: srv.Now,
		HTTPClient: &http.Client{Transport: &d.sent, Timeout: 30 * time.Second},
	}))(t)
	if generation == 3 {
		must.Do(t, d.api.LoginTOTP(t.Context(), neoapi.TOTP{Mobile: srv.Account.Mobile, UCC: srv.Account.UCC, Code: srv.TOTP(t)}))
		must.Get(d.api.ValidateMPIN(t.Context(), srv.Account.MPIN))(t)
	} else {
		must.Do(t, d.api.Login(t.Context(), neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password}))
		must.Get(d.api.Session2FA(t.Context(), srv.OTP(t)))(t)
	}
	d.Client = trade.New(d.api, opts...)
	d.tcs = must.Get(d.Instrument(t.Context(), trade.NSE, "TCS-EQ"))(t)
	d.tcs.Lower, d.tcs.Upper = rupees("3000"), rupees("4000")
	return d
}

// book is the account's orders as the exchange has them.
func (d *desk) book() []neoapitest.Order { return d.srv.Orders(d.t, d.srv.Account.UCC) }

// resting is an order that rests below the market.
func (d *desk) resting() trade.Ticket {
	return trade.Buy(d.tcs, 10).Limit(rupees("3450")).Product(trade.CNC)
}

func TestPlace_fillsInEveryGeneration(t *testing.T) {
	t.Parallel()
	for _, generation := range []int{1, 3} {
		t.Run(fmt.Sprint(generation), func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, generation)
			placed := must.Get(d.Place(t.Context(), trade.Buy(d.tcs, 10).Limit(rupees("3500").Add(d.tcs.Tick)).Product(trade.CNC).Tag(trade.Label("mine"))))(t)
			if placed.State != "" || placed.Sent.IsZero() || d.sent.places.Load() != 1 {
				t.Errorf("placed %+v", placed)
			}
			order := must.Get(d.Await(t.Context(), placed, trade.Complete))(t)
			book := d.book()
			if order.FilledQty != 10 || !order.AvgPrice.Known() || order.Sent != placed.Sent || len(book) != 1 || book[0].Tag != placed.Tag || book[0].Number != placed.Number {
				t.Errorf("it is %+v, the exchange has %+v", order, book)
			}
			market := must.Get(d.Place(t.Context(), trade.Sell(d.tcs, 5).Market().Product(trade.MIS)))(t)
			if order, err := d.Await(t.Context(), market); err != nil || order.State != trade.Complete {
				t.Errorf("a market order: %+v, %v", order, err)
			}
			if err := d.Check(t.Context(), d.resting().Product(trade.MTF)); (err != nil) != (generation == 1) {
				t.Errorf("MTF: %v", err)
			}
			stop := must.Get(d.Place(t.Context(), trade.Sell(d.tcs, 5).Stop(rupees("3400"), rupees("3390")).Product(trade.MIS)))(t)
			if order, err := d.Await(t.Context(), stop, trade.TriggerPending); err != nil || order.Trigger != rupees("3400") {
				t.Errorf("a stop: %+v, %v", order, err)
			}
		})
	}
}

// Every tag is one of a kind, has at most 20 letters, digits and hyphens, and begins with
// its label.
func TestPlace_tagsAreUnique(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	tags := map[string]bool{}
	for n := range 30 {
		label := []string{"", "a", "close-leg-2", "abcdefghijk"}[n%4]
		o := must.Get(d.Place(t.Context(), d.resting().Tag(trade.Label(label))))(t)
		if len(o.Tag) > 20 || strings.Trim(o.Tag, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || !strings.HasPrefix(o.Tag, label) || tags[o.Tag] {
			t.Errorf("the tag is %q", o.Tag)
		}
		tags[o.Tag] = true
	}
}

// Whatever happens to the answer: the order is sent once, and what is returned is what
// the exchange has.
func TestPlace_lostAnswerIsLookedFor(t *testing.T) {
	t.Parallel()
	for _, generation := range []int{1, 3} {
		d := newDesk(t, generation)
		for _, fault := range []string{"lost", "truncated", "lost_502", "lost_hang", "html_502", "html_504", "close", "empty", "500", "503", "redirect", "null_data"} {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			before, sent := len(d.book()), d.sent.places.Load()
			d.srv.FailOrder(t, neoapitest.OrderFault{Op: "place", Fault: fault})
			if fault == "lost_hang" {
				cancel()
				ctx, cancel = context.WithTimeout(t.Context(), 2*time.Second)
			}
			order, err := d.Place(ctx, d.resting())
			cancel()
			book := d.book()[before:]
			if d.sent.places.Load() != sent+1 {
				t.Errorf("%s: sent %d times", fault, d.sent.places.Load()-sent)
			}
			switch {
			case len(book) > 1:
				t.Errorf("%s: %d orders", fault, len(book))
			case len(book) == 1 && (err != nil || order.Number != book[0].Number || order.State != trade.Open):
				t.Errorf("%s: %+v, %v", fault, order, err)
			case len(book) == 0 && !errors.Is(err, trade.ErrNotPlaced):
				t.Errorf("%s: nothing is there, and the error is %v", fault, err)
			}
		}
	}
}

// A refusal is an answer: nothing is looked for, and nothing is tried again.
func TestPlace_refusalIsTold(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	for fault, want := range map[string]error{
		"1004": trade.ErrRejected, "1005": trade.ErrRejected, "1017": trade.ErrRejected, "1041": neoapi.ErrRateLimited,
		"address": trade.ErrAddress, "address_changed": trade.ErrAddress, "100008": trade.ErrAddress, "1037": trade.ErrAddress,
		"100022": neoapi.ErrSessionEnded, "900802": neoapi.ErrRateLimited,
	} {
		all := d.sent.all.Load()
		d.srv.Fail(t, "place", fault, 1)
		order, err := d.Place(t.Context(), d.resting())
		if !errors.Is(err, want) || order.Number != "" || d.sent.all.Load() != all+1 || len(d.book()) != 0 {
			t.Errorf("%s: %+v, %v, %d calls", fault, order, err, d.sent.all.Load()-all)
		}
		if reason, ok := errors.AsType[*trade.Rejection](err); ok && (reason.Code != fault || reason.Reason == "") {
			t.Errorf("%s: %+v", fault, reason)
		}
		if want == trade.ErrAddress && !strings.Contains(err.Error(), "reads and feeds go on") {
			t.Errorf("%s: %v", fault, err)
		}
	}
	if _, err := d.Orders(t.Context()); err != nil {
		t.Error(err)
	}
}

// The service says that the tag was used. Nobody else can have used it: if the order is
// not there it may still come.
func TestPlace_duplicateIsEvidence(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	for _, fault := range []string{"duplicate_tag", "5204"} {
		d.srv.Fail(t, "place", fault, 1)
		_, err := d.Place(t.Context(), d.resting())
		unknown, ok := errors.AsType[*trade.Unknown](err)
		if !ok || !errors.Is(err, trade.ErrUnknown) || errors.Is(err, trade.ErrNotPlaced) || unknown.Tag == "" || !strings.Contains(err.Error(), unknown.Tag) {
			t.Errorf("%s: %v", fault, err)
		}
	}
	// The answer is lost, and a day's order is placed again: the first one is found.
	once := d.resting().Tag(trade.DayTag("once"))
	d.srv.FailOrder(t, neoapitest.OrderFault{Op: "place", Fault: "lost"})
	d.srv.Fail(t, "orders", "503", 20)
	first, err := d.PlaceOnce(t.Context(), once)
	if err == nil || len(d.book()) != 0 {
		t.Fatalf("it was placed without a look: %+v, %v", first, err)
	}
	d.srv.Works()
	d.srv.FailOrder(t, neoapitest.OrderFault{Op: "place", Fault: "lost"})
	first = must.Get(d.PlaceOnce(t.Context(), once))(t)
	d.srv.FailOrder(t, neoapitest.OrderFault{Op: "orders", Fault: "book_lag", N: 900})
	again := must.Get(d.PlaceOnce(t.Context(), once))(t) // which the exchange refuses
	if again.Number != first.Number || len(d.book()) != 1 || d.sent.places.Load() != 4 {
		t.Errorf("%+v, then %+v, of %d", first, again, len(d.book()))
	}
}

// An order that may stand is never called not placed.
func TestPlace_whatCannotBeSeenIsUnknown(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	for name, hide := range map[string]func(){
		"the book does not answer": func() { d.srv.Fail(t, "orders", "500", 100) },
		"the book is a page":       func() { d.srv.Fail(t, "orders", "html_502", 100) },
		"the session ends":         func() { d.srv.Fail(t, "orders", "100022", 100) },
	} {
		hide()
		d.srv.FailOrder(t, neoapitest.OrderFault{Op: "place", Fault: "lost"})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		began := time.Now()
		_, err := d.Place(ctx, d.resting().Tag(trade.Label("x")))
		cancel()
		d.srv.Works()
		unknown, ok := errors.AsType[*trade.Unknown](err)
		if !ok || errors.Is(err, trade.ErrNotPlaced) || time.Since(began) > 10*time.Second {
			t.Fatalf("%s: %v", name, err)
		}
		found := must.Get(d.Find(t.Context(), unknown.Tag))(t) // what the error says to do
		if book := d.book(); book[len(book)-1].Number != found.Number {
			t.Errorf("%s: found %+v", name, found)
		}
	}
	// The context ends while the answer is awaited.
	ctx, cancel := context.WithCancel(t.Context())
	d.srv.FailOrder(t, neoapitest.OrderFault{Op: "place", Fault: "lost_hang"})
	time.AfterFunc(300*time.Millisecond, cancel)
	if _, err := d.Place(ctx, d.resting()); !errors.Is(err, trade.ErrUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	// It ended before: nothing was sent.
	before := d.sent.places.Load()
	if _, err := d.Place(ctx, d.resting()); err == nil || errors.Is(err, trade.ErrUnknown) || d.sent.places.Load() != before {
		t.Errorf("cancelled before: %v", err)
	}
}

// After a change the order has another tag, and after a cancel one with an end: it is
// found all the same, by this program and by one that starts again.
func TestFind_followsAReplacedTag(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	other := must.Get(d.Place(t.Context(), d.resting().Tag(trade.Label("other"))))(t)
	must.Get(d.Modify(t.Context(), other, trade.Change{Price: rupees("3440")}))(t)
	var placed []trade.Order
	for n := range 3 {
		o := must.Get(d.PlaceOnce(t.Context(), d.resting().Tag(trade.DayTag(fmt.Sprintf("leg-%d", n)))))(t)
		if n > 0 {
			must.Get(d.Modify(t.Context(), o, trade.Change{Price: rupees("3445")}))(t)
		}
		if n > 1 {
			must.Get(d.Cancel(t.Context(), o))(t)
		}
		placed = append(placed, o)
	}
	cancelled := must.Get(d.PlaceOnce(t.Context(), d.resting().Tag(trade.DayTag("leg-3"))))(t)
	placed = append(placed, cancelled)
	must.Get(d.Cancel(t.Context(), cancelled))(t)
	again := trade.New(d.api)
	for n, o := range placed {
		found, err := again.Find(t.Context(), o.Tag)
		if err != nil || found.Number != o.Number || found.Tag != o.Tag {
			t.Errorf("%s: %+v, %v", o.Tag, found, err)
		}
		same := must.Get(again.PlaceOnce(t.Context(), d.resting().Tag(trade.DayTag(fmt.Sprintf("leg-%d", n)))))(t)
		if same.Number != o.Number {
			t.Errorf("%s was placed again", o.Tag)
		}
	}
	open := must.Get(again.Open(t.Context(), "leg-"))(t)
	if len(open) != 2 || open[0].Number != placed[0].Number || open[1].Number != placed[1].Number || open[1].Tag != placed[1].Tag {
		t.Errorf("open: %+v", open)
	}
	if all := must.Get(again.Open(t.Context(), ""))(t); len(all) != 3 {
		t.Errorf("open of everybody: %+v", all)
	}
	if _, err := again.Find(t.Context(), "leg-9-0101"); !errors.Is(err, trade.ErrNotFound) {
		t.Errorf("another tag: %v", err)
	}
	if _, err := again.PlaceOnce(t.Context(), trade.Sell(d.tcs, 1).Market().Product(trade.MIS).Tag(trade.DayTag("leg-1"))); !errors.Is(err, trade.ErrInvalid) {
		t.Errorf("the label of another order: %v", err)
	}
	if len(d.book()) != 5 {
		t.Errorf("%d orders", len(d.book()))
	}
	srv := d.srv
	srv.Advance(24 * time.Hour) // the label is free again
}

// An order that the risk check rejects has a number, and is told by Await and PlaceOnce.
func TestAwait_rejectionIsTold(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	for _, fault := range []string{"rejected", "rejected_later"} {
		d.srv.FailOrder(t, neoapitest.OrderFault{Op: "place", Fault: fault, Text: "RMS:Blocked for trade"})
		order := d.resting().Tag(trade.DayTag(strings.ReplaceAll(fault, "_", "-")))
		placed := must.Get(d.PlaceOnce(t.Context(), order))(t)
		last, err := d.Await(t.Context(), placed, trade.Complete)
		reason, ok := errors.AsType[*trade.Rejection](err)
		if !ok || !errors.Is(err, trade.ErrRejected) || reason.Reason != "RMS:Blocked for trade" || last.State != trade.Rejected || reason.Order.Number != placed.Number {
			t.Errorf("%s: %+v, %v", fault, last, err)
		}
		if again, err := d.PlaceOnce(t.Context(), order); !errors.Is(err, trade.ErrRejected) || again.Number != placed.Number {
			t.Errorf("%s again: %+v, %v", fault, again, err)
		}
		if last, err := d.Await(t.Context(), placed, trade.Rejected); err != nil || last.State != trade.Rejected {
			t.Errorf("awaited: %+v, %v", last, err)
		}
	}
	if d.sent.places.Load() != 2 {
		t.Errorf("placed %d times", d.sent.places.Load())
	}
}

// A client of the sandbox does not reach the live service, whatever its session says.
func TestPlace_sandboxNeverReachesPROD(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	session, _ := d.api.Session()
	away := 0
	for name, change := range map[string]func(*neoapi.Session){
		"a session of PROD":           func(s *neoapi.Session) { s.Environment = "prod" },
		"a base URL of PROD":          func(s *neoapi.Session) { s.BaseURL = "https://gw-napi.kotaksecurities.com" },
		"a base URL of PROD and http": func(s *neoapi.Session) { s.BaseURL = "http://mis.kotaksecurities.com" },
	} {
		c := must.Get(neoapi.New(neoapi.Config{
			Environment: neoapi.Environment(d.srv.URL), ConsumerKey: d.srv.ConsumerKey, ConsumerSecret: d.srv.ConsumerSecret, Clock: d.srv.Now, Rate: -1,
			HTTPClient: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.URL.Hostname() != "127.0.0.1" {
					away++
				}
				return http.DefaultTransport.RoundTrip(r)
			})},
		}))(t)
		other := session
		change(&other)
		used := c.Use(other)
		order, err := trade.New(c).Place(t.Context(), d.resting())
		if away != 0 || name == "a session of PROD" && (err == nil || order.Number != "") {
			t.Errorf("%s: %v, %v, %d requests left", name, used, err, away)
		}
	}
	if n := len(d.book()); n != 2 { // a foreign base URL is not followed, and the orders went to the sandbox
		t.Errorf("%d orders", n)
	}
}

// A report that hangs is asked for a second time, and holds up no order.
func TestOrders_aHangingReadIsTriedAgain(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	must.Get(d.Place(t.Context(), d.resting()))(t)
	d.srv.Fail(t, "orders", "hang", 1)
	done := make(chan error, 1)
	go func() {
		book, err := d.Orders(t.Context())
		if err == nil && len(book) == 0 {
			err = errors.New("the book is empty")
		}
		done <- err
	}()
	for range 5 {
		must.Get(d.Place(t.Context(), d.resting()))(t)
	}
	select {
	case err := <-done:
		t.Errorf("the orders waited for the report (%v)", err)
	default:
	}
	must.Do(t, <-done)
}

// An order that has the label and is not what was asked for is returned with what differs;
// what a change made of it since does not.
func TestPlaceOnce_saysWhatDiffers(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	label := trade.DayTag("leg")
	asked := trade.Buy(d.tcs, 3).Limit(rupees("3450")).Product(trade.CNC).Tag(label)
	first := must.Get(d.PlaceOnce(t.Context(), asked))(t)
	differ := func(when string, price string) {
		for field, order := range map[string]trade.Ticket{
			"quantity": trade.Buy(d.tcs, 4).Limit(rupees("3450")).Product(trade.CNC).Tag(label), "price": asked.Limit(rupees("3440")),
			"price type": asked.Stop(rupees("3450"), rupees("3450")),
		} {
			there, err := d.PlaceOnce(t.Context(), order)
			if bad, ok := errors.AsType[*trade.Invalid](err); !ok || bad.Field != field || there.Number != first.Number || there.Price != rupees(price) || !strings.Contains(err.Error(), first.Number) {
				t.Errorf("%s, another %s: %+v, %v", when, field, there, err)
			}
		}
		if there, err := d.PlaceOnce(t.Context(), asked); err != nil || there.Number != first.Number || there.Price != rupees(price) {
			t.Errorf("%s, the same: %+v, %v", when, there, err)
		}
		if there, err := d.PlaceOnce(t.Context(), trade.Buy(d.tcs, 3).Market().Product(trade.CNC).Tag(label)); err != nil || there.Number != first.Number {
			t.Errorf("%s, at the market: %+v, %v", when, there, err)
		}
	}
	differ("placed", "3450")
	must.Get(d.Modify(t.Context(), first, trade.Change{Price: rupees("3460"), Quantity: 5}))(t)
	differ("changed", "3460")
	if n := len(d.book()); n != 1 {
		t.Errorf("%d orders at the exchange", n)
	}
	market := trade.Buy(d.tcs, 3).Market().Product(trade.MIS).Tag(trade.DayTag("market"))
	must.Get(d.PlaceOnce(t.Context(), market))(t)
	d.market.SetPrice("nse_cm", "TCS-EQ", "3480.00")
	if _, err := d.PlaceOnce(t.Context(), market); err != nil {
		t.Errorf("a market order again: %v", err)
	}

	// Of a basket, a leg at another price is there.
	results, err := d.Basket(t.Context(), trade.Buy(d.tcs, 3).Limit(rupees("3600")).Product(trade.MIS).Tag(trade.DayTag("b-1")))
	if err != nil || results[0].Order.State != trade.Complete {
		t.Errorf("%+v, %v", results, err)
	}
	results, err = d.Basket(t.Context(), trade.Buy(d.tcs, 3).Limit(rupees("3610")).Product(trade.MIS).Tag(trade.DayTag("b-1")))
	if err != nil || results[0].Order.Price != rupees("3600") || len(d.book()) != 3 {
		t.Errorf("again: %+v, %v", results, err)
	}
}
