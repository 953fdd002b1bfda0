// Command neo is the session service, its sandbox, and a client for the terminal.
//
// neo sandbox starts a service with a demo account; neo serve starts the real one;
// neo account, neo consumer and neo key manage its data, neo audit shows its trail;
// neo login, session, exec, profiles and logout use a service, and neo doctor
// examines one; neo order, positions, quote, watch and their siblings trade with its session. Each command has a file of its own here.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"neoapi/internal/argon2"
	"neoapi/internal/logqueue"
	"neoapi/internal/token"
)

// commands is the whole command line: commands, flags and help. The tag in is the
// group in which neo lists a command.
type commands struct {
	Sandbox   sandboxCmd   `cmd:"" in:"trade" help:"Start a service with a demo account and a readable OTP inbox."`
	Serve     serveCmd     `cmd:"" in:"service" help:"Start the session service; neo config checks its settings."`
	Config    configCmd    `cmd:"" help:"Check and show the configuration of the session service."`
	Account   accountCmd   `cmd:"" in:"service" help:"Add, change, list and remove accounts, and their sessions."`
	Consumer  consumerCmd  `cmd:"" in:"service" help:"Add, change, list and remove consumers (applications)."`
	Key       keyCmd       `cmd:"" in:"service" help:"List, rotate and remove signing keys; rotate the master key."`
	Audit     auditCmd     `cmd:"" in:"service" help:"Show who logged in, or tried to, and what operators changed."`
	Backup    backupCmd    `cmd:"" in:"service" help:"Copy the database file of a service, while it runs."`
	Login     loginCmd     `cmd:"" in:"trade" also:"logout" help:"Log in to a service and save the session."`
	Session   sessionCmd   `cmd:"" in:"trade" help:"Show the saved session; neo profiles lists all of them."`
	Order     orderCmd     `cmd:"" in:"trade" help:"Place, modify, cancel, show and list orders."`
	Positions positionsCmd `cmd:"" in:"trade" also:"trades, holdings, limits, margin" help:"List the day's positions."`
	Quote     quoteCmd     `cmd:"" in:"trade" also:"chain, candles, instruments" help:"Show quotes."`
	Watch     watchCmd     `cmd:"" in:"trade" also:"record" help:"Watch orders, positions or quotes as they change."`
	Exec      execCmd      `cmd:"" in:"trade" help:"Run a program with the saved session in its environment."`
	Doctor    doctorCmd    `cmd:"" in:"trade" help:"Find out why a login fails."`
	HelpCmd   helpCmd      `cmd:"" in:"program" name:"help" also:"completion, version" help:"Explain a command, or the exit codes."`

	// Named by the help of another command, so that neo alone fits a screen.
	Logout      logoutCmd      `cmd:"" help:"End the saved session."`
	Profiles    profilesCmd    `cmd:"" help:"List the profiles: whose sessions are saved, and until when."`
	Trades      tradesCmd      `cmd:"" help:"List the day's fills."`
	Holdings    holdingsCmd    `cmd:"" help:"List the shares that are held."`
	Limits      limitsCmd      `cmd:"" help:"Show the account's money."`
	Margin      marginCmd      `cmd:"" help:"Show what an order would need."`
	Chain       chainCmd       `cmd:"" help:"Show an option chain, or its expiries."`
	Candles     candlesCmd     `cmd:"" help:"Show candles of an instrument."`
	Record      recordCmd      `cmd:"" help:"Record the market feed, for neo sandbox --market."`
	Instruments instrumentsCmd `cmd:"" help:"Search today's scrip master."`
	Completion  completionCmd  `cmd:"" help:"Print a completion script for bash, zsh or fish."`
	Version     versionCmd     `cmd:"" help:"Print the version."`

	VersionFlag versionFlag `name:"version" help:"Print the version."`
}

// A build is what the Go toolchain recorded about this program.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	System   string `json:"system"`
	Hash     string `json:"hash_kernel,omitempty"` // see [argon2.Kernel]
	Signer   string `json:"signer,omitempty"`      // see [token.Signer]
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

// tell prints which program this is, and what computes its hashes and signatures here.
func (c versionCmd) tell(out io.Writer) error {
	b := thisBuild()
	b.Hash, b.Signer = argon2.Kernel(), token.Signer()
	if c.JSON {
		return writeJSON(out, b)
	}
	_, err := fmt.Fprintf(out, "%s\nhash kernel %s\nsigner %s\n", b, b.Hash, b.Signer)
	return err
}

// versionFlag is neo --version.
type versionFlag bool

// BeforeReset prints the version in place of everything else.
func (versionFlag) BeforeReset(app *kong.Kong) error {
	err := versionCmd{}.tell(app.Stdout)
	if err == nil {
		app.Exit(exitDone)
	}
	return err
}

func (versionCmd) Help() string {
	return `Example:
  neo version --json`
}

func (c *versionCmd) Run(t *terminal) error { return c.tell(t.out) }

// terminal is what commands read from and write to.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	login    string // the command that logs in again, ready to paste
	queues   []*logqueue.Queue
}

func main() {
	log.SetOutput(io.Discard) // net/http logs what servers send unasked, which may contain a secret
	ctx, stop := untilSignal(context.Background())
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// duration decodes a duration in place of kong's mapper, which reports a mistake
// twice.
func duration(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("time", &text); err != nil {
		return err
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("must be a time such as 10m or 24h, not %q", text)
	}
	target.SetInt(int64(d))
	return nil
}

// negative is an argument that a parser takes for a flag.
var negative = regexp.MustCompile(`^(unknown flag|--\S+: expected .* value but got) "?(-[\d.]+)`)

// plainly returns a parser's error in plain words.
func plainly(wrong *kong.ParseError) error {
	node := wrong.Context.Model.Node
	if selected := wrong.Context.Selected(); selected != nil {
		node = selected
	}
	said := wrong.Error()
	if given, unexpected := strings.CutPrefix(said, "unexpected argument "); unexpected && len(node.Children) > 0 {
		return errors.New("there is no command " + strings.TrimSpace(node.Path()+" "+given))
	}
	if m := negative.FindStringSubmatch(said); m != nil {
		return errors.New(m[2] + " is negative: numbers and amounts here are above 0")
	}
	if strings.HasPrefix(said, "missing flags: ") {
		missing := "missing arguments:"
		for _, arg := range node.Positional {
			if arg.Required && !arg.Set {
				missing += " <" + arg.Name + ">"
			}
		}
		if strings.HasSuffix(missing, ">") {
			return errors.New(missing + "; " + said)
		}
	}
	return wrong
}

// run is the whole program.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	t := &terminal{in: stdin, out: stdout, err: stderr, login: "neo login"}
	defer t.flush()
	var cli commands
	exit := -1
	parser, err := kong.New(&cli,
		kong.Name("neo"),
		kong.Help(help),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exit = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.UsageOnError(),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(t),
		kong.NamedMapper("path", kong.MapperFunc(decodePath)),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(duration)),
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
	var unwritten *fs.PathError
	if errors.As(err, &unwritten) && unwritten.Op == "write" { // the help, or the version
		_, _ = fmt.Fprintf(stderr, "neo: %v\n", unwritten)
		return exitFailed
	}
	if err != nil {
		about, wrong := "neo", (*kong.ParseError)(nil)
		if errors.As(err, &wrong) && wrong.Context != nil {
			if selected := wrong.Context.Selected(); selected != nil {
				about += " " + selected.Path()
			}
			err = plainly(wrong)
			if askedJSON(wrong.Context, args) {
				t.fail(err, exitUsage, true)
				return exitUsage
			}
		}
		t.note(inFlags(err))
		t.note("for help: " + about + " --help")
		return exitUsage
	}
	if err := parsed.Run(); err != nil {
		code := exitCode(ctx, err)
		if !silent(ctx, err) {
			t.fail(err, code, asJSON(parsed))
		}
		return code
	}
	return exitDone
}
