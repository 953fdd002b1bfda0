package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/serve"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

type consumerRotateCmd struct {
	changeFlag
	Key     string        `arg:"" help:"The consumer's key."`
	Overlap time.Duration `default:"24h" placeholder:"TIME" help:"How long the old secret still works, up to 2160h; 0 ends it at once (default ${default})."`
	JSON    bool          `name:"json" help:"Print JSON."`
}

func (consumerRotateCmd) Help() string {
	return `Examples:
  neo consumer rotate --data /var/lib/neo 0b6ec5a4-6f0c-4b6e-8a49-6a4bb7ac4a43
  neo consumer rotate --data /var/lib/neo 0b6ec5a4-6f0c-4b6e-8a49-6a4bb7ac4a43 --overlap 0

Makes a new secret and shows it once. The old one, and the access tokens obtained
with it, work for the overlap; a secret older than that ends now. Sessions go on.`
}

func (c *consumerRotateCmd) Run(ctx context.Context, t *terminal) error {
	return c.with(ctx, func(d *serve.Data) error {
		before, err := d.Store.Consumer(ctx, c.Key)
		if err != nil {
			return unknownConsumer(err, c.Key)
		}
		secret, until, err := d.Admin().RotateConsumer(ctx, c.Key, c.Overlap)
		var bad *login.Error
		if errors.As(err, &bad) {
			return usage(err)
		}
		if err != nil {
			return unknownConsumer(err, c.Key)
		}
		if c.JSON {
			err = t.json(map[string]any{"key": c.Key, "secret": string(secret), "oldSecretUntil": until.UTC()})
		} else {
			_, err = fmt.Fprintf(t.out, "consumer key:    %s\nconsumer secret: %s\nThe secret is not shown again. The old one works until %s.\n",
				c.Key, string(secret), until.In(login.IST).Format(time.RFC3339))
			if err == nil && before.OldSecretUntil.After(time.Now()) {
				_, err = fmt.Fprintf(t.out, "The one before it, which would have worked until %s, has ended.\n", before.OldSecretUntil.In(login.IST).Format(time.RFC3339))
			}
		}
		if err != nil {
			return fmt.Errorf("the secret was rotated, but could not be shown: rotate it again: %w", err)
		}
		return nil
	})
}

type consumerAllowCmd struct {
	changeFlag
	Key      string   `arg:"" help:"The consumer's key."`
	Networks []string `arg:"" name:"address|cidr|anywhere" help:"IPv4 and IPv6 addresses and networks, in place of those before; or anywhere."`
	JSON     bool     `name:"json" help:"Print JSON."`
}

func (consumerAllowCmd) Help() string {
	return `Examples:
  neo consumer allow --data /var/lib/neo 0b6ec5a4-6f0c-4b6e-8a49-6a4bb7ac4a43 203.0.113.7 2001:db8:5::/48
  neo consumer allow --data /var/lib/neo 0b6ec5a4-6f0c-4b6e-8a49-6a4bb7ac4a43 anywhere

From then on the consumer's requests are accepted from these addresses only. A
request from elsewhere is refused, with invalid_client at oauth2/token and the other
addresses below oauth2/, and with code 100008 at all others. Running services apply it
within a second. If the service is behind a proxy, name that with neo serve
--trusted-proxy.`
}

func (c *consumerAllowCmd) Run(ctx context.Context, t *terminal) error {
	text := strings.Join(c.Networks, " ")
	if text == "anywhere" {
		text = ""
	}
	networks, err := login.ParseNetworks(text)
	if err != nil {
		return usage(err)
	}
	return c.with(ctx, func(d *serve.Data) error {
		if err := d.Admin().SetConsumerNetworks(ctx, c.Key, networks); err != nil {
			return unknownConsumer(err, c.Key)
		}
		if c.JSON {
			return t.json(map[string]any{"key": c.Key, "allow": words(networks)})
		}
		_, err := fmt.Fprintf(t.out, "consumer %s: allowed from %s\n", c.Key, cmp.Or(networks.String(), "anywhere"))
		return err
	})
}

// words returns the networks as a list, never nil, which JSON would print as null.
func words(n login.Networks) []string { return append([]string{}, strings.Fields(n.String())...) }
