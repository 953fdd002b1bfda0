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

// nobodies is the number of decoy accounts for unknown names. Their tries are counted like
// any account's, so that such a login takes as long as any other (security.md P5), but in
// a few records however many names are invented (security.md T8).
const nobodies = 1024

// How many accounts are sampled to find out which hashes accounts have, and how
// often: logins replace imported hashes one by one.
const (
	censusSize  = 1024
	censusEvery = 10 * time.Minute
)

// standIn returns the decoy for an unknown name: always the same one for a name.
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

// A hashKind is a stored hash with the cost of checking it.
type hashKind struct {
	phc    string
	sealed bool
}

// shares sorts hashes by the cost of checking them, so that a decoy, whose place
// among all stays the same, keeps its kind of hash while the shares change little.
func shares(hashes []hashKind) []hashKind {
	slices.SortFunc(hashes, func(a, b hashKind) int { return cmp.Compare(credential.Shape(a.phc), credential.Shape(b.phc)) })
	return hashes
}

// decoy returns the hash of decoy number i.
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
