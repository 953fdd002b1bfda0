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
	JSON bool `name:"json" xor:"form" help:"Print one JSON object a line, with times in UTC."`
	CSV  bool `name:"csv" xor:"form" help:"Print CSV with a line of names, and times in UTC."`
}

// A column is a value of each thing in a list. Its name is that in JSON and CSV; one
// without a head is there only.
type column[T any] struct {
	name, head string
	kind       kind
	rank       int            // 0 is always shown; where a terminal is too narrow the highest go first
	value      func(T) string // "" for a value that is not known
}

// A kind says how a value is shown.
type kind int

const (
	cellText  kind = iota // which may be cut
	cellID                // text that may not
	cellCount             // a whole number
	cellMoney             // rupees
	cellGain              // rupees, green or red
	cellTime              // RFC 3339
	cellStart             // RFC 3339, of a candle
	cellFlag              // true or false; a table shows the head where it is true
	cellTag               // of an order
	cellNote              // a sentence, which a table that lacks its column has below the row
	cellJSON              // a value in JSON, for which a table has no room
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
	return table(t, slices.DeleteFunc(slices.Clone(columns), func(c column[T]) bool { return c.head == "" }), things)
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
		case c.kind == cellCount, c.kind == cellFlag, c.kind == cellJSON:
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

// table prints things as a table that fits a terminal, if it can: numbers are never cut.
func table[T any](t *terminal, columns []column[T], things []T) error {
	rows, widths := cells(columns, things)
	for _, line := range layOut(t, columns, rows, widths, width(t.out)) {
		if _, err := fmt.Fprintln(t.out, line); err != nil {
			return err
		}
	}
	return nil
}

// layOut returns the lines of a table for a terminal of so many columns, 0 for any.
func layOut[T any](t *terminal, columns []column[T], rows [][]string, widths []int, room int) (lines []string) {
	shown := fitting(columns, widths, room)
	for n, row := range rows {
		var line, notes strings.Builder
		for i, cell := range row {
			if !slices.Contains(shown, i) {
				if columns[i].kind == cellNote && n > 0 && cell != "-" {
					notes.WriteString("\n" + wrap("  "+cell, room, 2))
				}
				continue
			}
			if room > 0 && columns[i].kind == cellText {
				cell = shorten(cell, widths[i])
			}
			blank := strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(cell)))
			if columns[i].kind == cellGain && n > 0 && cell != "-" && cell != " " {
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
		lines = append(lines, strings.Split(strings.TrimRight(line.String(), " ")+notes.String(), "\n")...)
	}
	return lines
}

// cells returns the rows of a table, the first with the heads, and how wide the columns
// are. One long text does not make a column wide.
func cells[T any](columns []column[T], things []T) (rows [][]string, widths []int) {
	rows, widths = make([][]string, len(things)+1), make([]int, len(columns))
	for n := range rows {
		rows[n] = make([]string, len(columns))
	}
	for i, c := range columns {
		if rows[0][i] = c.head; c.kind == cellFlag {
			rows[0][i] = ""
		}
		values := make([]string, len(things))
		for n, thing := range things {
			values[n] = printable(c.value(thing))
		}
		show := shower(c.kind, c.head, values)
		for n, value := range values {
			rows[n+1][i] = show(value)
		}
		for _, row := range rows {
			size := utf8.RuneCountInString(row[i])
			if c.kind == cellText {
				size = min(size, widest)
			}
			widths[i] = max(widths[i], size)
		}
	}
	return rows, widths
}

// fitting returns the columns for which a terminal has room, 0 for any, and narrows
// those of text if even the most important ones are too wide.
func fitting[T any](columns []column[T], widths []int, room int) (shown []int) {
	for i := range columns {
		shown = append(shown, i)
	}
	wide := func() int {
		sum := -2
		for _, i := range shown {
			sum += 2 + widths[i]
		}
		return sum
	}
	for room > 0 && wide() > room {
		highest := 0
		for _, i := range shown {
			highest = max(highest, columns[i].rank)
		}
		if highest == 0 {
			break
		}
		shown = slices.DeleteFunc(shown, func(i int) bool { return columns[i].rank == highest })
	}
	const least = 5
	for room > 0 && wide() > room {
		longest := -1
		for _, i := range shown {
			if columns[i].kind == cellText && widths[i] > least && (longest < 0 || widths[i] > widths[longest]) {
				longest = i
			}
		}
		if longest < 0 {
			break // the terminal breaks the line
		}
		widths[longest]--
	}
	return shown
}

// shower returns how a table shows the values of a column.
func shower(k kind, head string, values []string) func(value string) string {
	layout := time.TimeOnly // if all are of today
	if k == cellStart {
		layout = time.DateOnly // if all are days
	}
	for _, value := range values {
		at, err := time.Parse(time.RFC3339, value)
		switch {
		case err != nil:
		case k == cellStart && !at.Equal(trade.DateOf(at).Time()):
			layout = "2006-01-02 15:04"
		case k == cellTime && trade.DateOf(at) != trade.DateOf(time.Now()):
			layout = time.DateTime
		}
	}
	return func(value string) string {
		switch {
		case k == cellFlag && value == "true":
			return head
		case k == cellFlag:
			return ""
		case value == "":
			return "-"
		case k.number():
			return grouped(value)
		case k == cellTag:
			return shorten(value, longestTag)
		case k == cellTime, k == cellStart:
			if at, err := time.Parse(time.RFC3339, value); err == nil {
				return at.In(trade.IST).Format(layout)
			}
		}
		return value
	}
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
