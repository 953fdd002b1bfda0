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

// totpStep returns the number of the step that contains t (RFC 6238).
func totpStep(t time.Time) int64 { return t.Unix() / totpPeriod }

// parseSeed parses a TOTP seed as authenticator apps accept it: base32 in any case,
// with blanks or padding, or an otpauth address. It returns nil for anything else.
func parseSeed(text string) []byte {
	seed, err := paste.Seed(text)
	if err != nil || len(seed) < 10 {
		return nil
	}
	return seed
}

// seedProblem returns what is wrong with a seed that parseSeed does not accept.
func seedProblem(text string) string {
	if _, err := paste.Seed(text); err != nil {
		return err.Error()
	}
	return "is too short: part of it is missing"
}

// totpCode returns the code that an authenticator with the seed shows at a step.
func totpCode(seed []byte, step int64) string {
	mac := hmac.New(sha1.New, seed)
	binary.Write(mac, binary.BigEndian, step)
	sum := mac.Sum(nil)
	n := binary.BigEndian.Uint32(sum[sum[19]&0xF:]) & 0x7FFFFFFF
	return fmt.Sprintf("%06d", n%1_000_000)
}

// spent is the last TOTP code that a login was accepted with.
type spent struct {
	ucc, code string
	step      int64
}

// unspent refuses the code of this client's last accepted login: a service would
// count it as a wrong one.
func (c *Client) unspent(ucc, code string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	step := totpStep(now)
	if c.spent.ucc != ucc || c.spent.code != code || step < c.spent.step || step > c.spent.step+2 { // services accept codes for three steps
		return nil
	}
	fail := invalid(opTOTPLogin, "this TOTP code has already been used: give the next one")
	fail.Retry = RetryNewCode
	if step == c.spent.step {
		fail.RetryAfter = time.Unix((step+1)*totpPeriod, 0).Sub(now)
	}
	return fail
}
