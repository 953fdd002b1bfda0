package paperapi_test

import (
	"strings"
	"testing"

	"neoapi/neoapitest"
)

// An exchange belongs to one process. Another one on the same data serves sessions, and
// says of trade calls where they belong.
func TestExchange_belongsToOneProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := login(t, neoapitest.WithPaperData(dir))
	other := login(t, neoapitest.WithPaperData(dir))
	order := `{"am": "NO", "es": "nse_cm", "pc": "CNC", "pr": "3400", "pt": "L", "qt": "1", "rt": "DAY", "ts": "TCS-EQ", "tt": "B"}`
	newest := generations[len(generations)-1]
	r.ok(newest, "order", "/quick/order/rule/ms/place", order)
	if status, o, text := other.send(newest, "order", "/quick/order/rule/ms/place", order); status != 503 || !strings.Contains(string(text), "another process") {
		t.Errorf("%d %v", status, o)
	}
}
