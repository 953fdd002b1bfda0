package login

import (
	"context"
	"encoding/hex"
	"strings"
	"time"

	"neoapi/internal/credential"
)

// A Person is all that is stored of one, but for secrets: of those it tells that
// they are there.
type Person struct {
	Account  Account
	PAN      string // in the clear: it is the person's own
	State    AccountState
	Sessions []Session
}

// Person returns what is stored of an account beside its events. Errors: of the
// stores.
func (m *Admin) Person(ctx context.Context, a Account) (p Person, err error) {
	p.Account = a
	pan, err := m.pan(a)
	if err != nil {
		return p, err
	}
	p.PAN = string(pan)
	if p.State, err = m.Store.State(ctx, a.ID); err != nil {
		return p, err
	}
	// Expired ones too, as long as they are there.
	p.Sessions, err = m.Store.SessionsOf(ctx, a.ID, time.Unix(1, 0))
	return p, err
}

// Pseudonym is what stands in the audit trail for the UCC of an erased account. Only
// who has the master key and a UCC can tell that they belong together.
func (m *Admin) Pseudonym(ucc string) string {
	return "ERASED" + strings.ToUpper(hex.EncodeToString(m.Vault.MAC(credential.PurposePseudonym, ucc)[:8]))
}

// forgetStep is how many events are looked at in one operation.
const forgetStep = 10_000

// Erase erases a person: the account, its sessions, what is counted and the codes on
// their way; in the audit trail a pseudonym stands for its UCC, and its id,
// addresses and request ids are gone. It returns the pseudonym, and how many events
// have changed. If it breaks off, do it again: then a is the zero Account if that is
// gone already.
func (m *Admin) Erase(ctx context.Context, a Account, ucc string) (pseudonym string, events int, err error) {
	pseudonym = m.Pseudonym(ucc)
	if a.ID != "" {
		// Sessions may be opened until the account is gone, and not after it: see unchanged.
		e := m.event("account erased")
		e.UCC = pseudonym
		if err := m.Store.EraseAccount(ctx, a.ID, e); err != nil {
			return pseudonym, 0, err
		}
	}
	for after := int64(0); ; {
		last, n, err := m.Store.ForgetEvents(ctx, ucc, pseudonym, after, forgetStep)
		events += n
		if err != nil || last == 0 {
			return pseudonym, events, err
		}
		after = last
	}
}
