package main

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

// AfterApply refuses flags and arguments that were given and are empty. A script whose
// variable is not set gives such: --ucc "$UCC" is to mean no other than that account,
// and not whichever is there. Where empty says something, as "none", the field is a
// pointer. A variable of the environment that is empty is as good as one that is
// not set.
func (*commands) AfterApply(parsed *kong.Context) error {
	var problems []error
	seen := map[string]bool{}
	for _, p := range parsed.Path {
		value, name := p.Positional, ""
		switch {
		case p.Resolved:
			continue // a setting, of a file or of the environment
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

// empty reports whether a text, or with lists all the texts of a list, are blank.
func empty(v reflect.Value, lists bool) bool {
	switch {
	case v.Kind() == reflect.String:
		return strings.TrimSpace(v.String()) == ""
	case lists && v.Type() == reflect.TypeFor[[]string]():
		return strings.TrimSpace(strings.Join(v.Interface().([]string), "")) == ""
	}
	return false
}

// decodePath reads a flag of type path as kong does, which makes of an empty one the
// working directory.
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
