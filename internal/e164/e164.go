// Package e164 reports whether a telephone number is possible in its country.
//
// The rules are those of libphonenumber (Apache License 2.0), in countries.tsv. Its port to Go,
// github.com/nyaruka/phonenumbers, writes that file and checks this package in tests. The
// program does without it: it would decode all countries at each start, which takes 20 ms and
// 2.4 MB, to check a few numbers from abroad.
package e164

import (
	_ "embed"
	"regexp"
	"strconv"
	"strings"
)

//go:generate go test -run TestCountries -update

// countries has a line for each country code: the code, the lengths of its national numbers,
// those of numbers that are dialled within one area only, the pattern of the prefix for
// calls within the country, what that becomes, and the pattern of its national numbers.
//
//go:embed countries.tsv
var countries string

// A country is one line.
type country struct {
	lengths, local lengths
	prefix, rule   string
	national       string
}

// lengths are a set of lengths.
type lengths uint32

func (l lengths) has(n int) bool { return l&(1<<n) != 0 }

// Possible reports whether a number in E.164, a plus and 7 to 15 digits, has a country
// code and a length that its country has, and is written as it is dialled from abroad: with
// the prefix for calls within the country it would be a second name for the same telephone.
func Possible(number string) bool {
	digits := strings.TrimPrefix(number, "+")
	for n := 1; n <= 3 && n < len(digits); n++ {
		if c, ok := find(digits[:n]); ok {
			return c.possible(digits[n:])
		}
	}
	return false
}

func find(code string) (c country, ok bool) {
	_, rest, ok := strings.Cut(countries, "\n"+code+"\t")
	if !ok {
		return c, false
	}
	line, _, _ := strings.Cut(rest, "\n")
	f := strings.Split(line, "\t")
	return country{parse(f[0]), parse(f[1]), f[2], f[3], f[4]}, true
}

func parse(list string) (l lengths) {
	for text := range strings.SplitSeq(list, ",") {
		if n, err := strconv.Atoi(text); err == nil {
			l |= 1 << n
		}
	}
	return l
}

func (c country) possible(national string) bool {
	n := len(national)
	if !c.lengths.has(n) && !c.local.has(n) {
		return false
	}
	dialled := c.stripped(national)
	if dialled == national {
		return true
	}
	n = len(dialled)
	return c.local.has(n) || !c.lengths.has(n) && c.lengths>>n != 0 // that is no number, so the prefix is part of it
}

// stripped returns a national number without the prefix for calls within the country. The
// patterns are compiled each time: numbers from abroad are rare, and nothing is kept for
// those who invent them.
func (c country) stripped(national string) string {
	if c.prefix == "" {
		return national
	}
	prefix := regexp.MustCompile("^(?:" + c.prefix + ")")
	at := prefix.FindStringSubmatchIndex(national)
	if at == nil {
		return national
	}
	rest := national[at[1]:]
	if c.rule != "" && at[len(at)-2] >= 0 {
		rest = prefix.ReplaceAllString(national, c.rule)
	}
	own := regexp.MustCompile("^(?:" + c.national + ")$")
	if own.MatchString(national) && !own.MatchString(rest) {
		return national
	}
	return rest
}
