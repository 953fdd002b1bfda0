package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/paste"
	"neoapi/internal/serve"
)

// Names with characters that nobody sees are refused. Those that were stored before
// are shown so that they are seen, by every command that prints them.
func TestCommands_showStoredNamesWithNothingHidden(t *testing.T) {
	const hidden = "As\u200bha\u2060\u202e\u2800\u3164\ufe0f\U000e0041R"
	dir := t.TempDir()
	d := opened(t, serve.Place{Dir: dir})
	if err := d.ClaimKind(t.Context(), serve.Service); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	a := login.Account{ID: "6f1f7d3a-1c3e-4f6c-8f43-1c2d3e4f5a6b", UCC: "AB1234", UserID: "asha", Mobile: "+919876543210", GreetingName: hidden, PasswordHash: "$argon2id$x", Created: now}
	if err := d.Store.AddAccount(t.Context(), a, login.Event{Time: now, Action: "account added", Outcome: "ok", Account: a.ID, UCC: a.UCC}); err != nil {
		t.Fatal(err)
	}
	if err := d.Store.AddConsumer(t.Context(), login.Consumer{Key: "algo", Name: hidden, SecretHash: []byte("x"), Created: now}, login.Event{Time: now, Action: "consumer added", Outcome: "ok", Consumer: "algo"}); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{
		"account list", "account list --json", "account show AB1234", "account show AB1234 --json", "account export AB1234", "account export --all", "consumer list", "consumer list --json",
		"account set-mpin AB1234 --remove --json", "account show " + hidden,
	} {
		var out, problems bytes.Buffer
		words := strings.Fields(command)
		at := min(2, len(words))
		run(t.Context(), append(append(words[:at:at], "--data", dir), words[at:]...), strings.NewReader(""), &out, &problems)
		text := out.String() + problems.String()
		for _, r := range text {
			if r != '\n' && !paste.Visible(r) {
				t.Errorf("neo %s prints %+q:\n%+q", command, r, text)
				break
			}
		}
		if strings.Contains(command, "list") && !strings.Contains(text, `As\u200bha\u2060\u202e\u2800`) {
			t.Errorf("neo %s does not show the name:\n%s", command, text)
		}
		if strings.HasSuffix(command, "list --json") { // which stays the same JSON
			var object struct{ Name string }
			if err := json.Unmarshal(out.Bytes(), &object); err != nil || object.Name != hidden {
				t.Errorf("neo %s: %+q, %v", command, object.Name, err)
			}
		}
		if command == "account export --all" {
			if rows, err := csv.NewReader(&out).ReadAll(); err != nil || len(rows) != 2 {
				t.Errorf("neo %s: %q, %v", command, rows, err)
			}
		}
	}
}

func TestPrintable_keepsTheJoinersOfANameAndShowsAllOthers(t *testing.T) {
	for given, want := range map[string]string{
		"Asha Räo": "Asha Räo", "क्\u200dष": "क्\u200dष", "ශ්\u200dරී": "ශ්\u200dරී", "a\u200db": `a\u200db`, "a\u00a0b": `a\u00a0b`, "\U000e0041": `\udb40\udc41`, "a\xffb": `a\xffb`, "a\nb": `a\u000ab`,
	} {
		if got := printable(given); got != want {
			t.Errorf("%+q is shown as %q", given, got)
		}
	}
}
