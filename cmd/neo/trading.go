package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"neoapi"
	"neoapi/trade"
)

// tradeFlags say with whose session a command trades.
type tradeFlags struct {
	wayFlags
	Session fileFlag `embed:""`
}

// client returns a client with the saved session, which counts its requests together
// with the programs that use the same file.
func (f *tradeFlags) client() (*trade.Client, savedLogin, error) {
	saved, _, err := f.Session.load()
	if err != nil {
		return nil, saved, err
	}
	if ended(saved.Session) {
		return nil, saved, sessionEnded("trade")
	}
	if p, _ := f.Session.profile(); f.CA == "" && sameService(p.Environment, saved.Environment) {
		f.CA = p.CA
	}
	cfg, err := f.config(saved.Environment, saved.ConsumerKey)
	if err != nil {
		return nil, saved, err
	}
	cfg.AccessToken = saved.AccessToken
	client, err := neoapi.New(cfg)
	if err != nil {
		return nil, saved, err
	}
	if err := client.Use(saved.Session); err != nil {
		return nil, saved, err
	}
	f.Session.share(cfg)
	return trade.New(client), saved, nil
}

// marketFlags say where market data comes from: it needs a consumer key, but no login.
type marketFlags struct {
	Env         string `name:"env" env:"NEO_ENV" placeholder:"uat|prod|URL" help:"The service; by default that of the saved session, or of the last login."`
	ConsumerKey string `env:"NEO_CONSUMER_KEY" help:"Consumer key of the application; by default that of the saved session, or of the last login."`
	tradeFlags
}

// client returns a client with the saved session if there is one for this service, and
// otherwise with the consumer key alone.
func (f *marketFlags) client() (*trade.Client, error) {
	saved, _, err := f.Session.load()
	none := noSession("")
	if err != nil && !errors.As(err, &none) {
		return nil, err
	}
	if err == nil && !ended(saved.Session) && (f.Env == "" || sameService(f.Env, saved.Environment)) {
		client, _, err := f.tradeFlags.client()
		return client, err
	}
	if p, err := f.Session.profile(); err == nil && (f.Env == "" || sameService(f.Env, p.Environment)) {
		f.Env = p.Environment
		if f.ConsumerKey == "" {
			f.ConsumerKey = p.ConsumerKey
		}
		if f.CA == "" {
			f.CA = p.CA
		}
	}
	if f.Env == "" || f.ConsumerKey == "" {
		return nil, usage(errors.New("there is no saved session to ask with: run neo login, or give --env and --consumer-key, which are enough for market data"))
	}
	cfg, err := f.config(f.Env, f.ConsumerKey)
	if err != nil {
		return nil, err
	}
	client, err := neoapi.New(cfg)
	if err != nil {
		return nil, err
	}
	return trade.New(client), nil
}

// playground reports whether no money is at stake at a service: this machine's, or the
// test environment.
func playground(env string) bool {
	if strings.EqualFold(env, string(neoapi.UAT)) {
		return true
	}
	u, err := url.Parse(env)
	return err == nil && (strings.EqualFold(u.Hostname(), "localhost") || net.ParseIP(u.Hostname()).IsLoopback())
}

// consent asks a person before something is sent where money is at stake, or wants
// --yes.
func (t *terminal) consent(ctx context.Context, env, what string, yes bool) error {
	if yes || playground(env) {
		return nil
	}
	if !t.interactive() {
		return usage(fmt.Errorf("%s: this goes to %s, and standard input is not a terminal to ask at: give --yes. Nothing was sent", what, env))
	}
	answer, err := t.ask(ctx, fmt.Sprintf("%s: send it to %s? [y/N]", what, env))
	if err != nil {
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was sent")
	}
	return nil
}

// ask asks a person for a line, which is shown as it is typed.
func (t *terminal) ask(ctx context.Context, prompt string) (string, error) {
	_, _ = fmt.Fprint(t.err, wrap(printable(prompt), width(t.err), 0)+" ")
	type answer struct {
		line string
		err  error
	}
	given := make(chan answer, 1)
	go func() {
		line, err := bufio.NewReader(t.in).ReadString('\n')
		given <- answer{line, err}
	}()
	select {
	case a := <-given:
		return a.line, a.err
	case <-ctx.Done(): // the reader stays blocked; the program is about to end
		return "", ctx.Err()
	}
}

// rupeesFlag is an amount on the command line.
type rupeesFlag struct{ trade.Rupees }

// UnmarshalText parses an amount such as 3500.05.
func (r *rupeesFlag) UnmarshalText(text []byte) (err error) {
	r.Rupees, err = trade.ParseRupees(string(text))
	return err
}

// segmentFlag is a segment on the command line, by any of its names.
type segmentFlag struct{ trade.Segment }

// UnmarshalText parses a segment such as NSE or nse_cm.
func (s *segmentFlag) UnmarshalText(text []byte) (err error) {
	s.Segment, err = trade.ParseSegment(string(text))
	return err
}

// searched are the segments in the order in which a symbol is looked for.
var searched = []trade.Segment{trade.NSE, trade.NFO, trade.BSE, trade.BFO, trade.MCX, trade.CDS}

// instrument returns what a person named: by trading symbol, in the segment given or the
// first that has it, or by segment and token as in nse_cm|11536.
func instrument(ctx context.Context, client *trade.Client, segment trade.Segment, name string) (trade.Instrument, error) {
	if prefix, rest, found := strings.Cut(name, "|"); found {
		s, err := trade.ParseSegment(prefix)
		if err != nil {
			return trade.Instrument{}, usage(err)
		}
		master, err := client.Instruments(ctx, s)
		if err != nil {
			return trade.Instrument{}, err
		}
		return notFound(master.Token(s, rest))
	}
	if prefix, rest, found := strings.Cut(name, ":"); found {
		s, err := trade.ParseSegment(prefix)
		if err != nil {
			return trade.Instrument{}, usage(err)
		}
		segment, name = s, rest
	}
	if segment != "" {
		return notFound(client.Instrument(ctx, segment, name))
	}
	for _, s := range searched {
		i, err := client.Instrument(ctx, s, name)
		if !errors.Is(err, trade.ErrNotFound) {
			return i, err
		}
	}
	return trade.Instrument{}, usage(fmt.Errorf("no instrument has the trading symbol %s: neo instruments %s searches for it", printable(name), quoted(printable(name))))
}

// notFound makes an instrument that does not exist wrong use.
func notFound(i trade.Instrument, err error) (trade.Instrument, error) {
	if errors.Is(err, trade.ErrNotFound) {
		return i, usage(err)
	}
	return i, err
}
