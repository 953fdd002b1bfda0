package front

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// A Refusal is a failure that HTTP itself has a status for.
type Refusal struct {
	Status int
	Detail string // the explanation for a person
	Allow  string // the header Allow of a 405
}

// Error returns the detail.
func (e *Refusal) Error() string { return e.Detail }

var (
	errHead    = &Refusal{Status: http.StatusRequestHeaderFieldsTooLarge, Detail: fmt.Sprintf("the headers are larger than %d bytes, or more than %d", maxHeader, maxFields)}
	errFraming = &Refusal{Status: http.StatusBadRequest, Detail: "each line of the head must end with CR LF, and no header may go on in a second line"}
	errBody    = &Refusal{Status: http.StatusBadRequest, Detail: "the body ended before it was complete"}
)

// TooLarge is the refusal of a body that is too large.
func TooLarge(most int64) *Refusal {
	return &Refusal{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("the body is larger than %d bytes", most)}
}

// CheckHead returns a [Refusal] of a request whose head is too large, or nil.
func CheckHead(r *http.Request) error {
	if size, fields := headSize(r); size > maxHeader || fields > maxFields {
		return errHead
	}
	return nil
}

// headSize is the size of a request's head as HTTP/1.1 writes it, and how many fields
// it has.
func headSize(r *http.Request) (size, fields int) {
	size = len(r.Method) + len(r.RequestURI) + len(r.Host)
	for name, values := range r.Header {
		fields += len(values)
		for _, v := range values {
			size += len(name) + len(": \r\n") + len(v)
		}
	}
	return size, fields
}

// ReadBody reads a request's body. It returns a [Refusal] for a body that is too long
// or ends too early.
func ReadBody(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	if r.ContentLength > most {
		return nil, TooLarge(most)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	return body, BodyError(err)
}

// BodyError returns the [Refusal] of a request whose body could not be read because of
// err, or nil if err is nil. The body must be limited by [http.MaxBytesReader].
func BodyError(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &tooLarge):
		return TooLarge(tooLarge.Limit)
	}
	return errBody
}

// An Answer is what [Send] sends.
type Answer struct {
	Status int
	Body   any // a [Raw], or a value to send as JSON
	Header http.Header
}

// Raw is a body that is sent as it is.
type Raw struct {
	Type string // for the header Content-Type; "" for none
	Text []byte
}

// PlainText is the type of a body for people's terminals.
const PlainText = "text/plain; charset=utf-8"

// Send sends a complete answer, with the headers common to all, and returns the number
// of body bytes sent. It must not be cached unless its Header says otherwise.
func Send(w http.ResponseWriter, r *http.Request, a Answer) (size int) {
	h := w.Header()
	h["Cache-Control"], h["X-Content-Type-Options"] = noStore, noSniff
	for name, values := range a.Header {
		h[name] = values
	}
	SetDate(h, r)
	if LastOnConnection(r) {
		h.Set("Connection", "close")
	}
	body, raw := a.Body.(Raw)
	switch {
	case !raw:
		h["Content-Type"] = isJSON
		var err error
		if body.Text, err = json.Marshal(a.Body); err != nil { // cannot happen: our own types
			panic(err)
		}
	case body.Type != "":
		h.Set("Content-Type", body.Type)
	}
	h.Set("Content-Length", strconv.Itoa(len(body.Text)))
	w.WriteHeader(a.Status)
	if r.Method == http.MethodHead {
		return 0
	}
	size, _ = w.Write(body.Text) // nothing to do if the client has gone
	return size
}

// Shared by all answers; read-only.
var (
	noStore = []string{"no-store"}
	noSniff = []string{"nosniff"}
	isJSON  = []string{"application/json"}
)

// SetDate sets the Date of an answer to the server's time instead of the machine's:
// clients compare their own clock with it.
func SetDate(h http.Header, r *http.Request) {
	now := time.Now
	if c := connOf(r); c != nil {
		now = c.door.now
	}
	h["Date"] = date(now())
}

// written is the Date of the second that was last written.
var written atomic.Pointer[writtenDate]

type writtenDate struct {
	unix int64
	date []string // read-only
}

// date returns the value of the header Date at a time. Answers of a second share it.
func date(now time.Time) []string {
	unix := now.Unix()
	w := written.Load()
	if w == nil || w.unix != unix {
		w = &writtenDate{unix, []string{now.UTC().Format(http.TimeFormat)}}
		written.Store(w)
	}
	return w.date
}

// Panicked returns a handler's panic as an error for the log, with the active
// functions. Call it in the deferred function that recovers.
func Panicked(p any) error { return fmt.Errorf("panic: %v\n%s", p, stack()) }

// stack returns the active functions, the innermost first. Go's own stack trace also
// shows argument values, which can be parts of secrets (security.md L1).
func stack() string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	var b strings.Builder
	for {
		f, more := frames.Next()
		fmt.Fprintf(&b, "%s\n\t%s:%d\n", f.Function, f.File, f.Line)
		if !more {
			return b.String()
		}
	}
}
