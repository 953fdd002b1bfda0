package main

import (
	"bytes"
	"cmp"
	"reflect"
	"strings"
	"testing"
)

// Of whatever command, whatever flag takes a text: one that was given and is empty
// does not count as one that was left out. Nor does an argument.
func TestFlag_thatIsGivenIsNotEmpty(t *testing.T) {
	tried := 0
	refused := func(args []string, name string) {
		t.Helper()
		var out bytes.Buffer
		tried++
		if code := run(t.Context(), args, strings.NewReader(""), &out, &out); code != exitUsage || !strings.Contains(out.String(), name) || !strings.Contains(out.String(), "empty") {
			t.Errorf("neo %q: exit code %d, %s", args, code, out.String())
		}
	}
	for _, leaf := range grammar(t).Leaves(false) {
		path := strings.Fields(leaf.FullPath())[1:]
		given := func(empty, text string) (all []string) {
			all = append(all, path...)
			for _, flag := range leaf.Flags {
				switch {
				case flag.Name == empty:
					all = append(all, "--"+flag.Name+"="+text)
				case flag.Required:
					all = append(all, "--"+flag.Name+"=1")
				}
			}
			for _, p := range leaf.Positional {
				switch {
				case p.Name == empty:
					all = append(all, text)
				case p.Name == "side": // buy or sell
					all = append(all, "buy")
				case p.Required || empty == leaf.Positional[len(leaf.Positional)-1].Name:
					one, _, _ := strings.Cut(cmp.Or(p.Enum, "1"), ",")
					all = append(all, one)
				}
			}
			return all
		}
		for _, flag := range leaf.Flags {
			kind := flag.Target.Type()
			if kind.Kind() != reflect.String && kind != reflect.TypeFor[[]string]() || flag.Enum != "" {
				continue
			}
			refused(given(flag.Name, ""), "--"+flag.Name)
			if flag.Name != "config" { // which is read before
				refused(given(flag.Name, " "), "--"+flag.Name)
			}
		}
		for _, p := range leaf.Positional {
			if p.Target.Kind() == reflect.String && p.Enum == "" {
				refused(given(p.Name, ""), p.Name)
			}
		}
	}
	if tried < 200 {
		t.Errorf("%d were tried", tried)
	}
}
