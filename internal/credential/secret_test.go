package credential

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const needle = "hunter2-swordfish"

// spellings are the ways in which a print could give the needle away.
func spellings() []string {
	return []string{
		needle,
		hex.EncodeToString([]byte(needle)),
		strings.ToUpper(hex.EncodeToString([]byte(needle))),
		base64.StdEncoding.EncodeToString([]byte(needle)),
		strings.Trim(fmt.Sprint([]byte(needle)), "[]"),
		needle[:8],
	}
}

func mustHide(t *testing.T, how, printed string) {
	t.Helper()
	for _, s := range spellings() {
		if strings.Contains(printed, s) {
			t.Errorf("%s shows the secret: %s", how, printed)
			return
		}
	}
	if !strings.Contains(printed, "[hidden]") {
		t.Errorf("%s does not say [hidden]: %s", how, printed)
	}
}

type holder struct {
	Name   string
	Secret Secret
	Ptr    *Secret
	Any    any
	List   []Secret
	Map    map[string]Secret
}

func held() holder {
	s := Secret(needle)
	return holder{"n", s, nil, s, []Secret{s}, map[string]Secret{"k": s}}
}

func TestSecret_isHiddenUnderEveryVerbOfFmt(t *testing.T) {
	s := Secret(needle)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%t", "%10.4s", "%-40v", "%U", "%c", "%b", "%g", "%z"} {
		for name, value := range map[string]any{
			"a value": s, "a struct": held(), "a pointer to a struct": &holder{Secret: s},
			"a slice": []Secret{s}, "an array": [1]Secret{s}, "a map's value": map[string]Secret{"k": s}, "a map's key": map[Secret]int{s: 1},
			"an any": []any{s},
		} {
			mustHide(t, fmt.Sprintf("%s of %s", verb, name), fmt.Sprintf(verb, value))
		}
	}
	mustHide(t, "%v of a pointer", fmt.Sprintf("%v", &s))
	mustHide(t, "Sprint", fmt.Sprint(s))
	mustHide(t, "Sprintln", fmt.Sprintln("x", s))
	mustHide(t, "Errorf", fmt.Errorf("login: %v", s).Error())
	mustHide(t, "Join", errors.Join(fmt.Errorf("%s", s)).Error())
}

func TestSecret_isHiddenInJSON(t *testing.T) {
	for name, value := range map[string]any{
		"a value": Secret(needle), "a struct": held(), "a slice": []Secret{needle}, "a map's value": map[string]Secret{"k": needle},
	} {
		out, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		mustHide(t, "JSON of "+name, string(out))
	}
}

func TestSecret_isReadFromJSONAsItIs(t *testing.T) {
	var body struct{ Password Secret }
	if err := json.Unmarshal([]byte(`{"Password":"`+needle+`"}`), &body); err != nil || string(body.Password) != needle {
		t.Errorf("got %q, %v", string(body.Password), err)
	}
}

func TestSecret_isHiddenInLogs(t *testing.T) {
	s := Secret(needle)
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		for how, log := range map[string]func(*slog.Logger){
			"a value":     func(l *slog.Logger) { l.Info("m", "k", s) },
			"Any":         func(l *slog.Logger) { l.Info("m", slog.Any("k", s)) },
			"a struct":    func(l *slog.Logger) { l.Info("m", "k", held()) },
			"a slice":     func(l *slog.Logger) { l.Info("m", "k", []Secret{s}) },
			"a group":     func(l *slog.Logger) { l.Info("m", slog.Group("g", "k", s)) },
			"With":        func(l *slog.Logger) { l.With("k", s).Info("m") },
			"a stray arg": func(l *slog.Logger) { l.Info("m", []any{s}...) },
			"an error":    func(l *slog.Logger) { l.Info("m", "cause", fmt.Errorf("of %q", s)) },
		} {
			var out bytes.Buffer
			log(slog.New(handler(&out)))
			mustHide(t, name+" log of "+how, out.String())
		}
	}
}
