package feed

import (
	"fmt"

	"neoapi/internal/sfeed"
)

// The states of a market.
const (
	MarketOpen            MarketState = sfeed.StatusOpen
	MarketClosed          MarketState = sfeed.StatusClose
	PreOpenShut           MarketState = sfeed.StatusPreOpenShut // the pre-open session takes no more orders
	PreOpenEnded          MarketState = sfeed.StatusPreOpenEnded
	InAuction             MarketState = sfeed.StatusAuction
	ClosingStarted        MarketState = sfeed.StatusClosingStart // trading at the closing price
	ClosingEnded          MarketState = sfeed.StatusClosingEnd
	ClosedForAuction      MarketState = sfeed.StatusClosedForCAS // continuous trading has ended before the closing auction
	BandRevised           MarketState = sfeed.StatusBandRevised
	ClosingAuctionStarted MarketState = sfeed.StatusCASStart
	NoMarketOrders        MarketState = sfeed.StatusNoMarketOrders
	ClosingAuctionEnded   MarketState = sfeed.StatusCASEnd
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
