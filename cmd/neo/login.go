package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"neoapi"
	"neoapi/internal/bounded"
	"neoapi/internal/paste"
)

// serviceFlags select the service and consumer of a client command.
type serviceFlags struct {
	Env                string `name:"env" env:"NEO_ENV" placeholder:"uat|prod|URL" help:"The service: uat, prod, or an address such as http://127.0.0.1:9155; by default that of the last login."`
	ConsumerKey        string `env:"NEO_CONSUMER_KEY" help:"Consumer key of the application; by default that of the last login."`
	ConsumerSecretFile string `type:"path" placeholder:"FILE" help:"File with the consumer secret; - for standard input. Or set NEO_CONSUMER_SECRET."`
	wayFlags
}

// wayFlags configure how to reach a service.
type wayFlags struct {
	CA           string `name:"ca" env:"NEO_CA" type:"path" placeholder:"FILE" help:"Root certificates to trust besides the system's, PEM: for a service with a certificate of its own."`
	InsecureHTTP bool   `name:"insecure-http" help:"Allow http to another machine: passwords and tokens then travel in the clear."`
}

// config returns the configuration of a client with these flags.
func (f wayFlags) config(env, consumerKey string) (neoapi.Config, error) {
	cfg := neoapi.Config{Environment: neoapi.Environment(env), ConsumerKey: consumerKey, InsecureHTTP: f.InsecureHTTP}
	transport := bounded.New()
	cfg.HTTPClient = &http.Client{Transport: transport, Timeout: 30 * time.Second}
	if f.CA == "" {
		return cfg, nil
	}
	text, err := os.ReadFile(f.CA)
	if err != nil {
		return cfg, usage(fmt.Errorf("--ca: %w", err))
	}
	roots, err := x509.SystemCertPool()
	if err != nil { // a system without certificates
		roots = x509.NewCertPool()
	}
	if text, err = paste.Text(text); err != nil {
		return cfg, usage(fmt.Errorf("--ca: %s %w", f.CA, err))
	}
	if !roots.AppendCertsFromPEM(text) {
		return cfg, usage(fmt.Errorf("--ca: %s contains no PEM certificate", f.CA))
	}
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return cfg, nil
}

// accepts reports whether a client accepts an address. Only then is it shown: another
// one may contain a password or a token.
func (f wayFlags) accepts(env string) bool {
	_, err := neoapi.New(neoapi.Config{Environment: neoapi.Environment(env), ConsumerKey: "any", InsecureHTTP: f.InsecureHTTP})
	return err == nil
}

type loginCmd struct {
	serviceFlags
	Mobile       string   `xor:"who" help:"Log in by mobile number: ten digits, or with country code."`
	UserID       string   `name:"user-id" xor:"who" help:"Log in by user id."`
	PAN          bool     `name:"pan" xor:"who" help:"Log in by PAN, which is asked for, or read from --pan-file."`
	PANFile      string   `name:"pan-file" type:"path" placeholder:"FILE" help:"File with the PAN; - for standard input."`
	UCC          string   `name:"ucc" help:"Log in by TOTP: the UCC, with --mobile."`
	PasswordFile string   `type:"path" placeholder:"FILE" help:"File with the password; - for standard input."`
	OTPCommand   string   `name:"otp-command" placeholder:"CMD" help:"Shell command that prints the one-time code."`
	TOTPCommand  string   `name:"totp-command" placeholder:"CMD" help:"Shell command that prints the TOTP code."`
	MPINFile     string   `name:"mpin-file" type:"path" placeholder:"FILE" help:"Use the MPIN in this file as second factor; - for standard input."`
	JSON         bool     `name:"json" help:"Print the session as JSON, token included."`
	Session      fileFlag `embed:""`
}

func (loginCmd) Help() string {
	return `Examples:
  neo login --env http://127.0.0.1:9155 --consumer-key sandbox-consumer --mobile 9999999908
  neo login --env prod --consumer-key KEY --mobile 9876543210 --ucc AB1234
  printf '%s\n%s\n' "$SECRET" "$PASSWORD" | neo login --env uat --consumer-key KEY --user-id asha \
    --consumer-secret-file - --password-file - --otp-command ./newest-code

The second factor is a one-time code that the service sends, or the MPIN: type
either when asked. With --ucc the first factor is TOTP and the second the MPIN.

A login's settings are remembered with its profile, except secrets and
--insecure-http: next time neo login, or neo login --profile NAME, is enough.

A TOTP code works once: a second login within its 30 seconds must wait, exit code 4.
Several files named - take one line of standard input each, in the order
consumer secret, PAN, password, MPIN.

Before anything is sent, neo login checks that the session can be saved. If saving
fails anyway, --json prints the session; without --json the session is ended. A
profile belongs to one account: run neo logout before another one logs in to it. In
a file named by --session, or the default one, another account's session is
replaced, and neo login says so.`
}

func (c *loginCmd) Run(ctx context.Context, t *terminal) error {
	remembered, err := c.Session.profile()
	if err != nil {
		return usage(err)
	}
	if c.recall(remembered) && t.interactive() && c.accepts(c.Env) { // otherwise the checks below, or New, report what is wrong
		_, _ = fmt.Fprintf(t.err, "As last time: %s, %s\n", printable(c.Env), printable(cmp.Or(c.profile().who(), "nobody")))
	}
	cfg, err := c.config(c.Env, c.ConsumerKey)
	if err := errors.Join(err, c.check(t, cfg)); err != nil { // before any secret is asked for
		return usage(err)
	}
	place, err := c.place(ctx)
	if err != nil {
		return inTheWay(err)
	}
	totp := c.UCC != ""
	if totp {
		if err := place.unspent(ctx, c.UCC); err != nil {
			return err
		}
	}
	if !totp {
		cfg.ConsumerSecret, err = t.secret(ctx, consumerSecret(c.ConsumerSecretFile))
		if err != nil {
			return err
		}
	}
	client, err := neoapi.New(cfg)
	if err != nil {
		return err
	}
	c.Session.share(cfg)
	var session neoapi.Session
	if totp {
		session, err = c.byTOTP(ctx, t, client, place)
	} else {
		session, err = c.byPassword(ctx, t, client)
	}
	if err != nil {
		return err
	}
	saved := savedLogin{session, consumer{ConsumerKey: c.ConsumerKey}}
	if !totp { // neo logout fetches another one if there is none
		saved.AccessToken, _ = client.AccessToken(ctx)
	}
	if err := place.save(ctx, t, saved); err != nil {
		return c.unsaved(ctx, t, client, session, err)
	}
	if err := c.Session.remember(c.profile()); err != nil { // the session is what counts
		t.note("the settings for the next login were not saved: " + inFlags(err))
	}
	return printSession(t, session, c.JSON, place.store.Path())
}

// inTheWay returns the error for a login that was not tried: what occupies the
// session's place, if that error says what to do, or that the file could not be
// written.
func inTheWay(err error) error {
	var wrong usageError
	e, ok := errors.AsType[*neoapi.Error](err)
	switch {
	case errors.As(err, &wrong):
		return err
	case ok && e.Category == neoapi.ErrInvalidInput:
		return usage(fmt.Errorf("did not log in: %s", e.Message))
	}
	return usage(fmt.Errorf("the session could not be saved: %w", err))
}

// unsaved handles a login whose session cannot be saved after all: it prints the
// session with --json, and otherwise ends it, because nobody has it.
func (c *loginCmd) unsaved(ctx context.Context, t *terminal, client *neoapi.Client, session neoapi.Session, cause error) error {
	if c.JSON {
		return errors.Join(fmt.Errorf("logged in, but the session was not saved: %w", cause), printSession(t, session, true, ""))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := client.Logout(ctx); err != nil {
		return fmt.Errorf("logged in, but the session could be neither saved nor ended; it expires %s: %w", shownTime(session.Ends()), cause)
	}
	return fmt.Errorf("logged in, but the session was not saved, so it was ended: %w", cause)
}

// check returns every mistake in the flags at once, those in the client's configuration
// too, and every secret that is not given and that nobody can be asked for.
func (c *loginCmd) check(t *terminal, cfg neoapi.Config) error {
	var problems []error
	wrong := func(is bool, problem string) {
		if is {
			problems = append(problems, errors.New(problem))
		}
	}
	if c.PANFile != "" {
		c.PAN = true
	}
	wrong(c.Env == "", "--env is missing: give uat, prod or the base URL of a service")
	wrong(c.ConsumerKey == "", "--consumer-key is missing")
	if c.Env != "" && c.ConsumerKey != "" {
		_, err := neoapi.New(cfg)
		problems = append(problems, err)
	}
	who := 0
	for _, given := range []bool{c.Mobile != "", c.UserID != "", c.PAN} {
		if given {
			who++
		}
	}
	wrong(who != 1, "say who logs in: one of --mobile, --user-id, --pan")
	wrong(c.UCC != "" && c.Mobile == "", "--ucc logs in by TOTP, which needs --mobile")
	wrong(c.UCC != "" && (c.PasswordFile != "" || c.OTPCommand != ""), "--ucc logs in by TOTP and MPIN: leave out --password-file and --otp-command")
	wrong(c.UCC == "" && c.TOTPCommand != "", "--totp-command needs --ucc and --mobile")
	wrong(c.OTPCommand != "" && c.MPINFile != "", "--otp-command and --mpin-file are two second factors: give one")
	for _, id := range []struct {
		flag, value string
		form        func(string) (string, error)
	}{{"--mobile", c.Mobile, paste.Mobile}, {"--user-id", c.UserID, paste.UserID}, {"--ucc", c.UCC, paste.UCC}} {
		if _, err := id.form(id.value); id.value != "" && err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", id.flag, err))
		}
	}
	if who != 1 { // it is not known which secrets the login needs
		return errors.Join(problems...)
	}
	for _, s := range c.secrets() {
		problems = append(problems, t.lacks(s))
	}
	return errors.Join(problems...)
}

// The secrets of a login for which there are no files.
var (
	codeOrMPIN = secret{what: "one-time code or MPIN", orGive: "--otp-command or --mpin-file"}
	totpCode   = secret{what: "TOTP code", orGive: "--totp-command"}
)

func (c *loginCmd) pan() secret { return secret{what: "PAN", file: c.PANFile, orGive: "--pan-file"} }

func (c *loginCmd) password() secret {
	return secret{what: "password", file: c.PasswordFile, orGive: "--password-file"}
}

func (c *loginCmd) ownMPIN() secret {
	return secret{what: "MPIN", file: c.MPINFile, orGive: "--mpin-file"}
}

// secrets returns the secrets that this login needs, but for those that a command prints.
func (c *loginCmd) secrets() (all []secret) {
	if c.UCC != "" {
		if c.TOTPCommand == "" {
			all = append(all, totpCode)
		}
		return append(all, c.ownMPIN())
	}
	all = append(all, consumerSecret(c.ConsumerSecretFile))
	if c.PAN {
		all = append(all, c.pan())
	}
	all = append(all, c.password())
	if c.OTPCommand == "" && c.MPINFile == "" {
		all = append(all, codeOrMPIN)
	}
	return all
}

func (c *loginCmd) byPassword(ctx context.Context, t *terminal, client *neoapi.Client) (neoapi.Session, error) {
	who := neoapi.Credentials{Mobile: c.Mobile, UserID: c.UserID, NoOTP: c.MPINFile != ""}
	var err error
	if c.PAN {
		if who.PAN, err = t.secret(ctx, c.pan()); err != nil {
			return neoapi.Session{}, err
		}
	}
	if who.Password, err = t.secret(ctx, c.password()); err != nil {
		return neoapi.Session{}, err
	}
	mpin := ""
	if c.MPINFile != "" {
		if mpin, err = c.mpin(ctx, t); err != nil {
			return neoapi.Session{}, err
		}
	}
	switch err := client.Login(ctx, who); {
	case err == nil && mpin != "":
		session, err := client.Session2FA(ctx, mpin)
		return session, ofMPIN(err)
	case err == nil && c.OTPCommand != "":
		code, err := output(ctx, t, "one-time code", c.OTPCommand)
		if err != nil {
			return neoapi.Session{}, err
		}
		return client.Session2FA(ctx, code)
	case err == nil:
		return c.typed(ctx, t, client, codeOrMPIN)
	case !errors.Is(err, neoapi.ErrOTPNotSent) || c.OTPCommand != "" || !t.interactive():
		return neoapi.Session{}, err
	}
	_, _ = fmt.Fprintln(t.err, wrap("The password is right. No one-time code could be sent: type the MPIN. "+noMPIN, width(t.err), 0))
	session, err := c.typed(ctx, t, client, c.ownMPIN())
	if errors.Is(err, neoapi.ErrWrongMPIN) {
		err = fmt.Errorf("%w\n%s", err, noMPIN)
	}
	return session, err
}

// noMPIN is for a person who is asked for an MPIN and may not have one.
const noMPIN = "If the account has none, only the service's operator can help: with neo account set-mpin, or with a courier for codes."

// typed has a person type the second factor, who may mistype it.
func (c *loginCmd) typed(ctx context.Context, t *terminal, client *neoapi.Client, s secret) (session neoapi.Session, err error) {
	for try := 1; ; try++ {
		code, err := t.secret(ctx, s)
		if err != nil {
			return session, err
		}
		if s.what == codeOrMPIN.what {
			session, err = client.Session2FA(ctx, code)
		} else if code, err = mpinOf(code); err == nil {
			session, err = client.Session2FA(ctx, code)
			err = ofMPIN(err)
		}
		_, malformed := errors.AsType[usageError](err)
		again := malformed || errors.Is(err, neoapi.ErrWrongOTP) || errors.Is(err, neoapi.ErrWrongMPIN) || errors.Is(err, neoapi.ErrInvalidInput)
		if !again || try == tries {
			return session, err
		}
		t.note(t.named(inFlags(err)))
	}
}

// tries is how often a person is asked for a code: as often as the service accepts one.
const tries = 3

// aboutCodes matches what services say about a code that they checked as a one-time code.
var aboutCodes = regexp.MustCompile(`(?i)\b(code|otp)\b`)

// ofMPIN makes a refused second factor an error about the MPIN, which it is known to be
// here. The protocol does not say what the service checked it as.
func ofMPIN(err error) error {
	e, ok := errors.AsType[*neoapi.Error](err)
	if !ok || e.Op != "session_2fa" || e.Category != neoapi.ErrWrongOTP && e.Category != neoapi.ErrOTPNotSent {
		return err
	}
	wrong := *e
	wrong.Category, wrong.Retry, wrong.Hint = neoapi.ErrWrongMPIN, neoapi.RetryNewCode, "the MPIN is the six digits that open the broker's app"
	switch last := strings.Contains(e.Message, "last try"); {
	case last:
		wrong.Message = "this MPIN is wrong, and it was the last try"
		wrong.Hint = "run neo login"
	case e.Category == neoapi.ErrOTPNotSent: // the same answer as for a locked one
		wrong.Message = "this MPIN is wrong, or locked"
	case aboutCodes.MatchString(e.Message):
		wrong.Message = "this MPIN is wrong"
	}
	return &wrong
}

func (c *loginCmd) byTOTP(ctx context.Context, t *terminal, client *neoapi.Client, place *place) (neoapi.Session, error) {
	// A code works once and soon expires. A person is asked for it first; a command's is
	// fetched last, so that it is still fresh.
	var code, mpin string
	err := error(nil)
	if c.TOTPCommand == "" && c.MPINFile == "" {
		code, err = c.totp(ctx, t)
	}
	if err == nil {
		mpin, err = c.mpin(ctx, t)
	}
	if err == nil && code == "" {
		code, err = c.totp(ctx, t)
	}
	if err != nil {
		return neoapi.Session{}, err
	}
	if err := client.LoginTOTP(ctx, neoapi.TOTP{Mobile: c.Mobile, UCC: c.UCC, Code: code}); err != nil {
		return neoapi.Session{}, err
	}
	place.spend(ctx, c.UCC)
	return client.ValidateMPIN(ctx, mpin)
}

func (c *loginCmd) totp(ctx context.Context, t *terminal) (string, error) {
	if c.TOTPCommand != "" {
		return output(ctx, t, "TOTP code", c.TOTPCommand)
	}
	return t.secret(ctx, totpCode)
}

// mpin returns the MPIN from its file or from a person, who may mistype it. One of
// the wrong form is refused here, so that it costs neither a code nor a try.
func (c *loginCmd) mpin(ctx context.Context, t *terminal) (string, error) {
	for try := 1; ; try++ {
		text, err := t.secret(ctx, c.ownMPIN())
		if err != nil {
			return "", err
		}
		mpin, err := mpinOf(text)
		switch {
		case err == nil:
			return mpin, nil
		case c.MPINFile != "":
			return "", usage(fmt.Errorf("--mpin-file: %w", err))
		case try == tries:
			return "", err
		}
		t.note(err.Error())
	}
}

// mpinOf returns the MPIN that a text is.
func mpinOf(text string) (string, error) {
	mpin, err := paste.Code(text, 6, 6)
	if err != nil {
		return "", usage(fmt.Errorf("the MPIN is six digits: this one %w", err))
	}
	return mpin, nil
}

// output runs a shell command and returns what it prints, without white space around
// it. Its standard error goes to ours.
func output(ctx context.Context, t *terminal, what, command string) (string, error) {
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Stderr = t.err
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", fmt.Errorf("the command for the %s failed: %w", what, err)
	}
	text, err := paste.Text(out)
	code := strings.TrimSpace(string(text))
	switch {
	case err != nil:
		return "", fmt.Errorf("the output of the command for the %s %w", what, err)
	case code == "":
		return "", fmt.Errorf("the command for the %s printed nothing", what)
	}
	return code, nil
}
