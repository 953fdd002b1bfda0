//go:build unix

package front

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"neoapi/internal/certtest"
)

type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) has(what string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), what)
}

// A pipe in the place of the certificate or its key, which nobody writes to, holds up no
// handshake, and the next pair is used.
func TestCertificate_thatIsAPipeHoldsUpNoHandshake(t *testing.T) {
	for i, part := range []string{"certificate", "key"} {
		t.Run(part, func(t *testing.T) {
			t.Parallel()
			var log lines
			first, second := certtest.New("first", nil, nil), certtest.New("second", nil, nil)
			cert, key := first.Write(t, t.TempDir())
			c, err := LoadCertificate(cert, key, slog.New(slog.NewTextHandler(&log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			until := func(what string, f func(name string) bool) {
				t.Helper()
				for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
					pair, err := c.Config().GetCertificate(nil)
					if err != nil {
						t.Fatal(err)
					}
					if f(pair.Leaf.Subject.CommonName) {
						return
					}
					if time.Since(begin) > time.Minute {
						t.Fatal("waited for " + what)
					}
				}
			}
			at := []string{cert, key}[i]
			if err := errors.Join(os.Remove(at), syscall.Mkfifo(at, 0o600)); err != nil {
				t.Fatal(err)
			}
			until("a line in the log", func(name string) bool { return name == "first" && log.has("is not a file") })
			newCert, newKey := second.PEM()
			if err := errors.Join(os.Remove(at), os.WriteFile(cert, newCert, 0o600), os.WriteFile(key, newKey, 0o600)); err != nil {
				t.Fatal(err)
			}
			until("the second pair", func(name string) bool { return name == "second" })
		})
	}
}
