package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"neoapi/internal/paste"
)

type execCmd struct {
	UCC     string   `name:"ucc" help:"Run the program only if the session is this account's."`
	Session fileFlag `embed:""`
	Command []string `arg:"" passthrough:"partial" placeholder:"CMD" help:"Program to run, with its arguments, after --."`
}

func (execCmd) Help() string {
	return `Examples:
  neo exec -- ./my-algo --symbol INFY
  neo exec --profile wife --ucc AB1234 -- python trade.py

The program finds the session in its environment:

  NEO_TOKEN          the trade token, for the header Auth: always
  NEO_SID            for the header Sid: always
  NEO_ENV            the service: always, if neo login saved the session
  NEO_CONSUMER_KEY   the same; otherwise your own variable, if it is the session's key
  NEO_UCC            the account: if the service returned it, as all have so far
  NEO_ACCESS_TOKEN   for the header Authorization, after Bearer: after a login by
                     password; a login by TOTP needs none and has none
  NEO_HS_SERVER_ID   for the parameter sId: if the service gave the session one
  NEO_BASE_URL       where calls go: after a login by TOTP, if the service returned it
  NEO_EXPIRES_AT     when the session ends, RFC 3339: if its token says so

With --ucc the program is not run if the session belongs to another account. A
variable whose value is not known is unset, even if it was set before. Secrets
(NEO_CONSUMER_SECRET, NEO_PASSWORD and the like), the settings of neo serve
(NEO_DATABASE, NEO_CONFIG, NEO_LISTEN, …) and those of PostgreSQL (PGPASSWORD,
PGHOST, …) are removed; all other variables stay. Only the program sees them:
nothing is written to disk, and no secret is in an argument.

The exit code is the program's, 128+N if signal N ended it, 127 if there is no
such program and 126 if it cannot be executed. Signals are passed on to it. If the
session's time is over, the program is not run: exit code 3. The service is not
asked: a session that it ended before its time looks valid here (try neo doctor).`
}

func (c *execCmd) Run(ctx context.Context, t *terminal, parsed *kong.Context) error {
	command := c.Command
	if len(command) > 0 && command[0] == "--" {
		command = command[1:]
	}
	if len(command) == 0 {
		return usage(errors.New("say which program to run: neo exec -- CMD"))
	}
	if c.UCC != "" {
		if _, err := paste.UCC(c.UCC); err != nil {
			return usage(fmt.Errorf("--ucc: the UCC %w: nothing was run", err))
		}
	}
	saved, _, err := c.Session.load()
	if err != nil {
		return err
	}
	if c.UCC != "" && !sameAccount(c.UCC, saved.UCC) {
		return usage(fmt.Errorf("the saved session belongs to another account, %s: nothing was run", printable(saved.UCC)))
	}
	if ended(saved.Session) {
		return sessionEnded("exec")
	}
	p, err := findProgram(command)
	if err != nil {
		return err
	}
	return p.run(context.WithoutCancel(ctx), t, append(withoutService(withoutSession(os.Environ()), parsed.Model), sessionEnvironment(saved)...))
}

// sameAccount reports whether two UCCs, as typed, pasted or saved, name the same
// account.
func sameAccount(a, b string) bool {
	x, errA := paste.UCC(a)
	y, errB := paste.UCC(b)
	if errA != nil || errB != nil {
		return a == b
	}
	return strings.EqualFold(x, y) // both are ASCII
}

// sessionEnvironment returns a session as environment variables.
func sessionEnvironment(saved savedLogin) []string {
	s := saved.Session
	var env []string
	for _, v := range [][2]string{
		{"NEO_TOKEN", s.Token}, {"NEO_SID", s.SID}, {"NEO_UCC", s.UCC}, {"NEO_HS_SERVER_ID", s.HSServerID},
		{"NEO_ACCESS_TOKEN", saved.AccessToken}, {"NEO_CONSUMER_KEY", saved.ConsumerKey}, {"NEO_ENV", saved.Environment}, {"NEO_BASE_URL", s.BaseURL},
	} {
		if v[1] != "" {
			env = append(env, v[0]+"="+v[1])
		}
	}
	if !s.ExpiresAt.IsZero() {
		env = append(env, "NEO_EXPIRES_AT="+s.ExpiresAt.UTC().Format(time.RFC3339))
	}
	return env
}

// ofSession are the variables of a session.
var ofSession = []string{"NEO_TOKEN", "NEO_SID", "NEO_UCC", "NEO_HS_SERVER_ID", "NEO_ACCESS_TOKEN", "NEO_CONSUMER_KEY", "NEO_ENV", "NEO_BASE_URL", "NEO_EXPIRES_AT"}

// secretWords matches the names of variables that contain a login's secrets.
var secretWords = regexp.MustCompile(`^NEO_(.*_)?(SECRET|PASSWORD|PASSPHRASE|MPIN|PIN|PAN|OTP|TOTP|SEED)(_.*)?$`)

// withoutSession removes from an environment the variables of a session and the
// secrets of a login.
func withoutSession(environ []string) []string {
	return without(environ, func(name string) bool { return slices.Contains(ofSession, name) || secretWords.MatchString(name) })
}

// ofPostgreSQL are the variables by which a service finds its database (libpq's).
var ofPostgreSQL = strings.Fields(`PGHOST PGHOSTADDR PGPORT PGDATABASE PGUSER PGPASSWORD PGPASSFILE PGSERVICE PGSERVICEFILE PGSYSCONFDIR PGOPTIONS PGAPPNAME
	PGREQUIREAUTH PGCHANNELBINDING PGSSLMODE PGREQUIRESSL PGSSLNEGOTIATION PGSSLCOMPRESSION PGSSLCERT PGSSLKEY PGSSLPASSWORD PGSSLCERTMODE PGSSLROOTCERT PGSSLCRL
	PGSSLCRLDIR PGSSLSNI PGSSLMINPROTOCOLVERSION PGSSLMAXPROTOCOLVERSION PGREQUIREPEER PGGSSENCMODE PGKRBSRVNAME PGGSSLIB PGGSSDELEGATION PGCONNECT_TIMEOUT
	PGTARGETSESSIONATTRS PGLOADBALANCEHOSTS PGMINPROTOCOLVERSION PGMAXPROTOCOLVERSION PGOAUTHCLIENTSECRET`)

// withoutService removes the settings of a service from an environment: an operator
// may have them in the shell.
func withoutService(environ []string, model *kong.Application) []string {
	settings := slices.Clone(ofPostgreSQL)
	for _, command := range model.Children {
		if command.Name == "serve" {
			for _, flag := range command.Flags {
				settings = append(settings, variable(flag.Name))
			}
		}
	}
	return without(environ, func(name string) bool { return slices.Contains(settings, name) })
}

func without(environ []string, out func(name string) bool) []string {
	return slices.DeleteFunc(environ, func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return out(name)
	})
}
