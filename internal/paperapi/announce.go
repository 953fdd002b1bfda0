package paperapi

import (
	"neoapi/internal/paper/listing"
)

// An Announcement is what an exchange says besides prices. The exchange on paper trades
// round the clock and has no auctions: somebody says so by hand, and only live feeds have
// it.
type Announcement struct {
	Reset bool // all markets are open, and there are no auctions

	Segment listing.Segment

	Status int    // of the market, by the live feed's number; 0: it is about an instrument
	Text   string // beside the status, at most five bytes

	// Of an instrument's closing auction.
	Instrument                   *listing.Instrument
	Reference                    listing.Price
	Imbalance, ImbalanceAtMarket int64
}

// Announcements makes f get what is announced. Call it before the first call.
func (a *API) Announcements(f func(Announcement)) { a.announce = f }

// maxStatus is the highest number of a market's status.
const maxStatus = 12

// controlStatus announces the status of a market.
func (a *API) controlStatus(f form) (any, error) {
	if err := f.only("set status", "set", "segment", "status", "text"); err != nil {
		return nil, err
	}
	name, err := f.name("segment")
	if err != nil {
		return nil, err
	}
	s, ok := listing.ParseSegment(name)
	if !ok {
		return nil, noSegment
	}
	status, err := f.whole("status", 1)
	if err != nil || status > maxStatus {
		return nil, &ControlError{"status", "must be a number from 1 (open) and 2 (closed) to 12, as the live feed has them"}
	}
	x := Announcement{Segment: s, Status: int(status)}
	if _, given := f["text"]; given {
		if x.Text, err = f.text("text"); err != nil || len(x.Text) > 5 || !printable(x.Text) {
			return nil, &ControlError{"text", "must be at most five printable characters"}
		}
	}
	a.say(x)
	return map[string]any{"set": "status", "segment": s.String(), "status": status}, nil
}

var noSegment = &ControlError{"segment", "must be nse_cm, bse_cm, nse_fo, bse_fo, cde_fo or mcx_fo"}

// controlAuction announces the state of a share's closing auction. Without a price it is
// over.
func (a *API) controlAuction(f form) (any, error) {
	if err := f.only("set auction", "set", "segment", "symbol", "token", "price", "imbalance", "imbalanceAtMarket"); err != nil {
		return nil, err
	}
	var x Announcement
	var err *ControlError
	a.mu.Lock()
	x.Instrument, err = a.chosen(a.now(), f)
	a.unlock()
	if err != nil {
		return nil, err
	}
	x.Segment = x.Instrument.Segment
	if !x.Segment.Cash() || x.Instrument.Kind == listing.Index {
		return nil, &ControlError{"segment", "must be nse_cm or bse_cm, and the instrument a share: no others have a closing auction"}
	}
	if _, given := f["price"]; given {
		if x.Reference, err = priceOf(f, "price"); err != nil {
			return nil, err
		}
	}
	for name, value := range map[string]*int64{"imbalance": &x.Imbalance, "imbalanceAtMarket": &x.ImbalanceAtMarket} {
		if _, given := f[name]; !given {
			continue
		}
		if *value, err = f.whole(name, -maxImbalance); err != nil {
			return nil, err
		}
	}
	a.say(x)
	return map[string]any{"set": "auction", "segment": x.Segment.String(), "symbol": x.Instrument.Name, "price": x.Reference.String()}, nil
}

const maxImbalance = 1_000_000_000

func (a *API) say(x Announcement) {
	if a.announce != nil {
		a.announce(x)
	}
}

// closeReplayed says once that markets are closed whose recording has ended.
func (a *API) closeReplayed() {
	a.mu.Lock()
	of, over := a.exchange.Replaying()
	said := a.closed
	a.closed = over
	a.mu.Unlock()
	if !over || said {
		return
	}
	for _, s := range of {
		a.say(Announcement{Segment: s, Status: marketClosed})
	}
}

// marketClosed is the status of a market that is closed.
const marketClosed = 2
