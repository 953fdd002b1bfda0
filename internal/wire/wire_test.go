package wire

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// addresses is the table of docs/protocol.md, written down by hand: for each
// operation and kind of client its addresses, the first being the one that the
// client uses by itself.
var addresses = []struct {
	op     Op
	method string
	family Family
	paths  string
}{
	{OpAccessToken, "POST", Gen1UAT, "/oauth2/token"},
	{OpAccessToken, "POST", Gen1PROD, "/oauth2/token"},
	{OpAccessToken, "POST", Gen2, "/oauth2/token"},
	{OpAccessToken, "POST", Gen3, ""},

	{OpValidate, "POST", Gen1UAT, "/api/1.0/login/v2/validate"},
	{OpValidate, "POST", Gen1PROD, "/login/1.0/login/v2/validate"},
	{OpValidate, "POST", Gen2, "/apim/login/2.0/login/v2/validate"},
	{OpValidate, "POST", Gen3, ""},

	{OpOTP, "POST", Gen1UAT, "/api/1.0/login/otp/generate"},
	{OpOTP, "POST", Gen1PROD, "/login/1.0/login/otp/generate"},
	{OpOTP, "POST", Gen2, "/apim/login/2.0/login/otp/generate"},
	{OpOTP, "POST", Gen3, ""},

	{OpTOTPLogin, "POST", Gen1UAT, ""},
	{OpTOTPLogin, "POST", Gen1PROD, ""},
	{OpTOTPLogin, "POST", Gen2, "/apim/login/2.0/login/v6/totp/login /login/1.0/login/v6/totp/login /api/1.0/login/v6/totp/login"},
	{OpTOTPLogin, "POST", Gen3, "/login/1.0/tradeApiLogin"},

	{OpTOTPValidate, "POST", Gen1UAT, ""},
	{OpTOTPValidate, "POST", Gen1PROD, ""},
	{OpTOTPValidate, "POST", Gen2, "/apim/login/2.0/login/v6/totp/validate /login/1.0/login/v6/totp/validate /api/1.0/login/v6/totp/validate"},
	{OpTOTPValidate, "POST", Gen3, "/login/1.0/tradeApiValidate"},

	{OpLogout, "POST", Gen1UAT, "/api/1.0/logout"},
	{OpLogout, "POST", Gen1PROD, "/login/1.0/logout"},
	{OpLogout, "POST", Gen2, "/apim/login/2.0/logout /api/1.0/logout"},
	{OpLogout, "POST", Gen3, ""},

	// From the text, not the table.
	{OpClientIP, "GET", Gen3, "/login/1.0/get-client-ip"},
	{OpConfig, "GET", Gen3, "/5config/config"},
	{OpBaseURL, "GET", Gen2, "/algo-user/v5/get-base-url"},
}

func TestRoutes_areTheProtocolsTableAndNothingElse(t *testing.T) {
	type address struct{ Method, Path string }
	type meaning struct {
		Op       Op
		Families Family
	}
	want := map[address]meaning{}
	for _, a := range addresses {
		for path := range strings.FieldsSeq(a.paths) {
			at := address{a.method, path}
			if m, ok := want[at]; ok && m.Op != a.op {
				t.Fatalf("the test's own table gives %v two operations", at)
			}
			want[at] = meaning{a.op, want[at].Families | a.family}
		}
	}
	got := map[address]meaning{}
	for _, r := range Routes {
		at := address{r.Method, r.Path}
		if _, ok := got[at]; ok {
			t.Errorf("%s %s is duplicated in Routes", r.Method, r.Path)
		}
		got[at] = meaning{r.Op, r.Families}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-protocol +Routes:\n%s", diff)
	}
}

func TestPath_isTheFirstAddressOfAFamilysCell(t *testing.T) {
	for _, a := range addresses {
		first, _, _ := strings.Cut(a.paths, " ")
		if got := Path(a.op, a.family); got != first {
			t.Errorf("%s of family %b: %q; the protocol's table begins with %q", a.op, a.family, got, first)
		}
	}
	if got := Path("no such operation", Gen1UAT|Gen1PROD|Gen2|Gen3); got != "" {
		t.Errorf("an unknown operation has the address %s", got)
	}
}

func TestRoutes_haveCleanPaths(t *testing.T) {
	for _, r := range Routes {
		if !strings.HasPrefix(r.Path, "/") || strings.HasSuffix(r.Path, "/") || strings.ContainsAny(r.Path, " {}?*") || strings.Contains(r.Path, "//") {
			t.Errorf("%s: a mux would not match it literally", r.Path)
		}
	}
}

// met is the protocol's table of codes, with the status that its words mean.
var met = map[string]int{
	"10300":  http.StatusBadRequest,
	"10512":  http.StatusUnauthorized,
	"10020":  http.StatusUnauthorized,
	"10522":  http.StatusInternalServerError,
	"900901": http.StatusUnauthorized,
	"900902": http.StatusUnauthorized,
	"900802": http.StatusTooManyRequests,
	"900807": http.StatusTooManyRequests,
	"70009":  http.StatusTooManyRequests,
	"100008": http.StatusUnauthorized,
	"1037":   http.StatusUnauthorized,
	"100021": http.StatusUnauthorized,
	"100022": http.StatusUnauthorized,
	"5203":   http.StatusOK,
	// The service's own faults: existing services have no code for them.
	"500": http.StatusInternalServerError,
	"502": http.StatusBadGateway,
	"503": http.StatusServiceUnavailable,
	"504": http.StatusGatewayTimeout,
}

func TestFailures_haveEveryCodeOfTheProtocolOnceWithItsStatus(t *testing.T) {
	got := map[string]int{}
	for _, f := range Failures {
		if _, ok := got[f.Code]; ok {
			t.Errorf("code %s is duplicated in Failures", f.Code)
		}
		got[f.Code] = f.Status
		if f.Category == "" || f.Category == CategoryUnknown || f.Meaning == "" {
			t.Errorf("code %s has category %q and meaning %q", f.Code, f.Category, f.Meaning)
		}
	}
	if diff := cmp.Diff(met, got); diff != "" {
		t.Errorf("-protocol +Failures:\n%s", diff)
	}
}

func TestFailures_haveTheStatusesOfTheSeed(t *testing.T) {
	seed := map[int]bool{200: true, 400: true, 401: true, 429: true, 500: true, 502: true, 503: true, 504: true}
	used := map[int]bool{}
	for _, f := range Failures {
		if !seed[f.Status] {
			t.Errorf("code %s has status %d, which the seed does not know", f.Code, f.Status)
		}
		used[f.Status] = true
	}
	if diff := cmp.Diff(seed, used); diff != "" {
		t.Errorf("statuses of the seed that no code has:\n%s", diff)
	}
}

func TestLookup_findsEveryRowByItsCodeAndNothingElse(t *testing.T) {
	for _, want := range Failures {
		if got, ok := Lookup(want.Code); !ok || got != want {
			t.Errorf("%s: got %+v, %t", want.Code, got, ok)
		}
	}
	for _, code := range []string{"", "10300 ", "010300", "1030", "404", "unknown"} {
		if got, ok := Lookup(code); ok || got != (Failure{}) {
			t.Errorf("%q: got %+v, %t", code, got, ok)
		}
	}
}

func TestSession_isWrittenAsInTheSeed(t *testing.T) {
	seed, err := os.ReadFile("testdata/seed_answer.json")
	if err != nil {
		t.Fatal(err)
	}
	var answer Success[Session]
	d := json.NewDecoder(bytes.NewReader(seed))
	d.DisallowUnknownFields()
	if err := d.Decode(&answer); err != nil {
		t.Fatal(err)
	}
	written, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := json.Compact(&want, seed); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.String(), string(written)); diff != "" {
		t.Errorf("-seed +written:\n%s", diff)
	}
}

func TestSession_withNothingToSayHasTheSeedsKeys(t *testing.T) {
	written, err := json.Marshal(Success[Session]{})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"data":{"token":"","sid":"","rid":"","hsServerId":"","caches":null,"ucc":"","greetingName":""}}`
	if string(written) != want {
		t.Errorf("got  %s\nwant %s", written, want)
	}
}

func TestShapes_haveTheProtocolsKeys(t *testing.T) {
	for name, c := range map[string]struct {
		shape any
		want  string
	}{
		"a failure":       {Failed{[]Problem{{"10300", "m"}}}, `{"error":[{"code":"10300","message":"m"}]}`},
		"an access token": {AccessToken{"t", "Bearer", "default", 3600}, `{"access_token":"t","token_type":"Bearer","scope":"default","expires_in":3600}`},
		"no access token": {OAuthFailed{Error: "invalid_client"}, `{"error":"invalid_client"}`},
		"a base URL":      {Success[BaseURL]{BaseURL{"u"}}, `{"data":{"baseURL":"u"}}`},
		"a client IP":     {ClientIP{[]ObservedIP{{"1.2.3.4", "t"}}, 1000, "success"}, `{"data":[{"ip":"1.2.3.4","time":"t"}],"stCode":1000,"status":"success"}`},
		"a refused call":  {NewNotOk(1005, "m"), `{"stat":"Not_Ok","stCode":1005,"errMsg":"m","emsg":"m"}`},
		"later keys": {Session{KType: "View", Status: "success", DataCenter: "d", BaseURL: "u"},
			`{"token":"","sid":"","rid":"","hsServerId":"","caches":null,"ucc":"","greetingName":"","kType":"View","status":"success","dataCenter":"d","baseUrl":"u"}`},
	} {
		if got, err := json.Marshal(c.shape); err != nil || string(got) != c.want {
			t.Errorf("%s:\ngot  %s, %v\nwant %s", name, got, err, c.want)
		}
	}
}
