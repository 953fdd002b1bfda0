package neoapi

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"neoapi/internal/must"
)

// A user's program that imports the client, and a test of it, in a module of its own.
func TestImportingTheClientBringsAtMostThreeRequirements(t *testing.T) {
	here := must.Get(os.Getwd())(t)
	dir := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "GOSUMDB=off")
		var problem bytes.Buffer
		cmd.Stderr = &problem
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, problem.String())
		}
		return string(out)
	}
	run("mod", "init", "example.com/trader")
	run("mod", "edit", "-require=neoapi@v0.0.0", "-replace=neoapi@v0.0.0="+here)
	const program = `package main

import "neoapi"

func main() {
	_, err := neoapi.New(neoapi.Config{})
	println(err.Error())
}
`
	must.Do(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o600))
	run("mod", "tidy")
	text := must.Get(os.ReadFile(filepath.Join(dir, "go.mod")))(t)
	if n := strings.Count(string(text), "// indirect"); n > 3 {
		t.Errorf("%d indirect requirements:\n%s", n, text)
	}
	t.Logf("%s", text)
	for _, line := range strings.Split(run("list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "."), "\n") {
		if line != "" && line != "example.com/trader" && line != "neoapi" && !strings.HasPrefix(line, "neoapi/internal/") {
			t.Errorf("the program is linked with %s", line)
		}
	}
}
