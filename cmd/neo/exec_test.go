package main

import (
	"context"
	"slices"
	"testing"

	"github.com/alecthomas/kong"
)

// Whatever setting a service gets, a program that neo exec runs does not.
func TestNoSettingOfAServiceReachesAProgram(t *testing.T) {
	var cli commands
	parser, err := kong.New(&cli, kong.Vars{"version": ""}, kong.Bind(&terminal{}), kong.BindTo(t.Context(), (*context.Context)(nil)))
	if err != nil {
		t.Fatal(err)
	}
	var environ []string
	for _, command := range parser.Model.Children {
		if command.Name != "serve" {
			continue
		}
		for _, flag := range command.Flags {
			environ = append(environ, variable(flag.Name)+"=x")
			for _, name := range flag.Envs {
				environ = append(environ, name+"=x")
			}
		}
	}
	if !slices.Contains(environ, "NEO_DATABASE=x") || !slices.Contains(environ, "NEO_CONFIG=x") || len(environ) < 20 {
		t.Fatalf("the settings are %v", environ)
	}
	if left := withoutService(append(environ, "NEO_TOKEN=x"), parser.Model); !slices.Equal(left, []string{"NEO_TOKEN=x"}) {
		t.Errorf("left: %v", left)
	}
}
