package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"neoapi"
)

// goName is a name of the client's that nobody types into a shell.
var goName = regexp.MustCompile(`\b(?:[A-Z][a-z]+[A-Z]\w*|Session2FA|Client\.\w+|Config\b|Keeper|TOTPSeed|Environment)`)

// Every hint of the table in docs/client.md, and what New says of a configuration,
// can be followed at the command line.
func TestFailuresSpeakOfFlagsNotOfGo(t *testing.T) {
	text, err := os.ReadFile("../../docs/client.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| when | hint | source |")
	table, _, ended := strings.Cut(table, "\nSettings whose form")
	if !found || !ended {
		t.Fatal("docs/client.md has no table of hints")
	}
	hints := 0
	for row := range strings.Lines(table) {
		cells := strings.Split(row, "|")
		if len(cells) != 5 || strings.HasPrefix(cells[1], "-") {
			continue
		}
		hints++
		if said := flagWords.Replace(cells[2]); goName.MatchString(said) {
			t.Errorf("a hint names %q: %s", goName.FindString(said), said)
		}
	}
	if hints < 20 {
		t.Errorf("%d hints in the table", hints)
	}
	for _, cfg := range []neoapi.Config{
		{},
		{Environment: "http://neo.example.com", ConsumerKey: "a:b", ConsumerSecret: `"s"`, AccessToken: "Bearer x"},
		{Environment: "nowhere", ConsumerSecret: "s\x00s"},
		{Environment: "https://u:p@neo.example.com", ConsumerKey: " key"},
	} {
		_, err := neoapi.New(cfg)
		if err == nil {
			t.Fatalf("%v is taken", cfg)
		}
		if said := inFlags(err); goName.MatchString(said) || strings.Contains(said, "new:") {
			t.Errorf("%q names %q", said, goName.FindString(said))
		}
	}
}
