package main

import (
	"context"
	"slices"
	"testing"

	"github.com/alecthomas/kong"
)

// grammar is the program's commands and flags.
func grammar(t *testing.T) *kong.Application {
	t.Helper()
	parser, err := kong.New(&commands{}, kong.Name("neo"), kong.Vars{"version": ""}, kong.Bind(&terminal{}), kong.BindTo(t.Context(), (*context.Context)(nil)))
	if err != nil {
		t.Fatal(err)
	}
	return parser.Model
}

func TestCommands_thatChangeDataTakeTheNameOfWhoDoesIt(t *testing.T) {
	t.Parallel()
	// These only read; a service's own changes are nobody's.
	others := []string{"serve", "sandbox", "config check", "config show", "audit", "backup", "account list", "account show", "account sessions", "account export",
		"consumer list", "key list"}
	for _, leaf := range grammar(t).Leaves(false) {
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
