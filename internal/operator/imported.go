package operator

import (
	"bytes"
	"cmp"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"neoapi/internal/credential"
	"neoapi/internal/login"
)

// A NewImport is an account of another system, with hashes made there. Fields are as
// in [NewAccount].
type NewImport struct {
	UCC          string
	UserID       string
	Mobile       string
	PAN          credential.Secret
	GreetingName string
	Email        string
	PasswordHash credential.Secret
	MPINHash     credential.Secret
	TOTPSeed     credential.Secret
}

// Imported checks an account of another system, returning every problem at once, and
// returns it ready to be stored, under a new id. An MPIN's hash is sealed, because it
// lacks the key that ours has (security.md P1). The hashes are replaced by ours at the
// next successful login.
func (m *Admin) Imported(n NewImport, now time.Time) (login.Account, error) {
	a := login.Account{ID: uuid.NewString(), Created: now}
	var problems []error
	normal := func(kind login.IdentifierKind, value string) string {
		id, err := login.ParsePasted(kind, value)
		if err != nil {
			problems = append(problems, err)
		}
		return string(id.Value)
	}
	a.UCC, a.UserID, a.Mobile = normal(login.ByUCC, n.UCC), normal(login.ByUserID, n.UserID), normal(login.ByMobile, n.Mobile)
	if n.PAN != "" {
		pan := normal(login.ByPAN, string(n.PAN))
		a.PANIndex = m.Vault.MAC(credential.PurposePAN, pan)
		a.PAN = m.Vault.Seal(credential.PurposePAN, a.ID, []byte(pan))
	}
	var err error
	if a.GreetingName, err = nameOf(n.GreetingName); err != nil {
		problems = append(problems, err)
	}
	a.Email = n.Email
	if err := a.Check(); err != nil {
		problems = append(problems, err)
	}
	if a.PasswordHash, err = credential.Foreign(string(n.PasswordHash)); err != nil {
		problems = append(problems, login.Invalid("password_hash", err.Error()))
	}
	if n.MPINHash != "" {
		phc, err := credential.Foreign(string(n.MPINHash))
		if err != nil {
			problems = append(problems, login.Invalid("mpin_hash", err.Error()))
		}
		a.MPINHash = credential.SealHash(m.Vault, credential.PurposeMPIN, a.ID, phc)
	}
	if n.TOTPSeed != "" {
		seed, err := credential.ParseTOTPSeed(string(n.TOTPSeed))
		if err != nil {
			problems = append(problems, login.Invalid("totp_seed", err.Error()))
		}
		a.TOTPSeed = m.Vault.Seal(credential.PurposeTOTP, a.ID, seed)
	}
	unix := now.Unix()
	a.Caches = map[string]int64{"lastUpdatedTS": unix, "multiplewatchlists": unix, "watchlist": unix}
	return a, errors.Join(problems...)
}

// differences returns the fields in which an existing account differs from an imported
// one with the same UCC. Fields that a login or an operator may have changed since are
// not compared: the address, the MPIN, the TOTP seed, and a hash that is incomparable.
func differences(a, n login.Account) (all []string) {
	for _, x := range []struct {
		name   string
		differ bool
	}{
		{"user id", a.UserID != n.UserID},
		{"mobile number", a.Mobile != n.Mobile},
		{"PAN", len(n.PANIndex) > 0 && !bytes.Equal(a.PANIndex, n.PANIndex)},
		{"name", n.GreetingName != "" && a.GreetingName != n.GreetingName},
		{"password hash", a.PasswordHash != n.PasswordHash && !incomparable(a, n)},
	} {
		if x.differ {
			all = append(all, x.name)
		}
	}
	return all
}

// incomparable reports whether the hash of an account's password was set here or
// rehashed at a login, while the import's would be rehashed too.
func incomparable(a, n login.Account) bool {
	return a.PasswordHash != n.PasswordHash && credential.Lasting(a.PasswordHash) && !credential.Lasting(n.PasswordHash)
}

// collision returns why an imported account cannot be added: another account, or the
// one with its UCC, has one of its fields.
func collision(n login.Account, exists *login.ExistsError) string {
	if a := exists.There; a != nil && (a.UserID == n.UserID || a.Mobile == n.Mobile) {
		return "account " + a.UCC + " already exists, with another " + and(differences(*a, n))
	}
	if exists.There != nil {
		return "another account has this UCC"
	}
	return "another account has this " + exists.Field
}

// and lists words as a sentence does.
func and(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// ImportEvent returns the audit event of a step of an import.
func (m *Admin) ImportEvent(outcome string) login.Event {
	e := m.event("accounts imported")
	e.Outcome = cmp.Or(outcome, e.Outcome)
	return e
}
