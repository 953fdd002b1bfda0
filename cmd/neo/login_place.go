package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"neoapi"
)

// A place is where neo login will save a session, and what is there before.
type place struct {
	store   *neoapi.FileStore
	profile string
	before  neoapi.Session // without a token if there is none
}

// place finds the place and checks that a session can be saved there, before anything
// is sent.
func (c *loginCmd) place(ctx context.Context) (*place, error) {
	store, err := c.Session.store()
	if err != nil {
		return nil, err
	}
	p := &place{store: store, profile: c.Session.Profile}
	if err := store.Writable(ctx); err != nil {
		return nil, err
	}
	if err := p.look(ctx); err != nil {
		return nil, err
	}
	return p, p.check(c.UCC)
}

// look loads what is there now.
func (p *place) look(ctx context.Context) (err error) {
	p.before, err = p.store.Load(ctx)
	if errors.Is(err, neoapi.ErrNotLoggedIn) {
		return nil
	}
	return err // for example, sealed by another program
}

// check refuses another account's login to a profile. "" is an account that is not
// known yet.
func (p *place) check(ucc string) error {
	if p.profile == "" || !p.another(ucc) {
		return nil
	}
	return usage(fmt.Errorf("profile %s has the session of another account, %s: use another profile, or run neo logout --profile %s first", p.profile, p.before.UCC, p.profile))
}

func (p *place) another(ucc string) bool {
	return p.before.UCC != "" && ucc != "" && !sameAccount(p.before.UCC, ucc)
}

// save saves a session in the place. It looks again whose session is there: another
// login may have finished while this one waited for a person.
func (p *place) save(ctx context.Context, t *terminal, s savedLogin) error {
	ctx, unlock := lock(ctx, p.store)
	defer unlock()
	if err := p.look(ctx); err != nil {
		return err
	}
	if err := p.check(s.UCC); err != nil {
		return err
	}
	more := map[string]any{consumerKey: s.ConsumerKey, accessToken: nil}
	if s.AccessToken != "" {
		more[accessToken] = s.AccessToken
	}
	if err := p.store.SaveWith(ctx, s.Session, more); err != nil {
		return err
	}
	if p.another(s.UCC) && !ended(p.before) {
		until := ""
		if ends := p.before.Ends(); !ends.IsZero() {
			until = " until " + shownTime(ends)
		}
		t.note("this replaces the session of " + printable(p.before.UCC) + ", which was not logged out from here: it may stay open at the service" + until + "; neo login --profile NAME keeps several")
	}
	return nil
}

// lock locks a store against programs that log in by themselves, while writing to it. If
// one of them holds the lock, waiting for a person, lock gives up on it: every writer
// checks first what is there. A login that has succeeded is saved even if it was
// interrupted.
func lock(ctx context.Context, store *neoapi.FileStore) (context.Context, func()) {
	ctx = context.WithoutCancel(ctx)
	soon, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	unlock, err := store.Lock(soon)
	if err != nil {
		unlock = func() {}
	}
	return ctx, unlock
}

// totpPeriod is how long an authenticator shows a code.
const totpPeriod = 30 * time.Second

func totpStep(at time.Time) int64 { return at.Unix() / int64(totpPeriod/time.Second) }

// unspent returns an error if the authenticator's current code has already been used here.
func (p *place) unspent(ctx context.Context, ucc string) error {
	last, err := p.store.LastStep(ctx, strings.ToUpper(ucc))
	now := time.Now()
	if step := totpStep(now); err != nil || last != step && last != step+1 {
		return nil // the service decides
	}
	left := time.Unix((last+1)*int64(totpPeriod/time.Second), 0).Sub(now)
	return &neoapi.Error{
		Op: "totp_login", Category: neoapi.ErrInvalidInput, Retry: neoapi.RetryNewCode, RetryAfter: left,
		Message: "the authenticator's current code has already been used: wait for the next one",
	}
}

// spend records that a code was used.
func (p *place) spend(ctx context.Context, ucc string) {
	ctx, unlock := lock(ctx, p.store)
	defer unlock()
	_ = p.store.SaveStep(ctx, strings.ToUpper(ucc), totpStep(time.Now())) // the service refuses it too
}
