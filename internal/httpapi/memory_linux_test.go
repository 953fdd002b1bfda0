package httpapi_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"neoapi/internal/argon2"
	"neoapi/internal/login"
	"neoapi/internal/must"
	"neoapi/neoapitest"
)

// An imported hash may ask for more memory than there is: whoever logs in is told to
// wait, nothing ends, and others log in meanwhile (security.md P4). Not parallel: it
// takes memory away from this process.
func TestHash_withoutMemoryIs503(t *testing.T) {
	if argon2.Kernel() == argon2.Generic {
		must.Skip(t, "golang.org/x/crypto/argon2 takes memory from Go's heap, which ends the process without")
	}
	dir := t.TempDir()
	c := consumer(t, neoapitest.NewServer(t, neoapitest.WithData(dir)))
	store := openStore(t, dir)
	account, err := store.Account(t.Context(), login.Identifier{Kind: login.ByUCC, Value: "TESTYA24"})
	if err != nil {
		t.Fatal(err)
	}
	salt := []byte("sixteen bytes...")
	sum := must.Get(argon2.IDKey([]byte(c.Account.Password), salt, 1, 256<<10, 1, 32))(t)
	b64 := base64.RawStdEncoding.EncodeToString
	large := fmt.Sprintf("$argon2id$v=19$m=%d,t=1,p=1$%s$%s", 256<<10, b64(salt), b64(sum))
	if err := store.SetHash(t.Context(), account.ID, login.Password, account.PasswordHash, large); err != nil {
		t.Fatal(err)
	}
	password := func() reply {
		return c.post(t, validatePath, object("userid", c.Account.UserID, "password", c.Account.Password))
	}
	t.Run("without", func(t *testing.T) {
		leaveAddresses(t, 160<<20)
		for range 12 { // more than a lock allows: nothing was judged
			password().refused(t, 503, "503")
		}
	})
	password().want(t, 200)
}

// leaveAddresses leaves this process so much of its address space until the test ends.
func leaveAddresses(t *testing.T, bytes uint64) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmSize:")
	var kib uint64
	if _, err := fmt.Sscan(after, &kib); err != nil {
		t.Fatal(err)
	}
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_AS, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: kib<<10 + bytes, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setrlimit(unix.RLIMIT_AS, &was); err != nil {
			t.Error(err)
		}
	})
}
