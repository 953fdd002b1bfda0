package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/user"

	"neoapi/internal/operator"
	"neoapi/internal/serve"
)

// changeFlag is dataFlag for a command that changes the data, whose event records who
// makes the change.
type changeFlag struct {
	dataFlag
	As asFlag `name:"as" placeholder:"NAME" help:"Who makes the change, for the audit trail; default is the system's user and host."`
}

func (c changeFlag) with(ctx context.Context, f func(*serve.Data) error) error {
	return c.dataFlag.with(ctx, c.by(f))
}

func (c changeFlag) making(ctx context.Context, f func(*serve.Data) error) error {
	return c.dataFlag.making(ctx, c.by(f))
}

func (c changeFlag) by(f func(*serve.Data) error) func(*serve.Data) error {
	return func(d *serve.Data) error {
		d.By = cmp.Or(string(c.As), systemUser())
		return f(d)
	}
}

// asFlag is a name for the audit trail.
type asFlag string

// UnmarshalText implements [encoding.TextUnmarshaler].
func (a *asFlag) UnmarshalText(text []byte) error {
	*a = asFlag(text)
	return operator.CheckBy(string(text))
}

// systemUser returns who runs this program, and on which machine: asha@db1, or with
// sudo root@db1 (sudo asha).
func systemUser() string {
	name := fmt.Sprintf("uid %d", os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	if person := os.Getenv("SUDO_USER"); person != "" && operator.CheckBy(person) == nil {
		name += " (sudo " + person + ")"
	}
	return name
}
