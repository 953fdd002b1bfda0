package httpapi_test

import (
	"io"
	"log/slog"
	"net/http"
	"testing"

	"neoapi/neoapitest"
)

func TestGoodAnswersToThoseWhoAskAllDayAreNoLinesOfTheLog(t *testing.T) {
	var log lines
	srv := neoapitest.NewServer(t, neoapitest.WithLog(slog.NewJSONHandler(&log, nil)))
	ask := func(path, secret string, want int) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth(srv.ConsumerKey, secret)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, resp.Body) // the next one comes over the same connection, after this one's line
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		if err != nil || resp.StatusCode != want {
			t.Fatalf("%s: %s, %v", path, resp.Status, err)
		}
	}
	const list = "/oauth2/revocations?after=0"
	ask("/livez", "", http.StatusOK)
	ask("/readyz", "", http.StatusOK)
	ask(list, srv.ConsumerSecret, http.StatusOK)
	ask(list, "wrong", http.StatusUnauthorized)
	ask("/.well-known/jwks.json", "", http.StatusOK)
	eventually(t, "the lines of the others", func() bool { return log.count(`"op":"key_set"`) == 1 && log.count(`"op":"revocations"`) > 0 })
	if n := log.count(`"op":"revocations"`); n != 1 {
		t.Errorf("%d lines tell of the list of revocations, of which only one was refused", n)
	}
	if n := log.count(`"op":"livez"`) + log.count(`"op":"readyz"`); n != 0 {
		t.Errorf("%d lines tell that all is well", n)
	}
}
