package adminapi_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"neoapi/internal/apitest"
	"neoapi/internal/serve"
)

// everywhere runs a test over the socket and over the network, with an account, a
// consumer and a list of all that operators may ask.
func everywhere(t *testing.T, f func(t *testing.T, o *operator, all [][2]string)) {
	d, err := apitest.LoadAdmin()
	if err != nil {
		t.Fatal(err)
	}
	var all [][2]string
	for _, path := range slices.Sorted(maps.Keys(d.Operations)) {
		for method := range d.Operations[path] {
			all = append(all, [2]string{method, strings.NewReplacer("{ucc}", "AB1234", "{key}", "app", "{sid}", "9d2f0e4c-6c1e-4a63-9f5d-6f2c2b9a7d11").Replace(path)})
		}
	}
	with := func(t *testing.T, o *operator) {
		o.ask(t, 201, "POST", "/accounts", asha)
		o.ask(t, 201, "POST", "/consumers", `{"key":"app"}`)
		f(t, o, all)
	}
	t.Run("socket", func(t *testing.T) {
		t.Parallel()
		with(t, start(t, serve.Config{Admin: socket(t), AdminHosts: []string{"Ops.Example.com"}}))
	})
	t.Run("network", func(t *testing.T) {
		t.Parallel()
		o, as := overNetwork(t, "Ops.Example.com")
		as("ops")
		with(t, o)
	})
}

// body is what a request would do harm with, if it were obeyed.
func body(method, path string) string {
	switch method + " " + path {
	case "POST /accounts":
		return strings.NewReplacer("AB1234", "CD5678", "asha", "other", "9876543210", "9876543211", "AVRFT7865T", "AVRFT7866T").Replace(asha)
	case "POST /consumers":
		return `{"key":"evil"}`
	case "PUT /accounts/AB1234/password":
		return `{"password":"another good password"}`
	case "PUT /accounts/AB1234/mpin":
		return `{"mpin":"246801"}`
	case "PUT /accounts/AB1234/caches":
		return `{"watchlist":1654684389}`
	case "POST /accounts/AB1234/erasure", "DELETE /accounts/AB1234":
		return `{"ucc":"AB1234"}`
	case "DELETE /consumers/app":
		return `{"key":"app"}`
	case "POST /consumers/app/secret":
		return `{"overlap":"0s"}`
	case "PUT /consumers/app/rate":
		return `{"rate":1}`
	case "PUT /consumers/app/allow":
		return `{"allow":["192.0.2.0/24"]}`
	}
	return ""
}

func (o *operator) request(t *testing.T, method, path, body string, header http.Header) *http.Request {
	t.Helper()
	var sent io.Reader
	if body != "" {
		sent = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, o.base+path, sent)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	r.Host = r.Header.Get("Host")
	return r
}

var sentAsJSON = []string{"application/json"}

// A page of another origin is refused, whatever it makes an operator's browser send, and
// so is a host that is none of ours.
func TestAdminAPI_doesNothingForAPageOfAnotherOrigin(t *testing.T) {
	everywhere(t, func(t *testing.T, o *operator, all [][2]string) {
		before := len(o.events(t))
		for _, header := range []http.Header{
			{"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}}, {"Origin": {"https://evil.example"}}, {"Origin": {"null"}},
			{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"no-cors"}},
			{"Host": {"evil.example"}}, {"Host": {"evil.example:9157"}}, {"Host": {"127.0.0.1.evil.example"}}, {"Host": {"admin.example.com.evil.example"}},
			{"Host": {"evil.example"}, "Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"same-origin"}}, // DNS rebinding
		} {
			header["Content-Type"] = sentAsJSON
			for _, x := range all {
				o.send(t, 403, o.request(t, x[0], x[1], body(x[0], x[1]), header), body(x[0], x[1]))
			}
		}
		if n := len(o.events(t)) - before; n > 0 {
			t.Errorf("%d changes", n)
		}
		for _, host := range []string{"", "ops.example.com", "OPS.example.com:9157", "127.0.0.1"} {
			header := http.Header{"Host": {host}}
			if host != "" {
				header["Origin"], header["Sec-Fetch-Site"] = []string{"https://" + host}, []string{"same-origin"}
			}
			o.send(t, 200, o.request(t, "GET", "/accounts", "", header), "")
		}
	})
	t.Run("named by the certificate", func(t *testing.T) {
		o, as := overNetwork(t)
		as("ops")
		for host, status := range map[string]int{"admin.example.com": 200, "Admin.Example.Com.:9157": 200, "ops.example.com": 403, "192.0.2.1": 403, "localhost": 403} {
			o.send(t, status, o.request(t, "GET", "/accounts", "", http.Header{"Host": {host}}), "")
		}
	})
}

// What a page can send unasked is not JSON.
func TestAdminAPI_refusesAChangeThatIsNotSentAsJSON(t *testing.T) {
	everywhere(t, func(t *testing.T, o *operator, all [][2]string) {
		before := len(o.events(t))
		for _, kind := range [][]string{nil, {""}, {"text/plain"}, {"application/x-www-form-urlencoded"}, {"multipart/form-data; boundary=x"}, {"application/jsonp"}, {"application/json", "text/plain"}, {"application/json, text/plain"}} {
			for _, x := range all {
				for _, text := range []string{"", body(x[0], x[1])} {
					if x[0] == "GET" || x[0] == "DELETE" && text == "" {
						continue
					}
					r := o.request(t, x[0], x[1], text, http.Header{"Content-Type": kind})
					if kind == nil {
						delete(r.Header, "Content-Type")
					}
					o.send(t, 415, r, text)
				}
			}
		}
		if n := len(o.events(t)) - before; n > 0 {
			t.Errorf("%d changes", n)
		}
		o.send(t, 200, o.request(t, "PUT", "/accounts/AB1234/lock", "", http.Header{"Content-Type": {"application/json; charset=utf-8"}}), "")
	})
}

func TestAdminAPI_wantsWhatCannotBeUndoneNamedTwice(t *testing.T) {
	everywhere(t, func(t *testing.T, o *operator, _ [][2]string) {
		before := len(o.events(t))
		for _, x := range []struct{ method, path, field string }{
			{"POST", "/accounts/AB1234/erasure", "ucc"}, {"DELETE", "/accounts/AB1234", "ucc"}, {"DELETE", "/consumers/app", "key"},
		} {
			other := map[string]string{"ucc": "key", "key": "ucc"}[x.field]
			named := map[string]string{"ucc": "AB1234", "key": "app"}[x.field]
			for _, text := range []string{
				"", "{}", "[]", "null", `"` + named + `"`, fmt.Sprintf(`{"%s":"CD5678"}`, x.field), fmt.Sprintf(`{"%s":""}`, x.field), fmt.Sprintf(`{"%s":"%s"}`, other, named),
				fmt.Sprintf(`{"%s":"%s","%s":"%s"}`, x.field, named, x.field, named), fmt.Sprintf(`{"%s":["%s"]}`, x.field, named), `{"yes":true}`,
			} {
				o.send(t, 400, o.request(t, x.method, x.path, text, http.Header{"Content-Type": sentAsJSON}), text)
			}
		}
		if n := len(o.events(t)) - before; n > 0 {
			t.Errorf("%d changes", n)
		}
	})
}
