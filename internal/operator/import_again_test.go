package operator_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"neoapi/internal/credential"
	"neoapi/internal/operator"
	"neoapi/internal/serve"
	"neoapi/internal/store/postgres/pgtest"
)

func run(t *testing.T, x *operator.Import, want operator.Result) {
	t.Helper()
	got, err := x.Run(t.Context())
	got.Begun, got.Done, got.Kinds = false, 0, nil
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%+v, %v, want %+v", got, err, want)
	}
}

// A file whose bad lines have been mended in the file for them, and that was imported,
// is all in, whatever was wrong and whatever was changed to mend it.
func TestImportAgain_isAllInAfterRejectedLinesWereMended(t *testing.T) {
	t.Parallel()
	bad := []struct{ line, mended string }{
		{"UC3,three,9800000002,Three," + goodHash, "UC3,three,9800000003,Three," + goodHash},
		{"UC4,two,9800000004,Four," + goodHash, "UC4,four,9800000004,Four," + goodHash},
		{"UC2,five,9800000005,Five," + goodHash, "UC5,five,9800000005,Five," + goodHash},
		{"UC6,six,12,Six," + goodHash, "UC6,six,9800000006,Six," + goodHash},
		{"UC7,seven,9800000007,Seven,5f4dcc3b5aa765d61d8327deb882cf99", "UC7,seven,9800000007,Seven," + goodHash},
		{"U-C8,eight,9800000008,Eight," + goodHash, "UC8,eight,9800000008,Eight," + goodHash},
		{"not an account", "UC9,nine,9800000009,Nine," + goodHash},
		{`UC10,ten,9800000010,"Ten,` + goodHash, `UC10,ten,9800000010,"Ten",` + goodHash},
	}
	text := head + row(1) + "UC2,two,9800000002,Two," + goodHash + "\n"
	for _, x := range bad {
		text += x.line + "\n"
	}
	n := int64(len(bad))
	for name, change := range map[string]func(t *testing.T, data *operator.Admin, report string){
		"the file for them is as it was imported": func(*testing.T, *operator.Admin, string) {},
		"it has other line ends and parts its fields by semicolons": func(t *testing.T, m *operator.Admin, report string) {
			mend(t, report, ";", "\r\n", bad)
			run(t, &operator.Import{Admin: m, File: report, Rejected: report + ".rejected"}, operator.Result{Lines: n, There: n, In: n})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := open(t, t.TempDir())
			file := write(t, text)
			report := file + ".rejected"
			run(t, importer(data, file), operator.Result{Lines: n + 2, Added: 2, Rejected: n, In: 2, Out: n})
			run(t, importer(data, file), operator.Result{Lines: n + 2, There: 2, Rejected: n, In: 2, Out: n})
			mend(t, report, ",", "\n", bad)
			run(t, importer(data, file), operator.Result{Lines: n + 2, There: 2, Rejected: n, In: 2, Out: n}) // not imported yet
			run(t, importer(data, report), operator.Result{Lines: n, Added: n, In: n})
			change(t, data.Admin(), report)
			all := uccs(t, data)
			for range 2 {
				run(t, importer(data, file), operator.Result{Lines: n + 2, There: n + 2, In: n + 2})
				run(t, again(data, file), operator.Result{Lines: n + 2, There: n + 2, In: n + 2})
			}
			if now := uccs(t, data); !slices.Equal(now, all) || len(all) != int(n)+2 {
				t.Errorf("accounts are %q, were %q", now, all)
			}
		})
	}
}

// mend writes a file of rejected lines in which all are mended.
func mend(t *testing.T, file, comma, end string, bad []struct{ line, mended string }) {
	t.Helper()
	text := strings.Join([]string{"line", "reason", "ucc", "user_id", "mobile", "name", "password_hash"}, comma) + end
	for i, x := range bad {
		text += fmt.Sprint(i+4) + comma + `"why"` + comma + strings.ReplaceAll(x.mended, ",", comma) + end
	}
	put(t, file, text)
}

func TestImportAgain_addsNothingThatWasRemoved(t *testing.T) {
	t.Parallel()
	data := open(t, t.TempDir())
	file := write(t, head+row(1)+row(2)+"UC3,three,9800000002,Three,"+goodHash+"\n")
	run(t, importer(data, file), operator.Result{Lines: 3, Added: 2, Rejected: 1, In: 2, Out: 1})
	a, err := data.Admin().ByUCC(t.Context(), "UC000002")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := data.Admin().Erase(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	run(t, importer(data, file), operator.Result{Lines: 3, There: 1, Rejected: 1, Gone: 1, In: 1, Out: 2})
	if all := uccs(t, data); len(all) != 1 {
		t.Errorf("accounts are %q", all)
	}
	run(t, again(data, file), operator.Result{Lines: 3, Added: 1, There: 1, Rejected: 1, In: 2, Out: 1})
}

// An account is there already if nothing of a line is another one's, and what differs
// was changed by a login or an operator.
func TestImportAgain_rejectsAnAccountThatIsThereOnlyIfItDiffers(t *testing.T) {
	t.Parallel()
	const first = "UC1,one,9800000001,One,AVRFT7865T,"
	data := open(t, t.TempDir())
	n := 0
	for line, there := range map[string]bool{
		first + goodHash: true,
		"uc1,one,+919800000001,One,avrft7865t," + goodHash:                     true,
		"UC1,one,9800000001,,," + goodHash:                                     true,
		"UC1,one,9800000001,Two,AVRFT7865T," + goodHash:                        false,
		"UC1,two,9800000001,One,AVRFT7865T," + goodHash:                        false,
		"UC1,one,9800000002,One,AVRFT7865T," + goodHash:                        false,
		"UC1,one,9800000001,One,AVRFT7865U," + goodHash:                        false,
		"UC2,one,9800000001,One,AVRFT7865T," + goodHash:                        false,
		first + "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW": false,
		first + "$2b$31$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": false,
	} {
		n++ // each case has people of its own
		own := strings.NewReplacer("UC", fmt.Sprintf("U%dC", n), "uc", fmt.Sprintf("u%dc", n), "one", fmt.Sprint("one", n), "two", fmt.Sprint("two", n),
			"980000", fmt.Sprint("98000", n%10), "AVRFT7865", fmt.Sprintf("AVRFT78%02d", n), "avrft7865", fmt.Sprintf("avrft78%02d", n))
		line, first := own.Replace(line), own.Replace(first)
		const columns = "ucc,user_id,mobile,name,pan,password_hash\n"
		run(t, importer(data, write(t, columns+first+goodHash+"\n")), operator.Result{Lines: 1, Added: 1, In: 1})
		want := operator.Result{Lines: 2, Rejected: 1, Out: 1}
		if there {
			want = operator.Result{Lines: 2, There: 1, In: 1}
		}
		run(t, importer(data, write(t, columns+line+"\n\n")), want) // an empty line, lest it is the file above
		run(t, importer(data, write(t, columns+first+goodHash+"\n"+line+"\n")), operator.Result{Lines: 2, There: 1 + want.There, Rejected: want.Rejected, In: 1 + want.In, Out: want.Out})
	}
}

// An import goes on where it stopped, in UTF-16 at a character's beginning too.
func TestImport_interruptedCountsThisRunAndAll(t *testing.T) {
	t.Parallel()
	const lines = 12_000 // more than a step
	text := head + "not an account\nUC9,nine,9000000001,Nine,5f4dcc3b5aa765d61d8327deb882cf99\n" + rows(lines)
	for encoding, text := range map[string]string{"UTF-8": text, "UTF-16": wide(binary.BigEndian, text)} {
		data := open(t, t.TempDir())
		file := write(t, text)
		first := interrupted(t, importer(data, file))
		if !first.Begun || first.Added == 0 || first.Added >= lines || first.Done != first.Lines {
			t.Fatalf("%s: %+v", encoding, first)
		}
		second, err := importer(data, file).Run(t.Context())
		if err != nil || second.Added != lines-first.Added || second.In != lines || second.Rejected != 0 || second.Out != 2 || second.Kinds["MD5"] != 1 {
			t.Errorf("%s: first %+v, then %+v, %v", encoding, first, second, err)
		}
	}
}

func TestImportAgain_worksOnPostgreSQL(t *testing.T) {
	t.Parallel()
	data := openAt(t, serve.Place{Dir: t.TempDir(), Database: pgtest.Database(t)})
	file := write(t, head+row(1)+row(2)+row(2)+strings.Replace(row(3), "user", "other", 1)+strings.Replace(row(3), "98", "97", 1)+"bad\n")
	run(t, importer(data, file), operator.Result{Lines: 6, Added: 3, There: 1, Rejected: 2, In: 4, Out: 2})
	run(t, importer(data, file), operator.Result{Lines: 6, There: 4, Rejected: 2, In: 4, Out: 2})
	run(t, again(data, file), operator.Result{Lines: 6, There: 4, Rejected: 2, In: 4, Out: 2})
	if all := uccs(t, data); len(all) != 3 {
		t.Errorf("accounts are %q", all)
	}
}

// What is known of lines that were mended, in however many rounds, goes on being known
// when the file is imported again from the start, interrupted or with other lines that
// are rejected now.
func TestImportAgain_keepsWhatIsKnownOfMendedLines(t *testing.T) {
	t.Parallel()
	line := func(n int, ucc string) string {
		return fmt.Sprintf("%s,who%d,97000000%02d,Name %d,%s\n", ucc, n, n, n, goodHash)
	}
	setUp := func(t *testing.T, behind string) (data *serve.Data, file, report string) {
		data = open(t, t.TempDir())
		text := head
		for n := range 4 {
			text += line(n, fmt.Sprint("OK", n))
		}
		for n := range 9 {
			text += line(10+n, fmt.Sprint("U-C", n)) // what is mended is the UCC, so it cannot be found by that
		}
		file = write(t, text+behind)
		report = file + ".rejected"
		more := int64(strings.Count(behind, "\n"))
		run(t, importer(data, file), operator.Result{Lines: 13 + more, Added: 4 + more, Rejected: 9, In: 4 + more, Out: 9})
		change(t, report, "U-C", "UC", 8)
		run(t, importer(data, report), operator.Result{Lines: 9, Added: 8, Rejected: 1, In: 8, Out: 1})
		return data, file, report
	}
	t.Run("nothing new is rejected", func(t *testing.T) {
		t.Parallel()
		data, file, report := setUp(t, "")
		for range 2 {
			run(t, again(data, file), operator.Result{Lines: 13, There: 12, Rejected: 1, In: 12, Out: 1})
			run(t, importer(data, report), operator.Result{Lines: 9, There: 8, Rejected: 1, In: 8, Out: 1})
		}
		change(t, report+".rejected", "U-C", "UC", 1)
		run(t, importer(data, report+".rejected"), operator.Result{Lines: 1, Added: 1, In: 1})
		for range 2 {
			run(t, importer(data, file), operator.Result{Lines: 13, There: 13, In: 13})
			run(t, importer(data, report), operator.Result{Lines: 9, There: 9, In: 9})
			run(t, again(data, file), operator.Result{Lines: 13, There: 13, In: 13})
			run(t, again(data, report), operator.Result{Lines: 9, There: 9, In: 9})
		}
	})
	t.Run("another line is rejected", func(t *testing.T) {
		t.Parallel()
		data, file, report := setUp(t, "")
		change(t, report+".rejected", "U-C", "UC", 1)
		run(t, importer(data, report+".rejected"), operator.Result{Lines: 1, Added: 1, In: 1})
		a, err := data.Admin().ByUCC(t.Context(), "OK1")
		if err == nil {
			err = data.Admin().RemoveAccount(t.Context(), a)
		}
		if err != nil {
			t.Fatal(err)
		}
		run(t, importer(data, write(t, head+line(1, "OTHER"))), operator.Result{Lines: 1, Added: 1, In: 1})
		x := again(data, file)
		run(t, x, operator.Result{Lines: 13, There: 12, Rejected: 1, In: 12, Out: 1})
		if got := rejected(t, x.Report()); len(got) != 1 || got[3] == "" {
			t.Errorf("%s holds %v, want line 3", x.Report(), got)
		}
		change(t, x.Report(), "who1,9700000001", "own,9600000001", 1)
		run(t, importer(data, x.Report()), operator.Result{Lines: 1, Added: 1, In: 1})
		run(t, importer(data, file), operator.Result{Lines: 13, There: 13, In: 13})
	})
	t.Run("it is interrupted", func(t *testing.T) {
		t.Parallel()
		data, file, _ := setUp(t, rows(12_000)) // more than a step
		interrupted(t, again(data, file))
		got, err := importer(data, file).Run(t.Context())
		if err != nil || got.In != 12_012 || got.Out != 1 {
			t.Errorf("%+v, %v", got, err)
		}
		run(t, importer(data, file), operator.Result{Lines: 12_013, There: 12_012, Rejected: 1, In: 12_012, Out: 1})
	})
}

// change replaces the first n places in a file.
func change(t *testing.T, file, from, to string, n int) {
	t.Helper()
	put(t, file, strings.Replace(read(t, file), from, to, n))
}

// On a first run a line with another password hash than the account that has its UCC is
// rejected, and where the two cannot be compared the sum says so.
func TestImportPassword_isComparedOrSaidNotToBe(t *testing.T) {
	t.Parallel()
	data := open(t, t.TempDir())
	byHand, err := data.Admin().AddAccount(t.Context(), operator.NewAccount{UCC: "HAND", UserID: "hand", Mobile: "9800000001", Password: "correct horse"})
	if err != nil {
		t.Fatal(err)
	}
	ours := byHand.PasswordHash
	line := func(ucc, hash string, n int) string {
		return fmt.Sprintf("%s,%s,980000000%d,,\"%s\"\n", ucc, strings.ToLower(ucc), n, hash)
	}
	weak := strings.Replace(argon, "t=2", "t=1", 1) // argon2id that a login replaces
	run(t, importer(data, write(t, head+line("BCRYPT", goodHash, 2)+line("WEAK", weak, 3)+line("STRONG", argon, 4))), operator.Result{Lines: 3, Added: 3, In: 3})
	there, own, not := operator.Result{Lines: 2, There: 1, In: 1}, operator.Result{Lines: 2, There: 1, In: 1, Own: 1}, operator.Result{Lines: 2, Rejected: 1, Out: 1}
	for n, x := range []struct {
		name, line string
		want       operator.Result
	}{
		{"ours, and the same", line("HAND", ours, 1), there},
		{"ours, the line's of another system", line("HAND", goodHash, 1), own},
		{"ours, the line's as strong", line("HAND", argon, 1), not},
		{"ours, the line's weaker", line("HAND", weak, 1), own},
		{"as strong as ours, and another", line("STRONG", ours, 4), not},
		{"not replaced yet", line("WEAK", argon, 3), not},
		{"not replaced yet, and the same", line("WEAK", weak, 3), there},
		{"not replaced yet, the line's of another system", line("WEAK", goodHash, 3), not},
		{"another system's", line("BCRYPT", weak, 2), not},
		{"another system's, the line's ours", line("BCRYPT", ours, 2), not},
	} {
		t.Log(x.name)
		x.want.Lines += int64(n) // empty lines, lest it is a file that was there before
		run(t, importer(data, write(t, head+x.line+strings.Repeat("\n", n+1))), x.want)
	}
}

// An import that the previous version began is continued, and its rejected lines count.
func TestImport_countsTheReasonsOfThePreviousVersion(t *testing.T) {
	const before = "password_hash: is no argon2id, bcrypt, scrypt or PBKDF2 hash as a PHC or modular crypt string"
	got := operator.Kinds(before, "password_hash: "+credential.ErrForeign.Error(), "password_hash: is MD5, which cannot be taken over: only argon2id can")
	if want := map[string]int64{"of an unknown kind": 2, "MD5": 1}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
