// Package paste converts what people type and paste to the forms of the protocol:
// mobile numbers with blanks, hyphens and brackets, codes with no-break spaces or the
// digits of another script, TOTP seeds as otpauth addresses, secrets in files that
// begin with a byte-order mark.
//
// It accepts only unambiguous input and names what is wrong with the rest: a number
// wrongly repaired could be somebody else's. The client, the command line and the
// operator's side use it. The service's protocol does not: its input must already have
// the right form ([neoapi/internal/login.ParseIdentifier]).
//
// Start with [Mobile]. Each error is the predicate of a sentence, such as "has a
// letter in it", and quotes at most one character, and of a secret none that could be
// part of it.
package paste

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// tidy returns s with full-width characters and the digits of all scripts in ASCII,
// blanks of every kind as spaces, hyphens and dashes as "-", and without invisible
// characters and surrounding blanks. Line breaks within stay: something else begins
// after one.
func tidy(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r':
			return '\n'
		case unicode.Is(unicode.Zs, r) || r == '\t':
			return ' '
		case unicode.Is(unicode.Pd, r) || r == '\u2212': // a minus sign
			return '-'
		case r >= '！' && r <= '～':
			return r - '！' + '!'
		case r == '\u202e': // it reverses what follows, so the text is not what was read
			return r
		case unicode.Is(unicode.Cf, r):
			return -1
		case r > unicode.MaxASCII && unicode.Is(unicode.Nd, r):
			return digit(r)
		}
		return r
	}, s))
}

// digit returns a decimal digit of any script in ASCII. The digits of a script are
// consecutive, and the tables list whole scripts.
func digit(r rune) rune {
	zero := r
	for zero > 0 && unicode.Is(unicode.Nd, zero-1) {
		zero--
	}
	return '0' + (r-zero)%10
}

// without returns s without the characters in drop.
func without(s, drop string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(drop, r) {
			return -1
		}
		return r
	}, s)
}

// names are the names of invisible characters.
var names = map[rune]string{
	' ': "a space", '\t': "a tab", '\n': "a line break", '\r': "a line break", '\u00a0': "a no-break space (U+00A0)",
	'"': "a quotation mark", '\u200b': "a zero-width space (U+200B)", '\ufeff': "a byte-order mark (U+FEFF)",
}

// Describe names a character for an error.
func Describe(r rune) string {
	switch name, known := names[r]; {
	case known:
		return name
	case r == unicode.ReplacementChar:
		return "something that is not UTF-8"
	case !Visible(r):
		return fmt.Sprintf("the invisible character U+%04X", r)
	case r > unicode.MaxASCII:
		return fmt.Sprintf("\"%c\" (U+%04X)", r, r)
	}
	return `"` + string(r) + `"`
}

// Odd returns an error that names the first character of s that is not in allowed.
func Odd(s, allowed string) error {
	for _, r := range s {
		if !strings.ContainsRune(allowed, r) {
			return errors.New("has " + Describe(r) + " in it")
		}
	}
	return nil
}

const (
	digits  = "0123456789"
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

var (
	// spreadsheet matches numbers as spreadsheets and their libraries write them: the
	// zeros are not part of the telephone number.
	spreadsheet = regexp.MustCompile(`^[^.]*\.0+$`)
	// bracketed is a country code (ITU-T E.164) and the zero in brackets that is dialled without it.
	bracketed = regexp.MustCompile(`^\+(1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|` +
		`2[1-689][0-9]|3[578][0-9]|42[0-9]|5[09][0-9]|6[789][0-9]|8[035789][0-9]|9[679][0-9])\(0\)`)
	// keepZero are the country codes whose numbers have that zero with the country code, too.
	keepZero = []string{"39", "225", "241", "242", "378", "379"}
)

// Mobile returns a mobile number in E.164. Ten digits are an Indian number. A country
// code has a plus or 00 before it; blanks, hyphens, dots and brackets between the
// digits are ignored, and so is a leading "tel:".
func Mobile(s string) (string, error) {
	s = tidy(s)
	if len(s) >= 4 && strings.EqualFold(s[:4], "tel:") {
		s = strings.TrimSpace(s[4:])
	}
	if s == "" {
		return "", errors.New("is missing")
	}
	if err := Odd(s, digits+"+-. ()"); err != nil {
		return "", err
	}
	if spreadsheet.MatchString(s) {
		return "", errors.New("ends with .0, as a spreadsheet's number: give it as text")
	}
	s = unbracketed(without(s, "-. "))
	if i := strings.Index(s, "(0)"); i > 0 {
		return "", errors.New(`has "(0)" in it: write the number as it is dialled from abroad`)
	}
	s = without(s, "()")
	number, international := strings.CutPrefix(s, "+")
	if !international {
		return indianMobile(number)
	}
	if err := abroad(number); err != nil {
		return "", err
	}
	return s, nil
}

// unbracketed writes 00 as a plus, takes a country code out of its brackets, and drops
// the zero in brackets that is not dialled from abroad.
func unbracketed(s string) string {
	s = strings.Replace(s, "(+", "+(", 1)
	s = strings.Replace(s, "(00", "00(", 1)
	if rest, ok := strings.CutPrefix(s, "00"); ok {
		s = "+" + rest
	}
	if rest, ok := strings.CutPrefix(s, "+("); ok { // (+91)
		s = "+" + strings.Replace(rest, ")", "", 1)
	}
	if m := bracketed.FindStringSubmatch(s); m != nil && !slices.Contains(keepZero, m[1]) {
		s = "+" + m[1] + s[len(m[0]):]
	}
	return s
}

// abroad checks a number with a country code, without its plus.
func abroad(number string) error {
	indian, isIndian := strings.CutPrefix(number, "91")
	n := len(number)
	switch {
	case strings.Contains(number, "+"):
		return errors.New(`has a "+" that is not in front`)
	case isIndian && len(indian) == 11 && indian[0] == '0':
		return errors.New("has a 0 after +91: leave it out")
	case isIndian && len(indian) != 10:
		return fmt.Errorf("has +91 and then %s, not ten: is +91 duplicated, or a digit missing?", someDigits(len(indian)))
	case n < 8 || n > 15 || number[0] == '0':
		return errors.New("is not a plus, a country code and a number of 8 to 15 digits in all")
	}
	return nil
}

// indianMobile returns a number without a country code in E.164.
func indianMobile(number string) (string, error) {
	indian, isIndian := strings.CutPrefix(number, "91")
	n := len(number)
	switch {
	case strings.Contains(number, "+"):
		return "", errors.New(`has a "+" that is not in front`)
	case n == 10 && number[0] >= '6':
		return "+91" + number, nil
	case n == 10 && number[0] > '0':
		return "", fmt.Errorf("begins with %c, as no Indian mobile number does: another country's needs a plus and its code", number[0])
	case n > 0 && number[0] == '0':
		return "", errors.New("begins with 0: write a plus and the country code, such as +91, in place of the leading 0")
	case n == 12 && isIndian && indian[0] >= '6':
		return "", errors.New("needs +91, with its plus")
	}
	return "", fmt.Errorf("must be ten digits, or a plus, the country code and the number: this has %d", n)
}

var panForm = regexp.MustCompile(`^[A-Z]{5}[0-9]{4}[A-Z]$`)

// PAN returns a PAN in upper case.
func PAN(s string) (string, error) {
	s = upper(without(tidy(s), " -"))
	if s == "" {
		return "", errors.New("is missing")
	}
	if err := Odd(s, letters+digits); err != nil {
		return "", err
	}
	if !panForm.MatchString(s) {
		return "", errors.New("must be five letters, four digits and a letter")
	}
	return s, nil
}

// UCC returns a unique client code, with its letters in the case they were given in.
func UCC(s string) (string, error) {
	s = tidy(s)
	if s == "" {
		return "", errors.New("is missing")
	}
	if err := Odd(s, letters+strings.ToLower(letters)+digits); err != nil {
		return "", fmt.Errorf("%w: it is letters and digits, as the broker's app shows it", err)
	}
	return s, nil
}

// UserID returns a user id.
func UserID(s string) (string, error) {
	s = tidy(s)
	if s == "" {
		return "", errors.New("is missing")
	}
	for _, r := range s {
		if r <= ' ' || !Visible(r) {
			return "", errors.New("has " + Describe(r) + " in it")
		}
	}
	return s, nil
}

// Code returns a one-time code, an MPIN or a TOTP code: a number of ASCII digits.
func Code(s string, least, most int) (string, error) {
	s = without(tidy(s), " ")
	if !strings.HasPrefix(s, "-") && !strings.HasSuffix(s, "-") { // there it is a sign
		s = without(s, "-")
	}
	for _, r := range s {
		if !strings.ContainsRune(digits, r) {
			return "", errors.New("has " + class(r) + " in it")
		}
	}
	switch {
	case s == "":
		return "", errors.New("is missing")
	case len(s) < least || len(s) > most:
		return "", errors.New("has " + someDigits(len(s)))
	}
	return s, nil
}

// class describes a character of a secret, an ordinary one only by its class.
func class(r rune) string {
	switch {
	case r > unicode.MaxASCII || !Visible(r):
		return Describe(r)
	case unicode.IsLetter(r):
		return "a letter"
	case unicode.IsDigit(r):
		return "a digit"
	}
	return Describe(r)
}

// upper changes only ASCII letters: the upper case of some other letters is ASCII.
func upper(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, s)
}

// Visible reports whether a character is visible when printed, and does not change
// how others are shown. Of blanks only the plain one counts.
func Visible(r rune) bool {
	return unicode.IsPrint(r) && r != '\u2800' && // a Braille pattern without dots
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// viramas are the signs of South Asian scripts after which a joiner decides how the
// letters around it are written.
const viramas = "\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca"

// Joins reports whether an invisible character belongs where it is: a joiner after a
// sign that takes one.
func Joins(before, r rune) bool {
	return (r == '\u200c' || r == '\u200d') && strings.ContainsRune(viramas, before)
}

// Name returns the name of a person or an application, with plain blanks and none
// around it. Invisible characters are refused, except joiners where a South Asian
// script uses them.
func Name(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errors.New("is not valid text (UTF-8)")
	}
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Zs, r) {
			return ' '
		}
		return r
	}, s))
	before := rune(0)
	for _, r := range s {
		if !Visible(r) && !Joins(before, r) {
			return "", errors.New("has " + Describe(r) + " in it")
		}
		before = r
	}
	return s, nil
}

func someDigits(n int) string {
	if n == 1 {
		return "1 digit"
	}
	return fmt.Sprintf("%d digits", n)
}
