package feed

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"neoapi/internal/sfeed"
	"neoapi/trade"
)

// Every time of every update is in IST, wherever the machine is.
func TestUpdates_haveTheirTimesInIST(t *testing.T) {
	was := time.Local
	t.Cleanup(func() { time.Local = was })
	time.Local = time.FixedZone("elsewhere", -3*60*60)
	var all []Update
	broadcast(t, func(t *testing.T, st *station) {
		m := st.market(Quotes(share(0), share(100)), Record(writerFunc(func([]byte) (int, error) { return 0, errors.New("full") })))
		g := read(t.Context(), m)
		time.Sleep(time.Second)
		status := sfeed.Status{Code: sfeed.StatusOpen}
		auction := sfeed.Auction{Token: 1000, Reference: 350_000, Imbalance: 1}
		st.send(st.conn(), auction.Append(status.Append(nil, sfeed.Header{Exchange: 1}), sfeed.Header{Exchange: 1, Auction: 1}))
		time.Sleep(time.Minute)
		st.cut()
		time.Sleep(time.Minute)
		all, _ = g.take()
		m.Close()
	})
	bubble(t, func(t *testing.T, s *service) {
		st := newStage(t, s, nil)
		st.fills(one1, 0, 4)
		got := st.open(t)
		time.Sleep(time.Second)
		st.mu.Lock()
		conn := st.conn
		st.mu.Unlock()
		st.send(rowOf(two2, trade.Received, 0, 5))
		s.say(conn, `{"type":"position","data":{"trdSym":"TCS-EQ","exSeg":"nse_cm","prod":"CNC","tok":"11536","flBuyQty":"1","updRecvTm":1796013000000000000}}`)
		time.Sleep(time.Second)
		conn.CloseNow()
		time.Sleep(time.Minute)
		st.feed.Close()
		<-got.done
		all = append(all, got.all...)
	})
	seen := map[string]int{}
	for _, u := range all {
		seen[fmt.Sprintf("%T", u)] += times(t, fmt.Sprintf("%T", u), reflect.ValueOf(u))
	}
	for _, u := range []Update{Quote{}, Status{}, Auction{}, Lost{}, Gap{}, OrderUpdate{}, PositionUpdate{}, NotRecorded{}, Missing{}} {
		name := fmt.Sprintf("%T", u)
		if n, ok := seen[name]; !ok || n == 0 && name != "feed.Missing" { // which has none
			t.Errorf("%s: seen %t, with %d times", name, ok, n)
		}
	}
}

// times counts the times in a value, all of which have to be in IST.
func times(t *testing.T, what string, v reflect.Value) (n int) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		if !v.CanInterface() {
			return 0
		}
		at := v.Interface().(time.Time)
		if at.IsZero() {
			return 0
		}
		if _, offset := at.Zone(); offset != 5*60*60+30*60 {
			t.Errorf("%s is %v", what, at)
		}
		return 1
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			n += times(t, what+"."+v.Type().Field(i).Name, v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			n += times(t, what, v.Index(i))
		}
	}
	return n
}
