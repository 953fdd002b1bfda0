package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"neoapi/internal/login"
	"neoapi/internal/serve"
)

// reachFlags say how to reach an account with codes.
type reachFlags struct {
	Email    string   `placeholder:"ADDRESS" help:"E-mail address for one-time codes."`
	Couriers []string `placeholder:"NAME" help:"Couriers for the account's codes, in the order to try; by default all that can reach the account, in the order of the service's file."`
}

func (f reachFlags) reach() login.Reach { return login.Reach{Email: f.Email, Couriers: f.Couriers} }

type accountSetCmd struct {
	changeFlag
	UCC      string    `arg:"" name:"ucc" help:"The account's UCC."`
	Email    *string   `placeholder:"ADDRESS" help:"E-mail address for one-time codes; empty for none."`
	Couriers *[]string `placeholder:"NAME,..." help:"Couriers for the account's codes, in the order to try; empty for all that can reach it."`
	JSON     bool      `name:"json" help:"Print JSON."`
}

func (accountSetCmd) Help() string {
	return `Examples:
  neo account set --data /var/lib/neo AB1234 --email asha@example.com
  neo account set --data /var/lib/neo AB1234 --couriers mail,sms
  neo account set --data /var/lib/neo AB1234 --couriers ''

What is not given stays as it is. Couriers have the names given in the file of
neo serve --couriers; a name that is not in it is skipped.`
}

func (c *accountSetCmd) Run(ctx context.Context, t *terminal) error {
	if c.Email == nil && c.Couriers == nil {
		return usage(errors.New("nothing to change: give --email or --couriers"))
	}
	return c.with(ctx, func(d *serve.Data) error {
		a, err := find(ctx, d, c.UCC)
		if err != nil {
			return err
		}
		r := a.Reach
		if c.Email != nil {
			r.Email = *c.Email
		}
		if c.Couriers != nil {
			r.Couriers = *c.Couriers
		}
		var bad *login.Error
		if err := d.Admin().SetReach(ctx, a, r); errors.As(err, &bad) {
			return usage(err)
		} else if err != nil {
			return err
		}
		return t.tell(c.JSON, map[string]any{"ucc": a.UCC, "email": r.Email, "couriers": r.Couriers},
			fmt.Sprintf("account %s: e-mail %s, couriers %s", a.UCC, cmp.Or(r.Email, "none"), cmp.Or(strings.Join(r.Couriers, ", "), "all")))
	})
}
