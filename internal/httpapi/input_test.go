package httpapi_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/operator"
	"neoapi/internal/serve"
	"neoapi/internal/tradewire"
	"neoapi/internal/wire"
	"neoapi/neoapitest"
)

// badInput is one body that must be refused with 400, and the field that the
// message must name. What malformed returns comes besides.
type badInput struct{ name, body, field string }

// named checks that a refusal's message begins with the field.
func (bad badInput) named(t *testing.T, message string) {
	t.Helper()
	if field, _, _ := strings.Cut(message, ":"); field != bad.field && !strings.HasPrefix(field, bad.field+", ") {
		t.Errorf("%s: the message does not name %s: %s", bad.name, bad.field, message)
	}
}

// with renders a good login with some text in the place of its identifier.
func with(pair string) string { return `{` + pair + `,"password":"sandbox-password"}` }

var badLogins = []badInput{
	{"no JSON", "hello", "body"},
	{"truncated JSON", `{"mobileNumber":"+919999999908","password":"sand`, "body"},
	{"a form", "mobileNumber=%2B919999999908&password=sandbox-password", "body"},

	{"a lone surrogate in the password", `{"mobileNumber":"+919999999908","password":"sandbox-password\ud800"}`, "password"},
	{"a lone surrogate in a name", `{"mobileNumber":"+919999999908","password":"sandbox-password","\udc00":"x"}`, "\ufffd"},
	{"8,000 lists deep", with(`"mobileNumber":` + strings.Repeat("[", 8000) + strings.Repeat("]", 8000)), "mobileNumber"},
	{"2,000 objects deep", with(`"x":` + strings.Repeat(`{"x":`, 2000) + "1" + strings.Repeat("}", 2000)), "x"},
	{"the client's own error object", `{"error":[{"code":"10300","message":"Validation Errors! PAN is not valid"}]}`, "error"},

	{"a number that is a number", with(`"mobileNumber":9999999908`), "mobileNumber"},
	{"a number that is null", with(`"mobileNumber":null`), "mobileNumber"},
	{"a number that is true", with(`"mobileNumber":true`), "mobileNumber"},
	{"a number that is an object", with(`"mobileNumber":{"$ne":""}`), "mobileNumber"},
	{"a number that is empty", with(`"mobileNumber":""`), "mobileNumber"},
	{"a PAN that is null", with(`"pan":null`), "pan"},
	{"a user id that is a number", with(`"userid":1`), "userid"},
	{"a userId that is false", with(`"userId":false`), "userId"},
	{"a password of 1,025 bytes", object("mobileNumber", "+919999999908", "password", strings.Repeat("p", 1025)), "password"},
	{"an MPIN that is a number", `{"mobileNumber":"+919999999908","mpin":246810}`, "mpin"},
	{"an MPIN of five digits", `{"mobileNumber":"+919999999908","mpin":"24681"}`, "mpin"},
	{"an MPIN of other digits", `{"mobileNumber":"+919999999908","mpin":"２４６８１０"}`, "mpin"},

	{"no identifier", `{"password":"sandbox-password"}`, "mobileNumber"},
	{"an unknown kind of identifier", with(`"email":"user@example.com"`), "mobileNumber"},
	{"a known kind, misspelt", with(`"MobileNumber":"+919999999908"`), "mobileNumber"},
	{"two secrets", `{"mobileNumber":"+919999999908","password":"sandbox-password","mpin":"246810"}`, "mpin"},
	{"number and PAN", with(`"mobileNumber":"+919999999908","pan":"AVRFT7865T"`), "pan"},
	{"PAN and user id", with(`"pan":"AVRFT7865T","userid":"asfdywgsiqwjnskm"`), "userid"},
	{"userid and userId", with(`"userid":"asfdywgsiqwjnskm","userId":"asfdywgsiqwjnskm"`), "userId"},
	{"number and an empty PAN", with(`"mobileNumber":"+919999999908","pan":""`), "pan"},

	{"a PAN too short", with(`"pan":"AVRFT7865"`), "pan"},
	{"a PAN too long", with(`"pan":"AVRFT7865TT"`), "pan"},
	{"a PAN of another form", with(`"pan":"AVRF77865T"`), "pan"},
	{"a PAN with a newline", with(`"pan":"AVRFT7865T\n"`), "pan"},
	{"a PAN with a letter that becomes S", with(`"pan":"teſta0001a"`), "pan"},
	{"a number too short", with(`"mobileNumber":"99999"`), "mobileNumber"},
	{"a number of nine digits", with(`"mobileNumber":"999999990"`), "mobileNumber"},
	{"a number with spaces", with(`"mobileNumber":"+91 9999999908"`), "mobileNumber"},
	{"a number with a newline", with(`"mobileNumber":"9999999908\n"`), "mobileNumber"},
	{"a number without plus", with(`"mobileNumber":"919999999908"`), "mobileNumber"},
	{"a number of other digits", with(`"mobileNumber":"９９９９９９９９０８"`), "mobileNumber"},
	{"an Indian number that begins with 5", with(`"mobileNumber":"+915999999908"`), "mobileNumber"},
	{"an Indian number of eleven digits", with(`"mobileNumber":"+9199999999081"`), "mobileNumber"},
	{"a country that there is not", with(`"mobileNumber":"+9999999999908"`), "mobileNumber"},
	{"a number with letters", with(`"mobileNumber":"99999x9908"`), "mobileNumber"},
	{"a user id with a quote", with(`"userid":"x' OR '1'='1"`), "userid"},
	{"a user id with a NUL", with(`"userid":"x\u0000"`), "userid"},
	{"a userId with a slash", with(`"userId":"../x"`), "userId"},
	{"a user id of 65 letters", with(`"userid":"` + strings.Repeat("a", 65) + `"`), "userid"},
}

var badSeconds = []badInput{
	{"two codes", `{"userId":"TESTYA24","otp":"123456","mpin":"123456"}`, "mpin"},
	{"a code of three digits", `{"otp":"123"}`, "otp"},
	{"a code of nine digits", `{"otp":"123456789"}`, "otp"},
	{"a code with a space", `{"otp":"123 456"}`, "otp"},
	{"a code with a space before it", `{"otp":" 123456"}`, "otp"},
	{"a code with a newline", `{"otp":"123456\n"}`, "otp"},
	{"a code with a sign", `{"otp":"+12345"}`, "otp"},
	{"a code with a point", `{"otp":"1234.5"}`, "otp"},
	{"a code in hexadecimal", `{"otp":"0x1234"}`, "otp"},
	{"full-width digits", `{"otp":"１２３４５６"}`, "otp"},
	{"Devanagari digits", `{"otp":"१२३४५६"}`, "otp"},
	{"one Arabic digit", `{"mpin":"12345٦"}`, "mpin"},
	{"a bad number beside the code", `{"mobileNumber":"1","mpin":"123456"}`, "mobileNumber"},
	{"a bad PAN beside the code", `{"pan":"1","mpin":"123456"}`, "pan"},
	{"a user id of another type", `{"userId":1,"otp":"123456"}`, "userId"},
	{"two identifiers", `{"userId":"TESTYA24","pan":"AVRFT7865T","otp":"123456"}`, "pan"},
	{"the client's own error object", `{"error":[{"code":"10300","message":"OTP is not valid"}]}`, "error"},
}

var badOTPRequests = []badInput{
	{"a user with spaces", `{"userId":"a b"}`, "userId"},
	{"sendEmail that is a text", `{"userId":"x","sendEmail":"true"}`, "sendEmail"},
	{"isWhitelisted that is a number", `{"userId":"x","isWhitelisted":1}`, "isWhitelisted"},
}

var badTOTPs = []badInput{
	{"no number", `{"ucc":"TESTYA24","totp":"123456"}`, "mobileNumber"},
	{"a bad number", `{"mobileNumber":"1","ucc":"TESTYA24","totp":"123456"}`, "mobileNumber"},
	{"no UCC", `{"mobileNumber":"+919999999908","totp":"123456"}`, "ucc"},
	{"a bad UCC", `{"mobileNumber":"+919999999908","ucc":"TEST-YA24","totp":"123456"}`, "ucc"},
	{"a UCC with a letter that becomes S", `{"mobileNumber":"+919999999908","ucc":"teſtya24","totp":"123456"}`, "ucc"},
	{"a code of five digits", `{"mobileNumber":"+919999999908","ucc":"TESTYA24","totp":"12345"}`, "totp"},
	{"a code of eight digits", `{"mobileNumber":"+919999999908","ucc":"TESTYA24","totp":"12345678"}`, "totp"},
	{"full-width digits", `{"mobileNumber":"+919999999908","ucc":"TESTYA24","totp":"１２３４５６"}`, "totp"},
}

var badMPINs = []badInput{
	{"no MPIN", `{"otp":"123456"}`, "mpin"},
	{"an MPIN of five digits", `{"mpin":"24681"}`, "mpin"},
	{"an MPIN of seven digits", `{"mpin":"2468100"}`, "mpin"},
	{"an MPIN with a space", `{"mpin":"24681 "}`, "mpin"},
}

// refusals sends each body and checks that the field is named and nothing is told.
func (c caller) refusals(t *testing.T, step, path string, all []badInput, pairs ...string) {
	t.Helper()
	for _, bad := range all {
		t.Run(step+" with "+bad.name, func(t *testing.T) {
			bad.named(t, c.post(t, path, bad.body, pairs...).refused(t, 400, "10300"))
		})
	}
}

func TestInput_refusalNamesTheFieldAndLeavesNothing(t *testing.T) {
	t.Parallel()
	ctx, c := t.Context(), newHouse(t, neoapitest.WithAccounts(1))
	store := c.data.Store
	nothingLeft := func(ask func()) {
		t.Helper()
		before := events(t, store, 0)
		ask()
		if after := events(t, store, before[len(before)-1].Seq); len(after) > 0 {
			t.Errorf("bad input left events: %+v", after)
		}
	}
	nothingLeft(func() {
		c.refusals(t, "login", validatePath, append(malformed("password", "sandbox-password", `,"mobileNumber":"+919999999908"`), badLogins...))
		c.refusals(t, "an OTP request", otpPath, append(malformed("userId", "TESTYA24", ""), badOTPRequests...))
		c.refusals(t, "TOTP login", totpPath, append(malformed("totp", "123456", `,"mobileNumber":"+919999999908","ucc":"TESTYA24"`), badTOTPs...))
	})
	if n, err := store.Sweep(ctx, time.Now().AddDate(1, 0, 0), 1000); n != 0 || err != nil {
		t.Errorf("bad input left %d sessions (%v)", n, err)
	}

	view := c.login(t)
	code := c.otp(t, view)
	nothingLeft(func() {
		c.refusals(t, "session_2fa", validatePath, append(malformed("otp", "123456", `,"userId":"TESTYA24"`), badSeconds...), view.pairs()...)
		c.refusals(t, "MPIN validate", mpinPath, append(malformed("mpin", "246810", ""), badMPINs...), view.pairs()...)
	})
	if x, err := store.Session(ctx, view.SID); err != nil || x.Tries != 0 || x.Kind != login.View || x.ClaimID != "" {
		t.Errorf("bad input changed the view session: %+v (%v)", x, err)
	}
	c.second(t, view, code).session(t)
}

// bodies are what POST addresses read: a good body's fields, the first of which
// every request must have, and the headers that go with it.
var bodies = map[wire.Op][]struct {
	fields []string
	pairs  []string
}{
	wire.OpAccessToken:  {{[]string{"grant_type", "client_credentials"}, nil}},
	wire.OpValidate:     {{[]string{"password", "sandbox-password", "mobileNumber", "+919999999908"}, nil}, {[]string{"otp", "123456", "userId", "TESTYA24"}, []string{"sid", "x", "Auth", "x"}}},
	wire.OpOTP:          {{[]string{"userId", "TESTYA24"}, nil}},
	wire.OpTOTPLogin:    {{[]string{"totp", "123456", "mobileNumber", "+919999999908", "ucc", "TESTYA24"}, nil}},
	wire.OpTOTPValidate: {{[]string{"mpin", "246810"}, []string{"sid", "x", "Auth", "x"}}},
	wire.OpLogout:       nil, // whatever the body is, it says nothing
	tradewire.OpLimits:  nil,
}

// malformed are the ways in which a body is no flat JSON object of the right
// types (security.md H4). name and value are those of a field that must be there, and
// more is what else is in the object.
func malformed(name, value, more string) []badInput {
	field := func(value string) string { return fmt.Sprintf("{%q:%s%s}", name, value, more) }
	text := strconv.Quote(value)
	good := field(text)
	return []badInput{
		{"a doubled key", fmt.Sprintf("{%q:%s,%s", name, text, good[1:]), name},
		{"a doubled key, spelled differently", fmt.Sprintf(`{"\u%04x%s":%s,%s`, name[0], name[1:], text, good[1:]), name},
		{"a doubled key that nobody reads", `{"x":"1","x":"1",` + good[1:], "x"},
		{"a second document", good + good, "body"},
		{"a second document on the next line", good + "\n{}", "body"},
		{"garbage after the document", good + "x", "body"},
		{"a NUL after the document", good + "\x00", "body"},
		{"a byte order mark", "\ufeff" + good, "body"},
		{"invalid UTF-8 in a value", strings.Replace(good, "{", "{\"x\":\"\xff\",", 1), "body"},
		{"invalid UTF-8 in a name", strings.Replace(good, "{", "{\"\xc0x\":\"\",", 1), "body"},
		{"half a surrogate", strings.Replace(good, "{", `{"x":"\ud800",`, 1), "x"},
		{"null for a text", field("null"), name},
		{"a number for a text", field("123456"), name},
		{"true for a text", field("true"), name},
		{"a list for a text", field("[" + text + "]"), name},
		{"an object for a text", field(`{"$ne":""}`), name},
		{"an empty text", field(`""`), name},
		{"nothing in the field's place", strings.Replace(good, name, "x", 1), name},
		{"8,000 lists deep", field(strings.Repeat("[", 8000) + strings.Repeat("]", 8000)), name},
		{"2,700 objects deep", field(strings.Repeat(`{"":`, 2700) + "1" + strings.Repeat("}", 2700)), name},
		{"lists that are never closed", strings.Repeat("[", 16_000), "body"},
		{"objects that are never closed", strings.Repeat(`{"a":`, 3000), "body"},
		{"a document that is not closed", strings.TrimSuffix(good, "}"), "body"},
		{"a comma at the end", strings.TrimSuffix(good, "}") + ",}", "body"},
		{"single quotes", strings.ReplaceAll(good, `"`, "'"), "body"},
		{"a comment", strings.TrimSuffix(good, "}") + "/**/}", "body"},
		{"nothing", "", "body"},
		{"spaces", "   ", "body"},
		{"null", "null", "body"},
		{"a list", "[" + good + "]", "body"},
		{"a text", strconv.Quote(good), "body"},
		{"a number", "1", "body"},
		{"UTF-16", "{\x00}\x00", "body"},
	}
}

func TestInput_mustBeAFlatObjectAtEveryPOSTAddress(t *testing.T) { // security.md H3 and H4
	t.Parallel()
	plain, _ := serving(t, nil)
	secure, _ := serving(t, func(cfg *serve.Config) { withTLS(t, cfg) })
	for version, srv := range map[string]*neoapitest.Server{"HTTP 1.1": plain, "HTTP 2": secure} {
		c := consumer(t, srv)
		for _, route := range wire.Routes {
			if route.Method != http.MethodPost {
				continue
			}
			good, known := bodies[route.Op]
			if !known {
				t.Errorf("no good body is known for %s", route.Op)
			}
			t.Run(version+" "+route.Path, func(t *testing.T) {
				t.Parallel()
				refused := func(bad badInput, status int, pairs ...string) {
					t.Helper()
					r := c.post(t, route.Path, bad.body, pairs...)
					if want := map[string]string{"HTTP 1.1": "HTTP/1.1", "HTTP 2": "HTTP/2.0"}[version]; r.proto != want {
						t.Fatalf("sent with %s", r.proto)
					}
					switch {
					case r.status != status:
						t.Errorf("%s: %d, want %d: %s", bad.name, r.status, status, r.body)
					case route.Op == wire.OpAccessToken:
						r.refusedOAuth(t, status, "invalid_request")
					default:
						if message := r.refused(t, status, "10300"); bad.field != "" {
							bad.named(t, message)
						}
					}
				}
				refused(badInput{"more than 16 KiB", strings.Repeat(" ", wire.MaxBody+1), ""}, 413)
				refused(badInput{"a megabyte", strings.Repeat(" ", 1<<20), ""}, 413)
				for _, b := range good {
					more := ""
					for i := 2; i < len(b.fields); i += 2 {
						more += fmt.Sprintf(",%q:%q", b.fields[i], b.fields[i+1])
					}
					for _, bad := range malformed(b.fields[0], b.fields[1], more) {
						refused(bad, 400, b.pairs...)
					}
					for _, contentType := range []string{"text/plain", "application/xml", "multipart/form-data; boundary=x", "application/json; charset=utf-16", "application/json; charset", "application/json, text/html", ";"} {
						refused(badInput{contentType, object(b.fields...), ""}, 415, append([]string{"Content-Type", contentType}, b.pairs...)...)
					}
				}
			})
		}
	}
}

func TestHTTP_whatItForbidsIsAnsweredInTheProtocolsJSON(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t))
	good := object("mobileNumber", c.Account.Mobile, "password", c.Account.Password)
	full := good + strings.Repeat(" ", 16<<10-len(good))
	for name, x := range map[string]struct {
		method, path, body string
		pairs              []string
		status             int
	}{
		"a form":                           {"POST", validatePath, good, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
		"no such path":                     {"POST", "/nowhere", good, nil, 404},
		"a POST to the sandbox's page":     {"POST", "/", "", nil, 405},
		"a path with a slash at its end":   {"POST", validatePath + "/", good, nil, 404},
		"a path in other case":             {"POST", strings.ToUpper(validatePath), good, nil, 404},
		"a prefix of a path":               {"POST", "/api/1.0/login", good, nil, 404},
		"two slashes at the start":         {"POST", "/" + validatePath, good, nil, 404},
		"two slashes within":               {"POST", "/api//1.0/login/v2/validate", good, nil, 404},
		"a way around":                     {"POST", "/x/.." + validatePath, good, nil, 404},
		"an encoded way around":            {"POST", "/x/%2e%2e" + validatePath, good, nil, 404},
		"the inbox of nobody":              {"GET", "/sandbox/otp/", "", nil, 404},
		"a path below the inbox":           {"GET", "/sandbox/otp/TESTYA24/x", "", nil, 404},
		"the inbox of a UCC of bad form":   {"GET", "/sandbox/otp/TEST-YA24", "", nil, 400},
		"the authenticator of nobody":      {"GET", "/sandbox/totp/", "", nil, 404},
		"a path below an authenticator":    {"GET", "/sandbox/totp/TESTYA24/x", "", nil, 404},
		"an authenticator of bad form":     {"GET", "/sandbox/totp/TEST-YA24", "", nil, 400},
		"a POST to an authenticator":       {"POST", "/sandbox/totp/TESTYA24", "", nil, 405},
		"a method that nobody knows":       {"BREW", validatePath, good, nil, 405},
		"a GET where a POST belongs":       {"GET", validatePath, "", nil, 405},
		"a POST to the inbox":              {"POST", "/sandbox/otp/TESTYA24", "", nil, 405},
		"a preflight request of a browser": {"OPTIONS", validatePath, "", []string{"Origin", "https://example.com", "Access-Control-Request-Method", "POST"}, 405},
	} {
		t.Run(name, func(t *testing.T) {
			c.send(t, x.method, x.path, x.body, x.pairs...).refused(t, x.status, "10300")
		})
	}
	t.Run("exactly 16 KiB is taken", func(t *testing.T) {
		c.post(t, validatePath, full).session(t)
	})
	t.Run("application/json with its charset is taken", func(t *testing.T) {
		c.post(t, validatePath, good, "Content-Type", `Application/JSON; charset="UTF-8"`).session(t)
	})
}

func TestRoutes_takeTheirMethodOnly(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	for _, route := range allRoutes {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			if method == route.Method {
				continue
			}
			r := caller{srv, ""}.send(t, method, route.Path, "")
			if method == http.MethodHead {
				if len(r.body) > 0 {
					t.Errorf("HEAD %s has a body: %s", route.Path, r.body)
				}
				if route.Method == http.MethodGet {
					if get := (caller{srv, ""}).send(t, "GET", route.Path, ""); get.status != r.status || get.header.Get("Content-Length") != r.header.Get("Content-Length") {
						t.Errorf("HEAD %s is not what GET is: %d and %d", route.Path, r.status, get.status)
					}
					continue
				}
			}
			allow := map[string]string{"GET": "GET, HEAD", "POST": "POST"}[route.Method]
			if r.status != 405 || r.header.Get("Allow") != allow {
				t.Errorf("%s %s: %d, Allow %q; want 405 and %s", method, route.Path, r.status, r.header.Get("Allow"), allow)
			}
		}
	}
}

func TestLogin_refusalDoesNotTellWhy(t *testing.T) {
	t.Parallel()
	c := newHouse(t)
	_, err := c.admin.AddAccount(t.Context(), operator.NewAccount{
		UCC: "BARE0001", UserID: "bareuser", Mobile: "+919800000001", Password: "sandbox-password", // no MPIN, TOTP or PAN
	})
	if err != nil {
		t.Fatal(err)
	}
	a := c.Account
	attempts := []struct{ name, path, body string }{
		{"a wrong password", validatePath, object("mobileNumber", a.Mobile, "password", "wrong-password")},
		{"an unknown number", validatePath, object("mobileNumber", "+919800000009", "password", a.Password)},
		{"an unknown PAN", validatePath, object("pan", "ZZZZZ9999Z", "password", a.Password)},
		{"an unknown user id", validatePath, object("userid", "nobody", "password", a.Password)},
		{"a foreign number", validatePath, object("mobileNumber", "+14155552671", "password", a.Password)},
		{"a wrong MPIN", validatePath, object("mobileNumber", a.Mobile, "mpin", wrong(a.MPIN))},
		{"the MPIN of an account without one", validatePath, object("mobileNumber", "+919800000001", "mpin", a.MPIN)},
		{"the MPIN of nobody", validatePath, object("userid", "nobody", "mpin", a.MPIN)},
		{"a password that is the MPIN", validatePath, object("mobileNumber", a.Mobile, "password", a.MPIN)},
		{"a password of 1,024 bytes", validatePath, object("mobileNumber", a.Mobile, "password", strings.Repeat("p", 1024))},
		{"a wrong TOTP", totpPath, object("mobileNumber", a.Mobile, "ucc", a.UCC, "totp", wrong(c.TOTP(t)))},
		{"the TOTP of an account without one", totpPath, object("mobileNumber", "+919800000001", "ucc", "BARE0001", "totp", c.TOTP(t))},
		{"the TOTP of nobody", totpPath, object("mobileNumber", "+919800000009", "ucc", "NOBODY", "totp", c.TOTP(t))},
		{"the TOTP of another UCC", totpPath, object("mobileNumber", a.Mobile, "ucc", "BARE0001", "totp", c.TOTP(t))},
	}
	whole := func(r reply) string {
		r.header.Del("Date")
		return fmt.Sprint(r.status, r.header, string(bytes.TrimSpace(r.body)))
	}
	var first string
	for _, x := range attempts {
		t.Run(x.name, func(t *testing.T) {
			r := c.post(t, x.path, x.body, "X-Request-ID", "r")
			r.refused(t, 401, "10020")
			if first == "" {
				first = whole(r)
			}
			if got := whole(r); got != first {
				t.Errorf("another answer than to %s:\n%s\n%s", attempts[0].name, first, got)
			}
		})
	}
	t.Run("the account without MPIN is there all the same", func(t *testing.T) {
		c.post(t, validatePath, object("userid", "bareuser", "password", a.Password)).session(t)
	})
}
