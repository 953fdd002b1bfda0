package httpapi_test

import (
	"log/slog"
	"net/http"
	"testing"

	"neoapi/neoapitest"
)

func TestLog_hasNoLineOfGoodAnswersToThoseWhoAskAllDay(t *testing.T) {
	var log lines
	srv := neoapitest.NewServer(t, neoapitest.WithLog(slog.NewJSONHandler(&log, nil)))
	ask := func(path, secret string, want int) {
		t.Helper()
		secretOf(srv, srv.ConsumerKey, secret).ask(t, "GET", path, "").want(t, want) // over one connection: after the line of the one before
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
