package main

import (
	"regexp"
	"strings"
	"testing"

	"neoapi"
	"neoapi/trade"
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

// So does what is said of an order.
func TestFailures_ofOrdersSpeakOfFlagsNotOfGo(t *testing.T) {
	api, err := neoapi.New(neoapi.Config{Environment: "http://127.0.0.1:1", ConsumerKey: "key", ConsumerSecret: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	client, price := trade.New(api), trade.MustRupees("100")
	share := trade.Instrument{Segment: trade.NSE, Symbol: "TCS-EQ", Kind: trade.Share, Lot: 5, Tick: trade.MustRupees("0.10"), Freeze: 101}
	leaks := regexp.MustCompile(`\b(Buy|Sell|Slice|Stop|Limit|Market|Place|DayTag)\b`)
	for _, ticket := range []trade.Ticket{
		trade.Buy(share, 500).Market().Product(trade.CNC), trade.Buy(share, 7).Market().Product(trade.CNC),
		trade.Buy(share, 5).Limit(trade.MustRupees("100.03")).Product(trade.CNC), trade.Sell(share, 5).Stop(price, price.Add(price)).Product(trade.CNC),
		trade.Buy(share, 5).Limit(price).Product("X"), trade.Buy(share, 5).Limit(price).Product(trade.CNC).Validity("X"),
		trade.Buy(share, 5).Stop(price, price).Product(trade.CNC).Disclosed(5), trade.Buy(share, 5).Limit(price).Product(trade.CNC).Protection(3),
		trade.Buy(share, 5).Limit(price).Product(trade.CNC).Tag(trade.DayTag("much-too-long-a-label")), trade.Buy(trade.Instrument{Segment: trade.NSE, Symbol: "NIFTY", Kind: trade.IndexKind}, 5).Market().Product(trade.CNC),
	} {
		err := client.Check(t.Context(), ticket)
		if err == nil {
			t.Errorf("%s is taken", ticket)
		} else if said := inFlags(err); leaks.MatchString(said) {
			t.Errorf("%q names %q", said, leaks.FindString(said))
		}
	}
}
