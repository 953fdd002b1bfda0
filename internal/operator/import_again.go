package operator

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"regexp"
	"slices"

	"github.com/rogpeppe/go-internal/lockedfile"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/private"
)

// Importing a file that has been imported before: people correct the rejected lines
// in the file for those, import that, and run the first one again.

// errLooked ends a transaction of an import that must store nothing.
var errLooked = errors.New("only looked at")

// look reports which accounts of a file imported before exist now, and stores
// nothing: an account removed since does not come back.
func (x *Import) look(ctx context.Context, f *os.File, h header, done, start login.Import, size int64) (res Result, err error) {
	at := start
	err = x.batches(ctx, f, h, start, func(ctx context.Context, b batch) error {
		var taken []error
		err := x.Admin.Store.AddAccounts(ctx, done, b.accounts, func(t []error) (login.Import, login.Event, error) {
			taken = t
			return login.Import{}, login.Event{}, errLooked
		})
		if err != nil && !errors.Is(err, errLooked) {
			return busyImport(err)
		}
		m, err := x.match(ctx, b, taken)
		if err != nil {
			return err
		}
		gone := int64(len(b.accounts)+len(b.bad)-len(m.bad)) - m.there
		res.There, res.Gone, res.Rejected = res.There+m.there, res.Gone+gone, res.Rejected+int64(len(m.bad))
		res.kinds(m.bad)
		at.Offset, at.Line = b.offset, b.line
		at.Added, at.Rejected = res.There, res.Rejected
		x.progress(at, Size{size, start})
		return nil
	})
	res.Lines = at.Line - start.Line
	res.In, res.Out = res.There, res.Rejected+res.Gone
	return res, err
}

// A matched is the result of match.
type matched struct {
	bad   []line // rejected lines, including those that collide with others
	there int64  // lines whose account already exists
	own   int64  // of these: those whose hash could not be compared
}

// match compares a batch with the stored accounts. taken says of each account why it was
// not added, or nil.
func (x *Import) match(ctx context.Context, b batch, taken []error) (m matched, err error) {
	for _, l := range b.bad {
		in, err := x.mendedSince(ctx, l)
		switch {
		case err != nil:
			return m, err
		case in:
			m.there++
		default:
			m.bad = append(m.bad, l)
		}
	}
	for i, err := range taken {
		var exists *login.ExistsError
		l, n := b.lines[i], b.accounts[i]
		if !errors.As(err, &exists) {
			x.took(n, l.number)
			continue
		}
		a := exists.There
		switch {
		case x.past.mended[l.number] || a != nil && x.before && a.UserID == n.UserID:
			m.there++
		case a != nil && len(differences(*a, n)) == 0:
			m.there++
			if incomparable(*a, n) {
				m.own++
			}
			x.took(n, l.number)
		default:
			l.reason = collision(n, exists)
			if first := x.seen[fieldOf(n, exists)]; first > 0 && first != l.number {
				l.reason += fmt.Sprintf(": this file's line %d", first)
			}
			m.bad = append(m.bad, l)
		}
	}
	return m, nil
}

// took records the line of a stored account, to report for one that collides with it.
func (x *Import) took(a login.Account, line int64) {
	if x.seen == nil {
		x.seen = map[uint64]int64{}
	}
	for _, field := range []string{"UCC", "user id", "mobile number", "PAN"} {
		if field == "PAN" && len(a.PANIndex) == 0 {
			continue
		}
		key := fieldOf(a, &login.ExistsError{Field: field})
		if x.seen[key] == 0 {
			x.seen[key] = line
		}
	}
}

var seed = maphash.MakeSeed()

// fieldOf returns a hash of the field with which an account collides.
func fieldOf(a login.Account, exists *login.ExistsError) uint64 {
	field := exists.Field
	if exists.There != nil {
		field = "UCC"
	}
	values := map[string]string{"UCC": a.UCC, "user id": a.UserID, "mobile number": a.Mobile, "PAN": string(a.PANIndex)}
	return maphash.String(seed, field+" "+values[field])
}

// mendedSince reports whether a rejected line was rejected before, and its account
// has been imported since, from a corrected line.
func (x *Import) mendedSince(ctx context.Context, l line) (bool, error) {
	if !x.before || x.past.mended[l.number] {
		return x.before, nil
	}
	if l.ucc == "" || l.userID == "" {
		return false, nil
	}
	a, err := x.Admin.ByUCC(ctx, l.ucc)
	if errors.Is(err, login.ErrNotFound) {
		return false, nil
	}
	return err == nil && a.UserID == l.userID, err
}

// A past is the content of the files for rejected lines of a file: the file for its
// own, the file for those rejected again from that, and so on. Lines have their
// numbers in the first file.
type past struct {
	mended map[int64]bool // lines imported since; nil if not known
	out    map[int64]bool // lines not imported, and in one of the files
	free   string         // the name of the next file
}

// notIn returns the lines that are in none of the files.
func (p past) notIn(lines []line) []line {
	return slices.DeleteFunc(slices.Clone(lines), func(l line) bool { return p.out[l.number] })
}

// pastOf reads the files, starting with first. It returns nothing if that has not been
// imported as it is now, or its rejected lines are not there. The files are not changed:
// their content is nowhere else. The file named own is ignored.
func (x *Import) pastOf(ctx context.Context, first, own string) (p past, err error) {
	if own == first {
		return past{}, nil
	}
	mended, out := map[int64]bool{}, map[int64]bool{}
	for p.free = first; ; p.free += Rejected {
		numbers, done, err := x.imported(ctx, p.free)
		if err != nil {
			return past{}, err
		}
		if p.free != first && (numbers == nil || p.free == own) {
			p.mended, p.out = mended, out
			return p, nil
		}
		all := done.File != ""
		if all && done.Rejected > 0 {
			all = lastReport(p.free) != p.free // else it is not known which
		}
		if !all && p.free == first {
			return past{}, nil
		}
		for n := range numbers {
			if all {
				mended[n] = true
				delete(out, n)
			} else {
				out[n] = true
				delete(mended, n)
			}
		}
	}
}

// lastReport returns the last existing file for rejected lines.
func lastReport(first string) string {
	for last := first; ; last += Rejected {
		if _, err := os.Lstat(last + Rejected); err != nil {
			return last
		}
	}
}

// imported returns the numbers of the lines that a file with rejected lines has, nil if
// it is not there or not for us; and how it was imported if it was, as it is now.
func (x *Import) imported(ctx context.Context, path string) (numbers map[int64]bool, done login.Import, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|private.Careful, 0)
	if err != nil {
		return nil, done, nil
	}
	defer func() { _ = f.Close() }() // it was only read
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, done, err
	}
	name, size, err := identify(f)
	if err != nil {
		return nil, done, err
	}
	if done, err = x.Admin.Store.Import(ctx, name); err != nil {
		return nil, done, err
	}
	if done.Offset != size {
		done = login.Import{}
	}
	numbers, err = numbersIn(f)
	return numbers, done, err
}

// numbersIn returns the numbers of lines that a file with rejected lines has.
func numbersIn(f *os.File) (map[int64]bool, error) {
	numbers := map[int64]bool{}
	h, start, err := readHeader(f)
	if err != nil {
		return numbers, nil // of another form: then nothing is known
	}
	if _, err := f.Seek(start.Offset, io.SeekStart); err != nil {
		return nil, err
	}
	for lines := (lineReader{bufio.NewReader(f), h.wide}); ; {
		raw, _, err := lines.next()
		if n := h.number(string(raw), 0); n > 0 {
			numbers[n] = true
		}
		if errors.Is(err, io.EOF) {
			return numbers, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// clearReport makes sure that no content of the file for rejected lines would be lost:
// it is empty, or as this file's import left it, or was imported itself.
func (x *Import) clearReport(f *lockedfile.File, h header, done login.Import, complete bool) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	ours := done.File != "" && (info.Size() == done.Report || !complete && info.Size() > done.Report)
	if ours && info.Size() > 0 {
		if ours, err = x.begins(f, reportHead(h)); err != nil {
			return err
		}
	}
	switch {
	case info.Size() == 0 || ours:
		return errors.Join(f.Chmod(0o600), f.Truncate(0))
	}
	return private.Refused("rejected lines: " + x.report + " already exists: move it away, or give another file with --rejected; if you corrected lines in it, import it first")
}

// begins reports whether the file begins with text, or text begins with the file.
func (x *Import) begins(f *lockedfile.File, text string) (bool, error) {
	head := make([]byte, len(text))
	n, err := f.ReadAt(head, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return string(head[:n]) == text[:n], err
}

var (
	unknownKind = regexp.MustCompile(`_hash: (?:is no argon2id, |` + regexp.QuoteMeta(credential.ErrForeign.Error()) + `)`) // the first as the previous version wrote it
	knownKind   = regexp.MustCompile(`_hash: is ([^,;]+), which cannot be taken over`)
	tooCostly   = regexp.MustCompile(`_hash: [^;]*: checking one password would take too long`)
)

// kinds counts the lines rejected for their hashes, by kind.
func (r *Result) kinds(bad []line) {
	for _, l := range bad {
		seen := map[string]bool{}
		for _, m := range knownKind.FindAllStringSubmatch(l.reason, -1) {
			seen[m[1]] = true
		}
		if unknownKind.MatchString(l.reason) {
			seen["of an unknown kind"] = true
		}
		if tooCostly.MatchString(l.reason) {
			seen["too costly to check"] = true
		}
		for kind := range seen {
			if r.Kinds == nil {
				r.Kinds = map[string]int64{}
			}
			r.Kinds[kind]++
		}
	}
}
