package paste

import (
	"encoding/base32"
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// Seed returns the secret in a TOTP seed, as authenticator apps take it: base32 in any
// case, with blanks, hyphens or padding, or the otpauth address in a QR code. An
// address that asks for codes of another kind than ours is refused: they would be
// wrong. The caller checks the length of the seed.
func Seed(s string) ([]byte, error) {
	s = tidy(s)
	switch scheme, rest, found := strings.Cut(s, "://"); {
	case !found:
	case strings.EqualFold(scheme, "otpauth"):
		var err error
		if s, err = secretOf(rest); err != nil {
			return nil, err
		}
	case strings.EqualFold(scheme, "otpauth-migration"):
		return nil, errors.New("is an export of an authenticator app (otpauth-migration): give the one account's own seed or QR code")
	default:
		return nil, errors.New("is an address, and not an otpauth one")
	}
	s = upper(strings.TrimRight(without(tidy(s), " -"), "="))
	for _, r := range s {
		switch {
		case strings.ContainsRune(letters+"234567", r):
		case strings.ContainsRune(digits, r):
			return nil, errors.New("has a 0, 1, 8 or 9 in it, which base32 does not have (A-Z, 2-7)")
		default:
			return nil, errors.New("has " + class(r) + " in it, which base32 does not have (A-Z, 2-7)")
		}
	}
	if s == "" {
		return nil, errors.New("is missing")
	}
	return base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(s) // can no longer fail
}

// secretOf returns the secret in an otpauth address, of which rest is what follows
// "otpauth://".
func secretOf(rest string) (string, error) {
	rest, _, _ = strings.Cut(rest, "#")
	path, query, _ := strings.Cut(rest, "?")
	if kind, _, _ := strings.Cut(path, "/"); !strings.EqualFold(kind, "totp") {
		return "", errors.New("is an otpauth address for " + short(kind) + " codes: only totp works here")
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return "", errors.New("is an otpauth address that cannot be read")
	}
	given := map[string]string{}
	for name, all := range values {
		name = strings.ToLower(strings.TrimSpace(name))
		if _, twice := given[name]; twice || len(all) > 1 {
			if name == "secret" || name == "algorithm" || name == "digits" || name == "period" {
				return "", errors.New("is an otpauth address with more than one " + name)
			}
		}
		given[name] = all[0]
	}
	algorithm := strings.TrimPrefix(strings.ReplaceAll(upper(given["algorithm"]), "-", ""), "HMAC")
	switch {
	case algorithm != "" && algorithm != "SHA1":
		return "", errors.New("is an otpauth address for the algorithm " + short(given["algorithm"]) + ": only SHA1 works here")
	case !is(given, "digits", 6):
		return "", errors.New("is an otpauth address for codes of " + short(given["digits"]) + " digits: only 6 work here")
	case !is(given, "period", 30):
		return "", errors.New("is an otpauth address for a period of " + short(given["period"]) + " seconds: only 30 work here")
	case strings.TrimSpace(given["secret"]) == "":
		return "", errors.New("is an otpauth address without a secret")
	}
	return given["secret"], nil
}

// is reports whether a number in an address is n, or not there.
func is(given map[string]string, name string, n int) bool {
	text, there := given[name]
	got, err := strconv.Atoi(strings.TrimSpace(text))
	return !there || err == nil && got == n
}

// short returns a value of an address for an error.
func short(s string) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	if len(s) > 12 {
		s = s[:12] + "…"
	}
	return `"` + s + `"`
}
