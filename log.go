package neoapi

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"neoapi/internal/wire"
)

// log writes one line at debug. Headers are not logged. In bodies, fields with the
// names of secrets and all secrets that were sent are replaced.
func (x exchange) log() {
	c := x.client
	attrs := []slog.Attr{
		slog.String("op", x.op),
		slog.String("method", x.sent.Method),
		slog.String("host", x.sent.URL.Host),
		slog.String("path", shorten(conceal(x.sent.URL.Path, x.secrets), maxMessage)),
		slog.Duration("duration", c.now().Sub(x.began)),
		slog.String("request_id", tidy(x.sent.Header.Get(wire.HeaderRequestID), x.secrets)),
	}
	if len(x.body) > 0 {
		attrs = append(attrs, slog.String("request", veil(x.body, x.secrets)))
	}
	if x.resp != nil {
		attrs = append(attrs, slog.Int("status", x.resp.StatusCode), slog.String("answer", veil(x.answer, x.secrets)))
	}
	if x.fail != nil {
		attrs = append(attrs, slog.String("error", x.fail.Error()))
	}
	c.log.LogAttrs(x.sent.Context(), slog.LevelDebug, "neoapi: exchange", attrs...)
}

// maxShown is how much of a body is logged, in runes.
const maxShown = 2000

// veil makes a body fit to log. What is neither JSON nor a form is not shown, unless
// it is plain words or a page's title: half an answer may contain a token without its
// name.
func veil(body []byte, secrets []string) string {
	text := strings.TrimSpace(string(body))
	var value any
	switch {
	case text == "":
		return ""
	case json.Unmarshal([]byte(text), &value) == nil:
		out, _ := json.Marshal(veiled("", value))
		text = string(out)
	case isForm(text):
		form, _ := url.ParseQuery(text)
		for name, values := range form {
			for i, v := range values {
				shown, _ := veiled(name, v).(string)
				values[i] = shown
			}
		}
		text = form.Encode()
		if plain, err := url.QueryUnescape(text); err == nil {
			text = plain // for people, unescaped
		}
	default:
		words := prose(body)
		if words == "" {
			return "[not shown: it cannot be read]"
		}
		text = opaque.ReplaceAllString(words, "[redacted]")
	}
	return shorten(conceal(jwtShape.ReplaceAllString(text, "[redacted]"), secrets), maxShown)
}

var (
	formShape = regexp.MustCompile(`^[\w.-]+=[^\s<>{}"]*$`)
	jwtShape  = regexp.MustCompile(`[\w-]{10,}\.[\w-]{10,}\.[\w-]*`)
	opaque    = regexp.MustCompile(`[\w+/=-]{20,}`) // not a natural word
	secretish = regexp.MustCompile(`(?i)pass|pwd|mpin|otp|token|secret|key|auth|^(rid|pan|nap|jwt|pin|code_?verifier)$`)
	phonish   = regexp.MustCompile(`(?i)mobile|phone`)
)

func isForm(text string) bool { return formShape.MatchString(text) }

// veiled returns a copy of a JSON value whose secrets are replaced, as far as the
// names of the fields tell: a mobile number keeps its last three digits.
func veiled(name string, value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, inner := range v {
			out[k] = veiled(k, inner)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = veiled(name, inner)
		}
		return out
	case nil, bool:
		return v
	case string:
		var inner any
		if strings.HasPrefix(strings.TrimSpace(v), "{") && json.Unmarshal([]byte(v), &inner) == nil { // jData, or JSON encoded twice
			out, _ := json.Marshal(veiled(name, inner))
			return string(out)
		}
		if phonish.MatchString(name) && len(v) > 3 {
			return strings.Repeat("x", len(v)-3) + v[len(v)-3:]
		}
	}
	if secretish.MatchString(name) || phonish.MatchString(name) {
		return "[redacted]"
	}
	return value
}

// A watched body keeps the beginning of what is read through it and logs the exchange
// at its end.
type watched struct {
	io.ReadCloser
	mu    sync.Mutex
	start []byte
	ended func(start []byte) // nil once called
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.mu.Lock()
	if room := maxText - len(w.start); room > 0 {
		w.start = append(w.start, p[:min(n, room)]...)
	}
	w.mu.Unlock()
	if err != nil {
		w.end()
	}
	return n, err
}

func (w *watched) Close() error {
	err := w.ReadCloser.Close()
	w.end()
	return err
}

func (w *watched) end() {
	w.mu.Lock()
	ended, start := w.ended, w.start
	w.ended = nil
	w.mu.Unlock()
	if ended != nil {
		ended(start)
	}
}
