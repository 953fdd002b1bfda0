package credential

import (
	"bytes"
	"encoding/base32"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// rfcSeed is the secret of the test vectors in both RFCs.
var rfcSeed = []byte("12345678901234567890")

func TestTOTPCode_givesTheVectorsOfRFC4226(t *testing.T) {
	want := []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"}
	for step, code := range want {
		got, err := TOTPCode(rfcSeed, int64(step))
		if err != nil || string(got) != code {
			t.Errorf("count %d: got %s, %v; appendix D says %s", step, string(got), err, code)
		}
	}
}

// The vectors have eight digits; a code of six is their end.
var rfc6238 = []struct {
	unix int64
	code string
}{
	{59, "94287082"},
	{1111111109, "07081804"},
	{1111111111, "14050471"},
	{1234567890, "89005924"},
	{2000000000, "69279037"},
	{20000000000, "65353130"},
}

func TestMatchTOTP_acceptsTheVectorsOfRFC6238(t *testing.T) {
	for _, v := range rfc6238 {
		step, ok := MatchTOTP(rfcSeed, Secret(v.code[2:]), time.Unix(v.unix, 0))
		if !ok || step != v.unix/30 {
			t.Errorf("%d: got step %d, %t; appendix B says that %s is the code of step %d", v.unix, step, ok, v.code, v.unix/30)
		}
	}
}

func TestMatchTOTP_allowsOneStepOfDriftEachWayAndNoMore(t *testing.T) {
	// 07081804 is the code of the step that spans 1111111080 to 1111111109.
	const code, step, first, last = "081804", 37037036, 1111111080, 1111111109
	for _, c := range []struct {
		name string
		now  time.Time
		ok   bool
	}{
		{"at the step's start", time.Unix(first, 0), true},
		{"in the last nanosecond of the step", time.Unix(last, 999999999), true},
		{"at the start of the step before", time.Unix(first-30, 0), true},
		{"just before the step before", time.Unix(first-31, 999999999), false},
		{"in the last nanosecond of the step after", time.Unix(last+30, 999999999), true},
		{"just after the step after", time.Unix(last+31, 0), false},
		{"a day later", time.Unix(first+86400, 0), false},
	} {
		got, ok := MatchTOTP(rfcSeed, code, c.now)
		if ok != c.ok || ok && got != step {
			t.Errorf("%s: got step %d, %t; want %d, %t", c.name, got, ok, step, c.ok)
		}
	}
}

func TestMatchTOTP_refusesAnythingButTheExactCode(t *testing.T) {
	now := time.Unix(1111111109, 0)
	for _, code := range []Secret{"", "081805", "07081804", "81804", " 081804", "081804 ", "081804\n", "０８１８０４", "+81804"} {
		if _, ok := MatchTOTP(rfcSeed, code, now); ok {
			t.Errorf("accepted %q in place of 081804", string(code))
		}
	}
	other := append([]byte{'x'}, rfcSeed[1:]...)
	if _, ok := MatchTOTP(other, "081804", now); ok {
		t.Error("another seed accepted the code")
	}
}

func TestMatchTOTP_worksForSeedsOfEveryLengthAllowed(t *testing.T) {
	now := time.Unix(1111111109, 0)
	for size := 16; size <= 64; size++ {
		seed := bytes.Repeat([]byte{0xA5}, size)
		code, err := TOTPCode(seed, TOTPStep(now))
		if err != nil || !IsDigits(string(code), 6, 6) {
			t.Fatalf("seed of %d bytes: got %q, %v", size, string(code), err)
		}
		if _, ok := MatchTOTP(seed, code, now); !ok {
			t.Errorf("seed of %d bytes: its own code is refused", size)
		}
	}
}

func TestNewOTP_hasTheDigitsThatWereAskedFor(t *testing.T) {
	for digits := 4; digits <= 8; digits++ {
		form := regexp.MustCompile(fmt.Sprintf(`\A[0-9]{%d}\z`, digits))
		for range 1000 {
			if code := string(NewOTP(digits)); !form.MatchString(code) {
				t.Fatalf("%d digits: got %q", digits, code)
			}
		}
	}
}

// 100,000 codes show even the bias of "random byte modulo ten": its chi-square
// would be about 300. A fair source passes 100 once in 10^17 runs.
func TestNewOTP_drawsEveryDigitEquallyOftenInEveryPlace(t *testing.T) {
	const codes, digits = 100_000, 8
	var place [digits][10]int
	var all [10]int
	for range codes {
		for i, c := range []byte(NewOTP(digits)) {
			place[i][c-'0']++
			all[c-'0']++
		}
	}
	chi := func(counts [10]int) (sum float64) {
		var total int
		for _, n := range counts {
			total += n
		}
		for _, n := range counts {
			d := float64(n) - float64(total)/10
			sum += d * d / (float64(total) / 10)
		}
		return sum
	}
	for i := range place {
		if x := chi(place[i]); x > 100 {
			t.Errorf("place %d: chi-square %.0f over %v", i+1, x, place[i])
		}
	}
	if x := chi(all); x > 100 {
		t.Errorf("all places: chi-square %.0f over %v", x, all)
	}
	if place[0][0] == 0 {
		t.Error("no code begins with a zero")
	}
}

func TestNewOTP_doesNotRepeatItself(t *testing.T) {
	seen := map[Secret]bool{}
	for range 1000 {
		seen[NewOTP(8)] = true
	}
	// 1,000 draws from 10^8 collide 0.005 times on average.
	if len(seen) < 995 {
		t.Errorf("1,000 codes of eight digits hold only %d different ones", len(seen))
	}
}

func TestIsDigits_takesASCIIDigitsAndNothingElse(t *testing.T) {
	for _, c := range []struct {
		text     string
		min, max int
		want     bool
	}{
		{"1234", 4, 8, true},
		{"12345678", 4, 8, true},
		{"0000", 4, 4, true},
		{"123", 4, 8, false},
		{"123456789", 4, 8, false},
		{"", 4, 8, false},
		{"", 0, 8, true},
		{"12 34", 4, 8, false},
		{" 1234", 4, 8, false},
		{"1234 ", 4, 8, false},
		{"1234\n", 4, 8, false},
		{"\n1234", 4, 8, false},
		{"12\x0034", 4, 8, false},
		{"+1234", 4, 8, false},
		{"-1234", 4, 8, false},
		{"12.34", 4, 8, false},
		{"0x12", 4, 8, false},
		{"12e4", 4, 8, false},
		{"1_000", 4, 8, false},
		{"１２３４", 4, 12, false},      // full-width
		{"१२३४", 4, 12, false},      // Devanagari
		{"१२", 4, 8, false},         // six bytes, two digits
		{"\u00b22345", 4, 8, false}, // superscript two
		{"123\xff", 4, 8, false},
		{"/234", 4, 8, false}, // the neighbours of the digits in ASCII
		{":234", 4, 8, false},
	} {
		if got := IsDigits(c.text, c.min, c.max); got != c.want {
			t.Errorf("IsDigits(%q, %d, %d) = %t", c.text, c.min, c.max, got)
		}
	}
}

func TestNewTOTPSeed_has160BitsAndIsNewEachTime(t *testing.T) {
	a, b := NewTOTPSeed(), NewTOTPSeed()
	if a == b {
		t.Error("two seeds are the same")
	}
	for _, text := range []Secret{a, b} {
		if seed, err := ParseTOTPSeed(string(text)); err != nil || len(seed) != 20 || bytes.Equal(seed, make([]byte, 20)) {
			t.Errorf("got a seed of %d bytes, %v", len(seed), err)
		}
	}
}

// The vector is what "12345678901234567890" is in base32 (RFC 4648).
const rfcSeedText = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

var unpadded = base32.StdEncoding.WithPadding(base32.NoPadding)

func TestParseTOTPSeed_readsASeedAsPeoplePasteIt(t *testing.T) {
	for _, text := range []string{
		rfcSeedText,
		strings.ToLower(rfcSeedText),
		"GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ",
		" gezd gnbv gy3t qojq gezd gnbv gy3t qojq ",
		rfcSeedText + "======",
		"GezdgnbvGY3TQOJQgezdgnbvGY3TQOJQ",
		"GEZD-GNBV-GY3T-QOJQ-GEZD-GNBV-GY3T-QOJQ",
		"\ufeffGEZDGNBVGY3TQOJQ\u00a0GEZDGNBVGY3TQOJQ\u200b\n",
		"ＧＥＺＤＧＮＢＶＧＹ３ＴＱＯＪＱ" + rfcSeedText[16:],
		"OTPAUTH://TOTP/x?ISSUER=Neo&SECRET=" + rfcSeedText,
	} {
		got, err := ParseTOTPSeed(text)
		if err != nil || !bytes.Equal(got, rfcSeed) {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
	// Sixteen bytes need padding in base32.
	got, err := ParseTOTPSeed("GEZDGNBVGY3TQOJQGEZDGNBVGY======")
	if err != nil || string(got) != "1234567890123456" {
		t.Errorf("a padded seed of 128 bits: got %q, %v", got, err)
	}
}

func TestParseTOTPSeed_refusesWhatIsNoSeedAndNeverQuotesIt(t *testing.T) {
	for name, text := range map[string]string{
		"empty":                 "",
		"only spaces":           "    ",
		"only padding":          "========",
		"120 bits":              rfcSeedText[:24],
		"520 bits":              unpadded.EncodeToString(make([]byte, 65)),
		"a digit that is none":  "0EZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
		"hexadecimal":           "3132333435363738393031323334353637383930",
		"padding in the middle": "GEZDGNBVGY3TQOJQ====GEZDGNBVGY3TQOJQ",
		"a line break":          rfcSeedText[:16] + "\n" + rfcSeedText[16:],
		"a URI of another kind": "otpauth://totp/x?digits=8&secret=" + rfcSeedText,
		"a URI of a web page":   "https://example.com/?secret=" + rfcSeedText,
		"a long s":              "ſ" + rfcSeedText[1:], // which upper-cases to S, and is no letter of base32 all the same
		"a dotless i":           "ı" + rfcSeedText[1:],
	} {
		seed, err := ParseTOTPSeed(text)
		if err == nil {
			t.Errorf("%s: accepted as %x", name, seed)
			continue
		}
		if len(strings.TrimSpace(text)) > 4 && strings.Contains(err.Error(), text) {
			t.Errorf("%s: the error quotes the seed: %v", name, err)
		}
	}
}

func TestParseTOTPSeed_namesTheLengthsThatItTakes(t *testing.T) {
	shortest, longest := 0, 0
	for n := 1; n <= 200; n++ {
		if _, err := ParseTOTPSeed(strings.Repeat("A", n)); err == nil {
			if shortest == 0 {
				shortest = n
			}
			longest = n
		}
	}
	if shortest != 26 || longest != 103 {
		t.Fatalf("takes %d to %d characters; 128 bits are 26 and 512 bits are 103", shortest, longest)
	}
	_, err := ParseTOTPSeed("")
	if want := "26 to 103 characters"; !strings.Contains(err.Error(), want) {
		t.Errorf("the error does not say %q: %v", want, err)
	}
}

func FuzzTOTPSeed(f *testing.F) {
	for _, text := range []string{rfcSeedText, "gezd gnbv gy3t qojq gezd gnbv gy======", "", "=", " ", "ſſſſſſſſſſſſſſſſſſſſſſſſſſ"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		seed, err := ParseTOTPSeed(text)
		if err != nil {
			return
		}
		if len(seed) < 16 || len(seed) > 64 {
			t.Fatalf("%q: accepted a seed of %d bytes", text, len(seed))
		}
		again, err := ParseTOTPSeed(unpadded.EncodeToString(seed))
		if err != nil || !bytes.Equal(again, seed) {
			t.Fatalf("%q: does not survive encoding: %v", text, err)
		}
		if _, err := TOTPCode(seed, 1); err != nil {
			t.Fatalf("%q: accepted, but gives no code: %v", text, err)
		}
	})
}

func FuzzDigits(f *testing.F) {
	for _, s := range []string{"", "123", "1234", "12345678", "123456789", "123 456", "123456\n", "+12345", "１２３４５６", "12345٦"} {
		f.Add(s)
	}
	form := regexp.MustCompile(`\A[0-9]{4,8}\z`)
	f.Fuzz(func(t *testing.T, s string) {
		if got := IsDigits(s, 4, 8); got != form.MatchString(s) {
			t.Fatalf("%q: %v", s, got)
		}
	})
}
