// Package tradewire has what the client, the gateway and a paper exchange share about
// the trade API: the addresses of its calls. The session protocol, of another server,
// is in package wire.
//
// Start with [Address]: it turns a neutral path, such as "/quick/user/orders", into the
// address that a generation of clients uses.
package tradewire

import (
	"net/http"
	"slices"
	"strings"

	"neoapi/internal/wire"
)

// The calls that answer with a report.
const (
	OpPositions wire.Op = "positions"
	OpOrders    wire.Op = "orders"
	OpTrades    wire.Op = "trades"
	OpLimits    wire.Op = "limits"
	OpHoldings  wire.Op = "holdings"
)

// The other calls.
const (
	OpPlace    wire.Op = "place"
	OpModify   wire.Op = "modify"
	OpCancel   wire.Op = "cancel"
	OpExit     wire.Op = "exit"
	OpConvert  wire.Op = "convert"
	OpHistory  wire.Op = "history"
	OpMargin   wire.Op = "margin"
	OpQuotes   wire.Op = "quotes"
	OpMaster   wire.Op = "scrip_master"
	OpCandles  wire.Op = "candles"
	OpChain    wire.Op = "option_chain"
	OpExpiries wire.Op = "expiries"
)

// The live feeds, to which upgrades lead.
const (
	OpOrderFeed     wire.Op = "order_feed"
	OpMarketFeed    wire.Op = "market_feed"     // of generation 3: SFeed
	OpMarketFeedOld wire.Op = "market_feed_old" // of generations 1 and 2: HSM
)

// The neutral paths. What follows PathQuotes is instruments and a type of quote; what
// follows PathOrders and a slash is the number of one order. Below PathFiles are the
// files of a scrip master, which need no credentials.
const (
	PathPlace        = "/quick/order/rule/ms/place"
	PathModify       = "/quick/order/vr/modify"
	PathCancel       = "/quick/order/cancel"
	PathExitCover    = "/quick/order/co/exit"
	PathExitBracket  = "/quick/order/bo/exit"
	PathConvert      = "/quick/convert/partialposition"
	PathHistory      = "/quick/order/history"
	PathOrders       = "/quick/user/orders"
	PathTrades       = "/quick/user/trades"
	PathPositions    = "/quick/user/positions"
	PathPositionsNew = "/portfolio/v2/positions"
	PathLimits       = "/quick/user/limits"
	PathMargin       = "/quick/user/check-margin"
	PathHoldings     = "/portfolio/v1/holdings"
	PathMaster       = "/script-details/1.0/masterscrip/file-paths"
	PathQuotes       = "/script-details/1.0/quotes/neosymbol/"
	PathCandles      = "/market-data/1.0/historical/details"
	PathChain        = "/market-data/1.0/watchlist/option-chain"
	PathExpiries     = "/market-data/1.0/watchlist/expiries"
	PathFiles        = "/masterscrip-files/"
)

// others are the addresses that older generations have for paths of generation 3: not
// a prefix before the path, but another one. Of several for one family, the first is the
// one to use.
var others = []struct {
	families      wire.Family
	address, path string
}{
	{wire.Gen1UAT, "/scrip/1.0/masterscrip/file-paths", PathMaster},
	{wire.Gen1PROD, "/Files/1.0/masterscrip/v1/file-paths", PathMaster},
	{wire.Gen2, "/apim/files/2.0/masterscrip/v1/file-paths", PathMaster},
	{wire.Gen2, "/Files/1.0/masterscrip/v2/file-paths", PathMaster},
	{wire.Gen2, "/apim/quotes/2.0/quotes/neosymbol/", PathQuotes},
	{wire.Gen2, "/apim/quotes/1.0/quotes/neosymbol/", PathQuotes},
}

// OpenTo returns the call of an address that needs no session, because the key of a
// consumer is enough for it, and how often a second a consumer may call it. Of any other
// address it returns "".
func OpenTo(address string) (op wire.Op, rate int) {
	switch path := Neutral(address); {
	case path == PathMaster:
		return OpMaster, 25
	case strings.HasPrefix(path, PathQuotes):
		return OpQuotes, 25
	case path == PathCandles:
		return OpCandles, 2
	case path == PathExpiries:
		return OpExpiries, 2
	case path == PathChain:
		return OpChain, 1
	}
	return "", 0
}

// A Call is a call of the trade API by its neutral path, which is the address that
// generation 3 uses.
type Call struct {
	Op     wire.Op
	Method string
	Path   string
}

// Reports are the calls that a service without a trade API refuses itself, once it has
// checked the session.
var Reports = []Call{
	{OpPositions, http.MethodGet, PathPositions},
	{OpOrders, http.MethodGet, PathOrders},
	{OpTrades, http.MethodGet, PathTrades},
	{OpLimits, http.MethodPost, PathLimits},
	{OpHoldings, http.MethodGet, PathHoldings},
}

// prefixes are what generations 1 and 2 put before a neutral path. Of several for one
// family, the first is the one to use.
var prefixes = []struct {
	families wire.Family
	below    string // how the neutral path begins
	prefix   string
}{
	{wire.Gen2, "/quick/order/history", "/apim/order/2.0"},
	{wire.Gen2, "/quick/", "/apim/orders/2.0"},
	{wire.Gen1PROD | wire.Gen2, "/quick/", "/Orders/2.0"},
	{wire.Gen1UAT | wire.Gen2, "/quick/", "/orderapi/1.0"},
	{wire.Gen1UAT, "/portfolio/v", "/portfolio/1.0"},
	{wire.Gen1PROD, "/portfolio/v", "/Portfolio/1.0"},
	{wire.Gen2, "/portfolio/v", "/apim/portfolio/2.0"},
}

// Prefix returns what clients of family f put before a path: "" if it has a prefix
// already, is not a neutral path, or needs none.
func Prefix(f wire.Family, path string) string {
	if Neutral(path) != path {
		return ""
	}
	for _, p := range prefixes {
		if p.families&f != 0 && strings.HasPrefix(path, p.below) {
			return p.prefix
		}
	}
	return ""
}

// Address returns the address that clients of family f use for a neutral path.
func Address(f wire.Family, path string) string {
	if f == wire.Gen3 {
		return path
	}
	for _, o := range others {
		if rest, ok := strings.CutPrefix(path, o.path); ok && o.families&f != 0 && (rest == "" || strings.HasSuffix(o.path, "/")) {
			return o.address + rest
		}
	}
	return Prefix(f, path) + path
}

// Neutral returns the neutral path of an address.
func Neutral(address string) string {
	for _, p := range prefixes {
		if path, ok := strings.CutPrefix(address, p.prefix); ok && strings.HasPrefix(path, p.below) {
			return path
		}
	}
	for _, o := range others {
		if rest, ok := strings.CutPrefix(address, o.address); ok && (rest == "" || strings.HasSuffix(o.address, "/")) {
			return o.path + rest
		}
	}
	return address
}

// NeedsAccess reports whether the calls of an address have to show which consumer they
// come from, by the header Authorization: the reports of generations 1 and 2. Existing
// clients leave it out of other calls.
func NeedsAccess(address string) bool {
	path := Neutral(address)
	return path != address && slices.ContainsFunc(Reports, func(c Call) bool { return c.Path == path })
}

// orders are the calls that place, change or look at orders, and what is near them.
var orders = []Call{
	{OpPlace, http.MethodPost, PathPlace},
	{OpModify, http.MethodPost, PathModify},
	{OpCancel, http.MethodPost, PathCancel},
	{OpExit, http.MethodPost, PathExitCover},
	{OpExit, http.MethodPost, PathExitBracket},
	{OpConvert, http.MethodPost, PathConvert},
	{OpHistory, http.MethodPost, PathHistory},
	{OpMargin, http.MethodPost, PathMargin},
	{OpPositions, http.MethodGet, PathPositionsNew},
}

// ops are the calls by their neutral paths.
var ops = func() map[string]wire.Op {
	all := map[string]wire.Op{}
	for _, c := range slices.Concat(Reports, orders) {
		all[c.Path] = c.Op
	}
	return all
}()

// OpOf returns the call that an address leads to, or "" if it leads to none.
func OpOf(address string) wire.Op {
	if op, ok := ops[address]; ok {
		return op
	}
	path := Neutral(address)
	if op, ok := ops[path]; ok {
		return op
	}
	if OneOrder(path) {
		return OpOrders
	}
	op, _ := OpenTo(address)
	return op
}

// OneOrder reports whether a neutral path is that of one order, by its number.
func OneOrder(path string) bool {
	number, ok := strings.CutPrefix(path, PathOrders+"/")
	return ok && number != "" && !strings.Contains(number, "/")
}

// Routes returns every address of the reports, once each.
func Routes() (all []wire.Route) {
	for _, c := range Reports {
		for _, p := range prefixes {
			if strings.HasPrefix(c.Path, p.below) {
				all = append(all, wire.Route{Op: c.Op, Method: c.Method, Path: p.prefix + c.Path, Families: p.families})
			}
		}
		all = append(all, wire.Route{Op: c.Op, Method: c.Method, Path: c.Path, Families: wire.Gen3})
	}
	return all
}
