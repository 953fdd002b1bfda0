package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"neoapi/internal/adminapi"
	"neoapi/internal/argon2"
	"neoapi/internal/courier"
	"neoapi/internal/front"
	"neoapi/internal/httpapi"
	"neoapi/internal/login"
	"neoapi/internal/oms"
	"neoapi/internal/operator"
	"neoapi/internal/paper"
	"neoapi/internal/paper/listing"
	"neoapi/internal/paperapi"
	"neoapi/internal/paperfeed"
	"neoapi/internal/sandbox"
	"neoapi/internal/telemetry"
)

// Config configures a service.
type Config struct {
	login.Options
	Homes     []string // home servers; default server1
	OMSFile   string   // the file that describes the OMS, instead of Homes
	Couriers  string   // the file of couriers; without it the service sends no codes
	PublicURL string   // where clients reach this service; "" if not known
	OMS       login.OMS
	Log       *slog.Logger
	Sandbox   bool // demo data, a readable inbox
	Accounts  int  // sandbox: how many more demo accounts

	// Faults are the sandbox's deliberate faults; nil means only those requested over
	// HTTP.
	Faults *sandbox.Faults

	// Paper puts the exchange on paper behind the service, unless there is another trade API.
	Paper     bool
	PaperData string // where it keeps what happens; "" for nowhere

	// Market is how the exchange on paper works: latency, and which orders it takes. Its
	// seed and what accounts begin with are the sandbox's.
	Market paper.Config
	paper  *paperapi.API

	// Clock, if not nil, is the sandbox's clock, with which its data were opened. It can then
	// be moved over HTTP.
	Clock *sandbox.Clock

	// Found gets what a person must know of what was found in PaperData; nil means the log.
	Found func(what string)

	Telemetry *telemetry.Telemetry // counts what the service does; may be nil

	TLSCert, TLSKey string   // files; "" for plain HTTP
	TrustedProxies  []string // addresses and networks whose forwarding headers are trusted
	TradeAPI        string   // where trade calls go, an address; "" for nowhere

	// TradeTransport answers trade calls within this process: see [httpapi.Upstream].
	TradeTransport http.RoundTripper

	Limits front.Limits

	Admin   string // the admin API's address: unix: and a path, or HOST:PORT; "" for none
	AdminCA string // file: who signs operators' certificates, for HOST:PORT

	AdminHosts       []string // host names allowed besides the address's own
	AdminConnections int      // at once; default [adminapi.AtOnce]

	couriers    *courier.Couriers
	certificate *front.Certificate
	proxies     httpapi.Proxies
	gateway     *httpapi.Gateway
}

// Paper returns the exchange on paper behind the service, or nil.
func (s *Server) Paper() *paperapi.API { return s.paper }

// A Server is a service that is ready to serve.
type Server struct {
	web    front.Server
	login  *login.Service
	box    *sandbox.Sandbox // nil except in the sandbox
	paper  *paperapi.API    // nil without an exchange on paper
	feeds  *paperfeed.Feeds // the same
	faults *sandbox.Faults  // those of the exchange on paper

	directory login.Directory // whose accounts trade on paper

	telemetry *telemetry.Telemetry
	operators net.Listener // nil without an admin API
	adminAPI  adminapi.Config
	admin     *operator.Admin
	gateway   *httpapi.Gateway // nil without a trade API
	data      *Data
}

// Check returns every problem of the configuration at once, without touching
// anything.
func (cfg Config) Check() error { return cfg.fill() }

func (cfg *Config) fill() error {
	problems := []error{cfg.loadOutside()}
	if cfg.OMS == nil && cfg.OMSFile == "" {
		if len(cfg.Homes) == 0 {
			cfg.Homes = []string{"server1"}
		}
		homes, err := oms.NewHomes(cfg.Homes...)
		problems = append(problems, err)
		cfg.OMS = homes
	}
	if cfg.Accounts < 0 || cfg.Accounts > sandbox.MaxAccounts {
		problems = append(problems, fmt.Errorf("accounts: %d is not between 0 and %d", cfg.Accounts, sandbox.MaxAccounts))
	}
	if cfg.Limits.Connections < 0 {
		problems = append(problems, fmt.Errorf("connections: %d is too few", cfg.Limits.Connections))
	}
	var err error
	switch {
	case (cfg.TLSCert == "") != (cfg.TLSKey == ""):
		problems = append(problems, errors.New("TLS: the certificate and its key belong together: give both or neither"))
	case cfg.TLSCert != "":
		cfg.certificate, err = front.LoadCertificate(cfg.TLSCert, cfg.TLSKey, cfg.Log)
		problems = append(problems, err)
	}
	if cfg.TradeAPI != "" || cfg.TradeTransport != nil {
		to := httpapi.Upstream{URL: cfg.TradeAPI, Transport: cfg.TradeTransport}
		if cfg.paper != nil {
			to.Public, to.Serves = paperapi.Public, paperapi.Serves
		}
		cfg.gateway, err = httpapi.NewGateway(to, cfg.Log)
		problems = append(problems, err)
	}
	if cfg.Paper && !cfg.Sandbox && cfg.TradeAPI != "" {
		problems = append(problems, errors.New("--paper cannot be combined with --trade-api: a service has one trade API"))
	}
	problems = append(problems, cfg.operators().Check(cfg.TLSCert != ""))
	cfg.proxies, err = httpapi.ParseProxies(cfg.TrustedProxies)
	return errors.Join(append(problems, err, checkPublicURL(cfg.PublicURL), cfg.Options.Check())...)
}

// operators returns the configuration of the admin API.
func (cfg *Config) operators() adminapi.Config {
	c := adminapi.Config{
		Address: cfg.Admin, CA: cfg.AdminCA, Hosts: cfg.AdminHosts, Connections: cfg.AdminConnections, NotAccepted: cfg.Limits.NotAccepted,
	}
	if cfg.certificate != nil {
		c.TLS = cfg.certificate.Config()
	}
	return c
}

// New starts a service on open data. It returns every problem of the configuration at
// once.
func New(ctx context.Context, d *Data, cfg Config) (_ *Server, err error) {
	cfg.usePaper(d.now)
	if err := cfg.fill(); err != nil {
		return nil, err
	}

	kind := Service
	if cfg.Sandbox {
		kind = Sandbox
	}
	if err := d.ClaimKind(ctx, kind); err != nil {
		return nil, err
	}
	if cfg.paper != nil {
		if err := cfg.openPaper(d.now()); err != nil {
			return nil, err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, cfg.paper.Close())
			}
		}()
	}
	if err := argon2.Check(); err != nil {
		cfg.Log.Error("hash kernel not used", "cause", err.Error())
	}
	cfg.PublicURL = strings.TrimSuffix(cfg.PublicURL, "/")
	ports, box := cfg.ports(d)
	web := httpapi.Config{
		PublicURL: cfg.PublicURL, Proxies: cfg.proxies, TradeAPI: cfg.gateway, Log: cfg.Log,
	}
	if cfg.Telemetry != nil {
		ports, web.Begin = cfg.Telemetry.Ports(ports), cfg.Telemetry.Begin
	} else { // readiness needs to know which calls of the store fail
		ports = telemetry.New(nil).Ports(ports)
	}
	failing := ports.Failing
	ports.Failing = func() error { return cmp.Or(load(&d.watched.database), failing()) }
	svc, err := cfg.newLogin(ctx, d, ports)
	if err != nil {
		return nil, err
	}
	if box != nil {
		box.Live, box.Directory, box.Allowances, box.Follow = svc.Live, d.Store, d.Store, svc.FollowClock
		web.Fault = box.Faults.Next
		web.Page = func(path string) (httpapi.Page, bool) {
			p, found := box.Page(path)
			return httpapi.Page(p), found
		}
	}
	var feeds *paperfeed.Feeds
	if cfg.paper != nil {
		web.Turned = cfg.paper.Turned
		feeds = cfg.newFeeds(svc)
		web.Feeds = &httpapi.Feeds{Orders: paperfeed.PathOrders, Market: paperfeed.PathMarket, Of: paperfeed.OpOf, Serve: feeds.Serve}
	}
	if box == nil && cfg.paper != nil {
		web.Fault = cfg.Faults.Next
	}
	if cfg.Telemetry != nil {
		cfg.Telemetry.Watch(svc)
		if feeds != nil {
			cfg.Telemetry.Feeds(feeds.Open)
		}
	}
	var operators net.Listener
	if cfg.Admin != "" {
		var err error
		if operators, err = cfg.operators().Listen(); err != nil {
			return nil, err
		}
		cfg.Log.Info("operators", "address", operators.Addr().String())
	}
	server := front.Server{Handler: httpapi.New(svc, web), Refused: httpapi.Refused, Log: cfg.Log, Now: d.now, Limits: cfg.Limits}
	if cfg.certificate != nil {
		server.TLS = cfg.certificate.Config()
	}
	return &Server{
		web:   server,
		login: svc,
		box:   box,
		paper: cfg.paper, feeds: feeds, faults: cfg.Faults, directory: d.Store,

		telemetry: cfg.Telemetry, gateway: cfg.gateway,
		operators: operators, adminAPI: cfg.operators(), admin: d.Admin(), data: d,
	}, nil
}

// newLogin starts the login service, and adds a sandbox's accounts. The signing key and
// the accounts' hashes take the longest at a first start: they are made side by side.
func (cfg *Config) newLogin(ctx context.Context, d *Data, ports login.Ports) (svc *login.Service, err error) {
	var demo error
	var both sync.WaitGroup
	both.Go(func() { svc, err = login.New(ctx, ports, cfg.Options) })
	both.Go(func() {
		if cfg.Sandbox {
			demo = sandbox.AddDemo(ctx, d.Admin(), cfg.Accounts)
		}
	})
	both.Wait()
	return svc, errors.Join(err, demo)
}

// usePaper makes the exchange on paper the trade API, if there shall be one.
func (cfg *Config) usePaper(now func() time.Time) {
	if !cfg.Paper || cfg.TradeAPI != "" || cfg.TradeTransport != nil {
		return
	}
	if cfg.Faults == nil {
		cfg.Faults = &sandbox.Faults{}
	}
	cfg.Market.Seed, cfg.Market.Funds = 1, sandbox.Funds
	cfg.paper = paperapi.New(paperapi.Config{Now: now, Faults: cfg.Faults.OfExchange, Market: cfg.Market})
	cfg.Faults.Of(cfg.paper)
	cfg.TradeTransport = cfg.paper
}

// openPaper opens the exchange on paper.
func (cfg *Config) openPaper(now time.Time) error {
	if year := listing.DateOf(now).Year; !listing.HolidaysKnown(listing.NSE, year) {
		cfg.Log.Warn("no holidays are known for this year: contracts on paper expire on their weekday even if that is one", "year", year)
	}
	found := cfg.Found
	if found == nil {
		found = func(what string) { cfg.Log.Warn("the exchange on paper", "found", what) }
	}
	return cfg.paper.Open(cfg.PaperData, cfg.Sandbox, found)
}

// ports returns what the service depends on and, for a sandbox, the sandbox.
func (cfg *Config) ports(d *Data) (login.Ports, *sandbox.Sandbox) {
	ports := login.Ports{
		Directory: d.Store, Keys: d.Store, Trail: d.Store, Sessions: d.Store, Allowances: d.Store, Jobs: d.Store,
		OMS: cfg.OMS, Vault: d.Vault, Now: d.now, Log: cfg.Log, MasterKey: d,
	}
	if cfg.couriers != nil {
		ports.Courier, ports.Outbox = cfg.couriers, true
	}
	if cfg.gateway != nil {
		ports.TradeAPI = cfg.gateway
	}
	if !cfg.Sandbox {
		return ports, nil
	}
	box := &sandbox.Sandbox{
		Inbox: &sandbox.Inbox{}, Faults: cfg.Faults, PublicURL: cfg.PublicURL, Home: cfg.gateway == nil || cfg.paper != nil, Paper: cfg.paper,
		Vault: d.Vault, Now: d.now, Clock: cfg.Clock, FixedClock: "this sandbox's clock cannot be moved: other processes on its database have theirs",
	}
	if box.Faults == nil {
		box.Faults = &sandbox.Faults{}
	}
	if cfg.couriers == nil {
		ports.Courier = box.Inbox
	}
	if cfg.OTPPerHour == 0 {
		cfg.OTPPerHour = sandbox.OTPPerHour
	}
	return ports, box
}

func checkPublicURL(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || strings.ContainsAny(text, "?#") {
		return errors.New("public URL: must be an address such as https://api.example.com, without user, query or fragment")
	}
	return nil
}

// fixedClock says why a service's clock is not moved, not even with the exchange on paper
// behind it: the market has the same one.
const fixedClock = "a shared service's clock is not moved: everybody's sessions, codes and locks, and the times of the audit trail, go by it; neo sandbox has one that can be"

// Status returns the handler of the operator's own address, or nil if the service
// was started without telemetry: see [telemetry.Telemetry.Status].
func (s *Server) Status() http.Handler {
	if s.telemetry == nil {
		return nil
	}
	var more http.Handler
	if s.paper != nil && s.box == nil {
		more = (&sandbox.Sandbox{Faults: s.faults, Paper: s.paper, Directory: s.directory, Now: s.data.now, FixedClock: fixedClock}).Operator()
	}
	return s.telemetry.Status(s.login, more)
}

// FollowClock is [login.Service.FollowClock], and tells the feeds.
func (s *Server) FollowClock(ctx context.Context) error {
	if s.feeds != nil {
		defer s.feeds.Follow()
	}
	return s.login.FollowClock(ctx)
}

// Run answers requests on the listener until the context is done, and removes expired
// sessions meanwhile. Requests in progress when the context is done are finished.
func (s *Server) Run(ctx context.Context, l net.Listener) (err error) {
	sweeping, stop := context.WithCancel(ctx)
	var sweeper sync.WaitGroup
	sweeper.Go(func() { s.login.Run(sweeping) })
	sweeper.Go(func() { s.data.watch(sweeping, s.web.Log) })
	if s.box != nil {
		defer context.AfterFunc(ctx, s.box.Inbox.Close)()
	}
	if s.gateway != nil {
		sweeper.Go(func() { s.gateway.Run(ctx, s.login, s.web.Log) })
		defer s.gateway.Wait()
	}
	if s.paper != nil {
		sweeper.Go(s.feeds.Start(ctx))
		sweeper.Go(func() {
			s.paper.Run(sweeping, func(err error) { s.web.Log.Error("what happens on paper cannot be kept", "cause", err) })
		})
		defer func() { err = errors.Join(err, s.paper.Close()) }()
	}
	if s.operators != nil {
		sweeper.Go(func() {
			if err := s.adminAPI.Serve(ctx, s.operators, s.admin, s.web.Log); err != nil {
				s.web.Log.Error("the admin API no longer answers", "cause", err)
			}
		})
	}
	err = s.web.Serve(ctx, l)
	stop()
	sweeper.Wait()
	return err
}

// ParseSessionTTL parses "day" or a duration such as 1h into options.
func ParseSessionTTL(text string) (ttl time.Duration, dayEnds bool, err error) {
	if text == "day" {
		return 0, true, nil
	}
	ttl, err = time.ParseDuration(text)
	if err != nil || ttl <= 0 {
		return 0, false, errors.New(`session TTL: must be "day" or a time such as 1h`)
	}
	return ttl, false, nil
}
