package sqlite

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCaches_areReadAsJSONIs(t *testing.T) {
	for _, text := range []string{
		`{}`, `null`, `{"a":1}`, `{"lastUpdatedTS":1654684389,"watchlist":1654684389}`, `{"a":0}`, `{"a":-1}`, `{"a":-0}`, `{"a":-01}`, `{"a":01}`, `{"a":+1}`, `{"a":1_0}`,
		`{"a":9223372036854775807}`, `{"a":9223372036854775808}`, `{"a":1.5}`, `{"a":1e3}`, `{"a":null}`, `{"a":"1"}`, `{"a":[1]}`, `{"a":{"b":1}}`,
		`{ "a":1}`, `{"a" :1}`, `{"a": 1}`, `{"a":1 }`, `{"a":1} `, `{"a":1}}`, `{"a":1,}`, `{"a":1,"b"}`, `{"a":1,"a":2}`, `{"":1}`, `{"a:b":1}`, `{"a,b":1}`,
		`{"a}b":1}`, `{"a\":":1}`, `{"a\u0041":1}`, `{"é":1}`, "{\"\xff\":1}", "{\"a\nb\":1}", `{"a":}`, `{"a"`, `{"`, `{`, ``, `[]`, `1`,
	} {
		var want map[string]int64
		werr := json.Unmarshal([]byte(text), &want)
		got, err := parseCaches(text)
		if (err == nil) != (werr == nil) {
			t.Errorf("%s: %v, want %v", text, err, werr)
		}
		if diff := cmp.Diff(want, got); werr == nil && diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}
