package neoapi

import (
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"neoapi/internal/must"
)

func FuzzParseSession(f *testing.F) {
	saved := must.Get(Session{
		Token: canaryTrade, SID: "b3ebb6af-7205-43e9-8513-189472393cab", RID: "r", HSServerID: "server1", UCC: "TESTYA24", GreetingName: "n", KType: "Trade",
		Caches: map[string]time.Time{"watchlist": time.Unix(1638271224, 0).UTC()}, IssuedAt: time.Unix(1655802939, 0).UTC(), ExpiresAt: time.Unix(1655806539, 0).UTC(),
	}.Export())(f)
	f.Add(saved)
	for _, data := range []string{"", "null", "{}", `{"token":""}`, `{"token":"t"}`, `{"token":1}`, `{"token":"t","caches":null,"expiresAt":"x"}`, `{"token":"t"}{}`, `{"token":"t","issuedAt":"9999-12-31T23:59:59.999999999Z"}`, `{"token":"t","issuedAt":"0000-01-01T00:00:00+23:59"}`} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseSession(data)
		if err != nil {
			if e, ok := err.(*Error); !ok || e.Category != ErrInvalidInput || e.Err != nil {
				t.Fatalf("%v", err)
			}
			return
		}
		if s.Token == "" {
			t.Fatal("a session without a token")
		}
		for verb, text := range map[string]string{"%v": fmt.Sprintf("%v", s), "%+v": fmt.Sprintf("%+v", s), "%#v": fmt.Sprintf("%#v", s)} {
			if len(s.Token) > 20 && strings.Contains(text, s.Token) {
				t.Fatalf("%s shows the token", verb)
			}
		}
		again, err := s.Export()
		if err != nil {
			if e, ok := err.(*Error); !ok || e.Category != ErrInvalidInput {
				t.Fatal(err)
			}
			return
		}
		back := must.Get(ParseSession(again))(t)
		same := back.IssuedAt.Equal(s.IssuedAt) && back.ExpiresAt.Equal(s.ExpiresAt)
		back.IssuedAt, back.ExpiresAt = s.IssuedAt, s.ExpiresAt // their zones print differently
		if !same || !reflect.DeepEqual(back, s) {
			t.Fatalf("exported and read back, %+v is %+v", s.Caches, back.Caches)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, value := range []string{"", "0", "1", " 30 ", "-1", "1.5", "9223372036854775807", "9223372036854775808", "Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "Wed, 21 Oct 2026 07:28:00 IST"} {
		f.Add(value)
	}
	now := time.Date(2026, 1, 15, 9, 15, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		if wait := retryAfter(value, now); wait < 0 || wait > 365*24*time.Hour {
			t.Fatalf("%q: wait %s", value, wait)
		}
	})
}

func FuzzEnvironment(f *testing.F) {
	for _, env := range []string{"uat", "PROD", "", "https://neo.example.com", "https://neo.example.com/base/", "http://127.0.0.1:9155", "http://localhost", "http://[::1]:80/x", "http://neo.example.com", "https://user:secret@host", "https://host?x", "https://host#x", "https:host", "https://host:port", "http://127.0.0.1.example.com", "http://localhost.example.com", "ſ://x", "https://host/%2e%2e/"} {
		f.Add(env)
	}
	f.Fuzz(func(t *testing.T, env string) {
		at, problem := find(Config{Environment: Environment(env), ConsumerKey: "k"})
		if problem.Text != "" {
			if len(env) > 12 && strings.Contains(problem.Text, env) {
				t.Fatalf("the problem repeats the address, which may hold a password: %s", problem)
			}
			return
		}
		for op, address := range at.urls() {
			u, err := url.Parse(address)
			if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
				t.Fatalf("%q: %s is %q (%v)", env, op, address, err)
			}
			if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
				t.Fatalf("%q: %s would go to %q in the clear", env, op, address)
			}
		}
	})
}

func FuzzCredentials(f *testing.F) {
	for _, c := range [][3]string{{"9999999908", "", ""}, {"+91 99999-99908", "", ""}, {"+14155552671", "", ""}, {"", "asfdywgsiqwjnskm", ""}, {"", "", "avrft7865t"}, {"", "", "aſrft7865t"}, {"１２３４５６７８９０", "", ""}, {"1", "2", "3"}} {
		f.Add(c[0], c[1], c[2])
	}
	forms := map[string]*regexp.Regexp{
		"mobileNumber": regexp.MustCompile(`\A\+[1-9][0-9]{7,14}\z`), "pan": regexp.MustCompile(`\A[A-Z]{5}[0-9]{4}[A-Z]\z`), "userid": regexp.MustCompile(`(?s)\A.+\z`),
	}
	f.Fuzz(func(t *testing.T, mobile, user, pan string) {
		field, value, problems := Credentials{Mobile: mobile, UserID: user, PAN: pan}.identifier()
		if len(problems) > 0 {
			return
		}
		if !forms[field].MatchString(value) {
			t.Fatalf("%s %q", field, value)
		}
		var sent map[string]string
		if err := json.Unmarshal(body(field, value), &sent); err != nil || len(sent) != 1 || sent[field] != strings.ToValidUTF8(value, "\ufffd") {
			t.Fatalf("%s %q is sent as %q (%v)", field, value, sent, err)
		}
	})
}
