package main

import (
	"bufio"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"neoapi/internal/must"
)

func TestPages_ofTheProgramAreReadSingly(t *testing.T) {
	readSinglePages()
	f := must.Get(os.Open("/proc/self/smaps"))(t)
	defer f.Close()
	here := reflect.ValueOf(readSinglePages).Pointer()
	found := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var from, to uintptr
		if n, _ := fmt.Sscanf(lines.Text(), "%x-%x ", &from, &to); n == 2 {
			found = from <= here && here < to
		}
		if flags, ok := strings.CutPrefix(lines.Text(), "VmFlags:"); ok && found {
			if !strings.Contains(flags+" ", " rr ") { // proc(5): random read advise provided
				t.Errorf("the flags of the program's code are%s", flags)
			}
			return
		}
	}
	must.Skip(t, "this kernel does not show flags of memory")
}
