package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"neoapi/internal/bounded"
	"neoapi/internal/hostiletest"
	"neoapi/internal/wire"
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

// A list of revocations that has no end, or entries without end, is not believed, and costs
// memory that is bounded.
func TestVerifier_believesNoEndlessListOfRevocations(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1000)
	revocation := func(n int64, id string) wire.Revocation {
		return wire.Revocation{Jti: fmt.Sprint(id, n), Exp: math.MaxInt64}
	}
	for name, page := range map[string]func(after int64) wire.Revocations{
		"pages of nothing": func(after int64) wire.Revocations { return wire.Revocations{Next: after + 1, More: true} },
		"the same page": func(int64) wire.Revocations {
			return wire.Revocations{Revocations: []wire.Revocation{revocation(1, "")}, Next: 1, More: true}
		},
		"pages of one": func(after int64) wire.Revocations {
			return wire.Revocations{Revocations: []wire.Revocation{revocation(1, "")}, Next: after + 1, More: true}
		},
		"long ids": func(after int64) wire.Revocations {
			return wire.Revocations{Revocations: []wire.Revocation{revocation(1, long)}, Next: after + 1}
		},
		"a key with a long id": func(after int64) wire.Revocations { return wire.Revocations{Keys: []string{long}, Next: after} },
		"many keys": func(after int64) wire.Revocations {
			return wire.Revocations{Keys: strings.Fields(strings.Repeat("key ", 10_000)), Next: after}
		},
		"numbers that go up and down": func(after int64) wire.Revocations {
			return wire.Revocations{Revocations: []wire.Revocation{revocation(1, "")}, Next: 2 - after%3, More: true}
		},
		"pages without end": func(after int64) wire.Revocations {
			r := wire.Revocations{Next: after + 10_000, More: true}
			for n := range int64(10_000) {
				r.Revocations = append(r.Revocations, revocation(after+n, ""))
			}
			return r
		},
		"a page without end": func(after int64) wire.Revocations {
			r := wire.Revocations{Next: after + 1}
			for n := range int64(100_000) {
				r.Revocations = append(r.Revocations, revocation(n, ""))
			}
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				after, err := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
				if err != nil || asked.Add(1) > 10_000 {
					w.WriteHeader(http.StatusNotFound)
					return
				}
				_ = json.NewEncoder(w).Encode(page(after))
			}))
			defer srv.Close()
			failed := make(chan error, 1)
			v, err := verify.New(verify.Config{
				Service: srv.URL, ConsumerKey: "key", ConsumerSecret: "s3cret",
				OnError: func(err error) {
					select {
					case failed <- err:
					default:
					}
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			if err := <-failed; err == nil || asked.Load() > 5000 {
				t.Errorf("after %d pages: %v", asked.Load(), err)
			} else {
				t.Log(err)
			}
			if n := verify.Remembered(v); n > 1<<20 {
				t.Errorf("%d revocations are remembered", n)
			}
		})
	}
}
