package neoapi

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"neoapi/internal/paste"
)

// An identity is what is known about the person who logs in; the zero value means nothing.
type identity struct {
	ucc  string // in capitals
	kind string // the kind of identifier: mobileNumber, pan, userid or ucc
	name string // the identifier, in its normal form
}

// byUCC returns the identity of an account by its UCC.
func byUCC(ucc string) identity {
	if tidy, err := paste.UCC(ucc); err == nil {
		ucc = tidy
	}
	ucc = upper(ucc)
	return identity{ucc: ucc, kind: "ucc", name: ucc}
}

// upper changes only ASCII letters: the upper case of some other letters is ASCII.
func upper(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			r -= 'a' - 'A'
		}
		return r
	}, s)
}

// identity returns whom the credentials identify, if they can be parsed.
func (cr Credentials) identity() identity {
	kind, name, problems := cr.identifier()
	if len(problems) > 0 {
		return identity{}
	}
	return identity{kind: kind, name: name}
}

// identifier returns the one identifier in its wire form, or what is wrong.
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

// mobileNumber returns a number in E.164, or what is wrong with it.
func mobileNumber(s string) (number, problem string) {
	number, err := paste.Mobile(s)
	if err != nil {
		return "", "the mobile number " + err.Error()
	}
	return number, ""
}

// markRounds is the number of hash rounds of a mark: some milliseconds.
const markRounds = 10_000

// mark returns Session.Owner for a session with this token: the kind of identifier,
// and a slow hash of it. A mobile number or a PAN could be found by trying them all,
// so the hash covers the token, which cannot be guessed: without the token the mark
// reveals nothing, and with it each guess takes some milliseconds. Two sessions of a
// person have different marks.
func (i identity) mark(token string) string {
	if i.name == "" {
		return ""
	}
	sum, err := pbkdf2.Key(sha256.New, i.kind+"\x00"+i.name, []byte(token), markRounds, 16)
	if err != nil { // a Go mode in which this is not allowed
		return ""
	}
	return i.kind + ":" + hex.EncodeToString(sum)
}

// A kinship is the relation of a login to a session.
type kinship int

const (
	unknown  kinship = iota // it is not known whose the session is
	own                     // the same person's
	stranger                // another person's
)

// owns reports whether a session is this person's. The UCC decides, if both are
// known, because one mobile number may have two accounts. If a service and the owner
// name an account differently, the mark of the owner's name counts as well.
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

// named returns whose session it is, shortened to what its owner needs to recognise it.
func (s Session) named() string {
	if s.UCC == "" {
		return "an account whose UCC is not known"
	}
	return "the account " + ending(tidy(s.UCC, nil))
}
