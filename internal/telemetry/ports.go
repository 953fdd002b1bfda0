package telemetry

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"neoapi/internal/limit"
	"neoapi/internal/login"
)

// Ports returns the ports with each call measured and, when traces are made, a
// span of its own below its request's.
func (t *Telemetry) Ports(p login.Ports) login.Ports {
	p.Accounts = accounts{p.Accounts, t}
	p.Sessions = sessions{p.Sessions, t}
	p.OMS = oms{p.OMS, t}
	if p.Courier != nil {
		p.Courier = courier{p.Courier, t}
	}
	p.Observe = t.Event
	return p
}

// call measures one call of a port.
func (t *Telemetry) call(ctx context.Context, port, op string, f func(ctx context.Context) error) error {
	var span trace.Span
	if t.tracing && trace.SpanContextFromContext(ctx).IsValid() { // what no request waits for, such as reading the keys again and again, has none
		ctx, span = t.tracer.Start(ctx, port+" "+op, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attribute.String("neo.port", port)))
	}
	start := time.Now()
	err := f(ctx)
	outcome := outcomeOf(err)
	t.ports.WithLabelValues(port, op, outcome).Observe(time.Since(start).Seconds())
	if span != nil {
		span.SetAttributes(attribute.String("neo.outcome", outcome))
		if outcome == "failed" {
			span.SetStatus(codes.Error, "") // what it says could name a person
		}
		span.End()
	}
	return err
}

// outcomeOf tells a refusal, which is an answer, from a failure. A caller that has
// gone away says nothing of the port.
func outcomeOf(err error) string {
	if err == nil {
		return "ok"
	}
	for _, answer := range []error{
		login.ErrNotFound, login.ErrExists, login.ErrLocked, login.ErrStepUsed, login.ErrClaimed, login.ErrTriesUsed, login.ErrClaimLost,
		login.ErrTooMany, login.ErrRefused,
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

// accounts measures [login.Accounts]: what requests ask of it. What operators do
// goes through unmeasured.
type accounts struct {
	login.Accounts
	t *Telemetry
}

func (a accounts) Account(ctx context.Context, id login.Identifier) (login.Account, error) {
	return result(a.t, ctx, "store", "account", func(ctx context.Context) (login.Account, error) { return a.Accounts.Account(ctx, id) })
}

func (a accounts) SetHash(ctx context.Context, account string, f login.Factor, old string, new string) error {
	return a.t.call(ctx, "store", "set_hash", func(ctx context.Context) error { return a.Accounts.SetHash(ctx, account, f, old, new) })
}

func (a accounts) Consumer(ctx context.Context, key string) (login.Consumer, error) {
	return result(a.t, ctx, "store", "consumer", func(ctx context.Context) (login.Consumer, error) { return a.Accounts.Consumer(ctx, key) })
}

func (a accounts) SigningKeys(ctx context.Context) ([]login.SigningKey, error) {
	return result(a.t, ctx, "store", "signing_keys", func(ctx context.Context) ([]login.SigningKey, error) { return a.Accounts.SigningKeys(ctx) })
}

func (a accounts) Record(ctx context.Context, e login.Event) error {
	return a.t.call(ctx, "store", "record", func(ctx context.Context) error { return a.Accounts.Record(ctx, e) })
}

// sessions measures [login.Sessions], likewise.
type sessions struct {
	login.Sessions
	t *Telemetry
}

func (s sessions) State(ctx context.Context, account string) (login.AccountState, error) {
	return result(s.t, ctx, "store", "state", func(ctx context.Context) (login.AccountState, error) { return s.Sessions.State(ctx, account) })
}

func (s sessions) Try(ctx context.Context, t login.Try) error {
	return s.t.call(ctx, "store", "try", func(ctx context.Context) error { return s.Sessions.Try(ctx, t) })
}

func (s sessions) EndTry(ctx context.Context, t login.Try, failed bool, e login.Event) error {
	return s.t.call(ctx, "store", "end_try", func(ctx context.Context) error { return s.Sessions.EndTry(ctx, t, failed, e) })
}

func (s sessions) OpenView(ctx context.Context, v login.Session, totpStep int64, try string, e login.Event) error {
	return s.t.call(ctx, "store", "open_view", func(ctx context.Context) error { return s.Sessions.OpenView(ctx, v, totpStep, try, e) })
}

func (s sessions) Session(ctx context.Context, sid string) (login.Session, error) {
	return result(s.t, ctx, "store", "session", func(ctx context.Context) (login.Session, error) { return s.Sessions.Session(ctx, sid) })
}

func (s sessions) SessionOf(ctx context.Context, account string, tokenID string) (login.Session, error) {
	return result(s.t, ctx, "store", "session_of", func(ctx context.Context) (login.Session, error) {
		return s.Sessions.SessionOf(ctx, account, tokenID)
	})
}

func (s sessions) Revocations(ctx context.Context, after int64, since time.Time, n int) (all []login.Revocation, last int64, err error) {
	err = s.t.call(ctx, "store", "revocations", func(ctx context.Context) error {
		all, last, err = s.Sessions.Revocations(ctx, after, since, n)
		return err
	})
	return all, last, err
}

func (s sessions) PendingView(ctx context.Context, account string, consumer login.Consumer, fresh time.Time, now time.Time) (login.Session, error) {
	return result(s.t, ctx, "store", "pending_view", func(ctx context.Context) (login.Session, error) {
		return s.Sessions.PendingView(ctx, account, consumer, fresh, now)
	})
}

func (s sessions) SetOTP(ctx context.Context, o login.NewOTP) (time.Duration, error) {
	return result(s.t, ctx, "store", "set_otp", func(ctx context.Context) (time.Duration, error) { return s.Sessions.SetOTP(ctx, o) })
}

func (s sessions) DropOTP(ctx context.Context, sid string, otp []byte) error {
	return s.t.call(ctx, "store", "drop_otp", func(ctx context.Context) error { return s.Sessions.DropOTP(ctx, sid, otp) })
}

func (s sessions) Claim(ctx context.Context, c login.Claim) (login.Session, error) {
	return result(s.t, ctx, "store", "claim", func(ctx context.Context) (login.Session, error) { return s.Sessions.Claim(ctx, c) })
}

func (s sessions) Fail(ctx context.Context, sid string, claim string, e login.Event) error {
	return s.t.call(ctx, "store", "fail", func(ctx context.Context) error { return s.Sessions.Fail(ctx, sid, claim, e) })
}

func (s sessions) Refund(ctx context.Context, sid string, claim string, e login.Event) error {
	return s.t.call(ctx, "store", "refund", func(ctx context.Context) error { return s.Sessions.Refund(ctx, sid, claim, e) })
}

func (s sessions) Complete(ctx context.Context, claim string, t login.Session, e login.Event) error {
	return s.t.call(ctx, "store", "complete", func(ctx context.Context) error { return s.Sessions.Complete(ctx, claim, t, e) })
}

func (s sessions) End(ctx context.Context, sid string, tokenID string, e login.Event) error {
	return s.t.call(ctx, "store", "end", func(ctx context.Context) error { return s.Sessions.End(ctx, sid, tokenID, e) })
}

func (s sessions) Take(ctx context.Context, key string, r limit.Rate, n int, now time.Time) (time.Duration, error) {
	return result(s.t, ctx, "store", "take", func(ctx context.Context) (time.Duration, error) { return s.Sessions.Take(ctx, key, r, n, now) })
}

func (s sessions) Sweep(ctx context.Context, now time.Time, n int) (int, error) {
	return result(s.t, ctx, "store", "sweep", func(ctx context.Context) (int, error) { return s.Sessions.Sweep(ctx, now, n) })
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

// Health passes on how the OMS is.
func (o oms) Health() error { return health(o.OMS) }

// health asks a port how it is, if it can tell.
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

// Health passes on how the couriers are.
func (c courier) Health() error { return health(c.Courier) }

// Failures passes on how many codes in a row each of them could not carry; nil if that
// is not known.
func (c courier) Failures() map[string]int {
	if p, ok := c.Courier.(interface{ Failures() map[string]int }); ok {
		return p.Failures()
	}
	return nil
}
