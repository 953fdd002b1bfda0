package login

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// What the service says has room on a line with a client's hint, or needs none.
func TestError_detailIsShortEnoughToRead(t *testing.T) {
	detail := regexp.MustCompile(`(?:Detail: |detail: |badBody\(|bad\(|invalid\([^,]+, |fail\("[^"]*", |return )"([^"]{20,})"`)
	found := 0
	for _, dir := range []string{".", "../httpapi", "../../verify"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range detail.FindAllSubmatch(source, -1) {
				found++
				if len(m[1]) > 112 {
					t.Errorf("%s: %d characters: %s", file, len(m[1]), m[1])
				}
			}
		}
	}
	if found < 60 {
		t.Errorf("%d texts: are they found?", found)
	}
}
