package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"neoapi/trade"
)

func TestConsent_isAskedForWhereMoneyIsAtStake(t *testing.T) {
	t.Parallel()
	for env, plays := range map[string]bool{
		"http://127.0.0.1:9155": true, "http://localhost:9155": true, "http://[::1]:9155": true, "uat": true, "UAT": true,
		"prod": false, "PROD": false, "https://neo.example.com": false, "https://localhost.example.com": false,
	} {
		var said strings.Builder
		term := &terminal{in: strings.NewReader(""), out: io.Discard, err: &said}
		err := term.consent(t.Context(), env, "buy 10 TCS-EQ", false)
		if plays != (err == nil) {
			t.Errorf("%s: %v", env, err)
		}
		if err != nil && (exitCode(t.Context(), err) != exitUsage || !strings.Contains(err.Error(), "--yes") || !strings.Contains(err.Error(), "Nothing was sent")) {
			t.Errorf("%s: %v", env, err)
		}
		if err := term.consent(t.Context(), env, "buy 10 TCS-EQ", true); err != nil {
			t.Errorf("%s with --yes: %v", env, err)
		}
	}
}

// Who interrupts an order is told that it may have been placed.
func TestInterrupt_isNotSilentAboutWhatWasSent(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stopped{os.Interrupt})
	for _, err := range []error{
		&trade.Unknown{Op: "place", Tag: "a-1130", Cause: context.Canceled}, &trade.Unknown{Op: "cancel", Cause: context.Canceled},
		errors.Join(trade.ErrNotPlaced, context.Canceled), errors.Join(trade.ErrUnchanged, context.Canceled),
	} {
		if silent(ctx, err) {
			t.Errorf("%v: nothing is said", err)
		}
		if code := exitCode(ctx, err); code != exitSignal+2 {
			t.Errorf("%v: exit code %d", err, code)
		}
	}
	if !silent(ctx, context.Canceled) {
		t.Error("Ctrl-C in a read needs no message")
	}
}

func TestAmounts_areGroupedAsInIndia(t *testing.T) {
	t.Parallel()
	for amount, want := range map[string]string{
		"0.05": "0.05", "999": "999", "1000": "1,000", "3500.05": "3,500.05", "99999.5": "99,999.5", "100000.00": "1,00,000.00",
		"-1234567.89": "-12,34,567.89", "10000000": "1,00,00,000", "-999.00": "-999.00",
	} {
		if got := grouped(amount); got != want {
			t.Errorf("%s: %s, want %s", amount, got, want)
		}
	}
}
