package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"neoapi"
)

// fileFlag names the session's file.
type fileFlag struct {
	Profile string `env:"NEO_PROFILE" placeholder:"NAME" help:"The session of this name, for several accounts."`
	Path    string `name:"session" env:"NEO_SESSION" placeholder:"FILE" help:"File for the session, readable only by you; default: neo/session.json in your configuration directory."`
}

// AfterApply makes a flag win over the other flag's variable, as everywhere, and sets
// the login command that messages name.
func (f *fileFlag) AfterApply(parsed *kong.Context, t *terminal) error {
	given := map[string]bool{}
	for _, p := range parsed.Path {
		if p.Flag != nil && !p.Resolved {
			given[p.Flag.Name] = true
		}
	}
	switch {
	case given["profile"] && !given["session"]:
		f.Path = ""
	case given["session"] && !given["profile"]:
		f.Profile = ""
	}
	t.login = f.again()
	return nil
}

// savedLogin is the content of the file: a session as neoapi.FileStore keeps it, so
// that a program can use the same file, and what is needed to end it.
type savedLogin struct {
	neoapi.Session
	consumer
}

type consumer struct{ ConsumerKey, AccessToken string }

// The fields of the file besides the session's.
const (
	consumerKey = "consumerKey"
	accessToken = "accessToken"
)

func (f fileFlag) path() (string, error) {
	if f.Path != "" && f.Profile != "" {
		return "", usage(errors.New("--profile and --session (or NEO_PROFILE and NEO_SESSION) both say where the session is: give one"))
	}
	if f.Path != "" {
		return filepath.Abs(f.Path)
	}
	if !profileForm.MatchString(f.Profile) {
		return "", usage(errors.New("--profile: a name is up to 32 letters, digits, dots, dashes and underscores, and begins with a letter or digit"))
	}
	path, err := configFile("session", f.Profile)
	if err != nil {
		return "", fmt.Errorf("no place to keep the session: %w; give --session FILE", err)
	}
	return path, nil
}

// store returns the file, which a program's neoapi.FileStore can share.
func (f fileFlag) store() (*neoapi.FileStore, error) {
	path, err := f.path()
	if err != nil {
		return nil, err
	}
	return neoapi.NewFileStore(path)
}

// share makes the clients of a configuration count their requests together with the
// programs that use the file. At worst, without it more requests are refused.
func (f fileFlag) share(cfg neoapi.Config) {
	store, err := f.store()
	if err != nil {
		return
	}
	if client, err := neoapi.New(cfg); err == nil {
		_ = client.ShareRate(store) // all clients of the consumer share it
	}
}

// A noSession is the path at which no session is saved.
type noSession string

func (n noSession) Error() string {
	return fmt.Sprintf("there is no saved session at %s: run neo login", string(n))
}

// load reads the file. A file that other users can read is refused.
func (f fileFlag) load() (savedLogin, string, error) {
	store, err := f.store()
	if err != nil {
		return savedLogin{}, "", err
	}
	var saved savedLogin
	var more map[string]json.RawMessage
	if saved.Session, err = store.Load(context.Background()); err == nil {
		more, err = store.Fields(context.Background())
	}
	var e *neoapi.Error
	switch {
	case err == nil:
	case errors.Is(err, neoapi.ErrNotLoggedIn):
		return savedLogin{}, store.Path(), usage(noSession(store.Path()))
	case errors.Is(err, neoapi.ErrInvalidInput) && errors.As(err, &e):
		return savedLogin{}, store.Path(), usage(errors.New(e.Message))
	default:
		return savedLogin{}, store.Path(), err
	}
	for name, to := range map[string]*string{consumerKey: &saved.ConsumerKey, accessToken: &saved.AccessToken} {
		if value := more[name]; value != nil && json.Unmarshal(value, to) != nil {
			return savedLogin{}, store.Path(), usage(fmt.Errorf("%s: %s is not text: remove the file, and run neo login", store.Path(), name))
		}
	}
	if saved.ConsumerKey == "" {
		saved.ConsumerKey = f.knownKey(saved.Session)
	}
	return saved, store.Path(), nil
}

// knownKey returns the consumer key of a session that a program has saved, which a
// neoapi.FileStore does without it: that of the environment, or of the last login, if it
// is the session's; otherwise "".
func (f fileFlag) knownKey(s neoapi.Session) string {
	if key := os.Getenv("NEO_CONSUMER_KEY"); key != "" {
		if isOf(s, key) {
			return key
		}
		return ""
	}
	if p, err := f.remembered(); err == nil && sameService(p.Environment, s.Environment) && isOf(s, p.ConsumerKey) {
		return p.ConsumerKey
	}
	return ""
}

// isOf reports whether a client with a consumer key may use a session: one that does not
// say whose it is may be anybody's.
func isOf(s neoapi.Session, key string) bool {
	client, err := neoapi.New(neoapi.Config{Environment: neoapi.Environment(s.Environment), ConsumerKey: key, InsecureHTTP: true})
	if err != nil {
		return false
	}
	err = client.Use(s)
	return err == nil || errors.Is(err, neoapi.ErrSessionEnded)
}

// lacks returns what keeps a saved session from being used, and what to do: nothing if
// neo login saved it.
func (s savedLogin) lacks(path string) error {
	switch {
	case s.Environment == "":
		return usage(fmt.Errorf("the session in %s does not say which service it belongs to: run neo login", path))
	case s.ConsumerKey != "":
		return nil
	case os.Getenv("NEO_CONSUMER_KEY") != "":
		return usage(fmt.Errorf("NEO_CONSUMER_KEY is not the consumer key of the session in %s, which a program saved: set it to that program's, or run neo login", path))
	}
	return usage(fmt.Errorf("a program saved the session in %s, without its consumer key: set NEO_CONSUMER_KEY to that program's, or run neo login", path))
}

type sessionCmd struct {
	JSON    bool     `name:"json" help:"Print the session as JSON, token included; with --watch one object a line, without the token."`
	Watch   bool     `help:"Show the remaining time, until the session ends."`
	Session fileFlag `embed:""`
}

func (sessionCmd) Help() string {
	return `Examples:
  neo session
  neo session --json | jq -r .token
  neo session --watch
  neo session --watch --json | jq .secondsLeft

It only reads the file; neo doctor asks whether the service still knows the session.
A session that has expired is shown too, with exit code 3.`
}

func (c *sessionCmd) Run(ctx context.Context, t *terminal) error {
	saved, path, err := c.Session.load()
	if err != nil {
		return err
	}
	if c.Watch {
		return c.watch(ctx, t, saved.Session)
	}
	if err := printSession(t, saved.Session, c.JSON, path); err != nil {
		return err
	}
	if ended(saved.Session) {
		return sessionEnded("session")
	}
	return nil
}

// sessionEnded returns the error for a saved session that has ended, without asking the service.
func sessionEnded(op string) error {
	return &neoapi.Error{Op: op, Category: neoapi.ErrSessionEnded, Message: "this session has ended: run neo login"}
}

// A remaining is what neo session --watch --json prints on each line.
type remaining struct {
	UCC       string    `json:"ucc"`
	ExpiresAt time.Time `json:"expiresAt"`
	Seconds   int64     `json:"secondsLeft"`
	Ended     bool      `json:"ended"`
}

// watch shows a session's remaining time, on one line of a terminal or on a new line
// each minute, until it ends.
func (c *sessionCmd) watch(ctx context.Context, t *terminal, s neoapi.Session) error {
	if s.Ends().IsZero() {
		return errors.New("the session's token does not say when it ends")
	}
	every, show := time.Minute, func(left time.Duration) error {
		_, err := fmt.Fprintf(t.out, "%s: %s left\n", printable(s.UCC), left)
		return err
	}
	overwrites := t.onTerminal() && !c.JSON
	switch {
	case c.JSON:
		show = func(left time.Duration) error {
			return t.json(remaining{s.UCC, s.Ends().UTC(), int64(left.Seconds()), left <= 0})
		}
	case overwrites:
		every, show = time.Second, func(left time.Duration) error {
			_, err := fmt.Fprintf(t.out, "\r%s: %s left \x1b[K", printable(s.UCC), left)
			return err
		}
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for !ended(s) {
		if err := show(time.Until(s.Ends()).Round(time.Second)); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-time.After(time.Until(s.Ends())):
		case <-ctx.Done():
			if overwrites {
				_, _ = fmt.Fprintln(t.out)
			}
			return nil
		}
	}
	switch {
	case c.JSON:
		if err := show(0); err != nil {
			return err
		}
	case overwrites:
		_, _ = fmt.Fprintln(t.out)
	}
	return sessionEnded("session")
}

func ended(s neoapi.Session) bool { return !s.Ends().IsZero() && !time.Now().Before(s.Ends()) }

// printSession prints a session as JSON with its token, or for people without it.
func printSession(t *terminal, s neoapi.Session, asJSON bool, path string) error {
	if asJSON {
		s.Owner = "" // only for the file
		text, err := s.Export()
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(t.out, printableLines(string(text)))
		return err
	}
	ends := "not known"
	if !s.Ends().IsZero() {
		left := "ended"
		if !ended(s) {
			left = "in " + time.Until(s.Ends()).Round(time.Minute).String()
		}
		ends = shownTime(s.Ends()) + " (" + left + ")"
	}
	table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"account", s.UCC + " " + s.GreetingName}, {"sid", s.SID}, {"home server", s.HSServerID}, {"ends", ends}, {"saved in", path},
	} {
		if row[1] == "" {
			continue
		}
		value := printable(row[1])
		if row[0] == "ends" && ended(s) {
			value = t.paint(red, value)
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\n", row[0], value)
	}
	return table.Flush()
}
