package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os/signal"
	"syscall"

	"neoapi/internal/serve"
)

// ruleFlags are the settings that neo serve and neo sandbox share.
type ruleFlags struct {
	Listen       string   `default:"127.0.0.1:9155" placeholder:"HOST:PORT" help:"Where to listen; port 0 takes a free one (default ${default})."`
	OTPDigits    int      `name:"otp-digits" default:"6" placeholder:"N" help:"Length of one-time codes, 4 to 8 (default ${default})."`
	SessionTTL   string   `name:"session-ttl" default:"1h" placeholder:"1h|day" help:"Life of a trade session: a time, or day for until 00:00 IST (default ${default})."`
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

type serveCmd struct {
	Data string `required:"" placeholder:"DIR" help:"Data directory: database and master key; made if it is not there."`
	ruleFlags
	WrongLogins int `default:"30" placeholder:"N" help:"Wrong first factors a minute from one address before it must wait; 0 for no limit (default ${default})."`
}

func (serveCmd) Help() string {
	return `Examples:
  neo serve --data /var/lib/neo
  neo serve --data /var/lib/neo --listen 0.0.0.0:9155 --session-ttl day --public-url https://api.example.com

The service starts without accounts: add a consumer and an account with
neo consumer add and neo account add, also while it runs. One-time codes cannot
be sent yet: log in with password and MPIN, or with TOTP and MPIN. Trade calls
answer 503. Logs are JSON lines on standard error.

The data directory holds neo.db and master.key. Without the key the database
cannot be read: keep a copy of it elsewhere. SIGTERM ends the service when the
requests under way are finished.`
}

func (c *serveCmd) Run(ctx context.Context, t *terminal) error {
	cfg, err := c.config()
	cfg.AddressRate = c.WrongLogins
	cfg.Log = slog.New(slog.NewJSONHandler(t.err, nil))
	if err := errors.Join(err, cfg.Check()); err != nil {
		return usage(err)
	}
	return start(ctx, c.Data, c.Listen, cfg, func(url string) {
		cfg.Log.Info("ready", "url", url, "data", c.Data)
	}, t.err)
}

// start opens the data, listens, tells that it is ready, and serves until the
// context ends.
func start(ctx context.Context, dir, listen string, cfg serve.Config, ready func(url string), stderr io.Writer) (err error) {
	signal.Ignore(syscall.SIGPIPE) // a log that nobody reads any more must not end the service
	data, err := serve.Open(ctx, dir, nil)
	if err != nil {
		return usage(err)
	}
	defer func() { err = errors.Join(err, data.Close()) }()
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return usage(fmt.Errorf("%w: give another address with --listen", err))
	}
	url := "http://" + listener.Addr().String()
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
