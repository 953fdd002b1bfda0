package neoapi

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"neoapi/internal/must"
)

// A user's program that imports the client and trades, in a module of its own.
func TestModule_bringsAtMostThreeRequirements(t *testing.T) {
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

import (
	"neoapi"
	"neoapi/trade"
)

func main() {
	client, err := neoapi.New(neoapi.Config{})
	println(err.Error(), trade.New(client))
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
		if line != "" && line != "example.com/trader" && line != "neoapi" && line != "neoapi/trade" && !strings.HasPrefix(line, "neoapi/internal/") {
			t.Errorf("the program is linked with %s", line)
		}
	}
}

// What a package does not know it cannot depend on by mistake.
func TestImports_leaveOutWhatAPackageMustNotKnow(t *testing.T) {
	forTests := []string{
		"neoapi/api", "neoapi/internal/apitest", "neoapi/internal/badhttp", "neoapi/internal/must", "github.com/santhosh-tekuri/jsonschema/v6",
	}
	for name, banned := range map[string][]string{
		"neoapi":                  forTests,
		"neoapi/cmd/neo":          forTests,
		"neoapi/trade":            append(forTests, "neoapi/feed", "neoapi/internal/login", "neoapi/internal/paper", "neoapi/internal/paperapi"),
		"neoapi/neoapitest":       forTests,
		"neoapi/internal/front":   {"neoapi/internal/login", "neoapi/internal/wire", "neoapi/internal/tradewire"}, // it serves two APIs
		"neoapi/internal/sandbox": {"neoapi/internal/httpapi", "neoapi/internal/serve"},                           // serve brings them together
	} {
		deps := strings.Fields(string(must.Get(exec.Command("go", "list", "-deps", name).Output())(t)))
		if !slices.Contains(deps, name) {
			t.Errorf("%s: no list of imports: %v", name, deps)
		}
		for _, other := range banned {
			if slices.Contains(deps, other) {
				t.Errorf("%s depends on %s", name, other)
			}
		}
	}
}
