package httpapi

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/wire"
)

// What goes wrong, and what a client is told of it.

// An httpError is a failure that HTTP itself has a status for and the domain
// knows nothing of. Its code is that of all bad input.
type httpError struct {
	status int
	detail string
	allow  string // the header Allow of a 405
}

func (e *httpError) Error() string { return e.detail }

var (
	errTooLarge    = &httpError{status: http.StatusRequestEntityTooLarge, detail: fmt.Sprintf("the body is larger than %d bytes", wire.MaxBody)}
	errHeaders     = &httpError{status: http.StatusRequestHeaderFieldsTooLarge, detail: fmt.Sprintf("the headers are larger than %d bytes, or more than %d", maxHeader, maxFields)}
	errFraming     = &httpError{status: http.StatusBadRequest, detail: "each line of the head must end with CR LF, and no header may go on in a second line"}
	errContentType = &httpError{status: http.StatusUnsupportedMediaType, detail: "send the body as Content-Type: application/json"}
)

// failures gives each kind of refusal its row in the table of codes.
var failures = map[login.Kind]wire.Failure{
	login.KindInternal:      wire.Internal,
	login.KindInput:         wire.BadInput,
	login.KindNoAccess:      wire.NoAccess,
	login.KindBadAccess:     wire.BadAccess,
	login.KindAddress:       wire.IPNotAllowed,
	login.KindClient:        wire.BadAccess,
	login.KindMissing:       wire.HeaderMissing,
	login.KindCredentials:   wire.WrongSecret,
	login.KindSession:       wire.BadSession,
	login.KindEnded:         wire.BadSession,
	login.KindTokenKind:     wire.WrongToken,
	login.KindThrottled:     wire.Throttled,
	login.KindLocked:        wire.Locked,
	login.KindTooSoon:       wire.Policy,
	login.KindOTPNotSent:    wire.OTPNotSent,
	login.KindOMSDown:       wire.OMSDown,
	login.KindOMSTimeout:    wire.Timeout,
	login.KindUnavailable:   wire.Unavailable,
	login.KindNotConfigured: wire.Unavailable,
}

// notConfiguredRetry is what a caller is told to wait for something that an
// operator has to set up first.
const notConfiguredRetry = time.Minute

// failure is the one place where an error becomes an answer.
func (a *api) failure(h http.Header, ep endpoint, err error) answer {
	row, status, message := wire.Internal, http.StatusInternalServerError, wire.Internal.Meaning
	var refused *login.Error
	var closer *httpError
	switch {
	case errors.As(err, &refused):
		row, message = failures[refused.Kind], refused.Detail
		status = row.Status
		if refused.Field != "" {
			message = refused.Field + ": " + message
		}
		if refused.Kind == login.KindEnded && ep.style == trade {
			status = http.StatusForbidden // what trade clients take for "log in again"
		}
		wait := refused.RetryAfter
		if refused.Kind == login.KindNotConfigured {
			wait = notConfiguredRetry
		}
		if wait > 0 {
			h.Set("Retry-After", strconv.FormatInt(int64(math.Ceil(wait.Seconds())), 10))
		}
	case errors.As(err, &closer):
		if closer.allow != "" {
			h.Set("Allow", closer.allow)
		}
		row, status, message = wire.BadInput, closer.status, closer.detail
	case errors.Is(err, login.ErrForeignToken), errors.Is(err, login.ErrUnrevocable):
		row, status, message = wire.BadInput, http.StatusBadRequest, err.Error()
	}
	if status == http.StatusUnauthorized {
		challenge := `Bearer realm="neo"`
		if ep.style == oauth {
			challenge = `Basic realm="neo"`
		}
		h.Set("WWW-Authenticate", challenge)
	}
	problems := []wire.Problem{{Code: row.Code, Message: message}}
	switch ep.style {
	case oauth:
		return answer{status, wire.OAuthFailed{Error: oauthError(err, status), Description: ascii(message)}}
	case trade:
		code, _ := strconv.Atoi(row.Code)
		return answer{status, struct {
			wire.NotOk
			wire.Failed
		}{wire.NotOk{Stat: "Not_Ok", StCode: code, ErrMsg: message}, wire.Failed{Error: problems}}}
	}
	return answer{status, wire.Failed{Error: problems}}
}

// ascii returns a message in the characters that RFC 6749, section 5.2, allows:
// a field's name that a client made up may hold others.
func ascii(message string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, message)
}

// oauthError is the error of RFC 6749, section 5.2, for a failure.
func oauthError(err error, status int) string {
	var problem *oauthProblem
	switch {
	case errors.As(err, &problem):
		return problem.word
	case status == http.StatusUnauthorized:
		return "invalid_client"
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		return "temporarily_unavailable"
	case status >= 500:
		return "server_error"
	}
	return "invalid_request"
}
