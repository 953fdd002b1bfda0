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

// A webhook calls an SMS gateway, or whatever else takes messages over HTTP.
type webhook struct {
	url, method string
	mobile      bool // it needs the number; otherwise the e-mail address
	headers     map[string]*template.Template
	body        *template.Template
	accepted    *regexp.Regexp // what a good answer's body holds; nil for anything
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

// sample is what templates are tried with at start: its name breaks a body that
// does not escape it.
var sample = fields{"135790", "+919999999908", "asha@example.com", `A "quoted" & <odd> name=1\`, "AB1234", "7e57acc0-0000-4000-8000-000000000000", 5}

// secretName tells a header whose value is a secret by its name.
var secretName = regexp.MustCompile(`(?i)auth|key|token|secret|password`)

func (e *webhookEntry) way() (_ way, secret bool, problems []error) {
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	w := &webhook{method: e.Method, headers: map[string]*template.Template{}}
	u, err := outward.URL(e.URL)
	if err != nil {
		problems = append(problems, err)
	} else {
		w.url, secret = u.String(), u.RawQuery != ""
	}
	switch w.method {
	case "":
		w.method = http.MethodPost
	case http.MethodPost, http.MethodPut:
	default:
		problem("method: must be POST or PUT")
	}
	switch e.To {
	case "", "mobile":
		w.mobile = true
	case "email":
	default:
		problem("to: must be mobile or email")
	}
	secrets := map[string]credential.Secret{}
	for name, path := range e.Secrets {
		if secrets[name], err = outward.Secret(path); err != nil {
			problem("secrets: %s: %w", name, err)
		}
	}
	parse := func(what, text string) (*template.Template, string) {
		t, err := template.New(what).Option("missingkey=error").Funcs(functions(secrets)).Parse(text)
		var out strings.Builder
		if err == nil {
			err = t.Execute(&out, sample)
		}
		if err != nil {
			problem("%s: %w", what, err)
		}
		return t, out.String()
	}
	kind := ""
	for name, text := range e.Headers {
		if secretName.MatchString(name) && !strings.Contains(text, "secret") {
			secret = true
		}
		t, value := parse("header "+name, text)
		if textproto.TrimString(name) != name || name == "" || strings.ContainsAny(name, " \r\n:") || strings.ContainsAny(value, "\r\n") {
			problem("header %q: is none", name)
		}
		w.headers[name] = t
		if strings.EqualFold(name, "Content-Type") {
			kind, _, _ = mime.ParseMediaType(value)
		}
	}
	if e.Body == "" {
		problem("body: is missing")
	} else {
		var tried string
		w.body, tried = parse("body", e.Body)
		switch {
		case tried == "": // told already
		case kind == "":
			problem("headers: Content-Type is missing")
		case kind == "application/json" && !json.Valid([]byte(tried)):
			problem(`body: is no JSON when a name holds quotes: write {{json .Name}}, which brings its own`)
		case kind == "application/x-www-form-urlencoded" && (strings.Contains(tried, sample.Mobile) || strings.Contains(tried, sample.Name)):
			problem("body: a plus or an ampersand would mean something else there: write {{query .Mobile}}, {{query .Name}}")
		}
		if tried != "" && !strings.Contains(tried, sample.Code) {
			problem("body: holds no {{.Code}}")
		}
	}
	if w.accepted, err = regexp.Compile(e.Accepted); err != nil {
		problem("accepted: %w", err)
	}
	if e.Accepted == "" {
		w.accepted = nil
	}
	cfg, err := outward.TLS(e.CA, "", "")
	if err != nil {
		problems = append(problems, err)
	}
	w.client = outward.Client(cfg)
	return w, secret, problems
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

// send calls the gateway. Nothing of what it sent or got stands in an error: a
// gateway may quote the code.
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
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	switch status := answer.StatusCode; {
	case status >= 200 && status < 300:
		if w.accepted != nil && (err != nil || !w.accepted.Match(text)) {
			return fmt.Errorf("the gateway answered %d, but not what accepted says: %w", status, login.ErrRefused)
		}
		return nil
	case status == 400 || status == 404 || status == 409 || status == 410 || status == 422:
		return fmt.Errorf("the gateway answered %d: %w", status, login.ErrRefused)
	default:
		return fmt.Errorf("the gateway answered %d", status)
	}
}
