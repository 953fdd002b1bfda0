package operator_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/operator"
	"neoapi/internal/serve"
	"neoapi/internal/store/postgres/pgtest"
)

// A child of the tests imports a file in small steps, to be killed, and prints a
// line after each.
const (
	childEnv  = "NEO_TEST_IMPORT"
	childStep = 1000 // lines
)

func TestMain(m *testing.M) {
	if args := strings.Split(os.Getenv(childEnv), "\n"); len(args) == 2 {
		data, err := serve.Open(context.Background(), serve.Place{Dir: args[0]}, nil)
		if err == nil {
			operator.SetStep(childStep)
			x := operator.Import{
				Admin: data.Admin(), File: args[1], Rejected: args[1] + ".rejected",
				Progress: func(login.Import, operator.Size) { fmt.Println("a step") },
			}
			_, err = x.Run(context.Background())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const goodHash = "$2b$04$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"

const head = "ucc,user_id,mobile,name,password_hash\n"

func row(n int) string {
	return fmt.Sprintf("UC%06d,user%06d,98%08d,Name %d,%s\n", n, n, n, n, goodHash)
}

// rows are the first n of them.
func rows(n int) string {
	var text strings.Builder
	for i := range n {
		text.WriteString(row(i))
	}
	return text.String()
}

func open(t testing.TB, dir string) *serve.Data {
	t.Helper()
	return openAt(t, serve.Place{Dir: dir})
}

func openAt(t testing.TB, place serve.Place) *serve.Data {
	t.Helper()
	data, err := serve.Open(t.Context(), place, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = data.Close() })
	return data
}

func write(t testing.TB, text string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "accounts.csv")
	put(t, file, text)
	return file
}

func put(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func importer(data *serve.Data, file string) *operator.Import {
	return &operator.Import{Admin: data.Admin(), File: file, Rejected: file + ".rejected"}
}

// again is an importer that begins anew.
func again(data *serve.Data, file string) *operator.Import {
	x := importer(data, file)
	x.Again = true
	return x
}

// interrupted runs an import that is interrupted after its first step.
func interrupted(t *testing.T, x *operator.Import) operator.Result {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	x.Progress = func(login.Import, operator.Size) { stop() }
	got, err := x.Run(ctx)
	if err == nil || ctx.Err() == nil {
		t.Fatalf("%+v, %v: it was not interrupted", got, err)
	}
	return got
}

// uccs returns the UCCs of all accounts.
func uccs(t testing.TB, data *serve.Data) (all []string) {
	t.Helper()
	for after := ""; ; {
		page, err := data.Store.ListAccounts(t.Context(), after, 5000)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page {
			after = a.UCC
			all = append(all, a.UCC)
		}
		if len(page) == 0 {
			return all
		}
	}
}

var rejectedLine = regexp.MustCompile(`^([0-9]+),"((?:[^"]|"")*)",`)

// rejected reads a file of rejected lines.
func rejected(t testing.TB, file string) (reasons map[int]string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	reasons = map[int]string{}
	for i, l := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		m := rejectedLine.FindStringSubmatch(l)
		if i == 0 {
			continue
		}
		if m == nil {
			t.Fatalf("a rejected line that cannot be read: %q", l)
		}
		n, err := strconv.Atoi(m[1])
		if err != nil || reasons[n] != "" {
			t.Errorf("line %q: %v, or it is duplicated", m[1], err)
		}
		reasons[n] = m[2]
	}
	return reasons
}

func TestImport_reportsEachBadLineWithItsReasonAndLosesNone(t *testing.T) {
	t.Parallel()
	data := open(t, t.TempDir())
	lines := []struct{ text, reason string }{
		{"UC1,user1,9800000001,Asha,AVRFT7865T," + goodHash + "," + goodHash + ",JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", ""},
		{"uc1,user2,9800000002,,,$2b$04$x,,", "password_hash: is not an argon2id, bcrypt, scrypt or PBKDF2 hash as a PHC or modular crypt string"},
		{"UC1,user2,9800000002,,," + goodHash + ",,", "another account has this UCC"},
		{"UC2,user1,9800000002,,," + goodHash + ",,", "another account has this user id"},
		{"UC2,user2,+919800000001,,," + goodHash + ",,", "another account has this mobile number"},
		{"UC2,user2,9800000002,,avrft7865t," + goodHash + ",,", "another account has this PAN"},
		{"UC2,user2,9800000002,,," + goodHash, "has 6 fields, but the first line names 8 columns"},
		{"UC2,user2,9800000002,,," + goodHash + ",,,", "has 9 fields, but the first line names 8 columns: quote fields that contain the separator"},
		{`UC2,user2,9800000002,"Asha,,` + goodHash + ",,", "a quote that is not closed"},
		{"UC2,user2,12,,PAN,$2b$31$" + strings.Repeat("a", 53) + ",plain,seed", "mobile: must be ten digits"},
		{"", ""},
		{"UC3,user3,9800000003,\"Asha \"\"A\"\", B\",," + goodHash + ",,\r", ""},
		{strings.Repeat("x", 20_000), "has 20001 bytes: at most 16384 are read"},
		{"UC4,user4,9800000004,Last,," + goodHash + ",,", ""},
	}
	text := "\ufeffucc,user_id,mobile,name,pan,password_hash,mpin_hash,totp_seed\r\n"
	for _, l := range lines {
		text += l.text + "\n"
	}
	file := write(t, strings.TrimSuffix(text, "\n"))
	at, err := importer(data, file).Run(t.Context())
	if err != nil || at.Added != 3 || at.Rejected != 10 || at.In != 3 || at.Out != 10 || at.Lines != int64(len(lines)) {
		t.Fatalf("%+v, %v", at, err)
	}
	if got := uccs(t, data); !slices.Equal(got, []string{"UC1", "UC3", "UC4"}) {
		t.Errorf("added are %q", got)
	}
	got := rejected(t, file+".rejected")
	for i, l := range lines {
		if reason := got[i+2]; (reason == "") != (l.reason == "") || !strings.Contains(reason, l.reason) {
			t.Errorf("line %d: %q, want %q", i+2, reason, l.reason)
		}
	}
	for _, want := range []string{"pan: must be", "bcrypt with cost 31: checking one password would take too long", "mpin_hash: is not", "totp_seed: a TOTP seed"} {
		if !strings.Contains(got[11], want) {
			t.Errorf("of several problems of a line %q is missing: %s", want, got[11])
		}
	}
	if info, err := os.Stat(file + ".rejected"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v: others can read hashes", info.Mode(), err)
	}

	// The same file again adds nothing and rejects nothing again.
	before, _ := os.ReadFile(file + ".rejected")
	again, err := importer(data, file).Run(t.Context())
	if after, _ := os.ReadFile(file + ".rejected"); err != nil || again.Added != 0 || again.There != 3 || again.In != 3 || again.Out != 10 || !bytes.Equal(before, after) {
		t.Errorf("again: %+v, %v", again, err)
	}

	// What was rejected is imported as it is, once it has been mended.
	mended := write(t, "line,reason,ucc,user_id,mobile,password_hash\n3,\"because, of this\",UC5,user5,9800000005,"+goodHash+"\n")
	if at, err := importer(data, mended).Run(t.Context()); err != nil || at.Added != 1 {
		t.Errorf("%+v, %v", at, err)
	}
	if _, err := os.Stat(mended + ".rejected"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v: nothing was rejected", err)
	}
}

func TestImport_namesEveryProblemOfAFileThatItRefuses(t *testing.T) {
	t.Parallel()
	data := open(t, t.TempDir())
	for text, wants := range map[string][]string{
		"": {"the file is empty"}, "\ufeff": {"the file is empty"}, "\n" + head: {"the first line is empty"},
		"id,ucc,phone,pw\n":             {`columns that are not known, "id", "phone" and "pw": known are ucc, user_id`, "lacks the column user_id"},
		"ucc|user_id\n":                 {`a column "ucc|user_id": known are ucc`, "separate them with commas, semicolons or tabs"},
		"ucc,ucc,mobile,pasword\nUC1\n": {`a column "pasword": known are ucc, user_id`, "names ucc twice", "lacks the column user_id", "lacks the column password_hash"},
		strings.Repeat("x", 20_000):     {"the first line must name the columns"},
	} {
		_, err := importer(data, write(t, text)).Run(t.Context())
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%.40q: %v, want it to say %s", text, err, want)
			}
		}
	}
	file := write(t, head+row(1))
	put(t, file+".rejected", "mine")
	if _, err := importer(data, file).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "already exists: move it away") {
		t.Errorf("%v: a file in the way", err)
	}
	if text, _ := os.ReadFile(file + ".rejected"); string(text) != "mine" {
		t.Errorf("somebody's file is now %q", text)
	}
}

func TestImportAgain_leavesOthersFilesAlone(t *testing.T) {
	t.Parallel()
	data := open(t, t.TempDir())
	const mine = "line,reason,ucc,user_id,mobile,name,password_hash\n2,\"mine\",x\n"
	for name, x := range map[string]struct {
		text, there string
		interrupted bool
	}{
		"of another kind":             {head + row(1), "mine", false},
		"of another import":           {head + row(2), mine, false},
		"while it is not done":        {head + row(3), "mine", true},
		"of another kind, and longer": {head + row(4) + "bad\n", strings.Repeat("mine\n", 1000), false},
	} {
		file := write(t, x.text)
		if x.interrupted {
			hash := sha256.Sum256([]byte(x.text))
			begun := login.Import{File: hex.EncodeToString(hash[:]), Offset: int64(len(head)), Line: 1}
			err := data.Store.AddAccounts(t.Context(), login.Import{File: begun.File}, nil, func([]error) (login.Import, login.Event, error) { return begun, login.Event{}, nil })
			if err != nil {
				t.Fatal(err)
			}
		} else if _, err := importer(data, file).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		again := importer(data, file)
		again.Rejected = filepath.Join(t.TempDir(), "other")
		put(t, again.Rejected, x.there)
		_, err := again.Run(t.Context())
		if (err != nil) != x.interrupted || err != nil && !strings.Contains(err.Error(), "is not the file that the import left") {
			t.Errorf("%s: %v", name, err)
		}
		again.Again = true
		if _, err := again.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "already exists: move it away") {
			t.Errorf("%s, again: %v", name, err)
		}
		if text, err := os.ReadFile(again.Rejected); string(text) != x.there {
			t.Errorf("%s: the file is now %q, %v", name, text, err)
		}
	}
}

// An import that is killed at random moments, again and again, has in the end added
// every good line once and reported every bad one once.
func TestImport_thatIsKilledGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	const lines = 12 * childStep
	var text strings.Builder
	text.WriteString(head)
	var want []string
	bad := 0
	for n := range lines {
		switch {
		case n%97 == 13:
			text.WriteString("not an account\n")
			bad++
		case n%101 == 50:
			text.WriteString(strings.Replace(row(n-1), "user", "other", 1)) // a UCC twice, unless the line before is bad
			if (n-1)%97 == 13 {
				want = append(want, fmt.Sprintf("UC%06d", n-1))
			} else {
				bad++
			}
		default:
			text.WriteString(row(n))
			want = append(want, fmt.Sprintf("UC%06d", n))
		}
	}
	slices.Sort(want)
	dir, file := t.TempDir(), write(t, text.String())
	data := open(t, dir)
	const kills = 6
	for round := 0; ; round++ {
		child := exec.Command(os.Args[0], "-test.run=^$")
		child.Env = append(os.Environ(), childEnv+"="+dir+"\n"+file)
		var said bytes.Buffer
		child.Stderr = &said
		out, err := child.StdoutPipe()
		if err == nil {
			err = child.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		if round < kills {
			done := bufio.NewScanner(out)
			for range rand.IntN(3) { // it has begun, or is at its first or second step
				done.Scan()
			}
			time.Sleep(rand.N(50 * time.Millisecond)) // in the middle of something
			_ = child.Process.Kill()
		}
		_, _ = io.Copy(io.Discard, out)
		err = child.Wait()
		if round < kills && err != nil {
			continue
		}
		if err != nil {
			t.Fatalf("%v: %s", err, said.String())
		}
		break
	}
	if got := uccs(t, data); !slices.Equal(got, want) {
		t.Errorf("after %d kills there are %d accounts, want %d", kills, len(got), len(want))
	}
	if got := rejected(t, file+".rejected"); len(got) != bad {
		t.Errorf("after %d kills %d lines are rejected, want %d", kills, len(got), bad)
	}
	var steps int
	events, err := data.Store.Events(t.Context(), login.EventQuery{N: 1000})
	if err != nil {
		t.Fatal(err)
	}
	next := 2
	for _, e := range events[1:] { // the first one tells that the import has begun
		var from, to, added, refused int
		if _, err := fmt.Sscanf(e.Outcome, "lines %d to %d: %d added, %d rejected", &from, &to, &added, &refused); err != nil || from != next {
			t.Errorf("event %q: %v, want it to begin with line %d", e.Outcome, err, next)
		}
		next = to + 1
		steps++
	}
	t.Logf("%d kills, %d steps", kills, steps)
}

// BenchmarkImport imports accounts with PAN and MPIN, in no order; one operation is
// one line.
func BenchmarkImport(b *testing.B) { benchmark(b, open(b, b.TempDir())) }

func benchmark(b *testing.B, data *serve.Data) {
	var text strings.Builder
	text.WriteString("ucc,user_id,mobile,pan,name,password_hash,mpin_hash\n")
	for _, n := range rand.Perm(b.N) {
		pan := fmt.Sprintf("%c%c%c%c%c%04dA", 'A'+n/10_000/26/26/26%26, 'A'+n/10_000/26/26%26, 'A'+n/10_000/26%26, 'P', 'A'+n/10_000%26, n%10_000)
		fmt.Fprintf(&text, "UC%07d,user%07d,98%08d,%s,Name %d,%s,%s\n", n, n, n, pan, n, goodHash, goodHash)
	}
	file := write(b, text.String())
	b.ResetTimer()
	at, err := importer(data, file).Run(b.Context())
	if err != nil || at.Added != int64(b.N) {
		b.Fatalf("%+v, %v", at, err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}

// BenchmarkImportOnPostgreSQL is BenchmarkImport there.
func BenchmarkImportOnPostgreSQL(b *testing.B) {
	benchmark(b, openAt(b, serve.Place{Dir: b.TempDir(), Database: pgtest.Database(b)}))
}
