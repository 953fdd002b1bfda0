package operator_test

import (
	"encoding/binary"
	"os"
	"strings"
	"testing"
	"unicode/utf16"

	"neoapi/internal/operator"
)

// wide writes a text as UTF-16 with its byte-order mark.
func wide(order binary.AppendByteOrder, text string) string {
	var all []byte
	for _, unit := range utf16.Encode([]rune("\ufeff" + text)) {
		all = order.AppendUint16(all, unit)
	}
	return string(all)
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const argon = "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$Vo8pPTsQC1Uwgv9gHpIK7qvd9w0UVROxkFeRUZb9OIk"

// What spreadsheets write is taken as it is, and what was rejected of it is in the
// same form, but for the encoding, and is taken too when it has been mended.
func TestImport_takesEveryFormThatSpreadsheetsWrite(t *testing.T) {
	t.Parallel()
	lines := []string{
		"ucc,user_id,mobile,name,password_hash",
		`UC1,one,9800000001,"Asha ""A"", B; C",` + goodHash,
		`UC2,two,9800000002,अशा राव 🙂,"` + argon + `"`,
		"UC3,three,12,Three," + goodHash,
		"",
		"UC4,four,9800000004,Four,pbkdf2_sha256$1000$seasalt$8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c=",
	}
	for name, comma := range map[string]string{"commas": ",", "semicolons": ";", "tabs": "\t"} {
		text := strings.Join(lines, "\n")
		if comma != "," {
			text = strings.ReplaceAll(text, ",", comma)
			text = strings.ReplaceAll(text, "m=19456"+comma+"t=2"+comma+"p=1", "m=19456,t=2,p=1")
			text = strings.ReplaceAll(text, comma+" B; C", ", B; C")
		}
		encodings := map[string]string{"UTF-8": text, "UTF-16 with CR LF": wide(binary.LittleEndian, strings.ReplaceAll(text, "\n", "\r\n")+"\r\n")}
		if comma == "," {
			encodings["UTF-8 with a mark"], encodings["UTF-16, big end first"] = "\ufeff"+text, wide(binary.BigEndian, text)
			encodings["with CR LF"] = strings.ReplaceAll(text, "\n", "\r\n") + "\r\n"
		}
		for encoding, text := range encodings {
			data := open(t, t.TempDir())
			file := write(t, text)
			got, err := importer(data, file).Run(t.Context())
			if err != nil || got.Added != 3 || got.Rejected != 1 || got.Lines != 5 {
				t.Errorf("%s, %s: %+v, %v", name, encoding, got, err)
				continue
			}
			all, err := data.Store.ListAccounts(t.Context(), "", 10)
			if err != nil || all[0].GreetingName != `Asha "A", B; C` || all[1].GreetingName != "अशा राव 🙂" || all[1].PasswordHash != argon {
				t.Errorf("%s, %s: %+v, %v", name, encoding, all, err)
			}
			text := read(t, file+".rejected")
			if want := strings.Join([]string{"line", "reason", strings.ReplaceAll(lines[0], ",", comma)}, comma) + "\n4" + comma + `"mobile: must be`; !strings.HasPrefix(text, want) {
				t.Errorf("%s, %s: rejected are %q", name, encoding, text)
			}
			mended := write(t, wide(binary.LittleEndian, strings.Replace(text, "12", "9800000003", 1)))
			if got, err := importer(data, mended).Run(t.Context()); err != nil || got.Added != 1 || got.Out != 0 {
				t.Errorf("%s, %s: mended %+v, %v", name, encoding, got, err)
			}
		}
	}
}

func TestImport_callsAFileThatIsNoCSVByWhatItIs(t *testing.T) {
	t.Parallel()
	data := open(t, t.TempDir())
	for text, want := range map[string]string{
		"PK\x03\x04\x14\x00\x06\x00":                            "a spreadsheet or an archive: save it as CSV UTF-8",
		"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":                      "a spreadsheet or an archive",
		wide(binary.LittleEndian, head)[2:]:                     "UTF-16 without a byte-order mark",
		strings.ReplaceAll(head+row(1), "\n", "\r"):             "end with a carriage return alone",
		wide(binary.LittleEndian, strings.Repeat("x", 20_000)):  "the first line must name the columns",
		strings.ReplaceAll(head, ",", "|"):                      "known are ucc, user_id",
		strings.ReplaceAll(head, "password_hash", "secret;pan"): `a column "secret;pan"`,
	} {
		file := write(t, text)
		_, err := importer(data, file).Run(t.Context())
		for _, err := range []error{operator.CheckFile(file), err} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%.20q: %v, want it to say %s", text, err, want)
			}
		}
	}
}

func TestImport_rejectsALineThatCannotBeReadWithItsReason(t *testing.T) {
	t.Parallel()
	data := open(t, t.TempDir())
	for text, want := range map[string]string{
		head + "UC1,one,9800000001,Asha \xe4,x\n":                                "is not UTF-8: save the file as CSV UTF-8",
		wide(binary.LittleEndian, head+strings.Repeat("x", 40_000)+"\n"):         "at most 16384 are read",
		wide(binary.LittleEndian, head+row(1)) + "x":                             "has 1 field, ",
		wide(binary.BigEndian, head+"UC1,one,9800000001,One,$argon2i$v=19$m=1,"): "has 6 fields",
	} {
		file := write(t, text)
		got, err := importer(data, file).Run(t.Context())
		if err != nil || got.Rejected != 1 || !strings.Contains(read(t, file+".rejected"), want) {
			t.Errorf("%.60q: %+v, %v, %q", text, got, err, read(t, file+".rejected"))
		}
	}
}

// However often a line is rejected, the file for it has its number in the first file and
// one reason, and else the line as it was.
func TestImportRejected_hasNumberAndReasonOnce(t *testing.T) {
	t.Parallel()
	for _, comma := range []string{",", ";", "\t"} {
		data := open(t, t.TempDir())
		bad := []string{
			`UC1,one,12,"One, ""the"" first",` + goodHash, // line 3
			`UC2,two,13,"Two,` + goodHash,
			"UC3,three",
			"UC4,four,9800000004,Four,plain",
		}
		header := strings.ReplaceAll("UCC,user_id,mobile,name,password_hash", ",", comma)
		header = strings.ToLower(header)
		text := header + "\n" + strings.ReplaceAll(row(1), ",", comma)
		for i := range bad {
			bad[i] = strings.ReplaceAll(bad[i], ",", comma)
			text += bad[i] + "\n"
		}
		file := write(t, text)
		if got, err := importer(data, file).Run(t.Context()); err != nil || got.Rejected != 4 {
			t.Fatalf("%+v, %v", got, err)
		}
		first := read(t, file+".rejected")
		if want := "line" + comma + "reason" + comma + header + "\n3" + comma + `"`; !strings.HasPrefix(first, want) {
			t.Errorf("rejected are\n%s", first)
		}
		for _, l := range bad {
			if !strings.Contains(first, `"`+comma+l+"\n") {
				t.Errorf("rejected are\n%s, want line %s", first, l)
			}
		}
		first = strings.Replace(first, "has 2 fields, but the first line names 5 columns", "has 4 fields, but the first line names 7 columns", 1) // as it is there
		for range 2 {
			file += ".rejected"
			change(t, file, "12", "1", 1)
			first = strings.Replace(strings.Replace(first, comma+"12"+comma, comma+"1"+comma, 1), "this has 2", "this has 1", 1)
			if got, err := importer(data, file).Run(t.Context()); err != nil || got.Rejected != 4 {
				t.Fatalf("%s: %+v, %v", file, got, err)
			}
			if again := read(t, file+".rejected"); again != first {
				t.Errorf("%s.rejected is\n%s, want\n%s", file, again, first)
			}
		}
	}
}

// What is wrong with a first line is told once, however much it is.
func TestImportHeader_isTakenAsPeopleWriteIt(t *testing.T) {
	t.Parallel()
	for _, header := range []string{"UCC,User ID,Mobile,Name,Password-Hash", ` ucc ,"USER_ID",mobile,NAME,password hash`, "Ucc;User-Id;MOBILE;name;Password Hash"} {
		data := open(t, t.TempDir())
		row := row(1)
		if strings.Contains(header, ";") {
			row = strings.ReplaceAll(row, ",", ";")
		}
		file := write(t, header+"\n"+row+"bad\n")
		got, err := importer(data, file).Run(t.Context())
		if err != nil || got.Added != 1 || got.Rejected != 1 {
			t.Errorf("%q: %+v, %v", header, got, err)
			continue
		}
		if got, err := importer(data, file+".rejected").Run(t.Context()); err != nil || got.Rejected != 1 {
			t.Errorf("%q: what was rejected: %+v, %v", header, got, err)
		}
	}
	many := "a,b,c,d,e,f,g,h\n"
	err := operator.CheckFile(write(t, many))
	if err == nil || strings.Count(err.Error(), "known are") != 1 || !strings.Contains(err.Error(), `"e" and 3 more`) {
		t.Errorf("of many columns that are none it says %v", err)
	}
	if err := operator.CheckFile(write(t, "ucc,UCC,user_id,User ID,mobile,password_hash\n")); err == nil ||
		!strings.Contains(err.Error(), "names ucc twice") || !strings.Contains(err.Error(), "names user_id twice") {
		t.Errorf("of columns that are there twice it says %v", err)
	}
}

// A line that collides is told with what, and with which line if that is one of the file.
func TestImportCollision_namesWhatCollides(t *testing.T) {
	t.Parallel()
	data := open(t, t.TempDir())
	const columns = "ucc,user_id,mobile,name,pan,password_hash\n"
	run(t, importer(data, write(t, columns+"AB1,one,9800000001,One,AVRFT7865T,"+goodHash+"\n")), operator.Result{Lines: 1, Added: 1, In: 1})
	cases := []struct{ line, want string }{
		{"AB1,one,9800000001,Other,AVRFT7865T," + goodHash, "account AB1 already exists, with another name"},
		{"AB1,one,9800000001,Other,AVRFT7865X," + strings.Replace(goodHash, "uG0", "uG1", 1), "account AB1 already exists, with another PAN, name and password hash"},
		{"AB1,own,9800000001,One,AVRFT7865T," + goodHash, "account AB1 already exists, with another user id"},
		{"AB1,own,9800000009,One,," + goodHash, "another account has this UCC"},
		{"AB2,two,9800000002,Two,AVRFT7865V," + goodHash, ""}, // line 6
		{"AB2,two,9800000002,Twice,," + goodHash, "account AB2 already exists, with another name: this file's line 6"},
		{"AB2,own,9800000009,Own,," + goodHash, "another account has this UCC: this file's line 6"},
		{"AB3,two,9800000003,Three,," + goodHash, "another account has this user id: this file's line 6"},
		{"AB3,own,9800000002,Three,," + goodHash, "another account has this mobile number: this file's line 6"},
		{"AB3,own,9800000003,Three,AVRFT7865V," + goodHash, "another account has this PAN: this file's line 6"},
		{"AB3,one,9800000003,Three,," + goodHash, "another account has this user id"},
	}
	text := columns
	for _, c := range cases {
		text += c.line + "\n"
	}
	file := write(t, text)
	if got, err := importer(data, file).Run(t.Context()); err != nil || got.Added != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	got := rejected(t, file+".rejected")
	for i, c := range cases {
		if got[i+2] != c.want {
			t.Errorf("line %d: %q, want %q", i+2, got[i+2], c.want)
		}
	}
}
