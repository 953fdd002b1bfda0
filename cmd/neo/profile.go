package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"neoapi/internal/private"
)

// A profile is what neo login remembers besides the session, so that it need not be
// typed again: the service, the application and the user. It contains no secret.
type profile struct {
	Environment string `json:"environment"`
	ConsumerKey string `json:"consumerKey"`
	Mobile      string `json:"mobile,omitempty"`
	UserID      string `json:"userId,omitempty"`
	PAN         bool   `json:"pan,omitempty"` // by PAN, which is prompted for
	UCC         string `json:"ucc,omitempty"` // of a login by TOTP
	CA          string `json:"ca,omitempty"`
}

// maxProfile is far above the size of a profile, in bytes.
const maxProfile = 1 << 16

// profileForm matches the names of profiles, which become part of file names.
var profileForm = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]{0,31})?$`)

// configFile returns the path of a file of this program: the profile or session of a named profile.
func configFile(kind, name string) (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", err
	}
	if name != "" {
		kind += "-" + name
	}
	return filepath.Join(dir, "neo", kind+".json"), nil
}

// remembered returns what the last login has left in the profile: nothing for a file
// named by --session.
func (f fileFlag) remembered() (p profile, err error) {
	if path, err := configFile("profile", f.Profile); err == nil && f.Path == "" {
		text, err := private.Read(path, maxProfile)
		switch {
		case err == nil && (json.Unmarshal(text, &p) != nil || p.Environment == ""):
			return profile{}, fmt.Errorf("%s was not written by neo login: remove it", path)
		case !errors.Is(err, fs.ErrNotExist):
			return p, err
		}
	}
	return p, nil
}

// profile returns what is remembered for the session's next login. If there is
// nothing, it is what the session says.
func (f fileFlag) profile() (profile, error) {
	p, err := f.remembered()
	if err != nil || p.Environment != "" {
		return p, err
	}
	if saved, _, err := f.load(); err == nil {
		p = profile{Environment: saved.Environment, ConsumerKey: saved.ConsumerKey}
	}
	return p, nil
}

// remember saves a profile for the next login. A file named by --session has none.
func (f fileFlag) remember(p profile) error {
	if f.Path != "" {
		return nil
	}
	path, err := configFile("profile", f.Profile)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return private.Write(path, append(text, '\n'))
}

// again returns the command that logs in to this session's place again, ready to paste.
func (f fileFlag) again() string {
	switch {
	case f.Path != "":
		return "neo login --session " + quoted(f.Path)
	case f.Profile != "":
		return "neo login --profile " + quoted(f.Profile)
	}
	return "neo login"
}

// plainWord matches words that a shell takes literally.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// quoted returns a word quoted for a shell.
func quoted(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// sameService reports whether two environments, as typed, are the same service.
func sameService(a, b string) bool {
	return strings.EqualFold(strings.TrimRight(a, "/"), strings.TrimRight(b, "/"))
}

// recall fills in what is remembered of the last login and not given now. The
// consumer key and the certificate belong to one service: for another they are not
// used.
func (c *loginCmd) recall(p profile) (recalled bool) {
	fill := func(into *string, value string) {
		if *into == "" && value != "" {
			*into, recalled = value, true
		}
	}
	fill(&c.Env, p.Environment)
	if sameService(c.Env, p.Environment) {
		fill(&c.ConsumerKey, p.ConsumerKey)
		fill(&c.CA, p.CA)
	}
	if c.Mobile != "" || c.UserID != "" || c.PAN || c.PANFile != "" {
		return recalled
	}
	fill(&c.Mobile, p.Mobile)
	if c.UCC != "" {
		return recalled
	}
	fill(&c.UserID, p.UserID)
	c.PAN = p.PAN
	if c.PasswordFile == "" && c.OTPCommand == "" {
		fill(&c.UCC, p.UCC)
	}
	return recalled || p.PAN
}

// profile returns what to remember of this login.
func (c *loginCmd) profile() profile {
	return profile{
		Environment: strings.TrimRight(c.Env, "/"), ConsumerKey: c.ConsumerKey,
		Mobile: c.Mobile, UserID: c.UserID, PAN: c.PAN, UCC: c.UCC, CA: c.CA,
	}
}

// who returns the user that a profile logs in as.
func (p profile) who() string {
	switch {
	case p.UCC != "":
		return p.UCC
	case p.Mobile != "":
		return p.Mobile
	case p.UserID != "":
		return p.UserID
	case p.PAN:
		return "by PAN"
	}
	return ""
}

type profilesCmd struct {
	JSON  bool `name:"json" help:"Print one JSON object a line."`
	Names bool `help:"Print the names alone, for a shell's completion."`
}

func (profilesCmd) Help() string {
	return `Examples:
  neo profiles
  neo login --profile wife

A profile keeps the session of one account and the settings of its last neo login:
service, consumer key, mobile number or user id, UCC. The next neo login with its
name needs none of them. Commands without --profile use the profile without a name.

It only reads files; neo doctor asks whether the service still knows a session.`
}

// profileView is a profile as neo profiles prints it.
type profileView struct {
	Name        string     `json:"name"`
	Environment string     `json:"environment,omitempty"`
	Account     string     `json:"account,omitempty"` // UCC, or who logs in
	Session     string     `json:"session"`           // valid, ended, none, unreadable
	ExpiresAt   *time.Time `json:"expiresAt,omitempty"`
	Problem     string     `json:"problem,omitempty"`
}

func (c *profilesCmd) Run(_ context.Context, t *terminal) error {
	names, err := profileNames()
	if err != nil {
		return err
	}
	if c.Names {
		names = slices.DeleteFunc(names, func(name string) bool { return name == "" })
		for _, name := range names {
			if _, err := fmt.Fprintln(t.out, name); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(t.lines(), 0, 0, 2, ' ', 0)
	if !c.JSON && len(names) > 0 {
		_, _ = fmt.Fprintln(table, "PROFILE\tACCOUNT\tSERVICE\tSESSION")
	}
	for _, name := range names {
		v := viewProfile(name)
		if c.JSON {
			if err := t.json(v); err != nil {
				return err
			}
			continue
		}
		session := v.Session
		switch {
		case v.Problem != "":
			session += ": " + printable(inShort(name, v.Problem))
		case v.ExpiresAt != nil:
			session = map[string]string{"valid": "until ", "ended": "ended "}[v.Session] + shownTime(*v.ExpiresAt)
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", cmp.Or(name, "(no name)"),
			printable(cmp.Or(v.Account, "-")), printable(cmp.Or(v.Environment, "-")), session)
	}
	if !c.JSON && len(names) == 0 {
		t.note("there are no profiles yet: neo login makes the first one")
	}
	return errors.Join(err, table.Flush())
}

// inShort shortens the problem of a profile: without the file, which follows from its
// name, and without the advice, which the commands that use it give.
func inShort(name, problem string) string {
	for _, kind := range []string{"session", "profile"} {
		path, _ := configFile(kind, name)
		at, _ := private.Resolve(path)
		for _, file := range []string{path, at} {
			problem = strings.ReplaceAll(problem, file, kind)
		}
	}
	for _, end := range []string{": run ", ": remove ", "; ", " (mode"} {
		problem, _, _ = strings.Cut(problem, end)
	}
	return problem
}

func viewProfile(name string) profileView {
	f := fileFlag{Profile: name}
	p, wrong := f.profile()
	v := profileView{Name: name, Environment: p.Environment, Account: p.who(), Session: "none"}
	saved, _, err := f.load()
	var none noSession
	if errors.As(err, &none) {
		saved, err = savedLogin{}, nil
	}
	if err = cmp.Or(err, wrong); err != nil {
		v.Session, v.Problem = "unreadable", inFlags(err)
	}
	if err != nil || saved.Token == "" {
		return v
	}
	v.Session, v.Account = "valid", cmp.Or(saved.UCC, v.Account)
	if ended(saved.Session) {
		v.Session = "ended"
	}
	if end := saved.Ends().UTC(); !end.IsZero() {
		v.ExpiresAt = &end
	}
	return v
}

// profileNames returns the names of all profiles; "" is the one without a name.
func profileNames() ([]string, error) {
	dir, err := configFile("", "")
	if err != nil {
		return nil, err
	}
	files, err := os.ReadDir(filepath.Dir(dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	names := map[string]bool{}
	for _, file := range files {
		base, isJSON := strings.CutSuffix(file.Name(), ".json")
		kind, name, named := strings.Cut(base, "-")
		if isJSON && (kind == "session" || kind == "profile") && profileForm.MatchString(name) && named == (name != "") {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}
