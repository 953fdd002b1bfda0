package apitest

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"neoapi/internal/must"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func load(t testing.TB) *Description {
	t.Helper()
	return must.Get(Load())(t)
}

// The schema is the OpenAPI Initiative's own, of 2022-10-07. It leaves the
// schemas of the document to JSON Schema's own, by which Load compiles them.
func TestDescription_isAnOpenAPI31Document(t *testing.T) {
	f := must.Get(os.Open("testdata/openapi-3.1.schema.json"))(t)
	defer f.Close()
	doc := must.Get(jsonschema.UnmarshalJSON(f))(t)
	c := jsonschema.NewCompiler()
	must.Do(t, c.AddResource("openapi-3.1.json", doc))
	if err := c.MustCompile("openapi-3.1.json").Validate(load(t).Document); err != nil {
		t.Error(err)
	}
}

// walk calls f for every object of the document.
func walk(pointer string, value any, f func(pointer string, object map[string]any)) {
	switch v := value.(type) {
	case map[string]any:
		f(pointer, v)
		for key, inner := range v {
			walk(pointer+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(key), inner, f)
		}
	case []any:
		for i, inner := range v {
			walk(fmt.Sprint(pointer, "/", i), inner, f)
		}
	}
}

func TestDescription_partsAreUsedAndThere(t *testing.T) {
	d := load(t)
	components := d.Document.(map[string]any)["components"].(map[string]any)
	unused := map[string]bool{}
	for kind, all := range components {
		for name := range all.(map[string]any) {
			unused["#/components/"+kind+"/"+name] = true
		}
	}
	delete(unused, "#/components/responses/Unreadable") // what answers before any operation is chosen
	walk("", d.Document, func(pointer string, object map[string]any) {
		if ref, ok := object["$ref"].(string); ok {
			if n := (node{d, pointer, object}).resolve(); n.value == nil {
				t.Errorf("%s: there is no %s", pointer, ref)
			}
			delete(unused, ref)
		}
		for _, needs := range list(object["security"]) {
			for scheme := range needs.(map[string]any) {
				if _, ok := components["securitySchemes"].(map[string]any)[scheme]; !ok {
					t.Errorf("%s: there is no security scheme %s", pointer, scheme)
				}
				delete(unused, "#/components/securitySchemes/"+scheme)
			}
		}
	})
	for _, ref := range slices.Sorted(maps.Keys(unused)) {
		t.Errorf("nothing uses %s", ref)
	}
}

func list(value any) []any {
	l, _ := value.([]any)
	return l
}

func TestDescription_examplesAreOfTheirSchema(t *testing.T) {
	d := load(t)
	n := 0
	walk("", d.Document, func(pointer string, object map[string]any) {
		_, described := object["schema"]
		if _, ok := object["example"]; !ok && object["examples"] == nil || !described {
			return
		}
		schema := (node{d, pointer, object}).schema(func(err error) {
			if err != nil {
				t.Error(err)
			}
		})
		examples := map[string]any{"example": map[string]any{"value": object["example"]}}
		if object["examples"] != nil {
			examples = object["examples"].(map[string]any)
		}
		for name, example := range examples {
			n++
			if err := schema.Validate(example.(map[string]any)["value"]); err != nil {
				t.Errorf("%s/%s: %v", pointer, name, err)
			}
		}
	})
	if n < 20 {
		t.Errorf("%d examples", n)
	}
}

// good is an exchange that is as described; change makes another of it.
func good(change func(*Exchange)) Exchange {
	x := Exchange{
		Method: "POST", Path: "/api/1.0/login/v2/validate", Asked: http.Header{"Content-Type": {"application/json; charset=utf-8"}},
		Sent: []byte(`{"userid":"nobody","mpin":"123456"}`), Status: 200,
		Header: http.Header{
			"Content-Type": {"application/json"}, "Content-Length": {"1"}, "Date": {"Thu, 01 Jan 1970 00:00:00 GMT"},
			"Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"}, "X-Request-Id": {"a"},
		},
		Body: []byte(`{"data":{"token":"a.b.c","sid":"b3ebb6af-7205-43e9-8513-189472393cab","rid":"b3ebb6af-7205-43e9-8513-189472393cab",` +
			`"hsServerId":"server1","caches":{},"ucc":"TESTYA24","greetingName":""}}`),
	}
	change(&x)
	return x
}

// refuse makes a refusal of an exchange.
func refuse(status int, code string) func(*Exchange) {
	return func(x *Exchange) {
		x.Status, x.Body = status, fmt.Appendf(nil, `{"error":[{"code":%q,"message":"m"}]}`, code)
		switch status {
		case 401:
			x.Header.Set("WWW-Authenticate", `Bearer realm="neo"`)
		case 429, 503:
			x.Header.Set("Retry-After", "1")
		case 405:
			x.Header.Set("Allow", "POST")
		}
	}
}

func replace(old, new string) func(*Exchange) {
	return func(x *Exchange) { x.Body = []byte(strings.Replace(string(x.Body), old, new, 1)) }
}

func TestCheck_takesWhatIsAsDescribed(t *testing.T) {
	for name, change := range map[string]func(*Exchange){
		"a session":             func(*Exchange) {},
		"a connection's end":    func(x *Exchange) { x.Header.Set("Connection", "close") },
		"a refusal":             refuse(401, "10020"),
		"a refusal to wait":     refuse(429, "70009"),
		"an unknown path":       func(x *Exchange) { x.Path = "/nowhere"; refuse(404, "10300")(x) },
		"another method":        func(x *Exchange) { x.Method = "PUT"; refuse(405, "10300")(x) },
		"no type of the body":   func(x *Exchange) { x.Asked.Del("Content-Type") },
		"a number of any size":  func(x *Exchange) { x.Sent = []byte(`{"userid":"nobody","mpin":"123456","n":1e999}`) },
		"a code from the inbox": inbox("123456"),
		"the inbox, by HEAD":    func(x *Exchange) { inbox("")(x); x.Method = "HEAD"; x.Body = nil },
	} {
		if err := good(change).Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func inbox(code string) func(*Exchange) {
	return func(x *Exchange) {
		x.Method, x.Path, x.Sent, x.Body = "GET", "/sandbox/otp/testya24", nil, []byte(code)
		x.Header.Set("Content-Type", "text/plain; charset=utf-8")
	}
}

func TestCheck_findsWhatIsNotAsDescribed(t *testing.T) {
	for name, change := range map[string]func(*Exchange){
		"a status":                      func(x *Exchange) { x.Status = 202 },
		"a code at another status":      refuse(401, "502"),
		"a code of another operation":   func(x *Exchange) { x.Method, x.Path, x.Sent = "GET", "/5config/config", nil; refuse(500, "10522")(x) },
		"a code that is not ours":       refuse(401, "1"),
		"a failure in a success":        func(x *Exchange) { refuse(200, "10020")(x) },
		"no message":                    func(x *Exchange) { refuse(401, "10020")(x); replace(`"m"`, `""`)(x) },
		"two problems":                  func(x *Exchange) { refuse(401, "10020")(x); replace(`[`, `[{"code":"10020","message":"m"},`)(x) },
		"a key too many":                replace(`"ucc"`, `"pan":"x","ucc"`),
		"a key too many outside":        replace(`{"data"`, `{"error":[],"data"`),
		"a key of later generations":    replace(`"ucc"`, `"kType":"View","ucc"`),
		"a key too few":                 replace(`"hsServerId":"server1",`, ``),
		"a value of another type":       replace(`"caches":{}`, `"caches":null`),
		"a number in the caches":        replace(`"caches":{}`, `"caches":{"watchlist":1}`),
		"a sid that is no UUID":         replace("b3ebb6af", "b3ebb6ag"),
		"null":                          func(x *Exchange) { x.Body = []byte("null") },
		"an empty body":                 func(x *Exchange) { x.Body = []byte{} },
		"half a body":                   func(x *Exchange) { x.Body = x.Body[:20] },
		"two documents":                 func(x *Exchange) { x.Body = append(x.Body, "{}"...) },
		"HTML":                          func(x *Exchange) { x.Body = []byte("<html>") },
		"another type":                  func(x *Exchange) { x.Header.Set("Content-Type", "text/html") },
		"no no-store":                   func(x *Exchange) { x.Header.Del("Cache-Control") },
		"no-store and more":             func(x *Exchange) { x.Header.Set("Cache-Control", "no-store, public") },
		"a header that is not there":    func(x *Exchange) { x.Header.Set("Server", "x") },
		"a header twice":                func(x *Exchange) { x.Header.Add("X-Request-Id", "b") },
		"a request id with a line end":  func(x *Exchange) { x.Header.Set("X-Request-Id", "a\n") },
		"a 401 without its challenge":   func(x *Exchange) { refuse(401, "10020")(x); x.Header.Del("WWW-Authenticate") },
		"a 429 without a wait":          func(x *Exchange) { refuse(429, "70009")(x); x.Header.Del("Retry-After") },
		"a wait of nothing":             func(x *Exchange) { refuse(429, "70009")(x); x.Header.Set("Retry-After", "0") },
		"a 405 without Allow":           func(x *Exchange) { x.Method = "PUT"; refuse(405, "10300")(x); x.Header.Del("Allow") },
		"another method that is taken":  func(x *Exchange) { x.Method = "PUT" },
		"an unknown path that is taken": func(x *Exchange) { x.Path = "/nowhere" },
		"an unknown path with 401":      func(x *Exchange) { x.Path = "/nowhere"; refuse(401, "10020")(x) },
		"a path beyond the inbox":       func(x *Exchange) { inbox("123456")(x); x.Path += "/x" },
		"the inbox of nobody":           func(x *Exchange) { inbox("123456")(x); x.Path = "/sandbox/otp/" },
		"a code with a line end":        inbox("123456\n"),
		"a body to HEAD":                func(x *Exchange) { inbox("123456")(x); x.Method = "HEAD" },
		"a login that took a number":    func(x *Exchange) { x.Sent = []byte(`{"userid":1,"mpin":"123456"}`) },
		"a login by two names":          func(x *Exchange) { x.Sent = []byte(`{"userid":"a","pan":"AVRFT7865T","mpin":"123456"}`) },
		"a login that took two names":   func(x *Exchange) { x.Sent = []byte(`{"userid":"a","userid":"b","mpin":"123456"}`) },
		"a login that took a list":      func(x *Exchange) { x.Sent = []byte(`{"userid":"a","mpin":"123456","x":[]}`) },
		"a login that took a form":      func(x *Exchange) { x.Asked.Set("Content-Type", "application/x-www-form-urlencoded") },
		"a login that took no JSON":     func(x *Exchange) { x.Sent = []byte(`userid=a`) },
		"a consumer's form without grant": func(x *Exchange) {
			x.Path, x.Sent = "/oauth2/token", []byte("client_id=a")
			x.Asked.Set("Content-Type", "application/x-www-form-urlencoded")
			x.Body = []byte(`{"access_token":"a","token_type":"Bearer","scope":"default","expires_in":3600}`)
		},
	} {
		x := good(change)
		if x.Check() == nil {
			t.Errorf("%s is not found: %s %s: %d %v %s", name, x.Method, x.Path, x.Status, x.Header, x.Body)
		}
	}
}

// A schema that OpenAPI 3.1 does not know would be ignored, not refused.
func TestDescription_hasNoKeywordThatNobodyKnows(t *testing.T) {
	known := map[string]bool{}
	for _, word := range strings.Fields(`$ref description type enum const format pattern minLength maxLength minimum maximum minItems maxItems
		items properties required additionalProperties unevaluatedProperties allOf anyOf oneOf dependentSchemas`) {
		known[word] = true
	}
	var check func(pointer string, schema any)
	check = func(pointer string, schema any) {
		m, ok := schema.(map[string]any)
		if !ok {
			return
		}
		for key, value := range m {
			if !known[key] {
				t.Errorf("%s: keyword %q", pointer, key)
			}
			switch key {
			case "properties", "dependentSchemas":
				for name, inner := range value.(map[string]any) {
					check(pointer+"/"+key+"/"+name, inner)
				}
			case "items", "additionalProperties", "unevaluatedProperties":
				check(pointer+"/"+key, value)
			case "allOf", "anyOf", "oneOf":
				for _, inner := range list(value) {
					check(pointer+"/"+key, inner)
				}
			}
		}
	}
	d := load(t)
	walk("", d.Document, func(pointer string, object map[string]any) {
		check(pointer+"/schema", object["schema"])
	})
	for name, schema := range d.Document.(map[string]any)["components"].(map[string]any)["schemas"].(map[string]any) {
		check(name, schema)
	}
}
