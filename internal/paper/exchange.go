package paper

import (
	"slices"
	"time"

	"neoapi/internal/paper/book"
	"neoapi/internal/paper/ledger"
	"neoapi/internal/paper/listing"
	"neoapi/internal/paper/tape"
)

// Config configures an [Exchange].
type Config struct {
	Seed  uint64
	Start time.Time     // when the market begins
	Funds listing.Price // what an account begins with

	// Latency is how long a command takes to its effect at the exchange. The command
	// itself returns at once; until then the order is in OpenPending, ModifyPending or
	// CancelPending, and what fills meanwhile has one outcome: NotModified or
	// NotCancelled, then Complete. With 0 the effect is there when the command returns.
	Latency time.Duration

	// NoHouse leaves out the market's own liquidity: accounts trade with each other, and
	// with what the tape prints.
	NoHouse bool

	// CancelPassive decides what happens when an order meets one of its own account: the
	// resting one is cancelled and the new one goes on. Otherwise what is left of the new
	// one is cancelled.
	CancelPassive bool

	// StopMarket allows SL-M orders, which are otherwise rejected.
	StopMarket bool

	// Source, if set, has recorded prices: instruments of which it tells have those.
	Source Source

	// Log, if set, gets each command before it takes effect; [Exchange.Apply] takes it
	// back. If it fails, the command is refused. Snapshot, if set, gets what each new day
	// begins with, for [Restore]: earlier commands need not be kept then.
	Log      func(record []byte) error
	Snapshot func(snapshot []byte)
}

// An Exchange is the market with its accounts. It is not safe for concurrent use.
// Every method that takes the time first brings the market up to it; the market's time
// never goes back, so an earlier time counts as the latest one.
type Exchange struct {
	cfg     Config
	latency int64

	now      int64 // microseconds
	date     listing.Date
	dayStart int64
	dayEnd   int64
	prefix   Number // of the day's order numbers

	market *tape.Market

	// What is traded on the day, which list lists once somebody asks.
	day         *listing.Day
	instruments []*instrument // by the listing's order
	byKey       map[listing.Key]uint32
	active      []uint32    // instruments with something to match, ascending
	recent      *instrument // the one that was asked for last

	ledger   *ledger.Ledger
	accounts []*account
	byName   map[string]uint32
	sources  []string

	// Of the day.
	orders   slab[order]
	extras   slab[extra]
	versions slab[version]
	rows     slab[row]
	fills    slab[fill]
	texts    []string
	tags     tags
	sequence Number
	before   uint32            // how many orders were carried into the day
	carried  map[Number]uint32 // orders of an earlier day

	flight  []inFlight // commands under way, by when they arrive
	born    []birth    // fills of cover and bracket orders whose legs have to be made
	arrival uint64     // counts stops, for their priority
	found   []book.Fill

	replay replay // of a recording

	events    events
	record    []byte
	replaying bool
}

// account is an account's place in the exchange.
type account struct {
	name                string
	money               *ledger.Account
	first, last         uint32 // orders
	firstFill, lastFill uint32
}

// New opens an exchange.
func New(cfg Config) *Exchange {
	x := open(cfg)
	x.begin(listing.DateOf(cfg.Start))
	x.now = cfg.Start.UnixMicro()
	return x
}

// open makes an exchange without a day.
func open(cfg Config) *Exchange {
	x := &Exchange{
		cfg: cfg, latency: cfg.Latency.Microseconds(), market: tape.New(cfg.Seed),
		byName: map[string]uint32{}, carried: map[Number]uint32{}, sources: []string{""},
	}
	x.ledger = ledger.New(cfg.Funds, x.basePrice)
	return x
}

// begin makes a date the present day.
func (x *Exchange) begin(d listing.Date) {
	x.date = d
	x.dayStart = d.Start().UnixMicro()
	x.dayEnd = d.Add(1).Start().UnixMicro()
	x.now = max(x.now, x.dayStart)
	x.prefix = Number((d.Year%100*100+int(d.Month))*100+d.Day) * 1_000_000_000
	x.sequence = 0
	x.day, x.instruments, x.byKey, x.recent = nil, nil, nil, nil
	x.active = x.active[:0]
}

// list returns what is traded on the day. That takes megabytes, so a day on which nobody
// trades does not have it.
func (x *Exchange) list() *listing.Day {
	if x.day != nil {
		return x.day
	}
	x.day = listing.On(x.date)
	if len(x.replay.listed) > 0 {
		x.day = x.day.With(x.replay.listed)
	}
	all := x.day.Instruments()
	x.instruments = make([]*instrument, len(all))
	x.byKey = make(map[listing.Key]uint32, len(all))
	block := make([]instrument, len(all))
	for k, i := range all {
		block[k] = instrument{Instrument: i, index: uint32(k), step: -1, replayed: x.replay.has[i.Key] == i}
		x.instruments[k] = &block[k]
		x.byKey[i.Key] = uint32(k)
	}
	return x.day
}

// Run brings the market up to a time: prices move, orders fill, days roll.
func (x *Exchange) Run(now time.Time) {
	to := now.UnixMicro()
	x.hear(to)
	x.advance(to)
}

func (x *Exchange) advance(to int64) {
	for x.now < to {
		end := min(to, x.dayEnd)
		if len(x.flight) > 0 {
			end = min(end, max(x.flight[0].at, x.now))
		}
		next := end
		if end/stepMicros > x.now/stepMicros {
			for _, k := range x.active {
				next = min(next, x.until(x.instruments[k], next))
			}
		}
		moved := next > x.now
		x.now = next
		if moved && next == x.dayEnd {
			x.leap(to)
			x.roll()
		}
		if moved {
			x.tickDue()
		}
		x.land()
	}
}

// tickDue lets the tape trade in the instruments where that matters now.
func (x *Exchange) tickDue() {
	for k := 0; k < len(x.active); {
		in := x.instruments[x.active[k]]
		if in.due == x.now {
			in.touched()
			in.clear = x.now
			x.tick(in)
		}
		if in.idle() {
			x.active = slices.Delete(x.active, k, k+1)
			continue
		}
		k++
	}
}

// activate makes an instrument tick.
func (x *Exchange) activate(in *instrument) {
	if k, found := slices.BinarySearch(x.active, in.index); !found {
		x.active = slices.Insert(x.active, k, in.index)
	}
}

// accountOf returns an account, which a first command opens.
func (x *Exchange) accountOf(name string) uint32 {
	if k, ok := x.byName[name]; ok {
		return k
	}
	k := uint32(len(x.accounts))
	x.accounts = append(x.accounts, &account{name: name, money: x.ledger.Account(name)})
	x.byName[name] = k
	return k
}

// find returns an instrument that is listed today.
func (x *Exchange) find(k listing.Key) *instrument {
	day := x.list()
	if in := x.recent; in != nil && in.Key == k {
		return in
	}
	if i, ok := x.byKey[k]; ok {
		x.recent = x.instruments[i]
		return x.recent
	}
	i, ok := day.Find(k) // a spot price, which nobody trades
	if !ok {
		return nil
	}
	in := &instrument{Instrument: i, index: uint32(len(x.instruments)), step: -1}
	x.instruments = append(x.instruments, in)
	x.byKey[k] = in.index
	return in
}

// Listing returns what is listed on the day.
func (x *Exchange) Listing(now time.Time) *listing.Day {
	x.Run(now)
	return x.list()
}
