package paperfeed_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/neoapitest"
)

// limit is a resting order.
func limit(symbol, price string) string {
	return fmt.Sprintf(`{"am":"NO","dq":"0","es":"nse_cm","mp":"0","pc":"CNC","pf":"N","pr":"%s","pt":"L","qt":"1","rt":"DAY","tp":"0","ts":"%s","tt":"B"}`, price, symbol)
}

// book returns the rows of a report by order number, or by trading symbol.
func book(t testing.TB, c *neoapi.Client, path, key string) map[string]row {
	t.Helper()
	var rows []row
	must.Do(t, c.Do(t.Context(), http.MethodGet, path, nil, &rows))
	all := map[string]row{}
	for _, r := range rows {
		all[r[key].(string)] = r
	}
	return all
}

func TestOrderFeed_hasTheKeysOfTheReports(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	c, s := login(t, srv)
	ws := openOrders(t, s)
	number := place(t, c, buyTen)
	var order, position row
	for position == nil {
		switch kind, data := happened(t, ws); kind {
		case "order":
			order = data
		case "position":
			position = data
		default:
			t.Fatalf("a frame of type %q", kind)
		}
	}
	if diff := cmp.Diff(book(t, c, "/quick/user/orders", "nOrdNo")[number], order); diff != "" {
		t.Errorf("-order book +feed:\n%s", diff)
	}
	want := book(t, c, "/quick/user/positions", "trdSym")["TCS-EQ"]
	for key, value := range want { // the feed has numbers as strings
		if n, ok := value.(float64); ok {
			want[key] = fmt.Sprintf("%.0f", n)
		}
	}
	delete(want, "updRecvTm") // in nanoseconds, which a float64 rounds
	if n, ok := position["updRecvTm"].(string); !ok || len(n) != 19 {
		t.Errorf("updRecvTm %v", position["updRecvTm"])
	}
	delete(position, "updRecvTm")
	if diff := cmp.Diff(want, position); diff != "" {
		t.Errorf("-positions +feed:\n%s", diff)
	}
}

func TestOrderFeed_tellsTheStateAgainWhenItIsOpened(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	c, s := login(t, srv)
	srv.Market(t).SetPrice("nse_cm", "TCS-EQ", "3500.00") // what is below rests
	srv.Fund(t, srv.Account.UCC, "100000000.00")
	want := map[string]string{}
	for n := range 520 { // more than are read at once
		want[place(t, c, limit("TCS-EQ", fmt.Sprintf("33%02d.00", n%100)))] = "open"
	}
	want[place(t, c, buyTen)] = "complete"
	cancelled := ""
	for number := range want {
		if want[number] == "open" {
			cancelled = number
			break
		}
	}
	cancel(t, c, cancelled)
	want[cancelled] = "cancelled"

	ws := openOrders(t, s)
	got, positions := map[string]string{}, 0
	for positions == 0 {
		kind, data := happened(t, ws)
		if kind == "position" {
			positions++
			continue
		}
		number := data["nOrdNo"].(string)
		if got[number] != "" {
			t.Errorf("%s came twice", number)
		}
		got[number] = data["ordSt"].(string)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +feed:\n%s", diff)
	}
	number := place(t, c, limit("TCS-EQ", "3300.00"))
	if _, data := happened(t, ws); data["nOrdNo"] != number || data["ordSt"] != "put order req received" {
		t.Errorf("then %v", data)
	}
}

func cancel(t testing.TB, c *neoapi.Client, number string) {
	t.Helper()
	must.Do(t, c.Do(t.Context(), http.MethodPost, "/quick/order/cancel", map[string][]string{"jData": {`{"on":"` + number + `","am":"NO"}`}}, nil))
}

func TestOrderFeed_tellsEachFollowerOfAnAccountTheSameAndNobodyElse(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	c, s := login(t, srv)
	_, again := login(t, srv)
	srv.Market(t).SetPrice("nse_cm", "TCS-EQ", "3500.00") // what is below rests
	all := []*websocket.Conn{openOrders(t, s), openOrders(t, s), openOrders(t, again)}
	var placed []string
	for n := range 30 {
		placed = append(placed, place(t, c, limit("TCS-EQ", fmt.Sprintf("33%02d.00", n))))
	}
	cancel(t, c, placed[0])
	var first []string
	for i, ws := range all {
		var told []string
		for {
			_, data := happened(t, ws)
			told = append(told, data["nOrdNo"].(string)+" "+data["ordSt"].(string))
			if data["ordSt"] == "cancelled" {
				break
			}
		}
		if i == 0 {
			first = told
		} else if diff := cmp.Diff(first, told); diff != "" {
			t.Errorf("feed %d: %s", i, diff)
		}
	}
	numbers := slices.Compact(func() (n []string) {
		for _, told := range first {
			n = append(n, strings.Fields(told)[0])
		}
		return n
	}())
	if diff := cmp.Diff(append(slices.Clone(placed), placed[0]), numbers); diff != "" {
		t.Errorf("the order of what happened: %s", diff)
	}
}

func TestOrderFeed_tellsWhatTheMarketFills(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	c, s := login(t, srv)
	ws := openOrders(t, s)
	// Orders just below the market of shares that move twice a second: nobody asks for
	// anything, and soon one fills.
	resting := 0
	for _, i := range instruments() {
		if i.Segment.String() != "nse_cm" || i.Volume < 100 || resting == 8 {
			continue
		}
		q := quote(t, c, i.Key.String())
		var answer struct {
			Number string `json:"nOrdNo"`
		}
		if err := c.Do(t.Context(), "POST", "/quick/order/rule/ms/place", map[string][]string{"jData": {limit(i.Name, q.Depth.Buy[0].Price)}}, &answer); err == nil && answer.Number != "" {
			resting++
		}
	}
	for {
		if _, data := happened(t, ws); data["ordSt"] == "complete" {
			return
		}
	}
}

func TestOrderFeed_isCompleteAndInOrderWhateverIsPlacedTogether(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	c, s := login(t, srv)
	other, of := login(t, srv) // another session of the account
	feeds := []*websocket.Conn{openOrders(t, s), openOrders(t, s), openOrders(t, of)}
	const each, places = 10, 8
	var placing sync.WaitGroup
	for n := range places {
		placing.Go(func() {
			for range each {
				place(t, []*neoapi.Client{c, other}[n%2], limit("TCS-EQ", "3300.00"))
			}
		})
	}
	want := []string{"put order req received", "validation pending", "open pending", "open"}
	var first []string
	for k, ws := range feeds {
		var all []string
		states := map[string][]string{}
		for opened := 0; opened < each*places; {
			kind, data := happened(t, ws)
			if kind != "order" {
				continue
			}
			number, state := data["nOrdNo"].(string), data["ordSt"].(string)
			all = append(all, number+" "+state)
			if states[number] = append(states[number], state); state == "open" {
				opened++
			}
		}
		for number, got := range states {
			if !slices.Equal(got, want) {
				t.Errorf("feed %d, order %s: %q", k, number, got)
			}
		}
		if k == 0 {
			first = all
		} else if !slices.Equal(first, all) {
			t.Errorf("feed %d has another order of things than the first", k)
		}
	}
	placing.Wait()
}
