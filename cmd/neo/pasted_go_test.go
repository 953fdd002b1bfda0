package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// goProgram is what a user writes around the Go lines that the sandbox prints.
const goProgram = `package main

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"neoapi"
)

func main() {
	ctx := context.Background()
	LOGIN
	check(err)
	answer, err := http.Get("URL/sandbox/otp/TESTYA24?wait=5s")
	check(err)
	code, err := io.ReadAll(answer.Body)
	check(err)
	otp := string(code)
	SECOND
	check(err)
	fmt.Println(session.UCC, session.GreetingName, session.HSServerID)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
`

func TestSandbox_printsGoLinesThatWork(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	out := watching()
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"sandbox", "-q", "--listen", "127.0.0.1:0"}, os.Stdin, out, out) }()
	defer func() {
		stop()
		if code := <-ended; code != exitDone {
			t.Errorf("the sandbox ended with %d: %s", code, out)
		}
	}()
	url := out.until(t, `ready at (\S+)$(?s:.*)Ctrl-C ends`)
	lines := regexp.MustCompile(`(?ms)^#    (client, err := [^\n]*)$.*^#    (err = client\.Login[^\n]*)$.*^#    (session, err := [^\n]*)$`).FindStringSubmatch(out.String())
	if lines == nil {
		t.Fatalf("no Go lines: %s", out)
	}
	program := strings.NewReplacer("URL", url, "LOGIN", lines[1]+"\n\tcheck(err)\n\t"+lines[2], "SECOND", lines[3]).Replace(goProgram)
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "go", "run", file)
	cmd.Stderr = &stderr
	printed, err := cmd.Output()
	if err != nil || string(printed) != "TESTYA24 Test User server1\n" {
		t.Errorf("printed %q, %v\n%s", printed, err, &stderr)
	}
}
