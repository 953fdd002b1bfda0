package neoapi

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"neoapi/internal/wire"
)

// An exchange is one request and its answer. Everything the client sends goes through
// [Client.begin], the request itself, then read and end, or passOn for an answer that
// the caller reads.
type exchange struct {
	client   *Client
	op       string
	sent     *http.Request
	began    time.Time
	secrets  []string  // those that went out
	unseen   bool      // the password sent contains an invisible character
	out      *outbound // the body of what was sent, nil if it has none
	unsent   bool      // nothing was sent
	keyAlone bool      // the consumer key is the only credential
	done     func(error)

	logs   bool
	body   []byte // what was sent, for the log
	resp   *http.Response
	answer []byte // at least the beginning of the answer
	fail   *Error // nil for a success, or if the caller reads the answer
}

// begin starts an exchange and calls Config.Observe. The request to send is x.sent,
// which has the observer's context.
func (c *Client) begin(op string, r *http.Request, secrets []string) exchange {
	x := exchange{client: c, op: op, sent: r, began: c.now(), secrets: secrets, done: func(error) {}}
	if c.observe != nil {
		var ctx context.Context
		ctx, x.done = c.observe(r.Context(), op)
		x.sent = r.WithContext(ctx)
	}
	x.logs = c.log != nil && c.log.Enabled(x.sent.Context(), slog.LevelDebug)
	return x
}

// read reads the answer, at most most bytes of its body, or err if there is none, and
// returns the failure, if it is one, fit to be shown. The function read takes what it
// needs from a success or returns what is missing; list does so for an answer that is
// a list, which is a failure if list is nil.
func (x *exchange) read(resp *http.Response, err error, most int, read func(object) string, list func([]byte) string) *Error {
	var long bool
	if x.resp = resp; err == nil {
		x.answer, long, err = readAll(resp, most)
	}
	if resp == nil || err != nil && resp.StatusCode/100 == 2 {
		return x.noAnswer(err)
	}
	fail := failureOf(x.op, resp, x.answer, err, read, list)
	if fail != nil && x.keyAlone && fail.Category == ErrSessionEnded {
		fail.Category = ErrAccessToken // there was no session
	}
	if long && resp.StatusCode/100 != 3 {
		fail = &Error{
			Op: x.op, Status: resp.StatusCode, Category: categorise(x.op, resp.StatusCode, ""),
			Message: fmt.Sprintf("the answer is longer than %d bytes", most), unread: resp.StatusCode/100 == 2,
		}
	}
	if fail == nil {
		return nil
	}
	c := x.client
	fail.Sent = true
	if fail.unread || err != nil || long || toObject(x.answer).none() {
		fail.Answer = x.excerpt()
	}
	fail.RequestID, fail.Err = x.sent.Header.Get(wire.HeaderRequestID), seal(err, x.secrets)
	c.clean(fail, resp.Header, x.secrets)
	about := x.circumstances()
	about.page, about.skew = isPage(x.answer), skew(resp, x.began, c.now())
	c.advise(fail, about)
	return fail
}

// readAll reads an answer of at most most bytes. Of a longer one it returns the beginning,
// and true. While it reads it holds little more than the answer, of which [io.ReadAll]
// holds up to three times as much.
func readAll(resp *http.Response, most int) (answer []byte, long bool, err error) {
	const least, largest = 4 << 10, 1 << 20
	var parts [][]byte
	first := least
	if resp.ContentLength >= 0 {
		first = 1 + int(min(resp.ContentLength, largest)) // one more, to see its end
	}
	part, total := make([]byte, 0, first), 0
	for {
		n, err := resp.Body.Read(part[len(part):cap(part)])
		part, total = part[:len(part)+n], total+n
		switch {
		case total > most || total > 0 && resp.ContentLength > int64(most):
			return append(parts, part)[0], true, nil
		case parts == nil && errors.Is(err, io.EOF):
			return part, false, nil
		case errors.Is(err, io.EOF):
			return slices.Concat(append(parts, part)...), false, nil
		case err != nil:
			return slices.Concat(append(parts, part)...), false, err
		}
		if len(part) == cap(part) {
			parts = append(parts, part)
			part = make([]byte, 0, min(2*cap(part), largest))
		}
	}
}

// noAnswer returns the failure of a request whose answer is missing or incomplete.
func (x *exchange) noAnswer(err error) *Error {
	fail := x.client.noAnswer(x.sent.Context(), x.op, x.sent.Header.Get(wire.HeaderRequestID), err, x.secrets)
	if x.resp != nil {
		fail.Status, fail.Answer, fail.Sent = x.resp.StatusCode, x.excerpt(), true
	} else {
		unread := x.out != nil && x.out.shut()
		fail.Sent = !x.unsent && !unread && !unreached(err)
	}
	x.client.advise(fail, x.circumstances())
	return fail
}

func (x *exchange) circumstances() circumstances {
	return circumstances{method: x.sent.Method, unseen: x.unseen, bareKey: len(x.secrets) > 0 && in(x.secrets[0], "", x.client.key)}
}

// end ends an exchange whose answer was read, with its failure or nil.
func (x *exchange) end(fail *Error) error {
	if x.fail = fail; x.logs {
		x.log()
	}
	if fail == nil {
		x.done(nil)
		return nil
	}
	x.done(fail)
	return fail
}

// passOn ends an exchange whose answer the caller reads: it is logged when it has
// been read.
func (x exchange) passOn(resp *http.Response) {
	if x.logs {
		logged := x
		logged.resp = resp
		resp.Body = &watched{ReadCloser: resp.Body, ended: func(start []byte) {
			logged.answer = start
			logged.log()
		}}
	}
	if resp.StatusCode >= 300 {
		x.done(&Error{Op: x.op, Status: resp.StatusCode, Sent: true, Category: categorise(x.op, resp.StatusCode, ""), RequestID: x.sent.Header.Get(wire.HeaderRequestID)})
	} else {
		x.done(nil)
	}
}

// failureOf returns the failure in an answer whose body was read with err. It still
// has to be cleaned.
func failureOf(op string, resp *http.Response, body []byte, err error, read func(object) string, list func([]byte) string) *Error {
	fail := &Error{Op: op, Status: resp.StatusCode, Category: categorise(op, resp.StatusCode, "")}
	whole := bytes.TrimSpace(body)
	switch {
	case resp.StatusCode/100 == 3:
		fail.Message = "the service redirects; redirects are not followed"
		if to, err := resp.Location(); err == nil {
			fail.Message = "the service redirects to " + to.Hostname() + "; redirects are not followed"
		}
	case err != nil && resp.StatusCode/100 == 4: // a refusal whose text is lost
	case err != nil:
		fail.Message = "the answer broke off"
	case list != nil && resp.StatusCode/100 == 2 && bytes.HasPrefix(whole, []byte("[")): // such as quotes are
		s := scanner{data: whole}
		if s.whole(false); s.excess {
			return excessive(op, resp.StatusCode)
		} else if !s.ok {
			return unreadable(op, resp.StatusCode, body)
		}
		if fail.Message = list(whole); fail.Message == "" {
			return nil
		}
		fail.Category, fail.unread = ErrBadAnswer, true
	default:
		answer, failure := decode(op, resp.StatusCode, body)
		if failure != nil {
			return failure
		}
		if read != nil {
			fail.Message = read(answer)
		}
		if fail.Message == "" {
			return nil
		}
		fail.unread = fail.Message != anotherView
	}
	return fail
}

// clean makes the server's texts in fail fit to show and adds what the headers contain.
func (c *Client) clean(fail *Error, header http.Header, secrets []string) {
	fail.RetryAfter = retryAfter(header.Get("Retry-After"), c.now())
	_, known := wire.Lookup(fail.Code)
	if !known { // a known code is safe to show, even if an OTP has the same digits
		fail.Code = tidy(fail.Code, secrets)
	}
	said := tidy(fail.Message, nil)
	fail.Message = tidy(fail.Message, secrets)
	// A gap in a well-known sentence would reveal what was removed: a password may be
	// one of its words.
	if fail.Message == "" || known && fail.Message != said {
		fail.Message = advice[fail.Category]
	}
}

// noAnswer returns the error for a request whose answer is missing or incomplete. If
// the caller's context is the reason, errors.Is finds context.Canceled or
// context.DeadlineExceeded even where net/http reports the context's cause.
func (c *Client) noAnswer(ctx context.Context, op, id string, err error, secrets []string) *Error {
	cause := err
	if ctx.Err() != nil {
		cause = errors.Join(err, ctx.Err())
	}
	text := seal(err, secrets)
	return &Error{Op: op, Category: ErrNetwork, Message: text.Error(), RequestID: id, Err: &sealed{text.Error(), cause}, Retry: RetrySame}
}

// maxExcerpt is the length of Error.Answer, in bytes.
const maxExcerpt = 200

// excerpt returns the beginning of a trade call's answer, fit to be shown. A step's
// answer may hold the secret that it opens a session with.
func (x *exchange) excerpt() string {
	if steps[x.op] {
		return ""
	}
	text := x.answer[:min(len(x.answer), maxText+1)]
	var shown string
	if json.Valid(text) {
		shown = veil(text, x.secrets)
	} else {
		shown = opaque.ReplaceAllString(jwtShape.ReplaceAllString(conceal(string(text), x.secrets), "[redacted]"), "[redacted]")
	}
	return strings.ToValidUTF8(shown[:min(len(shown), maxExcerpt)], "")
}

// beginning returns the first part of a request's body, if it can be read without
// consuming it.
func beginning(r *http.Request) []byte {
	if r.GetBody == nil {
		return nil
	}
	body, err := r.GetBody()
	if err != nil {
		return nil
	}
	defer body.Close()
	start, _ := io.ReadAll(io.LimitReader(body, maxText))
	return start
}

// newRequestID returns a random UUID (RFC 9562, version 4).
func newRequestID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0F | 0x40
	b[8] = b[8]&0x3F | 0x80
	var id [36]byte
	hex.Encode(id[:8], b[:4])
	hex.Encode(id[9:13], b[4:6])
	hex.Encode(id[14:18], b[6:8])
	hex.Encode(id[19:23], b[8:10])
	hex.Encode(id[24:], b[10:])
	id[8], id[13], id[18], id[23] = '-', '-', '-', '-'
	return string(id[:])
}
