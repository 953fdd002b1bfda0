package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"neoapi"
)

type doctorCmd struct {
	Env                string `name:"env" env:"NEO_ENV" placeholder:"uat|prod|URL" help:"The service; by default that of the saved session, or of the last login."`
	ConsumerKey        string `env:"NEO_CONSUMER_KEY" help:"Consumer key of the application; by default that of the saved session, or of the last login."`
	ConsumerSecretFile string `type:"path" placeholder:"FILE" help:"File with the consumer secret; - for standard input. Or set NEO_CONSUMER_SECRET. Without it no access token is requested."`
	wayFlags
	Mobile  string   `help:"Mobile number to check."`
	UCC     string   `name:"ucc" help:"UCC to check."`
	PANFile string   `name:"pan-file" type:"path" placeholder:"FILE" help:"File with a PAN to check; - for standard input."`
	JSON    bool     `name:"json" help:"Print JSON."`
	Session fileFlag `embed:""`
}

func (doctorCmd) Help() string {
	return `Examples:
  neo doctor
  neo doctor --env prod --consumer-key KEY --mobile 9876543210 --ucc AB1234
  neo doctor --profile wife --json | jq '.findings[] | select(.verdict == "FAILED")'

Checks the form of the settings, the way to the service (name, connection,
certificate), this machine's clock against the service's, the access token, the
saved session, and the address that the service sees. It does not log in, uses up
no code and prompts for nothing.

The report contains no secrets, so it can be shared; it does contain addresses.

Exit codes: 0 if nothing has failed, else that of the first failure: 2 settings or
the session's file, 3 refused by the service, 4 the service cannot be reached, 1
anything else, such as the clock.`
}

// A report is what neo doctor prints with --json.
type report struct {
	Program  build            `json:"program"`
	Findings []neoapi.Finding `json:"findings"`
}

func (c *doctorCmd) Run(ctx context.Context, t *terminal) error {
	r := report{Program: thisBuild()}
	p, _ := c.Session.profile() // without a profile there are flags
	if c.Env == "" || sameService(c.Env, p.Environment) {
		c.CA = cmp.Or(c.CA, p.CA)
	} else {
		p.ConsumerKey = ""
		if c.accepts(c.Env) { // an unknown address may contain a password
			t.login += " --env " + quoted(c.Env)
		}
	}
	t.login = withoutHome(t.login)
	saved, found := c.savedSession(t.login)
	var notFlags []error // problems with files
	cfg, err := c.config(cmp.Or(c.Env, saved.Environment, p.Environment), cmp.Or(c.ConsumerKey, saved.ConsumerKey, p.ConsumerKey))
	if saved.Consumer != "" && c.another(saved) {
		found.Verdict, found.Detail = neoapi.VerdictNote, found.Detail+": its session belongs to another service or consumer key, and was not checked"
		saved = savedLogin{}
	}
	r.Findings = append(r.Findings, found)
	notFlags = append(notFlags, err)
	if c.ConsumerSecretFile != "" || os.Getenv("NEO_CONSUMER_SECRET") != "" {
		cfg.ConsumerSecret, err = t.secret(ctx, consumerSecret(c.ConsumerSecretFile))
		notFlags = append(notFlags, err)
	}
	if cfg.ConsumerSecret == "" && saved.Consumer != "" {
		cfg.AccessToken = saved.AccessToken
	}
	about := neoapi.Subject{Mobile: c.Mobile, UCC: c.UCC, Session: saved.Session}
	if c.PANFile != "" {
		about.PAN, err = t.readLine("PAN", c.PANFile)
		notFlags = append(notFlags, err)
	}
	if err := errors.Join(notFlags...); err != nil {
		return err
	}
	c.Session.share(cfg)
	for _, f := range neoapi.Diagnose(ctx, cfg, about) {
		r.Findings = append(r.Findings, inShellsWords(f, found, t.login))
	}
	if err := c.print(t, r); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return r.ailing()
}

// inShellsWords returns a finding of the client in the words of the command line. file
// is the finding about the saved session's file, login the command that logs in again.
func inShellsWords(f, file neoapi.Finding, login string) neoapi.Finding {
	if e, ok := errors.AsType[*neoapi.Error](f.Err); ok {
		if len(e.Problems) > 0 {
			f.Detail = flagProblems(e)
		}
		if f.Hint != "" {
			f.Hint = shellHint(e)
		}
	}
	switch {
	case f.Check == "access token": // no flag gives one
		f.Detail = strings.Replace(f.Detail, "the given one", "the saved session's", 1)
	case f.Check == "session" && f.Verdict == neoapi.VerdictSkipped && file.Verdict == neoapi.VerdictFailed:
		f.Detail = "its file cannot be used"
	case f.Check == "session" && f.Verdict == neoapi.VerdictFailed:
		why := strings.TrimPrefix(strings.TrimPrefix(f.Hint, "log in again: "), "run neo login")
		f.Hint = strings.TrimSpace(why + "\nlog in again: " + login)
	}
	return f
}

// ailing returns the error that says how many checks have failed, or nil.
func (r report) ailing() error {
	var failed []neoapi.Finding
	for _, f := range r.Findings {
		if f.Verdict == neoapi.VerdictFailed {
			failed = append(failed, f)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return ailing{len(failed), failed[0].Err}
}

// another reports whether flags or environment ask about another service or consumer
// than the saved session's.
func (c *doctorCmd) another(saved savedLogin) bool {
	return c.Env != "" && !sameService(c.Env, saved.Environment) ||
		c.ConsumerKey != "" && !isOf(saved.Session, c.ConsumerKey)
}

// An ailing reports that checks have failed; the first one decides the exit code.
type ailing struct {
	failed int
	first  error
}

func (a ailing) Error() string {
	if a.failed == 1 {
		return "1 check failed"
	}
	return fmt.Sprintf("%d checks failed", a.failed)
}

func (a ailing) Unwrap() error { return a.first }

// savedSession loads the session, if there is one, and reports on its file.
func (c *doctorCmd) savedSession(login string) (savedLogin, neoapi.Finding) {
	saved, path, err := c.Session.load()
	f := neoapi.Finding{Check: "session file", Verdict: neoapi.VerdictGood}
	var none noSession
	switch {
	case errors.As(err, &none):
		f.Verdict, f.Detail = neoapi.VerdictNote, withoutHome(path)+" does not exist: "+login+" creates it"
	case err != nil:
		f.Verdict, f.Detail, f.Err = neoapi.VerdictFailed, withoutHome(inFlags(err)), err
	default:
		f.Detail = withoutHome(path) + ", readable only by you"
	}
	return saved, f
}

// withoutHome replaces the home directory, which contains a user's name, by ~.
func withoutHome(text string) string {
	if home, err := os.UserHomeDir(); err == nil && len(home) > 1 {
		home += string(os.PathSeparator)
		text = strings.NewReplacer("'"+home, "~"+string(os.PathSeparator)+"'", home, "~"+string(os.PathSeparator)).Replace(text) // a shell expands ~ only outside quotes
	}
	return text
}

func (c *doctorCmd) print(t *terminal, r report) error {
	if c.JSON {
		return t.json(r)
	}
	const indent = 23 // where details begin: after a verdict and the name of a check
	columns, below := width(t.out), indent
	if columns > 0 && columns < 2*indent { // too narrow for two columns
		below = 4
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s\n\n", wrap(r.Program.String(), columns, 4))
	colours := map[neoapi.Verdict]string{neoapi.VerdictGood: green, neoapi.VerdictNote: yellow, neoapi.VerdictFailed: red}
	for _, f := range r.Findings {
		head := fmt.Sprintf("%-7s  %-12s  ", f.Verdict, f.Check)
		text := wrap(head+printable(f.Detail), columns, below)
		if below < indent {
			text = strings.TrimRight(head, " ") + "\n" + wrap(strings.Repeat(" ", below)+printable(f.Detail), columns, below)
		}
		if colour := colours[f.Verdict]; colour != "" {
			text = t.paint(colour, text[:7]) + text[7:]
		}
		out.WriteString(text + "\n")
		for hint := range strings.SplitSeq(f.Hint, "\n") {
			if hint != "" {
				out.WriteString(wrap(strings.Repeat(" ", below)+printable(hint), columns, below) + "\n")
			}
		}
	}
	_, err := fmt.Fprint(t.out, out.String())
	return err
}
