package main

import (
	"bytes"
	"log/slog"
	"testing"
)

// A quiet sandbox says what is wrong with it, and nothing about requests, not even that one
// failed.
func TestSandbox_thatIsQuietStillReportsErrors(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(onlyErrors{slog.NewTextHandler(&out, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})}).With("part", "x")
	log.Info("ready")
	log.Warn("no holidays are known")
	log.Error("request", "status", 500)
	log.Error("what happens on paper cannot be kept")
	if want := "level=ERROR msg=\"what happens on paper cannot be kept\" part=x\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}
