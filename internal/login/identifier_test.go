package login

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParseIdentifier_givesEverySpellingOneForm(t *testing.T) {
	for _, c := range []struct {
		name  string
		kind  IdentifierKind
		value string
		want  string
	}{
		{"ten digits", ByMobile, "9999999908", "+919999999908"},
		{"+91", ByMobile, "+919999999908", "+919999999908"},
		{"the lowest first digit", ByMobile, "6000000000", "+916000000000"},
		{"the United States", ByMobile, "+14155552671", "+14155552671"},
		{"the United Kingdom", ByMobile, "+447911123456", "+447911123456"},
		{"the United Arab Emirates", ByMobile, "+971501234567", "+971501234567"},
		{"Singapore", ByMobile, "+6581234567", "+6581234567"},
		{"a PAN", ByPAN, "AVRFT7865T", "AVRFT7865T"},
		{"a PAN in lower case", ByPAN, "avrft7865t", "AVRFT7865T"},
		{"a PAN in mixed case", ByPAN, "aVrFt7865T", "AVRFT7865T"},
		{"a UCC", ByUCC, "TESTYA24", "TESTYA24"},
		{"a UCC in lower case", ByUCC, "testya24", "TESTYA24"},
		{"a UCC of one character", ByUCC, "A", "A"},
		{"the longest UCC", ByUCC, strings.Repeat("A", 32), strings.Repeat("A", 32)},
		{"the original document's user id", ByUserID, "asfdywgsiqwjnskm", "asfdywgsiqwjnskm"},
		{"a user id that is an address", ByUserID, "a.b_c-d@example.com", "a.b_c-d@example.com"},
		{"a user id keeps its case", ByUserID, "Asfd", "Asfd"},
		{"the longest user id", ByUserID, strings.Repeat("a", 64), strings.Repeat("a", 64)},
		{"an account's UUID", ByID, "6f1f7d3a-1c3e-4f6c-8f43-1c2d3e4f5a6b", "6f1f7d3a-1c3e-4f6c-8f43-1c2d3e4f5a6b"},
	} {
		got, err := ParseIdentifier(c.kind, c.value)
		if err != nil || got.Kind != c.kind || string(got.Value) != c.want {
			t.Errorf("%s: %q gives %s %q, %v; want %q", c.name, c.value, got.Kind, string(got.Value), err, c.want)
		}
	}
}

// notIdentifiers are values that name nobody, whatever is stored.
var notIdentifiers = []struct {
	name  string
	kind  IdentifierKind
	value string
}{
	{"no number", ByMobile, ""},
	{"nine digits", ByMobile, "987654321"},
	{"eleven digits", ByMobile, "99999999081"},
	{"twelve digits without a plus", ByMobile, "919876543210"},
	{"a trunk zero", ByMobile, "09999999908"},
	{"an international prefix", ByMobile, "00919999999908"},
	{"an Indian landline", ByMobile, "2212345678"},
	{"an Indian landline with +91", ByMobile, "+912212345678"},
	{"+91 and nine digits", ByMobile, "+91999999990"},
	{"+91 and eleven digits", ByMobile, "+9199999999081"},
	{"+91 and zero", ByMobile, "+9109999999908"},
	{"a plus alone", ByMobile, "+"},
	{"two pluses", ByMobile, "++919999999908"},
	{"a plus at the end", ByMobile, "919999999908+"},
	{"a country code of zero", ByMobile, "+019999999908"},
	{"a country code that nobody has", ByMobile, "+9991234567890"},
	{"too short for its country", ByMobile, "+1415555"},
	{"too long for its country", ByMobile, "+141555526711"},
	{"sixteen digits", ByMobile, "+1234567890123456"},
	{"spaces in it", ByMobile, "+91 99999 99908"},
	{"a space before it", ByMobile, " 9999999908"},
	{"a space after it", ByMobile, "9999999908 "},
	{"a newline after it", ByMobile, "9999999908\n"},
	{"a newline after E.164", ByMobile, "+919999999908\n"},
	{"dashes", ByMobile, "999-999-9908"},
	{"parentheses", ByMobile, "+1(415)5552671"},
	{"a letter", ByMobile, "999999990O"},
	{"a vanity number", ByMobile, "+1415KOTAK11"},
	{"an extension", ByMobile, "+14155552671;ext=1"},
	{"full-width digits", ByMobile, "９９９９９９９９０８"},
	{"full-width digits after +91", ByMobile, "+91９９９９９９９９０８"},
	{"Devanagari digits", ByMobile, "+91९९९९९९९९०८"},
	{"a full-width plus", ByMobile, "＋919999999908"},
	{"a NUL", ByMobile, "+919999999908\x00"},

	{"no PAN", ByPAN, ""},
	{"a PAN of nine", ByPAN, "BKRFT7866"},
	{"a PAN of eleven", ByPAN, "AVRFT7865TT"},
	{"a PAN with four letters first", ByPAN, "AVRF77865T"},
	{"a PAN that ends in a digit", ByPAN, "AVRFT78655"},
	{"a PAN with a space", ByPAN, "AVRFT 7865T"},
	{"a PAN and a space", ByPAN, "AVRFT7865T "},
	{"a PAN and a newline", ByPAN, "AVRFT7865T\n"},
	{"a PAN on the second line", ByPAN, "x\nAVRFT7865T"},
	{"a PAN with a full-width digit", ByPAN, "AVRFT786５T"},
	{"a PAN with an umlaut", ByPAN, "ÄVRFT7865T"},
	{"a PAN with a long s", ByPAN, "AVRFſ7865T"},
	{"a PAN with a dotless i", ByPAN, "AVRFı7865T"},

	{"no UCC", ByUCC, ""},
	{"a UCC of 33", ByUCC, strings.Repeat("A", 33)},
	{"a UCC with a dash", ByUCC, "TEST-24"},
	{"a UCC with a newline", ByUCC, "TESTYA24\n"},
	{"a UCC with a quote", ByUCC, "TEST'OR1"},
	{"a UCC with a long s", ByUCC, "TEſTYA24"},

	{"no user id", ByUserID, ""},
	{"a user id of 65", ByUserID, strings.Repeat("a", 65)},
	{"a user id with a space", ByUserID, "a b"},
	{"a user id that begins with a dot", ByUserID, ".a"},
	{"a user id with a newline", ByUserID, "a\n"},
	{"a user id with a slash", ByUserID, "../a"},
	{"a user id with a quote", ByUserID, "a'--"},
	{"a user id beyond ASCII", ByUserID, "ａｂｃ"},
	{"no UUID", ByID, ""},

	{"no kind", "", "9999999908"},
	{"an unknown kind", "email", "a@example.com"},
	{"a kind in another case", "PAN", "AVRFT7865T"},
}

func TestParseIdentifier_refusesWhatNamesNobody(t *testing.T) {
	for _, c := range notIdentifiers {
		got, err := ParseIdentifier(c.kind, c.value)
		if err == nil {
			t.Errorf("%s: %q is read as %s %q", c.name, c.value, got.Kind, string(got.Value))
			continue
		}
		var e *Error
		if !errors.As(err, &e) || e.Kind != KindInput || e.Field != string(c.kind) || e.Detail == "" {
			t.Errorf("%s: the error is %#v; want KindInput of field %q", c.name, err, c.kind)
		}
		if got != (Identifier{}) {
			t.Errorf("%s: refused, but gives %s %q", c.name, got.Kind, string(got.Value))
		}
		if len(c.value) >= 5 && strings.Contains(err.Error(), c.value) {
			t.Errorf("%s: the error quotes what was given: %v", c.name, err)
		}
	}
}

func TestParseIdentifier_namesTheCharacterAndAsksNoForeignNumberForPlus91(t *testing.T) {
	for value, named := range map[string]string{
		"+91 98765 43210": "a space", "98765\u00a043210": "U+00A0", "98765.43210": `"."`, "९८७६५४३२१०": "U+096F", "9876543210\n": "a line break", "98765\u200b43210": "U+200B",
		"4155552671": "for another country give a plus and its code", "447911123456": "the country code",
	} {
		_, err := ParseIdentifier(ByMobile, value)
		if err == nil || !strings.Contains(err.Error(), named) || strings.Contains(err.Error(), "+91") {
			t.Errorf("%q: %v; want an error with %s", value, err, named)
		}
	}
}

// The trunk zero is dialled within the United Kingdom only: +44 (0)7911 123456
// is the same telephone as +447911123456.
func TestParseIdentifier_takesNoTrunkZeroForASecondName(t *testing.T) {
	got, err := ParseIdentifier(ByMobile, "+4407911123456")
	if err == nil && got.Value != "+447911123456" {
		t.Errorf("is read as %s", string(got.Value))
	}
}

func TestIdentifier_doesNotPrintItsValue(t *testing.T) {
	id, err := ParseIdentifier(ByPAN, "AVRFT7865T")
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if printed := fmt.Sprintf(verb, id); strings.Contains(printed, "AVRFT") || strings.Contains(printed, "4156524654") {
			t.Errorf("%s shows the PAN: %s", verb, printed)
		}
	}
}

func FuzzParseIdentifier(f *testing.F) {
	kinds := []IdentifierKind{ByMobile, ByPAN, ByUserID, ByUCC, ByID}
	for i, kind := range kinds {
		for _, value := range []string{"9999999908", "+14155552671", "avrft7865t", "testya24", "a.b@c"} {
			f.Add(byte(i), value)
		}
		for _, c := range notIdentifiers {
			if c.kind == kind {
				f.Add(byte(i), c.value)
			}
		}
	}
	f.Fuzz(func(t *testing.T, k byte, value string) {
		kind := kinds[int(k)%len(kinds)]
		id, err := ParseIdentifier(kind, value)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Kind != KindInput {
				t.Fatalf("%s %q: %v", kind, value, err)
			}
			return
		}
		for _, r := range value {
			if r < '!' || r > '~' {
				t.Fatalf("%s %q: accepted beyond printable ASCII", kind, value)
			}
		}
		if len(id.Value) > 64 {
			t.Fatalf("%s: accepted %d bytes", kind, len(id.Value))
		}
		again, err := ParseIdentifier(kind, string(id.Value))
		if err != nil || again != id {
			t.Fatalf("%s %q: its normal form %q gives %q, %v", kind, value, string(id.Value), string(again.Value), err)
		}
	})
}
