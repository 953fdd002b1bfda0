package canary

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"neoapi/internal/must"
)

func flock() *Flock {
	var f Flock
	f.Add("password", `Kestrel "ä" +/=&%\ 9f31`)
	f.Add("PAN", "ZQXJK4817V")
	f.Add("MPIN", "918273")
	f.Add("seed", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
	f.AddToken("token", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ0aGUgc3ViamVjdCJ9.c2lnbmF0dXJlIG9mIHRoZSB0b2tlbg")
	return &f
}

func TestIn_findsWhatIsPlanted(t *testing.T) {
	t.Parallel()
	f := flock()
	for _, around := range []string{"", "a log line\nand another one\n", "\x00\xff binary \x80", "0e1f9182739b-4c5d"} {
		if found := f.In([]byte(around)); len(found) > 0 {
			t.Errorf("%q holds %q", around, found)
		}
		for what, text := range f.Planted([]byte(around)) {
			if !slices.Contains(f.In(text), what) {
				t.Errorf("%s is not found in %q", what, text)
			}
		}
	}
	t.Run("whatever stands around it before it is encoded", func(t *testing.T) {
		for before := range 6 {
			for after := range 6 {
				whole := slices.Concat(bytes.Repeat([]byte("x"), before), []byte("918273"), bytes.Repeat([]byte("y"), after))
				for _, text := range []string{
					base64.StdEncoding.EncodeToString(whole), base64.RawURLEncoding.EncodeToString(whole), hex.EncodeToString(whole),
				} {
					if len(f.In([]byte(text))) == 0 {
						t.Errorf("not found: %s of %s", text, whole)
					}
				}
			}
		}
	})
	t.Run("as a machine word", func(t *testing.T) {
		for text, want := range map[string]bool{
			"rax    0x333732383139": true, "main.f(0x206c65727473654b, 0x17)": true, "0x206c65727473654b": true,
			"0x00206c65727473654b": false, "0x206c65727473654": false, "main.f(0xc00012a000, 0x6)": false,
		} {
			if found := f.InDump([]byte(text)); (len(found) > 0) != want {
				t.Errorf("%s: found %q", text, found)
			}
		}
	})
}

func TestIn_leavesOutANumberWithinALongerOne(t *testing.T) {
	t.Parallel()
	var f Flock
	f.Add("MPIN", "918273")
	for text, want := range map[string]bool{
		"918273": true, "otp=918273": true, `"918273"`: true, "login918273OK": true, "918273\n": true, "x 1918273 918273": true,
		"1918273": false, "9182730": false, "a918273b": false, "f6cd-918273": false, "8d918273e5-": false,
	} {
		if got := len(f.In([]byte(text))) > 0; got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestInFiles_searchesFilesWhole(t *testing.T) {
	t.Parallel()
	f := flock()
	dir := t.TempDir()
	if _, err := f.InFiles(dir); err == nil {
		t.Error("an empty directory is a search that looked at nothing")
	}
	put := func(name, text string) {
		t.Helper()
		must.Do(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	put("key", "918273")
	put("log", "nothing")
	if found, err := f.InFiles(dir, "key"); err != nil || len(found) > 0 {
		t.Errorf("found %q, %v", found, err)
	}
	must.Do(t, os.Mkdir(filepath.Join(dir, "deep"), 0o700))
	put("deep/neo.db-wal", fmt.Sprintf("\x00%s\x00", "ZQXJK4817V"))
	if found, err := f.InFiles(dir, "key"); err != nil || len(found) != 1 {
		t.Errorf("found %q, %v", found, err)
	}
}

// A code's digits within the times and ids of somebody else's token are no find, and a
// code in a token is one.
func TestIn_leavesOutNumbersOfATokensClaims(t *testing.T) {
	var f Flock
	f.Add("OTP", "123456")
	for claims, want := range map[string]int{
		`{"iat":1712345678}`: 0, `{"a":1,"iat":1712345678}`: 0, `{"ab":1,"iat":1712345678}`: 0, `{"jti":"0a123456-1b"}`: 0,
		`{"otp":"123456"}`: 1, `{"a":1,"otp":"123456"}`: 1, `{"ab":12,"otp":123456}`: 1,
	} {
		token := "eyJhbGciOiJSUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
		if found := f.In([]byte(`{"token":"` + token + `"}`)); (len(found) > 0) != (want > 0) {
			t.Errorf("%s: %v", claims, found)
		}
	}
}
