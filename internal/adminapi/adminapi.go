// Package adminapi is the operator's API: what neo account and neo consumer do, as
// JSON over HTTP, on a separate listener. It contains no rules.
//
// Start with [Config.Listen] and [Config.Serve]; api/admin.yaml describes the API.
package adminapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"neoapi/internal/argon2"
	"neoapi/internal/credential"
	"neoapi/internal/front"
	"neoapi/internal/login"
	"neoapi/internal/operator"
	"neoapi/internal/wire"
)

// within limits how long a request may wait for the store.
const within = 5 * time.Second

// eraseWithin is how long an erasure may take: it looks at the whole trail.
const eraseWithin = 10 * time.Minute

// A request is a request of an authenticated operator.
type request struct {
	ctx   context.Context
	admin *operator.Admin
	args  []string // the values of the path's variables
	query func(name string) string
	body  []byte
}

// A route is the operation of one method of one path. A path segment in braces is a
// variable.
type route struct {
	method, path string
	status       int
	handle       func(r *request) (any, error)
}

// handler serves the API to authenticated operators.
type handler struct {
	Config
	admin  operator.Admin
	log    *slog.Logger
	routes []route
}

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	who := operatorOf(r)
	rt, args, allowed := h.find(r)
	body, err := front.ReadBody(w, r, wire.MaxBody)
	front.RequestRead(r)
	var ans front.Answer
	switch herr, ferr := front.CheckHead(r), h.foreign(r); {
	case herr != nil:
		err = herr
	case ferr != nil:
		err = ferr
	case who == "":
		err = &front.Refusal{Status: http.StatusForbidden, Detail: "this connection does not identify an operator"}
	case allowed == "":
		err = &front.Refusal{Status: http.StatusNotFound, Detail: "there is nothing at this path"}
	case rt == nil:
		err = &front.Refusal{Status: http.StatusMethodNotAllowed, Detail: "this path takes " + allowed, Allow: allowed}
	case err == nil:
		ans.Status = rt.status
		ans.Body, err = h.answer(w, r, rt, args, who, body)
	}
	if err != nil {
		ans = refusal(err)
	}
	op := "unknown"
	if rt != nil {
		op = rt.method + " " + rt.path
	}
	attrs := []slog.Attr{slog.String("op", op), slog.String("by", who), slog.Int("status", ans.Status), slog.Duration("took", time.Since(start))}
	level := slog.LevelInfo
	if ans.Status >= 500 {
		level, attrs = slog.LevelError, append(attrs, slog.String("cause", err.Error()))
	}
	h.log.LogAttrs(r.Context(), level, "admin request", attrs...)
	front.Send(w, r, ans)
}

// answer runs a route. A panic is answered like any other fault.
func (h *handler) answer(w http.ResponseWriter, r *http.Request, rt *route, args []string, who string, text []byte) (body any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = front.Panicked(p)
		}
	}()
	if err := unsent(r, text); err != nil {
		return nil, err
	}
	limit := within
	if strings.HasSuffix(rt.path, "/erasure") {
		limit = eraseWithin
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(limit + time.Minute))
	}
	// A change that has begun is finished even if the operator goes away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), limit)
	defer cancel()
	admin := h.admin
	admin.By, admin.Address = who, who
	return rt.handle(&request{ctx, &admin, args, r.URL.Query().Get, text})
}

// find returns the route of a request, and what methods its path takes.
func (h *handler) find(r *http.Request) (found *route, args []string, allowed string) {
	parts := strings.Split(r.URL.Path, "/")
	var methods []string
	for i := range h.routes {
		got, ok := match(strings.Split(h.routes[i].path, "/"), parts)
		if !ok {
			continue
		}
		methods = append(methods, h.routes[i].method)
		if h.routes[i].method == r.Method {
			found, args = &h.routes[i], got
		}
	}
	return found, args, strings.Join(methods, ", ")
}

func match(pattern, parts []string) (args []string, ok bool) {
	if len(pattern) != len(parts) {
		return nil, false
	}
	for i, p := range pattern {
		switch {
		case strings.HasPrefix(p, "{") && parts[i] != "":
			args = append(args, parts[i])
		case p != parts[i]:
			return nil, false
		}
	}
	return args, true
}

// refusal turns an error into an answer. Errors that are not the operator's mistake
// are only logged.
func refusal(err error) front.Answer {
	status, code, message := http.StatusServiceUnavailable, wire.Unavailable.Code, "the store does not answer: try again shortly"
	var known *front.Refusal
	h := http.Header{}
	var wrong *login.Error
	var taken *login.ExistsError
	switch {
	case errors.As(err, &known):
		status, code, message = known.Status, wire.BadInput.Code, known.Detail
		if known.Allow != "" {
			h.Set("Allow", known.Allow)
		}
	case errors.As(err, &taken) && taken.There != nil:
		status, code, message = http.StatusConflict, wire.BadInput.Code, "account "+taken.There.UCC+" already exists: nothing was added"
	case errors.As(err, &taken):
		status, code, message = http.StatusConflict, wire.BadInput.Code, "another account or consumer has this "+taken.Field+": nothing was added"
	case errors.Is(err, argon2.ErrMemory):
		message = "the service has no memory for a hash now: try again shortly"
	case errors.Is(err, login.ErrNotFound):
		status, code, message = http.StatusNotFound, wire.BadInput.Code, "there is no such account, session or consumer"
	case errors.As(err, &wrong) && wrong.Kind == login.KindInput:
		status, code, message = http.StatusBadRequest, wire.BadInput.Code, strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "2")
	}
	return front.Answer{Status: status, Body: wire.Failed{Error: []wire.Problem{{Code: code, Message: message}}}, Header: h}
}

// decode decodes a request's body into a value, and refuses unknown fields.
func (r *request) decode(into any) error {
	d := json.NewDecoder(bytes.NewReader(r.body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return &front.Refusal{Status: http.StatusBadRequest, Detail: "the body must be a JSON object with the fields that api/admin.yaml names"}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return &front.Refusal{Status: http.StatusBadRequest, Detail: "the body must be one JSON object"}
	}
	return r.eachOnce()
}

// eachOnce refuses an object with a duplicate field, ignoring case: it is not clear
// which one the operator means.
func (r *request) eachOnce() error {
	d := json.NewDecoder(bytes.NewReader(r.body))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return &front.Refusal{Status: http.StatusBadRequest, Detail: "the body must be one JSON object"}
	}
	seen := map[string]bool{}
	for d.More() {
		name, err := d.Token()
		var value json.RawMessage
		if err := errors.Join(err, d.Decode(&value)); err != nil {
			return err // cannot happen: it was decoded before
		}
		key := strings.ToLower(fmt.Sprint(name))
		if seen[key] {
			return &front.Refusal{Status: http.StatusBadRequest, Detail: "the body must have each field once"}
		}
		seen[key] = true
	}
	return nil
}

// account returns the account that the path names.
func (r *request) account() (login.Account, error) { return r.admin.ByUCC(r.ctx, r.args[0]) }

// done is the answer to a change that has nothing to show.
type done struct {
	Done string `json:"done"`
}

// onAccount is a route's work on the account that its path names.
func onAccount(what string, f func(r *request, a login.Account) error) func(*request) (any, error) {
	return func(r *request) (any, error) {
		a, err := r.account()
		if err == nil {
			err = f(r, a)
		}
		if errors.Is(err, operator.ErrNothing) {
			return done{"nothing: it was so already"}, nil
		}
		return done{what}, err
	}
}

func onConsumer(what string, f func(r *request, key string) error) func(*request) (any, error) {
	return func(r *request) (any, error) { return done{what}, f(r, r.args[0]) }
}

// secret reads a body of one field.
func (r *request) secret(name string) (credential.Secret, error) {
	var body map[string]string
	if err := r.decode(&body); err != nil {
		return "", err
	}
	value, ok := body[name]
	if !ok || len(body) != 1 {
		return "", &front.Refusal{Status: http.StatusBadRequest, Detail: "the body must be a JSON object with the field " + name}
	}
	return credential.Secret(value), nil
}
