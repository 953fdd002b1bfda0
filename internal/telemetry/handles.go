package telemetry

import "sync"

// handles are the metrics of one vector by their labels. Prometheus hashes the labels and
// makes a slice of them each time it is asked for one.
type handles[K comparable, M any] struct {
	mu  sync.RWMutex
	all map[K]M
}

// of returns the metric of a key, which get returns the first time.
func (h *handles[K, M]) of(key K, get func(K) M) M {
	h.mu.RLock()
	m, ok := h.all[key]
	h.mu.RUnlock()
	if ok {
		return m
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if m, ok = h.all[key]; !ok {
		if h.all == nil {
			h.all = map[K]M{}
		}
		m = get(key)
		h.all[key] = m
	}
	return m
}

// Labels of the vectors.
type (
	requestLabels struct {
		op     string
		status int
	}
	eventLabels struct{ action, outcome, factor string }
	portLabels  struct{ port, op, outcome string }
)
