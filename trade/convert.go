package trade

import (
	"cmp"
	"context"
	"errors"
	"strconv"

	"neoapi/internal/tradewire"
)

// Convert moves a quantity of a position to another product, such as from MIS to CNC, and
// returns the position under the new product as the service then reports it. The service
// does not document this call: where it does not offer it the error is [ErrNotOffered].
//
// If the answer is lost the positions are read to see what became of it. The error is
// [ErrUnchanged] if they are as before, and an [*Unknown] if they could not be read.
func (t *Client) Convert(ctx context.Context, p Position, quantity int64, to Product) (Position, error) {
	net := p.Net
	switch {
	case quantity <= 0 || quantity > max(net, -net):
		return p, &Invalid{Field: "quantity", Value: strconv.FormatInt(quantity, 10), Problem: "is not a part of the position", Nearest: []string{strconv.FormatInt(max(net, -net), 10)}}
	case to == "" || to == p.Product:
		return p, &Invalid{Field: "product", Value: string(to), Problem: "is not another one than the position has"}
	}
	side := SideBuy
	if net < 0 {
		side, quantity = SideSell, -quantity
	}
	from0, to0, err := t.sides(ctx, p, to)
	if err != nil {
		return p, err
	}
	b := append(body(nil), '{')
	b = b.text("exSeg", string(p.Segment))
	b = b.text("trdSym", p.Symbol)
	b = b.text("trnsTp", string(side))
	b = b.text("frmProd", string(p.Product))
	b = b.text("toProd", string(to))
	b = b.number("qty", max(quantity, -quantity))
	_, err = t.submit(ctx, tradewire.PathConvert, b.end())
	verdict := judge(err)
	switch verdict {
	case unsent:
		return p, err
	case denied, duplicate:
		if notOffered(err) {
			return p, errorf("convert: %w: %w", ErrNotOffered, err)
		}
		return p, refusal(err, Order{}, true)
	}
	if err != nil && notOffered(err) {
		return p, errorf("convert: %w: %w", ErrNotOffered, err)
	}
	var failed error
	for n := range 4 {
		var from1, to1 Position
		if from1, to1, failed = t.sides(ctx, p, to); failed == nil {
			came, went := to1.Net-to0.Net == quantity, from0.Net-from1.Net == quantity
			switch {
			case came && went, verdict == answered && (came || went): // trades may go on beside it
				return to1, nil
			case n == 3 && verdict == lost && from1.Net == from0.Net && to1.Net == to0.Net:
				return from1, errorf("convert, whose answer was lost (%w): %w", resolved(err), ErrUnchanged)
			}
		}
		if ended := t.pause(ctx, asks[n]); ended != nil {
			return p, &Unknown{Op: "convert", Cause: errors.Join(err, failed, ended)}
		}
	}
	return p, &Unknown{Op: "convert", Cause: cmp.Or(errors.Join(err, failed), errors.New("the positions do not show it"))}
}

// sides returns what the account holds of a position's instrument under its product and
// under another one.
func (t *Client) sides(ctx context.Context, p Position, to Product) (from, other Position, err error) {
	all, err := t.Positions(ctx)
	from, other = p, p
	for _, q := range []*Position{&from, &other} {
		*q = Position{Instrument: p.Instrument, Product: p.Product}
	}
	other.Product = to
	for _, q := range all {
		switch {
		case !same(p.Segment, p.Token, p.Symbol, q.Segment, q.Token, q.Symbol):
		case q.Product == p.Product:
			from = q
		case q.Product == to:
			other = q
		}
	}
	return from, other, err
}
