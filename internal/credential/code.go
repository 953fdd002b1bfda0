package credential

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"neoapi/internal/paste"
)

// NewOTP returns a one-time code with a number of decimal digits, drawn uniformly
// from the system's CSPRNG (security.md O1).
func NewOTP(digits int) Secret {
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)
	n, err := rand.Int(rand.Reader, limit)
	if err != nil {
		panic(err) // crypto/rand.Reader never fails
	}
	return Secret(fmt.Sprintf("%0*d", digits, n))
}

// IsDigits reports whether s is between min and max ASCII digits and nothing
// else: no spaces, signs or digits of other scripts (security.md O4).
func IsDigits(s string, min, max int) bool {
	if len(s) < min || len(s) > max {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// TOTPPeriod is the step of RFC 6238 that existing services use, with six digits and
// SHA-1.
const TOTPPeriod = 30 * time.Second

// NewTOTPSeed returns a fresh TOTP seed of 160 bits (security.md O5) as authenticator
// apps take it: base32 without padding.
func NewTOTPSeed() Secret {
	seed := make([]byte, 20)
	_, _ = rand.Read(seed) // never fails: crypto/rand ends the process instead
	return Secret(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(seed))
}

// ParseTOTPSeed reads a seed as people paste it: base32 in any case, with blanks or
// padding, or an otpauth address. A seed has at least 128 bits (RFC 4226, R6).
func ParseTOTPSeed(text string) ([]byte, error) {
	seed, err := paste.Seed(text)
	switch {
	case err != nil && strings.TrimSpace(text) != "":
		return nil, fmt.Errorf("the TOTP seed %w", err)
	case len(seed) < 16 || len(seed) > 64:
		return nil, errors.New("a TOTP seed is base32 text of 26 to 103 characters (A-Z, 2-7)")
	}
	return seed, nil
}

// TOTPStep returns the step of a time: how many periods have passed since 1970.
func TOTPStep(t time.Time) int64 { return t.Unix() / int64(TOTPPeriod/time.Second) }

// TOTPCode returns the code of a seed at a step.
func TOTPCode(seed []byte, step int64) (Secret, error) {
	code, err := hotp.GenerateCodeCustom(base32.StdEncoding.EncodeToString(seed), uint64(step),
		hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	return Secret(code), err
}

// MatchTOTP returns the step at which seed gives code: the step of now, the one
// before or the one after (security.md O3), or false if none of the three does. All
// three are always computed. The caller checks whether that step was used before.
func MatchTOTP(seed []byte, code Secret, now time.Time) (step int64, ok bool) {
	for s := TOTPStep(now) - 1; s <= TOTPStep(now)+1; s++ {
		want, err := TOTPCode(seed, s)
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			step, ok = s, true
		}
	}
	return step, ok
}
