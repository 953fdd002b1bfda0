package neoapi

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"neoapi/internal/paste"
)

// An identity is what is known of a person who logs in; the zero value is nothing.
type identity struct {
	ucc  string // in capitals
	kind string // what a login names the person by: mobileNumber, pan, userid or ucc
	name string // and how, in its normal form
}

// byUCC is the identity of a login that names its account.
func byUCC(ucc string) identity {
	if tidy, err := paste.UCC(ucc); err == nil {
		ucc = tidy
	}
	ucc = upper(ucc)
	return identity{ucc: ucc, kind: "ucc", name: ucc}
}

// upper raises ASCII letters only: upper case of some other letters is ASCII.
func upper(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			r -= 'a' - 'A'
		}
		return r
	}, s)
}

// identity returns whom the credentials name, as far as they can be read.
func (cr Credentials) identity() identity {
	kind, name, problems := cr.identifier()
	if len(problems) > 0 {
		return identity{}
	}
	return identity{kind: kind, name: name}
}

// identifier returns the one identifier as the wire wants it, or what is wrong.
func (cr Credentials) identifier() (field, value string, problems []string) {
	given := 0
	if cr.Mobile != "" {
		given++
		var problem string
		field = "mobileNumber"
		if value, problem = mobileNumber(cr.Mobile); problem != "" {
			problems = append(problems, problem)
		}
	}
	if cr.PAN != "" {
		given++
		var err error
		field = "pan"
		if value, err = paste.PAN(cr.PAN); err != nil {
			problems = append(problems, "the PAN "+err.Error())
		}
	}
	if cr.UserID != "" {
		given++
		var err error
		field = "userid"
		if value, err = paste.UserID(cr.UserID); err != nil {
			problems = append(problems, "the user id "+err.Error())
		}
	}
	if given != 1 {
		problems = append(problems, "give exactly one of Mobile, UserID and PAN")
	}
	return field, value, problems
}

// mobileNumber returns a number in E.164, or says what is wrong with it.
func mobileNumber(s string) (number, problem string) {
	number, err := paste.Mobile(s)
	if err != nil {
		return "", "the mobile number " + err.Error()
	}
	return number, ""
}

// markRounds is how often a mark is hashed: some milliseconds' worth.
const markRounds = 10_000

// mark returns Session.Owner for a session with this token: of what kind the name
// is, and a slow hash of it. A mobile number or a PAN could be found by trying all,
// so the token, which nobody can guess, is part of it: to whoever has not the token
// the mark says nothing, and whoever has it needs some milliseconds for each guess.
// Two sessions of a person have different marks.
func (i identity) mark(token string) string {
	if i.name == "" {
		return ""
	}
	sum, err := pbkdf2.Key(sha256.New, i.kind+"\x00"+i.name, []byte(token), markRounds, 16)
	if err != nil { // a mode of Go's in which this is not allowed
		return ""
	}
	return i.kind + ":" + hex.EncodeToString(sum)
}

// A kinship is what one login has to do with a session.
type kinship int

const (
	unknown  kinship = iota // nobody can tell whose the session is
	own                     // it is the same person's
	stranger                // it is somebody else's
)

// owns judges whose a session is. Its UCC decides, if both are known: one mobile
// number may have two accounts. Where a service calls an account otherwise than its
// owner does, the mark of what the owner calls it is as good.
func (i identity) owns(s Session) kinship {
	kind, _, _ := strings.Cut(s.Owner, ":")
	switch {
	case i.ucc != "" && i.ucc == upper(s.UCC):
		return own
	case i.ucc != "" && kind == "ucc":
		if byUCC(i.ucc).mark(s.Token) == s.Owner {
			return own
		}
		return stranger
	case i.ucc != "" && s.UCC != "":
		return stranger
	case kind == "" || kind != i.kind:
		return unknown
	case i.mark(s.Token) == s.Owner:
		return own
	}
	return stranger
}

// named shows of whose session it is no more than its owner needs to know it again.
func (s Session) named() string {
	if s.UCC == "" {
		return "an account whose UCC is not known"
	}
	return "the account " + ending(tidy(s.UCC, nil))
}
