package login

import (
	"errors"
	"net/mail"
	"regexp"
	"strings"
)

// courierForm is the form of a courier's name.
var courierForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// IsCourierName reports whether a courier may have this name.
func IsCourierName(name string) bool { return courierForm.MatchString(name) }

// ParseCouriers parses names separated by commas; "" means none.
func ParseCouriers(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// Check returns every problem of an e-mail address and of couriers' names at once.
func (r Reach) Check() error {
	var problems []error
	if r.Email != "" {
		a, err := mail.ParseAddress(r.Email)
		// The bare address, in ASCII and without line breaks: it is in a mail's head.
		if err != nil || a.Address != r.Email || a.Name != "" || len(r.Email) > 254 || strings.ContainsFunc(r.Email, func(c rune) bool { return c <= ' ' || c > '~' }) {
			problems = append(problems, Invalid("email", "must be an address such as asha@example.com"))
		}
	}
	seen := map[string]bool{}
	for _, name := range r.Couriers {
		if !IsCourierName(name) || seen[name] {
			problems = append(problems, Invalid("couriers", "must be names of up to 32 small letters, digits and dashes, each once"))
			break
		}
		seen[name] = true
	}
	return errors.Join(problems...)
}
