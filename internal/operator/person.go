package operator

import (
	"context"
	"encoding/hex"
	"strings"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/login"
)

// A Person is everything stored about a person, except secrets: of those it says how
// they are kept.
type Person struct {
	Account  login.Account
	PAN      string            // in the clear: it is the person's own
	Factors  map[string]string // by KeptAs
	State    login.AccountState
	Sessions []login.Session
	Events   []login.Event
}

// Person returns what is stored about an account, for an export. Errors: those of the store.
func (m *Admin) Person(ctx context.Context, a login.Account) (p Person, err error) {
	p.Account, p.Factors = a, KeptAs(a)
	pan, err := m.pan(a)
	if err != nil {
		return p, err
	}
	p.PAN = string(pan)
	if p.State, err = m.Store.State(ctx, a.ID); err != nil {
		return p, err
	}
	// Expired ones too, while they exist.
	if p.Sessions, err = m.Store.SessionsOf(ctx, a.ID, time.Unix(1, 0)); err != nil {
		return p, err
	}
	err = m.EventPages(ctx, login.EventQuery{UCC: a.UCC}, func(events []login.Event) error {
		p.Events = append(p.Events, events...)
		return nil
	})
	return p, err
}

// KeptAs returns for each factor how it is stored: the algorithm of a hash, or sealed.
func KeptAs(a login.Account) map[string]string {
	kinds := map[string]string{"password": strings.TrimPrefix(credential.Shape(a.PasswordHash), "$")}
	if a.MPINHash != "" {
		kinds["mpin"] = "keyed " + strings.TrimPrefix(credential.Shape(a.MPINHash), "$")
		if !strings.HasPrefix(a.MPINHash, "$argon2id$") {
			kinds["mpin"] = "sealed"
		}
	}
	if len(a.TOTPSeed) > 0 {
		kinds["totp"] = "sealed"
	}
	return kinds
}

// Pseudonym returns what replaces the UCC of an erased account in the audit trail.
// Only someone with the master key and the UCC can see that they belong together.
func (m *Admin) Pseudonym(ucc string) string {
	return "ERASED" + strings.ToUpper(hex.EncodeToString(m.Vault.MAC(credential.PurposePseudonym, ucc)[:8]))
}

// forgetStep is how many events one operation processes.
const forgetStep = 10_000

// Erase erases a person: the account, its sessions, its counters and the codes still
// to be sent; in the audit trail a pseudonym replaces the UCC, and its id, addresses
// and request ids are removed. It returns the pseudonym and the number of events
// changed. If it fails, call it again, with a as ByUCC returns it: only the UCC if
// the account is already gone.
func (m *Admin) Erase(ctx context.Context, a login.Account) (pseudonym string, events int, err error) {
	pseudonym = m.Pseudonym(a.UCC)
	if a.ID != "" {
		// A login in progress finds the account gone, and ends its session.
		e := m.event("account erased")
		e.UCC = pseudonym
		if err := m.Store.EraseAccount(ctx, a.ID, e); err != nil {
			return pseudonym, 0, err
		}
	}
	for after := int64(0); ; {
		last, n, err := m.Store.ForgetEvents(ctx, a.UCC, pseudonym, after, forgetStep)
		events += n
		if err != nil || last == 0 {
			return pseudonym, events, err
		}
		after = last
	}
}
