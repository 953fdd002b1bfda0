package credential

import (
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// These hashes are test vectors of the reference implementation of Argon2
// (P-H-C/phc-winner-argon2, test.c): "password" with the salt "somesalt".
const (
	vector64M  = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	vector256K = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
)

func TestVerify_readsTheHashesOfTheReferenceImplementation(t *testing.T) {
	for _, phc := range []string{vector64M, vector256K} {
		if ok, _, err := Verify(phc, []byte("password")); !ok || err != nil {
			t.Errorf("%s: got %t, %v", phc, ok, err)
		}
	}
	if ok, _, err := Verify(vector256K, []byte("differentpassword")); ok || err != nil {
		t.Errorf("another password: got %t, %v", ok, err)
	}
}

func hashOf(t *testing.T, secret string) string {
	t.Helper()
	phc, err := Hash([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return phc
}

func TestHash_writesAPHCStringWithOWASPsFloorAndAFreshSalt(t *testing.T) {
	form := regexp.MustCompile(`\A\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}\z`)
	a, b := hashOf(t, "correct horse"), hashOf(t, "correct horse")
	if !form.MatchString(a) || !form.MatchString(b) {
		t.Errorf("got %s and %s", a, b)
	}
	if strings.Split(a, "$")[4] == strings.Split(b, "$")[4] || strings.Split(a, "$")[5] == strings.Split(b, "$")[5] {
		t.Errorf("two hashes share a salt or a sum: %s and %s", a, b)
	}
}

func TestVerify_acceptsExactlyThePasswordThatWasHashed(t *testing.T) {
	same72 := strings.Repeat("a", 72)
	for _, c := range []struct {
		name   string
		secret string
		wrong  []string
	}{
		{"a plain password", "correct horse", []string{"", "correct hors", "correct horse ", "Correct horse", "correct horse\x00"}},
		{"72 bytes and more", same72 + "1", []string{same72 + "2", same72, same72 + "1" + "x"}},
		{"unicode", "пароль-密码-🔑", []string{"пароль-密码-🗝", "пароль-密码-"}},
		{"composed", "caf\u00e9 au lait", []string{"cafe\u0301 au lait"}},
		{"the longest", strings.Repeat("z", MaxPassword), []string{strings.Repeat("z", MaxPassword-1)}},
		{"with a NUL", "before\x00after", []string{"before\x00other", "before"}},
	} {
		phc := hashOf(t, c.secret)
		if ok, stale, err := Verify(phc, []byte(c.secret)); !ok || stale || err != nil {
			t.Errorf("%s: the right one: got %t, stale %t, %v", c.name, ok, stale, err)
		}
		for _, wrong := range c.wrong {
			if ok, _, err := Verify(phc, []byte(wrong)); ok || err != nil {
				t.Errorf("%s: %q in its place: got %t, %v", c.name, wrong, ok, err)
			}
		}
	}
}

func TestVerify_tellsWhichHashesAreWeakerThanTodays(t *testing.T) {
	salt, sum32 := "c29tZXNhbHQ", strings.Repeat("A", 43)
	for _, c := range []struct {
		name, phc string
		stale     bool
	}{
		{"less memory", "$argon2id$v=19$m=9728,t=2,p=1$" + salt + "$" + sum32, true},
		{"fewer passes", "$argon2id$v=19$m=19456,t=1,p=1$" + salt + "$" + sum32, true},
		{"little memory", vector256K, true},
		// Memory is what makes argon2id dear to an attacker, and passes do not make up for
		// it: security.md P1 wants 19 MiB with two passes or 46 MiB with one.
		{"1 MiB and many passes", "$argon2id$v=19$m=1216,t=32,p=1$" + salt + "$" + sum32, true},
		{"a shorter sum", "$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + strings.Repeat("A", 22), true},
		{"today's", "$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + sum32, false},
		{"OWASP's other floor", "$argon2id$v=19$m=47104,t=1,p=1$" + salt + "$" + sum32, false},
		{"more memory", vector64M, false},
	} {
		if _, stale, err := Verify(c.phc, []byte("password")); stale != c.stale || err != nil {
			t.Errorf("%s: stale %t, %v", c.name, stale, err)
		}
	}
}

// hostile are hashes that no Hash wrote: damaged, or made to hurt.
var hostile = map[string]string{
	"empty":                       "",
	"plain text":                  "password",
	"argon2i":                     strings.Replace(vector256K, "argon2id", "argon2i", 1),
	"another version":             strings.Replace(vector256K, "v=19", "v=16", 1),
	"no version":                  strings.Replace(vector256K, "$v=19", "", 1),
	"4 GiB":                       strings.Replace(vector256K, "m=256", "m=4194304", 1),
	"1 GiB and a KiB":             strings.Replace(vector256K, "m=256", "m=1048577", 1),
	"all the memory a word names": strings.Replace(vector256K, "m=256", "m=4294967295", 1),
	"memory past 32 bits":         strings.Replace(vector256K, "m=256", "m=4294967552", 1),
	"no memory":                   strings.Replace(vector256K, "m=256", "m=0", 1),
	"less memory than lanes need": strings.Replace(vector256K, "m=256,t=2,p=1", "m=64,t=2,p=16", 1),
	"endless passes":              strings.Replace(vector256K, "t=2", "t=4294967295", 1),
	"no pass":                     strings.Replace(vector256K, "t=2", "t=0", 1),
	"no lane":                     strings.Replace(vector256K, "p=1", "p=0", 1),
	"lanes past 8 bits":           strings.Replace(vector256K, "p=1", "p=257", 1),
	"255 lanes":                   strings.Replace(vector256K, "m=256,t=2,p=1", "m=65536,t=2,p=255", 1),
	"negative memory":             strings.Replace(vector256K, "m=256", "m=-256", 1),
	"a plus sign":                 strings.Replace(vector256K, "m=256", "m=+256", 1),
	"a leading zero":              strings.Replace(vector256K, "m=256", "m=0256", 1),
	"hexadecimal":                 strings.Replace(vector256K, "m=256", "m=0x100", 1),
	"another order":               strings.Replace(vector256K, "m=256,t=2,p=1", "t=2,m=256,p=1", 1),
	"a space":                     strings.Replace(vector256K, "m=256,t=2", "m=256, t=2", 1),
	"one parameter more":          strings.Replace(vector256K, "p=1", "p=1,data=AA", 1),
	"no salt":                     strings.Replace(vector256K, "c29tZXNhbHQ", "", 1),
	"a short salt":                strings.Replace(vector256K, "c29tZXNhbHQ", "c29tZQ", 1),
	"a huge salt":                 strings.Replace(vector256K, "c29tZXNhbHQ", strings.Repeat("AAAA", 1000), 1),
	"a padded salt":               strings.Replace(vector256K, "c29tZXNhbHQ", "c29tZXNhbHQ=", 1),
	"a salt in URL base64":        strings.Replace(vector256K, "c29tZXNhbHQ", "____________", 1),
	"a salt with loose bits":      strings.Replace(vector256K, "c29tZXNhbHQ", "c29tZXNhbHR", 1),
	"no sum":                      vector256K[:strings.LastIndex(vector256K, "$")+1],
	"a sum of one byte":           vector256K[:strings.LastIndex(vector256K, "$")+1] + "AA",
	"a huge sum":                  vector256K[:strings.LastIndex(vector256K, "$")+1] + strings.Repeat("AAAA", 1000),
	"no sum field":                vector256K[:strings.LastIndex(vector256K, "$")],
	"a field more":                vector256K + "$",
	"a space before":              " " + vector256K,
	"a newline after":             vector256K + "\n",
	"a newline in the salt":       strings.Replace(vector256K, "c29tZXNhbHQ", "c29t\nZXNhbHQ", 1),
}

func TestVerify_refusesHostileHashesWithoutSpendingMemory(t *testing.T) {
	for name, phc := range hostile {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		ok, _, err := Verify(phc, []byte("password"))
		runtime.ReadMemStats(&after)
		if ok || !errors.Is(err, ErrHash) {
			t.Errorf("%s: got %t, %v", name, ok, err)
		}
		if spent := after.TotalAlloc - before.TotalAlloc; spent > 128<<10 {
			t.Errorf("%s: %d KiB allocated", name, spent>>10)
		}
	}
}

func FuzzPHC(f *testing.F) {
	f.Add(vector64M)
	f.Add(vector256K)
	for _, phc := range hostile {
		f.Add(phc)
	}
	f.Fuzz(func(t *testing.T, phc string) {
		h, err := parsePHC(phc)
		if err != nil {
			if !errors.Is(err, ErrHash) {
				t.Fatalf("%q: %v", phc, err)
			}
			return
		}
		if h.memory > 1<<20 || len(h.salt) > 64 || len(h.sum) > 64 {
			t.Fatalf("%q asks for %d KiB, a salt of %d and a sum of %d bytes", phc, h.memory, len(h.salt), len(h.sum))
		}
		if prefix := fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$", h.memory, h.time, h.lanes); !strings.HasPrefix(phc, prefix) {
			t.Fatalf("%q was read as %s", phc, prefix)
		}
		if h.memory <= 256 && h.time <= 4 { // more would be slow, not different
			if _, _, err := Verify(phc, []byte("password")); err != nil {
				t.Fatalf("%q: parsed, but %v", phc, err)
			}
		}
	})
}
