package operator

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/paste"
)

// A NewAccount is an account as an operator enters it. UCC, UserID, Mobile and
// Password are required; the rest may be empty.
type NewAccount struct {
	UCC    string
	UserID string
	Mobile string // ten digits or E.164
	login.Reach
	PAN          credential.Secret
	GreetingName string
	Password     credential.Secret
	MPIN         credential.Secret // six digits
	TOTPSeed     credential.Secret // base32
	Caches       map[string]int64  // default: the original document's three data sets, changed now
}

// A HashedAccount is a NewAccount whose secrets have been checked and hashed.
type HashedAccount struct {
	login.Account
	pan  credential.Secret
	seed []byte
}

// Format implements [fmt.Formatter]: fmt would print the fields.
func (h HashedAccount) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "account "+h.UCC) }

// AddAccount checks a new account, returning every problem at once, and stores it.
// Errors: an ExistsError if a name is taken, with the existing account if it is the
// UCC.
func (m *Admin) AddAccount(ctx context.Context, n NewAccount) (login.Account, error) {
	h, err := m.Hash(n)
	if err != nil {
		return login.Account{}, err
	}
	a, err := m.AddHashed(ctx, h)
	var taken *login.ExistsError
	if errors.As(err, &taken) {
		// If several fields collide the store names any of them, but it matters most
		// whether it is the same account.
		if there, ferr := m.ByUCC(ctx, h.UCC); ferr == nil {
			taken.Field, taken.There = "UCC", &there
		}
	}
	return a, err
}

// Hash checks a new account and hashes its secrets, which takes some 50 ms of
// CPU, without storing anything.
func (m *Admin) Hash(n NewAccount) (HashedAccount, error) {
	var h HashedAccount
	var problems []error
	normal := func(kind login.IdentifierKind, value string) string {
		id, err := login.ParsePasted(kind, value)
		if err != nil {
			problems = append(problems, err)
		}
		return string(id.Value)
	}
	h.UCC = normal(login.ByUCC, n.UCC)
	h.UserID = normal(login.ByUserID, n.UserID)
	h.Mobile = normal(login.ByMobile, n.Mobile)
	if n.PAN != "" {
		h.pan = credential.Secret(normal(login.ByPAN, string(n.PAN)))
	}
	var err error
	if h.GreetingName, err = nameOf(n.GreetingName); err != nil {
		problems = append(problems, err)
	}
	h.Reach = n.Reach
	problems = append(problems, n.Check())
	if err := checkPassword(NewAccount{UCC: h.UCC, UserID: h.UserID, Mobile: h.Mobile, PAN: h.pan, Password: n.Password}); err != nil {
		problems = append(problems, err)
	}
	if n.MPIN != "" {
		if n.MPIN, err = pastedMPIN(n.MPIN); err != nil {
			problems = append(problems, err)
		}
	}
	if n.TOTPSeed != "" {
		seed, err := credential.ParseTOTPSeed(string(n.TOTPSeed))
		if err != nil {
			problems = append(problems, login.Invalid("TOTP seed", err.Error()))
		}
		h.seed = seed
	}
	if err := errors.Join(problems...); err != nil {
		return h, err
	}
	if h.PasswordHash, err = credential.Hash([]byte(n.Password)); err != nil {
		return h, err
	}
	if n.MPIN != "" {
		if h.MPINHash, err = credential.Hash(m.Vault.MAC(credential.PurposeMPIN, string(n.MPIN))); err != nil {
			return h, err
		}
	}
	h.Caches = n.Caches
	if h.Caches == nil {
		now := m.Now().Unix()
		h.Caches = map[string]int64{"lastUpdatedTS": now, "multiplewatchlists": now, "watchlist": now}
	}
	return h, nil
}

// pastedMPIN returns an MPIN that an operator has typed.
func pastedMPIN(text credential.Secret) (credential.Secret, error) {
	mpin, err := paste.Code(string(text), login.MPINDigits, login.MPINDigits)
	if err != nil {
		return "", login.Invalid("mpin", "must be six digits: this one "+err.Error())
	}
	return credential.Secret(mpin), nil
}

// As returns the account with another id, UCC, user id, mobile number and PAN
// and the same secrets. The sandbox makes its demo accounts with it.
func (h HashedAccount) As(id, ucc, userID, mobile string, pan credential.Secret) HashedAccount {
	h.ID, h.UCC, h.UserID, h.Mobile, h.pan = id, ucc, userID, mobile, pan
	return h
}

// AddHashed stores an account that Hash or As returned, under a new id if it has
// none. Errors wrap ErrExists if a name is taken.
func (m *Admin) AddHashed(ctx context.Context, h HashedAccount) (login.Account, error) {
	a := h.Account
	a.ID, a.Created = cmp.Or(h.ID, uuid.NewString()), m.Now().Truncate(time.Millisecond) // as it is stored
	if h.pan != "" {
		a.PANIndex = m.Vault.MAC(credential.PurposePAN, string(h.pan))
		a.PAN = m.Vault.Seal(credential.PurposePAN, a.ID, []byte(h.pan))
	}
	if len(h.seed) > 0 {
		a.TOTPSeed = m.Vault.Seal(credential.PurposeTOTP, a.ID, h.seed)
	}
	return a, m.Store.AddAccount(ctx, a, m.accountEvent("account added", a))
}

// commonPasswords are those of the 3,000 most common passwords that are long enough to
// be accepted otherwise (security.md P3), one a line, sorted: the frequency list of
// zxcvbn.
//
//go:embed common_passwords.txt
var commonPasswords string

var common = sync.OnceValue(func() map[string]bool {
	all := map[string]bool{}
	for line := range strings.Lines(commonPasswords) {
		all[strings.TrimSpace(line)] = true
	}
	return all
})

// checkPassword applies security.md P2 and P3 to a new password.
func checkPassword(n NewAccount) error {
	p := string(n.Password)
	switch {
	case !utf8.ValidString(p):
		return login.Invalid("password", "must be valid text (UTF-8)")
	case utf8.RuneCountInString(p) < 8:
		return login.Invalid("password", "must have at least 8 characters")
	case len(p) > credential.MaxPassword:
		return login.Invalid("password", fmt.Sprintf("must have at most %d bytes", credential.MaxPassword))
	case common()[strings.ToLower(p)]:
		return login.Invalid("password", "is one of the most common ones, which are tried first: choose another")
	}
	digits := strings.TrimPrefix(strings.TrimPrefix(n.Mobile, "+"), "91")
	for _, name := range []string{n.UCC, n.UserID, n.Mobile, digits, "91" + digits, "+91" + digits, string(n.PAN)} {
		if name != "" && strings.EqualFold(p, name) {
			return login.Invalid("password", "must not be one of the account's own identifiers")
		}
	}
	return nil
}

// PAN returns an account's PAN with its middle hidden, or "" if it has none.
func (m *Admin) PAN(a login.Account) (string, error) {
	if len(a.PAN) == 0 {
		return "", nil
	}
	pan, err := m.Vault.Open(credential.PurposePAN, a.ID, a.PAN)
	if err != nil {
		return "", err
	}
	return string(pan[:3]) + "****" + string(pan[7:]), nil
}

// RemoveAccount removes an account and ends its sessions. Errors: ErrNotFound.
func (m *Admin) RemoveAccount(ctx context.Context, a login.Account) error {
	// A login in progress finds the account gone, and ends its session.
	return m.Store.RemoveAccount(ctx, a.ID, m.accountEvent("account removed", a))
}

// SetReach changes where and how an account's codes go. Errors: ErrNotFound.
func (m *Admin) SetReach(ctx context.Context, a login.Account, r login.Reach) error {
	if err := r.Check(); err != nil {
		return err
	}
	return m.Store.SetReach(ctx, a.ID, r, m.accountEvent("account changed", a))
}
