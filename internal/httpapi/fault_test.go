package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"neoapi/internal/serve"
	"neoapi/neoapitest"
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

// At the addresses of generation 3 a failure on purpose has the documented form too, as one
// that is none: some clients show nothing else.
func TestFault_ofACodeHasTheAddressesForm(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t, neoapitest.WithConsumerRate(0)))
	for _, x := range []struct {
		op, path string
		gen3     bool
	}{
		{"totp_login", "/login/1.0/tradeApiLogin", true}, {"totp_validate", "/login/1.0/tradeApiValidate", true},
		{"totp_login", "/login/1.0/login/v6/totp/login", false}, {"login", validatePath, false},
	} {
		for _, code := range []string{"10020", "900802", "503"} {
			c.post(t, "/sandbox/faults", fmt.Sprintf(`{"op":%q,"fault":%q}`, x.op, code)).want(t, 200)
			r := c.post(t, x.path, `{}`, "Authorization", c.who)
			var body struct {
				Error                      []struct{ Code, Message string }
				Status, Message, ErrorCode string
			}
			if err := json.Unmarshal(r.body, &body); err != nil || len(body.Error) != 1 || body.Error[0].Code != code {
				t.Errorf("%s at %s: %v %s", code, x.path, err, r.body)
			}
			if want := body.Error[0].Message; x.gen3 && (body.Status != "error" || body.Message != want || body.ErrorCode != code) || !x.gen3 && body.Status != "" {
				t.Errorf("%s at %s: %s", code, x.path, r.body)
			}
		}
	}
}
