package main

// Lists of a trading day's things: tables for people, JSON or CSV for programs.

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"neoapi/trade"
)

// listFlags choose the form of a list.
type listFlags struct {
	JSON bool `name:"json" xor:"form" help:"Print one JSON object a line."`
	CSV  bool `name:"csv" xor:"form" help:"Print CSV with a line of names."`
}

// A column is a value of each thing in a list. Its name is that in JSON and CSV.
type column[T any] struct {
	name, head string
	kind       kind
	value      func(T) string // "" for a value that is not known
}

// A kind says how a value is shown.
type kind int

const (
	cellText   kind = iota
	cellCount       // a whole number
	cellMoney       // rupees
	cellGain        // rupees, green or red
	cellTime        // RFC 3339
	cellDetail      // text that a narrow terminal has no room for
)

func (k kind) number() bool { return k == cellCount || k == cellMoney || k == cellGain }

// list prints things. Numbers are right-aligned, and money is grouped as in India, in
// a table only.
func list[T any](t *terminal, form listFlags, columns []column[T], things []T) error {
	switch {
	case form.JSON:
		for _, thing := range things {
			if err := object(t, columns, thing); err != nil {
				return err
			}
		}
		return nil
	case form.CSV:
		return separated(t, columns, things)
	}
	room := width(t.out)
	if room > 0 && room < wide {
		columns = slices.DeleteFunc(slices.Clone(columns), func(c column[T]) bool { return c.kind == cellDetail })
	}
	return table(t, columns, things)
}

// object prints a thing as a JSON object: amounts of rupees as strings, so that none
// loses precision, and what is not known as null.
func object[T any](t *terminal, columns []column[T], thing T) error {
	var b strings.Builder
	for i, c := range columns {
		if i > 0 {
			b.WriteByte(',')
		}
		value := c.value(thing)
		fmt.Fprintf(&b, "%q:", c.name)
		switch {
		case value == "":
			b.WriteString("null")
		case c.kind == cellCount:
			b.WriteString(value)
		default:
			quoted, err := json.Marshal(value)
			if err != nil {
				return err
			}
			b.Write(quoted)
		}
	}
	_, err := fmt.Fprintln(t.out, printable("{"+b.String()+"}"))
	return err
}

func separated[T any](t *terminal, columns []column[T], things []T) error {
	w := csv.NewWriter(t.out)
	row := make([]string, len(columns))
	for i, c := range columns {
		row[i] = c.name
	}
	_ = w.Write(row) // Flush keeps the error
	for _, thing := range things {
		for i, c := range columns {
			row[i] = printable(c.value(thing))
		}
		_ = w.Write(row)
	}
	w.Flush()
	return w.Error()
}

func table[T any](t *terminal, columns []column[T], things []T) error {
	rows := [][]string{make([]string, len(columns))}
	for i, c := range columns {
		rows[0][i] = c.head
	}
	for _, thing := range things {
		row := make([]string, len(columns))
		for i, c := range columns {
			row[i] = cell(c.kind, printable(c.value(thing)))
		}
		rows = append(rows, row)
	}
	widths := make([]int, len(columns))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], min(utf8.RuneCountInString(cell), widest))
		}
	}
	out := t.lines()
	for n, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			blank := strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(cell)))
			if columns[i].kind == cellGain && n > 0 && cell != "-" {
				colour := green
				if strings.HasPrefix(cell, "-") {
					colour = red
				}
				cell = t.paint(colour, cell)
			}
			if columns[i].kind.number() {
				line.WriteString(blank + cell)
			} else {
				line.WriteString(cell + blank)
			}
			line.WriteString("  ")
		}
		if _, err := fmt.Fprintln(out, strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// cell returns a value as a table shows it.
func cell(k kind, value string) string {
	switch {
	case value == "":
		return "-"
	case k.number():
		return grouped(value)
	case k == cellTime:
		return timeOfDay(value)
	}
	return value
}

// timeOfDay shortens a time of today to its time of day in India.
func timeOfDay(value string) string {
	at, err := time.Parse(time.RFC3339, value)
	switch {
	case err != nil:
		return value
	case trade.DateOf(at) == trade.DateOf(time.Now()):
		return at.In(trade.IST).Format(time.TimeOnly)
	}
	return at.In(trade.IST).Format(time.DateTime)
}

// grouped groups the digits of an amount as in India: 12,34,567.50.
func grouped(amount string) string {
	sign, digits := "", amount
	if strings.HasPrefix(amount, "-") {
		sign, digits = "-", amount[1:]
	}
	whole, rest, _ := strings.Cut(digits, ".")
	if rest != "" {
		rest = "." + rest
	}
	if len(whole) <= 3 {
		return amount
	}
	head, groups := whole[:len(whole)-3], whole[len(whole)-3:]
	for len(head) > 2 {
		head, groups = head[:len(head)-2], head[len(head)-2:]+","+groups
	}
	return sign + head + "," + groups + rest
}

// number is a count as a value of a column; 0 is a number like others.
func number(n int64) string { return fmt.Sprint(n) }

// known is a count of which 0 means that the service did not say.
func known(n int64) string {
	if n == 0 {
		return ""
	}
	return number(n)
}

// rupees is an amount as a value of a column.
func rupees(r trade.Rupees) string { return r.String() }

// price is the price of an order as a value of a column: one of 0 is none.
func price(r trade.Rupees) string {
	if r.Sign() == 0 {
		return ""
	}
	return r.String()
}
