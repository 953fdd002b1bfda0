package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/operator"
	"neoapi/internal/serve"
)

// oneAccount is shared by commands that change an account.
type oneAccount struct {
	changeFlag
	UCC  string `arg:"" name:"ucc" help:"The account's UCC."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// noEffect says why a change had no effect.
type noEffect string

func (n noEffect) Error() string { return string(n) }

// unless returns the error of a change, or nothing if there was nothing to do.
func unless(err error, nothing noEffect) error {
	if errors.Is(err, operator.ErrNothing) {
		return nothing
	}
	return err
}

// change finds the account, calls f to change it, and prints what was done: as a
// sentence, or as {"ucc", "done"} for a program. If there was nothing to do it prints
// that instead; this is not a failure.
func (c *oneAccount) change(ctx context.Context, t *terminal, done string, f func(m *operator.Admin, a login.Account) error) error {
	return c.with(ctx, func(d *serve.Data) error {
		a, err := find(ctx, d, c.UCC)
		if err != nil {
			return err
		}
		var bad *login.Error
		var nothing noEffect
		switch err := f(d.Admin(), a); {
		case errors.As(err, &nothing):
			done = string(nothing)
		case errors.As(err, &bad):
			return usage(err)
		case err != nil:
			return err
		}
		if c.JSON {
			return t.json(map[string]string{"ucc": a.UCC, "done": done})
		}
		_, err = fmt.Fprintf(t.out, "account %s: %s\n", a.UCC, done)
		return err
	})
}

// newSecret asks a person twice for a secret, or reads a line name=... of standard
// input.
func (t *terminal) newSecret(ctx context.Context, name, prompt string) (credential.Secret, error) {
	var secret credential.Secret
	if !t.interactive() {
		if err := readSecrets(t.in, map[string]*credential.Secret{name: &secret}); err != nil {
			return "", usage(err)
		}
		if secret == "" {
			return "", usage(fmt.Errorf("standard input is not a terminal: write the line %s=VALUE to it", name))
		}
		return secret, nil
	}
	var answers [2]string
	for i, ask := range []string{prompt, "Repeat: "} {
		var err error
		if answers[i], err = t.askSecret(ctx, ask); err != nil {
			return "", err
		}
	}
	switch {
	case answers[0] != answers[1]:
		return "", usage(errors.New("the two entries differ: nothing was changed"))
	case answers[0] == "":
		return "", usage(fmt.Errorf("the %s is missing: nothing was changed", name))
	}
	return credential.Secret(answers[0]), nil
}

type accountPasswordCmd struct{ oneAccount }

func (accountPasswordCmd) Help() string {
	return `Examples:
  neo account set-password --data /var/lib/neo AB1234
  printf 'password=%s\n' "$PASSWORD" | neo account set-password --data /var/lib/neo AB1234

The new password is asked for without echo, or read from standard input. The
account's sessions end within a second.`
}

func (c *accountPasswordCmd) Run(ctx context.Context, t *terminal) error {
	password, err := t.newSecret(ctx, "password", "New password: ")
	if err != nil {
		return err
	}
	return c.change(ctx, t, "password set, sessions ended", func(m *operator.Admin, a login.Account) error { return m.SetPassword(ctx, a, password) })
}

type accountMPINCmd struct {
	oneAccount
	Remove bool `help:"Remove the MPIN."`
}

func (accountMPINCmd) Help() string {
	return `Examples:
  neo account set-mpin --data /var/lib/neo AB1234
  printf 'mpin=%s\n' "$MPIN" | neo account set-mpin --data /var/lib/neo AB1234
  neo account set-mpin --data /var/lib/neo AB1234 --remove

The new MPIN, six digits, is asked for without echo, or read from standard input.
The account's sessions end within a second.`
}

func (c *accountMPINCmd) Run(ctx context.Context, t *terminal) error {
	if c.Remove {
		return c.change(ctx, t, "MPIN removed, sessions ended", func(m *operator.Admin, a login.Account) error {
			return unless(m.SetMPIN(ctx, a, ""), "no MPIN: nothing to remove")
		})
	}
	mpin, err := t.newSecret(ctx, "mpin", "New MPIN (six digits): ")
	if err != nil {
		return err
	}
	return c.change(ctx, t, "MPIN set, sessions ended", func(m *operator.Admin, a login.Account) error { return m.SetMPIN(ctx, a, mpin) })
}

type accountEnrolCmd struct{ oneAccount }

func (accountEnrolCmd) Help() string {
	return `Example:
  neo account enrol-totp --data /var/lib/neo AB1234

Makes a new TOTP seed and shows it once, with a QR code on a terminal. The old
seed stops working, and the account's sessions end within a second.`
}

func (c *accountEnrolCmd) Run(ctx context.Context, t *terminal) error {
	return c.with(ctx, func(d *serve.Data) error {
		a, err := find(ctx, d, c.UCC)
		if err != nil {
			return err
		}
		seed, err := d.Admin().EnrolTOTP(ctx, a)
		if err != nil {
			return err
		}
		if c.JSON {
			err = t.json(map[string]string{"ucc": a.UCC, "seed": string(seed), "url": enrolment(a.UCC, string(seed))})
		} else {
			_, err = fmt.Fprintf(t.out, "account %s: TOTP enrolled, sessions ended\n", a.UCC)
			err = errors.Join(err, t.showSeed(a.UCC, string(seed)))
		}
		if err != nil {
			return fmt.Errorf("the seed was stored, but could not be shown: enrol again: %w", err)
		}
		return nil
	})
}

type accountRemoveTOTPCmd struct{ oneAccount }

func (accountRemoveTOTPCmd) Help() string {
	return `Example:
  neo account remove-totp --data /var/lib/neo AB1234

The account's authenticator stops working, and its sessions end within a second.`
}

func (c *accountRemoveTOTPCmd) Run(ctx context.Context, t *terminal) error {
	return c.change(ctx, t, "TOTP removed, sessions ended", func(m *operator.Admin, a login.Account) error {
		return unless(m.RemoveTOTP(ctx, a), "no TOTP seed: nothing to remove")
	})
}

type accountLockCmd struct{ oneAccount }

func (accountLockCmd) Help() string {
	return `Example:
  neo account lock --data /var/lib/neo AB1234

Nobody can log in to the account until neo account unlock; a try gets the same
answer as a wrong password. The account's sessions end within a second.`
}

func (c *accountLockCmd) Run(ctx context.Context, t *terminal) error {
	return c.change(ctx, t, "locked, sessions ended", func(m *operator.Admin, a login.Account) error {
		return unless(m.Lock(ctx, a), "already locked by an operator")
	})
}

type accountSessionsCmd struct {
	dataFlag
	UCC  string `arg:"" name:"ucc" help:"The account's UCC."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (accountSessionsCmd) Help() string {
	return `Examples:
  neo account sessions --data /var/lib/neo AB1234
  neo account sessions --data /var/lib/neo AB1234 --json | jq -r 'select(.kind == "trade") | .sid'

Live sessions, oldest first: view sessions, which wait for their second factor,
and trade sessions. No tokens: those are not stored.`
}

// sessionView is what an operator sees of a session.
type sessionView struct {
	SID      string            `json:"sid"`
	Kind     login.SessionKind `json:"kind"`
	Consumer string            `json:"consumer"`
	First    login.Factor      `json:"firstFactor"`
	Home     string            `json:"homeServer,omitempty"`
	Since    time.Time         `json:"since"`
	Until    time.Time         `json:"until"`
}

func shownSession(x login.Session) sessionView {
	return sessionView{x.SID, x.Kind, x.Consumer, x.First, x.Home, x.Issued.UTC(), x.Expires.UTC()}
}

func (c *accountSessionsCmd) Run(ctx context.Context, t *terminal) error {
	return c.with(ctx, func(d *serve.Data) error {
		a, err := find(ctx, d, c.UCC)
		if err != nil {
			return err
		}
		all, err := d.Admin().LiveSessions(ctx, a)
		if err != nil {
			return err
		}
		out := bufio.NewWriter(t.out)
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		if !c.JSON {
			_, _ = fmt.Fprintln(table, "SID\tKIND\tCONSUMER\tSINCE\tUNTIL")
		}
		for _, x := range all {
			if c.JSON {
				err = errors.Join(err, writeJSON(out, shownSession(x)))
				continue
			}
			_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", x.SID, x.Kind, x.Consumer,
				x.Issued.In(login.IST).Format(time.RFC3339), x.Expires.In(login.IST).Format(time.RFC3339))
		}
		return errors.Join(err, table.Flush(), out.Flush())
	})
}

type accountRevokeCmd struct {
	oneAccount
	SID string `arg:"" optional:"" name:"sid" help:"The session to end."`
	All bool   `help:"End all sessions of the account."`
}

func (accountRevokeCmd) Help() string {
	return `Examples:
  neo account revoke --data /var/lib/neo AB1234 9d2f0e4c-6c1e-4a63-9f5d-6f2c2b9a7d11
  neo account revoke --data /var/lib/neo AB1234 --all

Sessions end within a second, everywhere. The account can log in again at once;
neo account lock prevents that.`
}

func (c *accountRevokeCmd) Run(ctx context.Context, t *terminal) error {
	if (c.SID == "") != c.All {
		return usage(errors.New("give the sid of one session, or --all"))
	}
	done := "session " + c.SID + " revoked"
	if c.All {
		done = "all sessions revoked"
	}
	return c.change(ctx, t, done, func(m *operator.Admin, a login.Account) error {
		err := m.Revoke(ctx, a, c.SID)
		switch {
		case errors.Is(err, login.ErrNotFound) && c.All:
			return noEffect("no sessions: nothing to revoke")
		case errors.Is(err, login.ErrNotFound):
			return fmt.Errorf("account %s has no session %s: neo account sessions shows all", a.UCC, printable(c.SID))
		}
		return err
	})
}

type accountCachesCmd struct {
	oneAccount
	Set []string `arg:"" optional:"" name:"name[=time]" help:"Data sets that have changed: now, or at an RFC 3339 time or unix seconds."`
}

func (accountCachesCmd) Help() string {
	return `Examples:
  neo account caches --data /var/lib/neo AB1234
  neo account caches --data /var/lib/neo AB1234 watchlist lastUpdatedTS
  neo account caches --data /var/lib/neo AB1234 baskets=2026-11-23T09:15:00+05:30

Each login returns when the account's data sets last changed, so that an app knows
what to reload. Without names this shows the present values. Data sets not named
stay as they are; sessions go on.`
}

func (c *accountCachesCmd) Run(ctx context.Context, t *terminal) error {
	changed := map[string]time.Time{}
	for _, text := range c.Set {
		name, at, given := strings.Cut(text, "=")
		if _, twice := changed[name]; twice {
			return usage(fmt.Errorf("duplicate %s", printable(name)))
		}
		var err error
		if changed[name] = time.Now(); given {
			if changed[name], err = operator.ParseCacheTime(at); err != nil {
				return usage(fmt.Errorf("%s: %w", printable(name), err))
			}
		}
	}
	return c.with(ctx, func(d *serve.Data) error {
		a, err := find(ctx, d, c.UCC)
		if err == nil && len(changed) > 0 {
			var bad *login.Error
			if err = d.Admin().SetCaches(ctx, a, changed); errors.As(err, &bad) {
				return usage(err)
			}
			if err == nil {
				a, err = find(ctx, d, c.UCC)
			}
		}
		if err != nil {
			return err
		}
		if c.JSON {
			return t.json(map[string]any{"ucc": a.UCC, "caches": a.Caches})
		}
		table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
		for _, name := range sortedKeys(a.Caches) {
			_, _ = fmt.Fprintf(table, "%s\t%d\t%s\n", name, a.Caches[name], time.Unix(a.Caches[name], 0).In(login.IST).Format(time.RFC3339))
		}
		return table.Flush()
	})
}
