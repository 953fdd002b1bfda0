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
// the columns only.
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

// pick returns a JSON object with only the fields of the columns.
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

// An eventColumn is a column of the table of events. Its name is that of the JSON field.
type eventColumn struct {
	name, head string
	usual      int // its width before events are known: most of them fit
	text       func(e login.Event) string
}

var eventColumns = []eventColumn{
	{"time", "TIME", 25, func(e login.Event) string { return e.Time.In(login.IST).Format(time.RFC3339) }},
	{"action", "ACTION", 16, func(e login.Event) string { return e.Action }},
	{"outcome", "OUTCOME", 10, func(e login.Event) string { return e.Outcome }},
	{"ucc", "UCC", 10, func(e login.Event) string { return e.UCC }},
	{"factor", "FACTOR", 8, func(e login.Event) string { return factorName(e.Factor) }},
	{"consumer", "CONSUMER", 36, func(e login.Event) string { return e.Consumer }},
	{"address", "ADDRESS", 15, func(e login.Event) string { return e.Address }},
	{"by", "BY", 15, func(e login.Event) string { return e.By }},
	{"sid", "SID", 36, func(e login.Event) string { return e.SID }},
	{"requestId", "REQUEST ID", 36, func(e login.Event) string { return e.RequestID }},
	{"account", "ACCOUNT", 36, func(e login.Event) string { return e.Account }},
	{"seq", "SEQ", 8, func(e login.Event) string { return fmt.Sprint(e.Seq) }},
}

// asked is how many of the columns are shown by default.
const asked = 10

// narrowColumns are the columns of the narrow form. WHO is the operator who made a
// change, or else where a request came from.
var narrowColumns = []eventColumn{
	{"time", "TIME (IST)", 19, func(e login.Event) string { return e.Time.In(login.IST).Format(time.DateTime) }},
	eventColumns[1], eventColumns[2], eventColumns[3],
	{"who", "WHO", 15, func(e login.Event) string { return cmp.Or(e.By, e.Address) }},
}

// narrow is the width of the narrow form; a terminal of at least wide gets the full
// form by default.
const (
	narrow = 80
	wide   = 120
)

// columnsOf returns the columns with the given names, ignoring case and dashes, or
// the default columns if there are none.
func columnsOf(names []string) (columns []eventColumn, err error) {
	if len(names) == 0 {
		return eventColumns[:asked], nil
	}
	for _, name := range names {
		plain := strings.ToLower(strings.NewReplacer("-", "", "_", "", " ", "").Replace(name))
		i := slices.IndexFunc(eventColumns, func(c eventColumn) bool { return strings.ToLower(c.name) == plain })
		if i < 0 {
			return nil, fmt.Errorf("unknown column %q: the columns are %s", printable(name), columnNames())
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

// widest is the widest that one event may make a column for the events after it.
const widest = 40

// eventTable returns a function that writes events for people. Columns are as wide as
// the events written so far require and, if follow is set, as wide as usual. most
// limits their total width: what does not fit is cut; 0 means no limit.
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

// fit narrows the widest columns, except the first, the time, until they all fit with
// the gaps between them.
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

// shorten cuts a text to a number of characters.
func shorten(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}
