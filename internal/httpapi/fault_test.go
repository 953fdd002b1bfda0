package httpapi_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"neoapi/internal/serve"
)

// What goes wrong on purpose ends like any other request: in the log, once, also where
// there is no answer.
func TestFault_isLoggedLikeAnyAnswer(t *testing.T) {
	t.Parallel()
	for fault, status := range map[string]string{"html_502": "502", "10020": "401", "truncated": "200", "lost": "0", "close": "0"} {
		var log bytes.Buffer
		srv, stop := serving(t, func(cfg *serve.Config) { cfg.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		c := consumer(t, srv)
		c.post(t, "/sandbox/faults", fmt.Sprintf(`{"op":"login","fault":%q}`, fault)).want(t, 200)
		r := request(t, "POST", srv.URL+validatePath, strings.NewReader(object("mobileNumber", c.Account.Mobile, "password", c.Account.Password)),
			"Authorization", c.who, "Content-Type", "application/json", "X-Request-Id", "the-fault")
		resp, err := bareClient().Do(r)
		if err == nil {
			_ = resp.Body.Close()
		}
		if (err != nil) != (status == "0") {
			t.Errorf("%s: %v", fault, err)
		}
		stop()
		var lines []string
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, "msg=request ") && strings.Contains(line, "request_id=the-fault") {
				lines = append(lines, line)
			}
		}
		if len(lines) != 1 || !strings.Contains(lines[0], " status="+status+" ") {
			t.Errorf("%s is logged as %q, want one line with status %s", fault, lines, status)
		}
	}
}
