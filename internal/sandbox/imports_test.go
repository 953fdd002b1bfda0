package sandbox

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"neoapi/internal/must"
)

// Package serve brings the sandbox and the service's HTTP side together.
func TestImports_knowNothingOfHowTheServiceAnswers(t *testing.T) {
	out := must.Get(exec.Command("go", "list", "-deps", "neoapi/internal/sandbox").Output())(t)
	for name := range strings.FieldsSeq(string(out)) {
		if slices.Contains([]string{"neoapi/internal/httpapi", "neoapi/internal/serve"}, name) {
			t.Errorf("sandbox imports %s", name)
		}
	}
}
