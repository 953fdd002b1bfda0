package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/net/netutil"

	"neoapi/internal/argon2"
	"neoapi/internal/background"
	"neoapi/internal/front"
	"neoapi/internal/login"
	"neoapi/internal/outward"
	"neoapi/internal/paste"
	"neoapi/internal/serve"
	"neoapi/internal/telemetry"
)

// ruleFlags are the settings that neo serve and neo sandbox share.
type ruleFlags struct {
	Listen       string `default:"127.0.0.1:9155" placeholder:"HOST:PORT" help:"Where to listen; port 0 takes a free one (default ${default})."`
	OTPDigits    int    `name:"otp-digits" default:"6" placeholder:"N" help:"Length of one-time codes, 4 to 8 (default ${default})."`
	SessionTTL   string `name:"session-ttl" default:"1h" placeholder:"1h|day" help:"Life of a trade session: a time, or day for until the day ends, 00:00 IST (default ${default})."`
	ConsumerRate int    `name:"consumer-rate" default:"10" placeholder:"N" help:"Requests a second of one consumer; 0 for no limit (default ${default})."`
	Metrics      string `placeholder:"HOST:PORT" help:"Where to serve /metrics, /livez and /readyz, for operators only."`
	PublicURL    string `name:"public-url" placeholder:"URL" help:"Address at which clients reach this service."`

	Latency    time.Duration `default:"0s" placeholder:"TIME" help:"How long an order takes to the exchange on paper (default ${default})."`
	StopMarket bool          `name:"sl-m" help:"Let the exchange on paper take SL-M orders, which the real service rejects."`
}

// config turns the flags into a configuration, naming every problem at once.
func (f *ruleFlags) config() (serve.Config, error) {
	var cfg serve.Config
	ttl, dayEnds, ttlErr := serve.ParseSessionTTL(f.SessionTTL)
	cfg.OTPDigits, cfg.SessionTTL, cfg.DayEnds = f.OTPDigits, ttl, dayEnds
	cfg.ConsumerRate, cfg.PublicURL = f.ConsumerRate, f.PublicURL
	cfg.Market.Latency, cfg.Market.StopMarket = f.Latency, f.StopMarket
	var digits error
	if f.Latency < 0 || f.Latency > time.Minute {
		digits = errors.New("latency: must be a time up to 1m, such as 50ms")
	}
	if f.OTPDigits == 0 { // the options' zero value would mean the default
		digits = errors.Join(digits, errors.New("OTP digits: 0 is not between 4 and 8"))
	}
	listen, metrics := f.listensAt()
	return cfg, errors.Join(digits, ttlErr, checkAddress(listen), checkAddress(metrics), checkShared(metrics, listen))
}

func (f *ruleFlags) listensAt() (listen, metrics listenAt) {
	return listenAt{"listen", f.Listen}, listenAt{"metrics", f.Metrics}
}

// linger is how long idle connections stay open while the service shuts down. The
// sandbox closes them at once.
const linger = 2 * time.Second

type serveCmd struct {
	configFlag
	Data string `required:"" placeholder:"DIR" help:"Data directory: database and master key; created if it does not exist."`
	databaseFlag
	ruleFlags
	TLSCert        string   `name:"tls-cert" placeholder:"FILE" help:"Certificate with its chain, PEM: the service speaks TLS."`
	TLSKey         string   `name:"tls-key" placeholder:"FILE" help:"The certificate's key, PEM, not readable by others."`
	TrustedProxy   []string `name:"trusted-proxy" placeholder:"ADDRESS|CIDR" help:"Proxies trusted to report the client's address."`
	Couriers       string   `name:"couriers" placeholder:"FILE" help:"Couriers of one-time codes, YAML: SMS gateways and mail servers."`
	OMS            string   `name:"oms" placeholder:"FILE" help:"The OMS, YAML: its home servers or its address; without it all sessions are on server1."`
	MaxConnections int      `name:"max-connections" default:"2048" placeholder:"N" help:"Most connections at once (default ${default})."`
	TradeAPI       string   `name:"trade-api" placeholder:"URL" help:"Address of the trade API, to which calls of valid sessions are forwarded."`
	Paper          bool     `help:"Put the exchange on paper behind the service, as in the sandbox: a test system for a team, without money."`
	Market         string   `hidden:"" placeholder:"FILE" help:"Refused: neo sandbox has it."`
	WrongLogins    int      `default:"30" placeholder:"N" help:"Wrong first factors a minute from one address before it must wait; 0 for no limit (default ${default})."`
	DayEnds        string   `placeholder:"HH:MM" help:"With --session-ttl day: when the sessions of all accounts end, in India (default 00:00)."`
	Admin          string   `placeholder:"unix:PATH|HOST:PORT" help:"Where to serve the admin API: a Unix socket, or TLS with certificates of --admin-ca."`
	AdminCA        string   `name:"admin-ca" placeholder:"FILE" help:"Root certificates that sign operators' certificates, PEM."`
	AdminHost      []string `name:"admin-host" placeholder:"NAME" help:"Host names that operators use, besides the address of --admin and the names in the certificate."`
	Calendar       string   `placeholder:"FILE" help:"With --session-ttl day: file of the days that end at another time, or do not end."`
}

func (serveCmd) Help() string {
	return `Examples:
  neo serve --data /var/lib/neo
  neo serve --data /var/lib/neo --listen 0.0.0.0:9155 --session-ttl day --public-url https://api.example.com
  neo serve --data /var/lib/neo --session-ttl day --day-ends 03:30 --calendar holidays.txt
  neo serve --data /var/lib/neo --listen :443 --tls-cert chain.pem --tls-key key.pem
  neo serve --data /var/lib/neo --trusted-proxy 10.0.0.7,2001:db8:5::/64
  neo serve --data /var/lib/neo --couriers /etc/neo/couriers.yaml --oms /etc/neo/oms.yaml
  neo serve --data /var/lib/neo --admin unix:/run/neo/admin.sock
  neo serve --data /var/lib/neo --trade-api https://trade.example.com
  neo serve --data /var/lib/neo --paper --metrics 127.0.0.1:9156
  NEO_DATABASE=postgres://neo@db.example.com/neo neo serve --data /var/lib/neo

The service starts without accounts: add a consumer and an account with
neo consumer add and neo account add, also while it runs. Without --couriers it
sends no one-time codes: people log in with password and MPIN, or with TOTP and
MPIN. Logs are JSON lines on standard error.

The files of --couriers and --oms are described in docs/couriers.md and
docs/oms.md. They are read and checked at start; a courier or an OMS that does not
answer is noticed only when it is called.

With --paper an exchange on paper is behind the service, as in the sandbox: orders
fill at made-up prices and cost nothing. Prices, money and faults can be changed only
at the address of --metrics, below /sandbox/, which lists the pages. One process has the exchange, so --paper
cannot be combined with --database, or with --trade-api. docs/paper.md describes it.

With --trade-api the service is the gateway to the trade API: calls of valid
sessions are forwarded, without their credentials and with a signed header
Neo-Identity that names the account. Without it trade calls get 503, and a proxy of
your own can ask GET /auth about each call.

Each setting can also be in the environment (--trusted-proxy is
NEO_TRUSTED_PROXY) or in the file that --config names: trusted-proxy: 10.0.0.7. A
flag wins over the environment, and the environment over the file. neo config check
reports what is wrong with a configuration, including its database and master key;
neo config show prints the settings in force.

Under systemd the service reports when it is ready, and uses the socket of a socket
unit in place of --listen. With OTEL_EXPORTER_OTLP_ENDPOINT in the environment it
sends traces there.

The data directory contains neo.db and master.key. Without the key the database
cannot be read: keep a copy of it elsewhere.

With --database the data is in PostgreSQL, and the data directory contains only the
key. Any number of machines can serve one database as one service: copy master.key
from the first one to the others. Give the password in PGPASSWORD, in a file that
PGPASSFILE names, or in the URL if that is in NEO_DATABASE. The server's certificate
is verified as sslmode and sslrootcert in the URL say; PostgreSQL documents them.
Each process opens at most 16 connections, or pool_max_conns in the URL. PgBouncer
may be in between. A start that finds the data locked by another process says by
which after two seconds, and gives up after --lock-wait.

Operators can also use an HTTP API, on a listener of its own: --admin unix:PATH,
protected by the file's permissions, or --admin HOST:PORT, which requires
certificates signed by --admin-ca. docs/operators.md describes it. Host names other
than that address and the names in --tls-cert must be given with --admin-host.

The calendar has a line for each exceptional day: a date, and the time it ends or
none (2026-12-25 none). It is read at start; docs/operators.md has an example.

A new certificate in the same files is used within a second, without a restart. If
the service is behind a proxy, name that with --trusted-proxy: otherwise every
request seems to come from the proxy. A trusted proxy must append the client's
address to X-Forwarded-For, or to Forwarded and then remove X-Forwarded-For.

When all connections are taken, a new one replaces the one that has kept the
service waiting longest. If the limit of open files (ulimit -n) is too low for
--max-connections, the service accepts fewer and says so; if it is too low to work,
the service does not start.

If nobody reads standard error, the service goes on: lines of the log are dropped
after 100 ms, and counted. The audit trail is in the store.

SIGTERM ends the service once running requests have finished and idle connections
have had two seconds for one more. A second SIGTERM ends it at once.`
}

// settings turns the flags into a configuration, naming every problem at once.
func (c *serveCmd) settings(t *terminal) (serve.Config, error) {
	cfg, err := c.config()
	cfg.AddressRate, cfg.Couriers, cfg.OMSFile = c.WrongLogins, c.Couriers, c.OMS
	cfg.Log = t.logger(func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, logTimes(time.UTC)) })
	cfg.TLSCert, cfg.TLSKey, cfg.TrustedProxies = c.TLSCert, c.TLSKey, c.TrustedProxy
	cfg.PaperData = filepath.Join(c.Data, "paper")
	if cfg.Paper = c.Paper; c.Paper && c.Database != "" {
		err = errors.Join(err, errors.New("--paper cannot be combined with --database: one process has the exchange"))
	}
	if c.Market != "" {
		err = errors.Join(err, errNotOthers)
	}
	cfg.TradeAPI, cfg.Admin, cfg.AdminCA, cfg.AdminHosts = c.TradeAPI, c.Admin, c.AdminCA, c.AdminHost
	cfg.Limits.Connections, cfg.Limits.Linger = c.MaxConnections, linger
	err = errors.Join(err, c.days(&cfg))
	listen, metrics := c.listensAt()
	err = errors.Join(err, checkShared(listenAt{"admin", c.Admin}, listen, metrics))
	if c.MaxConnections == 0 { // the limits' zero value would mean the default
		err = errors.Join(err, errors.New("connections: 0 is too few"))
	}
	return cfg, usage(errors.Join(c.wrong, err, cfg.Check()))
}

func (c *serveCmd) Run(ctx context.Context, t *terminal) error {
	t.queue()
	cfg, err := c.settings(t)
	if err != nil {
		return err
	}
	defer tellOnQuit(t)()
	c.notify = func(what string) { cfg.Log.Warn("waiting", "for", what) }
	return start(ctx, c.place(c.Data), c.ruleFlags, cfg, func(url string, _ listening) {
		store := "sqlite"
		if c.Database != "" {
			store = "postgres"
		}
		if c.Paper {
			cfg.Log.Warn("orders are on paper: nothing reaches an exchange")
		}
		cfg.Log.Info("ready", "url", url, "data", c.Data, "store", store)
	})
}

// days configures when days end.
func (c *serveCmd) days(cfg *serve.Config) (err error) {
	if !cfg.DayEnds && (c.DayEnds != "" || c.Calendar != "") {
		err = errors.New("--day-ends and --calendar require --session-ttl day")
	}
	if c.DayEnds != "" {
		var wrong error
		if cfg.Days.At, wrong = login.ParseDayEnd(c.DayEnds); wrong != nil {
			err = errors.Join(err, fmt.Errorf("day ends: %w", wrong))
		}
	}
	if c.Calendar == "" {
		return err
	}
	file, ferr := os.ReadFile(c.Calendar)
	if ferr != nil {
		return errors.Join(err, fmt.Errorf("calendar: %w", ferr))
	}
	text, ferr := paste.Text(file)
	if ferr == nil {
		cfg.Days.Except, ferr = login.ParseCalendar(bytes.NewReader(text))
	}
	if ferr != nil {
		ferr = fmt.Errorf("calendar %s: %w", c.Calendar, ferr)
	}
	return errors.Join(err, ferr)
}

// tracing returns a provider that sends spans to the collector named by
// OTEL_EXPORTER_OTLP_ENDPOINT, or nil if it is not set. flush sends the remaining
// spans.
func tracing(ctx context.Context, log *slog.Logger) (provider trace.TracerProvider, flush func(), err error) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" || os.Getenv("OTEL_SDK_DISABLED") == "true" {
		return nil, func() {}, nil
	}
	otel.SetLogger(logr.FromSlogHandler(log.Handler())) // by default it writes to standard error itself
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces not sent", "cause", err.Error()) }))
	client, err := collector()
	if err != nil {
		return nil, nil, fmt.Errorf("traces: %w", err)
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithHTTPClient(client), otlptracehttp.WithMaxResponseSize(64<<10))
	if err != nil {
		return nil, nil, fmt.Errorf("traces: %w", err)
	}
	who, err := resource.New(ctx, resource.WithAttributes(semconv.ServiceName("neo")), resource.WithFromEnv(), resource.WithHost())
	if err != nil {
		return nil, nil, fmt.Errorf("traces: %w", err)
	}
	spans := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(who))
	return spans, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := spans.Shutdown(ctx); err != nil {
			log.Warn("the last traces not sent", "cause", err.Error())
		}
	}, nil
}

// collector returns the client that calls the collector, configured by OpenTelemetry's
// variables. The exporter's default client would wait forever for a collector that
// switches protocols.
func collector() (*http.Client, error) {
	set := func(name string) string {
		return cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_"+name), os.Getenv("OTEL_EXPORTER_OTLP_"+name))
	}
	cfg, err := outward.TLS(set("CERTIFICATE"), set("CLIENT_CERTIFICATE"), set("CLIENT_KEY"))
	if err != nil {
		return nil, err
	}
	client := outward.Client(cfg)
	client.Timeout = 10 * time.Second
	if ms, err := strconv.Atoi(set("TIMEOUT")); err == nil && ms > 0 {
		client.Timeout = time.Duration(ms) * time.Millisecond
	}
	return client, nil
}

// Garbage is collected when it is twice the size of live memory, and more often
// when memory comes near gcLimit. Live memory is small, so Go's defaults would collect
// dozens of times a second. Memory held for clients would then count three times, so the
// more there is, the sooner garbage is collected, which keeps the heap about the same
// size, but not before it has grown by gcGrowth. The memory of hashes is not in the heap,
// unless golang.org/x/crypto computes them: then each hash discards 19 MiB there, and the
// heap may be larger.
const (
	gcPercent    = 200
	gcLeast      = 10
	gcLeastLarge = 40
	gcLimit      = 256 << 20
	gcGrowth     = 5 << 20          // a collection looks at the stack of every connection, however little there is to collect
	gcRest       = 3 << 20          // live memory besides that held for clients
	gcRestLarge  = 8 << 20          // and where x/crypto computes hashes
	gcCalm       = 10 * time.Second // delay before collecting less often again
)

// tuneMemory tunes the garbage collector, unless the operator has set GOGC or
// GOMEMLIMIT. It returns a function to call with the number of bytes held for
// clients.
func tuneMemory() (held func(bytes int)) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(gcLimit)
	}
	if os.Getenv("GOGC") != "" {
		return nil
	}
	rest, least := gcRest, gcLeast
	if argon2.Kernel() == argon2.Generic {
		rest, least = gcRestLarge, gcLeastLarge
	}
	now, since := gcPercent, time.Now()
	debug.SetGCPercent(now)
	return func(bytes int) {
		percent := max(least, rest*(100+gcPercent)/(rest+bytes)-100, 100*gcGrowth/(rest+bytes))
		switch {
		case percent < now:
		case percent == now || time.Since(since) < gcCalm:
			return
		default:
			runtime.GC() // otherwise past memory use would set the next collection
		}
		now, since = percent, time.Now()
		debug.SetGCPercent(now)
	}
}

// tellOnQuit makes SIGQUIT print goroutine traces and end the process, as in any Go
// program, until stop is called. It prints only the call chains: Go would also print
// argument values from the stacks, which can be parts of secrets (security.md L1).
func tellOnQuit(t *terminal) (stop func()) {
	quit := make(chan os.Signal, 1)
	signal.Notify(quit, syscall.SIGQUIT)
	go func() {
		if _, asked := <-quit; asked {
			var dump bytes.Buffer
			_ = pprof.Lookup("goroutine").WriteTo(&dump, 1)
			_, _ = t.err.Write(dump.Bytes())
			t.flush()
			os.Exit(2) // as Go does
		}
	}()
	return func() {
		signal.Stop(quit)
		close(quit)
	}
}

// start opens the data, listens, reports that it is ready, and serves until the
// context is done.
func start(ctx context.Context, place serve.Place, at ruleFlags, cfg serve.Config, ready func(url string, where listening)) (err error) {
	// A log whose reader has gone must not end the service. SIGPIPE is caught, not
	// ignored, so that a program it runs does not inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	cfg.Limits.Held = tuneMemory()
	cfg.Hashes = runtime.GOMAXPROCS(0)
	background.Room(cfg.Hashes + 1) // plus one for the second factor
	traces, flush, err := tracing(ctx, cfg.Log)
	if err != nil {
		return usage(err)
	}
	defer flush()
	if at.Metrics != "" || traces != nil {
		cfg.Telemetry = telemetry.New(traces)
		cfg.Limits.NotAccepted = cfg.Telemetry.NotAccepted
	}
	operators := operatorsAtOnce
	if limit, known := openFiles(); known {
		if operators, err = filesFor(place, at, cfg).fit(&cfg, limit); err != nil {
			return usage(err)
		}
	}
	var now func() time.Time // the system's
	if cfg.Clock != nil {
		now = cfg.Clock.Now
	}
	data, err := serve.Open(ctx, place, now)
	if err != nil {
		return ofStore(usage(err))
	}
	defer func() { err = errors.Join(err, data.Close()) }()
	listener, err := listen(at.Listen, "--listen")
	if err != nil {
		return err
	}
	tcp := listener.Addr().(*net.TCPAddr)
	where := reachable(tcp)
	url := "http://" + where.at
	if cfg.TLSCert != "" {
		url = "https://" + where.at
	}
	if cfg.Sandbox && cfg.PublicURL == "" && !tcp.IP.IsUnspecified() {
		cfg.PublicURL = url
	}
	server, err := serve.New(ctx, data, cfg)
	if err != nil {
		return usage(errors.Join(err, listener.Close()))
	}
	if at.Metrics != "" {
		stop, err := tell(ctx, at.Metrics, server.Status(), operators, cfg.Log)
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		defer stop()
	}
	runtime.GC() // garbage of the start must not set the next collection
	readSinglePages()
	ready(url, where)
	notify(daemon.SdNotifyReady)
	context.AfterFunc(ctx, func() { notify(daemon.SdNotifyStopping) })
	if err := server.Run(ctx, listener); err != nil {
		return err
	}
	cfg.Log.Info("stopped")
	return nil
}

// notify reports a state to systemd, if that started this process.
func notify(state string) { _, _ = daemon.SdNotify(false, state) }

// listen listens at an address, or uses the socket that systemd holds for this
// process (socket activation): while a new process replaces this one, connections
// wait there and none is refused.
func listen(address, flag string) (net.Listener, error) {
	given, err := activation.Listeners()
	if err != nil {
		return nil, usage(fmt.Errorf("the socket given by systemd: %w", err))
	}
	if len(given) > 0 && given[0] != nil {
		return given[0], nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, usage(fmt.Errorf("%w: give another address with %s", err, flag))
	}
	return l, nil
}

// tell serves the operator's address, with so many connections at once, until stop is
// called.
func tell(ctx context.Context, address string, h http.Handler, atOnce int, log *slog.Logger) (stop func(), err error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, usage(fmt.Errorf("%w: give another address with --metrics", err))
	}
	server := &http.Server{
		Handler: h, ReadTimeout: 5 * time.Second, WriteTimeout: 15 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	log.Info("metrics", "url", "http://"+l.Addr().String()+"/metrics")
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(netutil.LimitListener(front.Spare(l), atOnce)); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the metrics address no longer answers", "cause", err)
		}
	}()
	return func() { _ = server.Close(); <-done }, nil
}
