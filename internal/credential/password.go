package credential

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"neoapi/internal/argon2"
)

// The argon2id parameters of new hashes: OWASP's floor of 19 MiB, two passes,
// one lane (security.md P1).
const (
	argonMemory = 19 * 1024 // KiB
	argonTime   = 2
	argonLanes  = 1
	saltSize    = 16
	hashSize    = 32
)

// MaxPassword is the longest password that is hashed, in bytes. Longer ones are not
// looked at (security.md P4), and shorter ones are not truncated (P2).
const MaxPassword = 1024

// ErrHash is returned for an unreadable stored hash.
var ErrHash = errors.New("stored hash cannot be read: expected $argon2id$v=19$m=…,t=…,p=…$salt$hash")

// Hash returns the argon2id hash of a secret as a PHC string with a fresh salt. It takes
// 19 MiB and 5 to 20 ms of CPU: limit how many run at once. The error is
// [argon2.ErrMemory].
func Hash(secret []byte) (string, error) {
	salt := random(saltSize)
	sum, err := argon2.IDKey(secret, salt, argonTime, argonMemory, argonLanes, hashSize)
	if err != nil {
		return "", err
	}
	return ownPHC(salt, sum), nil
}

// Matchless returns a random hash in the format of Hash, made from no secret.
func Matchless() string { return ownPHC(random(saltSize), random(hashSize)) }

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	return b
}

func ownPHC(salt, sum []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(sum))
}

// Verify reports whether secret made the PHC string phc, in time that does not depend on
// where they differ. stale reports that the hash was made with weaker parameters than
// Hash uses today, or by another algorithm, and should be replaced. The error is ErrHash,
// or [argon2.ErrMemory] if there is not enough memory to check.
func Verify(phc string, secret []byte) (ok, stale bool, err error) {
	if !strings.HasPrefix(phc, "$argon2id$") {
		f, err := parseForeign(phc)
		if err != nil {
			return false, false, ErrHash
		}
		ok, err := f.verify(secret)
		return ok, true, err
	}
	h, err := parsePHC(phc)
	if err != nil {
		return false, false, err
	}
	sum, err := argon2.IDKey(secret, h.salt, h.time, h.memory, h.lanes, uint32(len(h.sum)))
	if err != nil {
		return false, false, err
	}
	ok = subtle.ConstantTimeCompare(sum, h.sum) == 1
	return ok, h.stale(), nil
}

// Lasting reports whether a good login keeps a hash, because Verify does not call it
// stale.
func Lasting(phc string) bool {
	h, err := parsePHC(phc)
	return err == nil && !h.stale()
}

type phcHash struct {
	memory, time uint32
	lanes        uint8
	salt, sum    []byte
}

func (h phcHash) stale() bool {
	return h.memory < argonMemory || h.memory*h.time < argonMemory*argonTime || h.lanes != argonLanes || len(h.sum) < hashSize
}

// parsePHC parses an argon2id PHC string. Its bounds keep a damaged or hostile record
// from asking for more than 256 MiB.
func parsePHC(phc string) (phcHash, error) {
	var h phcHash
	parts := strings.Split(phc, "$")
	if strings.ContainsAny(phc, "\r\n") || len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, ErrHash
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.lanes); err != nil ||
		parts[3] != fmt.Sprintf("m=%d,t=%d,p=%d", h.memory, h.time, h.lanes) {
		return h, ErrHash
	}
	var err error
	if h.salt, err = base64.RawStdEncoding.Strict().DecodeString(parts[4]); err != nil {
		return h, ErrHash
	}
	if h.sum, err = base64.RawStdEncoding.Strict().DecodeString(parts[5]); err != nil {
		return h, ErrHash
	}
	if !h.bearable() {
		return h, ErrHash
	}
	return h, nil
}

func (h phcHash) bearable() bool {
	within := func(v, least, most int) bool { return least <= v && v <= most }
	return within(int(h.lanes), 1, 16) && within(int(h.memory), 8*int(h.lanes), 256<<10) && within(int(h.time), 1, 32) &&
		within(len(h.salt), 8, 64) && within(len(h.sum), 16, 64)
}
