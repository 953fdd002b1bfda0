package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"neoapi/feed"
	"neoapi/trade"
)

// typed returns columns with one before them that says in JSON what kind of object it is.
func typed[T any](kind string, columns []column[T]) []column[T] {
	return append([]column[T]{{"update", "", cellText, 0, func(T) string { return kind }}}, columns...)
}

// orderUpdateColumns are those of orders, and what an update adds to them.
func orderUpdateColumns() []column[feed.OrderUpdate] {
	var all []column[feed.OrderUpdate]
	for _, c := range orderColumns {
		all = append(all, column[feed.OrderUpdate]{c.name, c.head, c.kind, c.rank, func(u feed.OrderUpdate) string { return c.value(u.Order) }})
	}
	return typed("order", append(all,
		column[feed.OrderUpdate]{"fill", "", cellCount, 0, func(u feed.OrderUpdate) string { return number(u.Fill) }},
		column[feed.OrderUpdate]{"recovered", "", cellFlag, 0, func(u feed.OrderUpdate) string { return fmt.Sprint(u.Recovered) }},
	))
}

// quoteColumns are what a table shows of quotes.
var quoteColumns = []column[feed.Quote]{
	{"symbol", "SYMBOL", cellText, 0, func(q feed.Quote) string { return q.Instrument.Symbol }},
	{"segment", "SEGMENT", cellText, 6, func(q feed.Quote) string { return string(q.Instrument.Segment) }},
	{"last", "LAST", cellMoney, 0, func(q feed.Quote) string { return rupees(q.Last) }},
	{"change", "CHANGE", cellGain, 1, func(q feed.Quote) string { return rupees(change(q)) }},
	{"bidQuantity", "BID QTY", cellCount, 3, func(q feed.Quote) string { return known(best(q.Bids).Quantity) }},
	{"bid", "BID", cellMoney, 2, func(q feed.Quote) string { return rupees(best(q.Bids).Price) }},
	{"ask", "ASK", cellMoney, 2, func(q feed.Quote) string { return rupees(best(q.Asks).Price) }},
	{"askQuantity", "ASK QTY", cellCount, 3, func(q feed.Quote) string { return known(best(q.Asks).Quantity) }},
	{"open", "OPEN", cellMoney, 7, func(q feed.Quote) string { return rupees(q.Open) }},
	{"high", "HIGH", cellMoney, 7, func(q feed.Quote) string { return rupees(q.High) }},
	{"low", "LOW", cellMoney, 7, func(q feed.Quote) string { return rupees(q.Low) }},
	{"previousClose", "PREV CLOSE", cellMoney, 6, func(q feed.Quote) string { return rupees(q.PrevClose) }},
	{"volume", "VOLUME", cellCount, 4, func(q feed.Quote) string { return known(q.Volume) }},
	{"openInterest", "", cellCount, 0, func(q feed.Quote) string { return known(q.OpenInterest) }},
	{"time", "TIME", cellTime, 5, func(q feed.Quote) string { return clock(q.At) }},
}

// change is how far the last price is from the previous close.
func change(q feed.Quote) trade.Rupees {
	if q.Change.Known() {
		return q.Change
	}
	return q.Last.Sub(q.PrevClose)
}

// quoteUpdateColumns are those of quotes in JSON.
func quoteUpdateColumns(depth bool) []column[feed.Quote] {
	all := typed("quote", quoteColumns)
	if depth {
		all = append(all,
			column[feed.Quote]{"bids", "", cellJSON, 0, func(q feed.Quote) string { return levels(q.Bids) }},
			column[feed.Quote]{"asks", "", cellJSON, 0, func(q feed.Quote) string { return levels(q.Asks) }},
		)
	}
	return append(all,
		column[feed.Quote]{"received", "", cellText, 0, func(q feed.Quote) string { return q.Received.UTC().Format("2006-01-02T15:04:05.000Z07:00") }},
		column[feed.Quote]{"skipped", "", cellCount, 0, func(q feed.Quote) string { return fmt.Sprint(q.Skipped) }},
		column[feed.Quote]{"crossed", "", cellFlag, 0, func(q feed.Quote) string { return fmt.Sprint(q.Crossed) }},
	)
}

// levels is a side of the book in JSON.
func levels(side []trade.Level) string {
	type level struct {
		Price    string `json:"price"`
		Quantity int64  `json:"quantity"`
		Orders   int64  `json:"orders"`
	}
	all := []level{}
	for _, l := range side {
		all = append(all, level{l.Price.String(), l.Quantity, l.Orders})
	}
	text, _ := json.Marshal(all) // texts and numbers alone
	return string(text)
}

// A depthRow is one line of an instrument's book.
type depthRow struct {
	feed.Quote
	n int // of its levels, from 0
}

// bid and ask return the levels of a line.
func (r depthRow) bid() trade.Level { return nth(r.Bids, r.n) }
func (r depthRow) ask() trade.Level { return nth(r.Asks, r.n) }

func nth(side []trade.Level, n int) trade.Level {
	if n >= len(side) {
		return trade.Level{}
	}
	return side[n]
}

// depthColumns are those of a table with five bids and offers an instrument: what is not of
// a level is on its first line, and goes first where a terminal is narrow.
var depthColumns = func() []column[depthRow] {
	side := map[string]func(depthRow) string{
		"bidQuantity": func(r depthRow) string { return known(r.bid().Quantity) },
		"bid":         func(r depthRow) string { return rupees(r.bid().Price) },
		"ask":         func(r depthRow) string { return rupees(r.ask().Price) },
		"askQuantity": func(r depthRow) string { return known(r.ask().Quantity) },
	}
	var all []column[depthRow]
	for _, c := range quoteColumns {
		value, rank := side[c.name], c.rank-2 // bid and ask are always shown
		if value == nil {
			rank = c.rank + 2
			value = func(r depthRow) string {
				if r.n > 0 {
					return " "
				}
				return c.value(r.Quote)
			}
		}
		if c.name == "symbol" {
			rank = 0
		}
		all = append(all, column[depthRow]{c.name, c.head, c.kind, rank, value})
	}
	return all
}()

// shownLevels is how much of a book a table shows.
const shownLevels = 5

// depthRows returns the lines of quotes with their books.
func depthRows(quotes []feed.Quote) (rows []depthRow) {
	for _, q := range quotes {
		for n := range shownLevels {
			if n == 0 || n < max(len(q.Bids), len(q.Asks)) {
				rows = append(rows, depthRow{q, n})
			}
		}
	}
	return rows
}

// An event is what a feed says besides its things, in JSON.
type event struct {
	Update  string     `json:"update"`
	Time    *time.Time `json:"time,omitempty"`
	Error   string     `json:"error,omitempty"`
	From    *time.Time `json:"from,omitempty"`
	To      *time.Time `json:"to,omitempty"`
	Segment string     `json:"segment,omitempty"`
	Symbol  string     `json:"symbol,omitempty"`
	State   int        `json:"state,omitempty"`
	Text    string     `json:"text,omitempty"`
	Symbols []string   `json:"symbols,omitempty"`

	Reference         string `json:"reference,omitempty"`
	Imbalance         *int64 `json:"imbalance,omitempty"`
	ImbalanceAtMarket *int64 `json:"imbalanceAtMarket,omitempty"`
}

// eventOf returns an update that is not one of a thing as an object, or nil.
func eventOf(u feed.Update) *event {
	utc := func(t time.Time) *time.Time {
		t = t.UTC().Truncate(time.Millisecond)
		return &t
	}
	switch u := u.(type) {
	case feed.Lost:
		e := event{Update: "lost", Time: utc(u.At)}
		if u.Err != nil {
			e.Error = inFlags(u.Err)
		}
		return &e
	case feed.Gap:
		return &event{Update: "gap", From: utc(u.From), To: utc(u.To)}
	case feed.Status:
		return &event{Update: "status", Time: utc(u.At), Segment: string(u.Segment), State: int(u.State), Text: cmp.Or(strings.TrimSpace(u.Text), u.State.String())}
	case feed.Auction:
		return &event{
			Update: "auction", Time: utc(u.At), Segment: string(u.Instrument.Segment), Symbol: u.Instrument.Symbol,
			Reference: u.Reference.String(), Imbalance: &u.Imbalance, ImbalanceAtMarket: &u.ImbalanceAtMarket,
		}
	case feed.Missing:
		e := event{Update: "missing"}
		for _, i := range u.Instruments {
			e.Symbols = append(e.Symbols, string(i.Segment)+":"+i.Symbol)
		}
		return &e
	}
	return nil
}
