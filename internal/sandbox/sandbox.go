// Package sandbox has what a sandbox adds to the service: demo data, an inbox that
// shows one-time codes, deliberate faults, and a page that explains them. It does not
// depend on how the service answers; package serve combines the two.
//
// Start with [Sandbox] and [AddDemo].
package sandbox

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"neoapi/internal/browser"
	"neoapi/internal/credential"
	"neoapi/internal/front"
	"neoapi/internal/login"
	"neoapi/internal/paperapi"
	"neoapi/internal/wire"
)

// A Sandbox serves a sandbox's own addresses.
type Sandbox struct {
	Inbox     *Inbox
	Faults    *Faults
	PublicURL string        // the address clients reach the service at; "" if not known
	Home      bool          // / is the sandbox's, because there is no trade API that may use it
	Paper     *paperapi.API // the exchange on paper; nil if there is another trade API

	// Live reports whether a code can still be used: [login.Service.Live].
	Live func(context.Context, login.Message) (bool, error)

	Now        func() time.Time // the service's clock
	Clock      *Clock           // moves it; nil if it cannot be moved, for which FixedClock says why
	FixedClock string
	Follow     func(context.Context) error // makes the service notice that it was moved

	Directory login.Directory // whose inboxes and authenticators there are

	// Of the authenticators: which codes were used, and what their seeds are sealed with.
	Allowances login.Allowances
	Vault      *credential.Vault
}

// A Page is what one address answers.
type Page struct {
	Op      string // its name in logs and metrics
	Methods string
	Wait    time.Duration // how long it may wait besides its work
	Handle  func(r *http.Request) (front.Answer, error)
}

// Page returns the page at a path.
func (s *Sandbox) Page(path string) (Page, bool) {
	of := func(below string) bool {
		ucc, found := strings.CutPrefix(path, below)
		return found && ucc != "" && !strings.Contains(ucc, "/")
	}
	switch {
	case of(otpPath):
		return Page{"sandbox_otp", http.MethodGet, maxWait, s.control(s.otpPage)}, true
	case of(totpPath):
		return Page{"sandbox_totp", http.MethodGet, maxWait, s.control(s.totpPage)}, true
	case path == "/" && s.Home, path == indexPath:
		return Page{"sandbox_home", http.MethodGet, 0, s.home}, true
	}
	return s.controlPage(path)
}

// controlPage returns the page at a path that shows or changes something.
func (s *Sandbox) controlPage(path string) (Page, bool) {
	switch {
	case path == faultsPath:
		return Page{"sandbox_faults", "GET, HEAD, POST, DELETE", 0, s.control(s.faultsPage)}, true
	case path == clockPath:
		return Page{"sandbox_clock", "GET, HEAD, POST", 0, s.control(s.clockPage)}, true
	case s.Paper != nil && paperapi.ControlMethods(path) != "":
		return Page{"sandbox_paper", paperapi.ControlMethods(path), 0, s.control(s.paperPage)}, true
	}
	return Page{}, false
}

// indexPath is where the pages are.
const indexPath = "/sandbox/"

// paperPage shows and changes the exchange on paper.
func (s *Sandbox) paperPage(r *http.Request, fields map[string]any) (front.Answer, error) {
	c := paperapi.Control{Method: r.Method, Path: r.URL.Path, Fields: fields}
	if ucc, ok := paperapi.AccountOf(c.Path); ok {
		id, err := s.known(r.Context(), ucc)
		if err != nil {
			return front.Answer{}, err
		}
		c.Path = strings.TrimSuffix(c.Path, ucc) + string(id.Value)
	}
	data, err := s.Paper.Control(c)
	var wrong *paperapi.ControlError
	if errors.As(err, &wrong) {
		return front.Answer{}, login.Invalid(wrong.Field, wrong.Text)
	}
	return success(data, nil), err
}

// known returns the identifier of an account that there is.
func (s *Sandbox) known(ctx context.Context, ucc string) (login.Identifier, error) {
	id, err := login.ParseIdentifier(login.ByUCC, ucc)
	if err != nil {
		return id, err
	}
	switch _, err = s.Directory.Account(ctx, id); {
	case errors.Is(err, login.ErrNotFound):
		return id, nobody()
	case err != nil:
		return id, login.StoreFault(err)
	}
	return id, nil
}

// nobody refuses a UCC that no account has.
func nobody() error {
	return &front.Refusal{Status: http.StatusNotFound, Detail: "no account has this UCC: the sandbox's own is " + DemoUCC}
}

// foreign returns why a request for a sandbox's own address is refused: a web page that
// a developer visits may have made the browser send it. On the developer's machine, a
// host name that a stranger can own must have been pointed there (DNS rebinding).
func (s *Sandbox) foreign(r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead && browser.CrossOrigin(r) != nil {
		return &front.Refusal{Status: http.StatusForbidden, Detail: "a browser sent this for a page of another origin: nothing was done"}
	}
	host := browser.Host(r)
	if !browser.AtHome(r) || browser.Unregistrable(host) {
		return nil
	}
	if u, err := url.Parse(s.PublicURL); err == nil && s.PublicURL != "" && strings.EqualFold(u.Hostname(), host) {
		return nil
	}
	return &front.Refusal{Status: http.StatusForbidden, Detail: "the Host header names no host of this sandbox: name it with --public-url, or use 127.0.0.1"}
}

func success(data any, header http.Header) front.Answer {
	return front.Answer{Status: http.StatusOK, Body: wire.Success[any]{Data: data}, Header: header}
}

// otpPath leads to the inbox.
const otpPath = "/sandbox/otp/"

// maxWait limits how long a request waits for a code.
const maxWait = 60 * time.Second

// otpPage returns the newest unused code of a UCC as plain text.
func (s *Sandbox) otpPage(r *http.Request, _ map[string]any) (front.Answer, error) {
	id, wait, err := s.asked(r, otpPath)
	if err != nil {
		return front.Answer{}, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	m, err := s.Inbox.Newest(ctx, string(id.Value), s.Live)
	switch {
	case errors.Is(err, login.ErrNotFound):
		return front.Answer{}, &front.Refusal{Status: http.StatusNotFound, Detail: "no unused one-time code has arrived for this account: ask for one, or wait with ?wait=5s"}
	case err != nil:
		return front.Answer{}, login.StoreFault(err)
	}
	return front.Answer{Status: http.StatusOK, Body: front.Raw{Type: front.PlainText, Text: []byte(m.Code)}}, nil
}
