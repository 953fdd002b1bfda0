package httpapi_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"neoapi/internal/login"
	"neoapi/neoapitest"
)

// More password logins than fit into the queue: what does not fit is told so at
// once, what fits succeeds, and second factors and trade calls go on meanwhile
// (security.md P4).
func TestWhatDoesNotFitIntoTheQueueOfHashesIsToldToWait(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t, neoapitest.WithHashes(1)))
	live := c.second(t, c.login(t), c.Account.MPIN).session(t)
	view := c.login(t)
	code := c.otp(t, view)

	const logins = 120
	var mu sync.Mutex
	statuses := map[int]int{}
	var all sync.WaitGroup
	full := make(chan struct{})
	once := sync.OnceFunc(func() { close(full) })
	for range logins {
		all.Go(func() {
			r := c.post(t, validatePath, object("userid", c.Account.UserID, "password", c.Account.Password))
			if r.status != 200 {
				r.refused(t, 503, "503")
				once()
			}
			mu.Lock()
			defer mu.Unlock()
			statuses[r.status]++
		})
	}
	select {
	case <-full:
	case <-time.After(20 * time.Second):
		t.Error("nobody was told to wait")
	}
	c.second(t, view, code).session(t)
	c.second(t, c.totpLogin(t), c.Account.MPIN).session(t) // an MPIN is hashed too, in a queue of its own
	c.send(t, "GET", tradePath, "", live.pairs()...).want(t, 200)
	all.Wait()
	if statuses[200] == 0 || statuses[200]+statuses[503] != logins { // how many depends on the machine
		t.Errorf("%v, want what fits to succeed", statuses)
	}
	c.login(t) // waiting worked
}

// totpLogin opens a view session by TOTP.
func (c caller) totpLogin(t testing.TB) held {
	t.Helper()
	return c.post(t, totpPath, object("mobileNumber", c.Account.Mobile, "ucc", c.Account.UCC, "totp", c.TOTP(t))).session(t)
}

// A hash that is weaker than today's is replaced by the next good login (security.md P1).
func TestAWeakHashIsReplacedByTheNextGoodLogin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := consumer(t, neoapitest.NewServer(t, neoapitest.WithData(dir)))
	store := openStore(t, dir)
	demo := login.Identifier{Kind: login.ByUCC, Value: "TESTYA24"}
	account, err := store.Account(t.Context(), demo)
	if err != nil {
		t.Fatal(err)
	}
	salt := []byte("sixteen bytes...")
	b64 := base64.RawStdEncoding.EncodeToString
	weak := fmt.Sprintf("$argon2id$v=19$m=8192,t=1,p=1$%s$%s", b64(salt), b64(argon2.IDKey([]byte(c.Account.Password), salt, 1, 8192, 1, 32)))
	if err := store.SetHash(t.Context(), account.ID, login.Password, account.PasswordHash, weak); err != nil {
		t.Fatal(err)
	}
	hash := func() string {
		a, err := store.Account(t.Context(), demo)
		if err != nil {
			t.Fatal(err)
		}
		return a.PasswordHash
	}
	password := func(p string) reply {
		return c.post(t, validatePath, object("userid", c.Account.UserID, "password", p))
	}
	password("wrong-password").refused(t, 401, "10020")
	if hash() != weak {
		t.Error("a wrong password changed the hash")
	}
	password(c.Account.Password).want(t, 200)
	strong := hash()
	if !strings.HasPrefix(strong, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("the hash is still %s", strong[:30])
	}
	password(c.Account.Password).want(t, 200)
	if hash() != strong {
		t.Error("a strong hash was replaced")
	}
}

// A password of a mebibyte is refused before anything is hashed (security.md P4).
func TestAnEndlessPasswordIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t))
	for _, n := range []int{1025, 15_000} {
		c.post(t, validatePath, object("userid", c.Account.UserID, "password", strings.Repeat("p", n))).refused(t, 400, "10300")
	}
	r := c.post(t, validatePath, object("userid", c.Account.UserID, "password", strings.Repeat("p", 1<<20)))
	r.refused(t, 413, "10300")
}
