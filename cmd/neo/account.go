package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/operator"
	"neoapi/internal/paste"
	"neoapi/internal/serve"
)

type accountCmd struct {
	Add         accountAddCmd        `cmd:"" help:"Add an account."`
	List        accountListCmd       `cmd:"" help:"List the accounts."`
	Show        accountShowCmd       `cmd:"" help:"Show one account."`
	Set         accountSetCmd        `cmd:"" help:"Change where an account's one-time codes are sent."`
	SetPassword accountPasswordCmd   `cmd:"" help:"Change an account's password."`
	SetMPIN     accountMPINCmd       `cmd:"" name:"set-mpin" help:"Change or remove an account's MPIN."`
	EnrolTOTP   accountEnrolCmd      `cmd:"" name:"enrol-totp" help:"Give an account a new TOTP seed and show it once."`
	RemoveTOTP  accountRemoveTOTPCmd `cmd:"" name:"remove-totp" help:"Remove an account's TOTP seed."`
	Lock        accountLockCmd       `cmd:"" help:"Lock an account and end its sessions."`
	Unlock      accountUnlockCmd     `cmd:"" help:"Unlock an account that an operator or too many wrong tries have locked."`
	Sessions    accountSessionsCmd   `cmd:"" help:"List an account's live sessions."`
	Revoke      accountRevokeCmd     `cmd:"" help:"End one of an account's sessions, or all."`
	Caches      accountCachesCmd     `cmd:"" help:"Show or set when an account's data sets last changed."`
	Import      accountImportCmd     `cmd:"" help:"Add the accounts of another system from a CSV file."`
	Export      accountExportCmd     `cmd:"" help:"Print everything stored about a person, or about all accounts for an audit, without secrets."`
	Erase       accountEraseCmd      `cmd:"" help:"Erase a person on request; a pseudonym stays in the audit trail."`
	Remove      accountRemoveCmd     `cmd:"" help:"Remove an account and end its sessions."`
}

type accountAddCmd struct {
	changeFlag
	UCC    string `name:"ucc" required:"" help:"Unique client code."`
	UserID string `name:"user-id" required:"" help:"User id."`
	Mobile string `required:"" help:"Mobile number: ten digits, or with country code."`
	Name   string `help:"Greeting name."`
	reachFlags
	TOTP bool `name:"totp" help:"Make a TOTP seed and show it once, with a QR code on a terminal."`
	JSON bool `name:"json" help:"Print JSON, the TOTP seed included."`
}

// addedAccount is what neo account add prints with --json.
type addedAccount struct {
	accountView
	TOTPSeed string `json:"totpSeed,omitempty"`
	TOTPURL  string `json:"totpURL,omitempty"`
}

func (accountAddCmd) Help() string {
	return `Examples:
  neo account add --data /var/lib/neo --ucc AB1234 --user-id asha --mobile 9876543210 --name Asha
  printf 'password=%s\nmpin=%s\n' "$PASSWORD" "$MPIN" | neo account add --data /var/lib/neo --ucc AB1234 --user-id asha --mobile 9876543210

Password, MPIN and PAN are asked for without echo. When standard input is not a
terminal they are read from it: lines of password=..., mpin=... and pan=..., of
which only the password is required. An account without an MPIN can log in only
where the service sends one-time codes (neo serve --couriers).`
}

func (c *accountAddCmd) Run(ctx context.Context, t *terminal) error {
	n := operator.NewAccount{UCC: c.UCC, UserID: c.UserID, Mobile: c.Mobile, GreetingName: c.Name, Reach: c.reach()}
	if err := c.secrets(ctx, t, &n); err != nil {
		return usage(err)
	}
	if c.TOTP {
		n.TOTPSeed = credential.NewTOTPSeed()
	}
	return c.making(ctx, func(d *serve.Data) error {
		a, err := d.Admin().AddAccount(ctx, n)
		var bad *login.Error
		var taken *login.ExistsError
		switch {
		case errors.As(err, &bad):
			return usage(errors.New(inAddFlags(err)))
		case errors.As(err, &taken) && taken.There != nil:
			return fmt.Errorf("account %s already exists: nothing was added", taken.There.UCC)
		case errors.As(err, &taken):
			return fmt.Errorf("another account has this %s: nothing was added", taken.Field)
		case err != nil:
			return err
		}
		added := addedAccount{accountView: shownAccount(a, "")}
		if c.TOTP {
			added.TOTPSeed, added.TOTPURL = string(n.TOTPSeed), enrolment(a.UCC, string(n.TOTPSeed))
		}
		err = t.tell(c.JSON, added, "account "+a.UCC+" added, with "+strings.Join(factors(a), ", "))
		if c.TOTP && !c.JSON {
			err = t.showSeed(a.UCC, string(n.TOTPSeed))
		}
		if err != nil && c.TOTP {
			return fmt.Errorf("the account was added, but its TOTP seed could not be shown: remove the account and add it again: %w", err)
		}
		return err
	})
}

// inAddFlags describes what is wrong with an account in terms of the flags of neo
// account add. Secrets have no flags.
func inAddFlags(err error) string {
	problems := strings.Split(err.Error(), "\n")
	for i, problem := range problems {
		field, text, _ := strings.Cut(problem, ": ")
		switch flag := cmp.Or(fieldFlags[field], "--"+field); flag {
		case "--ucc", "--user-id", "--mobile", "--name", "--email", "--couriers":
			problems[i] = flag + ": " + text
		}
	}
	return strings.Join(problems, "\n")
}

// secrets reads what must not be given in a flag.
func (c *accountAddCmd) secrets(ctx context.Context, t *terminal, n *operator.NewAccount) error {
	if !t.interactive() {
		return readSecrets(t.in, map[string]*credential.Secret{"password": &n.Password, "mpin": &n.MPIN, "pan": &n.PAN})
	}
	for _, ask := range []struct {
		prompt string
		into   *credential.Secret
		again  bool
	}{
		{"Password: ", &n.Password, true},
		{"MPIN (six digits; empty for none): ", &n.MPIN, true},
		{"PAN (empty for none): ", &n.PAN, false},
	} {
		value, err := t.askSecret(ctx, ask.prompt)
		if err != nil {
			return err
		}
		if ask.again && value != "" {
			repeated, err := t.askSecret(ctx, "Repeat: ")
			if err != nil {
				return err
			}
			if repeated != value {
				return errors.New("the two entries differ: nothing was added")
			}
		}
		*ask.into = credential.Secret(value)
	}
	return nil
}

// readSecrets reads lines of name=value. Its errors give line numbers, not lines,
// which may contain a secret.
func readSecrets(r io.Reader, into map[string]*credential.Secret) error {
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text, err := paste.Text(lines.Bytes())
		if err != nil {
			return fmt.Errorf("standard input %w", err)
		}
		if len(text) == 0 || string(text) == "\r" {
			continue
		}
		name, rest, found := strings.Cut(string(text), "=")
		value, err := paste.Line([]byte(rest)) // may begin with a byte-order mark
		if err != nil {
			return err
		}
		field, known := into[name]
		switch {
		case !found || !known:
			return fmt.Errorf("standard input, line %d: expected password=, mpin= or pan= and a value", n)
		case *field != "":
			return fmt.Errorf("standard input, line %d: duplicate %s", n, name)
		}
		*field = credential.Secret(value)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if password, asked := into["password"]; asked && *password == "" {
		return errors.New("the password is missing: standard input is not a terminal; write lines password=..., mpin=... and pan=... to it (only the password is required)")
	}
	return nil
}

// find returns the account with a UCC.
func find(ctx context.Context, d *serve.Data, ucc string) (login.Account, error) {
	a, err := d.Admin().ByUCC(ctx, ucc)
	var bad *login.Error
	switch {
	case errors.As(err, &bad):
		return a, usage(err)
	case errors.Is(err, login.ErrNotFound):
		return a, fmt.Errorf("there is no account with UCC %s: neo account list shows all", a.UCC)
	}
	return a, err
}

type accountListCmd struct {
	dataFlag
	JSON bool `name:"json" help:"Print one JSON object a line."`
}

func (accountListCmd) Help() string {
	return `Examples:
  neo account list --data /var/lib/neo
  neo account list --data /var/lib/neo --json | jq -r .ucc`
}

func (c *accountListCmd) Run(ctx context.Context, t *terminal) error {
	return c.with(ctx, func(d *serve.Data) error {
		out := bufio.NewWriter(t.out)
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		if !c.JSON {
			out.Reset(t.lines())
			_, _ = fmt.Fprintln(table, "UCC\tUSER ID\tMOBILE\tNAME\tFACTORS")
		}
		for a, err := range d.Admin().EachAccount(ctx) {
			if err != nil {
				return err
			}
			if c.JSON {
				if err := writeJSON(out, shownAccount(a, "")); err != nil {
					return err
				}
				continue
			}
			writeRow(table, a.UCC, a.UserID, a.Mobile, a.GreetingName, strings.Join(factors(a), ", "))
		}
		return errors.Join(table.Flush(), out.Flush())
	})
}

type accountShowCmd struct {
	dataFlag
	UCC  string `arg:"" name:"ucc" help:"The account's UCC."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (accountShowCmd) Help() string {
	return `Example:
  neo account show --data /var/lib/neo AB1234`
}

func (c *accountShowCmd) Run(ctx context.Context, t *terminal) error {
	return c.with(ctx, func(d *serve.Data) error {
		a, err := find(ctx, d, c.UCC)
		if err != nil {
			return err
		}
		pan, err := d.Admin().PAN(a)
		if err != nil {
			return err
		}
		state, err := d.Store.State(ctx, a.ID)
		if err != nil {
			return err
		}
		shown := shownAccount(a, pan)
		shown.Locks = locks(state, time.Now())
		if a.Disabled {
			shown.Locks = append([]string{"by an operator, until it is unlocked with neo account unlock"}, shown.Locks...)
		}
		if c.JSON {
			return t.json(shown)
		}
		table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
		for _, row := range [][2]string{
			{"UCC", shown.UCC}, {"id", shown.ID}, {"user id", shown.UserID}, {"mobile", shown.Mobile}, {"e-mail", shown.Email}, {"PAN", shown.PAN},
			{"name", shown.Name}, {"factors", strings.Join(shown.Factors, ", ")}, {"added", shown.Added.In(login.IST).Format(time.RFC3339)},
			{"locked", strings.Join(shown.Locks, "; ")}, {"codes", cmp.Or(strings.Join(shown.Couriers, ", "), "all couriers")},
		} {
			writeRow(table, row[0], cmp.Or(row[1], "none"))
		}
		return table.Flush()
	})
}

// accountView is an account as an operator sees it: without secrets, and with part of the PAN.
type accountView struct {
	UCC     string    `json:"ucc"`
	ID      string    `json:"id"`
	UserID  string    `json:"userId"`
	Mobile  string    `json:"mobile"`
	PAN     string    `json:"pan,omitempty"`
	Email   string    `json:"email,omitempty"`
	Name    string    `json:"name"`
	Factors []string  `json:"factors"`
	Added   time.Time `json:"added"`
	Locks   []string  `json:"locks,omitempty"`

	Couriers []string `json:"couriers,omitempty"`
}

// locks returns which factors are locked now, why, and until when.
func locks(state login.AccountState, now time.Time) []string {
	var all []string
	for _, f := range []login.Factor{login.Password, login.MPIN, login.TOTP, login.OTP} {
		state.Lapse(f, now)
		var locked *login.LockedError
		if !errors.As(state.Locked(f, now), &locked) {
			continue
		}
		name := factorName(f)
		if f == login.OTP {
			name = "second factor"
		}
		until := now.Add(locked.Wait).In(login.IST).Format(time.RFC3339)
		if state.Failures[f].ForGood() {
			until = "it is unlocked with neo account unlock"
		}
		all = append(all, fmt.Sprintf("%s after %d wrong tries, until %s", name, state.Failures[f].Count, until))
	}
	return all
}

type accountUnlockCmd struct {
	changeFlag
	UCC  string `arg:"" name:"ucc" help:"The account's UCC."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (accountUnlockCmd) Help() string {
	return `Example:
  neo account unlock --data /var/lib/neo AB1234

After ten wrong tries a factor is locked for a minute, then for twice as long
after each further one, up to a day; after a hundred, until you unlock it here.`
}

func (c *accountUnlockCmd) Run(ctx context.Context, t *terminal) error {
	return c.with(ctx, func(d *serve.Data) error {
		a, err := find(ctx, d, c.UCC)
		if err != nil {
			return err
		}
		err = d.Admin().Unlock(ctx, a)
		if errors.Is(err, operator.ErrNothing) {
			return t.tell(c.JSON, map[string]any{"ucc": a.UCC, "unlocked": false}, "account "+a.UCC+" has no wrong tries: nothing to unlock")
		}
		if err != nil {
			return err
		}
		return t.tell(c.JSON, map[string]any{"ucc": a.UCC, "unlocked": true}, "account "+a.UCC+" unlocked")
	})
}

func shownAccount(a login.Account, pan string) accountView {
	return accountView{
		UCC: a.UCC, ID: a.ID, UserID: a.UserID, Mobile: a.Mobile, Email: a.Email, Couriers: a.Couriers,
		PAN: pan, Name: a.GreetingName, Factors: factors(a), Added: a.Created,
	}
}

// factorName returns a factor's name for people. Records, logs and metrics have it in
// lower case.
func factorName(f login.Factor) string {
	if f == login.MPIN || f == login.TOTP || f == login.OTP {
		return strings.ToUpper(string(f))
	}
	return string(f)
}

func factors(a login.Account) []string {
	all := []string{factorName(login.Password)}
	if a.MPINHash != "" {
		all = append(all, factorName(login.MPIN))
	}
	if len(a.TOTPSeed) > 0 {
		all = append(all, factorName(login.TOTP))
	}
	return all
}

type accountRemoveCmd struct {
	changeFlag
	UCC  string `arg:"" name:"ucc" help:"The account's UCC."`
	Yes  bool   `help:"Confirm: this cannot be undone."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (accountRemoveCmd) Help() string {
	return `Example:
  neo account remove --data /var/lib/neo AB1234 --yes

Works while the service runs: the account's sessions end within a second.`
}

func (c *accountRemoveCmd) Run(ctx context.Context, t *terminal) error {
	return c.with(ctx, func(d *serve.Data) error {
		a, err := find(ctx, d, c.UCC)
		if err != nil {
			return err
		}
		if !c.Yes {
			return usage(fmt.Errorf("this removes account %s for good: confirm with --yes", a.UCC))
		}
		if err := d.Admin().RemoveAccount(ctx, a); err != nil {
			return err
		}
		return t.tell(c.JSON, map[string]any{"ucc": a.UCC, "removed": true}, "account "+a.UCC+" removed, its sessions ended")
	})
}
