package neoapitest

import (
	"fmt"
	"testing"
	"time"

	"neoapi/internal/paper"
	"neoapi/internal/paper/ledger"
	"neoapi/internal/paper/listing"
	"neoapi/internal/paperapi"
	"neoapi/internal/sandbox"
)

// A Market moves the prices of a server's exchange on paper. Instruments are named by
// segment (nse_cm, bse_cm, nse_fo, bse_fo, cde_fo, mcx_fo) and trading symbol, such as
// TCS-EQ; prices are decimals, such as "3500.05". What is refused fails the test. A
// Market is safe for concurrent use.
type Market struct {
	t      testing.TB
	server *Server
}

// Market returns the market of the server's exchange on paper. Every server has one of its
// own, except those with [WithTradeAPI] or [WithoutSandbox]. docs/paper.md describes it.
func (s *Server) Market(t testing.TB) Market {
	t.Helper()
	s.paper(t)
	return Market{t, s}
}

func (s *Server) paper(t testing.TB) *paperapi.API {
	t.Helper()
	if s.server.Paper() == nil {
		t.Fatal("neoapitest: this server has no exchange on paper")
	}
	return s.server.Paper()
}

// SetPrice prints one lot at a price, moves the market there, fills the orders that it
// goes through, and holds the price until [Market.Run].
func (m Market) SetPrice(segment, symbol, price string) {
	m.t.Helper()
	m.control(map[string]any{"set": "price", "segment": segment, "symbol": symbol, "price": price})
}

// Trade prints a trade of the market, which fills orders that are first in the queue at
// that price. The market's own price is not moved.
func (m Market) Trade(segment, symbol, price string, quantity int64) {
	m.t.Helper()
	m.control(map[string]any{"set": "trade", "segment": segment, "symbol": symbol, "price": price, "quantity": quantity})
}

// Gap moves the market to a price without trades in between: what it goes through fills,
// and the price runs on from there.
func (m Market) Gap(segment, symbol, price string) {
	m.t.Helper()
	m.control(map[string]any{"set": "gap", "segment": segment, "symbol": symbol, "price": price})
}

// Band sets an instrument's price band for the rest of the day. Orders outside it are
// rejected, those that rest there are cancelled.
func (m Market) Band(segment, symbol, low, high string) {
	m.t.Helper()
	m.control(map[string]any{"set": "band", "segment": segment, "symbol": symbol, "low": low, "high": high})
}

// Halt stops trading in an instrument until [Market.Run]. Orders are accepted and rest.
func (m Market) Halt(segment, symbol string) {
	m.t.Helper()
	m.control(map[string]any{"set": "halt", "segment": segment, "symbol": symbol})
}

// Run ends Halt and SetPrice: the instrument trades, and its price moves by itself.
func (m Market) Run(segment, symbol string) {
	m.t.Helper()
	m.control(map[string]any{"set": "run", "segment": segment, "symbol": symbol})
}

// Status announces in the live market feed what a market is doing: 1 it is open, 2 it is
// closed, and so on, as docs/paper.md lists. text is at most five characters, mostly "".
// Orders go on as before; the quotes of a closed market stand still.
func (m Market) Status(segment string, status int, text string) {
	m.t.Helper()
	fields := map[string]any{"set": "status", "segment": segment, "status": int64(status)}
	if text != "" {
		fields["text"] = text
	}
	m.control(fields)
}

// Auction announces the state of a share's closing auction in the live market feed: its
// reference price, and by how many shares more are to be bought than sold. With "" for the
// price it is over.
func (m Market) Auction(segment, symbol, price string, imbalance, atMarket int64) {
	m.t.Helper()
	fields := map[string]any{"set": "auction", "segment": segment, "symbol": symbol, "imbalance": imbalance, "imbalanceAtMarket": atMarket}
	if price != "" {
		fields["price"] = price
	}
	m.control(fields)
}

func (m Market) control(fields map[string]any) {
	m.t.Helper()
	if _, err := m.server.paper(m.t).Control(paperapi.Control{Method: "POST", Path: "/sandbox/market", Fields: fields}); err != nil {
		m.t.Fatalf("neoapitest: market: %v", err)
	}
}

// An Order is an order as the exchange on paper has it. Prices are decimals; the average
// is "0.00" before a fill.
type Order struct {
	Number, Segment, Symbol     string
	Side, Product, PriceType    string // as on the wire: B or S, CNC, MIS, NRML, …, L, MKT, SL
	Price, Trigger, Average     string
	Quantity, Filled, Cancelled int64
	State                       string // such as "complete"
	Reason                      string // why it, or its last change, was rejected
	Tag                         string // as it was placed
	Placed, Updated             time.Time
}

// Orders returns an account's orders of the day, the oldest first.
func (s *Server) Orders(t testing.TB, ucc string) []Order {
	t.Helper()
	var all []Order
	s.paper(t).Exchange(func(x *paper.Exchange, now time.Time) {
		for _, o := range x.Orders(now, ucc) {
			all = append(all, orderOf(o))
		}
	})
	return all
}

// History returns the states that an order went through, the first one first.
func (s *Server) History(t testing.TB, ucc, number string) []Order {
	t.Helper()
	var n uint64
	if _, err := fmt.Sscan(number, &n); err != nil {
		t.Fatalf("neoapitest: %q is not an order number", number)
	}
	var all []Order
	s.paper(t).Exchange(func(x *paper.Exchange, now time.Time) {
		rows, refusal := x.History(now, ucc, paper.Number(n))
		if refusal != nil {
			t.Fatalf("neoapitest: order %s: %v", number, refusal)
		}
		for _, o := range rows {
			all = append(all, orderOf(o))
		}
	})
	return all
}

func orderOf(o paper.Order) Order {
	side, product, kind := paperapi.Words(&o)
	average := "0.00"
	if o.Filled > 0 {
		average = ((o.FilledAmount + listing.Price(o.Filled/2)) / listing.Price(o.Filled)).String()
	}
	return Order{
		Number: fmt.Sprintf("%015d", o.Number), Segment: o.Segment.String(), Symbol: o.Name, Side: side, Product: product, PriceType: kind,
		Price: o.Price.String(), Trigger: o.Trigger.String(), Average: average,
		Quantity: o.Quantity, Filled: o.Filled, Cancelled: o.Cancelled,
		State: o.State.String(), Reason: o.Reason, Tag: o.FirstTag, Placed: o.Placed, Updated: o.Entered,
	}
}

// A Position is what an account bought and sold of an instrument under a product.
type Position struct {
	Segment, Symbol, Product string
	Net, Bought, Sold        int64  // Bought and Sold are today's; Net includes what was carried
	Realized                 string // today's profit or loss of what was closed
}

// Positions returns an account's positions.
func (s *Server) Positions(t testing.TB, ucc string) []Position {
	t.Helper()
	var all []Position
	s.paper(t).Exchange(func(x *paper.Exchange, now time.Time) {
		for _, p := range x.Positions(now, ucc) {
			all = append(all, Position{
				Segment: p.Segment.String(), Symbol: p.Name, Product: paperapi.ProductName(p.Product),
				Net: p.Net(), Bought: p.Bought, Sold: p.Sold, Realized: p.Realized.String(),
			})
		}
	})
	return all
}

// A Holding is shares of an account: what [Server.Fund] gives it, and [Server.Holdings]
// finds there.
type Holding struct {
	Segment, Symbol string
	Quantity        int64
	AveragePrice    string
}

// Holdings returns an account's shares: those that were bought are there the next day.
func (s *Server) Holdings(t testing.TB, ucc string) []Holding {
	t.Helper()
	var all []Holding
	s.paper(t).Exchange(func(x *paper.Exchange, now time.Time) {
		for _, h := range x.Holdings(now, ucc) {
			all = append(all, Holding{h.Segment.String(), h.Name, h.Quantity, (h.Cost / listing.Price(h.Quantity)).String()})
		}
	})
	return all
}

// Fund replaces an account's money, such as "100000.00", and its shares if holdings are
// given. The test fails if the account has traded today or has an open order.
func (s *Server) Fund(t testing.TB, ucc, funds string, holdings ...Holding) {
	t.Helper()
	fields := map[string]any{"funds": funds}
	if len(holdings) > 0 {
		var list []any
		for _, h := range holdings {
			list = append(list, map[string]any{"segment": h.Segment, "symbol": h.Symbol, "quantity": h.Quantity, "averagePrice": h.AveragePrice})
		}
		fields["holdings"] = list
	}
	if _, err := s.paper(t).Control(paperapi.Control{Method: "POST", Path: "/sandbox/accounts/" + ucc, Fields: fields}); err != nil {
		t.Fatalf("neoapitest: funds: %v", err)
	}
}

// A Limits is an account's money: Net is Cash + Pledged − Used.
type Limits struct{ Cash, Pledged, Used, Net string }

// Limits returns an account's money.
func (s *Server) Limits(t testing.TB, ucc string) Limits {
	t.Helper()
	var l ledger.Limits
	s.paper(t).Exchange(func(x *paper.Exchange, now time.Time) { l = x.Limits(now, ucc) })
	return Limits{l.Cash.String(), l.Pledged.String(), l.Used.String(), l.Net.String()}
}

// ExchangeFaults returns the names of the failures that the exchange on paper makes, each
// of some operations only: docs/paper.md says which.
func ExchangeFaults() []string { return sandbox.TradeFaultNames() }

// An OrderFault is a failure that strikes only calls about the orders it describes: a
// field that is "" fits every order. docs/paper.md lists the faults of the exchange.
type OrderFault struct {
	Op, Fault string // as for [Server.Fail]
	Times     int    // 0 means once

	Account, Symbol, Side, Tag string

	Text string // what a rejection says
	N    int    // how many parts or seconds, where the fault has them; of frames of a feed: every n-th
}

// FailOrder is [Server.Fail] for the orders that a fault describes.
func (s *Server) FailOrder(t testing.TB, f OrderFault) {
	t.Helper()
	if f.Times == 0 {
		f.Times = 1
	}
	err := s.faults.Add(sandbox.Fault{
		Op: f.Op, Fault: f.Fault, Times: f.Times, Account: f.Account, Symbol: f.Symbol, Side: f.Side, Tag: f.Tag, Text: f.Text, N: f.N,
	})
	if err != nil {
		t.Fatalf("neoapitest: %v", err)
	}
}
