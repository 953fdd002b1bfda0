package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"neoapi/trade"
)

type orderModifyCmd struct {
	Number    string     `arg:"" help:"The order's number."`
	Quantity  count      `placeholder:"N" help:"The new total, the filled part included."`
	Limit     rupeesFlag `placeholder:"PRICE" help:"The new price."`
	Trigger   rupeesFlag `placeholder:"PRICE" help:"The new trigger of a stop order."`
	Market    bool       `help:"Make it a market order."`
	Disclosed count      `placeholder:"N" help:"Show the market only this much at a time."`
	sendFlags
}

func (orderModifyCmd) Help() string {
	return `Examples:
  neo order modify 261201000000012 --limit 3501.10
  neo order modify 261201000000012 --quantity 20 --dry-run

What is not given stays as it is. The changed order is checked first, like a new one.
The result is the order's state: a change that the exchange refused leaves the order
open, and neo says why.`
}

func (c *orderModifyCmd) Run(ctx context.Context, t *terminal) error {
	change := trade.Change{Quantity: int64(c.Quantity), Price: c.Limit.Rupees, Trigger: c.Trigger.Rupees, Disclosed: int64(c.Disclosed)}
	if c.Market {
		change.Type = trade.Market
	}
	switch {
	case change == (trade.Change{}):
		return usage(errors.New("say what to change: --quantity, --limit, --trigger, --disclosed or --market"))
	case c.Market && (c.Limit.Known() || c.Trigger.Known()):
		return usage(errors.New("--market has neither --limit nor --trigger"))
	}
	client, saved, err := c.client()
	if err != nil {
		return err
	}
	order, err := client.Order(ctx, c.Number)
	if err != nil {
		return foundOrder(c.Number, err)
	}
	if order.State.Final() {
		return fmt.Errorf("%w: order %s is %s", trade.ErrEnded, order.Number, order.State)
	}
	want := c.changed(order)
	if err := t.checkChange(ctx, client, c.JSON, order, want); err != nil {
		return err
	}
	what := fmt.Sprintf("change order %s (%s): %s", order.Number, sentence(order), changes(change))
	if c.DryRun {
		return showUnsent(t, c.JSON, want, what)
	}
	if err := t.consent(ctx, saved.Environment, what, c.Yes); err != nil {
		return err
	}
	if order, err = client.Modify(ctx, order, change); err != nil {
		return err
	}
	return showOrder(t, c.JSON, orderColumns, order)
}

// changed returns the order as the change makes it.
func (c *orderModifyCmd) changed(o trade.Order) trade.Order {
	if c.Market {
		o.PriceType, o.Price, o.Trigger = trade.Market, trade.Rupees{}, trade.Rupees{}
	}
	if c.Quantity > 0 {
		o.Quantity = int64(c.Quantity)
	}
	if c.Limit.Known() {
		o.Price = c.Limit.Rupees
	}
	if c.Trigger.Known() {
		o.Trigger = c.Trigger.Rupees
	}
	if c.Disclosed > 0 {
		o.DisclosedQty = int64(c.Disclosed)
	}
	return o
}

// checkChange checks an order as a change makes it by the rules for a new one.
func (t *terminal) checkChange(ctx context.Context, client *trade.Client, asJSON bool, was, want trade.Order) error {
	if want.Quantity <= was.FilledQty {
		return usage(fmt.Errorf("--quantity %d: it is the new total, and %d have filled already", want.Quantity, was.FilledQty))
	}
	i, err := client.Instrument(ctx, want.Segment, want.Symbol)
	if err != nil { // the exchange checks it too
		t.warn(asJSON, "the change is checked by the exchange alone: "+inFlags(err))
		return nil
	}
	ticket := trade.Buy(i, want.Quantity)
	if want.Side == trade.SideSell {
		ticket = trade.Sell(i, want.Quantity)
	}
	switch want.PriceType {
	case trade.Market:
		ticket = ticket.Market()
	case trade.StopLimit:
		ticket = ticket.Stop(want.Trigger, want.Price)
	case trade.Limit:
		if want.Trigger.Sign() > 0 {
			return usage(fmt.Errorf("--trigger %s: order %s is no stop order", want.Trigger, want.Number))
		}
		ticket = ticket.Limit(want.Price)
	default: // one that another program placed: the exchange checks it
		return nil
	}
	validity := trade.Day
	if want.Validity == trade.IOC {
		validity = trade.IOC
	}
	if err := client.Check(ctx, ticket.Product(trade.MIS).Validity(validity).Disclosed(want.DisclosedQty)); err != nil { // the product stays what it is
		return usage(err)
	}
	if want.Trigger != was.Trigger {
		t.warnOfStop(ctx, client, asJSON, ticket, i)
	}
	return nil
}

// changes describes a change.
func changes(c trade.Change) string {
	var all []string
	if c.Quantity > 0 {
		all = append(all, fmt.Sprintf("quantity %d", c.Quantity))
	}
	if c.Type == trade.Market {
		all = append(all, "at the market")
	}
	if c.Price.Known() {
		all = append(all, "price "+grouped(c.Price.String()))
	}
	if c.Trigger.Known() {
		all = append(all, "trigger "+grouped(c.Trigger.String()))
	}
	if c.Disclosed > 0 {
		all = append(all, fmt.Sprintf("disclosed %d", c.Disclosed))
	}
	return strings.Join(all, ", ")
}

type orderCancelCmd struct {
	Numbers []string `arg:"" optional:"" placeholder:"NUMBER" help:"Numbers of orders."`
	All     bool     `help:"Cancel every open order of the account."`
	sendFlags
}

func (orderCancelCmd) Help() string {
	return `Examples:
  neo order cancel 261201000000012
  neo order cancel --all --dry-run

Of several orders, those that exist are cancelled even if others do not. An order that
had filled before its cancel arrived is shown as complete: that is no error.`
}

// chosen returns the orders to cancel, and an error for each that could not be read.
func (c *orderCancelCmd) chosen(ctx context.Context, client *trade.Client) (orders []trade.Order, failed []error) {
	if c.All {
		all, err := client.Orders(ctx)
		if err != nil {
			return nil, []error{err}
		}
		return open(all), nil
	}
	slices.Sort(c.Numbers)
	for _, number := range slices.Compact(c.Numbers) {
		o, err := client.Order(ctx, number)
		if err != nil {
			failed = append(failed, foundOrder(number, err))
			continue
		}
		orders = append(orders, o)
	}
	return orders, failed
}

func (c *orderCancelCmd) Run(ctx context.Context, t *terminal) error {
	if (len(c.Numbers) > 0) == c.All {
		return usage(errors.New("give the numbers of orders, or --all"))
	}
	client, saved, err := c.client()
	if err != nil {
		return err
	}
	orders, failed := c.chosen(ctx, client)
	if c.DryRun {
		for _, o := range orders {
			what := fmt.Sprintf("cancel order %s (%s)", o.Number, sentence(o))
			if o.State.Final() {
				what = fmt.Sprintf("not cancel order %s (%s): it is %s", o.Number, sentence(o), o.State)
			}
			failed = append(failed, showUnsent(t, c.JSON, o, what))
		}
	}
	if len(orders) == 0 && len(failed) == 0 && !c.JSON {
		return t.tell(false, nil, "no order is open")
	}
	if c.DryRun || len(orders) == 0 {
		return errors.Join(failed...)
	}
	what := fmt.Sprintf("cancel %d orders", len(orders))
	if len(orders) == 1 {
		what = "cancel order " + orders[0].Number + " (" + sentence(orders[0]) + ")"
	}
	if err := t.consent(ctx, saved.Environment, what, c.Yes); err != nil {
		return errors.Join(append(failed, err)...)
	}
	for i, o := range orders {
		now, err := client.Cancel(ctx, o)
		if now.Number != "" {
			orders[i] = now
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("order %s: %w", o.Number, err))
		}
	}
	return errors.Join(append(failed, list(t, listFlags{JSON: c.JSON}, orderColumns, orders))...)
}
