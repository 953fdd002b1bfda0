package neoapi

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"neoapi/internal/must"
	"neoapi/internal/tradewire"
)

func TestError_opIsExplainedForEveryStep(t *testing.T) {
	text := must.Get(os.ReadFile("errors.go"))(t)
	comment := regexp.MustCompile(`(?s)// Op is the step.*?Op string`).Find(text)
	ops := map[string]bool{}
	named := regexp.MustCompile(`(?:\bop\w*\s+= |\bOp: |invalid\(|stopped\(ctx, |storeError\(|refuse\(|\.use\(|\.read\(ctx, |, nil, )"([a-z_0-9]+)"`)
	files := must.Get(filepath.Glob("*.go"))(t)
	for _, file := range append(files, "keyring/keyring.go") {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source := must.Get(os.ReadFile(file))(t)
		for _, m := range named.FindAllSubmatch(source, -1) {
			ops[string(m[1])] = true
		}
	}
	for _, r := range tradewire.Reports {
		ops[string(r.Op)] = true
	}
	ops[opOf(clientIPPath)] = true
	if len(ops) < 20 {
		t.Errorf("%d steps: are they found?", len(ops))
	}
	for op := range ops {
		if !regexp.MustCompile(`\b` + op + `\b`).Match(comment) {
			t.Errorf("Error.Op does not name %s", op)
		}
	}
}

func TestError_fromElsewhereSaysWhetherTryingAgainHelps(t *testing.T) {
	dir := t.TempDir()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	failing := WithPassphrase(func(context.Context) (string, error) { return "", errors.New("nobody answers") })
	s := newScripted(t)
	session := Session{Token: "t", SID: "s", ExpiresAt: time.Unix(1, 0), Environment: Environment(s.URL).place(), Consumer: fingerprint("key")}
	keeper := func(l Login) *Keeper {
		return must.Get(s.client(t).Keep(KeepConfig{Login: l, MaxTries: 1}))(t)
	}
	who := always(Credentials{Mobile: "9999999908", Password: canaryPassword})
	refused := keeper(Login{Credentials: who, MPIN: always(canaryMPIN)})
	waiting := keeper(Login{Credentials: who, MPIN: always(canaryMPIN)})
	s.on(opLogin, answer(401, `{"error":[{"code":"10020","message":"no"}]}`))
	refused.Session(t.Context())
	s.on(opLogin, answer(503, ``))
	waiting.Session(t.Context())
	for name, c := range map[string]struct {
		err  func() error
		want Retry
	}{
		"nothing is saved":      {func() error { _, err := fileStore(t, dir+"/none").Load(t.Context()); return err }, RetryLoginAgain},
		"the store fails":       {func() error { return fileStore(t, "errors.go/session").Save(t.Context(), session) }, RetryLater},
		"the wait was given up": {func() error { _, err := fileStore(t, dir+"/none").Lock(gone); return err }, RetrySame},
		"no pass phrase":        {func() error { return fileStore(t, dir+"/sealed", failing).Save(t.Context(), session) }, RetrySame},
		"the session ended":     {func() error { return s.client(t).Restore(session) }, RetryLoginAgain},
		"not this consumer's":   {func() error { o := session; o.Consumer = "x"; return s.client(t).Restore(o) }, RetryNever},
		"a callback failed": {func() error {
			_, err := keeper(Login{Credentials: func(context.Context) (Credentials, error) { return Credentials{}, errors.New("no") }, MPIN: always("1")}).Session(t.Context())
			return err
		}, RetrySame},
		"refused too often":  {func() error { _, err := refused.Session(t.Context()); return err }, RetryNever},
		"it must wait":       {func() error { _, err := waiting.Session(t.Context()); return err }, RetryLater},
		"given up at keeper": {func() error { _, err := keeper(Login{Credentials: who, MPIN: always("1")}).Session(gone); return err }, RetrySame},
	} {
		e, ok := errors.AsType[*Error](c.err())
		if !ok || e.Retry != c.want {
			t.Errorf("%s: got %v, Retry %q, want %q", name, e, e.Retry, c.want)
		}
	}
}
