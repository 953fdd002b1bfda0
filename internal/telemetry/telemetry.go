// Package telemetry shows an operator what the service does: Prometheus metrics of
// requests, outcomes and ports, and OpenTelemetry spans of each request and of what it
// waits for. Neither contains a secret or the name of a person; labels come from this
// program's tables, not from clients (security.md L1).
//
// Start with [New]; [Telemetry.Ports] watches the ports of package login,
// [Telemetry.Begin] a request.
package telemetry

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"neoapi/internal/login"
)

// A Telemetry holds the metrics of one service. It is safe for concurrent use.
type Telemetry struct {
	registry *prometheus.Registry
	tracer   trace.Tracer
	tracing  bool

	requests *prometheus.HistogramVec
	events   *prometheus.CounterVec
	ports    *prometheus.HistogramVec
	givenUp  *prometheus.CounterVec

	requestsOf handles[requestLabels, prometheus.Observer]
	eventsOf   handles[eventLabels, prometheus.Counter]
	portsOf    handles[portLabels, prometheus.Observer]

	store failures

	notAccepted prometheus.Counter
}

// Upper bounds of histogram buckets, in seconds: from a cached token to the longest
// that a request may take.
var buckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2, 5, 20}

// New returns the telemetry of a service. Spans go to provider; nil means no spans.
func New(provider trace.TracerProvider) *Telemetry {
	t := &Telemetry{registry: prometheus.NewRegistry(), tracing: provider != nil}
	if provider == nil {
		provider = noop.NewTracerProvider()
	}
	t.tracer = provider.Tracer("neoapi")
	t.requests = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "neo_request_seconds", Help: "Time from a request's head to its answer, by operation and status.", Buckets: buckets,
	}, []string{"op", "status"})
	t.events = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "neo_events_total", Help: "Audit events: logins and second factors by outcome and factor, and what operators do.",
	}, []string{"action", "outcome", "factor"})
	t.ports = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "neo_port_seconds", Help: "Time of calls to the store, the OMS and the couriers, by operation and outcome (ok, refused or failed).", Buckets: buckets,
	}, []string{"port", "op", "outcome"})
	t.givenUp = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "neo_jobs_given_up_total", Help: "Jobs that did not return in their time and were given up, by kind.",
	}, []string{"kind"})
	for _, kind := range []login.JobKind{login.JobCode, login.JobClose} {
		t.givenUp.WithLabelValues(string(kind))
	}
	t.notAccepted = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "neo_connections_not_accepted_total", Help: "Tries to accept a connection for which the process had no file descriptor.",
	})
	t.registry.MustRegister(t.requests, t.events, t.ports, t.givenUp, t.notAccepted, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewBuildInfoCollector())
	return t
}

// Gauge adds a metric whose value read returns at each scrape, for each label. If
// read returns ok = false, because the value is not known now, the sample is omitted,
// as Prometheus recommends, instead of zero.
func (t *Telemetry) Gauge(name, help, label string, read func(ctx context.Context) (values map[string]float64, ok bool)) {
	var labels []string
	if label != "" {
		labels = []string{label}
	}
	t.registry.MustRegister(gauge{prometheus.NewDesc(name, help, labels, nil), label != "", read})
}

type gauge struct {
	desc     *prometheus.Desc
	labelled bool
	read     func(ctx context.Context) (map[string]float64, bool)
}

// scrapeTimeout is how long one metric may take at a scrape.
const scrapeTimeout = 2 * time.Second

func (g gauge) Describe(ch chan<- *prometheus.Desc) { ch <- g.desc }

func (g gauge) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	values, ok := g.read(ctx)
	if !ok {
		return
	}
	for label, v := range values {
		var labels []string
		if g.labelled {
			labels = []string{label}
		}
		ch <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, v, labels...)
	}
}

// Metrics returns the handler of /metrics.
func (t *Telemetry) Metrics() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// Event counts an audit event that was stored.
func (t *Telemetry) Event(e login.Event) {
	t.eventsOf.of(eventLabels{e.Action, e.Outcome, string(e.Factor)}, func(l eventLabels) prometheus.Counter {
		return t.events.WithLabelValues(l.action, l.outcome, l.factor)
	}).Inc()
}

// NotAccepted counts a connection for which there was no file descriptor.
func (t *Telemetry) NotAccepted() { t.notAccepted.Inc() }

// Begin records the start of a request of an operation, and returns the context for
// it; call end with its outcome. A trace that the client began (traceparent, W3C
// Trace Context) is continued.
func (t *Telemetry) Begin(r *http.Request, op string) (ctx context.Context, end func(status int, took time.Duration)) {
	ctx = r.Context()
	var span trace.Span
	if t.tracing {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
		ctx, span = t.tracer.Start(ctx, "neo "+op, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attribute.String("neo.op", op)))
	}
	return ctx, func(status int, took time.Duration) {
		t.requestsOf.of(requestLabels{op, status}, func(l requestLabels) prometheus.Observer {
			return t.requests.WithLabelValues(l.op, strconv.Itoa(l.status))
		}).Observe(took.Seconds())
		if span == nil {
			return
		}
		span.SetAttributes(attribute.Int("http.response.status_code", status))
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, http.StatusText(status))
		}
		span.End()
	}
}
