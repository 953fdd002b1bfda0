// Package sandbox has what a sandbox adds to the service: demo data, an inbox that
// shows one-time codes, deliberate faults, and a page that explains them. It does not
// depend on how the service answers; package serve combines the two.
//
// Start with [Sandbox] and [AddDemo].
package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"neoapi/internal/browser"
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

	Directory login.Directory // whose inboxes there are
}

// A Page is what one address answers.
type Page struct {
	Op      string // its name in logs and metrics
	Methods string
	Wait    time.Duration // how long it may wait besides its work
	Handle  func(r *http.Request, fields Fields) (front.Answer, error)
}

// Fields reads a request's body: a flat JSON object.
type Fields = func() (map[string]any, error)

// Page returns the page at a path.
func (s *Sandbox) Page(path string) (Page, bool) {
	ucc, inbox := strings.CutPrefix(path, otpPath)
	switch {
	case inbox && ucc != "" && !strings.Contains(ucc, "/"):
		return Page{"sandbox_otp", http.MethodGet, maxWait, s.notForeign(s.otpPage)}, true
	case path == faultsPath:
		return Page{"sandbox_faults", "GET, HEAD, POST, DELETE", 0, s.notForeign(s.faultsPage)}, true
	case s.Paper != nil && paperapi.ControlMethods(path) != "":
		return Page{"sandbox_paper", paperapi.ControlMethods(path), 0, s.notForeign(s.paperPage)}, true
	case path == "/" && s.Home:
		return Page{"sandbox_home", http.MethodGet, 0, s.home}, true
	}
	return Page{}, false
}

// paperPage shows and changes the exchange on paper.
func (s *Sandbox) paperPage(r *http.Request, _ Fields) (front.Answer, error) {
	c := paperapi.Control{Method: r.Method, Path: r.URL.Path}
	if r.Method == http.MethodPost {
		var err error
		if c.Fields, err = object(r); err != nil {
			return front.Answer{}, err
		}
	}
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
		return id, &front.Refusal{Status: http.StatusNotFound, Detail: "no account has this UCC: the sandbox's own is " + DemoUCC}
	case err != nil:
		return id, login.StoreFault(err)
	}
	return id, nil
}

// object reads a JSON object, whose values may be lists of objects.
func object(r *http.Request) (map[string]any, error) {
	text, err := io.ReadAll(io.LimitReader(r.Body, wire.MaxBody))
	if err != nil {
		return nil, login.Invalid("body", "did not arrive")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var f map[string]any
	if err := d.Decode(&f); err != nil || f == nil {
		return nil, login.Invalid("body", "must be a JSON object")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, login.Invalid("body", "must be one JSON object")
	}
	return f, nil
}

// Operator serves the pages of the exchange on paper, and its faults, for the operator's
// own address.
func (s *Sandbox) Operator() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page := Page{Methods: "GET, HEAD, POST, DELETE", Handle: s.notForeign(s.faultsPage)}
		if methods := paperapi.ControlMethods(r.URL.Path); methods != "" {
			page.Methods, page.Handle = methods, s.notForeign(s.paperPage)
		} else if r.URL.Path != faultsPath {
			http.NotFound(w, r)
			return
		}
		if !slices.Contains(strings.Split(page.Methods, ", "), r.Method) {
			w.Header().Set("Allow", page.Methods)
			http.Error(w, "this path takes "+page.Methods, http.StatusMethodNotAllowed)
			return
		}
		ans, err := page.Handle(r, func() (map[string]any, error) { return object(r) })
		if err != nil {
			status, text := http.StatusBadRequest, err.Error()
			var refusal *front.Refusal
			if errors.As(err, &refusal) {
				status, text = refusal.Status, refusal.Detail
			}
			ans = front.Answer{Status: status, Body: wire.Failed{Error: []wire.Problem{{Code: wire.BadInput.Code, Message: text}}}}
		}
		front.Send(w, r, ans)
	})
}

type handle = func(*http.Request, Fields) (front.Answer, error)

func (s *Sandbox) notForeign(h handle) handle {
	return func(r *http.Request, fields Fields) (front.Answer, error) {
		if err := s.foreign(r); err != nil {
			return front.Answer{}, err
		}
		return h(r, fields)
	}
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
func (s *Sandbox) otpPage(r *http.Request, _ Fields) (front.Answer, error) {
	id, err := login.ParseIdentifier(login.ByUCC, strings.TrimPrefix(r.URL.Path, otpPath))
	if err != nil {
		return front.Answer{}, err
	}
	var wait time.Duration
	if text := r.URL.Query().Get("wait"); text != "" {
		if wait, err = time.ParseDuration(text); err != nil || wait < 0 || wait > maxWait {
			return front.Answer{}, login.Invalid("wait", "must be a time up to "+maxWait.String()+", such as 5s")
		}
	}
	if _, err := s.known(r.Context(), string(id.Value)); err != nil {
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
