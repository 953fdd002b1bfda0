package telemetry

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"neoapi/internal/argon2"
	"neoapi/internal/browser"
	"neoapi/internal/login"
)

// Feeds adds the number of open live feeds to the metrics, by kind.
func (t *Telemetry) Feeds(open func() map[string]int) {
	t.Gauge("neo_live_feeds", "Open live feeds of the exchange on paper, and connections that have not proved a session.", "feed", func(context.Context) (map[string]float64, bool) {
		n := map[string]float64{}
		for feed, count := range open() {
			n[feed] = float64(count)
		}
		return n, true
	})
}

// Watch adds the metrics that are read from the service at each scrape.
func (t *Telemetry) Watch(s *login.Service) {
	t.Gauge("neo_live_sessions", "Unexpired sessions, of all processes on the store.", "kind", func(ctx context.Context) (map[string]float64, bool) {
		views, trades, err := s.Jobs.Count(ctx, s.Now())
		return map[string]float64{string(login.View): float64(views), string(login.Trade): float64(trades)}, err == nil
	})
	t.Gauge("neo_hash_queue", "Hashes of passwords and MPINs that run or wait.", "factor", func(context.Context) (map[string]float64, bool) {
		first, _, second, _ := s.Queues()
		return map[string]float64{"first": float64(first), "second": float64(second)}, true
	})
	t.Gauge("neo_hash_queue_max", "How many may run and wait: more get 503.", "factor", func(context.Context) (map[string]float64, bool) {
		_, first, _, second := s.Queues()
		return map[string]float64{"first": float64(first), "second": float64(second)}, true
	})
	t.Gauge("neo_hash_kernel", "1 for what computes argon2id: avx512, avx2, or generic for golang.org/x/crypto.", "kernel", func(context.Context) (map[string]float64, bool) {
		return map[string]float64{argon2.Kernel(): 1}, true
	})
	t.Gauge("neo_signer", "1 for what signs tokens: crypto/rsa, or openssl and its version.", "signer", func(context.Context) (map[string]float64, bool) {
		return map[string]float64{s.Signer(): 1}, true
	})
	t.Gauge("neo_part_up", "1 if a part that the service depends on works, 0 if not.", "part", func(ctx context.Context) (map[string]float64, bool) {
		up := map[string]float64{}
		for _, p := range s.Health(ctx) {
			up[p.Name] = 0
			if p.Err == nil {
				up[p.Name] = 1
			}
		}
		return up, true
	})
	if l, ok := s.Log.Handler().(interface{ Lost() uint64 }); ok {
		t.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "neo_log_lines_lost_total", Help: "Lines of the log that were lost because nothing read it, or it could not be written.",
		}, func() float64 { return float64(l.Lost()) }))
	}
	if c, ok := s.Courier.(courier); ok {
		t.couriers(c)
	}
	for _, g := range []struct {
		name, help string
		of         func(q login.Queue) float64
	}{
		{"neo_jobs", "Calls still to be made to the outside: codes to send (code), session ends to report to the OMS (close).", func(q login.Queue) float64 { return float64(q.Length) }},
		{"neo_jobs_oldest_seconds", "How long the oldest of them has waited.", func(q login.Queue) float64 {
			if q.Oldest.IsZero() {
				return 0
			}
			return max(0, s.Now().Sub(q.Oldest).Seconds())
		}},
	} {
		t.Gauge(g.name, g.help, "kind", func(ctx context.Context) (map[string]float64, bool) {
			all := map[string]float64{}
			for _, kind := range []login.JobKind{login.JobCode, login.JobClose} {
				q, err := s.Jobs.Jobs(ctx, kind)
				if err != nil {
					return nil, false
				}
				all[string(kind)] = g.of(q)
			}
			return all, true
		})
	}
	t.Gauge("neo_signing_key_created_seconds", "When the newest signing key was made, in Unix time.", "", func(ctx context.Context) (map[string]float64, bool) {
		keys, err := s.Keys.SigningKeys(ctx)
		if err != nil || len(keys) == 0 {
			return nil, false
		}
		return map[string]float64{"": float64(keys[len(keys)-1].Created.Unix())}, true
	})
}

// couriers adds the metrics of the couriers, by their names.
func (t *Telemetry) couriers(c courier) {
	each := func(of func(failed int) float64) func(context.Context) (map[string]float64, bool) {
		return func(context.Context) (map[string]float64, bool) {
			all := map[string]float64{}
			for name, failed := range c.Failures() {
				all[name] = of(failed)
			}
			return all, true
		}
	}
	t.Gauge("neo_courier_up", "1 if the courier delivered its last code or has had none yet, 0 if not.", "courier", each(func(failed int) float64 {
		if failed > 0 {
			return 0
		}
		return 1
	}))
	t.Gauge("neo_courier_failures", "Codes in a row that the courier could not deliver.", "courier", each(func(failed int) float64 { return float64(failed) }))
}

// Status returns the handler of the operator's own address: /metrics, /livez, and
// /readyz, which names what is wrong with each part. Strangers must not be able to
// reach it, nor their pages in an operator's browser: at the machine's own address it
// refuses hosts that a stranger can register (DNS rebinding). more, if not nil, answers
// below /sandbox/.
func (t *Telemetry) Status(s *login.Service, more http.Handler) http.Handler {
	mux := http.NewServeMux()
	if more != nil {
		mux.Handle("/sandbox/", more)
	}
	mux.Handle("GET /metrics", t.Metrics())
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "alive", nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		status, word := http.StatusOK, "ready"
		parts := map[string]string{}
		for _, p := range s.Health(r.Context()) {
			parts[p.Name] = "ok"
			if p.Err == nil {
				continue
			}
			parts[p.Name] = p.Err.Error()
			if p.Needed {
				status, word = http.StatusServiceUnavailable, "not ready"
			} else if status == http.StatusOK {
				word = "degraded"
			}
		}
		say(w, status, word, parts)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if browser.AtHome(r) && !browser.Unregistrable(browser.Host(r)) {
			say(w, http.StatusForbidden, "the Host header names no host of this address", nil)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func say(w http.ResponseWriter, status int, word string, parts map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Status string            `json:"status"`
		Parts  map[string]string `json:"parts,omitempty"`
	}{word, parts})
}
