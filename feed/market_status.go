package feed

import "fmt"

// The states of a market, by the numbers of the service.
const (
	MarketOpen            MarketState = 1
	MarketClosed          MarketState = 2
	PreOpenShut           MarketState = 3 // the pre-open session takes no more orders
	PreOpenEnded          MarketState = 4
	InAuction             MarketState = 5
	ClosingStarted        MarketState = 6 // trading at the closing price
	ClosingEnded          MarketState = 7
	ClosedForAuction      MarketState = 8 // continuous trading has ended before the closing auction
	BandRevised           MarketState = 9
	ClosingAuctionStarted MarketState = 10
	NoMarketOrders        MarketState = 11
	ClosingAuctionEnded   MarketState = 12
)

var marketStates = map[MarketState]string{
	MarketOpen: "open", MarketClosed: "closed", PreOpenShut: "pre-open, no more orders", PreOpenEnded: "pre-open ended", InAuction: "auction",
	ClosingStarted: "closing session", ClosingEnded: "closing session ended", ClosedForAuction: "closed before the closing auction",
	BandRevised: "price bands revised", ClosingAuctionStarted: "closing auction", NoMarketOrders: "closing auction, no more market orders",
	ClosingAuctionEnded: "closing auction ended",
}

// String returns the state in words.
func (s MarketState) String() string {
	if text, ok := marketStates[s]; ok {
		return text
	}
	return fmt.Sprintf("state %d", int(s))
}

// event reports whether s says what happened in a market rather than what it is doing now.
func (s MarketState) event() bool { return s == BandRevised || s == NoMarketOrders }
