package trade

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"neoapi"
	"neoapi/internal/tradewire"
)

// Place checks an order and sends it, once. The order that it returns is accepted, which
// says nothing yet of what becomes of it: its State is "" until [Client.Await] or
// [Client.Order] has read it. Of the errors,
//
//   - an [*Invalid] was not sent, because it breaks a rule;
//   - a [*Rejection] was refused by the service or the exchange, with its reason;
//   - [ErrAddress] was refused because of this program's address;
//   - [ErrNotPlaced] was looked for and is not there;
//   - an [*Unknown] may stand or not: it says what to do;
//   - any other error is package neoapi's, and the order was not placed.
//
// If the answer is lost (a time-out, a broken connection, a proxy's page, an answer
// without a number) the order is not sent again. It is looked for by its tag in the order
// book, and in the histories of orders whose tag a change has replaced: at once, and four
// more times in the seven seconds after; then in the trade book. ErrNotPlaced means that
// none of them had it, and that at least the last two looks were complete. If they were not, if ctx ends first, or
// if the service says that the tag was used, which only this order can have done, and does
// not show the order, the error is an *Unknown.
//
// The answer is waited for as long as neoapi.Config.HTTPClient says, and at most half the
// time until ctx ends if that is less than a minute away, so that time is left to look.
//
// An order with a [DayTag] is placed once a day: see [Client.PlaceOnce].
func (t *Client) Place(ctx context.Context, order Ticket) (Order, error) {
	if order.tag.day {
		return t.PlaceOnce(ctx, order)
	}
	if bad := t.check(&order); bad != nil {
		return Order{}, bad
	}
	now := t.api.Now()
	return t.place(ctx, &order, order.tag.make(now), now)
}

// place sends a checked order.
func (t *Client) place(ctx context.Context, order *Ticket, tag string, now time.Time) (Order, error) {
	number, err := t.submit(ctx, tradewire.PathPlace, order.placing(tag, t.api.Generation()))
	switch judge(err) {
	case answered:
		if number != "" {
			placed := order.accepted(number, tag)
			placed.Sent = now
			return t.newest(placed), nil
		}
		err = errors.New("the answer has no order number")
		fallthrough
	case lost:
		ticket := *order
		return t.look(ctx, &search{tag: tag, ticket: &ticket}, err, false)
	case duplicate: // by whatever order
		return t.look(ctx, &search{tag: tag}, err, true)
	case denied:
		return Order{}, refusal(err, order.accepted("", tag), false)
	}
	return Order{}, err
}

// accepted returns the order that a ticket became.
func (o *Ticket) accepted(number, tag string) Order {
	i := &o.instrument
	return Order{
		Number: number, Tag: tag, Segment: i.Segment, Token: i.Token, Symbol: i.Symbol, Name: i.Name, Series: i.Series,
		Side: o.side, Product: o.product, PriceType: o.kind, Validity: o.validity.sent(), Price: o.price, Trigger: o.trigger,
		Quantity: o.quantity, DisclosedQty: o.disclosed,
	}
}

// PlaceOnce places an order that has a [DayTag], once a day, whatever becomes of the
// program in between: if there is an order with this label today it is returned, and
// nothing is placed. PlaceOnce may be called again after any error. If the order was
// rejected the error is a [*Rejection], today and for this label.
//
// If the order of this label was placed for another instrument, side, product, quantity,
// price type, price or trigger than asked for, it is returned with an [*Invalid] whose Field
// says which: what stands is not what was asked for, and nothing is placed. What was changed
// of it since by [Client.Modify] is no such difference, nor is the price of a market order.
// A program that computes its price anew when it starts again goes on with the order that it
// gets.
//
// The tag is the same for every call of a day, and the service refuses one that was used:
// so two programs that run at the same time place one order, too.
func (t *Client) PlaceOnce(ctx context.Context, order Ticket) (Order, error) {
	if bad := t.check(&order); bad != nil {
		return Order{}, bad
	}
	if !order.tag.day {
		return Order{}, &Invalid{Field: "tag", Value: clip(order.tag.label), Problem: "is not a DayTag, by which PlaceOnce finds the order of an earlier call"}
	}
	now := t.api.Now()
	tag := order.tag.make(now)
	ticket := order
	there, found, err := t.find(ctx, &search{tag: tag, ticket: &ticket})
	switch {
	case found:
		err = stands(there)
	case err != nil:
		return Order{}, errorf("nothing was placed, because it is not known whether an order has the tag %s: %w", tag, err)
	default:
		there, err = t.place(ctx, &order, tag, now)
	}
	if there.Number != "" && !order.describes(&there) {
		return there, &Invalid{Field: "tag", Value: clip(order.tag.label), Problem: "is the label of another order of today, to " + there.Side.String() + " " + there.Symbol + " under " + string(there.Product)}
	}
	if err == nil && order.differs(&there) != nil { // or it was changed since
		first, failed := t.History(ctx, there.Number)
		if failed != nil {
			return there, errorf("place: order %s has the label %s, and whether it was placed as asked for is not known: %w", there.Number, order.tag.label, failed)
		}
		for i := range first[:min(1, len(first))] {
			if bad := order.differs(&first[i]); bad != nil {
				bad.Problem += ", and order " + there.Number + ", which has the label " + order.tag.label + " today, was placed for another one"
				return there, bad
			}
		}
	}
	return there, err
}

// differs returns what an order has other than a ticket asks for, or nil. What a report
// lacks does not differ, and of a market order the service makes a limit order.
func (o *Ticket) differs(there *Order) *Invalid {
	differ := func(field, asked, has string) *Invalid {
		return &Invalid{Field: field, Value: asked, Problem: "was asked for", Nearest: []string{has}}
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	switch {
	case there.Quantity != 0 && there.Quantity != o.quantity:
		return differ("quantity", number(o.quantity), number(there.Quantity))
	case o.kind == Market:
	case there.PriceType != "" && there.PriceType != o.kind: // one that has fired, too: its history has what it was
		return differ("price type", string(o.kind), string(there.PriceType))
	case there.Price.Sign() != 0 && !there.Price.same(o.price):
		return differ("price", o.price.String(), there.Price.String())
	case there.Trigger.Sign() != 0 && !there.Trigger.same(o.trigger):
		return differ("trigger", o.trigger.String(), there.Trigger.String())
	}
	return nil
}

// describes reports whether an order can be what a ticket became. Quantity and price can
// have been changed since, and what a report lacks or says in words of its own can be anything.
func (o *Ticket) describes(there *Order) bool {
	i := &o.instrument
	symbol := there.Symbol
	if there.Token == "" && symbol == "" {
		symbol = i.Symbol
	}
	return (there.Side == o.side || there.Side != SideBuy && there.Side != SideSell) &&
		(there.Product == o.product || !slices.Contains(products, there.Product)) &&
		same(i.Segment, i.Token, i.Symbol, cmp.Or(there.Segment, i.Segment), there.Token, symbol)
}

// longAnswer is longer than anybody should wait for an answer: if the context allows twice
// as much, only the client's own time-out bounds the wait.
const longAnswer = 30 * time.Second

// submit sends a call that is not repeatable and returns the order number of its answer.
// Half of the context's time is left to find out what became of it.
func (t *Client) submit(ctx context.Context, path, jData string) (number string, err error) {
	call := &struct { // one allocation
		jData [1]string
		got   json.RawMessage
	}{jData: [1]string{jData}}
	form := url.Values{"jData": call.jData[:]}
	opts := t.urgent
	if end, bounded := ctx.Deadline(); bounded {
		if half := time.Until(end) / 2; half < longAnswer {
			opts = append(slices.Clone(opts), neoapi.AnswerWithin(half))
		}
	}
	err = t.api.Do(ctx, http.MethodPost, path, form, &call.got, opts...)
	return numberIn(call.got), err
}

// numberIn returns the order number of an answer, which is a string or a number, or "" if
// it has none.
func numberIn(answer json.RawMessage) (number string) {
	const key = `"nOrdNo":`
	times := bytes.Count(answer, []byte("nOrdNo"))
	if i := bytes.Index(answer, []byte(key)); i > 0 && times == 1 && bytes.Count(answer, []byte("{")) == 1 && bytes.IndexByte(answer, '\\') < 0 {
		rest := bytes.TrimLeft(answer[i+len(key):], ` "`) // a flat object, as every answer is
		if n := bytes.IndexAny(rest, `",} `); n > 0 {
			number = string(rest[:n])
		}
	} else if times <= 1 { // of two numbers none is believed
		_ = scan("["+string(answer)+"]", numberLayout, func(r *row) { number = r.text(0) })
	}
	if len(number) > 30 || strings.Trim(number, "0123456789") != "" || strings.Trim(number, "0") == "" {
		return ""
	}
	return number
}

var numberLayout = newLayout([]string{"nOrdNo"})
