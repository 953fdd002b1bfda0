package paste

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base32"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"

	"neoapi/internal/must"
)

// blanks and unseen are what comes along when something is copied from a page, a
// message or a spreadsheet.
var (
	blanks = []string{" ", "\t", "\u00a0", "\u202f", "\u2007", "\u2009", "\u3000"}
	unseen = []string{"\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u200e", "\u202a", "\u202c", "\u202d", "\u2066", "\u2069"}
	dashes = []string{"-", "\u2010", "\u2011", "\u2012", "\u2013", "\u2014", "\u2212", "\uff0d"}
)

// inScript writes the digits of s in another script, of which zero is the first.
func inScript(s string, zero rune) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r - '0' + zero
		}
		return r
	}, s)
}

var scripts = map[string]rune{
	"full-width": '０', "Devanagari": '०', "Bengali": '০', "Gujarati": '૦', "Tamil": '௦', "Telugu": '౦', "Malayalam": '൦', "Arabic-Indic": '٠', "bold": '𝟎',
}

func TestMobile_takesNumbersAsPeopleHaveThem(t *testing.T) {
	const indian = "+919876543210"
	want := map[string]string{
		"9876543210": indian, "+919876543210": indian, "+91 98765 43210": indian, "+91-98765-43210": indian, "98765.43210": indian, "987.654.3210": indian,
		"(+91) 98765 43210": indian, "+(91) 98765-43210": indian, "( +91 ) 9876543210": indian, "(+91)(0) 98765 43210": indian, "+91 (0) 98765 43210": indian, "+91(0)9876543210": indian,
		"00919876543210": indian, "0091 98765 43210": indian, "(0091) 98765 43210": indian, "0091 (0) 98765-43210": indian, "00 91 98765 43210": indian,
		"tel:+919876543210": indian, "TEL:+91-98765-43210": indian, "tel:9876543210": indian, "Tel: 98765 43210": indian, "tel:00919876543210": indian,
		"(98765) 43210": indian, "+91.98765.43210": indian, "＋91 9876543210": indian, "\u202a+91 98765 43210\u202c": indian, "\u202d+919876543210\u202c\n": indian,
		"- 98765 43210": indian, " 9876543210\r\n": indian,
		"+1 (415) 555-2671": "+14155552671", "001 415 555 2671": "+14155552671", "(+1) 415.555.2671": "+14155552671", "tel:+1-415-555-2671": "+14155552671",
		"+44 (0)7911 123456": "+447911123456", "0044 (0) 7911 123456": "+447911123456", "+44 7911 123456": "+447911123456", "+971 (0)50 123 4567": "+971501234567", "+65 8123 4567": "+6581234567",
	}
	for _, b := range append(append(append([]string{}, blanks...), unseen...), dashes...) {
		want["+91"+b+"98765"+b+"43210"], want["98765"+b+"43210"] = indian, indian
	}
	for _, zero := range scripts {
		want[inScript("9876543210", zero)], want["+"+inScript("91 98765-43210", zero)] = indian, indian
	}
	for given, number := range want {
		if got, err := Mobile(given); err != nil || got != number {
			t.Errorf("%q gives %q, %v; want %s", given, got, err, number)
		}
	}
}

// What a number lacks, or has too much, is named; nothing is made up for it.
func TestMobile_refusesByNameWhatCouldBeAnotherNumber(t *testing.T) {
	for given, named := range map[string]string{
		"": "is missing", " \u200b": "is missing", "98765,43210": `","`, "98765/43210": `"/"`, "98765 43210 x12": `"x"`, "tel:+919876543210;ext=5": `";"`,
		"98765O3210": `"O"`, "98765\u041e3210": "U+041E", "9876543210\n9876543211": "a line break", "98765\u202e43210": "U+202E", "'9876543210": `"'"`,
		"98765\u280043210": "U+2800", "98765\xff43210": "UTF-8", "9.87654321E+09": `"E"`, "987654321.0": ".0", "9876543210.0": ".0", "+91987654321.0": ".0", "98765432.00": ".0",
		"++919876543210": `"+"`, "98765+43210": `"+"`, "+91 +91 9876543210": `"+"`,
		"919876543210": "needs +91, with its plus", "+919198765432109": "13 digits", "+91919876543210": "is +91 duplicated", "+91 98765 4321": "or a digit missing",
		"+91 09876543210": "a 0 after +91", "09876543210": "in place of the leading 0", "(0)9876543210": "in place of the leading 0", "0 98765 43210": "in place of the leading 0",
		"98765 (0) 43210": "(0)", "+91 98765 (0) 43210": "(0)", "+919(0)876543210": "(0)", "+39 (0)6 69812345": "(0)", "+91 (0)(0) 9876543210": "(0)",
		"987654321": "this has 9", "4155552671": "begins with 4", "+0919876543210": "country code", "+1": "country code", "+1234567890123456": "country code",
	} {
		if got, err := Mobile(given); err == nil || got != "" || !strings.Contains(err.Error(), named) {
			t.Errorf("%q gives %q, %v; want an error with %s", given, got, err, named)
		}
	}
}

func TestMobile_tellsNoForeignNumberThatItNeedsPlus91(t *testing.T) {
	for _, foreign := range []string{
		"4155552671", "14155552671", "1 415 555 2671", "447911123456", "07911123456", "971501234567", "6581234567x", "+4479111", "+44(0)20(0)1", "4915112345678", "2125550100", "0501234567",
	} {
		got, err := Mobile(foreign)
		if err == nil {
			t.Errorf("%s is taken for %s", foreign, got)
		} else if strings.Contains(err.Error(), "needs +91") || strings.Contains(err.Error(), "has +91") {
			t.Errorf("%s: %v", foreign, err)
		}
	}
}

func TestPasted_codesIdentifiersAndSeedsAreTakenOrNamed(t *testing.T) {
	pan := func(s string) (string, error) { return PAN(s) }
	code := func(s string) (string, error) { return Code(s, 6, 6) }
	seed := func(s string) (string, error) {
		b, err := Seed(s)
		return base32.StdEncoding.EncodeToString(b), err
	}
	const secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	type form struct {
		read   func(string) (string, error)
		parts  [2]string
		want   string
		inside bool // blanks and hyphens in the middle do not matter
	}
	for name, f := range map[string]form{
		"PAN":     {pan, [2]string{"AVRFT", "7865T"}, "AVRFT7865T", true},
		"UCC":     {UCC, [2]string{"TEST", "YA24"}, "TESTYA24", false},
		"user id": {UserID, [2]string{"asha.", "rao@1"}, "asha.rao@1", false},
		"code":    {code, [2]string{"246", "810"}, "246810", true},
		"seed":    {seed, [2]string{secret[:16], secret[16:]}, secret, true},
	} {
		takes := func(given string) {
			t.Helper()
			if got, err := f.read(given); err != nil || got != f.want {
				t.Errorf("%s: %q gives %q, %v", name, given, got, err)
			}
		}
		names := func(given, named string) {
			t.Helper()
			if got, err := f.read(given); err == nil || !strings.Contains(err.Error(), named) {
				t.Errorf("%s: %q gives %q, %v; want an error with %s", name, given, got, err, named)
			}
		}
		whole := f.parts[0] + f.parts[1]
		for _, b := range append(append([]string{}, blanks...), "\n", "\r\n") {
			takes(b + whole + b)
		}
		for _, u := range unseen {
			takes(u + f.parts[0] + u + f.parts[1] + u)
		}
		for _, b := range blanks {
			if f.inside {
				takes(f.parts[0] + b + f.parts[1])
			} else {
				names(f.parts[0]+b+f.parts[1], "a space")
			}
		}
		for _, d := range dashes {
			if f.inside {
				takes(f.parts[0] + d + f.parts[1])
			}
		}
		takes(strings.Map(func(r rune) rune { return r - '!' + '！' }, whole))
		for _, zero := range scripts {
			takes(inScript(whole, zero))
		}
		names("", "is missing")
		names(f.parts[0]+"\n"+f.parts[1], "a line break")
		names(f.parts[0]+"\u202e"+f.parts[1], "U+202E")
		names(f.parts[0]+"\u2800"+f.parts[1], "U+2800")
		if name != "user id" {
			names(f.parts[0]+"\u0410"+f.parts[1], "U+0410")
			names(f.parts[0]+"ſ"+f.parts[1], "U+017F")
		}
	}
	if got, err := PAN("avrft7865t"); err != nil || got != "AVRFT7865T" {
		t.Errorf("%q, %v", got, err)
	}
	for given, named := range map[string]string{"+24681": `"+"`, "-246810": `"-"`, "24681O": "a letter", "24681": "has 5 digits", "2": "has 1 digit", "2468101": "has 7 digits", "²46810": "U+00B2"} {
		if _, err := code(given); err == nil || !strings.Contains(err.Error(), named) {
			t.Errorf("%q: %v", given, err)
		}
	}
}

func TestSeed_takesOtpauthAddressesOfOurKindAndNamesWhatIsNot(t *testing.T) {
	const secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	for _, given := range []string{
		secret, strings.ToLower(secret), "jbsw y3dp-ehpk 3pxp jbsw y3dp ehpk 3pxp", secret + "======",
		"otpauth://totp/Neo:AB1234?secret=" + secret + "&issuer=Neo",
		"otpauth://totp/Neo:AB1234?issuer=Neo&period=30&digits=6&algorithm=SHA1&secret=" + secret,
		"OTPAUTH://TOTP/NEO:AB1234?SECRET=" + secret + "&ISSUER=NEO&ALGORITHM=SHA1",
		"OtpAuth://Totp/?Period=030&Secret=" + strings.ToLower(secret), "otpauth://totp?secret=" + secret + "%3D%3D", "otpauth://totp/A%20B:c?secret=JBSWY3DP+EHPK3PXP+JBSWY3DP+EHPK3PXP&image=https%3A%2F%2Fx.example",
		" \u200botpauth://totp/A B?algorithm=hmac-sha-1&secret=" + secret + "\n", "ｏｔｐａｕｔｈ://totp/a?secret=" + secret + "#x",
	} {
		b, err := Seed(given)
		if got := base32.StdEncoding.EncodeToString(b); err != nil || got != secret {
			t.Errorf("%q gives %q, %v", given, got, err)
		}
	}
	base := "otpauth://totp/Neo:AB1234?secret=" + secret
	for given, named := range map[string]string{
		base + "&algorithm=SHA256": "SHA256", "OTPAUTH://TOTP/A?ALGORITHM=sha512&SECRET=" + secret: "sha512", base + "&digits=8": `"8" digits`, base + "&digits=": "digits",
		base + "&period=60": `"60" seconds`, base + "&PERIOD=15": `"15" seconds`, base + "&period=x\u0007": "?", "otpauth://hotp/A?counter=1&secret=" + secret: "hotp",
		"otpauth://totp/A?issuer=Neo": "without a secret", base + "&SECRET=" + secret: "more than one secret", base + "&issuer=%zz": "cannot be read",
		"otpauth-migration://offline?data=xyz": "otpauth-migration", "https://example.com/" + secret: "not an otpauth one", secret[:31] + "1": "0, 1, 8 or 9",
	} {
		_, err := Seed(given)
		if err == nil || !strings.Contains(err.Error(), named) {
			t.Errorf("%q: %v; want an error with %s", given, err, named)
		} else if strings.Contains(err.Error(), secret[:8]) {
			t.Errorf("%q: the error shows the secret: %v", given, err)
		}
	}
}

func TestName_hasNothingThatCannotBeSeen(t *testing.T) {
	for given, want := range map[string]string{
		"": "", "Asha Räo": "Asha Räo", " Asha\u00a0Rao\u3000": "Asha Rao", "आशा": "आशा", "क्\u200dष": "क्\u200dष", "ශ්\u200dරී": "ශ්\u200dරී", "ಅರ್\u200cಜುನ್": "ಅರ್\u200cಜುನ್", "𝒜 & Co.": "𝒜 & Co.",
	} {
		if got, err := Name(given); err != nil || got != want {
			t.Errorf("%q gives %q, %v", given, got, err)
		}
	}
	refused := []string{"\x00", "\a", "\n", "\t", "\x1b", "\x7f", "\u0085", "\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4", "\u180e", "\u200b", "\u200c", "\u200d", "\u200e", "\u200f",
		"\u2028", "\u2029", "\u202a", "\u202e", "\u2060", "\u2061", "\u2064", "\u2066", "\u2069", "\u206a", "\u2800", "\u3164", "\ufe0f", "\ufeff", "\uffa0", "\ufff9", "\ue000", "\U000e0001", "\U000e0100", "\xff"}
	for _, r := range refused {
		if got, err := Name("As" + r + "ha"); err == nil {
			t.Errorf("%+q is taken: %+q", r, got)
		}
	}
	if _, err := Name("As\u200bha"); err == nil || !strings.Contains(err.Error(), "U+200B") {
		t.Errorf("%v", err)
	}
}

func TestLine_dropsAByteOrderMarkAndRefusesUTF16ByName(t *testing.T) {
	for given, want := range map[string]string{
		"secret": "secret", "secret\n": "secret", "secret\r\nmore": "secret", "\ufeffsecret\r\n": "secret", "\ufeff\ufeffsecret": "secret", "\ufeff": "", "": "", " sec ret ": " sec ret ", "sécret\n": "sécret",
	} {
		if got, err := Line([]byte(given)); err != nil || got != want {
			t.Errorf("%q gives %q, %v", given, got, err)
		}
	}
	units := utf16.Encode([]rune("\ufeffsecret\r\n"))
	little, big := []byte{}, []byte{}
	for _, u := range units {
		little, big = append(little, byte(u), byte(u>>8)), append(big, byte(u>>8), byte(u))
	}
	for _, file := range [][]byte{little, big, little[2:], big[2:], {0xff, 0xfe}, {0xff, 0xfe, 0x05, 0x09}, []byte("sec\x00ret")} {
		if got, err := Line(file); err == nil || !strings.Contains(err.Error(), "UTF-16") {
			t.Errorf("%q gives %q, %v", file, got, err)
		}
	}
}

func TestKeyPair_ofAWindowsEditorIsRead(t *testing.T) {
	key := must.Get(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"neo.example.com"}}
	der := must.Get(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(t)
	secret := must.Get(x509.MarshalPKCS8PrivateKey(key))(t)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	marked := func(b []byte) []byte {
		return append([]byte("\ufeff"), bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))...)
	}
	if _, err := KeyPair(marked(cert), marked(private)); err != nil {
		t.Error(err)
	}
	if _, err := KeyPair(cert, append([]byte{0xff, 0xfe}, private...)); err == nil || !strings.Contains(err.Error(), "UTF-16") {
		t.Errorf("got %v", err)
	}
}

func TestDigit_ofAnyScriptIsRead(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !unicode.Is(unicode.Nd, r) {
			continue
		}
		n := 0
		for ; unicode.Is(unicode.Nd, r); r++ {
			if got := digit(r); got != '0'+rune(n%10) {
				t.Errorf("%U is read as %c", r, got)
			}
			n++
		}
		if n%10 != 0 {
			t.Errorf("a run of %d digits before %U", n, r)
		}
	}
}

func FuzzMobile(f *testing.F) {
	for _, s := range []string{"9876543210", "+91 (0) 98765 43210", "(0091) 98765-43210", "tel:+1-415", "９８７６５４３२१०", "987654321.0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		number, err := Mobile(s)
		if err != nil {
			return
		}
		again, err := Mobile(number)
		if err != nil || again != number {
			t.Fatalf("%q gives %q, which gives %q, %v", s, number, again, err)
		}
		// No digit is made up or lost but the country code and zeros in front of it.
		given := strings.Map(func(r rune) rune {
			if !unicode.Is(unicode.Nd, r) {
				return -1
			}
			return digit(r)
		}, s)
		if "+91"+given == number {
			given = number
		}
		if strings.Trim(strings.ReplaceAll(given, "0", ""), "+") != strings.ReplaceAll(number[1:], "0", "") {
			t.Fatalf("%q gives %q", s, number)
		}
	})
}
