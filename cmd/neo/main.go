// Command neo is the session service, its sandbox, and a client for the terminal.
//
// neo sandbox starts a service with a demo account; neo serve starts the real
// one; neo account, neo consumer and neo key keep its data, neo audit shows its
// trail; neo login, session, exec and logout use a service, and neo doctor examines
// one. Each command has a file of its own here.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"neoapi"
)

// The exit codes, which scripts may rely on.
const (
	exitDone    = 0
	exitFailed  = 1 // anything else
	exitUsage   = 2 // a flag, an argument or the configuration is wrong
	exitRefused = 3 // the service refused: credentials, code, session, lock
	exitLater   = 4 // the same may work later: rate limit, network, OMS, service unavailable
)

const description = `The Neo session system: log in twice, trade once.

Try it:
  neo sandbox                                  a service with a demo account, in one step
  neo login --env http://127.0.0.1:9155 ...    log in there, or anywhere else
  neo serve --data /var/lib/neo                the real service

Secrets are asked for without echo, or read from standard input, a file or the
environment; no flag takes one.

Exit codes: 0 done, 1 failed, 2 wrong use or configuration, 3 refused by the
service (credentials, code, session), 4 may work later (rate limit, network, OMS).`

// commands is the whole command line: one struct for commands, flags and help.
type commands struct {
	Sandbox    sandboxCmd    `cmd:"" help:"Start a service with a demo account and a readable OTP inbox."`
	Serve      serveCmd      `cmd:"" help:"Start the session service."`
	Config     configCmd     `cmd:"" help:"Check and show the configuration of the session service."`
	Account    accountCmd    `cmd:"" help:"Add, change, list and remove accounts, and their sessions, in a data directory."`
	Consumer   consumerCmd   `cmd:"" help:"Add, change, list and remove consumers (applications) in a data directory."`
	Key        keyCmd        `cmd:"" help:"List, rotate and remove the keys that sign tokens; rotate the master key."`
	Audit      auditCmd      `cmd:"" help:"Show the audit trail: who logged in, or tried to, and what operators changed."`
	Backup     backupCmd     `cmd:"" help:"Copy the database file of a service, while it runs."`
	Login      loginCmd      `cmd:"" help:"Log in to a service and save the session."`
	Session    sessionCmd    `cmd:"" help:"Show the saved session."`
	Exec       execCmd       `cmd:"" help:"Run a program with the saved session in its environment."`
	Logout     logoutCmd     `cmd:"" help:"End the saved session."`
	Doctor     doctorCmd     `cmd:"" help:"Find out why a login fails: settings, network, certificate, clock, session."`
	Completion completionCmd `cmd:"" help:"Print a completion script for bash, zsh or fish."`
	Version    versionCmd    `cmd:"" help:"Print the version."`

	VersionFlag kong.VersionFlag `name:"version" help:"Print the version."`
}

// A build is what the Go toolchain knows of this program.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	System   string `json:"system"`
}

func thisBuild() build {
	b := build{Version: "unknown", Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Revision = s.Value
		}
	}
	return b
}

func (b build) String() string {
	return strings.Join(strings.Fields("neo "+b.Version+" "+b.Revision+" "+b.Go+" "+b.System), " ")
}

type versionCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func (versionCmd) Help() string {
	return `Example:
  neo version --json`
}

func (c *versionCmd) Run(t *terminal) error {
	b := thisBuild()
	return t.tell(c.JSON, b, b.String())
}

// terminal is what commands read from and write to.
type terminal struct {
	in       io.Reader
	out, err io.Writer
}

// A usageError is a mistake in flags, arguments or configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// usage makes an error exit with exitUsage; a nil error stays nil.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	t := &terminal{stdin, stdout, stderr}
	var cli commands
	exit := -1
	parser, err := kong.New(&cli,
		kong.Name("neo"),
		kong.Description(description),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exit = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.UsageOnError(),
		kong.Vars{"version": thisBuild().String()},
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(t),
	)
	if err != nil {
		panic(err) // the struct above is wrong
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if exit >= 0 { // help was printed
		return exit
	}
	if err != nil {
		about := "neo"
		var wrong *kong.ParseError
		if errors.As(err, &wrong) && wrong.Context != nil && wrong.Context.Selected() != nil {
			about += " " + wrong.Context.Selected().Path()
		}
		_, _ = fmt.Fprintf(stderr, "neo: %v\nneo: for help: %s --help\n", err, about)
		return exitUsage
	}
	if err := parsed.Run(); err != nil {
		var ran exitError
		if errors.As(err, &ran) {
			return int(ran)
		}
		_, _ = fmt.Fprintf(stderr, "neo: %s\n", strings.ReplaceAll(inFlags(err), "\n", "\n     "))
		return exitCode(err)
	}
	return exitDone
}

func exitCode(err error) int {
	var wrong usageError
	var e *neoapi.Error
	if errors.As(err, &wrong) || errors.Is(err, neoapi.ErrInvalidInput) {
		return exitUsage
	}
	if !errors.As(err, &e) {
		return exitFailed
	}
	for _, later := range []error{
		neoapi.ErrRateLimited, neoapi.ErrNetwork, neoapi.ErrUnavailable, neoapi.ErrOMSDown, neoapi.ErrTimeout,
	} {
		if errors.Is(err, later) {
			return exitLater
		}
	}
	for _, refused := range []error{
		neoapi.ErrAccessToken, neoapi.ErrWrongCredentials, neoapi.ErrWrongOTP, neoapi.ErrWrongMPIN, neoapi.ErrSessionEnded,
		neoapi.ErrWrongToken, neoapi.ErrLocked, neoapi.ErrIPNotAllowed,
	} {
		if errors.Is(err, refused) {
			return exitRefused
		}
	}
	return exitFailed
}
