package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"neoapi/internal/testserver"
	"neoapi/neoapitest"
)

// loginScript runs examples/login.sh as a user does.
func loginScript(t *testing.T, url string) (stdout, stderr string, err error) {
	t.Helper()
	needs(t, "curl")
	var out, messages bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "sh", filepath.Join("..", "..", "examples", "login.sh"), url)
	cmd.Env = append(os.Environ(), "no_proxy=*")
	cmd.Stdout, cmd.Stderr = &out, &messages
	err = cmd.Run()
	return out.String(), messages.String(), err
}

func TestShellExample_doesTheWholeFlow(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	srv.Advance(testserver.IntoTheDay(srv.Now())) // or the order may be forgotten before it is looked for
	stdout, stderr, err := loginScript(t, srv.URL+"/")
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	var answer struct {
		Data struct {
			Token, Sid, Rid, HsServerID, UCC, GreetingName string
			Caches                                         map[string]string
		}
	}
	if err := json.Unmarshal([]byte(stdout), &answer); err != nil {
		t.Fatalf("%v\n%s", err, stdout)
	}
	d := answer.Data
	if strings.Count(d.Token, ".") != 2 || d.Sid == "" || d.Rid == "" || d.HsServerID != "server1" || d.UCC != srv.Account.UCC ||
		d.GreetingName != srv.Account.GreetingName || len(d.Caches) != 3 {
		t.Errorf("not the original document's session: %s", stdout)
	}
	for _, said := range []string{
		"1. access token", "2. login", "3. one-time code", "4. session_2fa", "5. an order", `{"stat":"Ok","nOrdNo":"`, "6. what became of it",
		"complete at ", "7. logout", "8. the orders again: refused", "the session has ended",
	} {
		if !strings.Contains(stderr, said) {
			t.Errorf("the script does not say %q:\n%s", said, stderr)
		}
	}
	if strings.Contains(stderr, srv.Account.Password) || strings.Contains(stderr, d.Token) {
		t.Errorf("the script's messages hold a secret:\n%s", stderr)
	}
}

func TestShellExample_stopsAtTheFirstFailure(t *testing.T) {
	t.Parallel()
	down := neoapitest.NewServer(t)
	down.BreakOMS()
	for name, test := range map[string]struct{ url, said string }{
		"no service":      {"http://127.0.0.1:1", "1. access token: no answer from http://127.0.0.1:1. Is the service running?"},
		"no demo data":    {neoapitest.NewServer(t, neoapitest.WithoutSandbox()).URL, "1. access token: status 401 where 200 was expected"},
		"the OMS is down": {down.URL, "4. session_2fa by one-time code: status 502 where 200 was expected"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, err := loginScript(t, test.url)
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("ended with %v, want exit code 1", err)
			}
			if stdout != "" {
				t.Errorf("printed a session: %s", stdout)
			}
			lines := strings.Split(strings.TrimSpace(stderr), "\n")
			if last := lines[len(lines)-1]; !strings.HasPrefix(last, "login.sh: "+test.said) {
				t.Errorf("last words: %s", last)
			}
		})
	}
}

func TestConfig_ofTheDeploymentIsGood(t *testing.T) {
	t.Parallel()
	var out, messages bytes.Buffer
	args := []string{"config", "check", "--config", filepath.Join("..", "..", "deploy", "neo.yaml")}
	if code := run(t.Context(), args, strings.NewReader(""), &out, &messages); code != exitDone {
		t.Errorf("exit code %d: %s%s", code, &out, &messages)
	}
}

// cmdIntoTheDay keeps a script that places orders clear of the day's end.
func cmdIntoTheDay(ts *testscript.TestScript, neg bool, _ []string) {
	noNegation(ts, neg)
	ahead := testserver.IntoTheDay(time.Now())
	if ahead == 0 {
		return
	}
	resp, err := http.Post(ts.Getenv("URL")+"/sandbox/clock", "application/json", strings.NewReader(fmt.Sprintf(`{"advance":%q}`, ahead)))
	ts.Check(err)
	ts.Check(resp.Body.Close())
	if resp.StatusCode != http.StatusOK {
		ts.Fatalf("the sandbox's clock: %s", resp.Status)
	}
}
