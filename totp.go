package neoapi

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"time"

	"neoapi/internal/paste"
)

// totpPeriod is how long an authenticator shows a code, in seconds.
const totpPeriod = 30

// totpStep returns the number of the step that a time lies in (RFC 6238).
func totpStep(t time.Time) int64 { return t.Unix() / totpPeriod }

// parseSeed reads a TOTP seed as authenticator apps take it: base32 in any case,
// with blanks or padding, or an otpauth address. It returns nil for anything else.
func parseSeed(text string) []byte {
	seed, err := paste.Seed(text)
	if err != nil || len(seed) < 10 {
		return nil
	}
	return seed
}

// seedProblem says what is wrong with a seed that parseSeed does not take.
func seedProblem(text string) string {
	if _, err := paste.Seed(text); err != nil {
		return err.Error()
	}
	return "is too short: a part of it is missing"
}

// totpCode returns what an authenticator with the seed shows at a step.
func totpCode(seed []byte, step int64) string {
	mac := hmac.New(sha1.New, seed)
	binary.Write(mac, binary.BigEndian, step)
	sum := mac.Sum(nil)
	n := binary.BigEndian.Uint32(sum[sum[19]&0xF:]) & 0x7FFFFFFF
	return fmt.Sprintf("%06d", n%1_000_000)
}
