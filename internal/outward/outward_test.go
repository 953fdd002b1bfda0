package outward

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
)

// An editor on Windows writes a byte-order mark, or UTF-16.
func TestSecret_ofAWindowsEditorIsTheSecretAlone(t *testing.T) {
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, text := range []string{"s3cret", "s3cret\n", "\ufeffs3cret\r\n"} {
		if secret, err := Secret(write(text)); err != nil || string(secret) != "s3cret" {
			t.Errorf("%q gives %q, %v", text, string(secret), err)
		}
	}
	var wide strings.Builder
	for _, unit := range utf16.Encode([]rune("\ufeffs3cret\r\n")) {
		wide.Write([]byte{byte(unit), byte(unit >> 8)})
	}
	for text, named := range map[string]string{wide.String(): "UTF-16", wide.String()[2:]: "UTF-16", "\ufeff\r\n": "must hold one line", "s3\ncret": "must hold one line"} {
		if _, err := Secret(write(text)); err == nil || !strings.Contains(err.Error(), named) || strings.Contains(err.Error(), "cret\n") {
			t.Errorf("%q: %v; want an error with %s", text, err, named)
		}
	}
}
