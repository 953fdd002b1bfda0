// Package otelneo makes an OpenTelemetry span of each exchange of a
// neoapi.Client:
//
//	client, err := neoapi.New(neoapi.Config{
//		…
//		Observe: otelneo.Observe(otel.GetTracerProvider()),
//	})
//
// A program that does not import this package does not depend on OpenTelemetry.
package otelneo

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"neoapi"
)

// Observe returns a function for neoapi.Config.Observe whose spans are named "neoapi
// " and the step, such as "neoapi session_2fa". The span of a failed exchange has the
// status Error with the category as its description, and the attributes neo.category,
// neo.code, neo.request_id and http.response.status_code where known. No span
// contains a message from the service or a secret. The function is safe for
// concurrent use if provider is.
func Observe(provider trace.TracerProvider) func(context.Context, string) (context.Context, func(error)) {
	tracer := provider.Tracer("neoapi")
	return func(ctx context.Context, op string) (context.Context, func(error)) {
		ctx, span := tracer.Start(ctx, "neoapi "+op, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attribute.String("neo.op", op)))
		return ctx, func(err error) {
			defer span.End()
			if err == nil {
				return
			}
			e, ok := errors.AsType[*neoapi.Error](err)
			if !ok {
				span.SetStatus(codes.Error, "")
				return
			}
			span.SetStatus(codes.Error, string(e.Category))
			span.SetAttributes(attribute.String("neo.category", string(e.Category)))
			if e.Code != "" {
				span.SetAttributes(attribute.String("neo.code", e.Code))
			}
			if e.RequestID != "" {
				span.SetAttributes(attribute.String("neo.request_id", e.RequestID))
			}
			if e.Status != 0 {
				span.SetAttributes(attribute.Int("http.response.status_code", e.Status))
			}
		}
	}
}
