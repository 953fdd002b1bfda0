package paperapi

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// A form is the body of a control: a JSON object. What is not known in it, or not clear,
// is refused by name: a misspelt field must not do something else. A null counts as absent,
// as in jData.
type form map[string]any

// formOf returns the form of a body.
func formOf(fields map[string]any) form {
	f := form{}
	for name, value := range fields {
		if value != nil {
			f[name] = value
		}
	}
	return f
}

// only refuses fields besides those that something takes.
func (f form) only(what string, names ...string) *ControlError {
	var unknown []string
	for name := range f {
		if !slices.Contains(names, name) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	return &ControlError{strings.ToValidUTF8(cut(slices.Min(unknown)), ""), "is not known: " + what + " takes " + strings.Join(names, ", ")}
}

// name returns a field that must be there and be a text.
func (f form) name(field string) (string, *ControlError) {
	v, given := f[field]
	s, isText := v.(string)
	switch {
	case !given:
		return "", &ControlError{field, "is missing"}
	case !isText || s == "":
		return "", &ControlError{field, "must be a text that is not empty"}
	}
	return s, nil
}

// text returns a field that must be there and be a text or a number.
func (f form) text(field string) (string, *ControlError) {
	switch v := f[field].(type) {
	case json.Number:
		return v.String(), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case string:
		if v != "" {
			return v, nil
		}
	}
	if _, given := f[field]; !given {
		return "", &ControlError{field, "is missing"}
	}
	return "", &ControlError{field, "must be a text or a number"}
}

// whole returns a field that must be there and be a whole number of at least least.
func (f form) whole(field string, least int64) (int64, *ControlError) {
	v, err := f.text(field)
	if err != nil {
		return 0, err
	}
	n, wrong := strconv.ParseInt(v, 10, 64)
	if wrong != nil || n < least || n > maxQuantity {
		return 0, &ControlError{field, "must be a whole number from " + strconv.FormatInt(least, 10) + " to " + strconv.Itoa(maxQuantity)}
	}
	return n, nil
}
