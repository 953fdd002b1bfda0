package token

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"neoapi/internal/must"

	"neoapi/internal/claims"

	"github.com/google/go-cmp/cmp"
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

func TestATradeTokenIsTheSeedsTokenButForItsKid(t *testing.T) {
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

func TestClaimsHaveTheSeedsKeysInTheSeedsOrderWithTheSeedsTypes(t *testing.T) {
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

func TestMintVerifiesWithTheStandardLibraryAlone(t *testing.T) {
	compact := mint(t, ring(t), seedClaims())
	signed, _, _ := strings.Cut(compact, "."+strings.Split(compact, ".")[2])
	sum := sha256.Sum256([]byte(signed))
	if err := rsa.VerifyPKCS1v15(&ours().Private.PublicKey, crypto.SHA256, sum[:], segment(t, compact, 2)); err != nil {
		t.Error(err)
	}
}

func TestMintIsDeterministic(t *testing.T) {
	first := mint(t, ring(t), seedClaims())
	for range 5 {
		if again := mint(t, ring(t), seedClaims()); again != first {
			t.Fatalf("the same claims and key gave\n%s and\n%s", first, again)
		}
	}
}

func TestMintRefusesAKeyThatIsNotInTheRing(t *testing.T) {
	for _, kid := range []string{"", foreign().ID} {
		if compact, err := ring(t).Mint(kid, seedClaims()); err == nil || compact != "" {
			t.Errorf("kid %q: minted %q", kid, compact)
		}
	}
}

func TestNewRingNeedsItsActiveKey(t *testing.T) {
	for name, keys := range map[string][]Key{"no key": nil, "another key": {foreign()}} {
		if r, err := NewRing(keys, ours().ID); err == nil || r != nil {
			t.Errorf("%s: made a ring", name)
		}
	}
}

func TestAKeyIsNamedByItsThumbprintAndSurvivesStorage(t *testing.T) {
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

func TestParseKeyRefusesWhatIsNoRSAKey(t *testing.T) {
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

func TestOldKeysStillJudgeAndOnlyTheActiveOneSigns(t *testing.T) {
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

func TestAGoodTokenIsReadBackWhole(t *testing.T) {
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
	}
}

func TestATokenThatWasVerifiedOnceStillEndsAndIsStillOfItsKind(t *testing.T) {
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

func TestTheMemoryForgetsTheOldestAndNeverGrowsPastItsBound(t *testing.T) {
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

func TestATokenOfTheOtherKindIsOfTheWrongKind(t *testing.T) {
	r := ring(t)
	if _, err := r.Trade(mint(t, r, viewClaims()), now); !errors.Is(err, claims.ErrKind) {
		t.Errorf("a view token where a trade token belongs: %v", err)
	}
	if _, err := r.View(mint(t, r, seedClaims()), now); !errors.Is(err, claims.ErrKind) {
		t.Errorf("a trade token where a view token belongs: %v", err)
	}
}

func TestATokenEndsToTheSecond(t *testing.T) {
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
func TestWhenATokenWasIssuedIsNotComparedWithTheClock(t *testing.T) {
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

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// sign returns header and payload signed with an RSA key as RS256 does, with no
// library in between that might refuse the header.
func sign(t testing.TB, k Key, header, payload string) string {
	t.Helper()
	signed := b64(header) + "." + b64(payload)
	sum := sha256.Sum256([]byte(signed))
	sig := must.Get(rsa.SignPKCS1v15(nil, k.Private, crypto.SHA256, sum[:]))(t)
	return signed + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// withHeader is the good token with a header of these members beside alg, kid and typ.
func withHeader(t testing.TB, k Key, members string) string {
	return sign(t, k, `{"alg":"RS256","kid":"`+ours().ID+`","typ":"JWT",`+members+`}`, goodPayload)
}

const goodPayload = `{"scope":["Trade"],"exp":1655806539,"jti":"e6aed351-2430-43a6-8dac-c7f870d072af","iat":1655802939,` +
	`"iss":"login-service","sub":"TESTYA24","fetchcachingrule":0,"categorisation":""}`

// payloadWith is the good payload with one member in place of another; an empty
// one leaves it out.
func payloadWith(t testing.TB, old, new string) string {
	t.Helper()
	if !strings.Contains(goodPayload, old) {
		t.Fatalf("%s is not in the payload", old)
	}
	return strings.Replace(goodPayload, old, new, 1)
}

func goodHeader() string { return `{"alg":"RS256","kid":"` + ours().ID + `","typ":"JWT"}` }

func certificate(t testing.TB, k Key) string {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
	}
	der := must.Get(x509.CreateCertificate(rand.Reader, template, template, k.Private.Public(), k.Private))(t)
	return base64.StdEncoding.EncodeToString(der)
}

func jwk(k Key) string {
	return fmt.Sprintf(`{"kty":"RSA","kid":"%s","n":"%s","e":"AQAB"}`, ours().ID, base64.RawURLEncoding.EncodeToString(k.Private.N.Bytes()))
}

// address is one that fails the test as soon as anybody asks it for a key.
func address(t testing.TB) string {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a token made the service fetch something")
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// forgeries are tokens that no Mint wrote. Each is wrong in one way.
func forgeries(t testing.TB) map[string]string {
	t.Helper()
	good := mint(t, ring(t), seedClaims())
	parts := strings.Split(good, ".")
	header, payload, sig := parts[0], parts[1], parts[2]
	other := strings.Split(mint(t, ring(t), viewClaims()), ".")
	kid := ours().ID
	public := &ours().Private.PublicKey

	pkix := must.Get(x509.MarshalPKIXPublicKey(public))(t)
	pkcs1 := x509.MarshalPKCS1PublicKey(public)
	hs256 := func(secret []byte) string {
		signed := b64(`{"alg":"HS256","kid":"`+kid+`","typ":"JWT"}`) + "." + payload
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(signed))
		return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	pemOf := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }

	psSigned := b64(`{"alg":"PS256","kid":"`+kid+`","typ":"JWT"}`) + "." + payload
	psSum := sha256.Sum256([]byte(psSigned))
	ps := must.Get(rsa.SignPSS(rand.Reader, ours().Private, crypto.SHA256, psSum[:], &rsa.PSSOptions{SaltLength: 32}))(t)
	rs512Signed := b64(`{"alg":"RS512","kid":"`+kid+`","typ":"JWT"}`) + "." + payload
	rs512Sum := sha512.Sum512([]byte(rs512Signed))
	rs512 := must.Get(rsa.SignPKCS1v15(nil, ours().Private, crypto.SHA512, rs512Sum[:]))(t)
	curve := must.Get(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	esSigned := b64(`{"alg":"ES256","kid":"`+kid+`","typ":"JWT"}`) + "." + payload
	esSum := sha256.Sum256([]byte(esSigned))
	er, es, err := ecdsa.Sign(rand.Reader, curve, esSum[:])
	if err != nil {
		t.Fatal(err)
	}
	esSig := append(er.FillBytes(make([]byte, 32)), es.FillBytes(make([]byte, 32))...)
	at := address(t)
	// The last of 342 characters carries two bits of the signature and four that
	// mean nothing: Mint writes them as zeros.
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	loose := sig[:len(sig)-1] + string(alphabet[strings.IndexByte(alphabet, sig[len(sig)-1])|1])

	return map[string]string{
		"empty":                      "",
		"two dots":                   "..",
		"noise":                      "noise",
		"one segment":                header,
		"two segments":               header + "." + payload,
		"an extra segment":           good + ".",
		"a fourth segment":           good + "." + sig,
		"five segments, as in a JWE": header + "." + payload + "." + sig + "." + sig + "." + sig,
		"5,000 characters":           sign(t, ours(), goodHeader(), payloadWith(t, `"sub":"TESTYA24"`, `"sub":"`+strings.Repeat("A", 3300)+`"`)),
		"a megabyte":                 header + "." + strings.Repeat("A", 1<<20) + "." + sig,

		"alg none":                        b64(`{"alg":"none","kid":"`+kid+`","typ":"JWT"}`) + "." + payload + ".",
		"alg none with a signature":       b64(`{"alg":"none","kid":"`+kid+`","typ":"JWT"}`) + "." + payload + "." + sig,
		"alg None":                        b64(`{"alg":"None","kid":"`+kid+`","typ":"JWT"}`) + "." + payload + ".",
		"no alg":                          sign(t, ours(), `{"kid":"`+kid+`","typ":"JWT"}`, goodPayload),
		"alg in lower case":               sign(t, ours(), `{"alg":"rs256","kid":"`+kid+`","typ":"JWT"}`, goodPayload),
		"RS512 with our key":              rs512Signed + "." + base64.RawURLEncoding.EncodeToString(rs512),
		"HS256 with the public key, PEM":  hs256(pemOf("PUBLIC KEY", pkix)),
		"HS256 with the public key, DER":  hs256(pkix),
		"HS256 with the PKCS #1 key, PEM": hs256(pemOf("RSA PUBLIC KEY", pkcs1)),
		"HS256 with the PKCS #1 key, DER": hs256(pkcs1),
		"HS256 with the modulus":          hs256(public.N.Bytes()),
		"HS256 with an empty secret":      hs256(nil),
		"PS256 with our key":              psSigned + "." + base64.RawURLEncoding.EncodeToString(ps),
		"PS256 in the header only":        b64(`{"alg":"PS256","kid":"`+kid+`","typ":"JWT"}`) + "." + payload + "." + sig,
		"RS256 with a PSS signature":      header + "." + payload + "." + base64.RawURLEncoding.EncodeToString(ps),
		"ES256":                           esSigned + "." + base64.RawURLEncoding.EncodeToString(esSig),

		"a foreign key with our kid":        sign(t, foreign(), goodHeader(), goodPayload),
		"a foreign key with its kid":        sign(t, foreign(), `{"alg":"RS256","kid":"`+foreign().ID+`","typ":"JWT"}`, goodPayload),
		"our key under a foreign kid":       sign(t, ours(), `{"alg":"RS256","kid":"`+foreign().ID+`","typ":"JWT"}`, goodPayload),
		"the original document's own token": seedToken(t),
		"our key without a kid":             sign(t, ours(), `{"alg":"RS256","typ":"JWT"}`, goodPayload),
		"an empty kid":                      sign(t, ours(), `{"alg":"RS256","kid":"","typ":"JWT"}`, goodPayload),
		"a kid that is no string":           sign(t, ours(), `{"alg":"RS256","kid":["`+kid+`"],"typ":"JWT"}`, goodPayload),
		"a kid that is a path":              sign(t, ours(), `{"alg":"RS256","kid":"../../dev/null","typ":"JWT"}`, goodPayload),

		"jwk, foreign key":        withHeader(t, foreign(), `"jwk":`+jwk(foreign())),
		"jwk, our key":            withHeader(t, ours(), `"jwk":`+jwk(ours())),
		"jku, foreign key":        withHeader(t, foreign(), `"jku":"`+at+`"`),
		"jku, our key":            withHeader(t, ours(), `"jku":"`+at+`"`),
		"x5u, foreign key":        withHeader(t, foreign(), `"x5u":"`+at+`"`),
		"x5u, our key":            withHeader(t, ours(), `"x5u":"`+at+`"`),
		"x5c, foreign key":        withHeader(t, foreign(), `"x5c":["`+certificate(t, foreign())+`"]`),
		"x5c, our key":            withHeader(t, ours(), `"x5c":["`+certificate(t, ours())+`"]`),
		"x5t, our key":            withHeader(t, ours(), `"x5t":"AAAA"`),
		"crit, unknown":           withHeader(t, ours(), `"crit":["exp"],"exp":1655806539`),
		"crit, b64":               withHeader(t, ours(), `"crit":["b64"],"b64":true`),
		"crit, empty":             withHeader(t, ours(), `"crit":[]`),
		"b64 false":               withHeader(t, ours(), `"b64":false`),
		"a nonce":                 withHeader(t, ours(), `"nonce":"n"`),
		"zip":                     withHeader(t, ours(), `"zip":"DEF"`),
		"cty, a nested token":     withHeader(t, ours(), `"cty":"JWT"`),
		"an invented header":      withHeader(t, ours(), `"x":1`),
		"typ of another token":    sign(t, ours(), `{"alg":"RS256","kid":"`+kid+`","typ":"at+jwt"}`, goodPayload),
		"a header that is a list": sign(t, ours(), `["RS256"]`, goodPayload),
		"an empty header":         sign(t, ours(), ``, goodPayload),

		"an empty signature":                header + "." + payload + ".",
		"a signature of another token":      header + "." + payload + "." + other[2],
		"half a signature":                  header + "." + payload + "." + sig[:len(sig)/2],
		"a signature of zeros":              header + "." + payload + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 256)),
		"a signature and a byte":            header + "." + payload + "." + base64.RawURLEncoding.EncodeToString(append(segment(t, good, 2), 0)),
		"an altered payload":                header + "." + b64(payloadWith(t, "TESTYA24", "TESTYA25")) + "." + sig,
		"an empty payload":                  header + ".." + sig,
		"the payload of another token":      header + "." + other[1] + "." + sig,
		"an altered header":                 b64(goodHeader()+" ") + "." + payload + "." + sig,
		"loose bits at the signature's end": header + "." + payload + "." + loose,

		"a newline after it":       good + "\n",
		"a carriage return":        good + "\r",
		"a newline before it":      "\n" + good,
		"a space before it":        " " + good,
		"a space after it":         good + " ",
		"a tab after it":           good + "\t",
		"a NUL after it":           good + "\x00",
		"a newline in its payload": header + "." + payload[:8] + "\n" + payload[8:] + "." + sig,
		"a newline in its header":  header[:8] + "\r\n" + header[8:] + "." + payload + "." + sig,
		"Bearer before it":         "Bearer " + good,
		"quotes around it":         `"` + good + `"`,
		"padding after it":         good + "==",
		"padding in it":            base64.URLEncoding.EncodeToString(segment(t, good, 0)) + "=." + payload + "." + sig,
		"standard base64":          header + "." + payload + "." + base64.RawStdEncoding.EncodeToString(segment(t, good, 2)),
		"the flattened JSON form":  fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, payload, header, sig),
		"the general JSON form":    fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, payload, header, sig),

		"a payload that is no JSON":   sign(t, ours(), goodHeader(), "TESTYA24"),
		"a payload that is null":      sign(t, ours(), goodHeader(), "null"),
		"a payload that is a list":    sign(t, ours(), goodHeader(), "["+goodPayload+"]"),
		"two payloads":                sign(t, ours(), goodHeader(), goodPayload+goodPayload),
		"another issuer":              sign(t, ours(), goodHeader(), payloadWith(t, "login-service", "login-service2")),
		"the issuer in another case":  sign(t, ours(), goodHeader(), payloadWith(t, "login-service", "Login-Service")),
		"no issuer":                   sign(t, ours(), goodHeader(), payloadWith(t, `"iss":"login-service",`, "")),
		"an empty scope":              sign(t, ours(), goodHeader(), payloadWith(t, `["Trade"]`, `[]`)),
		"no scope":                    sign(t, ours(), goodHeader(), payloadWith(t, `"scope":["Trade"],`, ``)),
		"two scopes":                  sign(t, ours(), goodHeader(), payloadWith(t, `["Trade"]`, `["Trade","View"]`)),
		"the same scope twice":        sign(t, ours(), goodHeader(), payloadWith(t, `["Trade"]`, `["Trade","Trade"]`)),
		"scope as a string":           sign(t, ours(), goodHeader(), payloadWith(t, `["Trade"]`, `"Trade"`)),
		"scope in another case":       sign(t, ours(), goodHeader(), payloadWith(t, `["Trade"]`, `["trade"]`)),
		"an unknown scope":            sign(t, ours(), goodHeader(), payloadWith(t, `["Trade"]`, `["Admin"]`)),
		"no exp":                      sign(t, ours(), goodHeader(), payloadWith(t, `"exp":1655806539,`, "")),
		"exp as a string":             sign(t, ours(), goodHeader(), payloadWith(t, `"exp":1655806539`, `"exp":"1655806539"`)),
		"exp null":                    sign(t, ours(), goodHeader(), payloadWith(t, `"exp":1655806539`, `"exp":null`)),
		"exp past 64 bits":            sign(t, ours(), goodHeader(), payloadWith(t, `"exp":1655806539`, `"exp":1e30`)),
		"exp before iat":              sign(t, ours(), goodHeader(), payloadWith(t, `"exp":1655806539`, `"exp":1655802938`)),
		"no iat":                      sign(t, ours(), goodHeader(), payloadWith(t, `"iat":1655802939,`, "")),
		"a negative iat":              sign(t, ours(), goodHeader(), payloadWith(t, `"iat":1655802939`, `"iat":-1`)),
		"no sub":                      sign(t, ours(), goodHeader(), payloadWith(t, `"sub":"TESTYA24",`, "")),
		"an empty sub":                sign(t, ours(), goodHeader(), payloadWith(t, `"TESTYA24"`, `""`)),
		"no jti":                      sign(t, ours(), goodHeader(), payloadWith(t, `"jti":"e6aed351-2430-43a6-8dac-c7f870d072af",`, "")),
		"an expired token of another": sign(t, foreign(), goodHeader(), payloadWith(t, `"exp":1655806539`, `"exp":1655802940`)),
	}
}

func TestTheTestsOwnSignatureIsGood(t *testing.T) {
	// Without this the forgeries might be refused for a mistake in making them.
	compact := sign(t, ours(), goodHeader(), goodPayload)
	must.Get(ring(t).Trade(compact, now))(t)
	if compact != mint(t, ring(t), seedClaims()) {
		t.Error("signed by hand and minted, the same token differs")
	}
}

func TestForgedAndMisplacedTokensAreRefused(t *testing.T) {
	r := ring(t)
	for name, compact := range forgeries(t) {
		t.Run(name, func(t *testing.T) {
			if says, err := r.Trade(compact, now); err != claims.ErrInvalid {
				t.Errorf("as a trade token: got %v and %v", says, err)
			}
			if says, err := r.View(compact, now); err != claims.ErrInvalid {
				t.Errorf("as a view token: got %v and %v", says, err)
			}
		})
	}
}

func TestAnAlteredCharacterAnywhereMakesATokenInvalid(t *testing.T) {
	r := ring(t)
	good := mint(t, r, seedClaims())
	last := len(good) - 1 // its loose bits are a forgery of their own
	for i := range good[:last] {
		if good[i] == '.' || good[i+1] == '.' {
			continue // the ends of the other segments have loose bits too
		}
		altered := []byte(good)
		if altered[i] = 'A'; good[i] == 'A' {
			altered[i] = 'B'
		}
		if _, err := r.Trade(string(altered), now); err != claims.ErrInvalid {
			t.Errorf("character %d altered: %v", i, err)
		}
	}
}

func TestTheErrorsOfJudgingQuoteNothingOfTheToken(t *testing.T) {
	r := ring(t)
	for name, compact := range forgeries(t) {
		_, err := r.Trade(compact, now)
		if err != nil && (strings.Contains(err.Error(), "TESTYA24") || strings.Contains(err.Error(), ours().ID)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// fuzzTokens gives a fuzz target what was minted and what was forged, and
// returns the minted ones: nothing else may ever be accepted.
func fuzzTokens(f *testing.F, r *Ring) map[string]bool {
	minted := map[string]bool{}
	for _, claims := range []any{seedClaims(), viewClaims()} {
		compact := mint(f, r, claims)
		minted[compact] = true
		f.Add(compact)
	}
	forged := forgeries(f)
	for _, name := range slices.Sorted(maps.Keys(forged)) {
		if len(forged[name]) < 8192 {
			f.Add(forged[name])
		}
	}
	return minted
}

func FuzzTrade(f *testing.F) {
	r := ring(f)
	minted := fuzzTokens(f, r)
	f.Fuzz(func(t *testing.T, compact string) {
		says, err := r.Trade(compact, now)
		switch {
		case err == nil && !minted[compact]:
			t.Fatalf("accepted a token that was not minted, for %s: %.80q…", says.Sub, compact)
		case err == nil && says.Scope[0] != "Trade":
			t.Fatalf("accepted a token of scope %v", says.Scope)
		case err != nil && err != claims.ErrInvalid && !minted[compact]:
			t.Fatalf("a token that was not minted is judged by its claims: %v: %.80q…", err, compact)
		}
	})
}

func FuzzView(f *testing.F) {
	r := ring(f)
	minted := fuzzTokens(f, r)
	f.Fuzz(func(t *testing.T, compact string) {
		says, err := r.View(compact, now)
		switch {
		case err == nil && !minted[compact]:
			t.Fatalf("accepted a token that was not minted, for %s: %.80q…", says.Sub, compact)
		case err == nil && says.Scope[0] != "View":
			t.Fatalf("accepted a token of scope %v", says.Scope)
		case err != nil && err != claims.ErrInvalid && !minted[compact]:
			t.Fatalf("a token that was not minted is judged by its claims: %v: %.80q…", err, compact)
		}
	})
}
