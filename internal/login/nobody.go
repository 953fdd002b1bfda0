package login

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"neoapi/internal/credential"
)

// nobodies is how many accounts stand in for those that do not exist. Their tries
// are counted like anybody's, so that a login takes as long as any other (security.md P5),
// in a handful of records however many names are invented (security.md T8).
const nobodies = 1024

// How many accounts are looked at to find out what hashes accounts have, and how
// often: logins replace imported ones one by one.
const (
	censusSize  = 1024
	censusEvery = 10 * time.Minute
)

// standIn returns who stands in for an account that does not exist: always the
// same one for one name.
func (s *Service) standIn(name string) Account {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return s.nobody.Load()[h.Sum32()%nobodies]
}

// fillNobodies makes the stand-ins. Hashes of other systems take their own time to
// check, so the stand-ins have such hashes as often as the accounts have: how long a
// wrong password takes shows which kind of hash it was held against, and that tells
// nothing about whether there is an account.
func (s *Service) fillNobodies(ctx context.Context) error {
	sample, err := s.Directory.SampleAccounts(ctx, censusSize)
	if err != nil {
		return err
	}
	var passwords, mpins []hashKind
	for _, a := range sample {
		passwords = append(passwords, hashKind{phc: a.PasswordHash})
		if a.MPINHash == "" {
			continue
		}
		phc, sealed, err := credential.OpenHash(s.Vault, credential.PurposeMPIN, a.ID, a.MPINHash)
		if err != nil {
			return fmt.Errorf("MPIN of account %s: %w", a.UCC, err)
		}
		mpins = append(mpins, hashKind{phc, sealed})
	}
	var all [nobodies]Account
	password, mpin := shares(passwords), shares(mpins)
	for i := range all {
		id := fmt.Sprintf("nobody-%04d", i)
		all[i] = Account{
			ID: id, PasswordHash: s.decoy(password, i, id), MPINHash: s.decoy(mpin, i, id), Disabled: true,
			TOTPSeed: s.Vault.Seal(credential.PurposeTOTP, id, []byte(credential.NewMasterKey()[:20])),
		}
	}
	s.nobody.Store(&all)
	return nil
}

// A hashKind is a stored hash of which the cost is looked at.
type hashKind struct {
	phc    string
	sealed bool
}

// shares sorts hashes by what they cost to check: a stand-in whose place among all
// stays the same keeps its kind of hash while the shares of the kinds change
// little.
func shares(hashes []hashKind) []hashKind {
	slices.SortFunc(hashes, func(a, b hashKind) int { return cmp.Compare(credential.Shape(a.phc), credential.Shape(b.phc)) })
	return hashes
}

// decoy returns the hash of the stand-in number i.
func (s *Service) decoy(hashes []hashKind, i int, id string) string {
	if len(hashes) == 0 {
		return credential.Matchless()
	}
	like := hashes[i*len(hashes)/nobodies]
	phc := credential.Decoy(like.phc)
	if like.sealed {
		phc = credential.SealHash(s.Vault, credential.PurposeMPIN, id, phc)
	}
	return phc
}
