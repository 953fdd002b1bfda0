package feed

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"neoapi/trade"
)

var hostileSeeds = flag.Int("hostile", 60, "how many random histories the order feed is told badly")

var (
	restOfRow  = regexp.MustCompile(`"(qty|avgPrc|trdSym|prod|trnsTp|tok)":("[^"]*"|\d+),`)
	priceOfRow = regexp.MustCompile(`"prc":"[^"]*"`)
)

// However the frames of an order come, late, twice, not at all, without all that is
// not needed, over cuts: what is told goes forward alone, once, and to the end.
func TestOrders_toldBadlyGoForwardOnceAndToTheEnd(t *testing.T) {
	states := []struct {
		state  trade.State
		filled int
		price  string
	}{
		{trade.Received, 0, "3500.00"}, {trade.Validating, 0, "3500.00"}, {trade.OpenPending, 0, "3500.00"}, {trade.Open, 0, "3500.00"}, {trade.Open, 3, "3500.00"},
		{trade.ModifyValidating, 3, "3500.00"}, {trade.ModifyPending, 3, "3500.00"}, {trade.Modified, 3, "3501.00"}, {trade.Open, 3, "3501.00"},
		{trade.Open, 7, "3501.00"}, {trade.Complete, 10, "3501.00"},
	}
	for seed := range *hostileSeeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				random := rand.New(rand.NewPCG(uint64(seed), 1))
				var rows []string
				for i, x := range states {
					rows = append(rows, priceOfRow.ReplaceAllString(rowOf(one1, x.state, x.filled, int64(i+1)), `"prc":"`+x.price+`"`))
				}
				st := newStage(t, s, func(c *websocket.Conn, _ int) {})
				got := st.open(t)
				synctest.Wait()
				lean, lost, cuts := random.IntN(3), random.IntN(4), random.IntN(3) == 0
				var late []string
				var sent []string
				send := func(row string) {
					st.send(row)
					sent = append(sent, row)
				}
				for i, row := range rows {
					st.set(func() {
						st.book = []string{row}
						st.histories[one1] = slices.Clone(rows[:i+1])
						slices.Reverse(st.histories[one1])
					})
					if random.IntN(3) < lean {
						row = restOfRow.ReplaceAllString(row, "")
					}
					switch n := random.IntN(10); {
					case n < lost:
					case n == 9:
						late = append(late, row)
						continue
					case n == 8:
						send(row)
						send(row)
					default:
						send(row)
					}
					for _, row := range late {
						send(row)
					}
					late = nil
					if random.IntN(3) == 0 {
						time.Sleep(time.Duration(random.IntN(3000)) * time.Millisecond)
					}
					if cuts && random.IntN(4) == 0 {
						st.now().CloseNow()
						time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
					}
				}
				time.Sleep(time.Minute)
				place, sum, last := -1, int64(0), OrderUpdate{}
				for _, u := range got.orders(one1) {
					at := slices.IndexFunc(states, func(x struct {
						state  trade.State
						filled int
						price  string
					}) bool {
						return x.state == u.State && int64(x.filled) == u.FilledQty && trade.MustRupees(x.price) == u.Price
					})
					if at <= place {
						t.Errorf("%s, filled %d, at %v is the %d. after the %d.", u.State, u.FilledQty, u.Price, at, place)
					}
					place, last = at, u
					sum += u.Fill
				}
				if sum != 10 || last.State != trade.Complete {
					t.Error("it is not told to the end")
				}
				if t.Failed() {
					t.Logf("lean %d, lost %d, cuts %t: %s", lean, lost, cuts, got.story(one1))
					for _, row := range sent {
						t.Log(row)
					}
				}
				st.feed.Close()
			})
		})
	}
}
