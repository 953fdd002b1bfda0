package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/replay"
	"neoapi/internal/serve"
)

// errNotOthers is why a service gets no recording.
var errNotOthers = errors.New("--market is for neo sandbox on your own machine: prices of an exchange, live or recorded, are not to be given to others")

// openMarket puts a recording into the exchange on paper. What comes through a pipe is
// waited for until it begins.
func (c *sandboxCmd) openMarket(ctx context.Context, t *terminal, cfg *serve.Config) (*replay.Source, error) {
	if host, _, err := net.SplitHostPort(c.Listen); err != nil || !strings.EqualFold(host, "localhost") && !net.ParseIP(host).IsLoopback() {
		return nil, usage(fmt.Errorf("%w: leave --listen at an address of this machine alone, such as 127.0.0.1:9155", errNotOthers))
	}
	now := time.Now
	if cfg.Clock != nil {
		now = cfg.Clock.Now
	}
	name, from := c.Market, io.Reader(nil)
	if c.Market == "-" {
		name, from = "standard input", t.in
	}
	type opened struct {
		source *replay.Source
		err    error
	}
	done := make(chan opened, 1)
	go func() {
		source, err := replay.Open(name, from, now, t.note)
		done <- opened{source, err}
	}()
	var o opened
	select {
	case <-ctx.Done(): // the reader stays blocked; the program is about to end
		return nil, ctx.Err()
	case o = <-done:
	}
	if o.err != nil {
		return nil, usage(o.err)
	}
	cfg.Market.Source = o.source
	if o.source.Live() {
		t.note("the market is what comes from " + name + ", as it comes")
	} else {
		t.note(fmt.Sprintf("the market is that of %s, which was recorded from %s IST and begins now", name, o.source.Began().In(login.IST).Format("2006-01-02 15:04:05")))
	}
	return o.source, nil
}
