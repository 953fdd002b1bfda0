package trade_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/trade"
)

// The text of every error of the package begins with its name and has it once; those of
// neoapi are as they are.
func TestErrors_beginWithThePackagesNameOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	order := must.Get(d.Place(t.Context(), d.resting()))(t)
	ctx := t.Context()
	errs := map[string]error{}
	add := func(name string, err error) { errs[name] = err }
	_, err := d.Order(ctx, "99")
	add("there is no order 99", err)
	_, err = d.Order(ctx, "")
	add("no number", err)
	_, err = d.History(ctx, "99")
	add("there is no order 99 ", err)
	_, err = d.Cancel(ctx, trade.Order{})
	add("cancel: the order has no number", err)
	_, err = d.Find(ctx, "nothere")
	add("no order of today has the tag nothere", err)
	_, err = d.Instrument(ctx, trade.NFO, "TCS-EQ")
	add(`there is nothing in nse_fo with the symbol "TCS-EQ"`, err)
	_, err = d.Instrument(ctx, "xyz", "TCS-EQ")
	add("segment", err)
	_, err = d.OptionChain(ctx, trade.Index("GOLDM"), trade.NearestExpiry)
	add(`there are no options of "GOLDM" in nse_fo, bse_fo`, err)
	_, err = d.Quote(ctx, trade.Instrument{})
	add("quote", err)
	_, err = d.Candles(ctx, trade.Instrument{}, trade.Daily, time.Time{}, time.Time{})
	add("instrument has no segment", err)
	_, err = d.Candles(ctx, d.tcs, trade.Daily, d.srv.Now(), d.srv.Now().AddDate(0, 0, -1))
	add("is before from", err)
	_, err = d.Candles(ctx, d.tcs, "7min", d.srv.Now(), d.srv.Now())
	add("7min", err)
	_, err = d.Margin(ctx)
	add("order is missing", err)
	_, err = d.Basket(ctx, trade.Buy(d.tcs, 0))
	add("leg 1: quantity", err)
	d.srv.Fail(t, "place", "1017", 1)
	_, err = d.Basket(ctx, d.market10(trade.SideBuy, trade.MIS))
	add("basket: leg 1: ", err)
	_, err = d.Modify(ctx, order, trade.Change{})
	add("change is missing", err)
	_, err = d.SquareOff(ctx)
	add("nothing was sent", err)
	_, err = trade.ParseRupees("x")
	add("is not an amount", err)
	_, err = trade.ParseSegment("x")
	add("is no segment", err)
	_, err = trade.ParseInterval("7m")
	add("candles of", err)
	add("is not a date", new(trade.Date).UnmarshalText([]byte("x")))
	for want, err := range errs {
		switch {
		case err == nil:
			t.Errorf("%s: no error", want)
		case !strings.HasPrefix(err.Error(), "trade: ") || strings.Count(err.Error(), "trade: ") != 1 || strings.ContainsAny(err.Error(), "[]\n"):
			t.Errorf("%s: %v", want, err)
		case strings.Contains(want, " ") && !strings.Contains(err.Error(), strings.TrimSpace(want)):
			t.Errorf("%v, want %s", err, want)
		case strings.Contains(err.Error(), "there is none") || errors.Is(err, trade.ErrNotFound) && strings.Contains(err.Error(), "unrecognised"):
			t.Errorf("%v does not say what there is not", err)
		case errors.Is(err, trade.ErrInvalid):
			if bad, ok := errors.AsType[*trade.Invalid](err); !ok || bad.Field == "" {
				t.Errorf("%s: %v is no Invalid", want, err)
			}
		}
	}
}

// An error whose order was looked for gives one piece of advice: its own.
func TestErrors_ofALostAnswerGiveOneAdvice(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	const other = "check the order book first"
	d.srv.Fail(t, "place", "close", 1)
	_, err := d.Place(t.Context(), d.resting())
	if !errors.Is(err, trade.ErrNotPlaced) || strings.Contains(err.Error(), other) || !strings.Contains(err.Error(), "it can be placed again") {
		t.Errorf("%v", err)
	}
	if cause, ok := errors.AsType[*neoapi.Error](err); !ok || cause.Retry != neoapi.RetrySame || cause.Hint != "" || !cause.Sent {
		t.Errorf("its cause is %+v", cause)
	}
	order := must.Get(d.Place(t.Context(), d.resting()))(t)
	d.srv.Fail(t, "modify", "close", 1)
	if _, err := d.Modify(t.Context(), order, trade.Change{Quantity: 20}); !errors.Is(err, trade.ErrUnchanged) || strings.Contains(err.Error(), other) {
		t.Errorf("%v", err)
	}
	d.srv.Fail(t, "place", "lost", 1)
	d.srv.Fail(t, "orders", "500", 1000)
	_, err = d.Place(t.Context(), d.resting())
	if cause, ok := errors.AsType[*neoapi.Error](err); !errors.Is(err, trade.ErrUnknown) || strings.Contains(err.Error(), other) || !ok || cause.Retry != neoapi.RetryCheckFirst {
		t.Errorf("%v", err)
	}
}

// A state names both prices of a stop.
func TestAwait_namesTheTriggerOfAStop(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	stop := must.Get(d.Place(t.Context(), trade.Sell(d.tcs, 5).Stop(rupees("3400"), rupees("3390")).Product(trade.MIS)))(t)
	stop = must.Get(d.Await(t.Context(), stop, trade.TriggerPending))(t)
	if line := (trade.Result{Order: stop}).String(); !strings.Contains(line, "SL with the trigger 3400.00 at 3390.00") {
		t.Error(line)
	}
}
