package front

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestHeads_areNotTakenForBodiesNorBodiesForHeads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type request struct {
			length int
			odd    bool
		}
		var stream strings.Builder
		var all []request
		for range rapid.IntRange(1, 6).Draw(t, "requests") {
			var r request
			body := rapid.StringOfN(rapid.SampledFrom([]rune("\r\n \tGET / HTTP/1.1:a")), 0, 60, -1).Draw(t, "body")
			r.length = len(body)
			if rapid.Bool().Draw(t, "an empty line before") && len(all) > 0 {
				stream.WriteString("\r\n")
			}
			fmt.Fprintf(&stream, "POST / HTTP/1.1\r\nContent-Length: %d\r\n", r.length)
			for range rapid.IntRange(0, 3).Draw(t, "headers") {
				line := rapid.SampledFrom([]string{"Sid: a\r\n", "Sid: a b\tc \r\n", "Sid:\r\n", "Sid: a\r\n b\r\n", "Sid: a\r\n\t\r\n", "Sid: a\n"}).Draw(t, "header")
				r.odd = r.odd || strings.Contains(line, "\n ") || strings.Contains(line, "\n\t") || !strings.HasSuffix(line, "\r\n")
				stream.WriteString(line)
			}
			stream.WriteString("\r\n" + body)
			all = append(all, r)
		}
		var h heads
		for left := stream.String(); left != ""; {
			n := rapid.IntRange(1, min(len(left), 80)).Draw(t, "bytes read at once")
			h.read([]byte(left[:n]))
			left = left[n:]
			for h.unanswered() {
				if len(all) == 0 {
					t.Fatal("a head too many")
				}
				if well := h.answer(int64(all[0].length)); well == all[0].odd {
					t.Fatalf("well framed: %v, with %d requests left", well, len(all))
				}
				all = all[1:]
			}
		}
		if len(all) > 0 {
			t.Fatalf("%d heads not noticed", len(all))
		}
	})
}

// FuzzHeads: a head ends where net/http says so, unless it is refused anyway.
func FuzzHeads(f *testing.F) {
	for _, text := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\nrest", "GET / HTTP/1.1\nHost: x\n\nrest", "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\t\r\n\r\n",
		"GET / HTTP/1.1\r\r\nHost: x\r\n\r\r\n\r\n", "\r\nGET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nA: \r\n\r\n\r\n", "GET / HTTP/1.1\r\n \r\n\r\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(text), len(text)+16)
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		head := text[:len(text)-r.Buffered()]
		var h heads
		for i, c := range head {
			if h.unanswered() {
				if h.odd {
					return
				}
				t.Fatalf("the head ends after %q of %q", head[:i], head)
			}
			h.read([]byte{c})
		}
		if folded := bytes.Contains(head, []byte("\n ")) || bytes.Contains(head, []byte("\n\t")); folded && !h.odd {
			t.Fatalf("a folded line was not noticed in %q", head)
		}
		if !h.unanswered() && !h.odd {
			t.Fatalf("the head does not end with %q", head)
		}
	})
}
