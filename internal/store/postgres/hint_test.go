package postgres_test

import (
	"net/url"
	"strings"
	"testing"
)

// withoutEnv forgets what the environment says of databases.
func withoutEnv(t *testing.T) {
	for _, name := range []string{"PGSSLMODE", "PGPASSWORD", "PGPASSFILE"} {
		t.Setenv(name, "")
	}
}

func wantHint(t *testing.T, address, want string) {
	t.Helper()
	if err := works(address); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want %q", err, want)
	}
}

func TestOpen_saysWhatToDoWhenItCannot(t *testing.T) {
	withoutEnv(t)
	port, name := listen(t, nil)
	wantHint(t, "postgres://postgres@127.0.0.1:"+port+name, "sslmode=disable")
	certificate, _ := selfSigned(t)
	port, name = listen(t, &certificate)
	wantHint(t, "postgres://postgres@127.0.0.1:"+port+name, "sslrootcert=FILE")
	wantHint(t, "postgres://postgres@127.0.0.1:1/neo", "check host and port in the URL")
	wantHint(t, "postgres://postgres@/neo?host="+url.QueryEscape(t.TempDir()), "check host and port in the URL")

	c := guarded(t)
	at := func(password string) string { return "postgres://neo" + password + "@/postgres?host=" + c.Dir() }
	wantHint(t, at(""), "no password was given: put it into PGPASSWORD, or into a file that PGPASSFILE names")
	wantHint(t, at(":wrong"), "check the user in the URL, and the password")
	wantHint(t, c.URL("nowhere"), "createdb")
}
