package operator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/login"
)

// An operator's changes of existing accounts and consumers. Each is one atomic
// operation of the store, including its event and the end of the account's sessions
// (security.md S4).

// ErrNothing is the error of a change without effect: the state is already as
// requested. Nothing was changed, no session has ended, and there is no event.
var ErrNothing = errors.New("there is nothing to do")

// SetPassword changes an account's password, by the rules for new ones, and ends its
// sessions. Errors: of KindInput, ErrNotFound.
func (m *Admin) SetPassword(ctx context.Context, a login.Account, password credential.Secret) error {
	pan, err := m.pan(a)
	if err != nil {
		return err
	}
	if err := checkPassword(NewAccount{UCC: a.UCC, UserID: a.UserID, Mobile: a.Mobile, PAN: pan, Password: password}); err != nil {
		return err
	}
	hash, err := credential.Hash([]byte(password))
	if err != nil {
		return err
	}
	return m.changeFactor(ctx, a, "password set", login.Password, func(a *login.Account) error { a.PasswordHash = hash; return nil })
}

// SetMPIN sets an account's MPIN, or removes it if it is "", and ends its sessions.
// Errors: of KindInput, ErrNotFound, ErrNothing if there is none to remove.
func (m *Admin) SetMPIN(ctx context.Context, a login.Account, mpin credential.Secret) error {
	if mpin == "" {
		return m.changeFactor(ctx, a, "MPIN removed", login.MPIN, func(a *login.Account) error {
			if a.MPINHash == "" {
				return ErrNothing
			}
			a.MPINHash = ""
			return nil
		})
	}
	mpin, err := pastedMPIN(mpin)
	if err != nil {
		return err
	}
	hash, err := credential.Hash(m.Vault.MAC(credential.PurposeMPIN, string(mpin)))
	if err != nil {
		return err
	}
	return m.changeFactor(ctx, a, "MPIN set", login.MPIN, func(a *login.Account) error { a.MPINHash = hash; return nil })
}

// EnrolTOTP gives an account a new TOTP seed and returns it, to be shown once, and
// ends its sessions. Errors: ErrNotFound.
func (m *Admin) EnrolTOTP(ctx context.Context, a login.Account) (credential.Secret, error) {
	seed := credential.NewTOTPSeed()
	plain, err := credential.ParseTOTPSeed(string(seed))
	if err != nil {
		return "", err
	}
	sealed := m.Vault.Seal(credential.PurposeTOTP, a.ID, plain)
	return seed, m.changeFactor(ctx, a, "TOTP enrolled", login.TOTP, func(a *login.Account) error { a.TOTPSeed = sealed; return nil })
}

// RemoveTOTP removes an account's TOTP seed and ends its sessions. Errors:
// ErrNotFound, ErrNothing if there is none.
func (m *Admin) RemoveTOTP(ctx context.Context, a login.Account) error {
	return m.changeFactor(ctx, a, "TOTP removed", login.TOTP, func(a *login.Account) error {
		if len(a.TOTPSeed) == 0 {
			return ErrNothing
		}
		a.TOTPSeed = nil
		return nil
	})
}

func (m *Admin) changeFactor(ctx context.Context, a login.Account, action string, f login.Factor, change func(a *login.Account) error) error {
	e := m.accountEvent(action, a)
	e.Factor = f
	return m.Store.ChangeAccount(ctx, a.ID, e, func(a *login.Account) (bool, error) { return true, change(a) })
}

// Lock prevents all logins to an account until Unlock, and ends its sessions. A refused
// login does not reveal why. Errors: ErrNotFound, ErrNothing if it is locked.
func (m *Admin) Lock(ctx context.Context, a login.Account) error {
	return m.Store.ChangeAccount(ctx, a.ID, m.accountEvent("account locked", a), func(a *login.Account) (bool, error) {
		if a.Disabled {
			return false, ErrNothing
		}
		a.Disabled = true
		return true, nil
	})
}

// Unlock ends an operator's lock, and forgets an account's failures: those locks
// end too. Errors: ErrNotFound, ErrNothing if there is neither.
func (m *Admin) Unlock(ctx context.Context, a login.Account) error {
	a, err := m.Store.Account(ctx, login.Identifier{Kind: login.ByID, Value: credential.Secret(a.ID)})
	if err != nil {
		return err
	}
	state, err := m.Store.State(ctx, a.ID)
	if err != nil {
		return err
	}
	if len(state.Failures) == 0 && !a.Disabled {
		return ErrNothing
	}
	if !a.Disabled {
		return m.Store.Unlock(ctx, a.ID, m.accountEvent("account unlocked", a))
	}
	// The failures first: if this is interrupted, the account is still locked.
	if err := m.Store.Unlock(ctx, a.ID, m.accountEvent("failures forgotten", a)); err != nil {
		return err
	}
	return m.Store.ChangeAccount(ctx, a.ID, m.accountEvent("account unlocked", a), func(a *login.Account) (bool, error) {
		a.Disabled = false
		return false, nil
	})
}

// LiveSessions returns an account's sessions that have not expired, oldest first.
func (m *Admin) LiveSessions(ctx context.Context, a login.Account) ([]login.Session, error) {
	return m.Store.SessionsOf(ctx, a.ID, m.Now())
}

// Revoke ends a session of an account, or all of them if sid is "". Errors:
// ErrNotFound if there is none.
func (m *Admin) Revoke(ctx context.Context, a login.Account, sid string) error {
	e := m.accountEvent("sessions revoked", a)
	if sid != "" {
		e.Action, e.SID = "session revoked", login.WellFormedSID(sid)
	}
	return m.Store.Revoke(ctx, a.ID, sid, e)
}

var cacheForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}$`)

// maxCaches limits the data sets of an account: each login returns all of them.
const maxCaches = 32

// SetCaches sets when data sets of an account last changed. Errors: of KindInput,
// ErrNotFound.
func (m *Admin) SetCaches(ctx context.Context, a login.Account, changed map[string]time.Time) error {
	unix := map[string]int64{}
	for name, t := range changed {
		if !cacheForm.MatchString(name) {
			return login.Invalid("caches", fmt.Sprintf("%q is not the name of a data set such as watchlist: a letter, then letters, digits and underscores", name))
		}
		if t.Unix() < 0 || t.Year() > 9999 {
			return login.Invalid("caches", name+": must be a time after 1970")
		}
		unix[name] = t.Unix()
	}
	names := slices.AppendSeq(slices.Collect(maps.Keys(unix)), maps.Keys(a.Caches))
	slices.Sort(names)
	switch n := len(slices.Compact(names)); {
	case len(unix) == 0:
		return login.Invalid("caches", "name at least one data set")
	case n > maxCaches:
		return login.Invalid("caches", fmt.Sprintf("%d data sets are too many: at most %d", n, maxCaches))
	}
	return m.Store.SetCaches(ctx, a.ID, unix, m.accountEvent("caches set", a))
}

// ParseCacheTime parses when a data set changed: an RFC 3339 time, or unix seconds as
// in the answers to logins.
func ParseCacheTime(text string) (time.Time, error) {
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil && seconds >= 0 {
		return time.Unix(seconds, 0), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, errors.New("must be a time such as 2026-11-23T09:15:00+05:30, or unix seconds")
	}
	return t, nil
}

func (m *Admin) pan(a login.Account) (credential.Secret, error) {
	if len(a.PAN) == 0 {
		return "", nil
	}
	pan, err := m.Vault.Open(credential.PurposePAN, a.ID, a.PAN)
	return credential.Secret(pan), err
}
