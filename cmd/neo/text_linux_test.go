package main

import (
	"slices"
	"strings"
	"testing"
)

func TestDropText_dropsWhatIsOnDiskAndNothingElse(t *testing.T) {
	const smaps = `00400000-011c9000 r-xp 00000000 fe:00 11183361                           /usr/bin/neo
Size:              14116 kB
Anonymous:             0 kB
011c9000-0225b000 r--p 00dc9000 fe:00 11183361                           /usr/bin/neo
Anonymous:             4 kB
0225b000-0225c000 r--p 01e5b000 fe:00 11183361                           /usr/bin/neo
Private_Dirty:         0 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
0225c000-0225d000 rw-p 01e5c000 fe:00 11183361                           /usr/bin/neo
Anonymous:             0 kB
0225d000-0225e000 r--p 01e5b000 fe:00 11183362                           /usr/bin/other/neo
Anonymous:             0 kB
0225e000-0225f000 r--p 01e5b000 fe:00 11183363                           /usr/bin/neo2
Anonymous:             0 kB
7f9b0e27e000-7f9b0e280000 r--p 00000000 00:00 0
Anonymous:             0 kB
`
	want := []mapping{{0x400000, 0x11c9000}, {0x225b000, 0x225c000}}
	if got := unchanged(strings.NewReader(smaps), "/usr/bin/neo"); !slices.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	dropText()
	dropText() // the test goes on in what it dropped
}
