package front

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The listener serves two APIs and knows neither.
func TestImports_knowNoProtocol(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "neoapi/internal/front").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.FieldsSeq(string(out)) {
		if slices.Contains([]string{"neoapi/internal/login", "neoapi/internal/wire", "neoapi/internal/tradewire"}, name) {
			t.Errorf("front imports %s", name)
		}
	}
}
