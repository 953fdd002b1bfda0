package operator

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/lockedfile"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/private"
)

// step is how many lines are stored in one transaction: logins wait for it.
var step = 10_000

// maxLine is the longest line in bytes that is read.
const maxLine = 16 << 10

// columns are the columns of an account, by their names in the first line. A file
// with rejected lines has further columns, which are not part of an account.
var columns = []string{"ucc", "user_id", "mobile", "pan", "name", "email", "password_hash", "mpin_hash", "totp_seed"}

var (
	required = []string{"ucc", "user_id", "mobile", "password_hash"}
	ignored  = []string{"line", "reason"}
)

// An Import is the import of one file. Rejected lines are written to another file of
// the same form, with their number and the reason.
type Import struct {
	Admin    *Admin
	File     string
	Rejected string                         // the file for rejected lines
	Again    bool                           // start over, even if it was imported before
	Progress func(at login.Import, of Size) // called periodically; may be nil

	before bool // the file has been imported to its end
	past   past // the content of the files for its rejected lines
	report string
	seen   map[uint64]int64 // lines of this run whose accounts are in, by their fields
}

// Report is the file to which Run has written rejected lines, if any: Rejected, or a
// later one if that has been imported.
func (x *Import) Report() string { return cmp.Or(x.report, x.Rejected) }

// Rejected is the suffix of a file's name for its rejected lines.
const Rejected = ".rejected"

// A Result is the result of a run.
type Result struct {
	// Of this run: the lines read, and how many accounts were added, existed already, or
	// were rejected. Gone counts lines of a file imported before whose accounts no
	// longer exist: they are not added unless the file is imported again.
	Lines, Added, There, Rejected, Gone int64

	// Own counts those There whose password hash was not compared: it was set here, or
	// rehashed at a login, and the line's is another system's.
	Own int64

	// Of the whole file, in all runs: the lines whose accounts are in, and the others.
	In, Out int64

	Kinds map[string]int64 // lines rejected because their hashes cannot be imported, by kind
	Begun bool             // the run has begun to read lines: another run continues where it stops
	Done  int64            // lines of the file that are done
}

// A Size is the size of a file.
type Size struct {
	Bytes   int64
	Resumed login.Import // where the import went on
}

// A batch is some lines to be stored: the accounts of the valid ones, and the
// rejected ones.
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

	ucc, userID string // of a rejected line, if they are valid
}

// Run imports what has not been imported yet. It may be interrupted anywhere and run
// again: the position to continue from, and what was rejected, are stored in the
// transaction that stores the accounts. For a file that has been imported it only
// reports what exists, unless Again is set.
func (x *Import) Run(ctx context.Context) (res Result, err error) {
	f, err := os.Open(x.File)
	if err != nil {
		return res, err
	}
	defer func() { _ = f.Close() }() // it was only read
	file, size, err := identify(f)
	if err != nil {
		return res, err
	}
	head, start, err := readHeader(f)
	if err != nil {
		return res, fmt.Errorf("%s: %w", x.File, err)
	}
	start.File = file
	done, err := x.Admin.Store.Import(ctx, file)
	if err != nil {
		return res, err
	}
	x.before, x.report = done.File != "" && done.Offset == size, x.Rejected
	if done.File != "" {
		own := "" // the file of an interrupted run's rejected lines, which is continued
		if !x.before && !x.Again && done.Report > 0 {
			own = lastReport(x.Rejected)
		}
		if x.past, err = x.pastOf(ctx, x.Rejected, own); err != nil {
			return res, err
		}
	}
	if x.before && !x.Again {
		return x.look(ctx, f, head, done, start, size)
	}
	if x.past.mended != nil { // so there was an import of this file to its end
		x.before, x.report = true, x.past.free
	}
	report, err := x.openReport()
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, report.Close()) }()
	at := done
	if x.Again || done.File == "" {
		if err := x.clearReport(report, head, done, done.Offset == size); err != nil {
			return res, err
		}
		if err := x.begin(ctx, done, start); err != nil {
			return res, err
		}
		at = start
	} else if err := x.resumeReport(report, head, at, &res); err != nil {
		return res, err
	}
	return x.run(ctx, f, report, head, at, size, res)
}

// run imports from where the import is.
func (x *Import) run(ctx context.Context, f *os.File, report *lockedfile.File, h header, at login.Import, size int64, res Result) (Result, error) {
	res.Begun = true
	from := at
	err := x.batches(ctx, f, h, at, func(ctx context.Context, b batch) error {
		next, m, err := x.store(ctx, report, h, at, b)
		if err != nil {
			return err
		}
		res.There, res.Own = res.There+m.there, res.Own+m.own
		res.kinds(m.bad)
		at = next
		x.progress(at, Size{size, from})
		return nil
	})
	res.Lines, res.Rejected = at.Line-from.Line, at.Rejected-from.Rejected
	res.Added = at.Added - from.Added - res.There
	res.In, res.Out, res.Done = at.Added, at.Rejected, at.Line-1
	if err == nil && at.Report == 0 {
		err = os.Remove(x.report) // nothing was
		x.report = x.Rejected
	}
	return res, err
}

func (x *Import) progress(at login.Import, of Size) {
	if x.Progress != nil {
		x.Progress(at, of)
	}
}

// batches reads the lines from the import's position on, and calls f with each batch.
func (x *Import) batches(ctx context.Context, f *os.File, h header, at login.Import, do func(ctx context.Context, b batch) error) error {
	reading, cancel := context.WithCancel(ctx)
	batches := make(chan batch, 2)
	var readErr, err error
	go func() {
		defer close(batches)
		readErr = x.read(reading, f, h, at, batches)
	}()
	for b := range batches {
		if err = do(ctx, b); err != nil {
			break
		}
	}
	cancel()
	for range batches { // the reader ends
	}
	if err == nil { // the end of the file, or of the context
		err = readErr
	}
	return err
}

// CheckFile returns what is wrong with the form of a file to import, judging by its
// first line, or nil.
func CheckFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	if _, _, err = readHeader(f); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// begin sets the import to the file's first line, however far it had come, and makes
// the file for rejected lines this import's.
func (x *Import) begin(ctx context.Context, done, start login.Import) error {
	done.File = start.File
	err := x.Admin.Store.AddAccounts(ctx, done, nil, func([]error) (login.Import, login.Event, error) {
		return start, x.Admin.ImportEvent("begun"), nil
	})
	return busyImport(err)
}

// ErrBusy is the error of [Import.Run] while another process imports the same file.
var ErrBusy = errors.New("another import of this file is running: wait until it ends")

// busyImport returns ErrBusy if another process has continued the import, or err.
func busyImport(err error) error {
	if errors.Is(err, login.ErrClaimed) {
		return ErrBusy
	}
	return err
}

// identify returns the name of a file's content, and its size.
func identify(f *os.File) (string, int64, error) {
	h := sha256.New()
	n, err := io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), n, err
}

// read reads the lines from where the import is, prepares the accounts, and
// hands them on in batches.
func (x *Import) read(ctx context.Context, f *os.File, h header, start login.Import, to chan<- batch) error {
	if _, err := f.Seek(start.Offset, io.SeekStart); err != nil {
		return err
	}
	lines := lineReader{bufio.NewReaderSize(f, 1<<20), h.wide}
	b := batch{offset: start.Offset, line: start.Line}
	now := x.Admin.Now()
	for {
		raw, n, err := lines.next()
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

// take adds a line to a batch.
func (x *Import) take(b *batch, h header, raw []byte, n int64, now time.Time) {
	l := line{number: b.line, text: string(raw)}
	if raw == nil {
		l.text, l.reason = "", fmt.Sprintf("has %d bytes: at most %d are read", n, maxLine)
		b.bad = append(b.bad, l)
		return
	}
	if l.text == "" { // an empty line is no loss
		return
	}
	fields, err := split(l.text, h.comma)
	l.number = h.number(l.text, b.line)
	switch {
	case !utf8.ValidString(l.text):
		err = errors.New("is not UTF-8: save the file as CSV UTF-8")
	case err == nil && len(fields) != h.n:
		noun := "fields"
		if len(fields) == 1 {
			noun = "field"
		}
		err = fmt.Errorf("has %d %s, but the first line names %d columns", len(fields), noun, h.n)
		if len(fields) > h.n {
			err = fmt.Errorf("%w: quote fields that contain the separator", err)
		}
	}
	if err == nil {
		field := func(name string) string {
			if i, ok := h.at[name]; ok {
				return strings.TrimSpace(fields[i])
			}
			return ""
		}
		var a login.Account
		a, err = x.Admin.Imported(NewImport{
			UCC: field("ucc"), UserID: field("user_id"), Mobile: field("mobile"), PAN: credential.Secret(field("pan")),
			GreetingName: field("name"), Email: field("email"), PasswordHash: credential.Secret(field("password_hash")),
			MPINHash: credential.Secret(field("mpin_hash")), TOTPSeed: credential.Secret(field("totp_seed")),
		}, now)
		if err == nil {
			b.accounts, b.lines = append(b.accounts, a), append(b.lines, l)
			return
		}
		l.ucc, l.userID = a.UCC, a.UserID
	}
	l.reason = inColumns.Replace(err.Error())
	b.bad = append(b.bad, l)
}

// inColumns returns a reason on one line, with the names of the file's columns.
var inColumns = strings.NewReplacer("\n", "; ", "userid: ", "user_id: ", "mobileNumber: ", "mobile: ")

// openReport opens the file for rejected lines for this process only: a second one waits
// here. It may contain hashes, so only its owner may read it: it is created here, or
// already belongs to the user, and is not a link.
func (x *Import) openReport() (f *lockedfile.File, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("rejected lines: %w", err)
		}
	}()
	if err := private.CheckPlace(x.report); err != nil {
		return nil, err
	}
	for range 10 { // others may create and remove it meanwhile
		f, err = lockedfile.OpenFile(x.report, os.O_RDWR|os.O_CREATE|os.O_EXCL|private.Careful, 0o600)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
		if info, lerr := os.Lstat(x.report); lerr == nil && info.Mode()&fs.ModeSymlink != 0 {
			return nil, private.Refused(x.report + " is a symbolic link: remove it, or name another file")
		}
		if f, err = lockedfile.OpenFile(x.report, os.O_RDWR|private.Careful, 0); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		info, err := f.Stat()
		if err := errors.Join(err, private.CheckOwn(f, x.report)); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if info.Size() > 0 || info.Mode().Perm()&0o077 == 0 {
			return f, nil
		}
		// Somebody may have opened it for reading while that was allowed.
		if err := errors.Join(os.Remove(x.report), f.Close()); err != nil {
			return nil, err
		}
	}
	return nil, err
}

// resumeReport truncates the file for rejected lines to its state at the position
// where the import continues: only what an interrupted step has written is cut off.
// Any other file there is somebody's, and stays.
func (x *Import) resumeReport(f *lockedfile.File, h header, at login.Import, res *Result) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	ours, err := x.begins(f, reportHead(h))
	if err != nil {
		return err
	}
	if !ours || info.Size() < at.Report {
		err := error(private.Refused(fmt.Sprintf("rejected lines: %s is not the file that the import left, with %d rejected lines: put that back, or move it away and use --again", x.report, at.Rejected)))
		if info.Size() == 0 { // this process has made it
			err = errors.Join(err, os.Remove(x.report))
		}
		return err
	}
	if err := errors.Join(f.Chmod(0o600), f.Truncate(at.Report)); err != nil {
		return err
	}
	for lines := (lineReader{bufio.NewReaderSize(io.NewSectionReader(f, 0, at.Report), 2*maxLine), nil}); ; {
		reason, _, err := lines.next()
		res.kinds([]line{{reason: string(reason)}})
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// reportHead is the first line of the file for rejected lines.
func reportHead(h header) string {
	return "line" + h.comma + "reason" + h.comma + h.own(h.text) + "\n"
}

// store stores a batch, and writes its rejected lines before that is settled.
func (x *Import) store(ctx context.Context, report *lockedfile.File, h header, at login.Import, b batch) (next login.Import, m matched, err error) {
	err = x.Admin.Store.AddAccounts(ctx, at, b.accounts, func(taken []error) (login.Import, login.Event, error) {
		if m, err = x.match(ctx, b, taken); err != nil {
			return next, login.Event{}, err
		}
		slices.SortFunc(m.bad, func(a, b line) int { return int(a.number - b.number) })
		next = at
		next.Offset, next.Line = b.offset, b.line
		next.Added += int64(len(b.accounts) + len(b.bad) - len(m.bad))
		next.Rejected += int64(len(m.bad))
		next.Report, err = writeReport(report, h, at.Report, x.past.notIn(m.bad))
		said := fmt.Sprintf("lines %d to %d: %d added, %d rejected", at.Line+1, b.line, next.Added-at.Added-m.there, len(m.bad))
		if m.there > 0 {
			said += fmt.Sprintf(", %d there already", m.there)
		}
		return next, x.Admin.ImportEvent(said), err
	})
	return next, m, busyImport(err)
}

// writeReport writes rejected lines after the settled ones, and returns where they
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
		fmt.Fprintf(&text, "%d%s\"%s\"%s%s\n", l.number, h.comma, reason, h.comma, h.own(l.text))
	}
	if _, err := f.WriteAt(text.Bytes(), settled); err != nil {
		return settled, err
	}
	return settled + int64(text.Len()), f.Sync()
}
