package courier

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"strings"
	"text/template"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/outward"
)

// maxAnswer is how much of an answer is read.
const maxAnswer = 64 << 10

// A webhookEntry is a courier that is called over HTTP, as the file describes it.
type webhookEntry struct {
	URL      string            `yaml:"url"`
	Method   string            `yaml:"method"`
	To       string            `yaml:"to"`
	Headers  map[string]string `yaml:"headers"`
	Body     string            `yaml:"body"`
	Secrets  map[string]string `yaml:"secrets"`
	CA       string            `yaml:"ca"`
	Accepted string            `yaml:"accepted"`
}

// A webhook calls an SMS gateway, or anything else that accepts messages over HTTP.
type webhook struct {
	url, method string
	mobile      bool // it needs the number; otherwise the e-mail address
	headers     map[string]*template.Template
	body        *template.Template
	accepted    *regexp.Regexp // what the body of a successful answer matches; nil for anything
	client      *http.Client
}

// fields are what the templates can name.
type fields struct {
	Code, Mobile, Email, Name, UCC, ID string
	Minutes                            int // that the code lives
}

func fieldsOf(m login.Message) fields {
	minutes := int((m.Expires.Sub(m.Now) + 30*time.Second) / time.Minute)
	return fields{string(m.Code), m.Account.Mobile, m.Account.Email, m.Account.GreetingName, m.Account.UCC, m.ID, max(1, minutes)}
}

// sample has the values with which templates are tried at start: its name breaks a
// body that does not escape it.
var sample = fields{"135790", "+919999999908", "asha@example.com", `A "quoted" & <odd> name=1\`, "AB1234", "7e57acc0-0000-4000-8000-000000000000", 5}

// secretName matches the names of headers whose value is a secret.
var secretName = regexp.MustCompile(`(?i)auth|key|token|secret|password`)

// way reads the entry, with its files, and reports whether the entry itself contains a secret.
func (e *webhookEntry) way() (_ way, secret bool, problems []error) {
	r := &webhookReader{entry: e, webhook: &webhook{headers: map[string]*template.Template{}}}
	r.address()
	r.readSecrets()
	kind := r.headers()
	r.body(kind)
	r.answer()
	return r.webhook, r.secret, r.problems
}

// A webhookReader makes a webhook of its entry.
type webhookReader struct {
	*webhook
	entry    *webhookEntry
	secrets  map[string]credential.Secret
	secret   bool // the entry itself contains one
	problems []error
}

func (r *webhookReader) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Errorf(format, args...))
}

func (r *webhookReader) address() {
	u, err := outward.URL(r.entry.URL)
	if err != nil {
		r.problems = append(r.problems, err)
	} else {
		r.url, r.secret = u.String(), u.RawQuery != ""
	}
	switch r.method = r.entry.Method; r.method {
	case "":
		r.method = http.MethodPost
	case http.MethodPost, http.MethodPut:
	default:
		r.problem("method: must be POST or PUT")
	}
	switch r.entry.To {
	case "", "mobile":
		r.mobile = true
	case "email":
	default:
		r.problem("to: must be mobile or email")
	}
}

func (r *webhookReader) readSecrets() {
	r.secrets = map[string]credential.Secret{}
	for name, path := range r.entry.Secrets {
		var err error
		if r.secrets[name], err = outward.Secret(path); err != nil {
			r.problem("secrets: %s: %w", name, err)
		}
	}
}

// parse parses a template and returns its output for the sample.
func (r *webhookReader) parse(what, text string) (*template.Template, string) {
	t, err := template.New(what).Option("missingkey=error").Funcs(functions(r.secrets)).Parse(text)
	var out strings.Builder
	if err == nil {
		err = t.Execute(&out, sample)
	}
	if err != nil {
		r.problem("%s: %w", what, err)
	}
	return t, out.String()
}

// headers returns the media type of the body.
func (r *webhookReader) headers() (kind string) {
	for name, text := range r.entry.Headers {
		if secretName.MatchString(name) && !strings.Contains(text, "secret") {
			r.secret = true
		}
		t, value := r.parse("header "+name, text)
		if textproto.TrimString(name) != name || name == "" || strings.ContainsAny(name, " \r\n:") || strings.ContainsAny(value, "\r\n") {
			r.problem("header %q: not a valid header name or value", name)
		}
		r.webhook.headers[name] = t
		if strings.EqualFold(name, "Content-Type") {
			kind, _, _ = mime.ParseMediaType(value)
		}
	}
	return kind
}

func (r *webhookReader) body(kind string) {
	if r.entry.Body == "" {
		r.problem("body: is missing")
		return
	}
	t, tried := r.parse("body", r.entry.Body)
	r.webhook.body = t
	switch {
	case tried == "":
		return // parse has said why
	case kind == "":
		r.problem("headers: Content-Type is missing")
	case kind == "application/json" && !json.Valid([]byte(tried)):
		r.problem(`body: is not valid JSON when a name contains quotes: write {{json .Name}}, which brings its own`)
	case kind == "application/x-www-form-urlencoded" && (strings.Contains(tried, sample.Mobile) || strings.Contains(tried, sample.Name)):
		r.problem("body: a plus or an ampersand would be misread in a form: write {{query .Mobile}}, {{query .Name}}")
	}
	if !strings.Contains(tried, sample.Code) {
		r.problem("body: does not contain {{.Code}}")
	}
}

func (r *webhookReader) answer() {
	if r.entry.Accepted != "" {
		var err error
		if r.accepted, err = regexp.Compile(r.entry.Accepted); err != nil {
			r.problem("accepted: %w", err)
		}
	}
	cfg, err := outward.TLS(r.entry.CA, "", "")
	if err != nil {
		r.problems = append(r.problems, err)
	}
	r.client = outward.Client(cfg)
}

// functions are what the templates can call.
func functions(secrets map[string]credential.Secret) template.FuncMap {
	return template.FuncMap{
		"json": func(v any) (string, error) {
			b, err := json.Marshal(v)
			return string(b), err
		},
		"query":  url.QueryEscape,
		"base64": func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"secret": func(name string) (string, error) {
			s, ok := secrets[name]
			if !ok {
				return "", fmt.Errorf("there is no secret %q", name)
			}
			return string(s), nil
		},
	}
}

func (w *webhook) reaches(a login.Account) bool {
	if w.mobile {
		return a.Mobile != ""
	}
	return a.Email != ""
}

// send calls the gateway. Errors contain nothing that was sent or received: a gateway
// may quote the code.
func (w *webhook) send(ctx context.Context, m login.Message) error {
	data := fieldsOf(m)
	var body bytes.Buffer
	if err := w.body.Execute(&body, data); err != nil {
		return fmt.Errorf("body: %w", login.ErrRefused)
	}
	r, err := http.NewRequestWithContext(ctx, w.method, w.url, &body)
	if err != nil {
		return errors.New("the request cannot be made")
	}
	// With GetBody, net/http would resend a request with an Idempotency-Key on another
	// connection. Only [Couriers] may decide to send a code again.
	r.GetBody = nil
	r.Header.Set("Idempotency-Key", m.ID)
	r.Header.Set("User-Agent", "neo")
	for name, t := range w.headers {
		var value strings.Builder
		if err := t.Execute(&value, data); err != nil {
			return fmt.Errorf("header %s: %w", name, login.ErrRefused)
		}
		r.Header.Set(name, value.String())
	}
	answer, err := w.client.Do(r)
	if err != nil {
		return outward.Cause(err)
	}
	return w.verdict(answer)
}

// verdict returns an error unless the gateway's answer says that it has accepted the message.
func (w *webhook) verdict(answer *http.Response) error {
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	switch status := answer.StatusCode; {
	case status >= 200 && status < 300:
		if w.accepted != nil && (err != nil || !w.accepted.Match(text)) {
			return fmt.Errorf("the gateway answered %d, but accepted does not match: %w", status, login.ErrRefused)
		}
		return nil
	case status == 400 || status == 404 || status == 409 || status == 410 || status == 422:
		return fmt.Errorf("the gateway answered %d: %w", status, login.ErrRefused)
	default:
		return fmt.Errorf("the gateway answered %d", status)
	}
}
