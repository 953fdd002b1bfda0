package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"neoapi"
	"neoapi/feed"
	"neoapi/internal/must"
	"neoapi/trade"
)

// A Keeper saves another session just after the one before has ended: a table waits two
// seconds for it, and no longer.
func TestSavedSessions_waitAMomentForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := fileFlag{Path: filepath.Join(t.TempDir(), "session.json")}
		store := must.Get(file.store())(t)
		session := func(sid string) neoapi.Session {
			return neoapi.Session{Token: "token-" + sid, SID: sid, UCC: "AB1234", Environment: "uat"}
		}
		save := func(sid string) { must.Do(t, store.Save(t.Context(), session(sid))) }
		save("first")
		saved, _, err := file.load()
		must.Do(t, err)
		s := (&tradeFlags{Session: file}).sessions(saved)
		got, err := s.Session(t.Context())
		if err != nil || got.SID != "first" {
			t.Fatalf("%q, %v", got.SID, err)
		}
		for _, sid := range []string{"second", "third"} {
			s.Ended(got)
			time.AfterFunc(1500*time.Millisecond, func() {
				if err := store.Clear(t.Context()); err != nil { // for a moment there may be none at all
					t.Error(err)
				}
				time.AfterFunc(70*time.Millisecond, func() {
					if err := store.Save(t.Context(), session(sid)); err != nil {
						t.Error(err)
					}
				})
			})
			if got, err = s.Session(t.Context()); err != nil || got.SID != sid {
				t.Fatalf("%q, %v, want %s", got.SID, err, sid)
			}
		}
		s.Ended(got)
		began := time.Now()
		if _, err := s.Session(t.Context()); !errors.Is(err, neoapi.ErrSessionEnded) || time.Since(began) != 2*time.Second {
			t.Errorf("%v after %v, want ErrSessionEnded after 2s", err, time.Since(began))
		}
		stopped, stop := context.WithCancel(t.Context())
		stop()
		began = time.Now()
		if _, err := s.Session(stopped); err == nil || time.Since(began) != 0 {
			t.Errorf("%v after %v, want an error at once", err, time.Since(began))
		}
	})
}

// Why an order was rejected shows at every width: in the last column where there is room
// for it, and otherwise below the order.
func TestWatchOrders_sayWhyAtEveryWidth(t *testing.T) {
	orders := []feed.OrderUpdate{
		{Order: trade.Order{Number: "261201000000001", Symbol: "TCS-EQ", Segment: trade.NSE, Quantity: 10, State: trade.Rejected, Reason: "RMS: margin exceeds the cash"}},
		{Order: trade.Order{Number: "261201000000002", Symbol: "TCS-EQ", Segment: trade.NSE, Quantity: 10, State: trade.Complete}},
	}
	for _, room := range []int{0, 300, 160, 120, 80, 60, 40, 20} {
		lines, _ := steady(&terminal{}, orderUpdateColumns(), orders, nil, room)
		text := strings.Join(strings.Fields(strings.Join(lines, " ")), " ")
		if !strings.Contains(text, "RMS: margin exceeds the cash") {
			t.Errorf("%d columns: no reason:\n%s", room, strings.Join(lines, "\n"))
		}
		if wide := strings.HasSuffix(lines[0], "REASON"); wide != (room == 0 || room == 300 || room == 160) {
			t.Errorf("%d columns: %s", room, lines[0])
		}
	}
}
