package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"neoapi/internal/argon2"
	"neoapi/internal/login"
	"neoapi/internal/sandbox"
	"neoapi/internal/serve"
	"neoapi/internal/store"
	"neoapi/internal/tradewire"
	"neoapi/internal/wire"
)

type sandboxCmd struct {
	Data     string `placeholder:"DIR" help:"Data directory to keep; without it the store is temporary."`
	Database string `placeholder:"URL" help:"PostgreSQL database for the store; requires --data, for the master key."`
	Accounts int    `placeholder:"N" help:"Number of further demo accounts: TEST000001, +919900000001 and so on."`
	Market   string `placeholder:"FILE|-" type:"path" help:"Replay a recording of neo record in the exchange on paper; - for standard input."`
	Quiet    bool   `short:"q" help:"Do not log requests; errors are still reported."`
	JSON     bool   `name:"json" help:"Print address, consumer and accounts as one line of JSON when it is ready, in place of the text."`
	ruleFlags
	Homes       []string `name:"home-servers" default:"server1" placeholder:"NAME" help:"Home servers that the built-in OMS gives to sessions (default ${default})."`
	WrongLogins int      `placeholder:"N" help:"Wrong first factors a minute from one address before it must wait; by default without limit."`
	Command     []string `arg:"" optional:"" passthrough:"partial" placeholder:"CMD" help:"Program to run against the sandbox, with its arguments, after --."`
}

func (sandboxCmd) Help() string {
	return `Examples:
  neo sandbox
  neo sandbox --listen 127.0.0.1:0 --accounts 100 --consumer-rate 0
  curl 'http://127.0.0.1:9155/sandbox/otp/TESTYA24?wait=5s'
  curl 'http://127.0.0.1:9155/sandbox/totp/TESTYA24?wait=31s'
  curl http://127.0.0.1:9155/sandbox/requests
  curl -H 'Content-Type: application/json' -d '{"advance":"24h"}' http://127.0.0.1:9155/sandbox/clock
  neo sandbox --market monday.neorec
  neo record - TCS-EQ | neo sandbox --market -
  neo sandbox -- pytest
  neo sandbox --accounts 20 --consumer-rate 0 -- go test ./...

With a program after -- the sandbox takes a free port, starts the program when it
is ready, and ends with it and its exit code; it prints nothing else. The program
finds in its environment:

  NEO_URL, NEO_ENV                       the sandbox's address
  NEO_CONSUMER_KEY, NEO_CONSUMER_SECRET  the consumer
  NEO_UCC, NEO_USER_ID, NEO_MOBILE,      the account's identifiers
  NEO_PAN
  NEO_PASSWORD, NEO_MPIN, NEO_TOTP_SEED  its secrets
  NEO_SESSION                            a file for neo login's session, removed with
                                         the sandbox

As with neo exec, your own session, the secrets of a login, and the settings of neo
serve and PostgreSQL are removed: they may belong to a real service.

The sandbox is the session service itself with demo data, an OTP inbox that
anyone can read, and an exchange on paper: orders fill at made-up prices and cost
nothing. Below /sandbox/ prices (market), funds (accounts), faults and the clock are
set, and the last requests listed (docs/paper.md). With --data orders and positions
survive a restart, and the clock goes on as it was left. With --market the instruments
of a recording have its prices, at the times of day at which they were when it begins
now; orders fill at them. The sandbox's secrets are public:
never let it listen where strangers can reach it. It warns you if other machines
can.`
}

// AfterApply refuses a password in a flag. The sandbox's database never comes from
// the environment, which may name the service's.
func (c *sandboxCmd) AfterApply(parsed *kong.Context) error {
	if c.Database != "" && c.Data == "" {
		return errors.New("--database requires --data, the directory for the master key")
	}
	if len(c.Command) > 0 {
		if err := c.forCommand(parsed); err != nil {
			return err
		}
	}
	return checkDatabase(parsed, c.Database)
}

func (c *sandboxCmd) Run(ctx context.Context, t *terminal, parsed *kong.Context) (err error) {
	var p program
	if len(c.Command) > 0 {
		if p, err = findProgram(c.Command); err != nil {
			return err
		}
	}
	t.queue()
	cfg, err := c.config()
	cfg.Sandbox, cfg.Paper = true, true
	cfg.Accounts, cfg.AddressRate = c.Accounts, c.WrongLogins
	cfg.Homes = c.Homes
	cfg.Log = t.logger(func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, logTimes(login.IST)) })
	if c.Quiet {
		cfg.Log = slog.New(onlyErrors{cfg.Log.Handler()})
	}
	if err := errors.Join(err, cfg.Check()); err != nil {
		return usage(err)
	}
	dir := c.Data
	if dir == "" {
		if dir, err = os.MkdirTemp("", "neo-sandbox-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	if c.Data != "" {
		cfg.PaperData = filepath.Join(c.Data, "paper")
	}
	cfg.Found = func(what string) { t.note("the exchange on paper: " + what) }
	if c.Database == "" { // whose other processes have their clocks
		if cfg.Clock, err = sandbox.KeptClock(dir); err != nil {
			return err
		}
		if ahead := cfg.Clock.Ahead(); ahead != 0 {
			t.note(fmt.Sprintf("the sandbox's clock is at %s, as it was left: /sandbox/clock moves it", cfg.Clock.Now().In(login.IST).Format(time.RFC3339)))
		}
	}
	if c.Market != "" {
		source, err := c.openMarket(ctx, t, &cfg)
		if err != nil {
			return err
		}
		defer func() { _ = source.Close() }()
	}
	place := serve.Place{Dir: dir, Database: c.Database, Wait: store.Waiting{Notify: func(what string) { t.waiting(what, c.JSON) }}}
	if len(c.Command) > 0 {
		return c.around(ctx, t, parsed.Model, p, place, cfg)
	}
	defer tellOnQuit(t)()
	return start(ctx, place, c.ruleFlags, cfg, func(url string, where listening) {
		c.warn(t, where)
		argon2.Release() // the memory used to hash the demo secrets
		debug.FreeOSMemory()
		if c.JSON {
			_ = t.json(sandbox.NewDemo(url, c.Accounts))
			return
		}
		c.welcome(t.out, url, c.Data)
	})
}

// onlyErrors leaves out of a log what is not an error, and all requests.
type onlyErrors struct{ slog.Handler }

// Enabled implements [slog.Handler].
func (h onlyErrors) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError && h.Handler.Enabled(ctx, level)
}

// Handle implements [slog.Handler].
func (h onlyErrors) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "request" {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h onlyErrors) WithAttrs(attrs []slog.Attr) slog.Handler {
	return onlyErrors{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (h onlyErrors) WithGroup(name string) slog.Handler { return onlyErrors{h.Handler.WithGroup(name)} }

// warn warns if other machines can reach the sandbox.
func (c *sandboxCmd) warn(t *terminal, where listening) {
	if told := where.warning(c.Listen); told != "" {
		t.note(told)
	}
}

// welcome prints the next steps, ready to paste.
func (c *sandboxCmd) welcome(w io.Writer, url, data string) {
	store := "temporary; --data DIR keeps it"
	if data != "" {
		store = data
	}
	more := ""
	if c.Accounts > 0 {
		first, _, firstMobile, _ := sandbox.DemoAccount(1)
		last, _, lastMobile, _ := sandbox.DemoAccount(c.Accounts)
		more = fmt.Sprintf("\n  more      %s to %s, mobile %s to %s, same secrets", first, last, firstMobile, lastMobile)
	}
	rate := fmt.Sprintf("%d requests a second, as the live services have; --consumer-rate 0 for no limit", c.ConsumerRate)
	if c.ConsumerRate == 0 {
		rate = "no limit, where the live services have 10 requests a second"
	}
	text := `neo sandbox is ready at {url}

  consumer  {key} / {secret}
  account   {ucc}, user id {user}, mobile {mobile}, PAN {pan}
  secrets   password {password}, MPIN {mpin}, TOTP seed {seed}{more}
  rate      {rate}
  store     {store}

Log in from a shell, step by step (and from Go: the comments):

# 1. access token
#    client, err := neoapi.New(neoapi.Config{Environment: "{url}", ConsumerKey: "{key}", ConsumerSecret: "{secret}"})
ACCESS=$(curl -s -u {key}:{secret} -d grant_type=client_credentials {url}{token} | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
# 2. login: the view session
#    err = client.Login(ctx, neoapi.Credentials{Mobile: "{mobile}", Password: "{password}"}) // and step 3
VIEW=$(curl -s -H "Authorization: Bearer $ACCESS" -H 'Content-Type: application/json' -d '{"mobileNumber":"{mobile}","password":"{password}"}' {url}{validate})
TOKEN=$(echo "$VIEW" | sed 's/.*"token":"\([^"]*\)".*/\1/'); SID=$(echo "$VIEW" | sed 's/.*"sid":"\([^"]*\)".*/\1/')
USERID=$(echo "$TOKEN" | cut -d. -f2 | tr _- /+ | sed 's/$/==/' | base64 -d 2>/dev/null | sed 's/.*"sub":"\([^"]*\)".*/\1/')
# 3. one-time code
#    err = client.SendOTP(ctx) // another one, if need be
curl -s -H "Authorization: Bearer $ACCESS" -H 'Content-Type: application/json' -d "{\"userId\":\"$USERID\",\"sendEmail\":true,\"isWhitelisted\":true}" {url}{otp}
OTP=$(curl -s '{url}/sandbox/otp/{ucc}?wait=5s')
# 4. session_2fa: the final session
#    session, err := client.Session2FA(ctx, otp)
FINAL=$(curl -s -H "Authorization: Bearer $ACCESS" -H "sid: $SID" -H "Auth: $TOKEN" -H 'Content-Type: application/json' -d "{\"userId\":\"$USERID\",\"otp\":\"$OTP\"}" {url}{validate}); echo "$FINAL"
TOKEN=$(echo "$FINAL" | sed 's/.*"token":"\([^"]*\)".*/\1/')
# 5. an order on paper, the order book, a quote
#    orders, err := trade.New(client).Orders(ctx)
curl -s -H "Sid: $SID" -H "Auth: $TOKEN" -d 'jData={"es":"nse_cm","ts":"TCS-EQ","tt":"B","qt":"10","pt":"MKT","pr":"0","pc":"CNC","rt":"DAY"}' {url}{place}
curl -s -H "Sid: $SID" -H "Auth: $TOKEN" {url}{orders}
curl -s -H 'Authorization: {key}' '{url}{quotes}nse_cm|11536/ltp'
# 6. the market by hand: docs/paper.md
curl -s -H 'Content-Type: application/json' -d '{"set":"gap","segment":"nse_cm","symbol":"Nifty 50","price":"24500"}' {url}/sandbox/market

Or with this program (go build ./cmd/neo; it asks for the secrets):

neo login --env {url} --consumer-key {key} --mobile {mobile} --otp-command "curl -sf '{url}/sandbox/otp/{ucc}?wait=5s'"

By TOTP and MPIN, for a session with a market feed (neo watch quotes, neo record):

echo {mpin} | neo login --env {url} --consumer-key {key} --mobile {mobile} --ucc {ucc} --totp-command "curl -sf '{url}/sandbox/totp/{ucc}?wait=31s'" --mpin-file -

Ctrl-C ends the sandbox.
`
	_, _ = io.WriteString(w, strings.NewReplacer(
		"{url}", url, "{key}", sandbox.DemoConsumerKey, "{secret}", sandbox.DemoConsumerSecret, "{ucc}", sandbox.DemoUCC,
		"{user}", sandbox.DemoUserID, "{mobile}", sandbox.DemoMobile, "{pan}", sandbox.DemoPAN, "{password}", sandbox.DemoPassword,
		"{mpin}", sandbox.DemoMPIN, "{seed}", sandbox.DemoTOTPSeed, "{more}", more, "{rate}", rate, "{store}", store,
		"{token}", wire.Path(wire.OpAccessToken, wire.Gen1PROD), "{validate}", wire.Path(wire.OpValidate, wire.Gen1PROD),
		"{otp}", wire.Path(wire.OpOTP, wire.Gen1PROD),
		"{place}", tradewire.PathPlace, "{orders}", tradewire.PathOrders, "{quotes}", tradewire.PathQuotes,
	).Replace(text))
}
