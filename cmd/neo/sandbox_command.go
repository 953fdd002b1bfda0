package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/alecthomas/kong"

	"neoapi/internal/sandbox"
	"neoapi/internal/serve"
)

// forCommand sets the defaults for running a program: a free port unless an address
// was given, and no output of its own.
func (c *sandboxCmd) forCommand(parsed *kong.Context) error {
	if c.Command[0] != "--" {
		return errors.New("unexpected argument " + c.Command[0] + ": a program to run against the sandbox comes after --")
	}
	c.Command = c.Command[1:]
	switch {
	case len(c.Command) == 0:
		return errors.New("say which program to run: neo sandbox -- CMD")
	case c.JSON:
		return errors.New("--json cannot be combined with a program after --, which finds it all in its environment")
	}
	c.Quiet = true
	given := false
	for _, p := range parsed.Path {
		given = given || p.Flag != nil && p.Flag.Name == "listen"
	}
	if !given {
		c.Listen = "127.0.0.1:0"
	}
	return nil
}

// around runs a program while the sandbox serves, from when it is ready until the
// program has ended. Signals go to the program, so that it can clean up while the
// sandbox still runs.
func (c *sandboxCmd) around(ctx context.Context, t *terminal, model *kong.Application, p program, place serve.Place, cfg serve.Config) (err error) {
	own, err := os.MkdirTemp("", "neo-sandbox-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(own)) }()
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	waiting := context.AfterFunc(ctx, end) // until there is a program to pass signals on to
	var ended chan error
	err = start(serving, place, c.ruleFlags, cfg, func(url string, where listening) {
		if !waiting() {
			return
		}
		c.warn(t, where)
		ended = make(chan error, 1)
		go func() {
			defer end()
			ended <- p.run(serving, t, c.environment(model, url, filepath.Join(own, "session.json")))
		}()
	})
	end()
	if ended == nil {
		return errors.Join(ctx.Err(), err)
	}
	if ran := <-ended; err == nil { // otherwise the sandbox failed, and the program's exit code means nothing
		return ran
	}
	return err
}

// environment returns the environment of a program run against the sandbox: without
// anything of a real service, and without a profile, which would be another place for
// its session.
func (c *sandboxCmd) environment(model *kong.Application, url, session string) []string {
	env := without(withoutService(withoutSession(os.Environ()), model), func(name string) bool { return name == "NEO_PROFILE" })
	return append(env,
		"NEO_URL="+url, "NEO_ENV="+url,
		"NEO_CONSUMER_KEY="+sandbox.DemoConsumerKey, "NEO_CONSUMER_SECRET="+sandbox.DemoConsumerSecret,
		"NEO_UCC="+sandbox.DemoUCC, "NEO_USER_ID="+sandbox.DemoUserID, "NEO_MOBILE="+sandbox.DemoMobile,
		"NEO_PAN="+sandbox.DemoPAN, "NEO_PASSWORD="+sandbox.DemoPassword, "NEO_MPIN="+sandbox.DemoMPIN, "NEO_TOTP_SEED="+sandbox.DemoTOTPSeed,
		"NEO_SESSION="+session,
	)
}
