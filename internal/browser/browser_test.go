package browser

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestCrossOrigin_isToldByWhatBrowsersSay(t *testing.T) {
	for _, x := range []struct {
		name    string
		header  http.Header
		refused bool
	}{
		{"a program", nil, false},
		{"another site", http.Header{"Sec-Fetch-Site": {"cross-site"}}, true},
		{"another port", http.Header{"Sec-Fetch-Site": {"same-site"}}, true},
		{"the same origin", http.Header{"Sec-Fetch-Site": {"same-origin"}}, false},
		{"typed by a person", http.Header{"Sec-Fetch-Site": {"none"}}, false},
		{"an older browser, another site", http.Header{"Origin": {"https://evil.example"}}, true},
		{"an older browser, another port", http.Header{"Origin": {"http://neo.example:81"}}, true},
		{"an older browser, the same origin", http.Header{"Origin": {"http://neo.example"}}, false},
		{"a sandboxed frame", http.Header{"Origin": {"null"}}, true},
	} {
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"} {
			r := httptest.NewRequestWithContext(t.Context(), method, "http://neo.example/", nil)
			if x.header != nil {
				r.Header = x.header
			}
			if err := CrossOrigin(r); (err != nil) != x.refused {
				t.Errorf("%s, %s: %v", x.name, method, err)
			}
			if r.Method != method {
				t.Errorf("%s became %s", method, r.Method)
			}
		}
	}
}

func TestUnregistrable_isEveryNameThatNoStrangerCanHave(t *testing.T) {
	for host, want := range map[string]bool{
		"127.0.0.1:9155": true, "[::1]:9155": true, "[::1]": true, "10.0.0.5": true, "localhost:9155": true, "LOCALHOST.": true, "neo": true, "a.localhost": true,
		"sandbox.test:80": true, "neo.internal": true,
		"evil.example:9155": false, "127.0.0.1.evil.example": false, "localhost.evil.example": false, "evil.localhost.example": false, "127.0.0.1.nip.io.": false,
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "http://x/", nil)
		r.Host = host
		if got := Unregistrable(Host(r)); got != want {
			t.Errorf("%s: %v, want %v", host, got, want)
		}
	}
}
