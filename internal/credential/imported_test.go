package credential

import (
	"maps"
	"strings"
	"testing"
	"time"
)

// foreignHashes are of "correct horse ☕", made by other programs: bcrypt's are
// crypt_blowfish's own vectors, the others hashlib's.
var foreignHashes = map[string]string{
	"$scrypt$ln=10,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$Vo8pPTsQC1Uwgv9gHpIK7qvd9w0UVROxkFeRUZb9OIk":                                                 "correct horse ☕",
	"$pbkdf2-sha1$i=1000,l=20$MDEyMzQ1Njc4OWFiY2RlZg$FQIOiL/sUfO5P5TnPqfyZiovDmY":                                                              "correct horse ☕",
	"$pbkdf2-sha256$i=1000,l=32$MDEyMzQ1Njc4OWFiY2RlZg$pXt4ILYVxfa55Gwuw3VS7sIPyStMAf3nc4KrPB4BCgU":                                            "correct horse ☕",
	"$pbkdf2-sha512$i=1000,l=64$MDEyMzQ1Njc4OWFiY2RlZg$JH7e3d//ODEVj22UI84TvOecH21tCEVy0QDb0qur+Wh9whCZy7DIbtEdf1PfCDJWl2Nhe3wsc0WXK13Gb0LPtQ": "correct horse ☕",
	"$pbkdf2-sha256$2900$8PHy8/T19vf4.fr7/P3./w$UvfxbrBIrPWkBRk8xrMyhBkdnugPNw51oMZ1S0OBQTM":                                                   "correct horse ☕",
	"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW":                                                                             "U*U",
	"$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW":                                                                             "U*U",
	"$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW":                                                                             "U*U",
	"$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui":                                                                             "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789chars after 72 are ignored",
}

// A hash that would take a minute or 10 GB must not be stored: every login would.
func TestCheckForeign_refusesAbsurdParametersAtOnce(t *testing.T) {
	salt, sum := "$MDEyMzQ1Njc4OWFiY2RlZg", "$Vo8pPTsQC1Uwgv9gHpIK7qvd9w0UVROxkFeRUZb9OIk"
	rest := strings.Repeat("a", 53)
	started := time.Now()
	for _, phc := range []string{
		"", "plain text", "$", "$$$$", "$1$abc$def", "$5$rounds=5000$salt$hash", "$2b$12$short", "$2b$03$" + rest, "$2b$15$" + rest, "$2b$31$" + rest, "$2x$10$" + rest,
		"$2b$12$" + rest + "\n", "$argon2id$v=19$m=4194304,t=3,p=1" + salt + sum, "$argon2id$v=19$m=262144,t=5,p=1" + salt + sum,
		"$argon2id$v=19$m=4294967295,t=4294967295,p=255" + salt + sum, "$argon2i$v=19$m=65536,t=2,p=1" + salt + sum,
		"$scrypt$ln=22,r=8,p=1" + salt + sum, "$scrypt$ln=63,r=8,p=1" + salt + sum, "$scrypt$ln=14,r=8,p=1000" + salt + sum, "$scrypt$ln=10,r=99999999,p=99999999" + salt + sum,
		"$scrypt$ln=10,r=0,p=1" + salt + sum, "$scrypt$ln=-1,r=8,p=1" + salt + sum, "$scrypt$ln=10,r=8,p=1,x=2" + salt + sum, "$scrypt$ln=10,r=8,p=1" + salt + "$AA",
		"$pbkdf2-sha256$i=2000001" + salt + sum, "$pbkdf2-sha256$99999999999999999999" + salt + sum, "$pbkdf2-sha256$i=0" + salt + sum, "$pbkdf2-sha256$i=-5" + salt + sum,
		"$pbkdf2-sha256$i=1000,l=31" + salt + sum, "$pbkdf2-sha256$i=1900000" + salt + sum + sum[1:], "$pbkdf2-md5$i=1000" + salt + sum,
		"$pbkdf2-sha512$i=1000001" + salt + sum, "$pbkdf2-sha256$i=1000" + salt + "=" + sum, "$pbkdf2-sha256$i=1000$" + sum,
	} {
		err := CheckForeign(phc)
		if err == nil {
			t.Errorf("%q is taken", phc)
			continue
		}
		if len(phc) > 20 && strings.Contains(err.Error(), sum[1:]) {
			t.Errorf("%v: holds the hash", err)
		}
		if !strings.HasPrefix(phc, "$argon2id$") {
			if _, _, err := Verify(phc, []byte("secret")); err == nil {
				t.Errorf("%q is verified", phc)
			}
		}
	}
	if took := time.Since(started); took > time.Minute { // to compute them would take days
		t.Errorf("took %s", took)
	}
}

func TestDecoy_costsTheSameAndMatchesNoSecret(t *testing.T) {
	all := maps.Clone(foreignHashes)
	all[Matchless()] = "secret"
	all[hashOf(t, "secret")] = "secret"
	for phc, secret := range all {
		d := Decoy(phc)
		if d == phc || Shape(d) != Shape(phc) || len(d) != len(phc) {
			t.Errorf("%s: a decoy is %s", phc, d)
		}
		if ok, _, err := Verify(d, []byte(secret)); ok || err != nil {
			t.Errorf("%s: ok %v, %v", d, ok, err)
		}
	}
	for phc, want := range map[string]string{
		"$2b$12$" + strings.Repeat("a", 53):            "$2b$12",
		"$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA": "$argon2id$v=19$m=19456,t=2,p=1",
		"$scrypt$ln=10,r=8,p=1$c2FsdA$aGFzaA":          "$scrypt$ln=10,r=8,p=1",
		"$pbkdf2-sha256$i=1000,l=32$c2FsdA$aGFzaA":     "$pbkdf2-sha256$i=1000,l=32",
		"": "",
	} {
		if got := Shape(phc); got != want {
			t.Errorf("%s: shape %q", phc, got)
		}
	}
}

func TestSealHash_isReadByItsOwnerOnly(t *testing.T) {
	v, err := NewVault(make([]byte, MasterKeySize))
	if err != nil {
		t.Fatal(err)
	}
	const phc = "$2b$12$aaaa"
	stored := SealHash(v, PurposeMPIN, "account-1", phc)
	if strings.Contains(stored, "$2b$") {
		t.Errorf("%s tells of the hash", stored)
	}
	if got, sealed, err := OpenHash(v, PurposeMPIN, "account-1", stored); got != phc || !sealed || err != nil {
		t.Errorf("got %q, %v, %v", got, sealed, err)
	}
	if got, sealed, err := OpenHash(v, PurposeMPIN, "account-2", stored); err == nil {
		t.Errorf("another account reads %q, %v", got, sealed)
	}
	if got, sealed, err := OpenHash(v, PurposeMPIN, "account-1", phc); got != phc || sealed || err != nil {
		t.Errorf("one that is not sealed: %q, %v, %v", got, sealed, err)
	}
}

func FuzzForeign(f *testing.F) {
	for phc := range foreignHashes {
		f.Add(phc)
	}
	f.Fuzz(func(t *testing.T, phc string) {
		if CheckForeign(phc) == nil {
			if d := Decoy(phc); CheckForeign(d) != nil || Shape(d) != Shape(phc) {
				t.Fatalf("%q: a decoy is %q", phc, d)
			}
		}
	})
}
