package sandbox

import (
	"slices"

	"neoapi/internal/login"
	"neoapi/internal/paperapi"
	"neoapi/internal/paperfeed"
)

// FeedFaultNames are the faults that connections of the feeds can have.
func FeedFaultNames() []string { return paperfeed.FaultNames() }

// checkFeed refuses a fault of a feed that would strike nothing.
func checkFeed(x Fault) error {
	at := paperfeed.FaultAt(x.Fault, x.Op)
	switch {
	case x.Side+x.Tag+x.Text != "":
		return login.Invalid("op", "is a feed: side, tag and text are of trade calls, so this fault would strike none")
	case at == paperfeed.Upgrade && x.Account != "":
		return login.Invalid("account", "is not known before the first frame: this fault would strike none")
	case x.Symbol != "" && (x.Op != paperfeed.OpOrders || at == paperfeed.Upgrade || at == paperfeed.Greeting):
		return login.Invalid("symbol", "is for frames of order_feed, so this fault would strike none")
	case x.N > 1 && at != paperfeed.Frame && at != paperfeed.Update && !paperfeed.InSeconds(x.Fault):
		return login.Invalid("n", "is for faults that strike frames, or that wait")
	}
	return nil
}

// count counts the faults of feeds, so that frames cost no lock while there are none. The
// caller holds the lock.
func (f *Faults) count() {
	n := 0
	for _, x := range f.pending {
		if slices.Contains(paperfeed.Ops(), x.Op) {
			n++
		}
	}
	f.feeds.Store(int32(n))
}

// OfFeed takes the fault that strikes a feed's connection at a moment. One of frames
// strikes every n-th that fits.
func (f *Faults) OfFeed(op string, at paperfeed.Moment, about func() paperapi.Subject) (paperfeed.Fault, bool) {
	if f.feeds.Load() == 0 {
		return paperfeed.Fault{}, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.pending {
		x := &f.pending[i]
		if paperfeed.FaultAt(x.Fault, x.Op) != at || !x.strikes(op, about) {
			continue
		}
		if x.passed++; x.passed < x.N && !paperfeed.InSeconds(x.Fault) {
			continue
		}
		x.passed = 0
		took := f.use(i)
		return paperfeed.Fault{Name: took.Fault, N: took.N}, true
	}
	return paperfeed.Fault{}, false
}
