package front

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2"
	"pgregory.net/rapid"
)

func TestFrames_areFoundHoweverTheyAreCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var text bytes.Buffer
		to := http2.NewFramer(&text, nil)
		var want []frame
		for range rapid.IntRange(1, 6).Draw(t, "frames") {
			f := frame{
				length: rapid.IntRange(0, 40).Draw(t, "length"), kind: rapid.Byte().Draw(t, "kind"), flags: rapid.Byte().Draw(t, "flags"),
				stream: rapid.Uint32Range(0, 1<<31-1).Draw(t, "stream"),
			}
			if err := to.WriteRawFrame(http2.FrameType(f.kind), http2.Flags(f.flags), f.stream, make([]byte, f.length)); err != nil {
				t.Fatal(err)
			}
			want = append(want, f)
		}
		var s frames
		var got []frame
		for left := text.Bytes(); len(left) > 0; {
			n := rapid.IntRange(1, len(left)).Draw(t, "bytes at once")
			s.each(left[:n], func(f frame) { got = append(got, f) })
			left = left[n:]
		}
		for i := range want {
			if len(got) != len(want) || got[i] != want[i] {
				t.Fatalf("got %v, want %v", got, want)
			}
		}
	})
}
