package adminapi_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"neoapi/internal/serve"
	"neoapi/internal/wire"
)

// The operator's API is behind the same listener as the public one: whatever comes,
// the answer is JSON of its own, whole and with the headers that all answers have.
func TestListener_answersEverythingInJSON(t *testing.T) {
	at := socket(t)
	o := start(t, serve.Config{Admin: at})
	for what, x := range map[string]struct {
		text   string
		status int
	}{
		"a success":              {"GET /consumers HTTP/1.1\r\nHost: neo\r\n\r\n", 200},
		"an unknown path":        {"GET /nowhere HTTP/1.1\r\nHost: neo\r\n\r\n", 404},
		"another method":         {"PATCH /consumers HTTP/1.1\r\nHost: neo\r\n\r\n", 405},
		"a large body":           {fmt.Sprintf("POST /consumers HTTP/1.1\r\nHost: neo\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", wire.MaxBody+1, strings.Repeat("x", wire.MaxBody+1)), 413},
		"large headers":          {"GET /consumers HTTP/1.1\r\nHost: neo\r\nA: " + strings.Repeat("x", 17<<10) + "\r\n\r\n", 431},
		"no HTTP":                {"HELLO\r\n\r\n", 400},
		"a folded header":        {"GET /consumers HTTP/1.1\r\nHost: neo\r\nA: b\r\n c\r\n\r\n", 400},
		"a line without CR":      {"GET /consumers HTTP/1.1\r\nHost: neo\r\nA: b\n\r\n", 400},
		"an unknown encoding":    {"POST /consumers HTTP/1.1\r\nHost: neo\r\nTransfer-Encoding: zip\r\n\r\n", 501},
		"an unknown expectation": {"POST /consumers HTTP/1.1\r\nHost: neo\r\nExpect: luck\r\nContent-Length: 1\r\n\r\n", 417},
	} {
		conn, err := net.Dial("unix", strings.TrimPrefix(at, "unix:"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, x.text); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != x.status || resp.ContentLength != int64(len(body)) {
			t.Errorf("%s: %d, want %d; %d bytes of %d, %v", what, resp.StatusCode, x.status, len(body), resp.ContentLength, err)
		}
		var f wire.Failed
		if err := json.Unmarshal(body, &f); err != nil || x.status >= 400 && (len(f.Error) != 1 || f.Error[0].Code != wire.BadInput.Code) {
			t.Errorf("%s: %s, %v", what, body, err)
		}
		for name, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
			if got := resp.Header.Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s: %q", what, name, got)
			}
		}
		if _, err := http.ParseTime(resp.Header.Get("Date")); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		_ = conn.Close()
	}
	o.ask(t, 200, "GET", "/consumers", "")
}
