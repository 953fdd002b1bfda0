package docs

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"neoapi/internal/must"
	"neoapi/internal/testserver"
	"neoapi/neoapitest"
)

// What people paste from README and paper.md into a shell works against a sandbox, from
// top to bottom.
func TestPaper_linesWorkAsTheyArePasted(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		must.Skip(t, "curl is not installed")
	}
	block := regexp.MustCompile("(?s)\n```sh\n(.*?)```")
	for file, want := range map[string]struct {
		blocks int
		says   []string
	}{
		"../README.md": {1, []string{`"nOrdNo":"`, `"ordSt":"complete"`, `"ltp":"`}},
		"paper.md": {9, []string{
			`"nOrdNo":"`, `"avgPrc":"3450.00"`, `"GuiOrdId":"my-stop"`, `"ordSt":"cancelled"`, `"baseFolder":"`, "CE ", `"pledged":"`,
			`"pending":[`, `"display_symbol":"Nifty 50"`, `"expiries":["`, `"put":[`, `"candles":[`,
		}},
	} {
		t.Run(strings.TrimPrefix(file, "../"), func(t *testing.T) {
			t.Parallel()
			// By the machine's clock, as the lines are, and within one day of the exchange.
			if left := testserver.IntoTheDay(time.Now()); 0 < left && left < 30*time.Second {
				time.Sleep(left)
			}
			srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(0), neoapitest.WithAccounts(1), neoapitest.WithTime(time.Now()))
			var script strings.Builder
			found := 0
			for _, m := range block.FindAllStringSubmatch(string(must.Get(os.ReadFile(file))(t)), -1) {
				if strings.Contains(m[1], "curl -s") || strings.Contains(m[1], "trade ") {
					script.WriteString(m[1])
					found++
				}
			}
			if found < want.blocks {
				t.Errorf("%d blocks of lines, want at least %d", found, want.blocks)
			}
			cmd := exec.CommandContext(t.Context(), "sh", "-eu")
			cmd.Stdin = strings.NewReader(strings.ReplaceAll(script.String(), "http://127.0.0.1:9155", srv.URL))
			cmd.Env = append(os.Environ(), "no_proxy=*")
			var out, messages bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &messages
			if err := cmd.Run(); err != nil || messages.Len() > 0 {
				t.Fatalf("%v: %s", err, &messages)
			}
			for _, says := range want.says {
				if !strings.Contains(out.String(), says) {
					t.Errorf("no answer has %s:\n%s", says, &out)
				}
			}
			if strings.Contains(out.String(), `"error"`) || strings.Contains(out.String(), "Not_Ok") {
				t.Errorf("a line was refused:\n%s", &out)
			}
		})
	}
}
