package token

import (
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
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"neoapi/internal/claims"
	"neoapi/internal/must"
)

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

func TestSign_inTestsGivesWhatMintDoes(t *testing.T) {
	// Without this the forgeries might be refused for a mistake in making them.
	compact := sign(t, ours(), goodHeader(), goodPayload)
	must.Get(ring(t).Trade(compact, now))(t)
	if compact != mint(t, ring(t), seedClaims()) {
		t.Error("signed by hand and minted, the same token differs")
	}
}

func TestToken_forgedOrMisplacedIsRefused(t *testing.T) {
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

func TestToken_isInvalidWithAnyCharacterAltered(t *testing.T) {
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

// fuzzKind gives a fuzz target what was minted and what was forged: of all that read is
// given, it accepts what was minted with its scope alone.
func fuzzKind(f *testing.F, scope string, read func(r *Ring, compact string) (sub string, scopes []string, err error)) {
	r, minted := ring(f), map[string]bool{}
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
	f.Fuzz(func(t *testing.T, compact string) {
		sub, scopes, err := read(r, compact)
		switch {
		case err == nil && !minted[compact]:
			t.Fatalf("accepted a token that was not minted, for %s: %.80q…", sub, compact)
		case err == nil && scopes[0] != scope:
			t.Fatalf("accepted a token of scope %v", scopes)
		case err != nil && err != claims.ErrInvalid && !minted[compact]:
			t.Fatalf("a token that was not minted is judged by its claims: %v: %.80q…", err, compact)
		}
	})
}

func FuzzTrade(f *testing.F) {
	fuzzKind(f, claims.ScopeTrade, func(r *Ring, compact string) (string, []string, error) {
		says, err := r.Trade(compact, now)
		return says.Sub, says.Scope, err
	})
}

func FuzzView(f *testing.F) {
	fuzzKind(f, claims.ScopeView, func(r *Ring, compact string) (string, []string, error) {
		says, err := r.View(compact, now)
		return says.Sub, says.Scope, err
	})
}
