package login

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"neoapi/internal/credential"
)

// What an operator changes of accounts and consumers that exist. Each change is
// one atomic operation of the store, its event and the end of the account's
// sessions included (bar S4).

// SetPassword gives an account another password, by the rules of a new one, and
// ends its sessions. Errors: of KindInput, ErrNotFound.
func (m *Admin) SetPassword(ctx context.Context, a Account, password credential.Secret) error {
	pan, err := m.pan(a)
	if err != nil {
		return err
	}
	if err := judgePassword(NewAccount{UCC: a.UCC, UserID: a.UserID, Mobile: a.Mobile, PAN: pan, Password: password}); err != nil {
		return err
	}
	hash := credential.Hash([]byte(password))
	return m.changeFactor(ctx, a, "password set", Password, func(a *Account) { a.PasswordHash = hash })
}

// SetMPIN gives an account an MPIN, or takes it away if it is "", and ends its
// sessions. Errors: of KindInput, ErrNotFound.
func (m *Admin) SetMPIN(ctx context.Context, a Account, mpin credential.Secret) error {
	if mpin == "" {
		return m.changeFactor(ctx, a, "MPIN removed", MPIN, func(a *Account) { a.MPINHash = "" })
	}
	mpin, err := pastedMPIN(mpin)
	if err != nil {
		return err
	}
	hash := credential.Hash(m.Vault.MAC(credential.PurposeMPIN, string(mpin)))
	return m.changeFactor(ctx, a, "MPIN set", MPIN, func(a *Account) { a.MPINHash = hash })
}

// EnrolTOTP gives an account a new TOTP seed, which is returned to be shown this
// once, and ends its sessions. Errors: ErrNotFound.
func (m *Admin) EnrolTOTP(ctx context.Context, a Account) (credential.Secret, error) {
	seed := credential.NewTOTPSeed()
	plain, err := credential.ParseTOTPSeed(string(seed))
	if err != nil {
		return "", err
	}
	sealed := m.Vault.Seal(credential.PurposeTOTP, a.ID, plain)
	return seed, m.changeFactor(ctx, a, "TOTP enrolled", TOTP, func(a *Account) { a.TOTPSeed = sealed })
}

// RemoveTOTP takes an account's TOTP seed away and ends its sessions. Errors:
// ErrNotFound.
func (m *Admin) RemoveTOTP(ctx context.Context, a Account) error {
	return m.changeFactor(ctx, a, "TOTP removed", TOTP, func(a *Account) { a.TOTPSeed = nil })
}

func (m *Admin) changeFactor(ctx context.Context, a Account, action string, f Factor, change func(a *Account)) error {
	e := m.accountEvent(action, a)
	e.Factor = f
	return m.Store.ChangeAccount(ctx, a.ID, e, func(a *Account) (bool, error) { change(a); return true, nil })
}

// Lock keeps an account from logging in until Unlock, whatever it proves, and ends
// its sessions. Nobody who tries can tell why. Errors: ErrNotFound.
func (m *Admin) Lock(ctx context.Context, a Account) error {
	return m.Store.ChangeAccount(ctx, a.ID, m.accountEvent("account locked", a), func(a *Account) (bool, error) {
		a.Disabled = true
		return true, nil
	})
}

// Unlock ends an operator's lock, and forgets an account's failures: those locks
// end too. Errors: ErrNotFound.
func (m *Admin) Unlock(ctx context.Context, a Account) error {
	a, err := m.Store.Account(ctx, Identifier{ByID, credential.Secret(a.ID)})
	if err != nil {
		return err
	}
	if !a.Disabled {
		return m.Store.Unlock(ctx, a.ID, m.accountEvent("account unlocked", a))
	}
	// The failures first: if this breaks off, the account still is locked.
	if err := m.Store.Unlock(ctx, a.ID, m.accountEvent("failures forgotten", a)); err != nil {
		return err
	}
	return m.Store.ChangeAccount(ctx, a.ID, m.accountEvent("account unlocked", a), func(a *Account) (bool, error) {
		a.Disabled = false
		return false, nil
	})
}

// LiveSessions returns an account's sessions that have not expired, oldest first.
func (m *Admin) LiveSessions(ctx context.Context, a Account) ([]Session, error) {
	return m.Store.SessionsOf(ctx, a.ID, m.Now())
}

// Revoke ends a session of an account, or all of them if sid is "". Errors:
// ErrNotFound if there is none.
func (m *Admin) Revoke(ctx context.Context, a Account, sid string) error {
	e := m.accountEvent("sessions revoked", a)
	if sid != "" {
		e.Action, e.SID = "session revoked", wellFormed(sid)
	}
	return m.Store.Revoke(ctx, a.ID, sid, e)
}

var cacheForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}$`)

// maxCaches is how many data sets an account may have: each login answers all.
const maxCaches = 32

// SetCaches says when data sets of an account last changed. Errors: of KindInput,
// ErrNotFound.
func (m *Admin) SetCaches(ctx context.Context, a Account, changed map[string]time.Time) error {
	unix := map[string]int64{}
	for name, t := range changed {
		if !cacheForm.MatchString(name) {
			return invalid("caches", fmt.Sprintf("%q is no name of a data set such as watchlist: a letter, then letters, digits and underscores", name))
		}
		if t.Unix() < 0 || t.Year() > 9999 {
			return invalid("caches", name+": must be a time after 1970")
		}
		unix[name] = t.Unix()
	}
	names := slices.AppendSeq(slices.Collect(maps.Keys(unix)), maps.Keys(a.Caches))
	slices.Sort(names)
	switch n := len(slices.Compact(names)); {
	case len(unix) == 0:
		return invalid("caches", "name at least one data set")
	case n > maxCaches:
		return invalid("caches", fmt.Sprintf("%d data sets are too many: at most %d", n, maxCaches))
	}
	return m.Store.SetCaches(ctx, a.ID, unix, m.accountEvent("caches set", a))
}

// ParseCacheTime reads when a data set changed: an RFC 3339 time, or unix seconds as
// logins answer them.
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

func (m *Admin) pan(a Account) (credential.Secret, error) {
	if len(a.PAN) == 0 {
		return "", nil
	}
	pan, err := m.Vault.Open(credential.PurposePAN, a.ID, a.PAN)
	return credential.Secret(pan), err
}

// SetConsumerRate changes a consumer's rate, which is that of [Consumer]: running
// services follow within 1 s. Errors: ErrNotFound.
func (m *Admin) SetConsumerRate(ctx context.Context, key string, rate int) error {
	return m.Store.ChangeConsumer(ctx, key, m.consumerEvent("consumer rate changed", key), func(c *Consumer) error {
		c.Rate = rate
		return nil
	})
}

// MaxOverlap is the longest time for which a consumer's secret may go on after its
// rotation.
const MaxOverlap = 90 * 24 * time.Hour

// RotateConsumer gives a consumer a new secret, which is returned to be shown this
// once. The old one, and the access tokens that it got, work for an overlap; the
// one before that, if it still did, ends now. Errors: of KindInput, ErrNotFound.
func (m *Admin) RotateConsumer(ctx context.Context, key string, overlap time.Duration) (credential.Secret, time.Time, error) {
	if overlap < 0 || overlap > MaxOverlap {
		return "", time.Time{}, invalid("overlap", fmt.Sprintf("must be between 0 and %s", MaxOverlap))
	}
	secret, until := newConsumerSecret(), m.Now().Add(overlap).Truncate(time.Millisecond)
	hash := m.Vault.MAC(credential.PurposeConsumerSecret, key, string(secret))
	err := m.Store.ChangeConsumer(ctx, key, m.consumerEvent("consumer secret rotated", key), func(c *Consumer) error {
		c.OldSecretHash, c.OldSecretUntil = c.SecretHash, until
		if overlap == 0 {
			c.OldSecretHash, c.OldSecretUntil = nil, time.Time{}
		}
		c.SecretHash = hash
		return nil
	})
	if err != nil {
		return "", time.Time{}, err
	}
	return secret, until, nil
}

func newConsumerSecret() credential.Secret {
	return credential.Secret(strings.TrimSpace(credential.NewMasterKey()))
}

// SetConsumerNetworks says whence a consumer may send. Errors: ErrNotFound.
func (m *Admin) SetConsumerNetworks(ctx context.Context, key string, allow Networks) error {
	if len(allow) > maxNetworks {
		return errors.New("too many networks")
	}
	return m.Store.ChangeConsumer(ctx, key, m.consumerEvent("consumer networks changed", key), func(c *Consumer) error {
		c.Allow = allow
		return nil
	})
}
