package main

import (
	"slices"
	"testing"
)

// Whatever setting a service gets, a program that neo exec runs does not.
func TestExec_hidesEverySettingOfAService(t *testing.T) {
	model := grammar(t)
	var environ []string
	for _, command := range model.Children {
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
	if left := withoutService(append(environ, "NEO_TOKEN=x"), model); !slices.Equal(left, []string{"NEO_TOKEN=x"}) {
		t.Errorf("left: %v", left)
	}
}
