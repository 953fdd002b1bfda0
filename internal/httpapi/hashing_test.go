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
func TestHashQueue_tellsWhatDoesNotFitToWait(t *testing.T) {
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
	c.second(t, c.totp(t).session(t), c.Account.MPIN).session(t) // an MPIN is hashed too, in a queue of its own
	c.call(t, live).want(t, 200)
	all.Wait()
	if statuses[200] == 0 || statuses[200]+statuses[503] != logins { // how many depends on the machine
		t.Errorf("%v, want what fits to succeed", statuses)
	}
	c.login(t) // waiting worked
}

// A hash that is weaker than today's, ours or another system's, is replaced by the next
// good login and by nothing else (security.md P1). What the operator locks is refused as a
// wrong password is.
func TestHash_thatIsWeakIsReplacedByTheNextGoodLogin(t *testing.T) {
	t.Parallel()
	salt := []byte("sixteen bytes...")
	b64 := base64.RawStdEncoding.EncodeToString
	for name, x := range map[string]struct{ hash, password string }{
		"ours":             {fmt.Sprintf("$argon2id$v=19$m=8192,t=1,p=1$%s$%s", b64(salt), b64(argon2.IDKey([]byte("a password"), salt, 1, 8192, 1, 32))), "a password"},
		"another system's": {quick, "U*U"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newHouse(t)
			imported(t, c.admin, 1)
			if err := c.data.Store.SetHash(t.Context(), c.account(t, "I0").ID, login.Password, quick, x.hash); err != nil {
				t.Fatal(err)
			}
			try := func(password string) reply {
				return c.post(t, validatePath, object("userid", "I0", "password", password))
			}
			unchanged := func(what, hash string) {
				t.Helper()
				if c.account(t, "I0").PasswordHash != hash {
					t.Errorf("%s has replaced the hash", what)
				}
			}
			try("wrong").refused(t, 401, "10020")
			unchanged("a wrong password", x.hash)
			if err := c.admin.Lock(t.Context(), c.account(t, "I0")); err != nil {
				t.Fatal(err)
			}
			try(x.password).refused(t, 401, "10020")
			unchanged("a login that was refused, which takes longer than a wrong one,", x.hash)
			if err := c.admin.Unlock(t.Context(), c.account(t, "I0")); err != nil {
				t.Fatal(err)
			}
			try(x.password).want(t, 200)
			strong := c.account(t, "I0").PasswordHash
			if !strings.HasPrefix(strong, "$argon2id$v=19$m=19456,t=2,p=1$") {
				t.Errorf("the hash still is %s", strong)
			}
			try(x.password).want(t, 200)
			unchanged("a login with a strong one", strong)
		})
	}
}
