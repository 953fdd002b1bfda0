package httpapi_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"neoapi/neoapitest"
)

// Failures of generation 3's own addresses are in its documented form, and in the
// session protocol's, whose clients read error alone.
func TestFailures_ofGeneration3HaveItsForm(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(0))
	for _, path := range []string{"/login/1.0/tradeApiLogin", "/login/1.0/tradeApiValidate"} {
		for _, body := range []string{"{}", "["} {
			req, err := http.NewRequest(http.MethodPost, srv.URL+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", srv.ConsumerKey)
			req.Header.Set("Content-Type", "application/json")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			var got struct {
				Error              []struct{ Code, Message string }
				Status, Message    string
				ErrorCode          string
				Data, Stat, ErrMsg any
			}
			if err != nil || json.Unmarshal(text, &got) != nil || len(got.Error) != 1 {
				t.Fatalf("%s: %s", path, text)
			}
			if got.Status != "error" || got.Message == "" || got.Message != got.Error[0].Message || got.ErrorCode != got.Error[0].Code {
				t.Errorf("%s: %s", path, text)
			}
		}
	}
}
