package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"neoapi"
)

// maxSessionFile is far above what a session takes, in bytes.
const maxSessionFile = 1 << 20

// fileFlag names the file that holds the session.
type fileFlag struct {
	Profile string `env:"NEO_PROFILE" placeholder:"NAME" help:"Keep this session under a name, for several accounts."`
	Path    string `name:"session" env:"NEO_SESSION" placeholder:"FILE" help:"File that keeps the session, readable by you alone; default: neo/session.json where your settings live."`
}

// savedLogin is what the file holds: enough to use the session and to end it.
type savedLogin struct {
	Environment string
	ConsumerKey string
	AccessToken string
	Session     neoapi.Session
}

// savedFile is savedLogin in the file's form.
type savedFile struct {
	Environment string          `json:"environment"`
	ConsumerKey string          `json:"consumerKey"`
	AccessToken string          `json:"accessToken,omitempty"`
	Session     json.RawMessage `json:"session"`
}

func (f fileFlag) path() (string, error) {
	if f.Path != "" {
		return filepath.Abs(f.Path)
	}
	if !profileForm.MatchString(f.Profile) {
		return "", usage(errors.New("--profile: a name is up to 32 letters, digits, dots, dashes and underscores, and begins with a letter or digit"))
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("no place to keep the session: %w; give --session FILE", err)
	}
	name := "session.json"
	if f.Profile != "" {
		name = "session-" + f.Profile + ".json"
	}
	return filepath.Join(dir, "neo", name), nil
}

// profileForm is what a profile may be called: it becomes part of a file's name.
var profileForm = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]{0,31})?$`)

// save writes the file in one step, so that a reader sees the old one or the new
// one, with mode 0600.
func (f fileFlag) save(s savedLogin) (path string, err error) {
	if path, err = f.path(); err != nil {
		return "", err
	}
	session, err := s.Session.Export()
	if err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(savedFile{s.Environment, s.ConsumerKey, s.AccessToken, session}, "", "  ")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".session-*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = tmp.Write(append(text, '\n'))
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(tmp.Name()))
	}
	return path, nil
}

// load reads the file. One that others may read is refused.
func (f fileFlag) load() (savedLogin, string, error) {
	path, err := f.path()
	if err != nil {
		return savedLogin{}, "", err
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return savedLogin{}, path, usage(fmt.Errorf("there is no saved session at %s: run neo login", path))
	}
	if err != nil {
		return savedLogin{}, path, err
	}
	if !info.Mode().IsRegular() {
		return savedLogin{}, path, usage(fmt.Errorf("%s is not a file", path))
	}
	if info.Mode().Perm()&0o077 != 0 {
		return savedLogin{}, path, usage(fmt.Errorf("others may read %s (mode %o): run chmod 600 on it, and log out if they have", path, info.Mode().Perm()))
	}
	if info.Size() > maxSessionFile {
		return savedLogin{}, path, usage(fmt.Errorf("%s is no session that neo login saved", path))
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return savedLogin{}, path, err
	}
	var file savedFile
	var session neoapi.Session
	if err = json.Unmarshal(text, &file); err == nil {
		session, err = neoapi.ParseSession(file.Session)
	}
	if err != nil {
		return savedLogin{}, path, usage(fmt.Errorf("%s is no session that neo login saved", path))
	}
	return savedLogin{file.Environment, file.ConsumerKey, file.AccessToken, session}, path, nil
}

type sessionCmd struct {
	JSON    bool     `name:"json" help:"Print the session as JSON, token included."`
	Watch   bool     `help:"Show the time that is left, until the session ends."`
	Session fileFlag `embed:""`
}

func (sessionCmd) Help() string {
	return `Examples:
  neo session
  neo session --json | jq -r .token
  neo session --watch

A session that has ended is shown all the same, with exit code 3.`
}

func (c *sessionCmd) Run(ctx context.Context, t *terminal) error {
	saved, path, err := c.Session.load()
	if err != nil {
		return err
	}
	if c.Watch {
		return watch(ctx, t, saved.Session)
	}
	if err := printSession(t, saved.Session, c.JSON, path); err != nil {
		return err
	}
	if ended(saved.Session) {
		return &neoapi.Error{Op: "session", Category: neoapi.ErrSessionEnded, Message: "this session has ended: run neo login"}
	}
	return nil
}

// watch shows the time that is left of a session, on one line of a terminal or on
// a new line each minute, until it ends.
func watch(ctx context.Context, t *terminal, s neoapi.Session) error {
	if s.ExpiresAt.IsZero() {
		return errors.New("the session's token does not tell when it ends")
	}
	f, isFile := t.out.(*os.File)
	onTerminal := isFile && term.IsTerminal(int(f.Fd()))
	every := time.Minute
	if onTerminal {
		every = time.Second
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for !ended(s) {
		left := time.Until(s.ExpiresAt).Round(time.Second)
		if onTerminal {
			_, _ = fmt.Fprintf(t.out, "\r%s: %s left \x1b[K", printable(s.UCC), left)
		} else {
			_, _ = fmt.Fprintf(t.out, "%s: %s left\n", printable(s.UCC), left)
		}
		select {
		case <-tick.C:
		case <-time.After(time.Until(s.ExpiresAt)):
		case <-ctx.Done():
			_, _ = fmt.Fprintln(t.out)
			return nil
		}
	}
	_, _ = fmt.Fprintln(t.out)
	return &neoapi.Error{Op: "session", Category: neoapi.ErrSessionEnded, Message: "this session has ended: run neo login"}
}

// writable tells, before a code is spent, whether the file can be saved.
func (f fileFlag) writable() error {
	path, err := f.path()
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".session-*")
	if err != nil {
		return err
	}
	return errors.Join(tmp.Close(), os.Remove(tmp.Name()))
}

func ended(s neoapi.Session) bool { return !s.ExpiresAt.IsZero() && !time.Now().Before(s.ExpiresAt) }

// printSession prints a session as JSON with its token, or for a person without.
func printSession(t *terminal, s neoapi.Session, asJSON bool, path string) error {
	if asJSON {
		text, err := s.Export()
		if err != nil {
			return err
		}
		_, err = t.out.Write(text)
		return err
	}
	ends := "not known"
	if !s.ExpiresAt.IsZero() {
		left := "ended"
		if !ended(s) {
			left = "in " + time.Until(s.ExpiresAt).Round(time.Minute).String()
		}
		ends = s.ExpiresAt.Local().Format("2006-01-02 15:04:05 MST") + " (" + left + ")"
	}
	table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"account", s.UCC + " " + s.GreetingName}, {"sid", s.SID}, {"home server", s.HSServerID}, {"ends", ends}, {"saved in", path},
	} {
		if row[1] != "" {
			_, _ = fmt.Fprintf(table, "%s\t%s\n", row[0], printable(row[1]))
		}
	}
	return table.Flush()
}
