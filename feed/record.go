package feed

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"neoapi/internal/recording"
	"neoapi/trade"
)

// Record makes a market feed write down what it gets: quotes with both of their times, up
// to five bids and offers, gaps and the markets' status, in some 20 bytes a quote. neo
// sandbox --market replays it; docs/recording.md describes the form. Nothing secret is in
// it. What the feed has is written at least every quarter of a second, by a goroutine of
// its own, so w may block: a feed never waits for it. If w fails, or is too slow for more
// than eight megabytes, the recording ends and the feed tells [NotRecorded]. When the feed
// ends the recording is finished; closing w is up to the program.
func Record(w io.Writer) Option { return func(o *options) { o.record = w } }

// NotRecorded says that the recording which [Record] asked for has ended, and why. The
// feed itself goes on.
type NotRecorded struct {
	At  time.Time
	Err error
}

func (NotRecorded) update() {}

// ErrSlowRecording is why a recording ends whose writer is too slow.
var ErrSlowRecording = errors.New("what is recorded cannot be written as fast as it comes")

// How a recorder writes.
const (
	recordEvery  = 250 * time.Millisecond
	recordAtOnce = 64 << 10 // bytes that are not kept for as long
	recordMost   = 8 << 20  // bytes that wait for the writer at most
)

// A recorder writes down what a market feed gets. Its methods do not block. nil is a
// recorder that writes nothing down.
type recorder struct {
	w    io.Writer
	now  func() time.Time
	wake chan struct{} // of capacity 1: there is much to write
	slow chan struct{} // closed when the writer was too slow

	mu      sync.Mutex
	enc     *recording.Encoder
	waiting []byte // blocks that are to be written
	of      map[recordKey]*recordItem
	picture recording.Quote
	err     error // why nothing more is written down
}

type recordKey struct {
	segment trade.Segment
	token   string
	index   bool
}

type recordItem struct {
	number int
	known  recording.Set // of levels
}

func newRecorder(w io.Writer, service string, now func() time.Time) *recorder {
	if w == nil {
		return nil
	}
	return &recorder{
		w: w, now: now, wake: make(chan struct{}, 1), slow: make(chan struct{}), of: map[recordKey]*recordItem{},
		enc: recording.NewEncoder(recording.Start{Service: service, At: now().UTC()}),
	}
}

// quote writes down a picture.
func (r *recorder) quote(q *Quote) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return
	}
	key := recordKey{q.Instrument.Segment, q.Instrument.Token, q.Instrument.Kind == trade.IndexKind}
	i := r.of[key]
	if i == nil {
		i = &recordItem{number: r.enc.Instrument(recordedInstrument(&q.Instrument))}
		r.of[key] = i
	}
	i.fill(&r.picture, q)
	r.enc.Quote(i.number, q.Received, &r.picture)
	r.added()
}

// tell writes down what an update says that is no quote.
func (r *recorder) tell(u Update) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return
	}
	switch u := u.(type) {
	case Gap:
		r.enc.Gap(u.From, u.To)
		for _, i := range r.of {
			i.known = 0
		}
	case Status:
		r.enc.Status(recording.Status{Segment: string(u.Segment), State: int(u.State), Text: u.Text, At: u.At.UTC()})
	}
	r.added()
}

// added looks whether there is much to write, or too much.
func (r *recorder) added() {
	if r.enc.Full() {
		r.waiting = r.enc.Take(r.waiting)
	}
	if n := r.enc.Size() + len(r.waiting); n > recordMost {
		r.err = ErrSlowRecording
		r.enc, r.waiting, r.of = nil, nil, nil
		close(r.slow)
		return
	} else if n < recordAtOnce {
		return
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// run writes until done is closed, and then the end. It returns why it stopped before.
func (r *recorder) run(done <-chan struct{}) error {
	ticker := time.NewTicker(recordEvery)
	defer ticker.Stop()
	var buffer []byte
	for {
		ended := false
		r.mu.Lock()
		err := r.err
		select {
		case <-done:
			if ended = true; err == nil {
				r.enc.End(r.now())
				r.err = ErrClosed
			}
		default:
		}
		if err == nil {
			r.waiting, buffer = buffer[:0], r.enc.Take(r.waiting)
		}
		r.mu.Unlock()
		if err == nil && len(buffer) > 0 {
			err = write(r.w, buffer)
		}
		if err != nil {
			r.mu.Lock()
			r.err = err
			r.enc, r.waiting, r.of = nil, nil, nil
			r.mu.Unlock()
			return err
		}
		if ended {
			return nil
		}
		select {
		case <-ticker.C:
		case <-r.wake:
		case <-done:
		}
	}
}

// write calls the program's writer, whose panic is an error.
func write(w io.Writer, b []byte) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &ProgramError{Value: v}
		}
	}()
	n, err := w.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// recordedInstrument returns what a recording says of an instrument.
func recordedInstrument(i *trade.Instrument) recording.Instrument {
	price := func(r trade.Rupees) int64 { n, _ := r.TenMillionths(); return n }
	token, _ := strconv.ParseUint(i.Token, 10, 32)
	r := recording.Instrument{
		Segment: string(i.Segment), Token: uint32(token), Symbol: i.Symbol, Name: i.Name, Company: i.Company, ISIN: i.ISIN, Series: i.Series, //nolint:gosec // 32 bits
		Kind: string(i.Kind), Strike: price(i.Strike), Lot: max(0, i.Lot), Tick: max(0, price(i.Tick)), Freeze: i.Freeze, Lower: price(i.Lower), Upper: price(i.Upper),
		Precision: i.Precision, Multiplier: i.Multiplier, GenNum: i.GenNum, GenDen: i.GenDen, PriceNum: i.PriceNum, PriceDen: i.PriceDen,
	}
	if i.Kind == trade.IndexKind {
		r.Symbol = i.QuoteName()
	}
	if i.Expiry != (trade.Date{}) {
		r.Expiry = i.Expiry.String()
	}
	return r
}

// fill makes a picture of a quote: what the quote's level does not have is unknown, and a
// bid or offer that has gone has no quantity.
func (i *recordItem) fill(p *recording.Quote, q *Quote) {
	p.Known = 0
	price := func(f recording.Field, r trade.Rupees) {
		if n, known := r.TenMillionths(); known {
			p.Set(f, n)
		}
	}
	moment := func(f recording.Field, t time.Time) {
		if !t.IsZero() {
			p.Set(f, t.UnixMicro())
		}
	}
	moment(recording.At, q.At)
	moment(recording.LastAt, q.LastAt)
	price(recording.Last, q.Last)
	price(recording.PrevClose, q.PrevClose)
	index := q.Instrument.Kind == trade.IndexKind
	if !index {
		p.Set(recording.LastQty, q.LastQty)
	}
	if q.Level < Touch {
		return
	}
	price(recording.Open, q.Open)
	price(recording.High, q.High)
	price(recording.Low, q.Low)
	price(recording.YearHigh, q.YearHigh)
	price(recording.YearLow, q.YearLow)
	if index {
		return
	}
	price(recording.Average, q.AvgPrice)
	price(recording.Upper, q.Upper)
	price(recording.Lower, q.Lower)
	price(recording.IndicativeClose, q.IndicativeClose)
	p.Set(recording.Volume, q.Volume)
	p.Set(recording.TotalBuy, q.TotalBuy)
	p.Set(recording.TotalSell, q.TotalSell)
	p.Set(recording.OpenInterest, q.OpenInterest)
	i.side(p, q.Bids, recording.BidPrice, recording.BidQty, recording.BidOrders)
	i.side(p, q.Asks, recording.AskPrice, recording.AskQty, recording.AskOrders)
}

func (i *recordItem) side(p *recording.Quote, levels []trade.Level, price, quantity, orders func(int) recording.Field) {
	for k := range recording.Depth {
		if k < len(levels) {
			n, _ := levels[k].Price.TenMillionths()
			p.Set(price(k), n)
			p.Set(quantity(k), levels[k].Quantity)
			p.Set(orders(k), levels[k].Orders)
			i.known |= 1 << quantity(k)
		} else if k == 0 || i.known.Has(quantity(k)) {
			p.Set(price(k), 0)
			p.Set(quantity(k), 0)
			p.Set(orders(k), 0)
		}
	}
}

// record starts the recorder. The error with which it ends is told.
func (m *MarketFeed) record(r *recorder) {
	if r == nil {
		return
	}
	ended := make(chan error, 1)
	m.life.start(func() { ended <- r.run(m.life.ctx.Done()) })
	m.life.start(func() {
		var err error
		select {
		case err = <-ended:
		case <-r.slow: // the writer may never return
			err = ErrSlowRecording
		}
		if err != nil {
			err = fmt.Errorf("feed: the recording has ended: %w", err)
			m.opts.log.LogAttrs(m.life.ctx, slog.LevelError, err.Error())
			m.mu.Lock()
			defer m.mu.Unlock()
			m.unrecorded = &NotRecorded{At: m.client.Now().In(trade.IST), Err: err}
			m.tell(*m.unrecorded)
		}
	})
}
