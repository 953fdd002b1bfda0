package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"neoapi/internal/login"
)

// auditEvent is an event as --json prints it.
type auditEvent struct {
	Seq       int64        `json:"seq"`
	Time      time.Time    `json:"time"`
	Action    string       `json:"action"`
	Outcome   string       `json:"outcome"`
	UCC       string       `json:"ucc"`
	Account   string       `json:"account"`
	Factor    login.Factor `json:"factor"`
	Consumer  string       `json:"consumer"`
	Address   string       `json:"address"`
	SID       string       `json:"sid"`
	RequestID string       `json:"requestId"`
	By        string       `json:"by"`
}

func shownEvent(e login.Event) auditEvent {
	return auditEvent{
		e.Seq, e.Time.UTC(), e.Action, e.Outcome, e.UCC, e.Account, e.Factor, e.Consumer, e.Address, e.SID, e.RequestID, e.By,
	}
}

// eventLines writes events as JSON, one a line: with every field, or with those of
// some columns.
func eventLines(w io.Writer, chosen bool, columns []eventColumn, events []login.Event) error {
	for _, e := range events {
		line, err := json.Marshal(shownEvent(e))
		if err == nil && chosen {
			line, err = pick(line, columns)
		}
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w, printable(string(line))); err != nil {
			return err
		}
	}
	return nil
}

// pick returns a JSON object with the fields of some columns alone.
func pick(object []byte, columns []eventColumn) ([]byte, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(object, &all); err != nil {
		return nil, err
	}
	var fields [][]byte
	for _, c := range columns {
		fields = append(fields, fmt.Appendf(nil, "%q:%s", c.name, all[c.name]))
	}
	return fmt.Appendf(nil, "{%s}", bytes.Join(fields, []byte(","))), nil
}

// An eventColumn is one of the table of events. Its name is that of the field in JSON.
type eventColumn struct {
	name, head string
	usual      int // how wide it is when nobody knows what will come: most of what comes fits
	text       func(e login.Event) string
}

var eventColumns = []eventColumn{
	{"time", "TIME", 25, func(e login.Event) string { return e.Time.In(login.IST).Format(time.RFC3339) }},
	{"action", "ACTION", 16, func(e login.Event) string { return e.Action }},
	{"outcome", "OUTCOME", 10, func(e login.Event) string { return e.Outcome }},
	{"ucc", "UCC", 10, func(e login.Event) string { return e.UCC }},
	{"factor", "FACTOR", 8, func(e login.Event) string { return string(e.Factor) }},
	{"consumer", "CONSUMER", 36, func(e login.Event) string { return e.Consumer }},
	{"address", "ADDRESS", 15, func(e login.Event) string { return e.Address }},
	{"by", "BY", 15, func(e login.Event) string { return e.By }},
	{"sid", "SID", 36, func(e login.Event) string { return e.SID }},
	{"requestId", "REQUEST ID", 36, func(e login.Event) string { return e.RequestID }},
	{"account", "ACCOUNT", 36, func(e login.Event) string { return e.Account }},
	{"seq", "SEQ", 8, func(e login.Event) string { return fmt.Sprint(e.Seq) }},
}

// asked is how many of the columns are shown to who names none.
const asked = 10

// narrowColumns are those of the narrow form. Who is whoever made a change, or else
// where a request came from.
var narrowColumns = []eventColumn{
	{"time", "TIME (IST)", 19, func(e login.Event) string { return e.Time.In(login.IST).Format(time.DateTime) }},
	eventColumns[1], eventColumns[2], eventColumns[3],
	{"who", "WHO", 15, func(e login.Event) string { return cmp.Or(e.By, e.Address) }},
}

// narrow is how wide the narrow form is, and wide how wide a terminal has to be to
// get the other one by itself.
const (
	narrow = 80
	wide   = 120
)

// columnsOf returns the columns with some names, in any case and with any dashes; the
// usual ones without names.
func columnsOf(names []string) (columns []eventColumn, err error) {
	if len(names) == 0 {
		return eventColumns[:asked], nil
	}
	for _, name := range names {
		plain := strings.ToLower(strings.NewReplacer("-", "", "_", "", " ", "").Replace(name))
		i := slices.IndexFunc(eventColumns, func(c eventColumn) bool { return strings.ToLower(c.name) == plain })
		if i < 0 {
			return nil, fmt.Errorf("there is no column %q: there are %s", printable(name), columnNames())
		}
		columns = append(columns, eventColumns[i])
	}
	return columns, nil
}

func columnNames() string {
	var all []string
	for _, c := range eventColumns {
		all = append(all, c.name)
	}
	return strings.Join(all, ", ")
}

// widest is as far as one event may push the columns of those that follow.
const widest = 40

// eventTable returns a function that writes events for people. Columns are as
// wide as what has been written so far needs, and, if more is to follow, as what
// usually comes. most is how wide all of them may be together: what does not fit is
// cut; 0 is as wide as need be.
func eventTable(w io.Writer, columns []eventColumn, most int, follow bool) func([]login.Event) error {
	width := make([]int, len(columns))
	heads := make([]string, len(columns))
	for i, c := range columns {
		heads[i] = c.head
		if follow {
			width[i] = c.usual
		}
	}
	rows := [][]string{heads}
	return func(events []login.Event) error {
		for _, e := range events {
			row := make([]string, len(columns))
			for i, c := range columns {
				row[i] = cmp.Or(printable(c.text(e)), "-")
			}
			rows = append(rows, row)
		}
		for _, row := range rows {
			for i, text := range row {
				width[i] = max(width[i], min(utf8.RuneCountInString(text), widest))
			}
		}
		if most > 0 {
			fit(width, most)
		}
		for _, row := range rows {
			var line strings.Builder
			for i, text := range row {
				if most > 0 {
					text = shorten(text, width[i])
				}
				fmt.Fprintf(&line, "%-*s  ", width[i], text)
			}
			if _, err := fmt.Fprintln(w, strings.TrimRight(line.String(), " ")); err != nil {
				return err
			}
		}
		rows = nil
		return nil
	}
}

// fit narrows the widest columns but the first, which is the time, until all of them
// and the gaps between them fit.
func fit(width []int, most int) {
	const least, gap = 4, 2
	sum := gap * (len(width) - 1)
	for _, n := range width {
		sum += n
	}
	for ; sum > most; sum-- {
		at := slices.Index(width[1:], slices.Max(width[1:])) + 1
		if width[at] <= least {
			return
		}
		width[at]--
	}
}

// shorten cuts a text to so many characters.
func shorten(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}
