package wire

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	"neoapi/internal/must"
)

func TestSession_isAnsweredAsJSONIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ -~]{0,40}`), rapid.SampledFrom([]string{"", "\xff", "<&>", "\u2028", `"\\`}))
		s := Session{
			Token: text.Draw(t, "token"), SID: text.Draw(t, "sid"), RID: text.Draw(t, "rid"), HSServerID: text.Draw(t, "home"),
			Caches: rapid.MapOf(text, text).Draw(t, "caches"), UCC: text.Draw(t, "UCC"), GreetingName: text.Draw(t, "name"),
			KType: text.Draw(t, "kind"), Status: text.Draw(t, "status"), DataCenter: text.Draw(t, "centre"), BaseURL: text.Draw(t, "URL"),
		}
		if rapid.Bool().Draw(t, "no caches") {
			s.Caches = nil
		}
		want, err := json.Marshal(Success[any]{Data: s})
		must.Do(t, err)
		if got := s.Answer(); string(got) != string(want) {
			t.Fatalf("got %s\nwant %s", got, want)
		}
	})
}
