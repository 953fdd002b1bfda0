package httpapi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"neoapi/internal/login"
	"neoapi/internal/serve"
)

// breakers are texts that end a log line, or begin another, or hide one, where
// somebody lets them.
var breakers = []string{
	"\n", "\r\n", "\r", "\x00", "\x1b[2J\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x9b31m", "\u009b31m", "\u0085", "\u2028", "\u202eecila",
	"\xff\xfe\xc3", "\xed\xa0\x80", "\t", " ", "a\nmsg=audit outcome=ok", "a\n{\"msg\":\"audit\",\"outcome\":\"ok\"}",
	`"`, `"}`, `","msg":"audit","outcome":"ok`, `" msg=audit outcome="ok`, `a=b`, `a=b msg=audit`, `\`, `\"`, `\n`, `\u000a`, `%s%n%!d(x)`, `<script>`, `${jndi:x}`,
	"{}", "[]", "null", strings.Repeat("x", 128), strings.Repeat("x", 129), strings.Repeat("y", 9000),
}

// A line is what one line of a log says, in its own order.
type line struct {
	keys   []string
	values map[string]string
}

func (l *line) add(key, value string) error {
	if _, twice := l.values[key]; twice {
		return fmt.Errorf("duplicate %s", key)
	}
	l.keys, l.values[key] = append(l.keys, key), value
	return nil
}

// parseJSONLine reads one line as one flat JSON object.
func parseJSONLine(text string) (line, error) {
	l := line{values: map[string]string{}}
	d := json.NewDecoder(strings.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return l, errors.New("no object")
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return l, err
		}
		value, err := d.Token()
		if err != nil {
			return l, err
		}
		if _, nested := value.(json.Delim); nested {
			return l, fmt.Errorf("%v is no plain value", key)
		}
		if err := l.add(key.(string), fmt.Sprint(value)); err != nil {
			return l, err
		}
	}
	if _, err := d.Token(); err != nil { // the object's end
		return l, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return l, errors.New("more than one object")
	}
	return l, nil
}

var logfmtKey = regexp.MustCompile(`^([a-z_]+)=`)

// parseTextLine reads one line of key=value, where a value with anything special
// in it is quoted as Go quotes.
func parseTextLine(text string) (line, error) {
	l := line{values: map[string]string{}}
	for rest := text; rest != ""; {
		key := logfmtKey.FindStringSubmatch(rest)
		if key == nil {
			return l, fmt.Errorf("no key at %q", rest)
		}
		rest = rest[len(key[0]):]
		var value string
		if strings.HasPrefix(rest, `"`) {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return l, err
			}
			rest = rest[len(quoted):]
			if value, err = strconv.Unquote(quoted); err != nil {
				return l, err
			}
			if rest != "" && rest[0] != ' ' {
				return l, fmt.Errorf("text after a value: %q", rest)
			}
		} else if value, rest, _ = strings.Cut(rest, " "); strings.ContainsAny(value, `"=`) {
			return l, fmt.Errorf("%s is not quoted: %q", key[1], value)
		} else {
			rest = " " + rest
		}
		if err := l.add(key[1], value); err != nil {
			return l, err
		}
		rest = strings.TrimPrefix(rest, " ")
	}
	return l, nil
}

func TestLog_lineIsBrokenByNothingAClientSends(t *testing.T) { // security.md L3
	t.Parallel()
	options := &slog.HandlerOptions{Level: slog.LevelDebug}
	for name, x := range map[string]struct {
		handler func(io.Writer) slog.Handler
		parse   func(string) (line, error)
	}{
		"text": {func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, options) }, parseTextLine},
		"JSON": {func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, options) }, parseJSONLine},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			var log lines
			var heard []string // the request ids that were answered
			srv, stop := servingIn(t, dir, func(c *serve.Config) {
				c.Log, c.TrustedProxies = slog.New(x.handler(&log)), []string{"127.0.0.1"}
			})
			c := consumer(t, srv)
			view := c.login(t)
			for i, breaker := range breakers {
				heard = append(heard, breakEverything(t, c, view, breaker, fmt.Sprint("s", i))...)
			}
			stop()

			logged := map[string]int{}
			var events []login.Event
			for text := range strings.Lines(log.text.String()) {
				text, whole := strings.CutSuffix(text, "\n")
				l, err := x.parse(text)
				switch {
				case err != nil || !whole:
					t.Errorf("%v: %q", err, text)
					continue
				case !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
					t.Errorf("what a terminal obeys: %q", text)
				case len(text) > 1000:
					t.Errorf("a line of %d bytes: %.100q…", len(text), text)
				case len(l.keys) < 3 || !slices.Equal(l.keys[:3], []string{"time", "level", "msg"}):
					t.Errorf("no line of this service: %q", text)
				}
				v := l.values
				switch v["msg"] {
				case "request":
					logged[v["request_id"]]++
				case "audit":
					events = append(events, login.Event{
						Action: v["action"], Outcome: v["outcome"], Account: v["account"], UCC: v["ucc"], Factor: login.Factor(v["factor"]),
						Consumer: v["consumer"], SID: v["sid"], Address: v["address"], RequestID: v["request_id"],
					})
				}
				judgeLine(t, v)
			}
			if len(logged) == 0 || len(events) == 0 {
				t.Fatalf("%d requests and %d events: is it the right log?", len(logged), len(events))
			}
			for _, id := range heard {
				if logged[id]--; logged[id] < 0 {
					t.Errorf("the answer's request id %q is in no line of its own", id)
				}
			}
			others := 0
			for _, n := range logged {
				others += max(0, n)
			}
			if others != 2 { // access token and login
				t.Errorf("%d lines of requests that were not answered", others)
			}
			sameEvents(t, openStore(t, dir), events)
		})
	}
}

// judgeLine checks that each value of a line is one that this service gives, or
// one that was sent as it is there.
func judgeLine(t *testing.T, v map[string]string) {
	t.Helper()
	known := map[string][]string{
		"method":   {"GET", "POST", "PUT", "unknown"},
		"address":  {"127.0.0.1", "203.0.113.7", "2001:db8::1"},
		"consumer": {"sandbox-consumer"},
		"ucc":      {"TESTYA24"},
		"factor":   {"password", "mpin", "totp", "otp"},
		"account":  {"7e57acc0-0000-4000-8000-000000000000"},
	}
	for key, value := range v {
		switch allowed, ok := known[key]; {
		case ok:
			if !slices.Contains(allowed, value) {
				t.Errorf("%s is %q", key, value)
			}
		case key == "request_id":
			if _, err := uuid.Parse(value); err != nil && !strings.HasPrefix(value, "s") {
				t.Errorf("request id %q", value)
			}
		case key == "sid":
			if err := uuid.Validate(value); err != nil {
				t.Errorf("sid %q", value)
			}
		case !slices.Contains([]string{"time", "level", "msg", "op", "status", "size", "took", "client_gone", "cause", "action", "outcome"}, key):
			t.Errorf("a key that this service does not have: %s=%q", key, value)
		}
	}
}

// breakEverything sends a text wherever a request has a place for one, and
// returns the request ids of the answers. Each request has an id of its own that
// begins with mark.
func breakEverything(t *testing.T, c caller, view held, text, mark string) (heard []string) {
	n := 0
	hear := func(replies ...reply) {
		for _, r := range replies {
			if id := r.header.Get("X-Request-Id"); id != "" {
				heard = append(heard, id)
			}
		}
	}
	id := func() string { n++; return fmt.Sprintf("%s-%d", mark, n) }
	send := func(method, target, body string, headers ...string) {
		hear(raw(t, c.Server, written(method, target, body, append(headers, "Connection", "close")...), true)...)
	}
	all := func(more ...string) []string {
		return append([]string{"Authorization", c.who, "Sid", view.SID, "Auth", view.Token}, more...)
	}

	// A request id is taken as HTTP reads it, or not at all.
	sent, _, _ := strings.Cut(mark+text, "\n")
	sent = strings.TrimRight(sent, " \t\r")
	for _, header := range []string{"X-Request-ID", "Idempotency-Key"} {
		before := len(heard)
		send("POST", validatePath, object("otp", "12345678"), all(header, sent)...)
		for _, got := range heard[before:] {
			_, err := uuid.Parse(got)
			if usable := len(sent) <= 128 && !strings.ContainsFunc(sent, func(r rune) bool { return r <= ' ' || r > '~' }); usable != (got == sent) || !usable && err != nil {
				t.Errorf("the request id %q became %q", sent, got)
			}
		}
	}
	for _, header := range []string{
		"User-Agent", "X-Forwarded-For", "Forwarded", "X-Real-IP", "Host", "Referer", "Content-Type", "Accept", "Cookie", "neo-fin-key", "Sid", "Auth", "Expect",
		"Transfer-Encoding", "Upgrade", text,
	} {
		send("POST", validatePath, object("otp", "12345678"), all("X-Request-ID", id(), header, text)...)
	}
	for _, sid := range []string{text, view.SID + text, view.SID[:20] + text} {
		send("POST", validatePath, object("otp", "12345678"), "Authorization", c.who, "Sid", sid, "Auth", view.Token, "X-Request-ID", id())
		send("POST", mpinPath, object("mpin", "123456"), "Authorization", c.who, "Sid", sid, "Auth", text, "X-Request-ID", id())
		send("POST", logoutPath, "", "Authorization", c.who, "Sid", sid, "Auth", view.Token, "X-Request-ID", id())
	}
	for _, from := range []string{text, "203.0.113.7", "203.0.113.7, " + text, text + ", 203.0.113.7", "2001:db8::1%" + text, "[2001:db8::1%25" + text + "]", `for="[2001:db8::1]";by=` + text} {
		send("POST", otpPath, object("userId", "nobody"), "Authorization", c.who, "X-Request-ID", id(), "X-Forwarded-For", from)
		send("POST", validatePath, object("otp", "12345678"), all("X-Request-ID", id(), "Forwarded", "for="+from)...)
	}
	for _, who := range []string{text, "Bearer " + text, basic(text, "x"), basic(c.ConsumerKey, text)} {
		for _, path := range []string{tokenPath, totpPath, "/login/1.0/tradeApiLogin", logoutPath} {
			send("POST", path, `{"grant_type":"client_credentials"}`, "Authorization", who, "X-Request-ID", id())
		}
	}
	for _, target := range []string{"/" + text, validatePath + text, validatePath + "?" + text, "/sandbox/otp/" + text, "*" + text, "http://x/" + text} {
		send("POST", target, "{}", all("X-Request-ID", id())...)
		send("GET", target, "", all("X-Request-ID", id())...)
	}
	send(text, validatePath, "{}", all("X-Request-ID", id())...)
	send("PUT"+text, validatePath, "{}", all("X-Request-ID", id())...)
	for _, field := range []string{"mobileNumber", "pan", "userid", "userId", "ucc", "otp", "mpin", "totp", "password", "grant_type", "client_id", text} {
		body := object(field, text, "password", "wrong-password")
		for _, path := range []string{validatePath, totpPath, tokenPath, otpPath} {
			send("POST", path, body, "Authorization", c.who, "X-Request-ID", id())
		}
		send("POST", validatePath, object(field, text, "otp", "12345678"), all("X-Request-ID", id())...)
	}
	hear(raw(t, c.Server, text, true)...)
	hear(raw(t, c.Server, text+"\r\n\r\n", true)...)
	return heard
}
