// Strategy trades one share all day by a moving average, in a sandbox:
//
//	neo sandbox
//	go run ./examples/strategy
//
// It shows what a program on live feeds has to do, and what it need not: connections break
// and sessions end, and the feeds see to both. What is left is to forget what was known
// before a gap, and to send no order while nothing is known.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"neoapi"
	"neoapi/feed"
	"neoapi/trade"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	client, err := neoapi.New(neoapi.Config{Environment: "http://127.0.0.1:9155", ConsumerKey: "sandbox-consumer"})
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.Keep(neoapi.KeepConfig{Login: neoapi.Login{
		Mobile: "+919999999908", UCC: "TESTYA24",
		TOTPSeed: func(context.Context) (string, error) { return "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", nil },
		MPIN:     func(context.Context) (string, error) { return "246810", nil },
	}})
	if err != nil {
		log.Fatal(err)
	}
	s := strategy{client: client, symbol: "TCS-EQ", size: 10, last: 20, end: time.Now().Add(24 * time.Hour)}
	if err := s.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A strategy holds size shares while the price is above the average of its last quotes, and
// none otherwise. It is the only one that trades this share intraday on the account.
type strategy struct {
	client *neoapi.Client
	symbol string
	size   int64
	last   int       // quotes that the average is of
	end    time.Time // when the day is over

	held   int64 // by what its orders filled
	prices []trade.Rupees
}

// run trades until the day is over or ctx is done, and then closes what is held.
func (s *strategy) run(ctx context.Context) (err error) {
	whole, stop := context.WithCancel(context.WithoutCancel(ctx)) // an interrupt does not end what is under way
	defer stop()
	orders, err := feed.Orders(whole, s.client)
	if err != nil {
		return err
	}
	defer orders.Close()
	api := trade.New(s.client, trade.Follow(orders))
	share, err := api.Instrument(ctx, trade.NSE, s.symbol)
	if err != nil {
		return err
	}
	flat := func() error {
		_, err := api.SquareOff(whole, trade.In(share), trade.OfProduct(trade.MIS)) // cancels what rests, too
		return err
	}
	if err := flat(); err != nil { // what an earlier run that was killed has left
		return err
	}
	defer func() { err = errors.Join(err, flat()) }()
	market, err := feed.Market(ctx, s.client, feed.Quotes(share))
	if err != nil {
		return err
	}
	defer market.Close()
	for update, err := range market.Updates(ctx) {
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		switch u := update.(type) {
		case feed.Quote:
			if u.At.After(s.end) {
				return nil
			}
			if err := s.look(whole, api, &u); err != nil {
				return err
			}
		case feed.Gap:
			s.prices = nil // the average has to be of quotes that follow each other
		}
	}
	return nil
}

// look decides by a quote whether to buy or to sell.
func (s *strategy) look(ctx context.Context, api *trade.Client, q *feed.Quote) error {
	if !q.Last.Known() {
		return nil
	}
	s.prices = append(s.prices, q.Last)
	if len(s.prices) <= s.last {
		return nil
	}
	s.prices = s.prices[1:]
	sum := s.prices[0]
	for _, p := range s.prices[1:] {
		sum = sum.Add(p)
	}
	average := sum.MulDiv(1, int64(s.last))
	switch {
	case average.Less(q.Last) && s.held == 0:
		filled, err := order(ctx, api, trade.Buy(q.Instrument, s.size))
		s.held += filled
		return err
	case q.Last.Less(average) && s.held > 0:
		filled, err := order(ctx, api, trade.Sell(q.Instrument, s.held))
		s.held -= filled
		return err
	}
	return nil
}

// order places an order, waits until it has ended, and returns what has filled. An order
// that was not placed, or was refused, is no reason to stop: the next quote decides anew.
func order(ctx context.Context, api *trade.Client, ticket trade.Ticket) (filled int64, err error) {
	placed, err := api.Place(ctx, ticket.Market().Product(trade.MIS))
	if unknown, ok := errors.AsType[*trade.Unknown](err); ok {
		return 0, fmt.Errorf("look for the order %s before you start again: %w", unknown.Tag, err)
	}
	if err != nil {
		log.Print(err)
		return 0, nil
	}
	waiting, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ended, err := api.Await(waiting, placed)
	if err != nil && !ended.State.Final() { // it rests, as a limit order
		ended, err = api.Cancel(ctx, ended)
	}
	log.Printf("order %s: %s %d of %d for %s, %s", ended.Number, ended.Side, ended.FilledQty, ended.Quantity, ended.AvgPrice, ended.State)
	if !ended.State.Final() {
		return ended.FilledQty, err
	}
	return ended.FilledQty, nil
}
