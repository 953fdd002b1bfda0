package neoapi

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// The scanner takes what encoding/json takes, finds the same members, and never panics.
func FuzzScanner(f *testing.F) {
	for _, text := range []string{
		"", " ", "{}", "[]", "{", "[", `{"a":1}`, `{"a":1,"a":2}`, `{"a":1,}`, `[1,]`, `{"a"}`, `{"a":}`, `{a:1}`, `{"a":1}x`, `{"a":1} `, `{"\u0061":1}`, `{"a\"b":"c\\"}`,
		`"x"`, `"`, `"\`, `"\u12`, `"\u12aF"`, `"\x"`, "\"\x01\"", "\"\xff\"", "{\"\xff\":1}", "\"01234567\x1f\"", "\"\x7f\u0080é\"", "0", "-0", "01", "-", "1.", "1.5e", "1e+5", "1E-05", ".5", "+1", "true", "tru", "truex", "null", "nul",
		`{"data":[{"nOrdNo":"1","qt":1},{"x":null}],"stat":"Ok"}`, `"{\"stat\":\"Ok\"}"`, " \t\r\n{ \"a\" : [ 1 , 2 ] , \"b\" : { } } ", "\v{}", strings.Repeat("[", 20) + strings.Repeat("]", 20),
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		s := scanner{data: data}
		s.whole(false)
		if s.excess {
			return // of so much
		}
		if s.ok != json.Valid(data) {
			t.Fatalf("%q: %t; encoding/json says %t", data, s.ok, json.Valid(data))
		}
		s = scanner{data: data}
		s.whole(true)
		var want map[string]json.RawMessage
		if wanted := json.Unmarshal(data, &want) == nil && want != nil; s.ok != wanted || wanted == s.top.none() {
			t.Fatalf("%q is an object: %t, want %t", data, s.ok, wanted)
		}
		if !s.ok {
			return
		}
		got := map[string]json.RawMessage{}
		for _, m := range s.top.members {
			got[string(m.name)] = s.top.at(string(m.name))
		}
		if bytes.ContainsRune(data, '\uFFFD') || strings.ToValidUTF8(string(data), "") != string(data) {
			return // two names that are not UTF-8 may become one
		}
		if len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("%q has %q, want %q", data, got, want)
		}
		if !bytes.Equal(before, data) {
			t.Fatal("the data was changed")
		}
	})
}

func TestScanner_refusesWhatIsTooDeepOrTooMuch(t *testing.T) {
	for name, tt := range map[string]struct {
		text       string
		ok, excess bool
	}{
		"as deep as encoding/json goes": {strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth), true, false},
		"one deeper":                    {strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1), false, false},
		"objects, one too deep":         {strings.Repeat(`{"a":`, maxDepth+1) + "1" + strings.Repeat("}", maxDepth+1), false, false},
		"as many rows":                  {"[" + strings.Repeat("{},", maxRows-1) + "{}]", true, false},
		"one row more":                  {"[" + strings.Repeat("{},", maxRows) + "{}]", false, true},
		"as many values":                {"[" + strings.Repeat("1,", maxValues) + "1]", true, false},
		"one value more":                {"[" + strings.Repeat("1,", maxValues+1) + "1]", false, true},
		"braces in a text":              {`"` + strings.Repeat("{,", maxValues) + `"`, true, false},
	} {
		s := scanner{data: []byte(tt.text)}
		if s.whole(false); s.ok != tt.ok || s.excess != tt.excess {
			t.Errorf("%s: ok %t, excess %t", name, s.ok, s.excess)
		}
		if !tt.excess && tt.ok != json.Valid([]byte(tt.text)) {
			t.Errorf("%s: encoding/json says otherwise", name)
		}
	}
}
