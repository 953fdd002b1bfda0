package main

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"neoapi/internal/hostiletest"
)

// Whatever a trace collector does, sending traces ends within its time, takes little memory
// and leaves no connection open.
func TestTraces_hostileCollectorCostsItsTimeAtMost(t *testing.T) {
	t.Parallel()
	spans := []trace.ReadOnlySpan{tracetest.SpanStub{Name: "neo login"}.Snapshot()}
	hostiletest.Walk(t, hostiletest.HTTP(), nil, 128<<10, func(s *hostiletest.Server) error {
		client, err := collector()
		if err != nil {
			return err
		}
		defer client.CloseIdleConnections()
		exporter, err := otlptracehttp.New(t.Context(), otlptracehttp.WithEndpointURL("http://"+s.Addr),
			otlptracehttp.WithHTTPClient(client), otlptracehttp.WithMaxResponseSize(64<<10), otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}))
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(t.Context(), s.Patience())
		defer cancel()
		err = exporter.ExportSpans(ctx, spans)
		_ = exporter.Shutdown(t.Context())
		return s.Judge(err)
	})
}
