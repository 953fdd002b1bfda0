package main

import (
	"os"
	"strings"
	"testing"
)

// Every advice to log in, the client's hints included, can be pasted: it names the
// profile.
func TestEveryAdviceToLogInNamesTheProfile(t *testing.T) {
	text, err := os.ReadFile("../../docs/client.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| when | hint | source |")
	table, _, _ = strings.Cut(table, "\nSettings whose form")
	named := terminal{login: "neo login --profile wife"}
	advices := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 {
			continue
		}
		said := flagWords.Replace(cells[2])
		if !strings.Contains(said, "neo login") {
			continue
		}
		advices++
		if got := named.named(said); strings.Count(got, "neo login") != strings.Count(got, "neo login --profile wife") {
			t.Errorf("not to be pasted: %s", got)
		} else if again := named.named(got); again != got {
			t.Errorf("named twice: %s", again)
		}
	}
	if advices < 2 {
		t.Errorf("%d hints advise a login", advices)
	}
}

func TestQuotedWordsAreWhatAShellReads(t *testing.T) {
	for word, want := range map[string]string{
		"wife": "wife", "/home/a/b.json": "/home/a/b.json", "a b": "'a b'", "it's": `'it'\''s'`, "": "''", "$HOME": "'$HOME'", "~/x": "'~/x'", "http://[::1]:9": "'http://[::1]:9'",
	} {
		if got := quoted(word); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
}
