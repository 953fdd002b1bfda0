package credential

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"

	"neoapi/internal/argon2"
)

// Hashes that another system has made: bcrypt, scrypt and PBKDF2 as PHC or modular
// crypt strings. They are only verified, and are replaced by an argon2id hash at the
// next successful login.

// The most that a foreign hash may cost: about a second and 256 MiB here. security.md
// P4 must still hold.
const (
	maxArgonWork  = 1 << 20 // KiB times passes
	maxBcryptCost = 14
	maxScryptMem  = 256 << 20 // bytes
	maxScryptWork = 1 << 22   // N times r times p
	maxPBKDF2     = 2_000_000 // rounds of SHA-256, half as many of SHA-512
)

// ErrForeign is returned for a hash that cannot be imported.
var ErrForeign = errors.New("is not an argon2id, bcrypt, scrypt or PBKDF2 hash as a PHC or modular crypt string")

// A costError refuses parameters that would take too long or too much memory.
type costError struct{ what string }

func (e costError) Error() string {
	return e.what + ": checking one password would take too long or too much memory"
}

// CheckForeign returns why Verify cannot check a hash at an acceptable cost, or nil.
// Its errors do not contain the hash.
func CheckForeign(phc string) error {
	if strings.HasPrefix(phc, "$argon2id$") {
		h, err := parsePHC(phc)
		switch {
		case err != nil:
			return ErrForeign
		case h.memory*h.time > maxArgonWork:
			return costError{fmt.Sprintf("argon2id with m=%d,t=%d", h.memory, h.time)}
		}
		return nil
	}
	_, err := parseForeign(phc)
	return err
}

// A foreign is a parsed foreign hash: derive computes the value to compare with sum.
type foreign struct {
	derive func(secret []byte) ([]byte, error)
	sum    []byte
	bcrypt string // the whole of a bcrypt hash, which its package compares by itself
}

var bcryptForm = regexp.MustCompile(`^\$2[aby]\$([0-3][0-9])\$[./A-Za-z0-9]{53}$`)

func parseForeign(phc string) (foreign, error) {
	if m := bcryptForm.FindStringSubmatch(phc); m != nil {
		cost, err := strconv.Atoi(m[1])
		switch {
		case err != nil || cost < bcrypt.MinCost:
			return foreign{}, ErrForeign
		case cost > maxBcryptCost:
			return foreign{}, costError{fmt.Sprintf("bcrypt with cost %d", cost)}
		}
		return foreign{bcrypt: phc}, nil
	}
	parts := strings.Split(phc, "$")
	if len(parts) != 5 || parts[0] != "" {
		return foreign{}, ErrForeign
	}
	salt, serr := bare64(parts[3])
	sum, herr := bare64(parts[4])
	if serr != nil || herr != nil || len(salt) < 4 || len(salt) > 128 || len(sum) < 16 || len(sum) > 128 {
		return foreign{}, ErrForeign
	}
	if parts[1] == "scrypt" {
		return parseScrypt(parts[2], salt, sum)
	}
	return parsePBKDF2(parts[1], parts[2], salt, sum)
}

// bare64 reads base64 without padding; passlib writes dots for plus signs.
func bare64(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, ErrForeign
	}
	return base64.RawStdEncoding.DecodeString(strings.ReplaceAll(text, ".", "+"))
}

func parseScrypt(parameters string, salt, sum []byte) (foreign, error) {
	var ln, r, p int
	if _, err := fmt.Sscanf(parameters, "ln=%d,r=%d,p=%d", &ln, &r, &p); err != nil || parameters != fmt.Sprintf("ln=%d,r=%d,p=%d", ln, r, p) ||
		ln < 1 || ln > 63 || r < 1 || p < 1 {
		return foreign{}, ErrForeign
	}
	if ln > 30 || r > 1<<10 || p > 1<<10 || 128*(1<<ln)*r > maxScryptMem || (1<<ln)*r*p > maxScryptWork {
		return foreign{}, costError{"scrypt with " + parameters}
	}
	return foreign{sum: sum, derive: func(secret []byte) ([]byte, error) {
		free, err := argon2.Hold(128 * (1 << ln) * r)
		if err != nil {
			return nil, err
		}
		defer free()
		return scrypt.Key(secret, salt, 1<<ln, r, p, len(sum))
	}}, nil
}

func parsePBKDF2(name, parameters string, salt, sum []byte) (foreign, error) {
	kinds := map[string]struct {
		hash func() hash.Hash
		most int
	}{
		"pbkdf2": {sha1.New, maxPBKDF2}, "pbkdf2-sha1": {sha1.New, maxPBKDF2},
		"pbkdf2-sha256": {sha256.New, maxPBKDF2}, "pbkdf2-sha512": {sha512.New, maxPBKDF2 / 2},
	}
	kind, known := kinds[name]
	rounds, length, long := strings.Cut(strings.TrimPrefix(parameters, "i="), ",l=")
	n, err := strconv.Atoi(rounds)
	if !known || err != nil || n < 1 || long && length != strconv.Itoa(len(sum)) {
		return foreign{}, ErrForeign
	}
	blocks := (len(sum)-1)/kind.hash().Size() + 1 // each costs all rounds
	if n > kind.most/blocks {
		return foreign{}, costError{fmt.Sprintf("%s with %d rounds", name, n)}
	}
	return foreign{sum: sum, derive: func(secret []byte) ([]byte, error) {
		return pbkdf2.Key(kind.hash, string(secret), salt, n, len(sum))
	}}, nil
}

// verify reports whether the hash is that of secret. bcrypt uses 72 bytes of it, as
// where the hash was made.
func (f foreign) verify(secret []byte) (bool, error) {
	if f.bcrypt != "" {
		err := bcrypt.CompareHashAndPassword([]byte(f.bcrypt), secret)
		if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			return false, nil
		}
		return err == nil, err
	}
	sum, err := f.derive(secret)
	return err == nil && subtle.ConstantTimeCompare(sum, f.sum) == 1, err
}

// Shape returns the parts of a hash that determine how long checking it takes: its
// algorithm and parameters.
func Shape(phc string) string {
	if bcryptForm.MatchString(phc) {
		return phc[:len("$2b$12")]
	}
	parts := strings.Split(phc, "$")
	return strings.Join(parts[:max(1, len(parts)-2)], "$")
}

// Decoy returns a hash that takes as long to check as phc and belongs to no secret.
func Decoy(phc string) string {
	text := []byte(phc)
	from := strings.LastIndexByte(phc, '$') + 1
	if bcryptForm.MatchString(phc) {
		from += 22 // the salt, of which the last letter has loose bits
	}
	letters := make([]byte, len(text)-from)
	_, _ = rand.Read(letters) // never fails: crypto/rand ends the process instead
	const base64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	for i := range len(letters) - 1 { // the last one has loose bits too
		text[from+i] = base64[int(letters[i])%len(base64)]
	}
	return string(text)
}

// A hash of an MPIN that another system has made lacks the key that ours has (security.md
// P1): it is sealed instead, so that a stolen database is not enough either.
const sealedHash = "$sealed$"

// SealHash seals a hash that was made without a key.
func SealHash(v *Vault, p Purpose, owner, phc string) string {
	return sealedHash + base64.RawStdEncoding.EncodeToString(v.Seal(p, owner, []byte(phc)))
}

// OpenHash returns the hash that SealHash sealed; sealed is false for any other.
func OpenHash(v *Vault, p Purpose, owner, stored string) (phc string, sealed bool, err error) {
	text, sealed := strings.CutPrefix(stored, sealedHash)
	if !sealed {
		return stored, false, nil
	}
	box, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return "", true, ErrSealed
	}
	plain, err := v.Open(p, owner, box)
	return string(plain), true, err
}
