package neoapi

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"neoapi/internal/must"
)

func TestSession_currentOneIsOutOfCallersReach(t *testing.T) {
	s := newScripted(t)
	c := s.loggedIn(t)
	first := must.Get(c.Session2FA(t.Context(), "1234"))(t)
	clear(first.Caches)
	second, _ := c.Session()
	if len(second.Caches) != 2 {
		t.Fatal("clearing the returned caches cleared the client's")
	}
	clear(second.Caches)
	if second, _ = c.Session(); len(second.Caches) != 2 {
		t.Fatal("clearing the current session's caches cleared the client's")
	}
	must.Do(t, c.Use(second))
	clear(second.Caches)
	if third, _ := c.Session(); len(third.Caches) != 2 {
		t.Error("clearing the caches given to Use cleared the client's")
	}
}

func TestParseSession_readsBackWhatExportWrote(t *testing.T) {
	full := Session{
		Token: canaryTrade, SID: "sid", RID: "rid", HSServerID: "server1", UCC: "U", GreetingName: "ñ", KType: "Trade", DataCenter: "d", BaseURL: "b",
		Caches:   map[string]time.Time{"watchlist": time.Unix(1638271224, 0).UTC()},
		IssuedAt: time.Unix(1655802939, 0).UTC(), ExpiresAt: time.Unix(1655806539, 0).UTC(),
		Environment: "prod", Consumer: "c",
	}
	for name, s := range map[string]Session{"a full session": full, "a bare one": {Token: "t", SID: "s"}} {
		t.Run(name, func(t *testing.T) {
			data := must.Get(s.Export())(t)
			got, err := ParseSession(data)
			if err != nil || !reflect.DeepEqual(got, s) {
				t.Errorf("%v: read back as %#v", err, got)
			}
		})
	}
	data, _ := full.Export()
	var keys map[string]any
	must.Do(t, json.Unmarshal(data, &keys))
	for _, k := range []string{"token", "sid", "rid", "hsServerId", "caches", "ucc", "greetingName", "kType", "dataCenter", "baseUrl", "issuedAt", "expiresAt", "environment", "consumer"} {
		if keys[k] == nil {
			t.Errorf("the export has no %s", k)
		}
	}
	if keys["token"] != canaryTrade || keys["caches"].(map[string]any)["watchlist"] != "1638271224" || keys["expiresAt"] != "2022-06-21T10:15:39Z" {
		t.Error("the export does not hold what the original document's answer would")
	}
	if _, err := (Session{Token: "t", ExpiresAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}).Export(); !errors.Is(err, ErrInvalidInput) {
		t.Errorf("a time that JSON cannot hold: %v", err)
	}
}

func TestParseSession_refusesWhatExportDidNotWrite(t *testing.T) {
	text, _ := json.Marshal(Session{Token: canaryTrade})
	for name, data := range map[string]string{
		"nothing":                       "",
		"another kind of JSON":          `[]`,
		"a session without a token":     `{"sid":"s"}`,
		"a session in its printed form": string(text),
		"a secret in the wrong place":   `{"token":"t","issuedAt":"` + canaryPassword + `"}`,
	} {
		_, err := ParseSession([]byte(data))
		if !errors.Is(err, ErrInvalidInput) {
			t.Errorf("%s: %v", name, err)
		}
		noCanary(t, err)
	}
}

func TestRestore_judgesASession(t *testing.T) {
	now := time.Now()
	good := func(env string) Session {
		return Session{Token: canaryTrade, SID: "s", Environment: env, Consumer: fingerprint("key"), ExpiresAt: now.Add(time.Minute)}
	}
	with := func(s Session, change func(*Session)) Session {
		change(&s)
		return s
	}
	const sandbox = "http://127.0.0.1:9155"
	for name, tt := range map[string]struct {
		env    Environment
		s      Session
		reason string // "" if it is taken
		used   string // what Use says
	}{
		"its own":                            {PROD, good("prod"), "", ""},
		"written in another way":             {"HTTPS://Neo.Example.com:443/", good("https://neo.example.com"), "", ""},
		"expired":                            {PROD, with(good("prod"), func(s *Session) { s.ExpiresAt = now.Add(-time.Hour) }), "session ended", "session ended"},
		"yesterday's, without an end":        {PROD, with(good("prod"), func(s *Session) { s.ExpiresAt, s.IssuedAt = time.Time{}, now.Add(-25*time.Hour) }), "session ended", "session ended"},
		"of another environment":             {PROD, good("uat"), "belongs to the environment uat, this client to prod", "environment"},
		"of another path":                    {"https://neo.example.com/b", good("https://neo.example.com/a"), "https://neo.example.com/a", "environment"},
		"of another consumer":                {PROD, with(good("prod"), func(s *Session) { s.Consumer = fingerprint("other") }), "another consumer key", "another consumer key"},
		"of nobody knows what":               {PROD, with(good(""), func(s *Session) { s.Consumer = "" }), "does not say which environment", ""},
		"of the sandbox, at a live host":     {PROD, good(sandbox), "never sent to prod", "never sent"},
		"of the sandbox, by its base URL":    {PROD, with(good(""), func(s *Session) { s.BaseURL = sandbox }), "does not say", "never sent to prod"},
		"of a live host, at the sandbox":     {sandbox, good("prod"), "never sent to a service on this machine", "never sent"},
		"of a live host, by its base URL":    {sandbox, with(good(""), func(s *Session) { s.BaseURL = "https://mis.kotaksecurities.com" }), "does not say", "never sent"},
		"with a password in its environment": {PROD, good("https://u:" + canaryPassword + "@h"), "[unreadable]", "[unreadable]"},
		"that ends now":                      {PROD, with(good("prod"), func(s *Session) { s.ExpiresAt = now }), "session ended", "session ended"},
		"that has a moment left":             {PROD, with(good("prod"), func(s *Session) { s.ExpiresAt = now.Add(1) }), "", ""},
		"without an end":                     {PROD, with(good("prod"), func(s *Session) { s.ExpiresAt = time.Time{} }), "", ""},
		"without a sid":                      {PROD, with(good("prod"), func(s *Session) { s.SID = "" }), "no usable token", "no usable token"},
		"with a token that is no header":     {PROD, with(good("prod"), func(s *Session) { s.Token = "t\nt" }), "no usable token", "no usable token"},
		"without a token":                    {PROD, with(good("prod"), func(s *Session) { s.Token = "" }), "no usable token", "no usable token"},
	} {
		t.Run(name, func(t *testing.T) {
			c := must.Get(New(Config{Environment: tt.env, ConsumerKey: "key"}))(t)
			c.now = func() time.Time { return now }
			for _, try := range []struct {
				err    error
				reason string
			}{{c.Restore(tt.s), tt.reason}, {c.Use(tt.s), tt.used}} {
				if (try.err == nil) != (try.reason == "") || try.err != nil && !strings.Contains(try.err.Error(), try.reason) {
					t.Errorf("got %v, want %q", try.err, try.reason)
				}
				noCanary(t, try.err)
			}
			if _, ok := c.Session(); ok != (tt.used == "") {
				t.Error("a refused session is the current one, or the reverse")
			}
		})
	}
}
