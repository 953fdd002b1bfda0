package otelneo_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"neoapi"
	"neoapi/neoapitest"
	"neoapi/otelneo"
	"neoapi/trade"
)

func TestObserve_makesEachExchangeASpanWithoutSecrets(t *testing.T) {
	srv := neoapitest.NewServer(t)
	spans := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(spans))
	c, err := neoapi.New(neoapi.Config{
		Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret, Observe: otelneo.Observe(provider),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, root := provider.Tracer("test").Start(t.Context(), "root")
	if err := c.Login(ctx, neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password}); err != nil {
		t.Fatal(err)
	}
	code := srv.OTP(t)
	if _, err := c.Session2FA(ctx, string('0'+(code[0]-'0'+1)%10)+code[1:]); !errors.Is(err, neoapi.ErrWrongOTP) {
		t.Fatal(err)
	}
	session, err := c.Session2FA(ctx, code)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trade.New(c).Orders(ctx); err != nil {
		t.Fatal(err)
	}
	root.End()

	var names []string
	for _, s := range spans.Ended() {
		if s.Name() == "root" {
			continue
		}
		names = append(names, s.Name()+" "+s.Status().Description)
		if s.Parent().SpanID() != root.SpanContext().SpanID() {
			t.Errorf("%s is not the caller's child", s.Name())
		}
		if failed := s.Status().Code == codes.Error; failed != (s.Status().Description == "wrong OTP") {
			t.Errorf("%s has the status %v", s.Name(), s.Status())
		}
		text := fmt.Sprint(s.Name(), s.Attributes(), s.Events(), s.Status())
		for _, secret := range []string{srv.Account.Password, code, session.Token, srv.ConsumerSecret, srv.Account.Mobile} {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows %q", s.Name(), secret)
			}
		}
		if s.Status().Code == codes.Error {
			set := attribute.NewSet(s.Attributes()...)
			code, _ := set.Value("neo.code")
			status, _ := set.Value("http.response.status_code")
			id, ok := set.Value("neo.request_id")
			if code.AsString() != "10020" || status.AsInt64() != 401 || !ok || id.AsString() == "" {
				t.Errorf("the failed span has %v", s.Attributes())
			}
		}
	}
	want := "neoapi access_token |neoapi login |neoapi otp |neoapi session_2fa wrong OTP|neoapi session_2fa |neoapi orders "
	if got := strings.Join(names, "|"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
