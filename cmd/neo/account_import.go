package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"neoapi/internal/login"
	"neoapi/internal/operator"
	"neoapi/internal/serve"
)

type accountImportCmd struct {
	changeFlag
	File     string `arg:"" name:"file.csv" help:"The accounts, one a line."`
	Rejected string `placeholder:"FILE" help:"File for rejected lines; default is the file's name plus .rejected."`
	Again    bool   `help:"Start over, even if the file has been imported before."`
	JSON     bool   `name:"json" help:"Print the summary as JSON."`
}

func (accountImportCmd) Help() string {
	return `Examples:
  neo account import --data /var/lib/neo accounts.csv
  neo account import --data /var/lib/neo accounts.csv --rejected wrong.csv --json

The first line names the columns, in any order: ucc, user_id, mobile and
password_hash, and optionally pan, name, email, mpin_hash and totp_seed. Fields are
separated by commas, semicolons or tabs; the text is UTF-8 or UTF-16. Hashes are
argon2id, bcrypt, scrypt or PBKDF2, as PHC strings or in the forms of common
frameworks; each is replaced by one of ours at the next successful login. Works
while the service runs.

Rejected lines are written to another file of the same form, with their number and
the reason: correct that file and import it. After an interruption the same command
continues where it stopped; for a file that is done it reports what was imported.
See docs/operators.md.

Exit codes: 0 all lines imported, 3 some rejected; 1, 2 and 4 as everywhere.`
}

func (c *accountImportCmd) Run(ctx context.Context, t *terminal) error {
	if info, err := os.Stat(c.File); err != nil {
		return usage(err)
	} else if !info.Mode().IsRegular() {
		return usage(fmt.Errorf("%s is not a regular file, which an import needs to continue after an interruption", c.File))
	}
	rejected := cmp.Or(c.Rejected, c.File+operator.Rejected)
	if filepath.Clean(rejected) == filepath.Clean(c.File) {
		return usage(errors.New("--rejected must name a file other than the one to import"))
	}
	if err := operator.CheckFile(c.File); err != nil {
		return usage(err)
	}
	return c.making(ctx, func(d *serve.Data) error {
		progress := progressOn(t)
		x := operator.Import{Admin: d.Admin(), File: c.File, Rejected: rejected, Again: c.Again, Progress: progress.show}
		res, err := x.Run(ctx)
		progress.clear()
		if err != nil {
			if ctx.Err() != nil {
				err = errors.New("interrupted")
			}
			if errors.Is(err, operator.ErrBusy) {
				err = laterError{err}
			}
			if !res.Begun {
				return ofFile(err)
			}
			how := "the same command goes on from there"
			if c.Again {
				how += " without --again"
			}
			return fmt.Errorf("%w: %s done; %s", err, some(res.Done, "line is", "lines are"), how)
		}
		if c.JSON {
			err = t.json(c.summary(res, x.Report()))
		} else {
			err = c.tell(t, res, x.Report())
		}
		if err == nil && res.Out > 0 {
			err = exitError(exitRefused) // for scripts: not all lines were imported
		}
		return err
	})
}

// An importSum is what neo account import prints with --json.
type importSum struct {
	File     string `json:"file"`
	Lines    int64  `json:"lines"` // of this run, as all to Gone
	Added    int64  `json:"added"`
	There    int64  `json:"alreadyThere"`
	Rejected int64  `json:"rejected"`
	Own      int64  `json:"passwordNotCompared,omitempty"` // of AlreadyThere
	Gone     int64  `json:"notThere"`
	InAll    struct {
		In  int64 `json:"in"`
		Out int64 `json:"notIn"`
	} `json:"inAll"`
	RejectedFile string           `json:"rejectedFile,omitempty"`
	Kinds        map[string]int64 `json:"hashesNotTaken,omitempty"`
}

func (c *accountImportCmd) summary(res operator.Result, rejected string) importSum {
	sum := importSum{File: c.File, Lines: res.Lines, Added: res.Added, There: res.There, Rejected: res.Rejected, Gone: res.Gone, Own: res.Own, Kinds: res.Kinds}
	sum.InAll.In, sum.InAll.Out = res.In, res.Out
	if res.Out > res.Gone {
		sum.RejectedFile = rejected
	}
	return sum
}

// tell prints what this run did and, if that differs, the totals for the file.
func (c *accountImportCmd) tell(t *terminal, res operator.Result, rejected string) error {
	said := fmt.Sprintf("%s: %s added", c.File, some(res.Added, "account", "accounts"))
	if res.There > 0 {
		said += fmt.Sprintf(", %d already there", res.There)
	}
	if res.In != res.Added {
		said += "; " + some(res.In, "of the file's lines has", "of the file's lines have") + " an account now"
	}
	if res.Own > 0 {
		said += fmt.Sprintf("\n%d of those already there with a password of their own, set or rehashed here, which was not compared with the file's", res.Own)
	}
	if n := res.Out - res.Gone; n > 0 {
		said += "\n" + some(n, "line", "lines") + " rejected: "
		if _, err := os.Stat(rejected); err == nil {
			said += "see " + rejected
		} else {
			said += "--again writes them to " + rejected
		}
		if n != res.Rejected {
			said += fmt.Sprintf("; %d of them in this run", res.Rejected)
		}
	}
	if len(res.Kinds) > 0 {
		kinds := slices.SortedFunc(maps.Keys(res.Kinds), func(a, b string) int {
			return cmp.Or(cmp.Compare(res.Kinds[b], res.Kinds[a]), cmp.Compare(a, b))
		})
		for i, kind := range kinds {
			kinds[i] = fmt.Sprintf("%d %s", res.Kinds[kind], kind)
		}
		said += "\nhashes that cannot be taken over: " + strings.Join(kinds, ", ")
	}
	if res.Gone > 0 {
		said += fmt.Sprintf("\n%s missing, perhaps removed since: --again adds what is missing", some(res.Gone, "account is", "accounts are"))
	}
	_, err := fmt.Fprintln(t.out, said)
	return err
}

// some formats a number with its noun.
func some(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// A progress shows the progress of a long command on a terminal only.
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

func (p *progress) show(at login.Import, of operator.Size) {
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
