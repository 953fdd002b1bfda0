package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"neoapi/internal/store/postgres/pgtest"
)

// A machine is a data directory of its own with the database that all share, and
// what runs there.
type machine struct {
	t    *testing.T
	env  []string
	data string
	url  string
	cmd  *exec.Cmd
}

// neo returns a command of this program on the machine.
func (m *machine) neo(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(m.t.Context(), os.Args[0])
	cmd.Args = append([]string{"neo"}, args...) // by which name TestMain knows it
	cmd.Args = append(cmd.Args, "--data", m.data)
	cmd.Env = m.env
	return cmd
}

// run runs an operator's command and returns what it prints.
func (m *machine) run(stdin string, args ...string) string {
	m.t.Helper()
	cmd := m.neo(args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Fatalf("neo %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// newMachine returns a machine on a database, on which nothing runs.
func newMachine(t *testing.T, database string) *machine {
	return &machine{t: t, data: filepath.Join(t.TempDir(), "data"), env: append(os.Environ(), "NEO_DATABASE="+database, "GORACE=atexit_sleep_ms=0")}
}

// people adds a consumer and an account at the machine, and returns an access token.
func (m *machine) people() string {
	m.t.Helper()
	secret := first(m.t, `consumer secret: (\S+)`, m.run("", "consumer", "add", "--key", "algo"))
	m.run("password=correct horse\nmpin=135791\n", "account", "add", "--ucc", "AB1234", "--user-id", "asha", "--mobile", "9876543210")
	_, token := m.send(held{}, "POST", "/oauth2/token", map[string]string{
		"grant_type": "client_credentials", "client_id": "algo", "client_secret": secret,
	})
	return token["access_token"].(string)
}

// serve starts neo serve and waits until it is ready.
func (m *machine) serve() {
	m.t.Helper()
	m.cmd = m.neo("serve", "--listen", "127.0.0.1:0", "--consumer-rate", "0", "--wrong-logins", "0")
	log, err := m.cmd.StderrPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(m.kill)
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if found := regexp.MustCompile(`"msg":"ready","url":"([^"]+)"`).FindStringSubmatch(lines.Text()); found != nil {
			m.url = found[1]
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return
		}
		m.t.Log(lines.Text())
	}
	m.t.Fatal("neo serve is not ready")
}

// kill ends the service as a power cut would.
func (m *machine) kill() {
	if m.cmd != nil {
		_ = m.cmd.Process.Signal(syscall.SIGKILL)
		_ = m.cmd.Wait()
		m.cmd = nil
	}
}

// A held is a session as a client holds it, with the consumer's access token.
type held struct{ access, sid, token string }

// send sends a request and returns its status and the answer's data.
func (m *machine) send(h held, method, path string, body map[string]string) (status int, data map[string]any) {
	m.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		m.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(m.t.Context(), method, m.url+path, bytes.NewReader(text))
	if err != nil {
		m.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for name, value := range map[string]string{"Authorization": "Bearer " + h.access, "Sid": h.sid, "Auth": h.token} {
		if value != "" && value != "Bearer " {
			req.Header.Set(name, value)
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		m.t.Fatal(err)
	}
	if inner, ok := answer["data"].(map[string]any); ok {
		answer = inner
	}
	return resp.StatusCode, answer
}

const (
	validatePath = "/login/1.0/login/v2/validate"
	logoutPath   = "/login/1.0/logout"
	tradePath    = "/Orders/2.0/quick/user/positions"
)

// first logs in with the first factor.
func (m *machine) first(access, password string) (int, held) {
	m.t.Helper()
	status, data := m.send(held{access: access}, "POST", validatePath, map[string]string{"userid": "asha", "password": password})
	sid, _ := data["sid"].(string)
	token, _ := data["token"].(string)
	return status, held{access, sid, token}
}

// second shows the MPIN.
func (m *machine) second(h held, mpin string) (int, held) {
	m.t.Helper()
	status, data := m.send(h, "POST", validatePath, map[string]string{"userId": "asha", "mpin": mpin})
	token, _ := data["token"].(string)
	return status, held{h.access, h.sid, token}
}

// trade makes a trade call. A session that is good gets 503: there is no trade API.
func (m *machine) trade(h held) int {
	m.t.Helper()
	status, _ := m.send(h, "GET", tradePath, nil)
	return status
}

// keyOf returns the id of the key that signed a token.
func keyOf(t *testing.T, h held) string {
	t.Helper()
	head, _, _ := strings.Cut(h.token, ".")
	text, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		t.Fatal(err)
	}
	var header struct{ Kid string }
	if err := json.Unmarshal(text, &header); err != nil || header.Kid == "" {
		t.Fatalf("%v: %s", err, text)
	}
	return header.Kid
}

func TestServe_severalOnOneDatabaseAreOneService(t *testing.T) {
	t.Parallel()
	areOneService(t, pgtest.Database(t))
}

func TestServe_severalBehindPgBouncerAreOneService(t *testing.T) {
	t.Parallel()
	areOneService(t, pgtest.Bouncer(t, pgtest.Database(t), "pool_mode = transaction", "default_pool_size = 8"))
}

// areOneService holds two processes on a database to what is promised of one service.
func areOneService(t *testing.T, database string) {
	t.Helper()
	a, b := newMachine(t, database), newMachine(t, database)
	machines := []*machine{a, b}
	want := func(what string, got, want int) {
		t.Helper()
		if got != want {
			t.Fatalf("%s: status %d, want %d", what, got, want)
		}
	}

	a.serve()
	if err := os.Mkdir(b.data, 0o700); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(a.data, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.data, "master.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	b.serve()
	access := b.people()

	// One login, each step at another process.
	status, view := a.first(access, "correct horse")
	want("login at one", status, 200)
	status, session := b.second(view, "135791")
	want("second factor at the other", status, 200)
	want("trade call", a.trade(session), 503)
	want("trade call", b.trade(session), 503)
	status, _ = a.second(view, "135791")
	want("the view token, used", status, 401)
	if keyOf(t, view) != keyOf(t, session) {
		t.Error("the two sign with different keys")
	}

	// security.md S4: what one ends is over at the other within a second.
	status, _ = a.send(session, "POST", logoutPath, nil)
	want("logout at one", status, 200)
	ended := time.Now()
	for b.trade(session) != 403 {
		if time.Since(ended) > patience {
			t.Fatal("the other does not notice the logout")
		}
	}
	t.Logf("the other has noticed the logout after %s", time.Since(ended))

	// One counter of failures for all. No lock ends a session.
	_, view = b.first(access, "correct horse")
	_, session = a.second(view, "135791")
	for i := range 10 {
		status, _ := machines[i%2].first(access, fmt.Sprint("a wrong one ", i))
		want("a wrong password", status, 401)
	}
	for _, m := range machines {
		status, _ := m.first(access, "correct horse")
		want("the right password of a locked account", status, 401)
		want("trade call", m.trade(session), 503)
	}
	if shown := a.run("", "account", "show", "AB1234"); !strings.Contains(shown, "password after 10 wrong tries") {
		t.Errorf("the operator does not see the lock: %s", shown)
	}
	b.run("", "account", "unlock", "AB1234")
	status, view = a.first(access, "correct horse")
	want("the right password, unlocked", status, 200)

	// One that dies takes nothing with it.
	a.kill()
	want("trade call", b.trade(session), 503)
	status, session = b.second(view, "135791")
	want("second factor of a login at the one that died", status, 200)
	a.serve()
	want("trade call", a.trade(session), 503)
	b.run("", "account", "remove", "AB1234", "--yes")
	want("trade call of a removed account", a.trade(session), 403)
}
