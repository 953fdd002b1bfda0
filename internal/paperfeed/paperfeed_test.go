package paperfeed_test

import (
	"testing"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"neoapi/internal/sfeed"
	"neoapi/neoapitest"
)

func TestOrderFeed_tellsEveryStateInOrder(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	c, s := login(t, srv)
	ws := openOrders(t, s)
	number := place(t, c, buyTen)
	var states []string
	for {
		kind, data := happened(t, ws)
		if kind == "position" {
			if data["trdSym"] != "TCS-EQ" || data["flBuyQty"] != "10" {
				t.Errorf("position: %v", data)
			}
			break
		}
		if data["nOrdNo"] != number {
			t.Errorf("order %v", data["nOrdNo"])
		}
		states = append(states, data["ordSt"].(string))
	}
	if diff := cmp.Diff([]string{"put order req received", "validation pending", "open pending", "open", "complete"}, states); diff != "" {
		t.Error(diff)
	}
}

func TestMarketFeed_sendsWhatMoves(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	_, s := login(t, srv)
	ws := openMarket(t, s)
	say(t, ws, `{"event":"subscribeScrips","inputtoken":"nse_cm|11536,nse_cm|Nifty 50,nse_cm|1","ack_symbol":true}`)
	market := srv.Market(t)
	market.SetPrice("nse_cm", "TCS-EQ", "3500.10")
	var acked, index, moved bool
	for !acked || !index || !moved {
		kind, data := hear(t, ws)
		if kind == websocket.MessageText {
			acked = true
			t.Logf("%s", data)
			continue
		}
		for len(data) > 0 {
			p, rest, err := sfeed.Next(data)
			if err != nil {
				t.Fatal(err)
			}
			data = rest
			switch p.Kind() {
			case sfeed.KindIndex:
				var x sfeed.Index
				x.Decode(p)
				index = string(x.Name) == "Nifty 50"
			case sfeed.KindQuote:
				var q sfeed.Quote
				q.Decode(p)
				moved = moved || q.Last == 350010 && q.Token == 11536
			}
		}
	}
}
