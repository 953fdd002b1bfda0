package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"neoapi/internal/apitest"
	"neoapi/internal/httpapi"
	"neoapi/internal/tradewire"
	"neoapi/internal/wire"
	"neoapi/neoapitest"
)

func description(t testing.TB) *apitest.Description {
	t.Helper()
	d, err := apitest.Load()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// describedRaw holds the first answer to the bytes of a connection against the
// description, if they can be read as a request at all.
func describedRaw(t testing.TB, text string, got reply) {
	t.Helper()
	x := apitest.Exchange{Status: got.status, Header: got.header, Body: got.body}
	if r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text))); err == nil {
		x.Method, x.Path, x.Asked = r.Method, r.URL.Path, r.Header
		x.Sent, _ = io.ReadAll(r.Body)
	}
	if err := x.Check(); err != nil {
		t.Errorf("not as api/openapi.yaml says: %v", err)
	}
}

func TestRoutes_areThoseDescribed(t *testing.T) {
	served := map[string]bool{"GET /sandbox/otp/{ucc}": true, "HEAD /sandbox/otp/{ucc}": true, "GET /sandbox/totp/{ucc}": true, "HEAD /sandbox/totp/{ucc}": true, "GET /": true, "HEAD /": true}
	for _, method := range []string{"GET", "HEAD", "POST", "DELETE"} {
		served[method+" /sandbox/faults"] = true
	}
	for _, address := range []string{
		"GET /sandbox/", "HEAD /sandbox/", "GET /sandbox/clock", "HEAD /sandbox/clock", "POST /sandbox/clock",
		"POST /sandbox/market", "GET /sandbox/accounts/{ucc}", "POST /sandbox/accounts/{ucc}", "DELETE /sandbox/state", "GET /sandbox/requests", "HEAD /sandbox/requests",
	} {
		served[address] = true
	}
	for _, path := range []string{
		tradewire.PathQuotes + "{neosymbol}", tradewire.PathQuotes + "{neosymbol}/{type}", tradewire.PathMaster, tradewire.PathCandles, tradewire.PathChain, tradewire.PathExpiries,
	} {
		served["GET "+path], served["HEAD "+path] = true, true
	}
	for _, path := range []string{"/livez", "/readyz"} {
		served["GET "+path], served["HEAD "+path] = true, true
	}
	for _, method := range []string{"GET", "HEAD"} {
		served[method+" /auth"] = true
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		served[method+" /auth/{address}"] = true
	}
	for _, r := range slices.Concat(allRoutes, wire.Standards) {
		served[r.Method+" "+r.Path] = true
		if r.Method == http.MethodGet {
			served["HEAD "+r.Path] = true
		}
	}
	for path, ops := range description(t).Operations {
		for method := range ops {
			if !served[method+" "+path] {
				t.Errorf("%s %s is described and not served", method, path)
			}
			delete(served, method+" "+path)
		}
	}
	for address := range served {
		t.Errorf("%s is served and not described", address)
	}
}

// oauthPaths are the addresses whose failures are OAuth's.
var oauthPaths = []string{tokenPath, wire.PathIntrospection, wire.PathRevocation, wire.PathRevocations}

// oauthErrors are the errors of these by status.
var oauthErrors = map[int][]string{
	400: {"invalid_request"}, 401: {"invalid_client"}, 405: {"invalid_request"}, 413: {"invalid_request"},
	415: {"invalid_request"}, 431: {"invalid_request"}, 429: {"temporarily_unavailable"}, 500: {"server_error"}, 503: {"temporarily_unavailable"},
}

func TestFailures_areDescribedWithTheirStatus(t *testing.T) {
	described := map[string]bool{}
	for path, ops := range description(t).Operations {
		for method, op := range ops {
			for _, always := range []int{400, 405, 413, 431, 500, 503} {
				if op.Answers[always] == nil {
					t.Errorf("%s %s: %d is not described", method, path, always)
				}
			}
			for status, answer := range op.Answers {
				if status < 400 {
					continue
				}
				codes := 0
				for _, row := range wire.Failures {
					problem := fmt.Sprintf(`[{"code":%q,"message":"m"}]`, row.Code)
					if !answer.Takes(`{"error":`+problem+`}`) && !answer.Takes(fmt.Sprintf(`{"stat":"Not_Ok","stCode":%s,"errMsg":"m","emsg":"m","error":%s}`, row.Code, problem)) {
						continue
					}
					codes++
					described[row.Code] = true
					if row.Status != status && !(row == wire.BadInput && status/100 == 4) && !(row == wire.BadSession && status == 403) {
						t.Errorf("%s %s: %d is described with code %s, whose status is %d", method, path, status, row.Code, row.Status)
					}
				}
				for _, word := range oauthErrors[status] {
					if answer.Takes(fmt.Sprintf(`{"error":%q,"error_description":"m"}`, word)) != slices.Contains(oauthPaths, path) {
						t.Errorf("%s %s: %d with the error %s is described wrongly", method, path, status, word)
					}
				}
				if (codes > 0) == slices.Contains(oauthPaths, path) {
					t.Errorf("%s %s: %d is described with %d codes", method, path, status, codes)
				}
			}
		}
	}
	if len(httpapi.Rows) != httpapi.Kinds {
		t.Errorf("%d of %d kinds of refusal have a row", len(httpapi.Rows), httpapi.Kinds)
	}
	for _, row := range httpapi.Rows {
		if !described[row.Code] {
			t.Errorf("code %s is answered and not described", row.Code)
		}
	}
	rows := slices.Collect(maps.Values(httpapi.Rows))
	for code := range described {
		if !slices.ContainsFunc(rows, func(row wire.Failure) bool { return row.Code == code }) {
			t.Errorf("code %s is described and never answered", code)
		}
	}
}

// credentials are the schemes of a description beside those of a session.
func credentials(way []string) []string {
	return slices.DeleteFunc(slices.Clone(way), func(scheme string) bool {
		return slices.Contains([]string{"sid", "viewToken", "tradeToken"}, scheme)
	})
}

func TestRoutes_wantTheCredentialsDescribed(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	bearer := consumer(t, srv)
	for _, r := range allRoutes {
		op := description(t).Operations[r.Path][r.Method]
		if op == nil {
			continue // TestRoutes_areThoseDescribed
		}
		ways := op.Security
		open := len(ways) == 1 && len(ways[0]) == 0
		for _, x := range []struct {
			c       caller
			schemes []string
		}{{caller{srv, ""}, []string{}}, {bearer, []string{"accessToken"}}, {caller{srv, srv.ConsumerKey}, []string{"consumerKey"}}} {
			if r.Op == wire.OpAccessToken { // TestAccessToken_isGivenAsRFC6749Says
				continue
			}
			answer := string(x.c.send(t, r.Method, r.Path, object("mpin", "123456")).body)
			recognised := !strings.Contains(answer, wire.NoAccess.Code) && !strings.Contains(answer, wire.BadAccess.Code)
			described := slices.ContainsFunc(ways, func(way []string) bool { return slices.Equal(credentials(way), x.schemes) })
			if recognised != (described || open) {
				t.Errorf("%s with %v: recognised is %v, described are %v", r.Path, x.schemes, recognised, ways)
			}
			session := !slices.ContainsFunc(ways, func(way []string) bool { return !slices.Contains(way, "sid") })
			if asked := strings.Contains(answer, wire.HeaderMissing.Code); recognised && asked != session {
				t.Errorf("%s with %v: asking for a session is %v, described are %v", r.Path, x.schemes, asked, ways)
			}
		}
	}
}
