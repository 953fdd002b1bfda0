package front

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"neoapi/internal/must"
)

// The listener serves two APIs and knows neither.
func TestImports_knowNoProtocol(t *testing.T) {
	out := must.Get(exec.Command("go", "list", "-deps", "neoapi/internal/front").Output())(t)
	for name := range strings.FieldsSeq(string(out)) {
		if slices.Contains([]string{"neoapi/internal/login", "neoapi/internal/wire", "neoapi/internal/tradewire"}, name) {
			t.Errorf("front imports %s", name)
		}
	}
}
