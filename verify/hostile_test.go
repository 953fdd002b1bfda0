package verify_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"neoapi/internal/bounded"
	"neoapi/internal/hostiletest"
	"neoapi/verify"
)

// Whatever is at the service's address, a Verifier keeps asking, briefly each time, and
// returns ErrUnavailable. Closing it leaves nothing behind.
func TestVerifier_hostileServiceIsUnavailable(t *testing.T) {
	t.Parallel()
	hostiletest.Walk(t, hostiletest.HTTP(), nil, 5<<20, func(s *hostiletest.Server) error {
		transport := bounded.New()
		defer transport.CloseIdleConnections()
		v, err := verify.New(verify.Config{
			Service: "http://" + s.Addr, ConsumerKey: "key", ConsumerSecret: "s3cret",
			HTTPClient: &http.Client{Transport: transport},
		})
		if err != nil {
			return err
		}
		defer v.Close()
		ctx, cancel := context.WithTimeout(t.Context(), s.Patience())
		defer cancel()
		_, err = v.Verify(ctx, "sid", "header.claims.signature")
		if errors.Is(err, verify.ErrInvalid) { // one mode answers properly, with an empty key set
			return nil
		}
		if !errors.Is(err, verify.ErrUnavailable) {
			return fmt.Errorf("got %w", err)
		}
		return s.Judge(err)
	})
}
