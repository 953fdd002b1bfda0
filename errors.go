package neoapi

import (
	"cmp"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"neoapi/internal/paste"
	"neoapi/internal/wire"
)

// A Category says what kind of failure an [Error] is, so that a program can
// decide without knowing codes. Each category is itself an error to compare
// with: errors.Is(err, neoapi.ErrLocked).
type Category string

// The categories. docs/protocol.md has the table of codes and statuses for each.
const (
	ErrInvalidInput     = Category(wire.CategoryInput)        // the configuration or an argument is wrong; refused by the client or by the service; the same call fails again. With RetryNewCode: a used TOTP code
	ErrAccessToken      = Category(wire.CategoryAccess)       // the consumer or its access token was refused
	ErrWrongCredentials = Category(wire.CategoryCredentials)  // the first factor was refused
	ErrWrongOTP         = Category("wrong OTP")               // Session2FA: the OTP or MPIN was refused
	ErrWrongMPIN        = Category("wrong MPIN")              // ValidateMPIN: the MPIN was refused
	ErrSessionEnded     = Category(wire.CategorySession)      // the view or trade session is unknown or has ended
	ErrWrongToken       = Category(wire.CategoryTokenKind)    // a view token where a trade token belongs, or the reverse
	ErrLocked           = Category(wire.CategoryLocked)       // too many failed tries; wait Error.RetryAfter
	ErrRateLimited      = Category(wire.CategoryRateLimited)  // asked too often; wait Error.RetryAfter
	ErrOTPNotSent       = Category(wire.CategoryOTPNotSent)   // no code could be generated or delivered
	ErrIPNotAllowed     = Category(wire.CategoryIPNotAllowed) // the caller's address is not allowed
	ErrOMSDown          = Category(wire.CategoryOMSDown)      // the service says that it could not reach the order management system; the code was not used up
	ErrTimeout          = Category(wire.CategoryTimeout)      // the OMS or the trade API did not answer the service in time, or the service its proxy
	ErrUnavailable      = Category(wire.CategoryUnavailable)  // store down, overload, maintenance, or a proxy's 502; wait Error.RetryAfter
	ErrInternal         = Category(wire.CategoryInternal)     // a fault of the service
	ErrBadAnswer        = Category(wire.CategoryUnknown)      // an answer that cannot be read, or a refusal without a known code or status
	ErrNetwork          = Category("no answer")               // no answer or only part of one: refused, reset, DNS, TLS, cancelled, timed out; Error.Err has the cause
	ErrNotLoggedIn      = Category("not logged in")           // a step was called before the one it requires
)

// Error returns the category's name.
func (c Category) Error() string { return string(c) }

// An Error is the one error type of this package. It contains no secret: any secret
// of the request that a server echoes is replaced by "[redacted]".
type Error struct {
	// Op is the step: new; access_token, login, otp, session_2fa, totp_login,
	// totp_validate, logout; positions, orders, trades, limits, holdings, client_ip,
	// place, modify, cancel, exit, convert, history, margin, quotes, scrip_master,
	// candles, option_chain, expiries, or call for any other call of the trade API;
	// feed, download; use, restore; keep, for what a Keeper does itself; load, save,
	// clear, lock and new_file_store, for a store; export, parse_session; diagnose.
	Op string

	Category   Category      // what kind of failure; errors.Is compares with it
	Code       string        // the service's code such as "10020", or ""
	Status     int           // the HTTP status, or 0 if no answer came
	Message    string        // what happened, mostly in the service's words; one line
	Problems   []Problem     // what is wrong with a configuration, one by one; Message has all of them
	Hint       string        // what a person can do about it, or "" if Message says so; docs/client.md has the table
	Retry      Retry         // whether trying again can help; "" if nothing is known
	RetryAfter time.Duration // how long the service wants you to wait; 0 if it did not say
	RequestID  string        // the X-Request-Id that was sent, to find the request in the service's log; "" if none was sent
	Err        error         // the cause, or nil; errors.Is and errors.As unwrap it

	// Sent is false only if it is certain that the service got nothing of the call that
	// failed, or not enough to act on: it was refused or given up before it was sent, the
	// session or access token that it requires could not be had, there was no connection,
	// or its body was never asked for. Otherwise the service may have done what it was
	// asked, whatever the error says.
	Sent bool

	// Answer is the beginning of a trade call's answer that is not the protocol's, or is not
	// whole: its first 200 bytes, in one line and without secrets.
	Answer string

	unread bool // the status was a success, but the answer cannot be read
}

// Error returns one line such as
//
//	neoapi: session_2fa: wrong OTP (401, code 10020): the code is wrong or has expired [request id 4f…]
func (e *Error) Error() string {
	var facts []string
	if e.Status != 0 {
		facts = append(facts, fmt.Sprint(e.Status))
	}
	if e.Code != "" {
		facts = append(facts, "code "+e.Code)
	}
	if e.RetryAfter > 0 {
		facts = append(facts, "retry after "+e.RetryAfter.Round(time.Second).String())
	}
	line := "neoapi: " + e.Op
	switch {
	case e.Category == ErrNetwork && strings.HasPrefix(e.Message, stoppedWaiting): // the service was not asked
	case e.Category == ErrInvalidInput && e.Retry == RetryNewCode: // nothing was wrong with the code but that it was used
	default:
		line += ": " + string(e.Category)
	}
	if len(facts) > 0 {
		line += " (" + strings.Join(facts, ", ") + ")"
	}
	if e.Message != "" {
		line += ": " + e.Message
	}
	if e.Hint != "" {
		line += "; " + e.Hint
	}
	if e.RequestID != "" {
		line += " [request id " + e.RequestID + "]"
	}
	return line
}

// stoppedWaiting begins the message of a call whose context was done while it waited
// inside the client.
const stoppedWaiting = "stopped waiting: "

// Is reports whether target is the error's [Category].
func (e *Error) Is(target error) bool {
	c, ok := target.(Category)
	return ok && c == e.Category
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// A Problem is one thing that is wrong with a configuration.
type Problem struct {
	Field string // of the struct that was given, such as "ConsumerKey"
	Text  string // what is wrong with it, to be read after the field's name: "is missing"
}

// misconfigured returns the error for an invalid configuration.
func misconfigured(op string, problems []Problem) *Error {
	var texts []string
	for _, p := range problems {
		texts = append(texts, p.Field+" "+p.Text)
	}
	fail := invalid(op, texts...)
	fail.Problems = problems
	return fail
}

// invalid returns the error for input refused without asking the service.
func invalid(op string, problems ...string) *Error {
	return &Error{Op: op, Category: ErrInvalidInput, Message: strings.Join(problems, "; "), Retry: RetryNever}
}

// A sealed error is a cause whose text has been cleaned of secrets. errors.Is and
// errors.As reach the original; printing does not, because a server can influence the
// text (net/http quotes a malformed Location, for example).
type sealed struct {
	text string
	err  error
}

func seal(err error, secrets []string) error {
	if err == nil {
		return nil
	}
	return &sealed{tidy(causeText(err), secrets), err}
}

// causeText describes a network failure without what Op already says and without
// useless detail: the method and URL of *url.Error, and the ports of an established
// connection.
func causeText(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if refused, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return strings.TrimPrefix(refused.Err.Error(), "x509: ")
	}
	if unknown, ok := errors.AsType[*net.DNSError](err); ok && unknown.IsNotFound {
		return "there is no host " + unknown.Name
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op != "dial" {
		return op.Err.Error()
	}
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		return "the service speaks http there, not https"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the answer broke off"
	case errors.Is(err, io.EOF):
		return "the connection closed before an answer came"
	}
	return err.Error()
}

func (s *sealed) Error() string        { return s.text }
func (s *sealed) Is(target error) bool { return errors.Is(s.err, target) }
func (s *sealed) As(target any) bool   { return errors.As(s.err, target) }

// advice has the messages for failures without a message from the service.
var advice = map[Category]string{
	ErrInvalidInput:     "the service does not accept this request",
	ErrAccessToken:      "the consumer or its access token was refused",
	ErrWrongCredentials: "the identifier or the secret was refused",
	ErrWrongOTP:         "the code was refused",
	ErrWrongMPIN:        "the MPIN was refused",
	ErrSessionEnded:     "the session was refused",
	ErrWrongToken:       "the token is of the wrong kind",
	ErrLocked:           "too many bad tries",
	ErrRateLimited:      "too many requests",
	ErrOTPNotSent:       "no code could be sent",
	ErrIPNotAllowed:     "the address is not allowed",
	ErrOMSDown:          "the OMS cannot be reached",
	ErrTimeout:          "the service was too slow",
	ErrUnavailable:      "the service is not available",
	ErrInternal:         "the service failed",
	ErrBadAnswer:        "the answer cannot be read",
}

// exceeded is the trade API's code for more calls than it takes in a second.
const exceeded = "1041"

// categorise returns the category of a failure, by its code if the table has it and
// otherwise by its status. A 502 that is not the protocol's own is a proxy's: see
// [decode].
func categorise(op string, status int, code string) Category {
	switch row, _ := wire.Lookup(code); row.Category {
	case wire.CategoryCredentials:
		return refused(op)
	case "", wire.CategoryNoData:
	default:
		return Category(row.Category)
	}
	switch {
	case code == exceeded:
		return ErrRateLimited
	case status == 401:
		return refused(op)
	case status == 403: // gateways answer this for an access token that is valid for other addresses
		if op == opLogin || op == opTOTPLogin || op == opAccessToken {
			return ErrAccessToken
		}
		return ErrSessionEnded
	case status == 429:
		return ErrRateLimited
	case status == 408 || status == 504:
		return ErrTimeout
	case status == 502 || status == 503:
		return ErrUnavailable
	case status >= 500:
		return ErrInternal
	case status >= 400:
		return ErrInvalidInput
	}
	return ErrBadAnswer
}

// refused returns what "authentication failed" means at op: the protocol has one code
// for every case.
func refused(op string) Category {
	switch op {
	case opAccessToken:
		return ErrAccessToken
	case opSession2FA:
		return ErrWrongOTP
	case opTOTPValidate:
		return ErrWrongMPIN
	case opLogin, opTOTPLogin:
		return ErrWrongCredentials
	}
	return ErrSessionEnded // sid and token were the only credentials
}

// maxMessage is how much of a server's text an error keeps, in runes; maxText is how
// much of it is searched for secrets, in bytes.
const (
	maxMessage = 300
	maxText    = 8 << 10
)

// tidy makes a server's text fit to show: one line without control characters,
// shortened, and without secrets, raw or in the encodings that servers echo.
func tidy(text string, secrets []string) string { return shorten(conceal(text, secrets), maxMessage) }

// shorten cuts text to a number of runes.
func shorten(text string, runes int) string {
	if all := []rune(text); len(all) > runes {
		return string(all[:runes]) + "…"
	}
	return text
}

// conceal is tidy for texts of any length up to maxText.
func conceal(text string, secrets []string) string {
	cut := len(text) > maxText
	if cut {
		text = text[:maxText]
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !paste.Visible(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))

	var forms []string
	for _, s := range secrets {
		quoted, _ := json.Marshal(s)
		forms = append(forms, s, url.QueryEscape(s), url.PathEscape(s), strings.Trim(string(quoted), `"`), base64.RawStdEncoding.EncodeToString([]byte(s)))
	}
	slices.SortFunc(forms, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	for _, form := range slices.Compact(forms) {
		text = redact(text, lower(form))
	}
	if cut && len(forms) > 0 { // the cut may have left part of a secret at the end
		text = text[:max(0, len(text)-len(forms[0]))]
	}

	return strings.Join(strings.Fields(strings.ToValidUTF8(text, "")), " ")
}

// redact replaces secret, given in lower case, in text, ignoring case.
func redact(text, secret string) string {
	if secret == "" {
		return text
	}
	var out strings.Builder
	for low := lower(text); ; {
		i := strings.Index(low, secret)
		if i < 0 {
			return out.String() + text
		}
		out.WriteString(text[:i] + "[redacted]")
		text, low = text[i+len(secret):], low[i+len(secret):]
	}
}

// lower lowers ASCII letters only, so that it keeps every length.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
