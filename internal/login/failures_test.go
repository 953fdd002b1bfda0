package login

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestFailures_areReadAsTheyWereWritten(t *testing.T) {
	instant := rapid.Custom(func(t *rapid.T) time.Time {
		ms := rapid.Int64Range(0, 4102444800000).Draw(t, "ms")
		if ms == 0 {
			return time.Time{}
		}
		return time.UnixMilli(ms).UTC()
	})
	rapid.Check(t, func(t *rapid.T) {
		var want map[Factor]Failures
		for range rapid.IntRange(0, 4).Draw(t, "factors") {
			x := Failures{Count: rapid.IntRange(0, 100).Draw(t, "count"), Until: instant.Draw(t, "until")}
			for range rapid.IntRange(0, 3).Draw(t, "open") {
				if x.Open == nil {
					x.Open = map[string]time.Time{}
				}
				x.Open[rapid.StringMatching(`[a-z0-9 -]{1,36}`).Draw(t, "id")] = instant.Draw(t, "lease")
			}
			if want == nil {
				want = map[Factor]Failures{}
			}
			want[rapid.SampledFrom([]Factor{Password, MPIN, TOTP, OTP}).Draw(t, "factor")] = x
		}
		got, err := ParseFailures(FormatFailures(want))
		if err != nil || !cmp.Equal(got, want) {
			t.Fatalf("%v\n%s", err, cmp.Diff(want, got))
		}
	})
}

func TestFailures_thatCannotBeReadAreAnError(t *testing.T) {
	for _, text := range []string{"otp", "otp\t1", "otp\t1\t", "otp\tx\t0", "otp\t1\t0\tid", "otp\t1\t0\tid\tx", "\n", `{"otp":{"Count":1}}`} {
		if got, err := ParseFailures(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}
