package neoapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"neoapi/internal/tradewire"
	"neoapi/internal/wire"
)

// text returns the first of the keys that holds a non-empty string or a number.
func (o object) text(keys ...string) string {
	for _, k := range keys {
		if t := toText(o.at(k)); t != "" {
			return t
		}
	}
	return ""
}

// toText returns a string's value or a number's digits, and "" for all else.
func toText(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	if inside := raw[1:max(1, len(raw)-1)]; raw[0] == '"' && raw[len(raw)-1] == '"' && plain(inside) {
		return string(inside)
	}
	if raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9' {
		return string(raw)
	}
	var s string
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// decode reads the answer to op: the body's object if it is a success, the
// failure otherwise. It knows every shape in docs/protocol.md. The texts in the
// failure are the server's, still to be cleaned by [tidy].
func decode(op string, status int, body []byte) (object, *Error) {
	top := toObject(body)
	if top.excess {
		return top, excessive(op, status)
	}
	if top.none() {
		return top, unreadable(op, status, body)
	}
	succeeded, failed := verdict(op, status, top)
	if succeeded {
		return top, nil
	}
	fail := &Error{Op: op, Status: status, unread: !failed}
	fail.Code, fail.Message = codeAndMessage(top)
	word := toText(top.at("error")) // OAuth's "invalid_client", or "Rate limit exceeded"
	oauth := op == opAccessToken && isOAuth(word) && (status/100 == 2 || status/100 == 4)
	if oauth && fail.Code == "" {
		fail.Code = word
	}
	if n, err := strconv.Atoi(fail.Code); err == nil && status/100 == 2 && n >= 400 && n < 600 {
		status = n // a failure sent as a 2xx may carry its status as its code
	}
	fail.Category = categoryOf(fail, status, word, oauth)
	if !failed && fail.Message == "" {
		fail.Message = "the answer has no " + wanted(op)
	}
	return object{}, fail
}

// excessive is the failure of an answer that would take too much memory.
func excessive(op string, status int) *Error {
	return &Error{
		Op: op, Status: status, Category: categorise(op, status, ""), unread: status/100 == 2,
		Message: tooMany,
	}
}

var tooMany = fmt.Sprintf("the answer has more than %d rows or %d values", maxRows, maxValues)

// isOAuth reports whether a word can be one of OAuth's for a failure.
func isOAuth(word string) bool {
	return word != "" && word == strings.ToLower(word) && !strings.Contains(word, " ")
}

// unreadable is the failure of an answer that is no JSON object.
func unreadable(op string, status int, body []byte) *Error {
	fail := &Error{Op: op, Status: status, Category: categorise(op, status, ""), unread: status/100 == 2, Message: prose(body)}
	if !steps[op] && isPage(body) && status/100 == 4 {
		fail.Category = ErrBadAnswer // a firewall's page does not mean that the session ended
	}
	if len(bytes.TrimSpace(body)) == 0 {
		fail.Message = "the answer is empty"
	}
	return fail
}

// wanted returns the key that a successful answer to op has.
func wanted(op string) string {
	if op == opAccessToken {
		return "access_token"
	}
	return "data"
}

// verdict reports whether an answer says that the call succeeded, and whether it says
// that it failed; it may say neither. A success is any 2xx that has the object "data"
// (or, for the access token, an access_token; or, for a trade call, "data" of any kind
// or a stat of "Ok") and no key error.
func verdict(op string, status int, top object) (succeeded, failed bool) {
	failed = status/100 != 2 || top.at("error") != nil || top.at("fault") != nil || top.text("errMsg", "errorCode") != ""
	said := false
	switch stat := top.text("stat", "status"); {
	case fold(stat, "not_ok", "failure", "error"):
		failed = true
	case fold(stat, "ok", "success"):
		said = !steps[op]
	}
	data := top.at(wanted(op))
	said = said || bare[op] != "" && len(top.at(bare[op])) > 0
	return !failed && (said || len(data) > 0 && string(data) != "null"), failed
}

// bare are the calls whose answer need not have a stat or data, and what it has instead.
var bare = map[string]string{string(tradewire.OpChain): "common_data", string(tradewire.OpExpiries): "expiries"}

// fold reports whether word is one of words, in any case.
func fold(word string, words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, word) })
}

// codeAndMessage finds a code and a message in a failure. The inner objects come
// first: they are more specific.
func codeAndMessage(top object) (code, message string) {
	var details []object
	for _, key := range []string{"error", "fault"} {
		var list []json.RawMessage
		if json.Unmarshal(top.at(key), &list) != nil {
			list = []json.RawMessage{top.at(key)}
		}
		for _, raw := range list {
			if o := toObject(raw); !o.none() {
				details = append(details, o)
			}
		}
	}
	for _, o := range append(details, top) {
		if code == "" {
			code = o.text("code", "errorCode", "stCode")
		}
		if message == "" {
			message = o.text("message", "errMsg", "emsg", "error_description", "description", "error")
		}
	}
	return code, message
}

// categoryOf is the category of a failure with a code, a status, and a word as its
// error, which may be one of OAuth's.
func categoryOf(fail *Error, status int, word string, oauth bool) Category {
	_, known := wire.Lookup(fail.Code)
	switch {
	case status == http.StatusBadGateway && !known: // a proxy's 502 is a page, or text
		return ErrOMSDown
	case strings.Contains(strings.ToLower(word), "rate limit"):
		return ErrRateLimited
	case oauth && refusedClient[word] && strings.Contains(strings.ToLower(fail.Message), "address"): // OAuth has no word for it
		return ErrIPNotAllowed
	case oauth && (refusedClient[word] || refusedRequest[word]):
		return ErrAccessToken
	}
	return categorise(fail.Op, status, fail.Code)
}

// The words of OAuth for an access token that is not given (RFC 6749, section 5.2),
// because of the client or because of the request.
var (
	refusedClient  = map[string]bool{"invalid_client": true, "unauthorized_client": true, "access_denied": true}
	refusedRequest = map[string]bool{"invalid_request": true, "invalid_grant": true, "unsupported_grant_type": true, "invalid_scope": true}
)

// isPage reports whether a body is a web page.
func isPage(body []byte) bool {
	start := bytes.ToLower(bytes.TrimPrefix(bytes.TrimSpace(body[:min(len(body), 1024)]), []byte("\uFEFF")))
	if !bytes.HasPrefix(start, []byte("<")) {
		return false
	}
	for _, tag := range []string{"<!doctype html", "<html", "<head", "<title", "<body"} {
		if bytes.Contains(start, []byte(tag)) {
			return true
		}
	}
	return false
}

var htmlTitle = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)

// prose returns the readable text of a body that is not JSON: a page's title, or
// plain text. It returns "" for anything that looks like code.
func prose(body []byte) string {
	if m := htmlTitle.FindSubmatch(body); m != nil {
		return "the answer is a web page: " + shorten(strings.TrimSpace(html.UnescapeString(string(m[1]))), 60)
	}
	if isPage(body) {
		return "the answer is a web page"
	}
	if text := string(bytes.TrimSpace(body)); !strings.ContainsAny(text, "<>{}[]\"") {
		return text
	}
	return ""
}

// retryAfter reads the header Retry-After: seconds, or an HTTP date (RFC 9110,
// section 10.2.3). It is 0 if there is none that can be read.
func retryAfter(value string, now time.Time) time.Duration {
	const year = 365 * 24 * time.Hour // more is no advice, and would overflow
	wait := time.Duration(0)
	if seconds, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64); err == nil {
		wait = time.Duration(max(0, min(seconds, int64(year/time.Second)))) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	return max(0, min(wait, year))
}
