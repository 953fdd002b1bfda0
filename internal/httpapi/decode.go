package httpapi

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/url"
	"strings"
	"unicode/utf8"

	"neoapi/internal/credential"
	"neoapi/internal/login"
)

// fields is a request's body: a flat JSON object (or form) of strings, true and
// false. Every body of the protocol is one; anything deeper, doubled or of
// another type is refused (security.md H4). A field that is absent is not in the map.
type fields map[string]any

// mediaType returns the request's media type without parameters, "" if it names
// none.
func mediaType(c *call) (string, error) {
	header := c.Header.Get("Content-Type")
	if header == "" || header == "application/json" { // as nearly all send it
		return header, nil
	}
	t, params, err := mime.ParseMediaType(header)
	if err != nil {
		return "", errContentType
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return "", errContentType
	}
	return t, nil
}

// jsonBody reads the body as JSON. A request without a Content-Type counts as JSON.
func jsonBody(c *call) (fields, error) {
	t, err := mediaType(c)
	if err != nil {
		return nil, err
	}
	if t != "" && t != "application/json" {
		return nil, errContentType
	}
	return parseJSON(c.body)
}

// jsonOrForm reads the body as JSON or as a form, by its Content-Type.
func jsonOrForm(c *call) (fields, error) {
	t, err := mediaType(c)
	if err != nil {
		return nil, err
	}
	if t != "application/x-www-form-urlencoded" {
		return jsonBody(c)
	}
	form, err := url.ParseQuery(string(c.body))
	if err != nil {
		return nil, badBody("the form is malformed")
	}
	f := fields{}
	for name, values := range form {
		if !utf8.ValidString(name) || !utf8.ValidString(values[0]) {
			return nil, badBody("the form is not valid UTF-8")
		}
		if len(values) > 1 {
			return nil, login.Invalid(shown(name), "is in the form more than once")
		}
		f[name] = values[0]
	}
	return f, nil
}

func badBody(detail string) error {
	return login.Invalid("body", detail)
}

// parseJSON reads one flat JSON object.
func parseJSON(body []byte) (fields, error) {
	if f, ok := plainJSON(string(body)); ok {
		return f, nil
	}
	return anyJSON(body)
}

// plainJSON is parseJSON for what nearly all clients send: ASCII texts without escapes,
// true and false. Of anything else it says nothing.
func plainJSON(body string) (f fields, ok bool) {
	rest, ok := cutSign(body, '{')
	if !ok {
		return nil, false
	}
	f = make(fields, 4)
	for {
		var name string
		if name, rest, ok = cutText(rest); !ok {
			return nil, false
		}
		if _, twice := f[name]; twice {
			return nil, false
		}
		if rest, ok = cutSign(rest, ':'); !ok {
			return nil, false
		}
		if text, after, isText := cutText(rest); isText {
			f[name], rest = text, after
		} else if after, is := strings.CutPrefix(rest, "true"); is {
			f[name], rest = true, after
		} else if after, is := strings.CutPrefix(rest, "false"); is {
			f[name], rest = false, after
		} else {
			return nil, false
		}
		if after, ends := cutSign(rest, '}'); ends {
			return f, after == ""
		}
		if rest, ok = cutSign(rest, ','); !ok {
			return nil, false
		}
	}
}

const jsonSpace = " \t\r\n"

// cutSign cuts a sign and the space around it from the beginning of a JSON text.
func cutSign(text string, sign byte) (rest string, ok bool) {
	text = strings.TrimLeft(text, jsonSpace)
	if text == "" || text[0] != sign {
		return "", false
	}
	return strings.TrimLeft(text[1:], jsonSpace), true
}

// cutText cuts an ASCII string without escapes from the beginning of a JSON text.
func cutText(text string) (value, rest string, ok bool) {
	if text == "" || text[0] != '"' {
		return "", "", false
	}
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return text[1:i], text[i+1:], true
		case c < ' ' || c > '~' || c == '\\':
			return "", "", false
		}
	}
	return "", "", false
}

// anyJSON is parseJSON for all bodies.
func anyJSON(body []byte) (fields, error) {
	if !utf8.Valid(body) {
		return nil, badBody("is not valid UTF-8")
	}
	if !json.Valid(body) { // exactly one document, and a bound on its depth
		return nil, badBody("is not one well-formed JSON document")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber() // a number in an ignored field may have any size
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, badBody("must be a JSON object")
	}
	// A lone surrogate, which only an escape can write, decodes to this character.
	escaped := bytes.Contains(bytes.ToLower(body), []byte(`\ud`))
	broken := func(s string) bool { return escaped && strings.ContainsRune(s, utf8.RuneError) }
	f := fields{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, badBody("is not well-formed JSON")
		}
		if broken(name) {
			return nil, login.Invalid(shown(name), "is not a valid name: it is not Unicode")
		}
		if _, twice := f[name]; twice {
			return nil, login.Invalid(shown(name), "is in the body more than once")
		}
		value, err := d.Token()
		if err != nil {
			return nil, badBody("is not well-formed JSON")
		}
		if _, nested := value.(json.Delim); nested && name == "error" { // generation 1 posts its own complaint about a bad PAN
			return nil, login.Invalid(name, "this is the client's own error and no login: check the identifier it was given (mobileNumber, pan or userid)")
		} else if nested {
			return nil, login.Invalid(shown(name), "must not be an object or a list")
		}
		if s, ok := value.(string); ok && broken(s) {
			return nil, login.Invalid(shown(name), "is not valid Unicode")
		}
		f[name] = value
	}
	return f, nil
}

// shown returns a field's name for a message: a name made up by the caller is
// shortened.
func shown(name string) string {
	if len(name) > 32 {
		name = strings.ToValidUTF8(name[:32], "") + "…"
	}
	return name
}

// text returns a required string field that must not be empty.
func (f fields) text(name string) (string, error) {
	s, ok, err := f.optional(name)
	if err == nil && !ok {
		err = login.Invalid(name, "is missing")
	}
	return s, err
}

// sixDigits returns a required field that is an MPIN or a TOTP code.
func (f fields) sixDigits(factor login.Factor) (credential.Secret, error) {
	s, err := f.text(string(factor))
	if err == nil && !credential.IsDigits(s, login.MPINDigits, login.MPINDigits) {
		err = login.Invalid(string(factor), "must be six digits")
	}
	return credential.Secret(s), err
}

// optional returns a string field that may be absent, but not empty or of
// another type.
func (f fields) optional(name string) (string, bool, error) {
	value, ok := f[name]
	if !ok {
		return "", false, nil
	}
	s, isText := value.(string)
	if !isText || s == "" {
		return "", false, login.Invalid(name, "must be a text that is not empty")
	}
	return s, true, nil
}

// flag checks a field that may be absent but must be true or false.
func (f fields) flag(name string) error {
	if value, ok := f[name]; ok {
		if _, ok := value.(bool); !ok {
			return login.Invalid(name, "must be true or false")
		}
	}
	return nil
}

// oneOf returns which one of some fields is present, and its value. Exactly one must
// be, unless none is allowed.
func (f fields) oneOf(none bool, names ...string) (name, value string, err error) {
	for _, n := range names {
		v, ok, err := f.optional(n)
		if err != nil {
			return "", "", err
		}
		if !ok {
			continue
		}
		if name != "" {
			return "", "", login.Invalid(n, "cannot be combined with "+name+": send one of the two")
		}
		name, value = n, v
	}
	if name == "" && !none {
		return "", "", login.Invalid(strings.Join(names, ", "), "one of these is required")
	}
	return name, value, nil
}
