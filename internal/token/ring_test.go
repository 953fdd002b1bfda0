package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neoapi/internal/claims"
	"neoapi/internal/must"
)

// ours is the key of testdata/ring_key.pem: it signs nothing but these tests'
// tokens, and is in a file so that fuzzing's processes all have the same one.
var ours = sync.OnceValue(func() Key {
	text, err := os.ReadFile("testdata/ring_key.pem")
	if err != nil {
		panic(err)
	}
	block, _ := pem.Decode(text)
	key, err := ParseKey(block.Bytes)
	if err != nil {
		panic(err)
	}
	return key
})

// foreign is a key that is in no ring.
var foreign = sync.OnceValue(func() Key {
	key, err := NewKey(Bits2048)
	if err != nil {
		panic(err)
	}
	return key
})

func ring(t testing.TB) *Ring {
	t.Helper()
	return must.Get(NewRing([]Key{ours()}, ours().ID))(t)
}

// seedToken is the token of the document that the project was created from.
func seedToken(t testing.TB) string {
	t.Helper()
	text := must.Get(os.ReadFile("testdata/seed.jwt"))(t)
	return strings.TrimSpace(string(text))
}

// now is a moment within the life of the original document's token.
var now = time.Unix(1655802939+60, 0)

func seedClaims() claims.Trade {
	return claims.Trade{
		Scope: []string{"Trade"}, Exp: 1655806539, Jti: "e6aed351-2430-43a6-8dac-c7f870d072af", Iat: 1655802939,
		Iss: "login-service", Sub: "TESTYA24",
	}
}

func viewClaims() claims.View {
	return claims.View{
		Scope: []string{"View"}, Exp: 1655836200, Jti: "0b9c6f0e-6c55-4a9d-9d38-2b7c7b5f4f0a", Iat: 1655802939,
		Iss: "login-service", Sub: "6f1f7d3a-1c3e-4f6c-8f43-1c2d3e4f5a6b", UCC: "TESTYA24",
	}
}

func mint(t testing.TB, r *Ring, claims any) string {
	t.Helper()
	return must.Get(r.Mint(r.Active(), claims))(t)
}

func segment(t testing.TB, compact string, i int) []byte {
	t.Helper()
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		t.Fatalf("%d segments: %s", len(parts), compact)
	}
	return must.Get(base64.RawURLEncoding.Strict().DecodeString(parts[i]))(t)
}

func TestTradeToken_isTheSeedsButForItsKid(t *testing.T) {
	seed, minted := seedToken(t), mint(t, ring(t), seedClaims())

	if got, want := strings.Split(minted, ".")[1], strings.Split(seed, ".")[1]; got != want {
		t.Errorf("payload differs:\n%s\nthe seed's:\n%s", segment(t, minted, 1), segment(t, seed, 1))
	}
	if want := `{"alg":"RS256","typ":"JWT"}`; string(segment(t, seed, 0)) != want {
		t.Fatalf("the golden file is not the original document's token: header %s", segment(t, seed, 0))
	}
	header := string(segment(t, minted, 0))
	if got := strings.Replace(header, `"kid":"`+ours().ID+`",`, "", 1); got != string(segment(t, seed, 0)) {
		t.Errorf("header without its kid is %s; the original document's is %s", got, segment(t, seed, 0))
	}
	var h struct{ Kid string }
	if err := json.Unmarshal([]byte(header), &h); err != nil || h.Kid != ours().ID {
		t.Errorf("header %s does not name key %s", header, ours().ID)
	}
	if a, b := len(segment(t, minted, 2)), len(segment(t, seed, 2)); a != 256 || b != 256 {
		t.Errorf("the signature has %d bytes, the original document's %d; both should have 256", a, b)
	}
}

func TestClaims_haveTheSeedsKeysOrderAndTypes(t *testing.T) {
	type member struct{ Key, Type string }
	members := func(payload []byte) (list []member) {
		d := json.NewDecoder(bytes.NewReader(payload))
		must.Get(d.Token())(t)
		for d.More() {
			key := must.Get(d.Token())(t)
			var value any
			must.Do(t, d.Decode(&value))
			list = append(list, member{key.(string), fmt.Sprintf("%T", value)})
		}
		return list
	}
	r := ring(t)
	seed := members(segment(t, seedToken(t), 1))
	// Other values than the original document's: large, empty, and in need of escapes.
	other := seedClaims()
	other.Sub, other.FetchCachingRule, other.Categorisation = `A<&>"é`, 7, "x"
	if diff := cmp.Diff(seed, members(segment(t, mint(t, r, other), 1))); diff != "" {
		t.Errorf("trade token (-seed +minted):\n%s", diff)
	}
	want := []member{
		{"scope", "[]interface {}"}, {"exp", "float64"}, {"jti", "string"}, {"iat", "float64"}, {"iss", "string"},
		{"sub", "string"}, {"ucc", "string"}, {"fetchcachingrule", "float64"}, {"categorisation", "string"},
	}
	if diff := cmp.Diff(want, members(segment(t, mint(t, r, viewClaims()), 1))); diff != "" {
		t.Errorf("view token (-docs/protocol +minted):\n%s", diff)
	}
}

func TestMint_refusesAKeyThatIsNotInTheRing(t *testing.T) {
	for _, kid := range []string{"", foreign().ID} {
		if compact, err := ring(t).Mint(kid, seedClaims()); err == nil || compact != "" {
			t.Errorf("kid %q: minted %q", kid, compact)
		}
	}
}

func TestNewRing_needsItsActiveKey(t *testing.T) {
	for name, keys := range map[string][]Key{"no key": nil, "another key": {foreign()}} {
		if r, err := NewRing(keys, ours().ID); err == nil || r != nil {
			t.Errorf("%s: made a ring", name)
		}
	}
}

func TestKey_isNamedByItsThumbprintAndSurvivesStorage(t *testing.T) {
	key := foreign()
	if bits := key.Private.N.BitLen(); bits != 2048 || key.Private.E != 65537 {
		t.Errorf("%d bits, exponent %d", bits, key.Private.E)
	}
	// RFC 7638, section 3: the required members in lexical order, without spaces.
	public := fmt.Sprintf(`{"e":"AQAB","kty":"RSA","n":"%s"}`, base64.RawURLEncoding.EncodeToString(key.Private.N.Bytes()))
	sum := sha256.Sum256([]byte(public))
	if want := base64.RawURLEncoding.EncodeToString(sum[:]); key.ID != want {
		t.Errorf("named %s; its thumbprint is %s", key.ID, want)
	}
	stored := must.Get(MarshalKey(key))(t)
	again, err := ParseKey(stored)
	if err != nil || again.ID != key.ID || !again.Private.Equal(key.Private) {
		t.Errorf("read back as %s, %v", again.ID, err)
	}
}

func TestParseKey_refusesWhatIsNoRSAKey(t *testing.T) {
	curve := must.Get(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	ec := must.Get(x509.MarshalPKCS8PrivateKey(curve))(t)
	good := must.Get(MarshalKey(ours()))(t)
	for name, raw := range map[string][]byte{
		"nothing": nil, "noise": []byte("noise"), "an EC key": ec, "half a key": good[:len(good)/2],
		"a PKCS #1 key": x509.MarshalPKCS1PrivateKey(ours().Private),
	} {
		if key, err := ParseKey(raw); err == nil || key.Private != nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestRing_judgesByOldKeysAndSignsWithTheActiveOneOnly(t *testing.T) {
	old := mint(t, ring(t), seedClaims())
	both := must.Get(NewRing([]Key{ours(), foreign()}, foreign().ID))(t)
	if _, err := both.Trade(old, now); err != nil {
		t.Errorf("a token of the older key: %v", err)
	}
	fresh := mint(t, both, seedClaims())
	if !strings.Contains(string(segment(t, fresh, 0)), foreign().ID) {
		t.Errorf("the new token's header is %s; the active key is %s", segment(t, fresh, 0), foreign().ID)
	}
	if _, err := both.Trade(fresh, now); err != nil {
		t.Errorf("a token of the active key: %v", err)
	}
	if _, err := ring(t).Trade(fresh, now); !errors.Is(err, claims.ErrInvalid) {
		t.Errorf("a ring without that key: %v", err)
	}
}

func TestToken_isReadBackWhole(t *testing.T) {
	minter, other := ring(t), ring(t)
	trade, view := mint(t, minter, seedClaims()), mint(t, minter, viewClaims())
	for _, c := range []struct {
		name string
		r    *Ring
	}{
		{"by the ring that minted it", minter},
		{"by another ring of the same key", other},
		{"by that ring again", other},
	} {
		gotTrade, err := c.r.Trade(trade, now)
		if diff := cmp.Diff(seedClaims(), gotTrade); diff != "" || err != nil {
			t.Errorf("trade token, %s: %v\n%s", c.name, err, diff)
		}
		gotView, err := c.r.View(view, now)
		if diff := cmp.Diff(viewClaims(), gotView); diff != "" || err != nil {
			t.Errorf("view token, %s: %v\n%s", c.name, err, diff)
		}
		if _, err := c.r.Trade(view, now); err != claims.ErrKind {
			t.Errorf("a view token where a trade token belongs, %s: %v", c.name, err)
		}
		if _, err := c.r.View(trade, now); err != claims.ErrKind {
			t.Errorf("a trade token where a view token belongs, %s: %v", c.name, err)
		}
	}
}

func TestToken_verifiedOnceStillEndsAndIsStillOfItsKind(t *testing.T) {
	r := ring(t)
	compact := sign(t, ours(), goodHeader(), goodPayload)
	for range 2 {
		must.Get(r.Trade(compact, now))(t)
		if _, err := r.View(compact, now); err != claims.ErrKind {
			t.Errorf("as a view token: %v", err)
		}
		if _, err := r.Trade(compact, time.Unix(1655806539, 0)); err != claims.ErrExpired {
			t.Errorf("at its end: %v", err)
		}
		if _, err := r.Trade(compact, time.Unix(1655802939-3600, 0)); err != nil {
			t.Errorf("by a clock that was set back: %v", err)
		}
	}
}

func TestMemory_forgetsTheOldestAndNeverGrowsPastItsBound(t *testing.T) {
	var m memory
	name := func(i int) string { return fmt.Sprint("token ", i) }
	const all = 5*remembered + 100
	for i := range all {
		m.add(name(i), []byte(name(i)))
		if n := len(m.new) + len(m.old); n > 2*remembered {
			t.Fatalf("holds %d tokens", n)
		}
	}
	for i := all - remembered; i < all; i++ {
		if good, ok := m.get(name(i)); !ok || string(good.payload) != name(i) {
			t.Fatalf("%s of %d: %v, %t", name(i), all, good, ok)
		}
	}
	if _, ok := m.get(name(0)); ok {
		t.Error("still holds the first of all")
	}
	if _, ok := m.get(name(all)); ok {
		t.Error("holds what was never added")
	}
}

func TestToken_endsToTheSecond(t *testing.T) {
	r := ring(t)
	trade, view := mint(t, r, seedClaims()), mint(t, r, viewClaims())
	for _, c := range []struct {
		name string
		now  time.Time // for an exp of 0
		want error
	}{
		{"a second before", time.Unix(-1, 0), nil},
		{"a nanosecond before", time.Unix(-1, 999999999), nil},
		{"at exp", time.Unix(0, 0), claims.ErrExpired},
		{"a nanosecond after", time.Unix(0, 1), claims.ErrExpired},
		{"a year after", time.Unix(365*86400, 0), claims.ErrExpired},
	} {
		if _, err := r.Trade(trade, c.now.Add(1655806539*time.Second)); !errors.Is(err, c.want) {
			t.Errorf("trade token %s: %v, want %v", c.name, err, c.want)
		}
		if _, err := r.View(view, c.now.Add(1655836200*time.Second)); !errors.Is(err, c.want) {
			t.Errorf("view token %s: %v, want %v", c.name, err, c.want)
		}
	}
}

// The clock may have been set back since: the record of the session says when it was
// issued.
func TestToken_timeOfIssueIsNotComparedWithTheClock(t *testing.T) {
	r := ring(t)
	for _, ahead := range []int64{61, 3600, 86400} {
		trade, view := seedClaims(), viewClaims()
		trade.Iat, view.Iat = now.Unix()+ahead, now.Unix()+ahead
		trade.Exp, view.Exp = trade.Iat+3600, view.Iat+3600
		if got, err := r.Trade(mint(t, r, trade), now); err != nil || got.Iat != trade.Iat {
			t.Errorf("trade token issued %d s from now: %v", ahead, err)
		}
		if got, err := r.View(mint(t, r, view), now); err != nil || got.Iat != view.Iat {
			t.Errorf("view token issued %d s from now: %v", ahead, err)
		}
	}
}
