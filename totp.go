package neoapi

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// totpPeriod is how long an authenticator shows a code, in seconds.
const totpPeriod = 30

// totpStep returns the number of the step that a time lies in (RFC 6238).
func totpStep(t time.Time) int64 { return t.Unix() / totpPeriod }

// parseSeed reads a TOTP seed as authenticator apps take it: base32 in any case,
// with spaces or padding. It returns nil for anything else.
func parseSeed(text string) []byte {
	text = strings.TrimRight(strings.ReplaceAll(text, " ", ""), "=")
	if !visible(text) { // ToUpper makes ASCII of some other letters
		return nil
	}
	seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(text))
	if err != nil || len(seed) < 10 {
		return nil
	}
	return seed
}

// totpCode returns what an authenticator with the seed shows at a step.
func totpCode(seed []byte, step int64) string {
	mac := hmac.New(sha1.New, seed)
	binary.Write(mac, binary.BigEndian, step)
	sum := mac.Sum(nil)
	n := binary.BigEndian.Uint32(sum[sum[19]&0xF:]) & 0x7FFFFFFF
	return fmt.Sprintf("%06d", n%1_000_000)
}
