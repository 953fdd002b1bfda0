package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v4"

	"neoapi/internal/store/postgres"
)

// configFlag is the configuration file of neo serve: its keys are the names of the
// flags. A flag wins over the environment (NEO_ and the name, as in NEO_LISTEN), and
// the environment over the file.
type configFlag struct {
	Config string `env:"NEO_CONFIG" placeholder:"FILE" help:"Configuration file, YAML: the names of these flags and their values."`

	wrong error // what is wrong with the file, reported with all other problems
}

// BeforeResolve passes the environment and the file to kong, which calls it for the
// commands that have the flag.
func (f *configFlag) BeforeResolve(parsed *kong.Context) error {
	keys := map[string]bool{}
	path := os.Getenv("NEO_CONFIG") // kong has not read the environment yet
	for _, flag := range parsed.Selected().Flags {
		keys[flag.Name] = true
		if given, _ := parsed.FlagValue(flag).(string); flag.Name == "config" && given != "" {
			path = given
		}
	}
	values := map[string]any{}
	if path != "" {
		var err error
		if values, f.wrong, err = readConfig(path, keys); err != nil {
			return err
		}
	}
	parsed.AddResolver(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		if text, ok := os.LookupEnv(variable(flag.Name)); ok && keys[flag.Name] {
			return text, nil
		}
		return values[flag.Name], nil
	}))
	return nil
}

// variable returns the environment variable of a setting.
func variable(name string) string {
	return "NEO_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// notInFile are flags that are not settings.
var notInFile = []string{"config", "help", "version", "json"}

// readConfig reads a configuration file. Problems with single settings are returned
// in wrong, and those settings are omitted. Paths in the file are relative to its
// directory.
func readConfig(path string, keys map[string]bool) (values map[string]any, wrong, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("configuration file: %w", err)
	}
	values = map[string]any{}
	documents := yaml.NewDecoder(bytes.NewReader(text))
	if err = documents.Decode(&values); err == nil && !errors.Is(documents.Decode(new(any)), io.EOF) { // a second document must not be ignored
		err = errors.New("it has a second YAML document, after a line ---: remove that")
	}
	if err != nil && !errors.Is(err, io.EOF) { // all of it comments, perhaps
		return nil, nil, fmt.Errorf("configuration file %s: it must be YAML, such as \"listen: 127.0.0.1:9155\", one setting a line: %w", path, err)
	}
	var problems []error
	for _, key := range sorted(values) {
		switch v := values[key].(type) {
		case nil:
			problems = append(problems, fmt.Errorf("%s: %s has no value", path, key))
		case map[string]any:
			problems = append(problems, fmt.Errorf("%s: %s: a value is expected, not further keys", path, key))
			delete(values, key)
		case string:
			prefix := ""
			if key == "admin" {
				var local bool
				if v, local = strings.CutPrefix(v, "unix:"); !local {
					continue // an address
				}
				prefix = "unix:"
			}
			if slices.Contains(pathSettings, key) && v != "" && !filepath.IsAbs(v) {
				values[key] = prefix + filepath.Join(filepath.Dir(path), v)
			}
		case []any:
		default: // kong reads text
			values[key] = fmt.Sprint(v)
		}
		if !keys[key] || slices.Contains(notInFile, key) {
			problems = append(problems, fmt.Errorf("%s: unknown setting %s: neo serve --help lists them all", path, key))
		}
	}
	if database, ok := values["database"].(string); ok {
		problems = append(problems, keepsPassword(path, database))
	}
	return values, errors.Join(problems...), nil
}

// pathSettings are the settings that name files.
var pathSettings = []string{"data", "tls-cert", "tls-key", "couriers", "oms", "calendar", "admin", "admin-ca"}

// keepsPassword refuses a file that others may read if the database's URL in it
// holds a password.
func keepsPassword(path, database string) error {
	secret, err := postgres.HasPassword(database)
	if err != nil || !secret {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("database: the URL contains a password, and the file is readable by other users: run chmod 600 %s", path)
	}
	return nil
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Report everything that is wrong with a configuration, without starting."`
	Show  configShowCmd  `cmd:"" help:"Show the settings in force and where each comes from."`
}

type configCheckCmd struct {
	serveCmd
	JSON bool `name:"json" help:"Print JSON."`
}

func (configCheckCmd) Help() string {
	return `Takes the flags, environment and file of neo serve, reads the files they name, and
opens the master key and the database, without changing anything: run it as the
service's user. It lists what it did not check.`
}

func (c *configCheckCmd) Run(ctx context.Context, t *terminal) error {
	_, err := c.settings(t)
	first, lerr := c.place(c.Data).Look(ctx)
	if err != nil {
		return usage(errors.Join(err, lerr))
	}
	if lerr != nil {
		return ofStore(usage(lerr))
	}
	if c.JSON {
		return t.json(checkedConfig{true, first, c.unseen()})
	}
	said := "The configuration is valid.\n"
	if first != "" {
		said += "Note: " + printable(first) + ".\n"
	}
	_, err = fmt.Fprintf(t.out, "%sNot checked: %s.\n", said, printable(strings.Join(c.unseen(), "; ")))
	return err
}

// A checkedConfig is what neo config check prints with --json.
type checkedConfig struct {
	Good   bool     `json:"good"`
	Note   string   `json:"note,omitempty"`
	Unseen []string `json:"notLookedAt"`
}

// unseen returns what a check does not cover: what only others know, or what checking
// would change.
func (c *configCheckCmd) unseen() []string {
	all := []string{"whether " + c.Listen + " is free"}
	for _, x := range []struct{ given, what string }{
		{c.Metrics, "whether " + c.Metrics + " is free, for metrics"},
		{c.Admin, "whether " + c.Admin + " is free, for operators"},
		{c.Couriers, "whether the couriers' gateways and mail servers answer"},
		{c.OMS, "whether the OMS answers"},
		{c.TradeAPI, "whether the trade API answers"},
		{c.PublicURL, "whether clients can reach " + c.PublicURL},
		{os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"), "whether the trace collector answers"},
	} {
		if x.given != "" {
			all = append(all, x.what)
		}
	}
	return all
}

type configShowCmd struct {
	serveCmd
	JSON bool `name:"json" help:"Print JSON: of each setting its value and where it comes from."`
}

func (configShowCmd) Help() string {
	return `Takes the flags, environment and file of neo serve. The output is a configuration
file; a password in a URL is replaced by "xxxxx".`
}

func (c *configShowCmd) Run(_ context.Context, parsed *kong.Context, t *terminal) error {
	if c.wrong != nil {
		return usage(c.wrong)
	}
	all := inForce(parsed)
	if !c.JSON {
		return show(t.out, all)
	}
	byName := map[string]setting{}
	for _, s := range all {
		byName[s.name] = s
	}
	return t.json(byName)
}

// A setting is a setting in force, without passwords.
type setting struct {
	name  string
	Value any    `json:"value"`
	From  string `json:"from"` // flag, file, default, or a variable's name
}

// inForce returns the settings in the order of the flags.
func inForce(parsed *kong.Context) (all []setting) {
	from := map[string]string{}
	for _, p := range parsed.Path {
		if p.Flag == nil {
			continue
		}
		_, env := os.LookupEnv(variable(p.Flag.Name))
		switch {
		case !p.Resolved:
			from[p.Flag.Name] = "flag"
		case env:
			from[p.Flag.Name] = variable(p.Flag.Name)
		default:
			from[p.Flag.Name] = "file"
		}
	}
	for _, flag := range parsed.Selected().Flags {
		if slices.Contains(notInFile, flag.Name) {
			continue
		}
		value := parsed.FlagValue(flag)
		if text, ok := value.(string); ok && strings.Contains(text, "://") {
			value = withoutPassword(text)
		}
		if list, ok := value.([]string); ok && list == nil {
			value = []string{} // not null, which is not a list
		}
		all = append(all, setting{flag.Name, value, cmp.Or(from[flag.Name], "default")})
	}
	return all
}

// show prints each setting as a line of a configuration file, with the source of its
// value.
func show(w io.Writer, all []setting) error {
	for _, s := range all {
		text, err := json.Marshal(s.Value) // valid YAML, on one line
		if err != nil {
			return err
		}
		line := s.name + ": " + string(text)
		if slices.Contains([]string{`""`, "[]", "null"}, string(text)) { // which the file does not accept
			line = "# " + line
		}
		if _, err := fmt.Fprintf(w, "%-50s # %s\n", line, s.From); err != nil {
			return err
		}
	}
	return nil
}

// withoutPassword masks passwords in a URL.
func withoutPassword(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "(not readable)"
	}
	q, secret := u.Query(), u.User != nil
	for name := range q {
		if strings.Contains(strings.ToLower(name), "password") { // sslpassword is one too
			q.Set(name, "xxxxx")
			u.RawQuery, secret = q.Encode(), true
		}
	}
	if !secret {
		return text
	}
	return u.Redacted()
}
