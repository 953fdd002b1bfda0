package credential

import (
	"errors"
	"strings"
	"testing"
)

// wrappedHashes are from the tests and documents of the frameworks, or made by
// Python's hashlib in their forms.
var wrappedHashes = map[string]string{
	"pbkdf2_sha256$390000$seasalt$8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c=":                                                                                    "lètmein",
	"pbkdf2_sha1$1000$seasalt$bk2PsIL1ZXjNgqjPuATTBsqxAtI=":                                                                                                        "correct horse ☕",
	"scrypt$16384$seasalt$8$5$ECMIUp+LMxMSK8xB/IVyba+KYGTI7FTnet025q/1f/vBAVnnP3hdYqJuRi+mJn6ji6ze3Fbb7JEFPKGpuEf5vw==":                                            "lètmein",
	"bcrypt$$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW":                                                                                          "U*U",
	"pbkdf2:sha256:1000$abcdefgh$9020dcf8df4070c946bc70b882bb50a64852ebf11cd4aa2a5e357f3f2ab1ef97":                                                                 "correct horse ☕",
	"pbkdf2:sha512:1000$abcdefgh$57887bf3d56691a930e94423622d45919c50532fc7469127d7f4e8002f4cd92435e9a9a5827aed506e512bf16ae5d1443d8a3f35fecb6fbc8c13c268d5043607": "correct horse ☕",
	"scrypt:1024:8:1$abcdefgh$a7353816fe95aaf35a25b24130965ee560de82bced83b3aba4f63bddb265162847c0baf43c72ff8ea9c0051a28eddea303c9c2db4878918dcbf066dee63e510c":    "correct horse ☕",
	"{bcrypt}$2a$10$dXJ3SW6G7P50lGmMkkmwe.20cQQubK3.HZWzG3YB1tlRy.fqvM/BG":                                                                                         "password",
	"{pbkdf2}5d923b44a6d129f3ddf3e3c8d29412723dcbde72445e8ef6bf3b508fbf17fa4ed4d6b99ca763d8dc":                                                                     "password",
	"{pbkdf2@SpringSecurity_v5_8}000102030405060708090a0b0c0d0e0fd468e0cb6ec7fa946e035fbd9c6bbaefb9f7c94303f692a8876f778ba80016a0":                                 "correct horse ☕",
	"{scrypt}$e0801$8bWJaSu2IKSn9Z9kM+TPXfOc/9bdYSrN1oD9qfVThWEwdRTnO7re7Ei+fUZRJ68k9lTyuTeUp4of4g24hHnazw==$OAOec05+bXxvuu/1qZ6NUR+xQYvYv7BeL1QxwRpY5Pc=":         "password",
	"{CRYPT}$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW":                                                                                          "U*U",
	"{PBKDF2}1000$AAECAwQFBgcICQoLDA0ODw$B1oDJONlxUub2ULTj84V7mHGfDk":                                                                                              "correct horse ☕",
	"{PBKDF2-SHA256}1000$AAECAwQFBgcICQoLDA0ODw$OTfH/Yupm1x4Xxm3rDs3IVUjju0EdnpPnrkro7H8hXk":                                                                       "correct horse ☕",
	"AQAAAAEAAAPoAAAAEAABAgMEBQYHCAkKCwwNDg85N8f9i6mbXHhfGbesOzchVSOO7QR2ek+euSujsfyFeQ==":                                                                         "correct horse ☕",
	"AQAAAAIAAAPoAAAAEAABAgMEBQYHCAkKCwwNDg/SsXB91ksye7VPqE5LKi1j6xMb7tzR7Uq7W/Ivc+g0cw==":                                                                         "correct horse ☕",
	"AAABAgMEBQYHCAkKCwwNDg8HWgMk42XFS5vZQtOPzhXuYcZ8OfzmNvBprT0F+GcwTQ==":                                                                                         "correct horse ☕",
}

// A hash of another system, as a framework wraps it or as it is, is verified, and is
// weaker than ours.
func TestForeign_takesOverWrappedFormsOfOurAlgorithms(t *testing.T) {
	id := hashOf(t, "secret")
	all := map[string]string{id: "secret", "argon2" + id: "secret", "{argon2}" + id: "secret", "{argon2@SpringSecurity_v5_8}" + id: "secret"}
	for _, more := range []map[string]string{wrappedHashes, foreignHashes} {
		for text, secret := range more {
			all[text] = secret
		}
	}
	for text, secret := range all {
		phc, err := Foreign(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if err := CheckForeign(phc); err != nil {
			t.Errorf("%s became %s: %v", text, phc, err)
		}
		if ok, stale, err := Verify(phc, []byte(secret)); !ok || stale != (phc != id) || err != nil {
			t.Errorf("%s: ok %v, stale %v, %v", text, ok, stale, err)
		}
		for _, wrong := range []string{"", "wrong", "x" + secret} {
			if ok, _, err := Verify(phc, []byte(wrong)); ok || err != nil {
				t.Errorf("%s with %q: ok %v, %v", text, wrong, ok, err)
			}
		}
	}
}

func TestForeign_namesTheKindOfAHashThatItCannotTakeOver(t *testing.T) {
	hex := strings.Repeat("0123456789abcdef", 8)
	for text, kind := range map[string]string{
		"$argon2i$v=19$m=65536,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$Vo8pPTsQC1Uwgv9gHpIK7qvd9w0UVROxkFeRUZb9OIk": "argon2i",
		"argon2$argon2i$v=19$m=512,t=2,p=2$c2FsdA$aGFzaA":                                                  "argon2i",
		"{argon2}$argon2i$v=19$m=512,t=2,p=2$c2FsdA$aGFzaA":                                                "argon2i",
		"$argon2d$v=19$m=65536,t=2,p=1$c2FsdA$aGFzaA":                                                      "argon2d",
		"bcrypt_sha256$$2b$12$" + strings.Repeat("a", 53):                                                  "bcrypt over SHA-256",
		"$bcrypt-sha256$v=2,t=2b,r=12$n79VH.0Q2TMWmt3Oqt9uku$Kq4Noyk3094Y2QlB8NdRT8SvGiI4ft2":              "bcrypt over SHA-256",
		"$wp$2y$10$" + strings.Repeat("a", 53):                                                             "WordPress's bcrypt over SHA-384",
		hex[:32]:                                                                                           "MD5",
		strings.ToUpper(hex[:32]):                                                                          "MD5",
		"md5$seasalt$" + hex[:32]:                                                                          "MD5",
		"{MD5}X03MO1qnZdYdgyfeuILPmQ==":                                                                    "MD5",
		"sha1$seasalt$" + hex[:40]:                                                                         "SHA-1",
		"{SSHA}pKqkNr1tq3wtQqk+UcPyA3HnA2NsU5NJ":                                                           "SHA-1",
		hex[:64]:                                                                                           "SHA-256",
		hex:                                                                                                "SHA-512",
		"$1$abc$def":                                                                                       "MD5 crypt",
		"$apr1$abc$def":                                                                                    "MD5 crypt",
		"$5$rounds=5000$salt$hash":                                                                         "SHA-256 crypt",
		"{CRYPT}$6$salt$hash":                                                                              "SHA-512 crypt",
		"$y$j9T$salt$hash":                                                                                 "yescrypt",
		"$P$B55D6LjfHDkINU5wF.v2BuuzO0/XPk/":                                                               "phpass",
		"*94BDCEBE19083CE2A1F959FD02F964C7AF4CFC29":                                                        "MySQL's SHA-1",
		"{noop}password":                                                                                   "plain text",
		"!9Xd2rkHwXvPXdTXCmWZrwuVRfSnRYQDbSx":                                                              "Django's mark for no password",
	} {
		_, err := Foreign(text)
		var known *ForeignError
		if !errors.Is(err, ErrForeign) || !errors.As(err, &known) || known.Kind != kind {
			t.Errorf("%s: %v, want %q", text, err, kind)
		}
	}
}

// What looks like a wrapped form and is none, or asks for too much, is refused.
func TestForeign_refusesABrokenWrappedForm(t *testing.T) {
	for _, text := range []string{
		"", "{", "}", "{}", "{bcrypt}", "{bcrypt", "bcrypt", "bcrypt$", "argon2", "argon2$", "scrypt", "scrypt$$$$$", "scrypt:::$$", "pbkdf2:$$", "pbkdf2_sha256$$$",
		"pbkdf2_sha256$390000$seasalt$not base64", "pbkdf2_sha256$-1$seasalt$8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c=",
		"pbkdf2_sha256$9999999999$seasalt$8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c=", "pbkdf2_sha256$1000,l=5$seasalt$8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c=",
		"pbkdf2_md5$1000$seasalt$8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c=", "scrypt$16383$seasalt$8$5$8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c=",
		"scrypt$0$seasalt$8$5$8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c=", "scrypt$1073741824$seasalt$8$1$8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c=",
		"{scrypt}$ffffffff$8bWJaSu2IKSn9Z9kM+TPXQ==$OAOec05+bXxvuu/1qZ6NUR+xQYvYv7BeL1QxwRpY5Pc=", "{pbkdf2}00", "{pbkdf2@SpringSecurity_v5_8}",
		"AQAAAAEAAAPoAAAA", "AQAAAAMAAAPoAAAAEAABAgMEBQYHCAkKCwwNDg85N8f9i6mbXHhfGbesOzchVSOO7QR2ek+euSujsfyFeQ==",
		"AQAAAAEAAAPo/////wABAgMEBQYHCAkKCwwNDg85N8f9i6mbXHhfGbesOzchVSOO7QR2ek+euSujsfyFeQ==", "AgABAgMEBQYHCAkKCwwNDg8HWgMk42XFS5vZQtOPzhXuYcZ8OfzmNvBprT0F+GcwTQ==",
	} {
		if phc, err := Foreign(text); err == nil {
			t.Errorf("%q is taken, as %s", text, phc)
		}
	}
}

func FuzzWrapped(f *testing.F) {
	for _, all := range []map[string]string{foreignHashes, wrappedHashes} {
		for text := range all {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		phc, err := Foreign(text)
		if err != nil {
			return
		}
		if again, err := Foreign(phc); err != nil || again != phc {
			t.Fatalf("%q became %q, and that %q, %v", text, phc, again, err)
		}
	})
}
