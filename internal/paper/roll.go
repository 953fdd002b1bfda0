package paper

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"neoapi/internal/paper/ledger"
	"neoapi/internal/paper/listing"
)

// roll ends the day: what rests is cancelled, positions are settled, and the next day
// begins with the orders that came after market hours.
func (x *Exchange) roll() {
	x.flight = nil
	var kept []uint32
	for i := uint32(1); i <= x.orders.n; i++ {
		o := x.orders.at(i)
		switch {
		case o.final():
		case o.state.beforeMarket():
			kept = append(kept, i)
		default:
			x.expel(i, "The day has ended")
		}
	}
	x.buildEvents()
	ending := x.date
	x.ledger.Roll(ledger.Settlement{
		Price: func(i *listing.Instrument) listing.Price {
			if i.Expiry == ending {
				return x.market.Settlement(i)
			}
			return x.market.Close(i, ending)
		},
		Expired: func(i *listing.Instrument) bool { return !i.Expiry.IsZero() && !ending.Before(i.Expiry) },
		Base:    func(i *listing.Instrument) listing.Price { return x.market.Close(i, ending) },
	})
	orders := x.carry(kept)
	x.begin(ending.Add(1))
	x.market.Forget(x.date)
	x.ledger.Base(x.basePrice)
	x.restore(orders)
	if x.cfg.Snapshot != nil && !x.replaying {
		x.cfg.Snapshot(x.snapshot(orders))
	}
	x.goIn()
}

// goIn lets the orders that came after market hours in, in the order of their numbers.
func (x *Exchange) goIn() {
	for i := uint32(1); i <= x.before; i++ {
		o := x.orders.at(i)
		in := x.instruments[o.instrument]
		t := terms{side: o.side(), kind: o.kind, product: o.product, validity: o.validity(), price: o.price, trigger: o.trigger, quantity: o.quantity, disclosed: x.disclosed(o)}
		if text := x.check(in, &t); text != "" {
			x.reject(i, text)
			continue
		}
		protection := 0
		if o.extra != 0 {
			protection = x.extras.at(o.extra).protection
		}
		x.submit(i, protection)
		x.settle(in)
	}
}

// kept is an order that is carried into the next day, with its history.
type kept struct {
	Number   Number        `json:"number"`
	Account  string        `json:"account"`
	Key      listing.Key   `json:"key"`
	Kind     PriceType     `json:"kind"`
	Product  Product       `json:"product"`
	State    State         `json:"state"`
	Modified uint8         `json:"modified,omitempty"`
	Flags    flags         `json:"flags"`
	Price    listing.Price `json:"price,omitempty"`
	Trigger  listing.Price `json:"trigger,omitempty"`
	Quantity int64         `json:"quantity"`
	Tag      string        `json:"tag,omitempty"`
	Source   string        `json:"source,omitempty"`
	Rows     []keptRow     `json:"rows"`
	Extra    *keptExtra    `json:"extra,omitempty"`
	Versions []keptVersion `json:"versions,omitempty"`
}

type keptRow struct {
	Bits uint64   `json:"bits"`
	Kind argument `json:"kind,omitempty"`
	Text string   `json:"text,omitempty"`
}

type keptExtra struct {
	Disclosed  int64         `json:"disclosed,omitempty"`
	Protection int           `json:"protection,omitempty"`
	Stop       listing.Price `json:"stop,omitempty"`
	Target     listing.Price `json:"target,omitempty"`
	Trail      listing.Price `json:"trail,omitempty"`
	Cover      listing.Price `json:"cover,omitempty"`
	Parts      int           `json:"parts,omitempty"`
	Rejection  string        `json:"rejection,omitempty"`
}

type keptVersion struct {
	Price     listing.Price `json:"price,omitempty"`
	Trigger   listing.Price `json:"trigger,omitempty"`
	Quantity  int64         `json:"quantity"`
	Disclosed int64         `json:"disclosed,omitempty"`
	Kind      PriceType     `json:"kind"`
	Validity  Validity      `json:"validity"`
}

// carry takes orders out of the day.
func (x *Exchange) carry(orders []uint32) []kept {
	all := make([]kept, 0, len(orders))
	for _, i := range orders {
		o := x.orders.at(i)
		k := kept{
			Number: o.number, Account: x.accounts[o.account].name, Key: x.instruments[o.instrument].Key, Kind: o.kind, Product: o.product,
			State: o.state, Modified: o.modified, Flags: o.flags, Price: o.price, Trigger: o.trigger, Quantity: o.quantity,
			Tag: x.tagOf(o), Source: x.sources[o.source],
		}
		for _, r := range x.rowsOf(o, o.last, nil) {
			row := keptRow{Bits: x.rows.at(r).bits}
			if a := x.rows.at(r).argument(); a == reasonArgument || a == remarkArgument {
				row.Kind, row.Text = a, x.textAt(x.rows.at(r).index())
			}
			k.Rows = append(k.Rows, row)
		}
		if o.extra != 0 {
			e := x.extras.at(o.extra)
			k.Extra = &keptExtra{e.disclosed, e.protection, e.stop, e.target, e.trail, e.cover, e.parts, x.textAt(e.rejection)}
			for v := e.versions; v != 0; v = x.versions.at(v).before {
				v := x.versions.at(v)
				k.Versions = append(k.Versions, keptVersion{v.price, v.trigger, v.quantity, v.disclosed, v.kind, v.validity})
			}
		}
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b kept) int { return cmp.Compare(a.Number, b.Number) })
	return all
}

// restore empties the day's lists and puts the carried orders in.
func (x *Exchange) restore(orders []kept) {
	x.orders, x.extras, x.versions, x.rows, x.fills = slab[order]{}, slab[extra]{}, slab[version]{}, slab[row]{}, slab[fill]{}
	x.texts, x.tags, x.before, x.sources = nil, tags{}, 0, []string{""}
	clear(x.carried)
	for _, a := range x.accounts {
		a.first, a.last, a.firstFill, a.lastFill = 0, 0, 0, 0
	}
	for k := range orders {
		x.revive(&orders[k])
	}
	x.before = x.orders.n
}

// revive puts a carried order into the day, unless its instrument is not listed any more.
func (x *Exchange) revive(k *kept) {
	in := x.find(k.Key)
	if in == nil {
		return
	}
	o, i := x.orders.add()
	a := x.accountOf(k.Account)
	*o = order{
		number: k.Number, account: a, instrument: in.index, price: k.Price, trigger: k.Trigger, quantity: k.Quantity,
		kind: k.Kind, product: k.Product, state: k.State, modified: k.Modified, flags: k.Flags, source: x.sourceOf(k.Source),
	}
	if k.Tag != "" { // it is kept for the reports, and may be used again
		o.tag, o.tagLen = x.tags.keep(k.Tag), uint8(len(k.Tag))
	}
	for _, r := range k.Rows {
		row, n := x.rows.add()
		row.bits = r.Bits
		row.refer(r.Kind, x.text(r.Text))
		row.before = o.last
		o.last, o.rowAt = n, row.at()
	}
	if k.Extra != nil {
		e := x.rare(o)
		*e = extra{disclosed: k.Extra.Disclosed, protection: k.Extra.Protection, stop: k.Extra.Stop, target: k.Extra.Target, trail: k.Extra.Trail, cover: k.Extra.Cover, parts: k.Extra.Parts, rejection: x.text(k.Extra.Rejection)}
		for n := len(k.Versions) - 1; n >= 0; n-- {
			v := k.Versions[n]
			saved, at := x.versions.add()
			*saved = version{v.Price, v.Trigger, v.Quantity, v.Disclosed, e.versions, v.Kind, v.Validity}
			e.versions = at
		}
	}
	x.carried[k.Number] = i
	x.chain(a, i)
}

// saved is what a day begins with.
type saved struct {
	Version  int            `json:"version"`
	Seed     uint64         `json:"seed"`
	Start    time.Time      `json:"start"`
	Now      int64          `json:"now"`
	Funds    listing.Price  `json:"funds"`
	Latency  time.Duration  `json:"latency"`
	Switches [3]bool        `json:"switches"` // NoHouse, CancelPassive, StopMarket
	Accounts []ledger.State `json:"accounts"`
	Orders   []kept         `json:"orders,omitempty"`
	Market   []byte         `json:"market"`
	Replay   *savedReplay   `json:"replay,omitempty"`
}

const savedVersion = 2

func (x *Exchange) snapshot(orders []kept) []byte {
	c := &x.cfg
	b, err := json.Marshal(saved{
		Version: savedVersion, Seed: c.Seed, Start: c.Start, Now: x.now, Funds: c.Funds, Latency: c.Latency,
		Switches: [3]bool{c.NoHouse, c.CancelPassive, c.StopMarket},
		Accounts: x.ledger.Save(), Orders: orders, Market: x.market.Save(),
		Replay: x.replay.save(),
	})
	if err != nil {
		panic("paper: a snapshot cannot be made: " + err.Error())
	}
	return b
}

// Begin returns a snapshot of an exchange that has just been opened, for [Restore]: what
// a log begins with.
func (x *Exchange) Begin() []byte { return x.snapshot(nil) }

// Restore opens an exchange from a snapshot. All that decides what happens comes from
// there; of the configuration it takes Log and Snapshot.
func Restore(cfg Config, snapshot []byte) (*Exchange, error) {
	var s saved
	if err := json.Unmarshal(snapshot, &s); err != nil {
		return nil, fmt.Errorf("paper: the snapshot cannot be read: %w", err)
	}
	if s.Version != savedVersion {
		return nil, fmt.Errorf("paper: the snapshot has version %d, this program reads version %d", s.Version, savedVersion)
	}
	cfg.Seed, cfg.Start, cfg.Funds, cfg.Latency = s.Seed, s.Start, s.Funds, s.Latency
	cfg.NoHouse, cfg.CancelPassive, cfg.StopMarket = s.Switches[0], s.Switches[1], s.Switches[2]
	x := open(cfg)
	x.begin(listing.DateOf(time.UnixMicro(s.Now)))
	x.now = s.Now
	if err := x.restoreReplay(s.Replay); err != nil {
		return nil, err
	}
	find := func(k listing.Key) (*listing.Instrument, bool) { return x.list().Find(k) }
	if err := x.market.Load(s.Market, find); err != nil {
		return nil, fmt.Errorf("paper: %w", err)
	}
	if err := x.ledger.Restore(s.Accounts, find); err != nil {
		return nil, fmt.Errorf("paper: %w", err)
	}
	for _, a := range s.Accounts {
		x.accountOf(a.UCC)
	}
	x.restore(s.Orders)
	x.replaying = true
	x.goIn()
	x.replaying = false
	x.Events()
	return x, nil
}

// leap goes from the end of the day to the end of a later one before a time, if nothing
// happens in the days between but that carried positions change their value: nobody has
// orders. What they gained day by day is what they gained in all, so a clock that is set
// to another year is followed at once. A day on which a position expires is not left out.
func (x *Exchange) leap(to int64) {
	until, quiet := x.ledger.Quiet()
	if x.orders.n > 0 || !quiet {
		return
	}
	last := listing.DateOf(at(to)).Add(-1)
	if !until.IsZero() && until.Before(last) {
		last = until
	}
	if x.date.Before(last) {
		x.date = last
		x.now = last.Add(1).Start().UnixMicro()
	}
}
