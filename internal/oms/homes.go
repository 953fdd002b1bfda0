// Package oms connects to the order management system. Homes is the built-in one: it
// assigns each UCC a home server from a list.
package oms

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"neoapi/internal/login"
)

// Homes chooses home servers by rendezvous hashing: every server gets a score
// for a UCC and the highest wins. Adding a server moves only the accounts that
// it wins, about one in the number of servers; removing one moves only its own.
// It implements [login.OMS], is never down, and is safe for concurrent use.
type Homes struct {
	names []string
}

var _ login.OMS = (*Homes)(nil)

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// NewHomes returns the OMS for a list of home servers. It returns every problem of
// the list at once.
func NewHomes(names ...string) (*Homes, error) {
	var problems []error
	if len(names) == 0 {
		problems = append(problems, errors.New("home servers: at least one is needed"))
	}
	for i, name := range names {
		if !nameForm.MatchString(name) {
			problems = append(problems, fmt.Errorf("home servers: %q is not a name of letters, digits, dots, dashes and underscores", name))
		}
		if slices.Contains(names[:i], name) {
			problems = append(problems, fmt.Errorf("home servers: duplicate %q", name))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return &Homes{slices.Clone(names)}, nil
}

// Home implements [login.OMS].
func (h *Homes) Home(ucc string) string {
	var best string
	var most uint64
	for _, name := range h.names {
		sum := sha256.Sum256([]byte(name + "\x00" + ucc))
		if score := binary.BigEndian.Uint64(sum[:]); best == "" || score > most {
			best, most = name, score
		}
	}
	return best
}

// Here implements [login.OMS]: Homes answers at once.
func (h *Homes) Here() bool { return true }

// Remote implements [login.OMS]: Homes is not remote.
func (h *Homes) Remote() bool { return false }

// Open implements [login.OMS].
func (h *Homes) Open(ctx context.Context, s login.OMSSession) (string, error) {
	return h.Home(s.UCC), ctx.Err()
}

// Close implements [login.OMS]: there is nothing to do.
func (h *Homes) Close(ctx context.Context, sid string) error { return ctx.Err() }
