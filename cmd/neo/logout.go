package main

import (
	"context"
	"errors"
	"fmt"

	"neoapi"
)

type logoutCmd struct {
	Local              bool   `help:"Forget the session here without asking the service, if that is gone or has forgotten it."`
	ConsumerSecretFile string `type:"path" placeholder:"FILE" help:"File with the consumer secret, for a session whose access token has expired; - for standard input. Or set NEO_CONSUMER_SECRET."`
	JSON               bool   `name:"json" help:"Print JSON."`
	wayFlags
	Session fileFlag `embed:""`
}

func (logoutCmd) Help() string {
	return `Examples:
  neo logout
  neo logout --profile wife --local

Ends the session at the service and deletes the file. If the service cannot be
reached, or cannot be asked without the consumer secret, the file stays; --local
deletes it without asking the service. A session that was not ended expires at its
time. The profile stays, so that neo login still knows it.`
}

func (c *logoutCmd) Run(ctx context.Context, t *terminal) error {
	saved, path, err := c.Session.load()
	if err != nil {
		return err
	}
	if c.Local {
		return c.forgetHere(ctx, t, saved, path)
	}
	said := "session of " + saved.UCC + " ended"
	err = c.end(ctx, t, saved)
	switch {
	case err == nil:
	case errors.Is(err, neoapi.ErrSessionEnded):
		said = "session of " + saved.UCC + " had already ended"
	case ctx.Err() != nil:
		return err
	default:
		return errors.Join(err, fmt.Errorf("the session is still saved; %s forgets it without asking the service", c.local()))
	}
	if err := forget(ctx, t, path, saved.Session); err != nil {
		return err
	}
	return t.tell(c.JSON, map[string]any{"ucc": saved.UCC, "ended": true}, said)
}

// local returns the command that forgets this session, ready to paste.
func (c *logoutCmd) local() string {
	switch {
	case c.Session.Path != "":
		return "neo logout --local --session " + quoted(c.Session.Path)
	case c.Session.Profile != "":
		return "neo logout --local --profile " + quoted(c.Session.Profile)
	}
	return "neo logout --local"
}

// forgetHere deletes the file without asking the service.
func (c *logoutCmd) forgetHere(ctx context.Context, t *terminal, saved savedLogin, path string) error {
	if err := forget(ctx, t, path, saved.Session); err != nil {
		return err
	}
	over := ended(saved.Session)
	said := "session of " + saved.UCC + " forgotten; it had ended"
	if !over {
		said = "session of " + saved.UCC + " forgotten here; the service was not asked"
		if !saved.Ends().IsZero() {
			said += ", and ends it at " + shownTime(saved.Ends())
		}
	}
	return t.tell(c.JSON, map[string]any{"ucc": saved.UCC, "ended": over, "forgotten": true}, said)
}

// forget deletes the file, unless another session has been saved there meanwhile.
func forget(ctx context.Context, t *terminal, path string, s neoapi.Session) error {
	store, err := neoapi.NewFileStore(path)
	if err != nil {
		return err
	}
	ctx, unlock := lock(ctx, store)
	defer unlock()
	if now, err := store.Load(ctx); err == nil && now.Token != s.Token {
		t.note("the file stays: another login has since saved a session of " + printable(now.UCC) + " there")
		return nil
	}
	return store.Clear(ctx)
}

// end ends a session at the service, with the access token of its login (none for a
// login by TOTP) if that still works, and otherwise with a new one. ErrSessionEnded: it
// had ended before.
func (c *logoutCmd) end(ctx context.Context, t *terminal, saved savedLogin) error {
	if ended(saved.Session) {
		return sessionEnded("logout")
	}
	if saved.ConsumerKey == "" {
		return usage(errors.New("this session was saved by a program, without the consumer key needed to end it: log out there, or set NEO_CONSUMER_KEY to that program's"))
	}
	if p, _ := c.Session.profile(); c.CA == "" && sameService(p.Environment, saved.Environment) {
		c.CA = p.CA
	}
	cfg, err := c.config(saved.Environment, saved.ConsumerKey)
	if err != nil {
		return err
	}
	c.Session.share(cfg)
	cfg.AccessToken = saved.AccessToken
	if err := logout(ctx, cfg, saved.Session); !errors.Is(err, neoapi.ErrAccessToken) {
		return err
	}
	cfg.AccessToken = ""
	cfg.ConsumerSecret, err = t.secret(ctx, consumerSecret(c.ConsumerSecretFile))
	if err != nil {
		return fmt.Errorf("ending this session needs a new access token: %w", err)
	}
	return logout(ctx, cfg, saved.Session)
}

func logout(ctx context.Context, cfg neoapi.Config, s neoapi.Session) error {
	client, err := neoapi.New(cfg)
	if err != nil {
		return err
	}
	if err := client.Use(s); err != nil {
		return err
	}
	return client.Logout(ctx)
}
