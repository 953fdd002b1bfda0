package main

import (
	"strings"
	"testing"

	"neoapi"
)

// Every advice to log in, the client's hints included, can be pasted: it names the
// profile.
func TestProfile_isNamedInEveryAdviceToLogIn(t *testing.T) {
	named := terminal{login: "neo login --profile wife"}
	for _, e := range []neoapi.Error{
		{Op: "orders", Category: neoapi.ErrSessionEnded, Hint: "log in again", Retry: neoapi.RetryLoginAgain},
		{Op: "session_2fa", Category: neoapi.ErrOMSDown, Hint: "send the same code again: it still works", Retry: neoapi.RetrySame},
		{Op: "otp", Category: neoapi.ErrOTPNotSent, Hint: "ask for another code, or give the MPIN instead", Retry: neoapi.RetryNewCode},
	} {
		got := named.named(inFlags(&e))
		if !strings.Contains(got, "run neo login --profile wife") {
			t.Errorf("not to be pasted: %s", got)
		} else if again := named.named(got); again != got {
			t.Errorf("named twice: %s", again)
		}
	}
}

func TestQuoted_isWhatAShellReads(t *testing.T) {
	for word, want := range map[string]string{
		"wife": "wife", "/home/a/b.json": "/home/a/b.json", "a b": "'a b'", "it's": `'it'\''s'`, "": "''", "$HOME": "'$HOME'", "~/x": "'~/x'", "http://[::1]:9": "'http://[::1]:9'",
	} {
		if got := quoted(word); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
}
