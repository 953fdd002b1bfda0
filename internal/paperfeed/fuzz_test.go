package paperfeed

import (
	"testing"

	"github.com/coder/websocket"
)

// FuzzFirstFrame: whatever a stranger sends first, it is read or refused.
func FuzzFirstFrame(f *testing.F) {
	for _, text := range []string{
		`{"type": "cn", "Authorization": "t.o.k", "Sid": "s", "src": "WEB"}`, `{type:cn,Authorization:t.o.k,Sid:s,src:WEB}`, `{type:cn}`, `{}`, `{`, `}`, `{{}}`, `{:,:}`, `{type:cn,,}`, "", `null`,
		`{"user":"A","auth":"s"}`, `{"user":1,"auth":[]}`, "\xff", `{"type":{},"Sid":7}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		who, err := (&orders{}).first(websocket.MessageText, data)
		if err == nil && who.ucc != "" {
			t.Errorf("the order feed takes the UCC %q", who.ucc) // it would do without a token then
		}
		who, err = (&marketFeed{}).first(websocket.MessageText, data)
		if err == nil && who.token != "" {
			t.Errorf("SFeed takes the token %q", who.token)
		}
	})
}
