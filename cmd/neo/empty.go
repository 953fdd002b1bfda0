package main

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

// AfterApply refuses empty flags and arguments. A script with an unset variable passes
// them, and --ucc "$UCC" must not mean any account. Where empty has a meaning, such as
// "none", the field is a pointer. An empty environment variable counts as unset.
func (*commands) AfterApply(parsed *kong.Context) error {
	var problems []error
	seen := map[string]bool{}
	for _, p := range parsed.Path {
		value, name := p.Positional, ""
		switch {
		case p.Resolved:
			continue // a setting from a file or the environment
		case p.Flag != nil:
			value, name = p.Flag.Value, "--"+p.Flag.Name
		case value != nil:
			name = value.Name
		}
		if value == nil || !empty(value.Target, p.Flag != nil) || seen[name] {
			continue
		}
		seen[name] = true
		problems = append(problems, fmt.Errorf("%s is empty: give a value, or leave it out", name))
	}
	return errors.Join(problems...)
}

// empty reports whether a string is blank or, with lists, whether all strings of a list are.
func empty(v reflect.Value, lists bool) bool {
	switch {
	case v.Kind() == reflect.String:
		return strings.TrimSpace(v.String()) == ""
	case lists && v.Type() == reflect.TypeFor[[]string]():
		return strings.TrimSpace(strings.Join(v.Interface().([]string), "")) == ""
	}
	return false
}

// decodePath decodes a path as kong does, except that an empty one does not become
// the working directory.
func decodePath(ctx *kong.DecodeContext, target reflect.Value) error {
	var path string
	if err := ctx.Scan.PopValueInto("file", &path); err != nil {
		return err
	}
	if path != "-" && strings.TrimSpace(path) != "" {
		path = kong.ExpandPath(path)
	}
	target.SetString(path)
	return nil
}
