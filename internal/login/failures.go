package login

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// FormatFailures returns failures as the text that stores keep: a line for each
// factor, of fields separated by tabs: the factor, the count, the lock's end, and the
// id and lease of each open try. Times are milliseconds since 1970, 0 for none. Ids
// have neither tabs nor line breaks. It is on the path of every login, which is why
// it is not JSON.
func FormatFailures(all map[Factor]Failures) string {
	var b []byte
	for f, x := range all {
		b = append(append(b, f...), '\t')
		b = strconv.AppendInt(b, int64(x.Count), 10)
		b = strconv.AppendInt(append(b, '\t'), millis(x.Until), 10)
		for id, lease := range x.Open {
			b = append(append(append(b, '\t'), id...), '\t')
			b = strconv.AppendInt(b, millis(lease), 10)
		}
		b = append(b, '\n')
	}
	return string(b)
}

// ParseFailures reads what FormatFailures wrote.
func ParseFailures(text string) (map[Factor]Failures, error) {
	if text == "" {
		return nil, nil
	}
	all := map[Factor]Failures{}
	for line := range strings.Lines(text) {
		words := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(words) < 3 || len(words)%2 == 0 {
			return nil, fmt.Errorf("failures that cannot be read: %q", line)
		}
		count, err := strconv.Atoi(words[1])
		x := Failures{Count: count, Until: number(words[2], &err)}
		for open := words[3:]; len(open) > 0; open = open[2:] {
			if x.Open == nil {
				x.Open = map[string]time.Time{}
			}
			x.Open[open[0]] = number(open[1], &err)
		}
		if err != nil {
			return nil, fmt.Errorf("failures that cannot be read: %w", err)
		}
		all[Factor(words[0])] = x
	}
	return all, nil
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// number reads a time, or sets err.
func number(text string, err *error) time.Time {
	ms, e := strconv.ParseInt(text, 10, 64)
	if e != nil {
		*err = e
	}
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
