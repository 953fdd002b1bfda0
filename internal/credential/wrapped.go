package credential

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"regexp"
	"strconv"
	"strings"
)

// A ForeignError refuses a hash of a known kind that cannot be imported.
type ForeignError struct {
	Kind string // "MD5", "argon2i", …: from a table, so it contains nothing of the hash
}

// Error implements error.
func (e *ForeignError) Error() string {
	return "is " + e.Kind + ", which cannot be taken over: only argon2id, bcrypt, scrypt and PBKDF2 can"
}

// Unwrap makes it an [ErrForeign].
func (e *ForeignError) Unwrap() error { return ErrForeign }

// Foreign converts a hash of another system to the form that [Verify] accepts, if it
// can be checked at an acceptable cost. Forms that wrap one of our algorithms are
// unwrapped: Django's and Werkzeug's, those with a name in braces (Spring Security,
// LDAP), and ASP.NET Core Identity's. Its errors do not contain the hash.
func Foreign(text string) (phc string, err error) {
	phc = text
	if inner, ok := unwrap(text); ok {
		phc = inner
	}
	err = CheckForeign(phc)
	if kind := cmp.Or(kindOf(text), kindOf(phc)); kind != "" && errors.Is(err, ErrForeign) {
		err = &ForeignError{kind}
	}
	if err != nil {
		return "", err
	}
	return phc, nil
}

// unwrap returns the content of a wrapped form as a PHC string; ok is false if the
// form is unknown.
func unwrap(text string) (phc string, ok bool) {
	if name, rest, braced := strings.Cut(strings.TrimPrefix(text, "{"), "}"); braced && text[0] == '{' {
		return unwrapBraces(strings.ToLower(name), rest)
	}
	parts := strings.Split(text, "$")
	if name, parameters, colon := strings.Cut(parts[0], ":"); colon {
		return unwrapColons(name, parameters, parts)
	}
	switch {
	case parts[0] == "argon2": // Django: the name, and then the whole hash
		return strings.TrimPrefix(text, "argon2"), true
	case parts[0] == "bcrypt":
		return strings.TrimPrefix(text, "bcrypt$"), true
	case parts[0] == "pbkdf2_sha256" || parts[0] == "pbkdf2_sha1":
		if len(parts) == 4 {
			sum, err := base64.StdEncoding.DecodeString(parts[3])
			return pbkdf2Of(strings.TrimPrefix(parts[0], "pbkdf2_"), parts[1], []byte(parts[2]), sum), err == nil
		}
	case parts[0] == "scrypt":
		if len(parts) == 6 {
			sum, err := base64.StdEncoding.DecodeString(parts[5])
			return scryptOf(parts[1], parts[3], parts[4], []byte(parts[2]), sum), err == nil
		}
	case len(parts) == 1:
		return unwrapIdentity(text)
	}
	return "", false
}

// unwrapColons unwraps Werkzeug's forms, whose parameters come after colons.
func unwrapColons(name, parameters string, parts []string) (phc string, ok bool) {
	if len(parts) != 3 {
		return "", false
	}
	sum, err := hex.DecodeString(parts[2])
	switch name {
	case "pbkdf2": // pbkdf2:sha256:600000$salt$hex
		digest, rounds, _ := strings.Cut(parameters, ":")
		return pbkdf2Of(digest, rounds, []byte(parts[1]), sum), err == nil
	case "scrypt": // scrypt:32768:8:1$salt$hex
		if p := strings.Split(parameters, ":"); err == nil && len(p) == 3 {
			return scryptOf(p[0], p[1], p[2], []byte(parts[1]), sum), true
		}
	}
	return "", false
}

// unwrapBraces unwraps forms that begin with a name in braces: Spring Security's, with
// its own parameters, and LDAP's.
func unwrapBraces(name, rest string) (phc string, ok bool) {
	switch name {
	case "bcrypt", "argon2", "argon2@springsecurity_v5_8", "argon2id", "crypt":
		return rest, true
	case "pbkdf2", "pbkdf2@springsecurity_v5_8":
		if raw, err := hex.DecodeString(rest); err == nil { // the salt and the hash
			switch len(raw) {
			case 8 + 32:
				return pbkdf2Of("sha1", "185000", raw[:8], raw[8:]), true
			case 16 + 32:
				return pbkdf2Of("sha256", "310000", raw[:16], raw[16:]), true
			}
		}
		return "$pbkdf2-sha1$" + rest, true // LDAP
	case "pbkdf2-sha1", "pbkdf2-sha256", "pbkdf2-sha512":
		return "$" + name + "$" + rest, true
	case "scrypt", "scrypt@springsecurity_v5_8": // $e0801$salt$hash: log2 of N, r and p in hexadecimal
		parts := strings.Split(rest, "$")
		if len(parts) != 4 || parts[0] != "" {
			return "", false
		}
		all, err := strconv.ParseUint(parts[1], 16, 32)
		salt, serr := base64.StdEncoding.DecodeString(parts[2])
		sum, herr := base64.StdEncoding.DecodeString(parts[3])
		if err != nil || serr != nil || herr != nil {
			return "", false
		}
		return scryptPHC(int(all>>16), int(all>>8&0xff), int(all&0xff), salt, sum), true
	}
	return "", false
}

// unwrapIdentity unwraps the hashes of ASP.NET Core Identity: version 3 names its
// parameters, version 2 has none.
func unwrapIdentity(text string) (phc string, ok bool) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) < 1+16+32 {
		return "", false
	}
	switch {
	case b[0] == 0 && len(b) == 1+16+32:
		return pbkdf2Of("sha1", "1000", b[1:17], b[17:]), true
	case b[0] == 1:
		digest, rounds, size := binary.BigEndian.Uint32(b[1:]), binary.BigEndian.Uint32(b[5:]), binary.BigEndian.Uint32(b[9:])
		if digest > 2 || size < 8 || int64(size) > int64(len(b)-13-16) {
			return "", false
		}
		return pbkdf2Of([]string{"sha1", "sha256", "sha512"}[digest], fmt.Sprint(rounds), b[13:13+size], b[13+size:]), true
	}
	return "", false
}

func pbkdf2Of(digest, rounds string, salt, sum []byte) string {
	return fmt.Sprintf("$pbkdf2-%s$i=%s$%s$%s", digest, rounds, base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(sum))
}

// scryptOf is scryptPHC for parameters as text, with N itself, not its logarithm. A
// parameter that is not a number, or an N that is not a power of two, gives a string
// that is always refused.
func scryptOf(n, r, p string, salt, sum []byte) string {
	cost, err := strconv.ParseUint(n, 10, 62)
	block, berr := strconv.Atoi(r)
	lanes, perr := strconv.Atoi(p)
	if err != nil || berr != nil || perr != nil || bits.OnesCount64(cost) != 1 {
		return ""
	}
	return scryptPHC(bits.TrailingZeros64(cost), block, lanes, salt, sum)
}

func scryptPHC(ln, r, p int, salt, sum []byte) string {
	return fmt.Sprintf("$scrypt$ln=%d,r=%d,p=%d$%s$%s", ln, r, p, base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(sum))
}

// kinds are known hashes that cannot be imported, by their form.
var kinds = []struct {
	form *regexp.Regexp
	kind string
}{
	{regexp.MustCompile(`^(argon2)?\$argon2i\$`), "argon2i"},
	{regexp.MustCompile(`^(argon2)?\$argon2d\$`), "argon2d"},
	{regexp.MustCompile(`^(\$bcrypt-sha256\$|bcrypt_sha256\$)`), "bcrypt over SHA-256"},
	{regexp.MustCompile(`^\$wp\$2y\$`), "WordPress's bcrypt over SHA-384"},
	{regexp.MustCompile(`^(\{md5\}|md5\$|\{smd5\}|[0-9a-f]{32}$)`), "MD5"},
	{regexp.MustCompile(`^(\{ssha\}|\{sha\}|\{sha-1\}|sha1\$|[0-9a-f]{40}$)`), "SHA-1"},
	{regexp.MustCompile(`^(\{s?sha-?256\}|sha256\$|[0-9a-f]{64}$)`), "SHA-256"},
	{regexp.MustCompile(`^(\{s?sha-?512\}|sha512\$|[0-9a-f]{128}$)`), "SHA-512"},
	{regexp.MustCompile(`^(\{crypt\}|crypt\$\$)?\$(1|apr1)\$`), "MD5 crypt"},
	{regexp.MustCompile(`^(\{crypt\})?\$5\$`), "SHA-256 crypt"},
	{regexp.MustCompile(`^(\{crypt\})?\$6\$`), "SHA-512 crypt"},
	{regexp.MustCompile(`^(\{crypt\})?\$g?y\$`), "yescrypt"},
	{regexp.MustCompile(`^\$[ph]\$`), "phpass"},
	{regexp.MustCompile(`^\$s\$`), "Drupal's SHA-512"},
	{regexp.MustCompile(`^\*[0-9a-f]{40}$`), "MySQL's SHA-1"},
	{regexp.MustCompile(`^(\{md4\}|\{ntlm\})`), "MD4"},
	{regexp.MustCompile(`^(\{noop\}|\{plain\}|\{cleartext\})`), "plain text"},
	{regexp.MustCompile(`^!`), "Django's mark for no password"},
}

// kindOf returns the kind of a hash that cannot be imported, or "" if it is unknown.
func kindOf(text string) string {
	text = strings.ToLower(text)
	for _, k := range kinds {
		if k.form.MatchString(text) {
			return k.kind
		}
	}
	return ""
}
