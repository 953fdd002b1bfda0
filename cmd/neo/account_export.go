package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/operator"
	"neoapi/internal/serve"
)

type accountExportCmd struct {
	dataFlag
	UCC string `arg:"" optional:"" name:"ucc" help:"The account's UCC: prints everything stored about this person, as JSON."`
	All bool   `help:"All accounts, as CSV, for an audit."`
}

func (accountExportCmd) Help() string {
	return `Examples:
  neo account export --data /var/lib/neo AB1234 > asha.json
  neo account export --data /var/lib/neo --all > accounts.csv

For one account it prints everything stored, for a person who asks: the PAN in the
clear, sessions, counters and the audit trail. With --all it prints a line for each
account, with part of the PAN. Of secrets it prints only which of them are set.`
}

func (c *accountExportCmd) Run(ctx context.Context, t *terminal) error {
	if (c.UCC == "") != c.All {
		return usage(errors.New("give one account's UCC, or --all"))
	}
	return c.with(ctx, func(d *serve.Data) error {
		if c.All {
			return exportAll(ctx, t, d)
		}
		a, err := find(ctx, d, c.UCC)
		if err != nil {
			return err
		}
		return exportPerson(ctx, t, d, a)
	})
}

// personView is everything stored about a person.
type personView struct {
	UCC      string            `json:"ucc"`
	ID       string            `json:"id"`
	UserID   string            `json:"userId"`
	Mobile   string            `json:"mobile"`
	Email    string            `json:"email,omitempty"`
	PAN      string            `json:"pan,omitempty"`
	Name     string            `json:"name"`
	Couriers []string          `json:"couriers,omitempty"`
	Factors  map[string]string `json:"factors"` // and how each is kept
	Caches   map[string]int64  `json:"caches"`
	Locked   bool              `json:"lockedByOperator"`
	Added    time.Time         `json:"added"`

	Sessions []sessionView           `json:"sessions"`
	Failures map[login.Factor]failed `json:"wrongTries,omitempty"`
	Codes    []time.Time             `json:"codesSent,omitempty"`
	TOTPUsed *time.Time              `json:"totpLastUsed,omitempty"`
	Events   []auditEvent            `json:"events"`
}

type failed struct {
	Count int        `json:"count"`
	Until *time.Time `json:"lockedUntil,omitempty"`
}

func exportPerson(ctx context.Context, t *terminal, d *serve.Data, a login.Account) error {
	p, err := d.Admin().Person(ctx, a)
	if err != nil {
		return err
	}
	v := personView{
		UCC: a.UCC, ID: a.ID, UserID: a.UserID, Mobile: a.Mobile, Email: a.Email, PAN: p.PAN, Name: a.GreetingName, Couriers: a.Couriers,
		Factors: p.Factors, Caches: a.Caches, Locked: a.Disabled, Added: a.Created.UTC(), Sessions: []sessionView{}, Events: []auditEvent{},
		Failures: map[login.Factor]failed{}, Codes: p.State.Sent,
	}
	for _, x := range p.Sessions {
		v.Sessions = append(v.Sessions, shownSession(x))
	}
	for f, x := range p.State.Failures {
		v.Failures[f] = failed{x.Count, someTime(x.Until)}
	}
	if p.State.TOTPStep > 0 {
		v.TOTPUsed = someTime(time.Unix(0, 0).Add(time.Duration(p.State.TOTPStep) * credential.TOTPPeriod))
	}
	for _, e := range p.Events {
		v.Events = append(v.Events, shownEvent(e))
	}
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(t.out, printableLines(string(text)))
	return err
}

func someTime(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC()
	return &at
}

func exportAll(ctx context.Context, t *terminal, d *serve.Data) error {
	out := bufio.NewWriter(t.out)
	w := csv.NewWriter(out)
	if err := w.Write([]string{"ucc", "id", "user_id", "mobile", "email", "pan", "name", "password", "mpin", "totp", "locked", "wrong_tries", "added"}); err != nil {
		return err
	}
	for a, err := range d.Admin().EachAccount(ctx) {
		if err != nil {
			return err
		}
		pan, err := d.Admin().PAN(a)
		if err != nil {
			return fmt.Errorf("account %s: %w", a.UCC, err)
		}
		state, err := d.Store.State(ctx, a.ID)
		if err != nil {
			return err
		}
		tries := 0
		for x := range maps.Values(state.Failures) {
			tries += x.Count
		}
		kept := operator.KeptAs(a)
		row := []string{
			a.UCC, a.ID, a.UserID, a.Mobile, a.Email, pan, a.GreetingName, kept["password"], kept["mpin"], kept["totp"],
			strconv.FormatBool(a.Disabled), strconv.Itoa(tries), a.Created.UTC().Format(time.RFC3339),
		}
		if err := w.Write(plainCells(row)); err != nil {
			return err
		}
	}
	w.Flush()
	return errors.Join(w.Error(), out.Flush())
}

// plainCells keeps a spreadsheet from reading a name as a formula.
func plainCells(row []string) []string {
	row = slices.Clone(row)
	for i, cell := range row {
		if i != 3 && cell != "" && strings.ContainsRune("=+-@\t", rune(cell[0])) { // a mobile number begins with a plus sign
			cell = "'" + cell
		}
		row[i] = printable(cell)
	}
	return row
}

type accountEraseCmd struct {
	changeFlag
	UCC  string `arg:"" name:"ucc" help:"The account's UCC."`
	Yes  bool   `help:"Confirm: this cannot be undone."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (accountEraseCmd) Help() string {
	return `Example:
  neo account erase --data /var/lib/neo AB1234 --yes

For a person who asks to be forgotten. It deletes the account, its sessions, its
counters and the codes still to be sent. The audit trail stays, as the law requires,
with a pseudonym in place of the UCC and without addresses and request ids. If the
command is interrupted, run it again. Logs and backups are up to you.`
}

func (c *accountEraseCmd) Run(ctx context.Context, t *terminal) error {
	id, err := login.ParsePasted(login.ByUCC, c.UCC)
	if err != nil {
		return usage(err)
	}
	ucc := string(id.Value)
	if !c.Yes {
		return usage(fmt.Errorf("this erases account %s for good: confirm with --yes", ucc))
	}
	return c.with(ctx, func(d *serve.Data) error {
		a, err := d.Admin().ByUCC(ctx, ucc)
		gone := errors.Is(err, login.ErrNotFound)
		if err != nil && !gone {
			return err
		}
		pseudonym, events, err := d.Admin().Erase(ctx, a)
		switch {
		case ctx.Err() != nil:
			return errors.New("interrupted: not everything was erased; run it again")
		case err != nil:
			return fmt.Errorf("%w: not everything was erased; run it again", err)
		case gone && events == 0:
			return fmt.Errorf("there is no account with UCC %s, and no trace of it: neo account list shows all", ucc)
		}
		return t.tell(c.JSON, map[string]any{"ucc": ucc, "erased": true, "pseudonym": pseudonym, "events": events},
			fmt.Sprintf("account %s erased; %s to %s", ucc, some(int64(events), "event now refers", "events now refer"), pseudonym))
	})
}
