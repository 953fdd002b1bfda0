package token

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neoapi/internal/claims"
	"neoapi/internal/credential"
	"neoapi/internal/must"
)

func vault(t testing.TB, fill byte) *credential.Vault {
	t.Helper()
	return must.Get(credential.NewVault(bytes.Repeat([]byte{fill}, credential.MasterKeySize)))(t)
}

func access() Access {
	return Access{Consumer: "demo-consumer", Secret: []byte{1, 2, 3, 4, 5, 6, 7, 8}, Expires: now.Unix() + 3600}
}

func seal(t testing.TB, v *credential.Vault, a Access) string {
	t.Helper()
	return must.Get(SealAccess(v, a))(t)
}

func TestAccessToken_isReadBackWholeAndTellsNothing(t *testing.T) {
	v := vault(t, 1)
	for _, consumer := range []string{"demo-consumer", strings.Repeat("k", 64)} { // the longest there is
		a := access()
		a.Consumer = consumer
		compact := seal(t, v, a)
		got, err := OpenAccess(v, compact, now)
		if diff := cmp.Diff(a, got); diff != "" || err != nil {
			t.Errorf("%v\n%s", err, diff)
		}
		raw, err := base64.RawURLEncoding.DecodeString(compact)
		if err != nil || bytes.Contains(raw, []byte(consumer)) {
			t.Errorf("names its consumer in the clear, or is no URL-safe base64: %v", err)
		}
		if len(compact) > claims.MaxToken || strings.ContainsAny(compact, ".=+/ \n") {
			t.Errorf("unfit for a header: %s", compact)
		}
	}
}

func TestAccessToken_endsToTheSecond(t *testing.T) {
	v := vault(t, 1)
	compact := seal(t, v, access())
	end := time.Unix(access().Expires, 0)
	for _, c := range []struct {
		name string
		now  time.Time
		want error
	}{
		{"a second before", end.Add(-time.Second), nil},
		{"a nanosecond before", end.Add(-1), nil},
		{"at its end", end, ErrAccess},
		{"a second after", end.Add(time.Second), ErrAccess},
	} {
		got, err := OpenAccess(v, compact, c.now)
		if err != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if err != nil && got.Consumer != "" {
			t.Errorf("%s: refused, but names consumer %s", c.name, got.Consumer)
		}
	}
}

func TestAccessToken_thatWeDidNotSealIsRefused(t *testing.T) {
	v := vault(t, 1)
	good := seal(t, v, access())
	plain := must.Get(json.Marshal(access()))(t)
	b64 := base64.RawURLEncoding.EncodeToString
	raw := must.Get(base64.RawURLEncoding.DecodeString(good))(t)
	forged := map[string]string{
		"empty":                   "",
		"noise":                   "noise",
		"a version byte alone":    b64([]byte{1}),
		"unsealed":                b64(plain),
		"another master key":      seal(t, vault(t, 2), access()),
		"another purpose":         b64(v.Seal(credential.PurposeTOTP, "", plain)),
		"another owner":           b64(v.Seal(credential.PurposeAccessToken, "x", plain)),
		"sealed noise":            b64(v.Seal(credential.PurposeAccessToken, "", []byte("noise"))),
		"sealed without an end":   b64(v.Seal(credential.PurposeAccessToken, "", []byte(`{"c":"demo-consumer"}`))),
		"sealed and a wrong type": b64(v.Seal(credential.PurposeAccessToken, "", []byte(`{"c":"x","e":"99999999999"}`))),
		"a trade token":           mint(t, ring(t), seedClaims()),
		"too long":                strings.Repeat("A", 5000),
		"a byte less":             b64(raw[:len(raw)-1]),
		"a byte more":             b64(append(bytes.Clone(raw), 0)),
		"padded":                  good + "=",
		"a space after it":        good + " ",
		"a newline after it":      good + "\n",
		"a newline in it":         good[:9] + "\r\n" + good[9:],
		"Bearer before it":        "Bearer " + good,
		"twice":                   good + good,
	}
	for i := range raw {
		altered := bytes.Clone(raw)
		altered[i] ^= 1
		forged[fmt.Sprintf("byte %d altered", i)] = b64(altered)
	}
	for name, compact := range forged {
		if got, err := OpenAccess(v, compact, now); err != ErrAccess || got.Consumer != "" {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func TestOpener_saysWhatOpenAccessSays(t *testing.T) {
	v := vault(t, 1)
	var o Opener
	end := time.Unix(access().Expires, 0)
	all := []string{"", "noise", strings.Repeat("A", 5000), seal(t, vault(t, 2), access())}
	for range 3 * openedMost / 2 { // more than it remembers
		all = append(all, seal(t, v, access()))
	}
	for range 2 {
		for i, compact := range all {
			for _, at := range []time.Time{now, end.Add(-1), end, end.Add(time.Second), now} {
				want, werr := OpenAccess(v, compact, at)
				got, err := o.Open(v, compact, at)
				if diff := cmp.Diff(want, got); diff != "" || err != werr {
					t.Fatalf("token %d at %s: %v, want %v\n%s", i, at, err, werr, diff)
				}
			}
		}
	}
	if len(o.all) > openedMost {
		t.Errorf("it remembers %d", len(o.all))
	}
}

func TestAccessToken_hasOneSpelling(t *testing.T) {
	// The last character's loose bits: how many there are depends on the length.
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	v, tried := vault(t, 1), 0
	for n := range 3 {
		a := access()
		a.Consumer = strings.Repeat("k", 10+n)
		good := seal(t, v, a)
		if len(good)%4 == 0 {
			continue // no loose bits
		}
		tried++
		last := strings.IndexByte(alphabet, good[len(good)-1])
		if _, err := OpenAccess(v, good[:len(good)-1]+string(alphabet[last|1]), now); err != ErrAccess {
			t.Errorf("%d characters, a loose bit set: %v", len(good), err)
		}
	}
	if tried != 2 {
		t.Errorf("%d of 3 lengths have loose bits", tried)
	}
}

func TestSecretMark_isOfOneSecretAndOneRegistration(t *testing.T) {
	added := time.Date(2026, 11, 23, 9, 0, 0, 123_456_789, time.UTC)
	hash := make([]byte, 8, 32) // with room behind it, which must stay as it is
	mark := SecretMark(hash, added)
	if len(mark) != 8 || !bytes.Equal(mark, SecretMark(hash, added.Truncate(time.Millisecond))) {
		t.Errorf("got %x: stores keep milliseconds", mark)
	}
	for name, other := range map[string][]byte{
		"another hash": SecretMark([]byte("another."), added), "added again": SecretMark(hash, added.Add(time.Millisecond)), "no hash": SecretMark(nil, added),
	} {
		if bytes.Equal(mark, other) {
			t.Errorf("%s: the same mark", name)
		}
	}
	if !bytes.Equal(hash[:32], make([]byte, 32)) {
		t.Error("the hash's memory was written to")
	}
}

func FuzzAccess(f *testing.F) {
	v := vault(f, 1)
	good := seal(f, v, access())
	for _, text := range []string{good, good[1:], good + "A", good + "=", "", "AQ", seal(f, vault(f, 2), access())} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		// Sealing is not deterministic, so another process's seed may open here: it
		// then carries what was sealed, in the one spelling that SealAccess gives it.
		got, err := OpenAccess(v, text, now)
		if err != nil {
			return
		}
		if diff := cmp.Diff(access(), got); diff != "" {
			t.Fatalf("%q carries what was never sealed:\n%s", text, diff)
		}
		raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
		if err != nil || base64.RawURLEncoding.EncodeToString(raw) != text {
			t.Fatalf("%q was accepted in a spelling of its own", text)
		}
	})
}
