package login_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The rules know no protocol: whoever calls them speaks it.
func TestImports_noHTTPAndNoDatabase(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "neoapi/internal/login").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, "neoapi/internal/claims") {
		t.Fatalf("no list of imports: %s", out)
	}
	for _, banned := range []string{"net/http", "database/sql", "neoapi/internal/wire"} {
		if slices.Contains(deps, banned) {
			t.Errorf("internal/login depends on %s", banned)
		}
	}
}
