package credential

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var allPurposes = []Purpose{
	PurposeAccessToken, PurposeConsumerSecret, PurposeDataKey, PurposeMPIN, PurposeOTP, PurposePAN, PurposeRepeat, PurposeSigningKey, PurposeTOTP,
}

func vaultOf(t testing.TB, fill byte) *Vault {
	t.Helper()
	v, err := NewVault(bytes.Repeat([]byte{fill}, MasterKeySize))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVault_opensWhatItSealedForEveryPurpose(t *testing.T) {
	v := vaultOf(t, 1)
	for _, p := range allPurposes {
		for _, plain := range []string{"", "x", "a seed of 20 bytes!!", strings.Repeat("long", 1000)} {
			sealed := v.Seal(p, "owner", []byte(plain))
			if plain != "" && len(plain) > 1 && bytes.Contains(sealed, []byte(plain)) {
				t.Errorf("%s: the sealed value holds the plain one", p)
			}
			got, err := v.Open(p, "owner", sealed)
			if err != nil || string(got) != plain {
				t.Errorf("%s: got %q, %v", p, got, err)
			}
		}
	}
}

func TestVault_opensWhatAnotherOfTheSameMasterKeySealed(t *testing.T) {
	sealed := vaultOf(t, 1).Seal(PurposeTOTP, "owner", []byte("plain"))
	if got, err := vaultOf(t, 1).Open(PurposeTOTP, "owner", sealed); err != nil || string(got) != "plain" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestVault_sealsTheSameTwiceDifferently(t *testing.T) {
	v := vaultOf(t, 1)
	if bytes.Equal(v.Seal(PurposePAN, "owner", []byte("AVRFT7865T")), v.Seal(PurposePAN, "owner", []byte("AVRFT7865T"))) {
		t.Error("equal plain values can be told by their sealed ones")
	}
}

func TestVault_refusesWhatWasSealedOtherwise(t *testing.T) {
	v := vaultOf(t, 1)
	sealed := v.Seal(PurposeTOTP, "owner", []byte("plain"))
	refuse := func(name string, v *Vault, p Purpose, owner string, sealed []byte) {
		t.Helper()
		if got, err := v.Open(p, owner, sealed); !errors.Is(err, ErrSealed) || got != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	for _, p := range allPurposes {
		if p != PurposeTOTP {
			refuse("purpose "+string(p), v, p, "owner", sealed)
		}
	}
	for _, owner := range []string{"", "owner2", "Owner", "owner\x00", "owne"} {
		refuse(fmt.Sprintf("owner %q", owner), v, PurposeTOTP, owner, sealed)
	}
	refuse("another master key", vaultOf(t, 2), PurposeTOTP, "owner", sealed)
	for i := range sealed {
		for _, bit := range []byte{1, 0x80} {
			altered := slices.Clone(sealed)
			altered[i] ^= bit
			refuse(fmt.Sprintf("byte %d altered", i), v, PurposeTOTP, "owner", altered)
		}
	}
	for n := range sealed {
		refuse(fmt.Sprintf("cut to %d bytes", n), v, PurposeTOTP, "owner", sealed[:n])
	}
	refuse("one byte more", v, PurposeTOTP, "owner", append(slices.Clone(sealed), 0))
	for _, version := range []byte{0, 2, 255} {
		refuse(fmt.Sprintf("version %d", version), v, PurposeTOTP, "owner", append([]byte{version}, sealed[1:]...))
	}
	refuse("nothing", v, PurposeTOTP, "owner", nil)
}

func TestMAC_dependsOnTheKeyThePurposeAndEveryPart(t *testing.T) {
	v := vaultOf(t, 1)
	seen := map[string]string{}
	note := func(name string, mac []byte) {
		t.Helper()
		if len(mac) != 32 {
			t.Errorf("%s: %d bytes", name, len(mac))
		}
		if other, ok := seen[string(mac)]; ok {
			t.Errorf("%s has the MAC of %s", name, other)
		}
		seen[string(mac)] = name
	}
	for _, p := range allPurposes {
		note(string(p), v.MAC(p, "sid", "123456"))
	}
	note("another master key", vaultOf(t, 2).MAC(PurposeOTP, "sid", "123456"))
	for _, parts := range [][]string{
		{}, {""}, {"", ""}, {"sid123456"}, {"sid1", "23456"}, {"si", "d123456"}, {"123456", "sid"},
		{"sid", "123456", ""}, {"", "sid", "123456"}, {"sid", "123457"}, {"SID", "123456"},
		// A part that looks like the prefix of another.
		{"sid" + "\x00\x00\x00\x00\x00\x00\x00\x06" + "123456"},
	} {
		note(fmt.Sprintf("parts %q", parts), v.MAC(PurposeOTP, parts...))
	}
	if !bytes.Equal(v.MAC(PurposeOTP, "sid", "123456"), vaultOf(t, 1).MAC(PurposeOTP, "sid", "123456")) {
		t.Error("the same master key, purpose and parts give another MAC")
	}
}

func TestMAC_isSharedByNoTwoListsOfParts(t *testing.T) {
	v := vaultOf(t, 1)
	rapid.Check(t, func(t *rapid.T) {
		// Few characters and short parts, so that their concatenations often agree.
		parts := rapid.SliceOfN(rapid.StringOfN(rapid.RuneFrom([]rune("a\x00\x01")), 0, 3, -1), 0, 4)
		a, b := parts.Draw(t, "a"), parts.Draw(t, "b")
		if same := bytes.Equal(v.MAC(PurposeOTP, a...), v.MAC(PurposeOTP, b...)); same != slices.Equal(a, b) {
			t.Fatalf("%q and %q: same MAC %t", a, b, same)
		}
	})
}

func TestEqual_holdsForTheSameHashOnlyAndNeverForAnEmptyOne(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b []byte
		want bool
	}{
		{"the same", []byte("abc"), []byte("abc"), true},
		{"different", []byte("abc"), []byte("abd"), false},
		{"a start", []byte("abc"), []byte("ab"), false},
		{"nil and nil", nil, nil, false},
		{"empty and empty", []byte{}, []byte{}, false},
		{"nil and empty", nil, []byte{}, false},
		{"something and nil", []byte("abc"), nil, false},
		{"nil and something", nil, []byte("abc"), false},
	} {
		if got := Equal(c.a, c.b); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

func TestNewMasterKey_isTheTextOfAKeyFile(t *testing.T) {
	a, b := NewMasterKey(), NewMasterKey()
	if a == b || len(a) != 65 || !strings.HasSuffix(a, "\n") {
		t.Errorf("got %q and %q", a, b)
	}
	if key, err := ParseMasterKey(a); err != nil || hex.EncodeToString(key)+"\n" != a {
		t.Errorf("its own key is read as %x, %v", key, err)
	}
}

func TestParseMasterKey_takesAKeyWithItsLineEndAndRefusesTheRest(t *testing.T) {
	good := strings.Repeat("0123456789abcdef", 4)
	for _, text := range []string{good, good + "\n", good + "\r\n", "  " + good + "  ", strings.ToUpper(good)} {
		if key, err := ParseMasterKey(text); err != nil || hex.EncodeToString(key) != good {
			t.Errorf("%q: got %x, %v", text, key, err)
		}
	}
	for name, text := range map[string]string{
		"empty":               "",
		"one digit less":      good[1:],
		"two digits less":     good[2:],
		"two digits more":     good + "00",
		"a letter past f":     "g" + good[1:],
		"a prefix":            "0x" + good[2:],
		"two lines":           good[:32] + "\n" + good[32:],
		"a space inside":      good[:32] + " " + good[32:],
		"base64":              "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"full-width digits":   strings.Repeat("０", 64),
		"two keys":            good + "\n" + good + "\n",
		"a byte order mark":   "\ufeff" + good,
		"raw bytes of a key":  strings.Repeat("\x01", 32),
		"a comment before it": "# key\n" + good,
	} {
		key, err := ParseMasterKey(text)
		if err == nil || key != nil {
			t.Errorf("%s: accepted as %x", name, key)
		} else if strings.Contains(err.Error(), good[8:24]) {
			t.Errorf("%s: the error quotes the key: %v", name, err)
		}
	}
}

func TestNewVault_refusesAMasterKeyOfAnotherLength(t *testing.T) {
	for _, n := range []int{0, 16, 31, 33, 64} {
		if v, err := NewVault(make([]byte, n)); err == nil || v != nil {
			t.Errorf("%d bytes: accepted", n)
		}
	}
}

// A vault is in structs that may be printed in trouble.
func TestVault_printsNoKey(t *testing.T) {
	v := vaultOf(t, 1)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		printed := fmt.Sprintf(verb, v)
		key := v.macs[PurposeOTP]
		for _, form := range []string{fmt.Sprintf(verb, key), strings.Trim(fmt.Sprint(key), "[]"), hex.EncodeToString(key)} {
			if strings.Contains(printed, form) {
				t.Errorf("%s shows a key", verb)
				break
			}
		}
	}
}

func FuzzMasterKey(f *testing.F) {
	good := strings.Repeat("0123456789abcdef", 4)
	for _, text := range []string{good, good + "\n", strings.ToUpper(good), good[2:], "", "\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := ParseMasterKey(text)
		if err != nil {
			return
		}
		if len(key) != MasterKeySize {
			t.Fatalf("%q: a key of %d bytes", text, len(key))
		}
		if hex.EncodeToString(key) != strings.ToLower(strings.TrimSpace(text)) {
			t.Fatalf("%q: read as %x", text, key)
		}
	})
}

func FuzzSealed(f *testing.F) {
	v := vaultOf(f, 1)
	f.Add([]byte{})
	f.Add([]byte{sealVersion})
	f.Add(bytes.Repeat([]byte{sealVersion}, 64))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		// Nobody without the key can make a value that opens.
		if plain, err := v.Open(PurposeTOTP, "owner", sealed); err == nil {
			t.Fatalf("%x opens as %x", sealed, plain)
		}
	})
}
