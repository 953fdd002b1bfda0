package main

import (
	"regexp"
	"strings"
	"testing"

	"neoapi"
)

// goName is a name of the client's that nobody types into a shell.
var goName = regexp.MustCompile(`\b(?:[A-Z][a-z]+[A-Z]\w*|Session2FA|Client\.\w+|Config\b|Keeper|TOTPSeed|Environment)`)

// What New says of a configuration names flags.
func TestFailures_speakOfFlagsNotOfGo(t *testing.T) {
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
