package adminapi

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"neoapi/internal/apitest"
)

func TestRoutes_areThoseDescribed(t *testing.T) {
	d, err := apitest.LoadAdmin()
	if err != nil {
		t.Fatal(err)
	}
	served := map[string]bool{}
	for _, r := range routes {
		served[r.method+" "+r.path] = true
	}
	described := map[string]bool{}
	for path, operations := range d.Operations {
		for method := range operations {
			described[method+" "+path] = true
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(described)), slices.Sorted(maps.Keys(served))); diff != "" {
		t.Errorf("-described +served:\n%s", diff)
	}
}
