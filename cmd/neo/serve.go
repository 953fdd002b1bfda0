package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"syscall"
	"time"

	"neoapi/internal/background"
	"neoapi/internal/login"
	"neoapi/internal/serve"
)

// ruleFlags are the settings that neo serve and neo sandbox share.
type ruleFlags struct {
	Listen       string   `default:"127.0.0.1:9155" placeholder:"HOST:PORT" help:"Where to listen; port 0 takes a free one (default ${default})."`
	OTPDigits    int      `name:"otp-digits" default:"6" placeholder:"N" help:"Length of one-time codes, 4 to 8 (default ${default})."`
	SessionTTL   string   `name:"session-ttl" default:"1h" placeholder:"1h|day" help:"Life of a trade session: a time, or day for until the day ends, 00:00 IST (default ${default})."`
	ConsumerRate int      `name:"consumer-rate" default:"10" placeholder:"N" help:"Requests a second of one consumer; 0 for no limit (default ${default})."`
	PublicURL    string   `name:"public-url" placeholder:"URL" help:"Address at which clients reach this service."`
	Homes        []string `name:"home-servers" default:"server1" placeholder:"NAME" help:"Home servers that the built-in OMS gives to sessions (default ${default})."`
}

// config turns the flags into a configuration, naming every problem at once.
func (f *ruleFlags) config() (serve.Config, error) {
	var cfg serve.Config
	ttl, dayEnds, ttlErr := serve.ParseSessionTTL(f.SessionTTL)
	cfg.OTPDigits, cfg.SessionTTL, cfg.DayEnds = f.OTPDigits, ttl, dayEnds
	cfg.ConsumerRate, cfg.PublicURL, cfg.Homes = f.ConsumerRate, f.PublicURL, f.Homes
	var digits error
	if f.OTPDigits == 0 { // the options' zero value would mean the default
		digits = errors.New("OTP digits: 0 is not between 4 and 8")
	}
	_, _, listen := net.SplitHostPort(f.Listen)
	if listen != nil {
		listen = fmt.Errorf("listen: %q must be a host and a port, such as 127.0.0.1:9155", f.Listen)
	}
	return cfg, errors.Join(digits, ttlErr, listen)
}

// linger is how long connections without a request stay open when the service
// is to end. The sandbox lets them go at once.
const linger = 2 * time.Second

type serveCmd struct {
	Data string `required:"" placeholder:"DIR" help:"Data directory: database and master key; made if it is not there."`
	databaseFlag
	ruleFlags
	TLSCert        string   `name:"tls-cert" placeholder:"FILE" help:"Certificate with its chain, PEM: the service speaks TLS."`
	TLSKey         string   `name:"tls-key" placeholder:"FILE" help:"The certificate's key, PEM, not readable by others."`
	TrustedProxy   []string `name:"trusted-proxy" placeholder:"ADDRESS|CIDR" help:"Proxies that are believed when they say whose request they pass on."`
	MaxConnections int      `name:"max-connections" default:"4096" placeholder:"N" help:"Connections at once (default ${default})."`
	WrongLogins    int      `default:"30" placeholder:"N" help:"Wrong first factors a minute from one address before it must wait; 0 for no limit (default ${default})."`
	DayEnds        string   `placeholder:"HH:MM" help:"With --session-ttl day: when the sessions of all accounts end, in India (default 00:00)."`
	Calendar       string   `placeholder:"FILE" help:"With --session-ttl day: the days that do not end, or at another time."`
}

func (serveCmd) Help() string {
	return `Examples:
  neo serve --data /var/lib/neo
  neo serve --data /var/lib/neo --listen 0.0.0.0:9155 --session-ttl day --public-url https://api.example.com
  neo serve --data /var/lib/neo --session-ttl day --day-ends 03:30 --calendar holidays.txt
  neo serve --data /var/lib/neo --listen :443 --tls-cert chain.pem --tls-key key.pem
  neo serve --data /var/lib/neo --trusted-proxy 10.0.0.7,2001:db8:5::/64
  NEO_DATABASE=postgres://neo@db.example.com/neo neo serve --data /var/lib/neo

The service starts without accounts: add a consumer and an account with
neo consumer add and neo account add, also while it runs. One-time codes cannot
be sent yet: log in with password and MPIN, or with TOTP and MPIN. Trade calls
answer 503. Logs are JSON lines on standard error.

The data directory holds neo.db and master.key. Without the key the database
cannot be read: keep a copy of it elsewhere.

With --database the data are in PostgreSQL, and the data directory holds the key
alone. Any number of machines may serve one database, as one service: copy
master.key from the first one to the others. The password is in PGPASSWORD, in a
file that PGPASSFILE names, or in the URL if that is in NEO_DATABASE. The
server's certificate is verified; sslmode and sslrootcert in the URL say how, as
PostgreSQL documents them. Each process opens at most 16 connections, or as many
as pool_max_conns in the URL says.

The calendar has a line for each day that ends otherwise: a date, and a time or
none (2026-12-25 none). It is read at start; docs/operators.md has an example.

A new certificate in the same files is used within a second, without a restart.
Behind a proxy name it with --trusted-proxy: else every request seems to come
from there. A trusted proxy has to add the client's address at the end of
X-Forwarded-For, or of Forwarded and then remove X-Forwarded-For.

When all connections are taken, a new one replaces the one that has kept the
service waiting longest.

SIGTERM ends the service when the requests under way are finished and the
connections without a request had two seconds for one more. A second one ends it
at once.`
}

func (c *serveCmd) Run(ctx context.Context, t *terminal) error {
	cfg, err := c.config()
	cfg.AddressRate = c.WrongLogins
	cfg.Log = slog.New(slog.NewJSONHandler(t.err, nil))
	cfg.TLSCert, cfg.TLSKey, cfg.TrustedProxies = c.TLSCert, c.TLSKey, c.TrustedProxy
	cfg.Limits.Connections, cfg.Limits.Linger = c.MaxConnections, linger
	err = errors.Join(err, c.days(&cfg))
	if c.MaxConnections == 0 { // the limits' zero value would mean the default
		err = errors.Join(err, errors.New("connections: 0 is too few"))
	}
	if err := errors.Join(err, cfg.Check()); err != nil {
		return usage(err)
	}
	return start(ctx, serve.Place{Dir: c.Data, Database: c.Database}, c.Listen, cfg, func(url string) {
		store := "sqlite"
		if c.Database != "" {
			store = "postgres"
		}
		cfg.Log.Info("ready", "url", url, "data", c.Data, "store", store)
	}, t.err)
}

// days sets when days end.
func (c *serveCmd) days(cfg *serve.Config) (err error) {
	if !cfg.DayEnds {
		if c.DayEnds != "" || c.Calendar != "" {
			return errors.New("day ends, calendar: they mean something with --session-ttl day only")
		}
		return nil
	}
	if c.DayEnds != "" {
		if cfg.Days.At, err = login.ParseDayEnd(c.DayEnds); err != nil {
			err = fmt.Errorf("day ends: %w", err)
		}
	}
	if c.Calendar == "" {
		return err
	}
	file, ferr := os.Open(c.Calendar)
	if ferr != nil {
		return errors.Join(err, fmt.Errorf("calendar: %w", ferr))
	}
	defer func() { _ = file.Close() }() // it was only read
	if cfg.Days.Except, ferr = login.ParseCalendar(file); ferr != nil {
		ferr = fmt.Errorf("calendar %s: %w", c.Calendar, ferr)
	}
	return errors.Join(err, ferr)
}

// tellOnQuit makes SIGQUIT print what the process is doing and end it, as with any
// Go program, until the returned function is called; but only who calls whom. Go
// would print what lies on the stacks too, which can be pieces of secrets (bar L1).
func tellOnQuit(stderr io.Writer) (stop func()) {
	quit := make(chan os.Signal, 1)
	signal.Notify(quit, syscall.SIGQUIT)
	go func() {
		if _, asked := <-quit; asked {
			_ = pprof.Lookup("goroutine").WriteTo(stderr, 1)
			os.Exit(2) // as Go does
		}
	}()
	return func() {
		signal.Stop(quit)
		close(quit)
	}
}

// start opens the data, listens, tells that it is ready, and serves until the
// context ends.
func start(ctx context.Context, place serve.Place, listen string, cfg serve.Config, ready func(url string), stderr io.Writer) (err error) {
	signal.Ignore(syscall.SIGPIPE) // a log that nobody reads any more must not end the service
	defer tellOnQuit(stderr)()
	cfg.Hashes = runtime.GOMAXPROCS(0)
	background.Room(cfg.Hashes + 1) // beside them one of the second factor
	data, err := serve.Open(ctx, place, nil)
	if err != nil {
		return usage(err)
	}
	defer func() { err = errors.Join(err, data.Close()) }()
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return usage(fmt.Errorf("%w: give another address with --listen", err))
	}
	url := "http://" + listener.Addr().String()
	if cfg.TLSCert != "" {
		url = "https://" + listener.Addr().String()
	}
	if cfg.Sandbox && cfg.PublicURL == "" && !listener.Addr().(*net.TCPAddr).IP.IsUnspecified() {
		cfg.PublicURL = url
	}
	server, err := serve.New(ctx, data, cfg)
	if err != nil {
		return usage(errors.Join(err, listener.Close()))
	}
	ready(url)
	return server.Run(ctx, listener)
}
