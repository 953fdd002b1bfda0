package paperapi_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"neoapi/neoapitest"
)

// A kept exchange belongs to one process. Another sandbox on the same data has one of its
// own, and says so in its log.
func TestExchange_belongsToOneProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := login(t, neoapitest.WithPaperData(dir))
	var log bytes.Buffer
	other := login(t, neoapitest.WithPaperData(dir), neoapitest.WithLog(slog.NewTextHandler(&log, nil)))
	told := log.String()
	order := `{"am": "NO", "es": "nse_cm", "pc": "CNC", "pr": "3400", "pt": "L", "qt": "1", "rt": "DAY", "ts": "TCS-EQ", "tt": "B"}`
	newest := generations[len(generations)-1]
	r.ok(newest, "order", "/quick/order/rule/ms/place", order)
	other.ok(newest, "order", "/quick/order/rule/ms/place", order)
	other.ok(newest, "order", "/quick/order/rule/ms/place", order)
	if one, two := len(r.srv.Orders(t, r.srv.Account.UCC)), len(other.srv.Orders(t, r.srv.Account.UCC)); one != 1 || two != 2 {
		t.Errorf("%d and %d orders, want 1 and 2", one, two)
	}
	if !strings.Contains(told, "used by another process") {
		t.Errorf("the log does not say so: %s", told)
	}
}
