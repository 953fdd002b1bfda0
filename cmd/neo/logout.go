package main

import (
	"context"
	"errors"

	"neoapi"
)

type logoutCmd struct {
	ConsumerSecretFile string `type:"path" placeholder:"FILE" help:"File with the consumer secret, for a session of a TOTP login or an old one; - for standard input. Or set NEO_CONSUMER_SECRET."`
	JSON               bool   `name:"json" help:"Print JSON."`
	wayFlags
	Session fileFlag `embed:""`
}

func (logoutCmd) Help() string {
	return `Example:
  neo logout

Ends the session at the service and deletes the file. If the service cannot be
reached the file stays.`
}

func (c *logoutCmd) Run(ctx context.Context, t *terminal) error {
	saved, path, err := c.Session.load()
	if err != nil {
		return err
	}
	if err := c.end(ctx, t, saved); err != nil && !errors.Is(err, neoapi.ErrSessionEnded) {
		return err
	}
	if err := forget(ctx, path); err != nil {
		return err
	}
	return t.tell(c.JSON, map[string]any{"ucc": saved.UCC, "ended": true}, "session of "+saved.UCC+" ended")
}

// forget deletes the file.
func forget(ctx context.Context, path string) error {
	store, err := neoapi.NewFileStore(path)
	if err == nil {
		err = store.Clear(ctx)
	}
	return err
}

// end ends a session at the service, with the access token of its login if that
// still works, or else with a new one.
func (c *logoutCmd) end(ctx context.Context, t *terminal, saved savedLogin) error {
	if ended(saved.Session) {
		return nil
	}
	if saved.ConsumerKey == "" {
		return usage(errors.New("a program saved this session, without the consumer key that ends it: log out there"))
	}
	cfg, err := c.config(saved.Environment, saved.ConsumerKey)
	if err != nil {
		return err
	}
	c.Session.share(cfg)
	cfg.AccessToken = saved.AccessToken
	if cfg.AccessToken != "" {
		err := logout(ctx, cfg, saved.Session)
		if !errors.Is(err, neoapi.ErrAccessToken) {
			return err
		}
	}
	cfg.AccessToken = ""
	cfg.ConsumerSecret, err = t.secret(ctx, "consumer secret", c.ConsumerSecretFile, "NEO_CONSUMER_SECRET", "--consumer-secret-file or NEO_CONSUMER_SECRET")
	if err != nil {
		return err
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
