package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"neoapi/internal/front"
	"neoapi/internal/login"
	"neoapi/internal/wire"
)

// A handle answers a request for a sandbox's own address. fields are those of its body.
type handle = func(r *http.Request, fields map[string]any) (front.Answer, error)

// control is what a page does, for those who may ask for it: what a web page makes a
// browser send is refused, and so is a body that is not clearly what it takes.
func (s *Sandbox) control(h handle) func(*http.Request) (front.Answer, error) {
	return func(r *http.Request) (front.Answer, error) {
		if err := s.foreign(r); err != nil {
			return front.Answer{}, err
		}
		fields, err := bodyOf(r)
		if err != nil {
			return front.Answer{}, err
		}
		return h(r, fields)
	}
}

// errContentType refuses what a web page can send to another site's address without
// asking it first.
var errContentType = &front.Refusal{
	Status: http.StatusUnsupportedMediaType, Detail: "send the body as JSON, with the header Content-Type: application/json (curl -H 'Content-Type: application/json')",
}

// bodyOf reads the body of a request: a JSON object if it is POST, and otherwise none.
func bodyOf(r *http.Request) (map[string]any, error) {
	text, err := io.ReadAll(io.LimitReader(r.Body, wire.MaxBody+1))
	switch {
	case err != nil:
		return nil, login.Invalid("body", "did not arrive")
	case len(text) > wire.MaxBody:
		return nil, front.TooLarge(wire.MaxBody)
	case r.Method != http.MethodPost && !slices.Contains([]string{"", "{}", "null"}, string(bytes.TrimSpace(text))): // as libraries send nothing
		return nil, login.Invalid("body", "is not taken by "+r.Method+" here: nothing was done")
	case r.Method != http.MethodPost:
		return nil, nil
	case len(text) > 0 && !isJSON(r.Header.Values("Content-Type")):
		return nil, errContentType
	case !utf8.Valid(text):
		return nil, login.Invalid("body", "is not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := value(d, "", 0)
	fields, ok := v.(map[string]any)
	if err == nil && !ok {
		return nil, login.Invalid("body", "must be a JSON object")
	}
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return fields, nil
		}
	}
	var named *login.Error
	if errors.As(err, &named) {
		return nil, err
	}
	return nil, login.Invalid("body", "must be one JSON object")
}

// isJSON reports whether a header Content-Type says JSON.
func isJSON(header []string) bool {
	if len(header) != 1 {
		return false
	}
	t, params, err := mime.ParseMediaType(header[0])
	charset, given := params["charset"]
	return err == nil && t == "application/json" && (!given || strings.EqualFold(charset, "utf-8"))
}

// maxDepth is deeper than any body here.
const maxDepth = 4

// value reads a JSON value in which no object has a name twice. within is the field that it
// is in.
func value(d *json.Decoder, within string, depth int) (any, error) {
	t, err := d.Token()
	open, nested := t.(json.Delim)
	switch {
	case err != nil || !nested:
		return t, err
	case depth == maxDepth:
		return nil, login.Invalid("body", "is nested too deeply")
	case open == '[':
		list := []any{}
		for d.More() {
			v, err := value(d, fmt.Sprintf("%s[%d].", strings.TrimSuffix(within, "."), len(list)), depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	}
	fields := map[string]any{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, errors.Join(err, errors.New("no name"))
		}
		if _, twice := fields[name]; twice {
			return nil, login.Invalid(within+shown(name), "is in the body more than once")
		}
		if fields[name], err = value(d, within+name+".", depth+1); err != nil {
			return nil, err
		}
	}
	_, err = d.Token()
	return fields, err
}

// shown returns a name for a message: one that a caller made up is shortened.
func shown(name string) string {
	if len(name) > 32 {
		return strings.ToValidUTF8(name[:32], "") + "…"
	}
	return name
}

// Operator serves the pages of the exchange on paper, its faults and its clock, for the
// operator's own address.
func (s *Sandbox) Operator() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, ok := s.controlPage(r.URL.Path)
		switch {
		case ok:
		case r.URL.Path == indexPath:
			page = Page{Methods: "GET, HEAD", Handle: s.index}
		default:
			refuse(w, r, &front.Refusal{Status: http.StatusNotFound, Detail: "there is nothing at this path: /sandbox/ says what there is"})
			return
		}
		if page.Methods == http.MethodGet {
			page.Methods = "GET, HEAD"
		}
		if !slices.Contains(strings.Split(page.Methods, ", "), r.Method) {
			w.Header().Set("Allow", page.Methods)
			refuse(w, r, &front.Refusal{Status: http.StatusMethodNotAllowed, Detail: "this path takes " + page.Methods})
			return
		}
		ans, err := page.Handle(r)
		if err != nil {
			refuse(w, r, err)
			return
		}
		front.Send(w, r, ans)
	})
}

// refuse answers why nothing was done.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	row, status, text := wire.Internal, http.StatusInternalServerError, err.Error()
	var refusal *front.Refusal
	var wrong *login.Error
	switch {
	case errors.As(err, &refusal):
		row, status, text = wire.BadInput, refusal.Status, refusal.Detail
	case errors.As(err, &wrong) && wrong.Kind == login.KindInput:
		row, status = wire.BadInput, http.StatusBadRequest
	case errors.As(err, &wrong) && wrong.Kind == login.KindUnavailable:
		row, status, text = wire.Unavailable, http.StatusServiceUnavailable, wrong.Detail
	}
	front.Send(w, r, front.Answer{Status: status, Body: wire.Failed{Error: []wire.Problem{{Code: row.Code, Message: text}}}})
}

// pages are the pages besides the inbox, as an index shows them.
func (s *Sandbox) pages() []listed {
	advance := ""
	if s.Clock != nil {
		advance = `{"advance":"5m"}`
	}
	all := []listed{
		{"/sandbox/market", "", "sets prices, prints trades, halts", `{"set":"price","segment":"nse_cm","symbol":"TCS-EQ","price":"3500.00"}`},
		{"/sandbox/accounts/{ucc}", "", "an account's money and shares", `{"funds":"100000.00"}`},
		{"/sandbox/state", "", "returns the exchange to its start", ""},
		{"/sandbox/requests", "", "the last thousand trade calls, and what became of each", ""},
		{faultsPath, "", "answers that go wrong on purpose", `{"op":"place","fault":"lost"}`},
		{clockPath, "", "both clocks", advance},
	}
	for n := range all {
		page, _ := s.controlPage(strings.Replace(all[n].Path, "{ucc}", DemoUCC, 1))
		all[n].Methods = page.Methods
	}
	return all
}
