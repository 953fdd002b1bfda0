package trade

import (
	"crypto/rand"
	"strconv"
	"strings"
	"time"
)

// A Tag labels an order. What is sent is the label and a suffix, because the service
// refuses a tag that was used before on the same day: see [Label] and [DayTag].
type Tag struct {
	label string
	day   bool
}

// Label labels an order with a text of up to 11 letters, digits and hyphens. Each order
// gets a suffix of its own, so that many orders can have the label.
func Label(s string) Tag { return Tag{label: s} }

// DayTag labels the one order of a day with a text of up to 15 letters, digits and
// hyphens: its suffix is the date in India. See [Client.PlaceOnce].
func DayTag(s string) Tag { return Tag{label: s, day: true} }

const (
	maxTag  = 20
	randoms = 8 // length of the suffix of a Label
	dates   = 4 // of a DayTag
)

// labelled are the characters of a label.
func labelled(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c|0x20-'a' > 'z'-'a' && c-'0' > 9 && c != '-' {
			return false
		}
	}
	return true
}

// check returns what is wrong with a tag.
func (g Tag) check() *Invalid {
	room := maxTag - 1 - randoms
	if g.day {
		room = maxTag - 1 - dates
	}
	switch {
	case g.day && g.label == "":
		return &Invalid{Field: "tag", Problem: "is missing: the label of a DayTag says which order of the day this is"}
	case !labelled(g.label):
		return &Invalid{Field: "tag", Value: clip(g.label), Problem: "has a character other than letters, digits and hyphens"}
	case len(g.label) > room:
		return &Invalid{Field: "tag", Value: clip(g.label), Problem: "is longer than " + strconv.Itoa(room) + " characters", Nearest: []string{g.label[:room]}}
	}
	return nil
}

// make returns the tag to send, on a day.
func (g Tag) make(now time.Time) string {
	if g.day {
		_, month, day := now.In(IST).Date()
		date := int(month)*100 + day
		return g.label + "-" + string([]byte{byte('0' + date/1000), byte('0' + date/100%10), byte('0' + date/10%10), byte('0' + date%10)})
	}
	return unique(g.label, randoms)
}

// unique returns a label with a random suffix that begins with a letter, so that no
// suffix looks like a date or a time.
func unique(label string, n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz234567"
	var b [maxTag]byte
	size := copy(b[:], label)
	if size > 0 {
		b[size] = '-'
		size++
	}
	suffix := b[size : size+n]
	rand.Read(suffix)
	for i, c := range suffix {
		suffix[i] = letters[c%32]
	}
	suffix[0] = letters[suffix[0]%26]
	return string(b[:size+n])
}

// carries reports whether the tag in a report is the one that was sent: as it was, or as
// a cancel left it.
func carries(reported, sent string) bool {
	rest, ok := strings.CutPrefix(reported, sent)
	return ok && sent != "" && (rest == "" || rest[0] == '-' && epoch(rest[1:]))
}

// epoch reports whether s is a time in seconds, as the service puts into tags.
func epoch(s string) bool {
	if len(s) < 9 || len(s) > 13 {
		return false
	}
	return strings.Trim(s, "0123456789") == ""
}

// replaced reports whether a change has put another tag in place of the one that was
// sent: <epoch>-<number>-<UCC>-ADMINAPI, after a cancel with -<epoch>. Only the order's
// history still has the one that was sent.
func replaced(reported, number string) bool {
	head, rest, _ := strings.Cut(reported, "-")
	if !epoch(head) {
		return false
	}
	if before, last := cutLast(rest); epoch(last) {
		rest = before
	}
	_, last := cutLast(rest)
	return last == "ADMINAPI" || strings.HasPrefix(rest, number+"-") && number != ""
}

func cutLast(s string) (before, last string) {
	if i := strings.LastIndexByte(s, '-'); i >= 0 {
		return s[:i], s[i+1:]
	}
	return "", s
}

// original returns the tag of a report without what a cancel put behind it.
func original(reported string) string {
	if before, last := cutLast(reported); epoch(last) {
		return before
	}
	return reported
}
