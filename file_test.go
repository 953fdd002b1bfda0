package neoapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"neoapi/internal/must"
)

var kept = Session{
	Token: canaryTrade, SID: "sid", RID: "rid", HSServerID: "server1", UCC: "TESTYA24", GreetingName: "Asha", KType: "Trade", DataCenter: "gdc",
	BaseURL: "https://elsewhere.example", Caches: map[string]time.Time{"watchlist": time.Unix(1638271224, 0).UTC()},
	IssuedAt: time.Unix(1655802939, 0).UTC(), ExpiresAt: time.Unix(4102444800, 0).UTC(), Environment: "prod", Consumer: "0123456789abcdef",
}

func phrase(text string) FileOption {
	return WithPassphrase(func(context.Context) (string, error) { return text, nil })
}

func fileStore(t *testing.T, path string, opts ...FileOption) *FileStore {
	t.Helper()
	return must.Get(NewFileStore(path, opts...))(t)
}

func TestFileStore_keepsEveryFieldOfASession(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]FileOption{
		"in the clear": nil, "sealed with a key": {WithKey([32]byte{7})}, "sealed with a pass phrase": {phrase(canaryPassword)},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "made", "session")
			if _, err := fileStore(t, path, opts...).Load(t.Context()); !errors.Is(err, ErrNotLoggedIn) {
				t.Fatalf("without a file: %v", err)
			}
			for range 2 { // the second one replaces the first
				must.Do(t, fileStore(t, path, opts...).Save(t.Context(), kept))
			}
			got, err := fileStore(t, path, opts...).Load(t.Context())
			if err != nil || !reflect.DeepEqual(got, kept) {
				t.Errorf("%v: read back %v", err, got)
			}
			text := must.Get(os.ReadFile(path))(t)
			if sealed := opts != nil; sealed == bytes.Contains(text, []byte(canaryTrade)) || sealed && bytes.Contains(text, []byte("TESTYA24")) {
				t.Error("what is sealed can be read, or the reverse")
			}
			if info, _ := os.Stat(path); runtime.GOOS != "windows" && info.Mode() != 0o600 {
				t.Errorf("the file's mode is %v", info.Mode())
			}
			for range 2 {
				must.Do(t, fileStore(t, path).Clear(t.Context()))
			}
			if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 0 {
				t.Errorf("Clear left %v", files)
			}
		})
	}
}

func TestFileStore_readsAFileOfNeoLogin(t *testing.T) {
	export, _ := kept.Export()
	path := filepath.Join(t.TempDir(), "session.json")
	text := bytes.Replace(export, []byte("{"), []byte(`{"consumerKey": "key", "accessToken": "a",`), 1)
	must.Do(t, os.WriteFile(path, text, 0o600))
	if s, err := fileStore(t, path).Load(t.Context()); err != nil || !reflect.DeepEqual(s, kept) {
		t.Errorf("read as %v, %v", s, err)
	}
}

// What others have written beside a session stays, sealed or not, until its value is
// taken away or the session of another consumer follows.
func TestFileStore_keepsFieldsItDoesNotKnow(t *testing.T) {
	for name, opts := range map[string][]FileOption{"in the clear": nil, "sealed": {WithKey([32]byte{7})}} {
		t.Run(name, func(t *testing.T) {
			ctx, path := t.Context(), filepath.Join(t.TempDir(), "session")
			f := fileStore(t, path, opts...)
			want := func(fields string, s Session) {
				t.Helper()
				got, err := fileStore(t, path, opts...).Fields(ctx)
				text, _ := json.Marshal(got)
				if err != nil || string(text) != fields {
					t.Errorf("the fields are %s, %v, want %s", text, err, fields)
				}
				if saved, err := f.Load(ctx); err != nil || !reflect.DeepEqual(saved, s) {
					t.Errorf("the session is %v, %v", saved, err)
				}
			}
			save := func(s Session, fields map[string]any) {
				t.Helper()
				must.Do(t, f.SaveWith(ctx, s, fields))
			}
			if fields, err := f.Fields(ctx); err != nil || len(fields) != 0 {
				t.Errorf("without a file: %v, %v", fields, err)
			}
			save(kept, map[string]any{"consumerKey": "k", "more": map[string]any{"a": []int{1}}, "gone": nil})
			want(`{"consumerKey":"k","more":{"a":[1]}}`, kept)
			next := kept
			next.Token, next.GreetingName, next.Owner = "next", "", "pan:00"
			must.Do(t, f.Save(ctx, next))
			want(`{"consumerKey":"k","more":{"a":[1]}}`, next)
			save(kept, map[string]any{"more": nil, "consumerKey": "other"})
			want(`{"consumerKey":"other"}`, kept)
			next.Consumer = "fedcba9876543210"
			save(next, map[string]any{"mine": true})
			want(`{"mine":true}`, next)
			save(kept, map[string]any{"token": "no", "sid": nil}) // the session's own are the session's
			want(`{}`, kept)
			if err := f.SaveWith(ctx, kept, map[string]any{"f": func() {}}); !errors.Is(err, ErrInvalidInput) {
				t.Errorf("what is no JSON: %v", err)
			}
		})
	}
}

func TestFileStore_writableSaysWhatSaveWouldAndLeavesNoTrace(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"file": "x", "empty": ""} {
		must.Do(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	failing := WithPassphrase(func(context.Context) (string, error) { return "", io.ErrClosedPipe })
	for name, tt := range map[string]struct {
		path string
		opts []FileOption
		want Category // "" if it can be saved
	}{
		"a folder that is not there yet": {"new/deep/session", nil, ""},
		"an empty file":                  {"empty", nil, ""},
		"something else":                 {"file", nil, ErrInvalidInput},
		"a folder that is a file":        {"file/session", nil, ErrStore},
		"no pass phrase":                 {"sealed", []FileOption{failing}, ErrCallback},
	} {
		f := fileStore(t, filepath.Join(dir, tt.path), tt.opts...)
		for what, err := range map[string]error{"Writable": f.Writable(t.Context()), "Save": f.Save(t.Context(), kept)} {
			if tt.want == "" && err != nil || tt.want != "" && !errors.Is(err, tt.want) {
				t.Errorf("%s: %s: %v", name, what, err)
			}
		}
		if err := f.Writable(t.Context()); tt.want == "" && err != nil {
			t.Errorf("%s: over a session: %v", name, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*", "*", ".session-*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".session-*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestFileStore_leavesALinkToItsFileGood(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	must.Do(t, errors.Join(fileStore(t, filepath.Join(dir, "session")).Save(t.Context(), kept), os.Symlink("session", link)))
	f := fileStore(t, link)
	for range 2 {
		must.Do(t, f.Clear(t.Context()))
		if _, err := f.Load(t.Context()); !errors.Is(err, ErrNotLoggedIn) {
			t.Errorf("cleared: %v", err)
		}
	}
	if err := f.Save(t.Context(), kept); err != nil {
		t.Error(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info, err)
	}
}

func TestFileStore_holdsNoSessionWhenEmpty(t *testing.T) {
	path := filepath.Join(t.TempDir(), "session")
	must.Do(t, os.WriteFile(path, nil, 0o600))
	f := fileStore(t, path)
	if _, err := f.Load(t.Context()); !errors.Is(err, ErrNotLoggedIn) {
		t.Fatal(err)
	}
	must.Do(t, f.Save(t.Context(), kept))
}

func TestFileStore_refusesAFileThatCannotBeTrustedAndLeavesIt(t *testing.T) {
	t.Parallel()
	export, _ := kept.Export()
	seal := func(opt FileOption) []byte {
		path := filepath.Join(t.TempDir(), "session")
		must.Do(t, fileStore(t, path, opt).Save(t.Context(), kept))
		text, _ := os.ReadFile(path)
		return text
	}
	keySealed, phraseSealed := seal(WithKey([32]byte{7})), seal(phrase("right"))
	write := func(text []byte) func(string) error {
		return func(path string) error { return os.WriteFile(path, text, 0o600) }
	}
	tests := []struct {
		name   string
		make   func(path string) error
		opts   []FileOption
		reason string
		save   bool // Save may replace it
	}{
		{"cut short", write(export[:len(export)/2]), nil, "does not contain a complete session", false},
		{"something else", write([]byte("[general]\npassword=" + canaryPassword)), nil, "does not contain a complete session", false},
		{"another program's JSON", write([]byte(`{"token":"","name":"x"}`)), nil, "does not contain a complete session", false},
		{"longer than any session", write(bytes.Repeat([]byte(" "), maxSessionFile+1)), nil, "longer than", false},
		{"a directory", func(p string) error { return os.Mkdir(p, 0o700) }, nil, "is not a file", false},
		{"readable by all", func(p string) error { return errors.Join(write(export)(p), os.Chmod(p, 0o604)) }, nil, "readable by other users", false},
		{"readable by the group", func(p string) error { return errors.Join(write(export)(p), os.Chmod(p, 0o640)) }, nil, "readable by other users", false},
		{"writable by all", func(p string) error { return errors.Join(write(export)(p), os.Chmod(p, 0o602)) }, nil, "readable by other users", false},
		{"in a directory that all may write to", func(p string) error { return errors.Join(write(export)(p), os.Chmod(filepath.Dir(p), 0o777)) }, nil, "is writable by other users", false},
		{"a link to nowhere", func(p string) error { return os.Symlink("nowhere", p) }, nil, "symbolic link to a file that does not exist", false},
		{"not sealed, though there is a key", write(export), []FileOption{WithKey([32]byte{7})}, "is not sealed", true},
		{"sealed, without a key", write(keySealed), nil, "give its key or pass phrase", true},
		{"sealed with another key", write(keySealed), []FileOption{WithKey([32]byte{8})}, "cannot be unsealed", true},
		{"sealed with another pass phrase", write(phraseSealed), []FileOption{phrase("wrong")}, "cannot be unsealed", true},
		{"sealed in the other way", write(phraseSealed), []FileOption{WithKey([32]byte{7})}, "sealed the other way", true},
		{"sealed, then changed", write(bytes.Replace(keySealed, []byte(`"sealed": "`), []byte(`"sealed": "AAAA`), 1)), []FileOption{WithKey([32]byte{7})}, "cannot be unsealed", true},
		{"sealed, with half a nonce", write(bytes.Replace(keySealed, []byte(`"nonce": "`), []byte(`"nonce": "AAAA`), 1)), []FileOption{WithKey([32]byte{7})}, "does not contain a complete session", true},
	}
	if os.Geteuid() == 0 { // only root can give files away
		foreign := func(p string) error { return errors.Join(write(export)(p), os.Chown(p, 4711, 4711)) }
		link := func(p string) error {
			return errors.Join(write(export)(p+"-1"), os.Symlink(p+"-1", p), os.Lchown(p, 4711, 4711))
		}
		tests = append(tests, tests[0], tests[0])
		tests[len(tests)-2].name, tests[len(tests)-2].make, tests[len(tests)-2].reason = "somebody else's", foreign, "belongs to another user"
		tests[len(tests)-1].name, tests[len(tests)-1].make, tests[len(tests)-1].reason = "a link that somebody else made", link, "symbolic link made by another user"
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "session")
			must.Do(t, tt.make(path))
			state := func() string {
				info, err := os.Lstat(path)
				if err != nil {
					return err.Error()
				}
				text, _ := os.ReadFile(path)
				return fmt.Sprint(info.Mode(), info.ModTime(), string(text))
			}
			before := state()
			f := fileStore(t, path, tt.opts...)
			_, err := f.Load(t.Context())
			errs := []error{err}
			if !tt.save {
				errs = append(errs, f.Save(t.Context(), kept), f.Clear(t.Context()))
			}
			for _, err := range errs {
				if !errors.Is(err, ErrInvalidInput) || !strings.Contains(err.Error(), tt.reason) || !strings.Contains(err.Error(), filepath.Dir(path)) {
					t.Errorf("got %v, want %q", err, tt.reason)
				}
				noCanary(t, err)
			}
			if after := state(); after != before {
				t.Errorf("it was %.200s, it is %.200s", before, after)
			}
		})
	}
}

func TestFileStore_asksOnceForAPassphraseUnlessItWasWrong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "session")
	must.Do(t, fileStore(t, path, phrase("right")).Save(t.Context(), kept))
	answers := []string{"wrong", "right"}
	f := fileStore(t, path, WithPassphrase(func(context.Context) (string, error) {
		if len(answers) == 0 {
			return "", errors.New("asked once more")
		}
		defer func() { answers = answers[1:] }()
		return answers[0], nil
	}))
	if _, err := f.Load(t.Context()); !errors.Is(err, ErrInvalidInput) {
		t.Fatalf("with the wrong one: %v", err)
	}
	for range 2 {
		must.Get(f.Load(t.Context()))(t)
		must.Do(t, f.Save(t.Context(), kept))
	}
	if _, err := fileStore(t, path, phrase("")).Load(t.Context()); !errors.Is(err, ErrInvalidInput) {
		t.Errorf("an empty one: %v", err)
	}
	failing := WithPassphrase(func(context.Context) (string, error) { return "", io.ErrClosedPipe })
	if _, err := fileStore(t, path, failing).Load(t.Context()); !errors.Is(err, ErrCallback) || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("none: %v", err)
	}
}

func TestFileStore_namesEveryProblem(t *testing.T) {
	_, err := NewFileStore("", WithKey([32]byte{}), phrase("p"))
	for _, problem := range []string{"path is missing", "not both", "all zeros"} {
		if !errors.Is(err, ErrInvalidInput) || !strings.Contains(err.Error(), problem) {
			t.Errorf("%v does not say %q", err, problem)
		}
	}
}

func TestFileStore_returnsAtOnceWhenCancelled(t *testing.T) {
	f := fileStore(t, filepath.Join(t.TempDir(), "session"), phrase("p"))
	unlock := must.Get(f.Lock(t.Context()))(t)
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error, 1)
	go func() {
		_, err := f.Lock(ctx)
		waiting <- err
	}()
	cancel()
	_, loaded := f.Load(ctx)
	for name, err := range map[string]error{"Lock": <-waiting, "Load": loaded, "Save": f.Save(ctx, kept), "Clear": f.Clear(ctx)} {
		if !errors.Is(err, ErrNetwork) || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFileStore_lockIsHeldByOneAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "session")
	var inside atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			f := fileStore(t, path)
			for range 5 {
				unlock, err := f.Lock(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d hold the lock", n)
				}
				step, err := f.LastStep(t.Context(), "TESTYA24")
				if err = errors.Join(err, f.SaveStep(t.Context(), "TESTYA24", step+1)); err != nil {
					t.Error(err)
				}
				inside.Add(-1)
				unlock()
				unlock() // does no harm
			}
		})
	}
	wg.Wait()
	if step, err := fileStore(t, path).LastStep(t.Context(), "TESTYA24"); step != 40 || err != nil {
		t.Errorf("after 40 turns the step is %d, %v", step, err)
	}
}

// A store remembers of each account which TOTP step was used, and reads what a version
// wrote that remembered one step for all.
func TestFileStore_remembersTheStepOfEachAccount(t *testing.T) {
	path := filepath.Join(t.TempDir(), "session")
	must.Do(t, os.WriteFile(path+".lock", []byte("                  40\n"), 0o600))
	f := fileStore(t, path)
	want := func(ucc string, want int64) {
		t.Helper()
		if got, err := f.LastStep(t.Context(), ucc); got != want || err != nil {
			t.Errorf("the last step of %q is %d, want %d: %v", ucc, got, want, err)
		}
	}
	want("AB1234", 40)
	want("", 40)
	for step, ucc := range []string{"AB1234", "CD5678", "EF9012", "CD5678"} {
		must.Do(t, f.SaveStep(t.Context(), ucc, int64(50+step)))
	}
	want("AB1234", 50)
	want("CD5678", 53)
	want("EF9012", 52)
	want("GH3456", 0)
	want("", 53)
	for n := range 100 { // the file does not grow for ever
		must.Do(t, f.SaveStep(t.Context(), fmt.Sprint("UCC", n), 60))
	}
	want("UCC99", 60)
	want("AB1234", 0)
	text, err := os.ReadFile(path + ".lock")
	if err != nil || len(text) > 1000 || strings.Contains(string(text), "UCC") {
		t.Errorf("the lock file has %d bytes, or tells whose they are: %v", len(text), err)
	}
}

// A disk of two blocks, in a name space of its own, where the system lets one be made.
func TestFileStore_noticesAFullDiskBeforehand(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command("unshare", "-r", "-m", "sh", "-c", `mount -t tmpfs -o size=8k,mode=700 tmpfs "$STORE" && exec "$SELF"`)
	self := must.Get(os.Executable())(t)
	cmd.Env = append(os.Environ(), "NEOAPI_TEST_ROLE=try a full disk", "STORE="+dir, "SELF="+self)
	out, err := cmd.CombinedOutput()
	if err != nil {
		must.Skip(t, "no disk of its own: %v, %s", err, out)
	}
	if text := string(out); !strings.Contains(text, "no space left") || !strings.Contains(text, string(ErrStore)) {
		t.Errorf("Writable says %s", text)
	}
}

func TestFileStore_lockDiesWithItsHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "session")
	cmd, _, out := child(t, "hold the lock", "STORE="+path)
	if line, err := out.ReadString('\n'); line != "held <nil>\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	f := fileStore(t, path)
	if _, err := f.Lock(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("while another process holds it: %v", err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	unlock := must.Get(f.Lock(t.Context()))(t)
	unlock()
}
