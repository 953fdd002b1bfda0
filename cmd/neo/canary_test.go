package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"neoapi/internal/canary"
	"neoapi/internal/credential"
)

// The secrets of the account that the program is told of. There is nothing like
// them elsewhere.
const (
	canaryPassword = `Kestrel "ä" +/=&%\<> 9f31`
	canaryMPIN     = "918273"
	canaryPAN      = "ZQXJK4817V"
	canaryDatabase = "Goshawk-database-55c1"
)

// A host is a machine on which the program runs: all that it writes is below
// work, and what a person keeps for it in inputs.
type host struct {
	work, inputs string
	secrets      *canary.Flock
}

// neo is the program itself.
func (h host) neo(args ...string) *exec.Cmd {
	cmd := exec.Command("neo", args...)
	cmd.Dir = h.work
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(h.work, "home"), "TMPDIR=" + filepath.Join(h.work, "tmp"), "no_proxy=*",
		"GORACE=atexit_sleep_ms=0",
	}
	return cmd
}

// run runs a command to its end and returns what it printed, which must hold no
// secret but those of these names.
func (h host) run(t *testing.T, cmd *exec.Cmd, stdin string, but ...string) string {
	t.Helper()
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Errorf("%q printed nothing", cmd.Args)
	}
	for _, what := range h.secrets.Without(but...).In(out) {
		t.Errorf("%q printed: %s", cmd.Args[1:], what)
	}
	return string(out)
}

// input makes a file that a person keeps.
func (h host) input(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(h.inputs, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func first(t *testing.T, pattern, text string) string {
	t.Helper()
	m := regexp.MustCompile("(?m)" + pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("nothing matches %s: %s", pattern, text)
	}
	return m[1]
}

func TestCommands_writeNoSecret(t *testing.T) { // security.md L1
	t.Parallel()
	if err := asShipped(); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"serve", "sandbox"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			h := host{t.TempDir(), t.TempDir(), &canary.Flock{}}
			for _, dir := range []string{"home", "tmp"} {
				if err := os.Mkdir(filepath.Join(h.work, dir), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			for name, secret := range map[string]string{
				"password": canaryPassword, "MPIN": canaryMPIN, "PAN": canaryPAN, "password of the database": canaryDatabase,
			} {
				h.secrets.Add(name, secret)
			}
			data := filepath.Join(h.work, "data")
			var service *exec.Cmd
			if command == "serve" {
				h.run(t, h.neo("consumer", "add", "--data", data, "--key", "first"), "") // which makes the directory
				service = h.neo("serve", "--data", data, "--listen", "127.0.0.1:0", "--consumer-rate", "0", "--wrong-logins", "0")
			} else { // on a temporary store
				service = h.neo("sandbox", "--listen", "127.0.0.1:0", "--consumer-rate", "0", "--otp-digits", "8")
			}
			out := watching()
			service.Stdout, service.Stderr = out, out
			if err := service.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { _ = service.Wait(); close(ended) }()
			t.Cleanup(func() { _ = service.Process.Kill(); <-ended })
			address := out.until(t, map[string]string{"serve": `"url":"(http://[^"]+)"`, "sandbox": `ready at (http://\S+)`}[command])
			if command == "sandbox" {
				made, err := filepath.Glob(filepath.Join(h.work, "tmp", "neo-sandbox-*"))
				if err != nil || len(made) != 1 {
					t.Fatalf("temporary directories: %q, %v", made, err)
				}
				data = made[0]
			}
			key, err := os.ReadFile(filepath.Join(data, "master.key"))
			if err != nil {
				t.Fatal(err)
			}
			h.secrets.Add("master key", strings.TrimSpace(string(key)))

			everything(t, h, data, address, command == "sandbox")
			crash(t, h, address, service, ended, out)

			// How long a request took could look like a code by chance.
			dump := regexp.MustCompile(`took"?[=:]\S+?[ ,]`).ReplaceAll([]byte(out.String()), nil)
			for _, what := range h.secrets.InDump(dump) {
				t.Errorf("the service wrote: %s", what)
			}
			found, err := h.secrets.InFiles(h.work, "master.key")
			if err != nil {
				t.Error(err)
			}
			for _, what := range found {
				t.Error(what)
			}

			// What is there would have been found: a consumer's key is no secret.
			var public canary.Flock
			public.Add("consumer key", "canary-algo")
			if len(public.InDump(dump)) == 0 || !bytes.Contains(dump, []byte("login.(*Service).Login")) || !bytes.Contains(dump, []byte("goroutine profile: total ")) {
				t.Errorf("this is not what the service wrote: %s", dump)
			}
			if found, err := public.InFiles(h.work, "master.key"); err != nil || len(found) < 2 {
				t.Errorf("the files are not those of the service: %q, %v", found, err)
			}
			for what, text := range h.secrets.Planted(dump[len(dump)-2000:]) {
				if !strings.Contains(strings.Join(h.secrets.InDump(text), "\n"), what) {
					t.Errorf("planted and not found: %s", what)
				}
			}
		})
	}
}

// everything does what an operator and a trader do with the program, and a
// stranger with its service.
func everything(t *testing.T, h host, data, address string, inbox bool) {
	at := func(args ...string) *exec.Cmd { return h.neo(append(args, "--data", data)...) }
	said := func(name, pattern string, cmd *exec.Cmd, stdin string) string {
		t.Helper()
		return h.secrets.Add(name, first(t, pattern, h.run(t, cmd, stdin, name)))
	}
	secret := said("consumer secret", `^consumer secret: (\S+)$`, at("consumer", "add", "--key", "canary-algo"), "")
	who := []string{"--ucc", "CANARY1", "--user-id", "canary", "--mobile", "9812345678"}
	lines := "password=" + canaryPassword + "\nmpin=" + canaryMPIN + "\npan=" + canaryPAN + "\n"
	seed := said("TOTP seed", `shown this once: ([A-Z2-7]{32})$`, at(append([]string{"account", "add", "--totp"}, who...)...), lines)
	for _, stdin := range []string{
		lines, lines + lines, lines + canaryPassword, canaryPassword + "\n" + lines, "password=" + canaryMPIN + "\nmpin=" + canaryPassword + "\npan=" + canaryPassword,
		"pan=" + canaryPassword, "password=" + canaryPAN + "\npan=" + canaryPAN + "\n", "password=" + strings.Repeat(canaryPassword, 100),
	} {
		h.run(t, at(append([]string{"account", "add"}, who...)...), stdin)
	}

	session := filepath.Join(h.inputs, "session.json")
	password, mpin, wrong := h.input(t, "password", canaryPassword+"\n"), h.input(t, "mpin", canaryMPIN+"\n"), h.input(t, "wrong", h.secrets.Add("wrong password", "another Kestrel 4c7"))
	pan, consumerSecret := h.input(t, "pan", canaryPAN), h.input(t, "secret", secret)
	logIn := func(args ...string) *exec.Cmd {
		return h.neo(append([]string{"login", "--env", address, "--consumer-key", "canary-algo", "--session", session}, args...)...)
	}
	kept := func() {
		t.Helper()
		var saved struct {
			AccessToken, Token string
		}
		text, err := os.ReadFile(session)
		if err == nil {
			err = json.Unmarshal(text, &saved)
		}
		if err != nil {
			t.Fatal(err)
		}
		h.secrets.Add("access token", saved.AccessToken)
		h.secrets.AddToken("trade token", saved.Token)
	}
	h.run(t, logIn("--mobile", "9812345678", "--consumer-secret-file", consumerSecret, "--password-file", password, "--mpin-file", mpin), "")
	kept()
	h.run(t, logIn("--pan-file", "-", "--consumer-secret-file", "-", "--password-file", "-", "--mpin-file", "-"), secret+"\n"+canaryPAN+"\n"+canaryPassword+"\n"+canaryMPIN+"\n")
	kept()
	h.run(t, logIn("--mobile", "9812345678", "--ucc", "CANARY1", "--totp-command", "totp "+seed, "--mpin-file", mpin), "")
	kept()
	h.run(t, logIn("--user-id", "canary", "--consumer-secret-file", wrong, "--password-file", password, "--mpin-file", mpin), "")
	h.run(t, logIn("--user-id", "canary", "--consumer-secret-file", consumerSecret, "--password-file", wrong, "--mpin-file", mpin), "")
	h.run(t, logIn("--user-id", "canary", "--consumer-secret-file", consumerSecret, "--password-file", password, "--mpin-file", password), "")
	h.run(t, logIn("--pan-file", password, "--consumer-secret-file", consumerSecret, "--password-file", password, "--mpin-file", mpin), "")
	h.run(t, logIn("--pan-file", pan, "--consumer-secret-file", consumerSecret, "--password-file", password, "--otp-command", "echo "+canaryPAN), "")
	if inbox {
		h.run(t, logIn("--user-id", "canary", "--consumer-secret-file", consumerSecret, "--password-file", password,
			"--otp-command", fmt.Sprintf("curl -s '%s/sandbox/otp/CANARY1?wait=5s' | tee %s", address, filepath.Join(h.inputs, "otp"))), "")
		code, err := os.ReadFile(filepath.Join(h.inputs, "otp"))
		if err != nil || len(code) != 8 {
			t.Fatalf("code %q, %v", code, err)
		}
		h.secrets.Add("OTP", string(code))
		kept()
	}
	stranger(t, h, address, secret, seed)
	h.run(t, h.neo("session", "--session", session), "")
	for _, args := range [][]string{
		{"--consumer-secret-file", consumerSecret, "--pan-file", pan}, {"--consumer-secret-file", wrong, "--json"}, {"--consumer-secret-file", mpin},
		{"--consumer-key", secret, "--pan-file", password, "--ucc", canaryPAN, "--mobile", canaryMPIN}, {"--env", "https://u:" + canaryMPIN + "@127.0.0.1"},
	} {
		h.run(t, h.neo(append([]string{"doctor", "--session", session}, args...)...), "")
	}
	h.run(t, h.neo("logout", "--session", session, "--consumer-secret-file", consumerSecret), "")
	h.run(t, h.neo("session", "--session", h.input(t, "broken.json", `{"session":"`+canaryMPIN+`","accessToken":"`+secret)), "")

	for _, args := range [][]string{
		{"account", "list"}, {"account", "list", "--json"}, {"account", "show", "CANARY1"}, {"account", "show", "CANARY1", "--json"}, {"consumer", "list"},
		{"consumer", "list", "--json"}, {"audit"}, {"audit", "--json"}, {"account", "unlock", "CANARY1"}, {"consumer", "rate", "canary-algo", "none"},
	} {
		h.run(t, at(args...), "")
	}
	if inbox { // what follows asks no service: once is enough
		return
	}
	// An address with a password is for the environment; neither way it is shown.
	for _, place := range []string{
		"postgres://neo:" + canaryDatabase + "@127.0.0.1:1/neo?connect_timeout=1", "postgres://neo:" + canaryDatabase + "@127.0.0.1:port/neo",
		"postgres://neo:" + canaryDatabase + "@/neo?host=" + url.QueryEscape(h.work) + "&connect_timeout=1", "host=127.0.0.1 port=1 password=" + canaryDatabase + " connect_timeout=1",
		"postgres://neo:%" + canaryDatabase + "@127.0.0.1:1/neo",
	} {
		for _, args := range [][]string{{"account", "list"}, {"serve", "--listen", "127.0.0.1:0"}} {
			cmd := at(args...)
			cmd.Env = append(cmd.Env, "NEO_DATABASE="+place)
			h.run(t, cmd, "")
		}
		h.run(t, at("account", "list", "--database", place), "")
	}
	// A key that is none.
	other := filepath.Join(h.work, "other")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"master.key": canaryPassword + "\n", "neo.db": ""} {
		if err := os.WriteFile(filepath.Join(other, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.run(t, h.neo("account", "list", "--data", other), "")
}

// post sends a request as a client does and returns the answer's body.
func post(t *testing.T, url, access, body string, pairs ...string) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+access)
	for i := 0; i < len(pairs); i += 2 {
		r.Header.Set(pairs[i], pairs[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// basic is the Authorization header of the consumer.
func basic(secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte("canary-algo:"+secret))
}

const grant = `{"grant_type":"client_credentials"}`

// stranger sends secrets to the service where they belong and where they do not.
func stranger(t *testing.T, h host, address, secret, seed string) {
	access := ""
	post := func(path, body string, pairs ...string) string {
		t.Helper()
		return post(t, address+path, access, body, pairs...)
	}
	object := func(pairs ...string) string {
		m := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		text, _ := json.Marshal(m)
		return string(text)
	}
	access = h.secrets.Add("access token", first(t, `"access_token":"([^"]+)"`, post("/oauth2/token", grant, "Authorization", basic(secret))))
	plain, err := credential.ParseTOTPSeed(seed)
	if err != nil {
		t.Fatal(err)
	}
	code, err := credential.TOTPCode(plain, credential.TOTPStep(time.Now())+1) // the step after the one that neo login has used
	if err != nil {
		t.Fatal(err)
	}
	totp := h.secrets.Add("TOTP code", string(code))
	const validate = "/api/1.0/login/v2/validate"
	post("/login/1.0/tradeApiLogin", object("mobileNumber", "9812345678", "ucc", "CANARY1", "totp", totp), "Authorization", "canary-algo")
	view := post(validate, object("userid", "canary", "password", canaryPassword))
	token, sid := h.secrets.AddToken("view token", first(t, `"token":"([^"]+)"`, view)), first(t, `"sid":"([^"]+)"`, view)
	for _, value := range []string{canaryPassword, canaryMPIN, canaryPAN, secret, token, access, totp} {
		for _, body := range []string{object("userid", value, "password", value), object("otp", value), object(value, value), value, `{"` + value} {
			for _, path := range []string{validate, "/api/1.0/login/otp/generate", "/login/1.0/tradeApiLogin", "/oauth2/token", "/" + url.PathEscape(value) + "?x=" + url.QueryEscape(value)} {
				post(path, body)
				post(path, body, "Sid", sid, "Auth", token[:len(token)-5]+"AAAAA")
				post(path, body, "Sid", url.QueryEscape(value), "Auth", token)
			}
		}
		post("/oauth2/token", `{"grant_type":"client_credentials"}`, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(value+":"+value)))
		post("/login/1.0/tradeApiLogin", "{}", "Authorization", url.QueryEscape(value))
	}
}

// crash makes the service crash while it is busy with secrets, and print what it
// was doing.
func crash(t *testing.T, h host, address string, service *exec.Cmd, ended <-chan struct{}, out *watched) {
	body := fmt.Sprintf(`{"userid":"canary","password":%q}`, h.secrets.Add("password in flight", "Peregrine in flight 8d2e"))
	secret, err := os.ReadFile(filepath.Join(h.inputs, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	access := h.secrets.Add("access token", first(t, `"access_token":"([^"]+)"`, post(t, address+"/oauth2/token", "", grant, "Authorization", basic(string(secret)))))
	answered := make(chan struct{}, 40)
	for range cap(answered) {
		go func() {
			r, _ := http.NewRequest(http.MethodPost, address+"/api/1.0/login/v2/validate", strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer "+access)
			if resp, err := http.DefaultClient.Do(r); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			answered <- struct{}{}
		}()
	}
	<-answered // the others wait for their hashes
	if err := service.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatalf("the service lives on: %s", out)
	}
	for range cap(answered) - 1 {
		<-answered
	}
}
