package operator

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neoapi/internal/credential"
	"neoapi/internal/login"
)

func testAdmin(t *testing.T) *Admin {
	t.Helper()
	vault, err := credential.NewVault(bytes.Repeat([]byte{7}, credential.MasterKeySize))
	if err != nil {
		t.Fatal(err)
	}
	return &Admin{Vault: vault, Now: func() time.Time { return time.Unix(1654684389, 0) }}
}

func testAccount() NewAccount {
	return NewAccount{
		UCC: "testya24", UserID: "asfdywgsiqwjnskm", Mobile: "9999999908", PAN: "avrft7865t", GreetingName: "string",
		Password: "correct horse battery", MPIN: "135790", TOTPSeed: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
	}
}

func TestHash_keepsNoSecretOfTheAccountInTheClear(t *testing.T) {
	m := testAdmin(t)
	h, err := m.Hash(testAccount())
	if err != nil {
		t.Fatal(err)
	}
	if h.UCC != "TESTYA24" || h.UserID != "asfdywgsiqwjnskm" || h.Mobile != "+919999999908" || h.pan != "AVRFT7865T" || h.GreetingName != "string" {
		t.Errorf("names: %s %s %s %s %s", h.UCC, h.UserID, h.Mobile, string(h.pan), h.GreetingName)
	}
	if ok, stale, err := credential.Verify(h.PasswordHash, []byte("correct horse battery")); !ok || stale || err != nil {
		t.Errorf("password: %t, stale %t, %v", ok, stale, err)
	}
	// A stolen database must not be enough to try the million MPINs (security.md P1).
	if ok, _, err := credential.Verify(h.MPINHash, []byte("135790")); ok || err != nil {
		t.Errorf("the MPIN's hash is of the MPIN alone: %t, %v", ok, err)
	}
	if ok, _, err := credential.Verify(h.MPINHash, m.Vault.MAC(credential.PurposeMPIN, "135790")); !ok || err != nil {
		t.Errorf("the MPIN's hash is not of its keyed hash: %t, %v", ok, err)
	}
	if len(h.Account.PAN) > 0 || len(h.Account.TOTPSeed) > 0 || len(h.PANIndex) > 0 {
		t.Error("sealed before the account has an id")
	}
	want := map[string]int64{"lastUpdatedTS": 1654684389, "multiplewatchlists": 1654684389, "watchlist": 1654684389}
	if diff := cmp.Diff(want, h.Caches); diff != "" {
		t.Errorf("caches:\n%s", diff)
	}
}

func TestNewAccount_needsNeitherPANNorMPINNorTOTP(t *testing.T) {
	n := testAccount()
	n.PAN, n.MPIN, n.TOTPSeed, n.GreetingName = "", "", "", ""
	n.Caches = map[string]int64{"baskets": 1}
	h, err := testAdmin(t).Hash(n)
	if err != nil || h.MPINHash != "" || h.pan != "" || len(h.seed) > 0 || !cmp.Equal(h.Caches, n.Caches) {
		t.Errorf("got MPIN hash %q, PAN %q, seed %x, caches %v, %v", h.MPINHash, string(h.pan), h.seed, h.Caches, err)
	}
}

func TestNewAccount_namesEveryProblemAtOnceAndQuotesNoSecret(t *testing.T) {
	n := NewAccount{
		UCC: "bad ucc!", UserID: "bad user id!", Mobile: "12345", PAN: "QQQQQ12345", GreetingName: strings.Repeat("g", 129),
		Password: "s3cret!", MPIN: "86421",
	}
	h, err := testAdmin(t).Hash(n)
	if err == nil {
		t.Fatal("accepted")
	}
	if h.PasswordHash != "" || h.MPINHash != "" {
		t.Error("hashed a secret of an account that is refused")
	}
	lines := strings.Split(err.Error(), "\n")
	fields := []string{"ucc", "userid", "mobileNumber", "pan", "name", "password", "mpin"}
	for i, field := range fields {
		if i >= len(lines) || !strings.HasPrefix(lines[i], field+": ") {
			t.Errorf("problem %d should be of %s:\n%v", i+1, field, err)
		}
	}
	if len(lines) != len(fields) {
		t.Errorf("%d problems, want %d:\n%v", len(lines), len(fields), err)
	}
	for _, secret := range []string{string(n.Password), string(n.MPIN), string(n.PAN)} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error quotes %s: %v", secret, err)
		}
	}
	var e *login.Error
	if !errors.As(err, &e) || e.Kind != login.KindInput {
		t.Errorf("the first problem is %#v, want KindInput", e)
	}
}

// What an operator pastes, or a file holds, gives the account that the protocol's own
// spelling names, and no other.
func TestNewAccount_isOfTheProtocolsFormWhenPasted(t *testing.T) {
	m := testAdmin(t)
	plain, pasted := testAccount(), testAccount()
	plain.UCC, plain.UserID, plain.Mobile, plain.PAN, plain.GreetingName, plain.MPIN = "AB1234", "asha", "+919876543210", "AVRFT7865T", "Asha Rao", "864213"
	pasted.UCC, pasted.UserID, pasted.Mobile, pasted.PAN, pasted.GreetingName, pasted.MPIN =
		"\u200bab1234\n", " asha\u00a0", "(+91) (0) 98765\u2011४३२१०", "avrft 7865 t", "Asha\u00a0Rao ", "864\u00a0２１３"
	want, err := m.Hash(plain)
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.Hash(pasted)
	if err != nil {
		t.Fatal(err)
	}
	if got.UCC != want.UCC || got.UserID != want.UserID || got.Mobile != want.Mobile || got.pan != want.pan || got.GreetingName != want.GreetingName || string(got.seed) != string(want.seed) {
		t.Errorf("got %+v, want %+v", got.Account, want.Account)
	}
	if ok, _, err := credential.Verify(got.MPINHash, m.Vault.MAC(credential.PurposeMPIN, "864213")); err != nil || !ok {
		t.Errorf("the MPIN is another one: %v", err)
	}
	imported, err := m.Imported(NewImport{
		UCC: string(pasted.UCC), UserID: pasted.UserID, Mobile: pasted.Mobile, PAN: pasted.PAN, GreetingName: pasted.GreetingName,
		PasswordHash: credential.Secret(want.PasswordHash), TOTPSeed: "otpauth://totp/x?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
	}, m.Now())
	if err != nil || imported.UCC != want.UCC || imported.UserID != want.UserID || imported.Mobile != want.Mobile || imported.GreetingName != want.GreetingName {
		t.Errorf("imported %+v, %v", imported, err)
	}
}

func TestNewAccount_namesEachProblemAlone(t *testing.T) {
	for name, c := range map[string]struct {
		field string
		spoil func(*NewAccount)
	}{
		"no UCC":                         {"ucc", func(n *NewAccount) { n.UCC = "" }},
		"no user id":                     {"userid", func(n *NewAccount) { n.UserID = "" }},
		"no mobile number":               {"mobileNumber", func(n *NewAccount) { n.Mobile = "" }},
		"a landline":                     {"mobileNumber", func(n *NewAccount) { n.Mobile = "2212345678" }},
		"a bad PAN":                      {"pan", func(n *NewAccount) { n.PAN = "AVRFT7865" }},
		"a name of 129 bytes":            {"name", func(n *NewAccount) { n.GreetingName = strings.Repeat("g", 129) }},
		"a name that runs backwards":     {"name", func(n *NewAccount) { n.GreetingName = "a\u202eb" }},
		"a name with a zero-width space": {"name", func(n *NewAccount) { n.GreetingName = "a\u200bb" }},
		"a name with a Braille blank":    {"name", func(n *NewAccount) { n.GreetingName = "a\u2800b" }},
		"a number with a comma":          {"mobileNumber", func(n *NewAccount) { n.Mobile = "98765,43210" }},
		"a UCC with a Cyrillic letter":   {"ucc", func(n *NewAccount) { n.UCC = "\u0410B1234" }},
		"a name not in UTF-8":            {"name", func(n *NewAccount) { n.GreetingName = "a\xff" }},
		"no password":                    {"password", func(n *NewAccount) { n.Password = "" }},
		"a short password":               {"password", func(n *NewAccount) { n.Password = "hf83Kd!" }},
		"an MPIN of five":                {"mpin", func(n *NewAccount) { n.MPIN = "13579" }},
		"an MPIN of seven":               {"mpin", func(n *NewAccount) { n.MPIN = "1357901" }},
		"an MPIN of letters":             {"mpin", func(n *NewAccount) { n.MPIN = "abcdef" }},
		"a full-width MPIN":              {"mpin", func(n *NewAccount) { n.MPIN = "１２" }},
	} {
		n := testAccount()
		c.spoil(&n)
		_, err := testAdmin(t).Hash(n)
		if err == nil || !strings.HasPrefix(err.Error(), c.field+": ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one problem of %s", name, err, c.field)
		}
	}
}

// security.md P3. The common ones are in every list of the 3,000 most common passwords.
func TestPassword_isLongEnoughNotCommonAndNoNameOfItsOwner(t *testing.T) {
	for name, x := range map[string]struct {
		password credential.Secret
		taken    bool
	}{
		"eight characters":          {"hf83Kd!x", true},
		"64 characters":             {credential.Secret(strings.Repeat("x7", 32)), true},
		"the longest":               {credential.Secret(strings.Repeat("y", credential.MaxPassword)), true},
		"letters only":              {"correcthorsebatterystaple", true},
		"spaces":                    {"a b c d e f g", true},
		"eight of another alphabet": {"пароль-я", true},
		"eight emoji":               {"🔑🔒🗝🚪🏠🌳🌞🌚", true},

		"none":                     {"", false},
		"seven characters":         {"hf83Kd!", false},
		"seven of several bytes":   {"пароль-", false},
		"one byte beyond the most": {credential.Secret(strings.Repeat("y", credential.MaxPassword+1)), false},
		"no UTF-8":                 {"hf83Kd!x\xff", false},

		"its UCC":                     {"TESTYA24", false},
		"its UCC in another case":     {"testYA24", false},
		"its user id":                 {"asfdywgsiqwjnskm", false},
		"its user id in another case": {"ASFDYWGSIQWJNSKM", false},
		"its mobile number as typed":  {"9999999908", false},
		"its mobile number with +91":  {"+919999999908", false},
		"its mobile number without +": {"919999999908", false},
		"its PAN":                     {"AVRFT7865T", false},
		"its PAN in another case":     {"avrft7865T", false},

		"a common word":      {"password", false},
		"it in another case": {"PASSWORD", false},
		"common digits":      {"12345678", false},
		"one digit more":     {"123456789", false},
		"one digit":          {"11111111", false},
		"a row of keys":      {"qwertyuiop", false},
		"a common sentence":  {"iloveyou", false},
		"common weather":     {"sunshine", false},
		"a common game":      {"football", false},
	} {
		for _, mobile := range []string{"9999999908", "+919999999908"} { // the account's own, however it was typed
			n := testAccount()
			n.Mobile, n.Password = mobile, x.password
			if err := checkPassword(n); (err == nil) != x.taken {
				t.Errorf("%s, with the mobile number %s: %v", name, mobile, err)
			}
		}
	}
}

func TestNewAccount_printsNoneOfItsSecrets(t *testing.T) {
	n := testAccount()
	h := HashedAccount{pan: "AVRFT7865T", seed: []byte("12345678901234567890")}
	shown := func(printed string) bool {
		for _, secret := range []string{"correct horse", "135790", "AVRFT7865T", "avrft7865t", string(n.TOTPSeed)} {
			for _, form := range []string{
				secret, hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))),
				base64.StdEncoding.EncodeToString([]byte(secret)), strings.Trim(fmt.Sprint([]byte(secret)), "[]"),
				strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", []byte(secret)), "[]byte{"), "}"),
			} {
				if strings.Contains(printed, form) {
					return true
				}
			}
		}
		return false
	}
	for name, value := range map[string]any{"a new account": n, "a hashed account": h} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			if printed := fmt.Sprintf(verb, value); shown(printed) {
				t.Errorf("%s of %s shows a secret: %s", verb, name, printed)
			}
		}
		if out, err := json.Marshal(value); err != nil || shown(string(out)) {
			t.Errorf("JSON of %s shows a secret: %s, %v", name, out, err)
		}
	}
}

func TestHashedAccount_servesForOtherNames(t *testing.T) {
	h := HashedAccount{Account: login.Account{UCC: "A", PasswordHash: "p", MPINHash: "m"}, pan: "AVRFT7865T", seed: []byte("seed")}
	other := h.As("id", "B", "user", "+919999999909", "AVRFT7866T")
	if other.UCC != "B" || other.UserID != "user" || other.Mobile != "+919999999909" || other.pan != "AVRFT7866T" ||
		other.PasswordHash != "p" || other.MPINHash != "m" || string(other.seed) != "seed" {
		t.Error("the new names or the old secrets are missing")
	}
	if h.UCC != "A" || h.pan != "AVRFT7865T" {
		t.Error("the first account changed")
	}
}

func TestPAN_isShownWithItsMiddleHidden(t *testing.T) {
	m := testAdmin(t)
	a := login.Account{ID: "id", PAN: m.Vault.Seal(credential.PurposePAN, "id", []byte("AVRFT7865T"))}
	if got, err := m.PAN(a); got != "AVR****65T" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := m.PAN(login.Account{ID: "id"}); got != "" || err != nil {
		t.Errorf("an account without PAN: %q, %v", got, err)
	}
	a.ID = "another"
	if got, err := m.PAN(a); got != "" || !errors.Is(err, credential.ErrSealed) {
		t.Errorf("another account's PAN: %q, %v", got, err)
	}
}
