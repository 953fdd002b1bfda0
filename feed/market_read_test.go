package feed

import (
	"errors"
	"flag"
	"iter"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neoapi/internal/must"
	"neoapi/internal/sfeed"
	"neoapi/trade"
)

// pull returns the next update of a loop.
func pull(t *testing.T, next func() (Update, error, bool)) Update {
	t.Helper()
	u, err, ok := next()
	if err != nil || !ok {
		t.Fatalf("the loop ended: %v", err)
	}
	return u
}

func TestUpdates_beginWithThePresentAndConflateWhatIsNotRead(t *testing.T) {
	m, l := offline(t, Quotes(share(0), share(1)))
	feedFrame(t, l, touch(nil, 0, 0))
	quick, stopQuick := iter.Pull2(m.Updates(t.Context()))
	defer stopQuick()
	slow, stopSlow := iter.Pull2(m.Updates(t.Context()))
	defer stopSlow()
	for _, next := range []func() (Update, error, bool){quick, slow} {
		if q := pull(t, next).(Quote); q.Volume != 1_000_000 || q.Skipped != 0 {
			t.Errorf("at first: %+v", q)
		}
	}
	for tick := 1; tick <= 5; tick++ {
		feedFrame(t, l, touch(touch(nil, 0, tick), 1, tick))
		for n := range 2 {
			if q := pull(t, quick).(Quote); q.Volume != 1_000_000+int64(tick) || q.Skipped != 0 || q.Instrument.Token != share(n).Token {
				t.Errorf("tick %d: %+v", tick, q)
			}
		}
	}
	for n := range 2 {
		if q := pull(t, slow).(Quote); q.Volume != 1_000_005 || q.Skipped != 4 || q.Instrument.Token != share(n).Token {
			t.Errorf("the slow loop: %+v", q)
		}
	}
	feedFrame(t, l, touch(nil, 1, 6))
	if q := pull(t, slow).(Quote); q.Skipped != 0 {
		t.Errorf("skipped %d", q.Skipped)
	}
}

func TestUpdates_leaveNothingBehind(t *testing.T) {
	m, l := offline(t, Quotes(share(0)))
	feedFrame(t, l, touch(nil, 0, 0))
	for u, err := range m.Updates(t.Context()) {
		if err != nil || u == nil {
			t.Fatal(err)
		}
		break
	}
	func() {
		defer func() { recover() }()
		for range m.Updates(t.Context()) {
			panic("the program's")
		}
	}()
	if len(m.readers) != 0 {
		t.Errorf("%d readers", len(m.readers))
	}
}

func TestUpdates_forgetWhatNobodyWants(t *testing.T) {
	m, l := offline(t, Quotes(share(0), share(1)))
	next, stop := iter.Pull2(m.Updates(t.Context()))
	defer stop()
	feedFrame(t, l, touch(touch(nil, 0, 0), 1, 0))
	pull(t, next)
	feedFrame(t, l, touch(touch(nil, 0, 1), 1, 1))
	must.Do(t, m.Unsubscribe(Touch, share(1)))
	must.Do(t, m.Subscribe(Touch, share(2))) // in its place
	feedFrame(t, l, touch(touch(nil, 2, 2), 1, 2))
	for _, n := range []int{0, 2} {
		if q := pull(t, next).(Quote); q.Instrument.Token != share(n).Token || q.Skipped != 0 {
			t.Errorf("%+v", q)
		}
	}
	if n := m.counts.unknown.Load(); n != 1 {
		t.Errorf("%d were counted", n)
	}
}

// Losses, gaps, statuses and what is missing are told to a loop that reads late, however
// many there were.
func TestUpdates_sumUpWhatIsNotRead(t *testing.T) {
	m, l := offline(t, Quotes(share(0)))
	next, stop := iter.Pull2(m.Updates(t.Context()))
	defer stop()
	feedFrame(t, l, touch(nil, 0, 0))
	pull(t, next)
	at := func(minute int) time.Time { return time.Date(2027, time.March, 2, 10, minute, 0, 0, trade.IST) }
	m.mu.Lock()
	for minute := range 10_000 {
		m.tell(Lost{At: at(2 * minute), Err: errors.New("cut")})
		m.tell(Status{Segment: trade.NSE, State: MarketState(100 + minute)})
		m.tell(Status{Segment: trade.NSE, State: BandRevised})
		m.tell(Missing{Instruments: []trade.Instrument{share(minute % 40)}})
		m.tell(Gap{From: at(2 * minute), To: at(2*minute + 1)})
	}
	m.tell(Lost{At: at(20_000)})
	m.mu.Unlock()
	var first, last time.Time
	var losses, gaps, states, revised int
	missing := map[string]bool{}
	for range maxEvents + 5 {
		if len(m.readers[0].queue) == m.readers[0].head {
			break
		}
		switch u := pull(t, next).(type) {
		case Lost:
			losses++
		case Gap:
			if gaps++; gaps == 1 {
				first = u.From
			}
			last = u.To
		case Status:
			if u.State == BandRevised {
				revised++
			} else {
				states = int(u.State)
			}
		case Missing:
			for _, i := range u.Instruments {
				missing[i.Key()] = true
			}
		}
	}
	if losses == 0 || gaps == 0 || !first.Equal(at(0)) || !last.Equal(at(2*9_999+1)) || states != 10_099 || revised == 0 || len(missing) != 40 {
		t.Errorf("%d losses, %d gaps from %v to %v, state %d, %d missing", losses, gaps, first, last, states, len(missing))
	}
	if n := len(m.readers[0].queue); n > 2000 {
		t.Errorf("%d entries wait", n)
	}
}

func TestUpdates_haveStatusAndAuction(t *testing.T) {
	m, l := offline(t, Quotes(share(0)))
	next, stop := iter.Pull2(m.Updates(t.Context()))
	defer stop()
	status := func(code uint16, text string) []byte {
		s := sfeed.Status{Code: code, Text: []byte(text)}
		return s.Append(nil, sfeed.Header{Exchange: 1})
	}
	auction := func(token, reference int32, imbalance int64) []byte {
		a := sfeed.Auction{Token: token, Reference: reference, Imbalance: imbalance, ImbalanceAtMarket: 7}
		return a.Append(nil, sfeed.Header{Exchange: 1, Auction: 1})
	}
	feedFrame(t, l, touch(nil, 0, 0))
	pull(t, next)
	feedFrame(t, l, status(sfeed.StatusOpen, ""))
	feedFrame(t, l, status(sfeed.StatusOpen, "")) // each connection says so
	feedFrame(t, l, status(sfeed.StatusBandRevised, "N"))
	feedFrame(t, l, status(sfeed.StatusCASStart, ""))
	a := sfeed.Auction{Token: 1000}
	feedFrame(t, l, a.Append(nil, sfeed.Header{Exchange: 1})) // outside of one
	if n := len(m.readers[0].queue); n != m.readers[0].head+3 {
		t.Errorf("%d updates wait", n-m.readers[0].head)
	}
	feedFrame(t, l, auction(1000, 350_000, -50))
	feedFrame(t, l, auction(1000, 350_010, -40)) // the latest wins
	feedFrame(t, l, auction(4711, 350_010, -40))
	at := time.Date(2027, time.March, 2, 10, 30, 0, 0, trade.IST)
	for _, want := range []Update{
		Status{trade.NSE, MarketOpen, "", at}, Status{trade.NSE, BandRevised, "N", at}, Status{trade.NSE, ClosingAuctionStarted, "", at},
		Auction{share(0), rupees("3500.10"), -40, 7, at},
	} {
		if diff := cmp.Diff(want, pull(t, next), cmp.AllowUnexported(trade.Rupees{}, trade.Date{})); diff != "" {
			t.Error(diff)
		}
	}
	if s := m.statuses[1]; s != ClosingAuctionStarted {
		t.Errorf("the market is %v", s)
	}
	for s, text := range map[MarketState]string{MarketOpen: "open", ClosingAuctionEnded: "closing auction ended", 99: "state 99"} {
		if s.String() != text {
			t.Errorf("%d: %s", int(s), s)
		}
	}
}

var readMillions = flag.Int("feed.millions", 0, "how many million frames TestMemory_isBounded... sends; 0: a tenth of one")

// A loop that never reads costs no more after a million frames of 3,000 instruments than
// after the first of each, breaks included.
func TestMemory_isBoundedForALoopThatNeverReads(t *testing.T) {
	m, l := offline(t, Quotes(shares(3000)...))
	stuck := m.join()
	defer m.leave(stuck)
	frames := make([][]byte, 300)
	for i := range 3000 {
		frames[i/10] = touch(frames[i/10], i, 0)
	}
	send := func(frame []byte, n int) {
		for at := 0; at < len(frame); at += len(frame) / 10 {
			later(frame[at:], n)
		}
		feedFrame(t, l, frame)
	}
	for n := range frames {
		send(frames[n], n)
	}
	heap := func() uint64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	before := heap()
	total := max(100_000, *readMillions*1_000_000)
	random := rand.New(rand.NewPCG(1, 2))
	for n := range total {
		if n%1000 == 0 {
			l.down(&ConnectionError{Err: errors.New("cut")}, time.Now())
			l.begin()
			must.Do(t, l.frame(textFrame, []byte(answer), time.Now()))
		}
		send(frames[random.IntN(len(frames))], len(frames)+n)
	}
	after := heap()
	t.Logf("%d frames: %d KB, then %d KB", total, before>>10, after>>10)
	if after > before+2<<20 || len(stuck.queue) > 12_000 {
		t.Errorf("it grew by %d KB; %d entries wait", (int64(after)-int64(before))>>10, len(stuck.queue))
	}
	var quotes, skipped int
	for u := stuck.take(); u != nil; u = stuck.take() {
		if q, ok := u.(Quote); ok {
			quotes, skipped = quotes+1, skipped+q.Skipped
		}
	}
	if quotes != 3000 || quotes+skipped != 10*(total+len(frames)) {
		t.Errorf("%d quotes, %d skipped", quotes, skipped)
	}
}
