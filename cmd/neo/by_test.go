package main

import (
	"slices"
	"testing"

	"github.com/alecthomas/kong"
)

func TestEveryCommandThatChangesDataTakesTheNameOfWhoDoesIt(t *testing.T) {
	t.Parallel()
	parser, err := kong.New(&commands{}, kong.Name("neo"), kong.Vars{"version": ""})
	if err != nil {
		t.Fatal(err)
	}
	// These only read; a service's own changes are nobody's.
	others := []string{"serve", "sandbox", "config check", "config show", "audit", "backup", "account list", "account show", "account sessions", "account export",
		"consumer list", "key list"}
	for _, leaf := range parser.Model.Leaves(false) {
		flags := map[string]bool{}
		for _, f := range leaf.Flags {
			flags[f.Name] = true
		}
		path := leaf.Path()
		if flags["data"] && flags["as"] == slices.Contains(others, path) {
			t.Errorf("neo %s: --as %v", path, flags["as"])
		}
	}
}
