package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/term"

	"neoapi/internal/login"
	"neoapi/internal/people"
	"neoapi/internal/serve"
)

type accountImportCmd struct {
	changeFlag
	File     string `arg:"" name:"file.csv" help:"The accounts, one a line."`
	Rejected string `placeholder:"FILE" help:"Where rejected lines go; default is the file's name and .rejected."`
	Again    bool   `help:"Begin again, though the file has been imported before."`
	JSON     bool   `name:"json" help:"Print the sum as JSON."`
}

func (accountImportCmd) Help() string {
	return `Examples:
  neo account import --data /var/lib/neo accounts.csv
  neo account import --data /var/lib/neo accounts.csv --rejected wrong.csv --json

The first line names the columns, in any order: ucc, user_id, mobile and
password_hash, and perhaps pan, name, email, mpin_hash and totp_seed. Hashes are PHC
strings of argon2id, bcrypt, scrypt or PBKDF2; each is replaced by ours at the
next good login. Works beside a running service.

Lines that cannot be taken are written into another file of the same form, with
their number and why: correct it and import it. Interrupted anywhere, the same
command goes on where it stopped. docs/operators.md tells all of it.`
}

func (c *accountImportCmd) Run(ctx context.Context, t *terminal) error {
	if info, err := os.Stat(c.File); err != nil {
		return usage(err)
	} else if !info.Mode().IsRegular() {
		return usage(fmt.Errorf("%s is no file: an import that goes on where it stopped must be able to read it again", c.File))
	}
	rejected := cmp.Or(c.Rejected, c.File+".rejected")
	if filepath.Clean(rejected) == filepath.Clean(c.File) {
		return usage(errors.New("the file for rejected lines must be another one"))
	}
	return c.making(ctx, func(d *serve.Data) error {
		progress := progressOn(t)
		x := people.Import{Admin: d.Admin(), File: c.File, Rejected: rejected, Again: c.Again, Progress: progress.show}
		at, err := x.Run(ctx)
		progress.clear()
		if err != nil {
			if ctx.Err() != nil {
				err = errors.New("interrupted")
			}
			return fmt.Errorf("%w: %d lines are done; the same command goes on from there", err, max(0, at.Line-1))
		}
		if c.JSON {
			sum := map[string]any{"file": c.File, "lines": max(0, at.Line-1), "added": at.Added, "rejected": at.Rejected}
			if at.Rejected > 0 {
				sum["rejectedFile"] = rejected
			}
			return json.NewEncoder(t.out).Encode(sum)
		}
		_, err = fmt.Fprintf(t.out, "%s: %d accounts added\n", c.File, at.Added)
		if at.Rejected > 0 {
			_, err = fmt.Fprintf(t.out, "%d lines rejected: see %s\n", at.Rejected, rejected)
		}
		return err
	})
}

// A progress shows a person how far a long command has come; nobody else.
type progress struct {
	t     *terminal
	shown bool
	start time.Time
	last  time.Time
}

func progressOn(t *terminal) *progress {
	f, ok := t.err.(*os.File)
	return &progress{t: t, shown: ok && term.IsTerminal(int(f.Fd())), start: time.Now()}
}

func (p *progress) show(at login.Import, of people.Size) {
	if !p.shown || time.Since(p.last) < 200*time.Millisecond {
		return
	}
	p.last = time.Now()
	taken := time.Since(p.start).Seconds()
	rate := float64(at.Line-of.Resumed.Line) / taken
	left := time.Duration(float64(of.Bytes-at.Offset) / (float64(at.Offset-of.Resumed.Offset) / taken) * float64(time.Second))
	_, _ = fmt.Fprintf(p.t.err, "\r\x1b[K%3d %%  %d accounts, %d rejected, %.0f lines a second, %s left",
		100*at.Offset/max(1, of.Bytes), at.Added, at.Rejected, rate, left.Round(time.Second))
}

func (p *progress) clear() {
	if p.shown {
		_, _ = fmt.Fprint(p.t.err, "\r\x1b[K")
	}
}
