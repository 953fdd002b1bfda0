package serve

import (
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"

	"neoapi/internal/login"
)

func FuzzSessionTTL(f *testing.F) {
	for _, text := range []string{"day", "1h", "1m", "24h", "24h0m0.000000001s", "59s", "0", "-1h", "Day", " 1h", "1", "1d", "9999999h", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ttl, dayEnds, err := ParseSessionTTL(text)
		if err != nil {
			if text == "day" {
				t.Fatal(err)
			}
			return
		}
		if want, err := time.ParseDuration(text); dayEnds != (text == "day") || !dayEnds && (err != nil || ttl != want) {
			t.Fatalf("%q: %s, day's end %v", text, ttl, dayEnds)
		}
		good := dayEnds || time.Minute <= ttl && ttl <= 24*time.Hour
		if err := (login.Options{SessionTTL: ttl, DayEnds: dayEnds}).Check(); (err == nil) != good {
			t.Fatalf("%q: %v", text, err)
		}
	})
}

func FuzzPublicURL(f *testing.F) {
	for _, text := range []string{"", "https://api.example.com", "http://127.0.0.1:9155/", "https://[::1]:1/neo", "https://a@b", "https://a?b", "https://a#b", "ftp://a", "https://", "//a", "https://a\n", "https://a/%zz", "https://é"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if checkPublicURL(text) != nil || text == "" {
			return
		}
		// Clients put a path behind it.
		u, err := url.Parse(strings.TrimSuffix(text, "/") + "/quick/user/positions")
		if err != nil || u.Hostname() == "" || u.User != nil || !strings.HasSuffix(u.Path, "/quick/user/positions") || u.RawQuery != "" || u.Fragment != "" {
			t.Fatalf("%q with a path behind it is %+v (%v)", text, u, err)
		}
		if strings.ContainsFunc(text, unicode.IsControl) {
			t.Fatalf("%q", text)
		}
	})
}
