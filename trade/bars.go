package trade

import (
	"context"
	"sync"
	"time"
	"weak"

	"neoapi"
)

// A scope is what clients share: those of one service do, but for a service on this
// machine, where each client has its own.
type scope struct {
	service string
	client  weak.Pointer[neoapi.Client]
}

func (t *Client) scope() scope {
	s := scope{service: t.api.Service()}
	if loopback(s.service) {
		s.client = weak.Make(t.api)
	}
	return s
}

// pieceKey names a piece of candles.
type pieceKey struct {
	scope scope
	of    string
	every Interval
	piece piece
}

// maxBars is how many candles are kept, some 20 MB.
const maxBars = 250_000

// bars are the candles of days that are over. The oldest asked for go first.
var bars = barCache{kept: map[pieceKey][]Candle{}}

type barCache struct {
	mu    sync.Mutex
	kept  map[pieceKey][]Candle
	order []pieceKey
	n     int // candles, and one a piece
}

func (b *barCache) get(k pieceKey) ([]Candle, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	have, ok := b.kept[k]
	return have, ok
}

func (b *barCache) put(k pieceKey, candles []Candle) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.kept[k]; ok || len(candles) >= maxBars {
		return
	}
	b.kept[k] = candles
	b.order = append(b.order, k)
	for b.n += len(candles) + 1; b.n > maxBars; b.order = b.order[1:] {
		old := b.order[0]
		b.n -= len(b.kept[old]) + 1
		delete(b.kept, old)
	}
}

const (
	paceBurst = 5
	paceEvery = 2 * time.Second
)

// A pace lets a few calls through at once, and then one in a while. A service on this
// machine bans nobody and needs none.
type pace struct {
	mu   sync.Mutex
	free time.Time // when all of the burst is there again
}

var paces = struct {
	sync.Mutex
	all map[scope]*pace
}{all: map[scope]*pace{}}

func paceOf(s scope) *pace {
	paces.Lock()
	defer paces.Unlock()
	p := paces.all[s]
	if p == nil {
		for k, other := range paces.all {
			if other.idle() {
				delete(paces.all, k)
			}
		}
		p = &pace{}
		paces.all[s] = p
	}
	return p
}

func (p *pace) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().After(p.free)
}

// take counts a call and returns how long it has to wait.
func (p *pace) take(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(paceEvery)
	return max(0, p.free.Sub(now)-paceBurst*paceEvery)
}

func (p *pace) wait(ctx context.Context) error {
	d := p.take(time.Now())
	if d == 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
