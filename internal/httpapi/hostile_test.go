package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"

	"neoapi/internal/hostiletest"
	"neoapi/neoapitest"
)

// A hostile trade API harms only its callers: an unusable answer is 504 at once, an endless
// one ends with its caller, and no connection stays open.
func TestGateway_hostileTradeAPICostsItsCallersAlone(t *testing.T) {
	t.Parallel()
	noAnswer := []string{
		"a head without end", "a line of the head without end", "answers 103 without end", "answers 100 without end",
		"101 and held", "101 and flooded", "101 with a length, and held", "reset in the head",
	}
	passedOn := []string{"200 and a body without end", "200 and one chunk without end", "200 and a body that does not come", "silent after the request"}
	var modes []hostiletest.Mode
	for _, m := range hostiletest.HTTP() {
		if slices.Contains(append(noAnswer, passedOn...), m.Name) {
			modes = append(modes, m)
		}
	}
	if len(modes) != len(noAnswer)+len(passedOn) {
		t.Fatalf("only %d of these modes exist", len(modes))
	}
	hostiletest.Walk(t, modes, nil, 32<<20, func(s *hostiletest.Server) error {
		srv := neoapitest.NewServer(t, neoapitest.WithTradeAPI("http://"+s.Addr))
		c := consumer(t, srv)
		session := c.trade(t)
		ctx, cancel := context.WithTimeout(t.Context(), s.Patience())
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, "GET", srv.URL+tradePath+"?sId=server1", nil)
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", c.who)
		for i, pairs := 0, session.pairs(); i < len(pairs); i += 2 {
			r.Header.Set(pairs[i], pairs[i+1])
		}
		resp, err := bareClient().Do(r)
		if err != nil {
			return s.Judge(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if slices.Contains(noAnswer, s.Mode.Name) != (resp.StatusCode == http.StatusGatewayTimeout) {
			return fmt.Errorf("answered %s", resp.Status)
		}
		if _, err = io.CopyN(io.Discard, resp.Body, 1<<20); errors.Is(err, io.EOF) {
			return nil
		}
		return s.Judge(err)
	})
}
