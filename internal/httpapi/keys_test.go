package httpapi_test

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"neoapi/internal/login"
	"neoapi/internal/operator"
	"neoapi/internal/wire"
	"neoapi/neoapitest"
)

// two returns two services on one store, and the operator's side of it.
func two(t *testing.T) (a, b *neoapitest.Server, operator *operator.Admin) {
	t.Helper()
	dir := t.TempDir()
	a = neoapitest.NewServer(t, neoapitest.WithData(dir))
	b = neoapitest.NewServer(t, neoapitest.WithData(dir))
	operator, _ = admin(t, dir)
	return a, b, operator
}

// keySet returns the ids of the keys that a service publishes.
func keySet(t *testing.T, srv *neoapitest.Server) (ids map[string]bool) {
	t.Helper()
	r := caller{srv, ""}.send(t, "GET", wire.PathKeySet, "").want(t, 200)
	var set jose.JSONWebKeySet
	r.into(t, &set)
	ids = map[string]bool{}
	for _, k := range set.Keys {
		ids[k.KeyID] = true
	}
	return ids
}

// signedBy returns the id of the key that signed a token.
func signedBy(t *testing.T, h held) string {
	t.Helper()
	var header struct{ Kid string }
	if err := json.Unmarshal(part(t, h.Token, 0), &header); err != nil {
		t.Fatal(err)
	}
	return header.Kid
}

func TestKeySet_verifiesTokensAndHoldsNothingPrivate(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	trade := consumer(t, srv).byMPIN(t)
	r := caller{srv, ""}.send(t, "GET", wire.PathKeySet, "").want(t, 200)
	if got := r.header.Get("Cache-Control"); got != "public, max-age=300" {
		t.Errorf("Cache-Control: %q", got)
	}
	var set jose.JSONWebKeySet
	r.into(t, &set)
	parsed, err := jose.ParseSignedCompact(trade.Token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parsed.Verify(set.Key(signedBy(t, trade))[0]); err != nil {
		t.Error(err)
	}
	var raw struct{ Keys []map[string]string }
	r.into(t, &raw)
	for _, k := range raw.Keys {
		n, err := base64.RawURLEncoding.DecodeString(k["n"])
		if err != nil || new(big.Int).SetBytes(n).BitLen() != 2048 {
			t.Errorf("n: %v", k["n"])
		}
		delete(k, "n")
		delete(k, "kid")
		if len(k) != 4 || k["kty"] != "RSA" || k["e"] != "AQAB" || k["use"] != "sig" || k["alg"] != "RS256" {
			t.Errorf("beside kid and n it holds %v", k)
		}
	}
}

var rotations = flag.Int("httpapi.rotations", 5, "how often the signing key is rotated under load")

// security.md J4. The sessions of old keys are used to the end.
func TestKeyRing_rotatedUnderLoadRefusesNobody(t *testing.T) {
	t.Parallel()
	a, b, operator := two(t)
	var last atomic.Value
	last.Store("")
	var all sync.WaitGroup
	var seen sync.Map
	for _, srv := range []*neoapitest.Server{a, b} {
		all.Go(func() {
			c := consumer(t, srv)
			var sessions []held
			for done := false; !done && !t.Failed(); {
				trade := c.byMPIN(t)
				sessions = append(sessions, trade)
				seen.Store(signedBy(t, trade), true)
				for _, other := range []*neoapitest.Server{a, b} {
					for _, s := range sessions {
						if r := (caller{other, c.who}).send(t, "GET", tradePath, "", s.pairs()...); r.status != http.StatusOK {
							t.Errorf("%d: %s", r.status, r.body)
						}
					}
				}
				done = signedBy(t, trade) == last.Load()
			}
		})
	}
	for i := range *rotations {
		bits := 2048
		if i == *rotations/2 {
			bits = 3072
		}
		k, err := operator.RotateKey(t.Context(), bits, login.KeyLeadLeast)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "both publish the new key", func() bool { return keySet(t, a)[k.ID] && keySet(t, b)[k.ID] })
		last.Store(k.ID)
		time.Sleep(login.KeyLeadLeast / 3) // so that most of them sign for a while
	}
	all.Wait()
	n := 0
	seen.Range(func(any, any) bool { n++; return true })
	t.Logf("%d of the keys have signed a session here", n)
	if len(keySet(t, a)) != *rotations+1 {
		t.Errorf("published are %v", keySet(t, a))
	}
}

func TestKeyRing_refusesOnlyTokensOfARemovedKeyEverywhere(t *testing.T) { // security.md S4 and J4
	t.Parallel()
	a, b, operator := two(t)
	ca, cb := consumer(t, a), consumer(t, b)
	trade, view := ca.byMPIN(t), ca.login(t)
	leaked := signedBy(t, trade)
	cb.call(t, trade).want(t, 200)
	replacement, err := operator.RemoveKey(t.Context(), leaked)
	if err != nil {
		t.Fatal(err)
	}
	// Who logs in meanwhile is known everywhere at once, unless the removed key signed.
	eventually(t, "the removed key signs nothing", func() bool {
		first := ca.first(t, a.Account.Password)
		if first.status != 200 {
			return false
		}
		second := ca.second(t, first.session(t), a.Account.MPIN)
		if second.status != 200 || signedBy(t, second.session(t)) == leaked {
			return false
		}
		fresh := second.session(t)
		cb.call(t, fresh).want(t, 200)
		return signedBy(t, fresh) == replacement.ID
	})
	for _, c := range []caller{ca, cb} {
		eventually(t, "the token is refused", func() bool { return c.call(t, trade).status == 401 })
		c.call(t, trade).refusedTrade(t, 401, "100022")
		c.second(t, view, "123456").refused(t, 401, "100022")
		if set := keySet(t, c.Server); set[leaked] || !set[replacement.ID] {
			t.Errorf("published are %v", set)
		}
	}
	ca.byMPIN(t)
}

func TestKeyRing_keepsAnOldKeyUntilItsLastTokenHasExpired(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	srv := h.Server
	old := signedBy(t, h.login(t))
	k, err := h.admin.RotateKey(t.Context(), 2048, login.KeyLeadLeast)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new key signs", func() bool { return signedBy(t, consumer(t, srv).login(t)) == k.ID })
	srv.Advance(24 * time.Hour)
	trade := consumer(t, srv).byMPIN(t) // and time passes
	srv.Advance(30 * time.Minute)
	consumer(t, srv).send(t, "GET", tradePath, "", trade.pairs()...).want(t, 200)
	if !keySet(t, srv)[old] {
		t.Error("it is gone too early")
	}
	srv.Advance(time.Hour)
	eventually(t, "the old key is gone", func() bool { return !keySet(t, srv)[old] })
	if n := h.outcomes(t, "signing key retired")["ok"]; n != 1 {
		t.Errorf("%d events", n)
	}
}

func TestKeyRing_looksForInventedKeysNowAndThenOnly(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	c := consumer(t, srv)
	trade := c.byMPIN(t)
	_, rest, _ := strings.Cut(trade.Token, ".")
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"0123456789012345678901234567890123456789012","typ":"JWT"}`))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			forged := trade
			forged.Token = header + "." + rest
			c.call(t, forged).refusedTrade(t, 401, "100022")
		})
	}
	all.Wait()
	c.call(t, trade).want(t, 200)
}
