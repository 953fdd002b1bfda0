package telemetry

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"neoapi/internal/login"
)

// Ports returns the ports with each call measured and, when traces are made, a
// span of its own below its request's.
func (t *Telemetry) Ports(p login.Ports) login.Ports {
	p.Directory = directory{p.Directory, t}
	p.Keys = keys{p.Keys, t}
	p.Trail = trail{p.Trail, t}
	p.Sessions = sessions{p.Sessions, t}
	p.Allowances = allowances{p.Allowances, t}
	p.Jobs = jobs{p.Jobs, t}
	p.OMS = oms{p.OMS, t}
	if p.Courier != nil {
		p.Courier = courier{p.Courier, t}
	}
	p.Observe = t.Event
	p.Failing = func() error { return t.store.failing(time.Now()) }
	p.GaveUp = func(kind login.JobKind) { t.givenUp.WithLabelValues(string(kind)).Inc() }
	return p
}

// call measures one call of a port.
func (t *Telemetry) call(ctx context.Context, port, op string, f func(ctx context.Context) error) error {
	var span trace.Span
	if t.tracing && trace.SpanContextFromContext(ctx).IsValid() { // work outside requests, such as polling the keys, has no span
		ctx, span = t.tracer.Start(ctx, port+" "+op, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attribute.String("neo.port", port)))
	}
	start := time.Now()
	err := f(ctx)
	took := time.Since(start)
	outcome := outcomeOf(err)
	t.portsOf.of(portLabels{port, op, outcome}, func(l portLabels) prometheus.Observer {
		return t.ports.WithLabelValues(l.port, l.op, l.outcome)
	}).Observe(took.Seconds())
	if port == "store" {
		t.store.add(op, outcome, err, start.Add(took))
	}
	if span != nil {
		span.SetAttributes(attribute.String("neo.outcome", outcome))
		if outcome == "failed" {
			span.SetStatus(codes.Error, "") // its text could name a person
		}
		span.End()
	}
	return err
}

// outcomeOf distinguishes a refusal, which is an answer, from a failure. A caller
// that has gone away says nothing about the port.
func outcomeOf(err error) string {
	if err == nil {
		return "ok"
	}
	for _, answer := range []error{
		login.ErrNotFound, login.ErrExists, login.ErrLocked, login.ErrStepUsed, login.ErrClaimed, login.ErrTriesUsed, login.ErrClaimLost,
		login.ErrTooMany, login.ErrRefused, login.ErrOvertaken,
	} {
		if errors.Is(err, answer) {
			return "refused"
		}
	}
	if errors.Is(err, context.Canceled) {
		return "cancelled"
	}
	return "failed"
}

func result[T any](t *Telemetry, ctx context.Context, port, op string, f func(ctx context.Context) (T, error)) (v T, err error) {
	err = t.call(ctx, port, op, func(ctx context.Context) error {
		v, err = f(ctx)
		return err
	})
	return v, err
}

// oms measures [login.OMS].
type oms struct {
	login.OMS
	t *Telemetry
}

func (o oms) Open(ctx context.Context, s login.OMSSession) (string, error) {
	return result(o.t, ctx, "oms", "open", func(ctx context.Context) (string, error) { return o.OMS.Open(ctx, s) })
}

func (o oms) Close(ctx context.Context, sid string) error {
	return o.t.call(ctx, "oms", "close", func(ctx context.Context) error { return o.OMS.Close(ctx, sid) })
}

// Health passes on the health of the OMS.
func (o oms) Health() error { return health(o.OMS) }

// health returns a port's own health, if it reports that.
func health(port any) error {
	if p, ok := port.(interface{ Health() error }); ok {
		return p.Health()
	}
	return nil
}

// courier measures [login.Courier].
type courier struct {
	login.Courier
	t *Telemetry
}

func (c courier) Send(ctx context.Context, m login.Message) error {
	return c.t.call(ctx, "courier", "send", func(ctx context.Context) error { return c.Courier.Send(ctx, m) })
}

// Health passes on the health of the couriers.
func (c courier) Health() error { return health(c.Courier) }

// Failures passes on how many codes in a row each courier could not deliver; nil if
// that is not known.
func (c courier) Failures() map[string]int {
	if p, ok := c.Courier.(interface{ Failures() map[string]int }); ok {
		return p.Failures()
	}
	return nil
}
