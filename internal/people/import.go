// Package people moves accounts in and out: the import of another system's
// accounts from a CSV file, and what is told of a person who asks.
package people

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"

	"neoapi/internal/credential"
	"neoapi/internal/login"
)

// step is how many lines are stored in one transaction: logins wait for it.
var step = 10_000

// maxLine is the longest line in bytes that is read.
const maxLine = 16 << 10

// columns are what a line may tell, by the names in the first one. Those that a
// file with rejected lines has beside them are not looked at.
var columns = []string{"ucc", "user_id", "mobile", "pan", "name", "email", "password_hash", "mpin_hash", "totp_seed"}

var (
	required = []string{"ucc", "user_id", "mobile", "password_hash"}
	ignored  = []string{"line", "reason"}
)

// An Import is the import of one file. Lines that are rejected are written into
// another file of the same form, with their number and why.
type Import struct {
	Admin    *login.Admin
	File     string
	Rejected string                         // the file for rejected lines
	Again    bool                           // from the start, though it has been imported before
	Progress func(at login.Import, of Size) // called now and then; may be nil
}

// A Size tells how much there is of a file.
type Size struct {
	Bytes   int64
	Resumed login.Import // where the import went on
}

// A header tells where the columns stand.
type header struct {
	at   map[string]int
	text string // the line itself
	n    int    // columns
}

// A batch is some lines on their way into the store: the accounts of the good ones,
// and the bad ones.
type batch struct {
	lines    []line // of the accounts
	accounts []login.Account
	bad      []line
	offset   int64 // behind the last line
	line     int64 // number of the last one
}

// A line is one of the file, and why it is rejected.
type line struct {
	number int64
	text   string
	reason string
}

// Run imports what has not been imported yet and returns how far it has come. It
// may end anywhere, and be run again: where it goes on, and what it has rejected,
// is settled in the transaction that stores the accounts.
func (x *Import) Run(ctx context.Context) (at login.Import, err error) {
	f, err := os.Open(x.File)
	if err != nil {
		return at, err
	}
	defer func() { _ = f.Close() }() // it was only read
	size := Size{}
	at.File, size.Bytes, err = identify(f)
	if err != nil {
		return at, err
	}
	head, start, err := readHeader(f)
	if err != nil {
		return at, fmt.Errorf("%s: %w", x.File, err)
	}
	if x.Again {
		at.File = hexSum([]byte(at.File + time.Now().String())) // an import of its own
	}
	report, err := x.openReport()
	if err != nil {
		return at, err
	}
	defer func() { err = errors.Join(err, report.Close()) }()
	file := at.File
	done, err := x.Admin.Accounts.Import(ctx, file)
	if err != nil {
		return at, err
	}
	at = done
	if err := x.resumeReport(report, head, at, at.Offset == size.Bytes); err != nil {
		return at, err
	}
	if at.File == "" {
		start.File = file
		if err := x.begin(ctx, start); err != nil {
			return at, err
		}
		at = start
	}
	size.Resumed = at

	ctx, cancel := context.WithCancel(ctx)
	batches := make(chan batch, 2)
	var readErr error
	go func(at login.Import) {
		defer close(batches)
		readErr = x.read(ctx, f, head, at, batches)
	}(at)
	for b := range batches {
		next, serr := x.store(ctx, report, head, at, b)
		if serr != nil {
			err = serr
			break
		}
		at = next
		if x.Progress != nil {
			x.Progress(at, size)
		}
	}
	cancel()
	for range batches { // the reader ends
	}
	if err == nil && !errors.Is(readErr, context.Canceled) {
		err = readErr
	}
	if err == nil && at.Report == 0 {
		err = os.Remove(x.Rejected) // nothing was
	}
	return at, err
}

// begin settles that the file for rejected lines, which is empty, is this import's.
func (x *Import) begin(ctx context.Context, start login.Import) error {
	err := x.Admin.Accounts.AddAccounts(ctx, login.Import{File: start.File}, nil, func([]error) (login.Import, login.Event, error) {
		return start, x.Admin.ImportEvent("begun"), nil
	})
	return busyImport(err)
}

// busyImport says so if somebody else has gone on with the import.
func busyImport(err error) error {
	if errors.Is(err, login.ErrClaimed) {
		return errors.New("another import of this file is at work: wait for its end")
	}
	return err
}

// identify returns the name of a file's content, and its size.
func identify(f *os.File) (string, int64, error) {
	h := sha256.New()
	n, err := io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), n, err
}

func hexSum(b []byte) string { sum := sha256.Sum256(b); return hex.EncodeToString(sum[:]) }

// readHeader reads the first line, and tells where the second one begins.
func readHeader(f *os.File) (h header, start login.Import, err error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return h, start, err
	}
	r := bufio.NewReaderSize(f, maxLine)
	raw, err := r.ReadSlice('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return h, start, errors.New("the first line must name the columns")
	}
	start.Offset, start.Line = int64(len(raw)), 1
	h.text = strings.TrimPrefix(strings.TrimRight(string(raw), "\r\n"), "\ufeff")
	names, err := split(h.text)
	if err != nil {
		return h, start, fmt.Errorf("the first line: %w", err)
	}
	h.at, h.n = map[string]int{}, len(names)
	var problems []error
	for i, name := range names {
		name = strings.TrimSpace(name)
		_, twice := h.at[name]
		switch {
		case slices.Contains(ignored, name):
		case !slices.Contains(columns, name):
			problems = append(problems, fmt.Errorf("the first line names a column %.40q: known are %s", name, strings.Join(columns, ", ")))
		case twice:
			problems = append(problems, fmt.Errorf("the first line names %s twice", name))
		}
		h.at[name] = i
	}
	for _, name := range required {
		if _, ok := h.at[name]; !ok {
			problems = append(problems, fmt.Errorf("the first line lacks the column %s", name))
		}
	}
	return h, start, errors.Join(problems...)
}

// split parts a line into its fields. A quoted field does not go on in the next
// line: one quote that is missing would take the rest of the file with it.
func split(text string) ([]string, error) {
	if !strings.Contains(text, `"`) {
		return strings.Split(text, ","), nil
	}
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1
	fields, err := r.Read()
	var wrong *csv.ParseError
	if errors.As(err, &wrong) {
		return nil, errors.New("a quote that is not closed, or stands in the middle of a field")
	}
	return fields, err
}

// read reads the lines from where the import stands, prepares the accounts, and
// hands them on in batches.
func (x *Import) read(ctx context.Context, f *os.File, h header, start login.Import, to chan<- batch) error {
	if _, err := f.Seek(start.Offset, io.SeekStart); err != nil {
		return err
	}
	r := bufio.NewReaderSize(f, 1<<20)
	b := batch{offset: start.Offset, line: start.Line}
	now := x.Admin.Now()
	for {
		raw, n, err := readLine(r)
		if n > 0 {
			b.offset += n
			b.line++
			x.take(&b, h, raw, n, now)
		}
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return err
		}
		if full := len(b.accounts)+len(b.bad) >= step; full || ended && b.offset > start.Offset {
			select {
			case to <- b:
			case <-ctx.Done():
				return ctx.Err()
			}
			b = batch{offset: b.offset, line: b.line}
			start.Offset = b.offset
		}
		if ended {
			return nil
		}
	}
}

// readLine returns a line without its end, nil if it is too long, and how many
// bytes it has in the file.
func readLine(r *bufio.Reader) (raw []byte, n int64, err error) {
	raw, err = r.ReadSlice('\n')
	n = int64(len(raw))
	if !errors.Is(err, bufio.ErrBufferFull) {
		if len(raw) > maxLine {
			return nil, n, err
		}
		return bytes.TrimRight(raw, "\r\n"), n, err
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		raw, err = r.ReadSlice('\n')
		n += int64(len(raw))
	}
	return nil, n, err
}

// take adds a line to a batch.
func (x *Import) take(b *batch, h header, raw []byte, n int64, now time.Time) {
	l := line{number: b.line, text: string(raw)}
	if raw == nil {
		l.text, l.reason = "", fmt.Sprintf("has %d bytes: at most %d are read", n, maxLine)
		b.bad = append(b.bad, l)
		return
	}
	if l.text == "" { // nothing is lost with it
		return
	}
	fields, err := split(l.text)
	if err == nil && len(fields) != h.n {
		err = fmt.Errorf("has %d fields, the first line %d", len(fields), h.n)
	}
	if err == nil {
		field := func(name string) string {
			if i, ok := h.at[name]; ok {
				return strings.TrimSpace(fields[i])
			}
			return ""
		}
		var a login.Account
		a, err = x.Admin.Imported(login.NewImport{
			UCC: field("ucc"), UserID: field("user_id"), Mobile: field("mobile"), PAN: credential.Secret(field("pan")),
			GreetingName: field("name"), Email: field("email"), PasswordHash: credential.Secret(field("password_hash")),
			MPINHash: credential.Secret(field("mpin_hash")), TOTPSeed: credential.Secret(field("totp_seed")),
		}, now)
		if err == nil {
			b.accounts, b.lines = append(b.accounts, a), append(b.lines, l)
			return
		}
	}
	l.reason = inColumns.Replace(err.Error())
	b.bad = append(b.bad, l)
}

// inColumns says a reason in one line, in the names of the file's columns.
var inColumns = strings.NewReplacer("\n", "; ", "userid: ", "user_id: ", "mobileNumber: ", "mobile: ")

// openReport opens the file for rejected lines, for this process alone: a second
// one waits here. It may hold hashes, so nobody but its owner reads it.
func (x *Import) openReport() (*lockedfile.File, error) {
	f, err := lockedfile.OpenFile(x.Rejected, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("rejected lines: %w", err)
	}
	return f, nil
}

// resumeReport brings the file for rejected lines to where it was when the import
// stood where it goes on: only what an interrupted step has written is cut off.
// Anything else that lies there is somebody's, and stays.
func (x *Import) resumeReport(f *lockedfile.File, h header, at login.Import, complete bool) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	head := make([]byte, min(info.Size(), int64(len(reportHead(h)))))
	if _, err := f.ReadAt(head, 0); err != nil {
		return err
	}
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("rejected lines: %s is no file", x.Rejected)
	case at.File == "" && info.Size() > 0:
		return fmt.Errorf("rejected lines: %s is there already: move it away, or name another file with --rejected", x.Rejected)
	case info.Size() < at.Report || complete && info.Size() > at.Report || !strings.HasPrefix(reportHead(h), string(head)):
		return fmt.Errorf("rejected lines: %s is not as the import has left it, with %d rejected lines: put that one back, or begin again with --again and another file", x.Rejected, at.Rejected)
	}
	return errors.Join(f.Chmod(0o600), f.Truncate(at.Report))
}

// reportHead is the first line of the file for rejected lines.
func reportHead(h header) string { return "line,reason," + h.text + "\n" }

// store stores a batch, and writes its rejected lines before that is settled.
func (x *Import) store(ctx context.Context, report *lockedfile.File, h header, at login.Import, b batch) (next login.Import, err error) {
	err = x.Admin.Accounts.AddAccounts(ctx, at, b.accounts, func(taken []error) (login.Import, login.Event, error) {
		bad := slices.Clone(b.bad)
		for i, err := range taken {
			var field *login.ExistsError
			if errors.As(err, &field) {
				l := b.lines[i]
				l.reason = "another account has this " + field.Field
				bad = append(bad, l)
			}
		}
		slices.SortFunc(bad, func(a, b line) int { return int(a.number - b.number) })
		next = at
		next.Offset, next.Line = b.offset, b.line
		next.Added += int64(len(b.accounts) + len(b.bad) - len(bad))
		next.Rejected += int64(len(bad))
		next.Report, err = writeReport(report, h, at.Report, bad)
		return next, x.Admin.ImportEvent(fmt.Sprintf("lines %d to %d: %d added, %d rejected", at.Line+1, b.line, next.Added-at.Added, len(bad))), err
	})
	return next, busyImport(err)
}

// writeReport writes rejected lines behind what is settled, and returns where they
// end.
func writeReport(f *lockedfile.File, h header, settled int64, bad []line) (int64, error) {
	if len(bad) == 0 {
		return settled, nil
	}
	if err := f.Truncate(settled); err != nil {
		return settled, err
	}
	var text bytes.Buffer
	if settled == 0 {
		text.WriteString(reportHead(h))
	}
	for _, l := range bad {
		reason := strings.ReplaceAll(l.reason, `"`, `""`)
		fmt.Fprintf(&text, "%d,\"%s\",%s\n", l.number, reason, l.text)
	}
	if _, err := f.WriteAt(text.Bytes(), settled); err != nil {
		return settled, err
	}
	return settled + int64(text.Len()), f.Sync()
}
