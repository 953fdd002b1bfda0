package httpapi

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"neoapi/internal/front"
	"neoapi/internal/login"
	"neoapi/internal/wire"
)

// Failures, and the answers to them.

var errContentType = &front.Refusal{Status: http.StatusUnsupportedMediaType, Detail: "send the body as Content-Type: application/json"}

// Refused returns the body for a request refused before this package sees it.
func Refused(r *front.Refusal) any {
	return wire.Failed{Error: []wire.Problem{{Code: wire.BadInput.Code, Message: r.Detail}}}
}

// failures gives each kind of refusal its row in the table of codes.
var failures = map[login.Kind]wire.Failure{
	login.KindInternal:        wire.Internal,
	login.KindInput:           wire.BadInput,
	login.KindNoAccess:        wire.NoAccess,
	login.KindBadAccess:       wire.BadAccess,
	login.KindAddress:         wire.IPNotAllowed,
	login.KindClient:          wire.BadAccess,
	login.KindMissing:         wire.HeaderMissing,
	login.KindCredentials:     wire.WrongSecret,
	login.KindSession:         wire.BadSession,
	login.KindEnded:           wire.BadSession,
	login.KindTokenKind:       wire.WrongToken,
	login.KindThrottled:       wire.Throttled,
	login.KindLocked:          wire.Locked,
	login.KindTooSoon:         wire.Policy,
	login.KindOTPNotSent:      wire.OTPNotSent,
	login.KindOMSDown:         wire.OMSDown,
	login.KindOMSTimeout:      wire.Timeout,
	login.KindUpstreamDown:    wire.Unavailable,
	login.KindUpstreamTimeout: wire.Timeout,
	login.KindUnavailable:     wire.Unavailable,
	login.KindNotConfigured:   wire.Unavailable,
}

// notConfiguredRetry is the Retry-After for something that an operator has to set up
// first.
const notConfiguredRetry = time.Minute

// failure is the only place where an error becomes an answer.
func failure(ep endpoint, err error) front.Answer {
	row, status, message := wire.Internal, http.StatusInternalServerError, wire.Internal.Meaning
	h := http.Header{}
	var refused *login.Error
	var closer *front.Refusal
	switch {
	case errors.As(err, &refused):
		row, message = failures[refused.Kind], refused.Detail
		status = row.Status
		if refused.Field != "" {
			message = refused.Field + ": " + message
		}
		if refused.Kind == login.KindEnded && ep.style == styleTrade {
			status = http.StatusForbidden // trade clients interpret it as "log in again"
		}
		wait := refused.RetryAfter
		if refused.Kind == login.KindNotConfigured {
			wait = notConfiguredRetry
		}
		if wait > 0 {
			h.Set("Retry-After", strconv.FormatInt(int64(math.Ceil(wait.Seconds())), 10))
		}
	case errors.As(err, &closer):
		if closer.Allow != "" {
			h.Set("Allow", closer.Allow)
		}
		row, status, message = wire.BadInput, closer.Status, closer.Detail
	case errors.Is(err, login.ErrForeignToken), errors.Is(err, login.ErrUnrevocable):
		row, status, message = wire.BadInput, http.StatusBadRequest, err.Error()
	}
	if status == http.StatusUnauthorized {
		challenge := `Bearer realm="neo"`
		if ep.style == styleOAuth {
			challenge = `Basic realm="neo"`
		}
		h.Set("WWW-Authenticate", challenge)
	}
	body := failureBody(ep.style, row, status, message, err)
	if ep.op == opAuth {
		tellRefusal(h, body)
	}
	return front.Answer{Status: status, Body: body, Header: h}
}

// failureBody is a failure in the shape of an endpoint's style.
func failureBody(s style, row wire.Failure, status int, message string, err error) any {
	failed := wire.Failed{Error: []wire.Problem{{Code: row.Code, Message: message}}}
	switch s {
	case styleOAuth:
		return wire.OAuthFailed{Error: oauthError(err, status), Description: ascii(message)}
	case styleGen3:
		return wire.NewGen3Failed(row.Code, message)
	case styleTrade:
		code, _ := strconv.Atoi(row.Code)
		return struct {
			wire.NotOk
			wire.Failed
		}{wire.NewNotOk(code, message), failed}
	}
	return failed
}

// ascii returns a message in the characters that RFC 6749, section 5.2, allows: the
// name of a client's field may contain others.
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
