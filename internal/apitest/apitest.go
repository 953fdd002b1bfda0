// Package apitest checks a service's answers against the OpenAPI description,
// api/openapi.yaml. It is for tests only: nothing that is built into the client or
// the binary imports it.
//
// Start with [Transport], or with [Exchange] where there is no http.Client.
package apitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"neoapi/api"
)

// A Description is the OpenAPI document with its schemas compiled: those of
// OpenAPI 3.1 are JSON Schemas, draft 2020-12.
type Description struct {
	Document   any                              // as it is there
	Operations map[string]map[string]*Operation // by path and method
	NotFound   *Answer                          // the answer to unknown paths
	Forwarded  *Operation                       // further operations that go to the trade API, if there is one
	Unreadable *Answer                          // the answer to a request that is not HTTP

	schemas *jsonschema.Compiler
}

// An Operation describes the requests and answers of one method of one path.
type Operation struct {
	Security [][]string                    // each a set of schemes that together are enough
	Bodies   map[string]*jsonschema.Schema // by media type; empty if it takes no body
	Answers  map[int]*Answer               // by status; 0 is the trade API's, of any status
}

// FromTradeAPI is a header with which a test's trade API marks its answers, so that
// they are not checked as the service's own.
const FromTradeAPI = "X-From-Trade-Api"

// An Answer is one answer as described.
type Answer struct {
	Headers map[string]*jsonschema.Schema // by canonical name; an answer has exactly these
	Bodies  map[string]*jsonschema.Schema // by Content-Type
}

// Load reads the description, once for a process.
var Load = sync.OnceValues(func() (*Description, error) { return describe(api.Description) })

// LoadAdmin is Load for the operator's API, api/admin.yaml.
var LoadAdmin = sync.OnceValues(func() (*Description, error) { return describe(api.Admin) })

func describe(text []byte) (*Description, error) {
	d := &Description{Operations: map[string]map[string]*Operation{}, schemas: jsonschema.NewCompiler()}
	d.schemas.DefaultDraft(jsonschema.Draft2020)
	d.schemas.AssertFormat()
	if err := yaml.Unmarshal(text, &d.Document); err != nil {
		return nil, err
	}
	if err := d.schemas.AddResource(document, d.Document); err != nil {
		return nil, err
	}
	root := node{d, "", d.Document}
	var errs []error
	fail := func(err error) { errs = append(errs, err) }
	for path, item := range root.at("paths").each(fail) {
		d.Operations[path] = map[string]*Operation{}
		for method, op := range item.each(fail) {
			if method == "parameters" {
				continue
			}
			d.Operations[path][strings.ToUpper(method)] = op.operation(fail)
		}
	}
	d.Forwarded = root.at("x-forwarded").at("get").operation(fail)
	d.NotFound = root.at("components").at("responses").at("NotFound").answer(fail)
	d.Unreadable = root.at("components").at("responses").at("Unreadable").answer(fail)
	return d, errors.Join(errs...)
}

// document names the description within the compiler.
const document = "openapi.yaml"

// A node is a place in the document: its JSON pointer and its value.
type node struct {
	d       *Description
	pointer string
	value   any
}

// at returns the value of a key, resolving a reference.
func (n node) at(key string) node {
	m, _ := n.value.(map[string]any)
	n.pointer += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
	n.value = m[key]
	return n.resolve()
}

func (n node) resolve() node {
	m, _ := n.value.(map[string]any)
	ref, ok := m["$ref"].(string)
	if !ok {
		return n
	}
	to := node{n.d, "", n.d.Document}
	for _, key := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		to = to.at(key)
	}
	return to
}

// each iterates over the keys of an object and what is there.
func (n node) each(fail func(error)) func(func(string, node) bool) {
	m, ok := n.value.(map[string]any)
	if !ok && n.value != nil {
		fail(fmt.Errorf("%s%s is no object", document, n.pointer))
	}
	return func(yield func(string, node) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, n.at(key)) {
				return
			}
		}
	}
}

// schema compiles the schema at a key; there may be none.
func (n node) schema(fail func(error)) *jsonschema.Schema {
	m, _ := n.value.(map[string]any)
	if _, ok := m["schema"]; !ok {
		return nil
	}
	s, err := n.d.schemas.Compile(document + "#" + n.pointer + "/schema")
	fail(err)
	return s
}

// bodies compiles the schemas of a body, by media type.
func (n node) bodies(fail func(error)) map[string]*jsonschema.Schema {
	all := map[string]*jsonschema.Schema{}
	for kind, media := range n.at("content").each(fail) {
		all[kind] = media.schema(fail)
	}
	return all
}

func (n node) operation(fail func(error)) *Operation {
	o := &Operation{Bodies: n.at("requestBody").bodies(fail), Answers: map[int]*Answer{}}
	ways, _ := n.at("security").value.([]any)
	for _, way := range ways {
		o.Security = append(o.Security, slices.Sorted(maps.Keys(way.(map[string]any))))
	}
	for status, r := range n.at("responses").each(fail) {
		n, err := strconv.Atoi(status)
		if status != "default" {
			fail(err)
		}
		o.Answers[n] = r.answer(fail)
	}
	return o
}

func (n node) answer(fail func(error)) *Answer {
	if n.value == nil {
		fail(fmt.Errorf("%s%s is missing", document, n.pointer))
	}
	a := &Answer{Headers: map[string]*jsonschema.Schema{}, Bodies: n.bodies(fail)}
	for name, h := range n.at("headers").each(fail) {
		a.Headers[http.CanonicalHeaderKey(name)] = h.schema(fail)
		if m, _ := h.value.(map[string]any); m["required"] != true {
			fail(fmt.Errorf("%s%s: a header that may be absent: package apitest knows of none", document, h.pointer))
		}
	}
	return a
}

// find returns the operations of a path.
func (d *Description) find(path string) (map[string]*Operation, bool) {
	if ops, ok := d.Operations[path]; ok && !strings.Contains(path, "{") {
		return ops, true
	}
	segments := strings.Split(path, "/")
	for template, ops := range d.Operations {
		same := func(want, got string) bool { return want == got || strings.HasPrefix(want, "{") && got != "" }
		if strings.Contains(template, "{") && slices.EqualFunc(strings.Split(template, "/"), segments, same) {
			return ops, true
		}
		if before, whole := strings.CutSuffix(template, "{address}"); whole && strings.HasPrefix(path, before) {
			return ops, true // with its slashes
		}
	}
	return nil, false
}

// An Exchange is a request and its answer.
type Exchange struct {
	Method string
	Path   string // decoded, as in [url.URL.Path]
	Asked  http.Header
	Sent   []byte
	Status int
	Header http.Header
	Body   []byte
}

// Check returns how an answer deviates from the description. A success must also
// answer a request that the description allows.
func (x Exchange) Check() error { return x.against(Load()) }

// CheckAdmin is Check for the operator's API.
func (x Exchange) CheckAdmin() error { return x.against(LoadAdmin()) }

func (x Exchange) against(d *Description, err error) error {
	if err != nil {
		return err
	}
	ops, known := d.find(x.Path)
	op := ops[x.Method]
	var answer *Answer
	if len(x.Header[FromTradeAPI]) > 0 {
		return x.forwarded(d, ops)
	}
	switch {
	case !known && bytes.HasPrefix(x.Body, []byte(`{"stat":`)):
		answer = d.Forwarded.Answers[x.Status]
	case len(x.Header["X-Request-Id"]) == 0 && slices.Contains(unreadable, x.Status):
		answer = d.Unreadable
	case op != nil:
		answer = op.Answers[x.Status]
	case known && slices.Contains(anywhere, x.Status):
		for _, other := range ops { // each reports what the path's other methods get
			answer = other.Answers[x.Status]
		}
	case slices.Contains(anywhere, x.Status):
		answer = d.NotFound
	}
	body := x.Body
	switch {
	case answer == nil:
		err = errors.New("this status is not described")
	case x.Method == http.MethodHead && len(body) > 0:
		err = errors.New("an answer to HEAD has a body")
	case x.Method == http.MethodHead:
		err = answer.Check(x.Header, nil)
	default:
		err = answer.Check(x.Header, body)
	}
	if op != nil && x.Status/100 == 2 {
		err = errors.Join(err, op.takes(x.Asked, x.Sent))
	}
	if err != nil {
		return fmt.Errorf("%s %.200s: %d: %w\n%.300q", x.Method, x.Path, x.Status, err, body)
	}
	return nil
}

// forwarded is Check for an answer of the trade API, of which only what the service
// adds is known.
func (x Exchange) forwarded(d *Description, ops map[string]*Operation) error {
	op := d.Forwarded
	for _, described := range ops { // each reports whether its path goes there, with any method
		op = described
	}
	if op.Answers[0] == nil {
		return fmt.Errorf("%s %.200s: went to the trade API, which is not described", x.Method, x.Path)
	}
	for name := range op.Answers[0].Headers {
		if len(x.Header[name]) != 1 {
			return fmt.Errorf("%s %.200s: header %s of the trade API's answer is there %d times", x.Method, x.Path, name, len(x.Header[name]))
		}
	}
	return nil
}

// anywhere are the statuses of requests without an operation: malformed ones, those
// for an unknown path or method, and those with too large a body or head. Their
// answers have one form.
var anywhere = []int{400, 404, 405, 413, 431}

// unreadable are the statuses of requests that are not HTTP.
var unreadable = []int{400, 417, 431, 501, 505}

// unnamed are the headers defined by HTTP itself, which OpenAPI describes differently
// or not at all.
var unnamed = map[string]bool{"Content-Type": true, "Content-Length": true, "Date": true, "Connection": true}

// Check returns what is wrong with an answer. A nil body is not checked.
func (a *Answer) Check(header http.Header, body []byte) error {
	var errs []error
	for name, values := range header {
		schema, known := a.Headers[name]
		switch {
		case len(values) > 1:
			errs = append(errs, fmt.Errorf("header %s is there %d times", name, len(values)))
		case unnamed[name]:
		case !known:
			errs = append(errs, fmt.Errorf("header %s is not described", name))
		default:
			if err := schema.Validate(values[0]); err != nil {
				errs = append(errs, fmt.Errorf("header %s: %w", name, err))
			}
		}
	}
	for name := range a.Headers {
		if len(header[name]) == 0 {
			errs = append(errs, fmt.Errorf("header %s is missing", name))
		}
	}
	if err := a.check(header.Get("Content-Type"), body); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (a *Answer) check(kind string, body []byte) error {
	schema, known := a.Bodies[kind]
	switch {
	case !known:
		return fmt.Errorf("type %q is not described", kind)
	case body == nil:
		return nil
	case kind != "application/json":
		return schema.Validate(string(body))
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// Takes reports whether an answer may have this JSON body.
func (a *Answer) Takes(body string) bool { return a.check("application/json", []byte(body)) == nil }

// takes returns why the description forbids a request's body, or nil.
func (o *Operation) takes(header http.Header, sent []byte) error {
	if _, anything := o.Bodies["*/*"]; anything || len(o.Bodies) == 0 {
		return nil
	}
	kind, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	if kind == "" {
		kind = "application/json" // a request without a type counts as JSON
	}
	var value any
	var err error
	if kind == "application/x-www-form-urlencoded" {
		var form url.Values
		form, err = url.ParseQuery(string(sent))
		fields := map[string]any{}
		for name := range form {
			fields[name] = form.Get(name)
		}
		value = fields
	} else {
		value, err = jsonschema.UnmarshalJSON(bytes.NewReader(sent))
		if m, _ := value.(map[string]any); err == nil && names(sent) != len(m) {
			err = errors.New("a field is duplicated")
		}
	}
	if schema, known := o.Bodies[kind]; !known {
		err = fmt.Errorf("type %q", kind)
	} else if err == nil {
		err = schema.Validate(value)
	}
	if err != nil {
		return fmt.Errorf("a body was taken that is not described: %w", err)
	}
	return nil
}

// names counts the names of an object without nested objects.
func names(object []byte) (n int) {
	d := json.NewDecoder(bytes.NewReader(object))
	d.UseNumber()
	for {
		t, err := d.Token()
		if err != nil {
			return n / 2
		}
		if _, delim := t.(json.Delim); !delim {
			n++
		}
	}
}

// Transport returns a transport that checks every exchange and reports deviations
// from the description as test errors.
func Transport(t testing.TB, base http.RoundTripper) http.RoundTripper { return transport{t, base} }

type transport struct {
	t    testing.TB
	base http.RoundTripper
}

func (tr transport) RoundTrip(r *http.Request) (*http.Response, error) {
	tr.t.Helper()
	var sent []byte
	if r.Body != nil {
		var err error
		if sent, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		_ = r.Body.Close()
		r = r.WithContext(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	resp, err := tr.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if err := (Exchange{r.Method, r.URL.Path, r.Header, sent, resp.StatusCode, resp.Header, body}).Check(); err != nil {
		tr.t.Errorf("not as api/openapi.yaml says: %v", err)
	}
	return resp, nil
}
