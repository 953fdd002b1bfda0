package trade

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"neoapi/internal/tradewire"
)

// A Margin is what orders need before they can be placed. The service has one figure, the
// need to place: what a sale brings in when it fills is not taken from it.
//
// The service checks one order a call. The margin of several is the sum of their own, of
// which Legs says how many there were. Together they may need less, where one hedges
// another, which the service does not say beforehand.
type Margin struct {
	Need      Rupees // the orders' own
	Short     Rupees // what is missing of it; 0 if it fits
	Available Rupees // before the orders
	Used      Rupees // before the orders: by positions and open orders
	Fits      bool   // whether they can be placed, one after the other
	Legs      int    // how many orders Need is the sum of
	Unread    string // as in [Order]
	Raw       Raw    // of the last leg
}

// Columns of a margin.
const (
	marginNeed = iota
	marginShort
	marginAvailable
	marginUsed
	marginValid
)

var marginLayout = newLayout([]string{
	marginNeed: "ordMrgn", marginShort: "reqdMrgn", marginAvailable: "avlMrgn", marginUsed: "mrgnUsd", marginValid: "rmsVldtd",
})

func decodeMargin(r *row, m *Margin) {
	*m = Margin{
		Need: r.rupees(marginNeed), Short: r.rupees(marginShort), Available: r.rupees(marginAvailable), Used: r.rupees(marginUsed),
		Fits: strings.EqualFold(r.text(marginValid), "OK"), Legs: 1, Unread: r.unreadKeys(marginLayout), Raw: r.raw,
	}
}

// Margin returns what orders would need if they were placed now. Of several it asks for
// each by itself and returns the sum: see [Margin]. An order that Place would not send is an
// [*Invalid], as in [Client.Check], and nothing is asked; only an order above the freeze
// quantity, which [Slice] cuts before it is placed, has its margin as a whole.
func (t *Client) Margin(ctx context.Context, orders ...Ticket) (sum Margin, err error) {
	if len(orders) == 0 {
		return Margin{}, &Invalid{Field: "order", Problem: "is missing: a margin is that of one or more"}
	}
	for _, order := range orders {
		order.instrument.Freeze = 0
		if bad := t.check(&order); bad != nil {
			return Margin{}, bad
		}
	}
	for i, order := range orders {
		answer, err := t.post(ctx, tradewire.PathMargin, order.marginRequest(), nil)
		if err != nil {
			return Margin{}, err
		}
		leg, err := single(tradewire.PathMargin, answer, marginLayout, decodeMargin)
		if err == nil && !leg.Need.Known() {
			err = unreadable(tradewire.PathMargin, errors.New("the answer has no margin"))
		}
		if err != nil {
			return Margin{}, err
		}
		if i == 0 {
			sum = leg
			continue
		}
		sum.add(leg)
	}
	return sum, nil
}

// add adds another leg.
func (m *Margin) add(leg Margin) {
	m.Legs++
	m.Need = m.Need.Add(leg.Need)
	m.Available, m.Used = leg.Available, leg.Used // the newest
	m.Short = m.Need.Sub(m.Available)
	if m.Short.Sign() < 0 {
		m.Short = rupees(0)
	}
	m.Fits = m.Fits && leg.Fits && m.Short.Known() && m.Short.Sign() == 0
	m.Unread, m.Raw = strings.Trim(m.Unread+","+leg.Unread, ","), leg.Raw
}

// marginRequest returns the fields of a margin check: the service wants all of them, null
// where there is nothing to say.
func (t Ticket) marginRequest() string {
	fields := map[string]any{
		"exSeg": t.instrument.Segment, "tok": t.instrument.Token, "prc": t.price.wire(), "prcTp": t.kind, "prod": t.product,
		"qty": strconv.FormatInt(t.quantity, 10), "trnsTp": t.side, "trgPrc": nil, "brkName": "KOTAK", "brnchId": "ONLINE",
		"slAbsOrTks": nil, "slVal": nil, "sqrOffAbsOrTks": nil, "sqrOffVal": nil, "trailSL": nil, "tSLTks": nil,
	}
	if t.trigger.Known() {
		fields["trgPrc"] = t.trigger.wire()
	}
	text, _ := json.Marshal(fields) // strings and nulls always marshal
	return string(text)
}
