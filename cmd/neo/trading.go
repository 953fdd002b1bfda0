package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
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
	client, saved, err := f.session()
	if err != nil {
		return nil, saved, err
	}
	return trade.New(client), saved, nil
}

// session returns the client that client returns, without what trades.
func (f *tradeFlags) session() (*neoapi.Client, savedLogin, error) {
	saved, path, err := f.Session.load()
	if err != nil {
		return nil, saved, err
	}
	if ended(saved.Session) {
		return nil, saved, sessionEnded("trade")
	}
	if err := saved.lacks(path); err != nil {
		return nil, saved, err
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
	return client, saved, nil
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
	saved, path, err := f.Session.load()
	none := noSession("")
	if err != nil && !errors.As(err, &none) {
		return nil, err
	}
	var lacks error
	if err == nil && !ended(saved.Session) && (f.Env == "" || sameService(f.Env, saved.Environment)) {
		if lacks = saved.lacks(path); lacks == nil {
			client, _, err := f.tradeFlags.client()
			return client, err
		}
		f.Env = cmp.Or(f.Env, saved.Environment) // the key alone is enough
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
	if lacks != nil && f.ConsumerKey == "" {
		return nil, lacks
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

// UnmarshalText parses an amount such as 3500.10.
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

// sideFlag is a side on the command line, in any case.
type sideFlag struct{ trade.Side }

// UnmarshalText parses buy or sell.
func (s *sideFlag) UnmarshalText(text []byte) error {
	switch strings.ToLower(string(text)) {
	case "buy":
		s.Side = trade.SideBuy
	case "sell":
		s.Side = trade.SideSell
	default:
		return fmt.Errorf("must be buy or sell, not %q", text)
	}
	return nil
}

// A count is a whole number above 0 on the command line; 0 is none given.
type count int64

// UnmarshalText parses a whole number above 0.
func (n *count) UnmarshalText(text []byte) error {
	v, err := strconv.ParseInt(string(text), 10, 64)
	if errors.Is(err, strconv.ErrRange) && text[0] != '-' {
		return fmt.Errorf("%s is too large", text)
	}
	if err != nil || v < 1 {
		return fmt.Errorf("must be a whole number above 0, not %q", text)
	}
	*n = count(v)
	return nil
}

// segmentFlags say where a symbol is looked for.
type segmentFlags struct {
	Segment segmentFlag `placeholder:"NSE|BSE|NFO|BFO|MCX|CDS" help:"The segment, which tables call nse_cm, bse_cm, nse_fo, bse_fo, mcx_fo or cde_fo. By default the first that has the symbol: NSE, NFO, BFO, MCX, CDS; never BSE."`
}

// searched are the segments in the order in which a symbol is looked for. Shares at BSE
// have to be named: their symbols are the names by which people mean those at NSE.
var searched = []trade.Segment{trade.NSE, trade.NFO, trade.BFO, trade.MCX, trade.CDS}

// instrument returns what a person named: by trading symbol, in the segment given or the
// first that has it, or by segment and token as in nse_cm|11536.
func (f *segmentFlags) instrument(ctx context.Context, client *trade.Client, name string) (trade.Instrument, error) {
	segment := f.Segment.Segment
	if at := strings.IndexAny(name, "|:"); at >= 0 {
		s, err := trade.ParseSegment(name[:at])
		if err != nil {
			return trade.Instrument{}, usage(err)
		}
		if segment != "" && segment != s {
			return trade.Instrument{}, usage(fmt.Errorf("%s is not in the --segment %s", printable(name), segment))
		}
		if name[at] == '|' {
			master, err := client.Instruments(ctx, s)
			if err != nil {
				return trade.Instrument{}, err
			}
			return notFound(master.Token(s, name[at+1:]))
		}
		segment, name = s, name[at+1:]
	}
	if segment != "" {
		return notFound(inAnyCase(ctx, client, segment, name))
	}
	for _, s := range searched {
		i, err := inAnyCase(ctx, client, s, name)
		if !errors.Is(err, trade.ErrNotFound) {
			return i, err
		}
	}
	if i, err := inAnyCase(ctx, client, trade.BSE, name); !errors.Is(err, trade.ErrNotFound) {
		if err != nil {
			return trade.Instrument{}, err
		}
		return trade.Instrument{}, atBSE(ctx, client, i)
	}
	return trade.Instrument{}, usage(fmt.Errorf("no instrument has the trading symbol %s: neo instruments %s searches for it", printable(name), quoted(printable(name))))
}

// atBSE says that a symbol is one of BSE, and what it may have been meant to be at NSE.
func atBSE(ctx context.Context, client *trade.Client, i trade.Instrument) error {
	said := fmt.Sprintf("%s is the symbol at BSE: name the segment too, as BSE:%s", i.Symbol, i.Symbol)
	master, err := client.Instruments(ctx, trade.NSE)
	if err != nil {
		return err
	}
	for _, n := range master.Find(trade.Search{Name: i.Name, Kind: trade.Share}) {
		if n.Series == "EQ" {
			said = fmt.Sprintf("did you mean %s at NSE? %s", n.Symbol, said)
		}
	}
	return usage(errors.New(said))
}

// inAnyCase returns the instrument with a trading symbol, whatever its case.
func inAnyCase(ctx context.Context, client *trade.Client, s trade.Segment, symbol string) (trade.Instrument, error) {
	i, err := client.Instrument(ctx, s, symbol)
	if !errors.Is(err, trade.ErrNotFound) || symbol == "" {
		return i, err
	}
	master, failed := client.Instruments(ctx, s)
	if failed != nil {
		return i, failed
	}
	for _, found := range master.Find(trade.Search{Text: symbol}) {
		if strings.EqualFold(found.Symbol, symbol) {
			return found, nil
		}
	}
	return i, err
}

// notFound makes an instrument that does not exist wrong use.
func notFound(i trade.Instrument, err error) (trade.Instrument, error) {
	if errors.Is(err, trade.ErrNotFound) {
		return i, usage(err)
	}
	return i, err
}
