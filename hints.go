package neoapi

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"neoapi/internal/tradewire"
	"neoapi/internal/wire"
)

// A Retry says whether trying again can help, and what has to happen first.
type Retry string

// What [Error.Retry] can be. The empty Retry means that it is not known.
const (
	RetryNever      Retry = "never"       // the same call fails again until something is corrected
	RetrySame       Retry = "same"        // the same call may work right away, with the same code
	RetryLater      Retry = "later"       // the same call may work after Error.RetryAfter, or after a while if that is 0
	RetryNewCode    Retry = "new code"    // with another OTP, TOTP or MPIN
	RetryLoginAgain Retry = "login again" // after a new login
	RetryCheckFirst Retry = "check first" // an order may have been accepted: check the order book before sending it again
)

// circumstances are what a hint can depend on besides the [Error].
type circumstances struct {
	method  string
	page    bool          // the answer is a web page
	skew    time.Duration // how far our clock is ahead of the service's; 0 if that is not known
	bareKey bool          // the consumer key itself was the Authorization
	unseen  bool          // the password sent contains an invisible character
	renews  bool          // the client can fetch another access token
}

// unsafe reports whether sending the call again could do something twice.
func (a circumstances) unsafe(e *Error) bool {
	return !steps[e.Op] && !in(wire.Op(e.Op), tradewire.OpLimits, tradewire.OpHistory, tradewire.OpMargin) && a.method != http.MethodGet && a.method != http.MethodHead && a.method != "" && !notDone(e)
}

// notDone reports whether the service certainly did nothing: nothing reached it, or the
// answer says so.
func notDone(e *Error) bool { return !e.Sent || strings.Contains(e.Message, "was not sent") }

// unreached reports whether a transport's error means that there was no connection.
func unreached(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok && in(op.Op, "dial", "proxyconnect") {
		return true
	}
	_, unknown := errors.AsType[*net.DNSError](err)
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	return unknown || untrusted
}

// open reports whether the service may have carried out the request although no
// readable answer says so.
func open(e *Error) bool {
	return e.unread || in(e.Category, ErrNetwork, ErrTimeout) && !notDone(e)
}

// elsewhere reports whether the answer says that the requested path is not there.
func elsewhere(e *Error) bool { return e.Status == http.StatusNotFound || e.Status/100 == 3 }

// withoutSession reports whether a step comes before there is a session.
func withoutSession(op string) bool { return in(op, opAccessToken, opLogin, opTOTPLogin) }

// secondFactor reports whether a step takes a code that works until it has opened a session.
func secondFactor(op string) bool { return in(op, opSession2FA, opTOTPValidate) }

// skewed is how far a clock may be off before TOTP codes are refused: one step.
const skewed = 30 * time.Second

// A hint is one row of the table in docs/client.md.
type hint struct {
	when   string // in words
	is     func(*Error, circumstances) bool
	hint   string // what to do; {skew} stands for how far the clock is off
	source string
	said   []string // a message with one of these already says it, or says it better
}

// hints is the table of what a person can do about a failure. The first row that
// matches is used, so more specific rows come first. The message says what happened;
// message and hint together have at most 120 characters. Sources named like
// kotak-neo-api#20 are public issues of existing clients at github.com/Kotak-Neo.
var hints = []hint{
	{when: "the service's certificate has expired, or is not valid yet",
		is: func(e *Error, _ circumstances) bool {
			bad, ok := errors.AsType[x509.CertificateInvalidError](e.Err)
			return ok && bad.Reason == x509.Expired
		},
		hint: "its operator has to renew it, or this machine's clock is wrong", source: "Go, crypto/x509"},
	{when: "the service's certificate is for another name",
		is: func(e *Error, _ circumstances) bool {
			_, ok := errors.AsType[x509.HostnameError](e.Err)
			return ok
		},
		hint: "check the base URL's spelling", source: "Go, crypto/x509"},
	{when: "the service's certificate is not trusted",
		is: func(e *Error, _ circumstances) bool {
			_, ok := errors.AsType[*tls.CertificateVerificationError](e.Err)
			return ok
		},
		hint: untrusted, source: "Go, crypto/tls"},
	{when: "an https base URL of a service that speaks http",
		is:   func(e *Error, _ circumstances) bool { return errors.Is(e.Err, http.ErrSchemeMismatch) },
		hint: "begin the base URL with http://, or find its port for https", source: "Go, net/http"},
	{when: "the host's name is not found",
		is: func(e *Error, _ circumstances) bool {
			_, unknown := errors.AsType[*net.DNSError](e.Err)
			return unknown
		},
		hint: "check the network connection and the base URL's spelling", source: "Go, net"},
	{when: "nothing listens there",
		is:   func(e *Error, _ circumstances) bool { return errors.Is(e.Err, syscall.ECONNREFUSED) },
		hint: "check the port, and that the service (or neo sandbox) is running", source: "Go, net"},

	{when: "a trade call that can change something got no answer, a 5xx, or one that cannot be read",
		is: func(e *Error, a circumstances) bool {
			return a.unsafe(e) && in(e.Category, ErrNetwork, ErrTimeout, ErrOMSDown, ErrInternal, ErrUnavailable, ErrBadAnswer)
		},
		hint: "it may have been done: check the order book first", source: "this module: an order is never sent twice by itself", said: []string{"before you send it again"}},

	{when: "the TOTP was refused and the service's Date is more than 30 s off",
		is: func(e *Error, a circumstances) bool {
			return e.Op == opTOTPLogin && e.Category == ErrWrongCredentials && a.skew.Abs() > skewed
		},
		hint: "your clock is {skew} the service's: TOTP will fail until it is right", source: "RFC 6238, section 6"},
	{when: "the TOTP was refused",
		is:   func(e *Error, _ circumstances) bool { return e.Op == opTOTPLogin && e.Category == ErrWrongCredentials },
		hint: "mobile number, UCC and authenticator must be of one account; a code works once", source: "Kotak-neo-api-v2#17, #63; kotak-neo-api#292"},
	{when: "a password was refused that has an invisible character in it, or a blank around it",
		is: func(e *Error, a circumstances) bool {
			return e.Op == opLogin && e.Category == ErrWrongCredentials && a.unseen
		},
		hint: "the password has something invisible in or around it: copy it again", source: "this module: a password is sent as it is"},
	{when: "the password or MPIN of the first factor was refused",
		is:   func(e *Error, _ circumstances) bool { return e.Op == opLogin && e.Category == ErrWrongCredentials },
		hint: "use what opens the broker's app, not the developer portal", source: "docs/protocol.md, Login; kotak-neo-api#20"},

	{when: "no access token arrived (code 900902)", is: hasCode(wire.NoAccess),
		hint: "something on the way drops the header Authorization", source: "docs/protocol.md, Statuses and codes"},
	{when: "the consumer was refused at the access token",
		is: func(e *Error, _ circumstances) bool {
			return e.Op == opAccessToken && e.Category == ErrAccessToken && !in(e.Code, "invalid_request", "unsupported_grant_type", "invalid_scope")
		},
		hint: "this key belongs to another environment or to another secret", source: "kotak-neo-api#20, #47"},
	{when: "the bare consumer key was refused",
		is:   func(e *Error, a circumstances) bool { return e.Category == ErrAccessToken && a.bareKey },
		hint: "copy the whole key again; each environment has its own key", source: "docs/protocol.md, Access token; Kotak-neo-api-v2#17"},
	{when: "the access token was refused, and the client can fetch another",
		is: func(e *Error, a circumstances) bool {
			return e.Category == ErrAccessToken && e.Op != opAccessToken && a.renews
		},
		hint: "try again: a new one is fetched", source: "docs/protocol.md, Access token"},
	{when: "the access token was refused, and there is no consumer secret",
		is:   func(e *Error, _ circumstances) bool { return e.Category == ErrAccessToken && e.Op != opAccessToken },
		hint: "give a new access token, or the consumer secret to fetch one with", source: "docs/protocol.md, Access token"},

	{when: "the session was opened from another address (code 1037)",
		is:   func(e *Error, _ circumstances) bool { return e.Code == wire.IPChanged.Code && !withoutSession(e.Op) },
		hint: "log in again from here, and keep to one address", source: "internal/wire/failures.go, 1037"},
	{when: "the address is not allowed (code 100008), and there is no session to ask with",
		is: func(e *Error, _ circumstances) bool {
			return e.Category == ErrIPNotAllowed && e.Code != wire.IPChanged.Code && (steps[e.Op] || e.Op == string(wire.OpClientIP))
		},
		hint: "register the address you send from for this consumer key; mind IPv6", source: "internal/wire/failures.go, 100008; Kotak-neo-api-v2#64, #82"},
	{when: "the address is not allowed (code 100008)",
		is: func(e *Error, _ circumstances) bool {
			return e.Category == ErrIPNotAllowed && e.Code != wire.IPChanged.Code
		},
		hint: "register the address that the service sees for this consumer key", source: "internal/wire/failures.go, 100008; Kotak-neo-api-v2#64, #82"},

	{when: "a view token where a trade token belongs (code 100021)",
		is: func(e *Error, _ circumstances) bool {
			return e.Category == ErrWrongToken && (!steps[e.Op] || e.Op == opLogout)
		},
		hint: "the second factor is still missing", source: "docs/protocol.md, Statuses and codes; kotak-neo-api#292"},
	{when: "code 10512 at the second factor",
		is:   func(e *Error, _ circumstances) bool { return e.Code == wire.HeaderMissing.Code && secondFactor(e.Op) },
		hint: "the first factor failed before, or Sid and Auth are dropped on the way", source: "docs/protocol.md, Statuses and codes; Kotak-neo-api-v2#2"},
	{when: "code 10512 elsewhere, or a second factor that was taken for a first one",
		is: func(e *Error, _ circumstances) bool {
			return e.Code == wire.HeaderMissing.Code && !withoutSession(e.Op) || e.Message == anotherView
		},
		hint: "something on the way drops the headers Sid and Auth", source: "docs/protocol.md, Statuses and codes; Kotak-neo-api-v2#2"},
	{when: "the pending login is over",
		is: func(e *Error, _ circumstances) bool {
			return in(e.Category, ErrSessionEnded, ErrWrongToken) && (e.Op == opOTP || secondFactor(e.Op))
		},
		hint: "begin again with the first factor", source: "docs/protocol.md, session_2fa", said: []string{"log in again"}},
	{when: "the trade session that should end is over already",
		is:   func(e *Error, _ circumstances) bool { return e.Category == ErrSessionEnded && e.Op == opLogout },
		hint: "there is nothing left to end", source: "docs/protocol.md, After login"},
	{when: "the trade session is over",
		is:   func(e *Error, _ circumstances) bool { return e.Category == ErrSessionEnded && !steps[e.Op] },
		hint: "log in again", source: "docs/protocol.md, After login, The tokens", said: []string{"log in again"}},

	{when: "the OTP was refused",
		is:   func(e *Error, _ circumstances) bool { return e.Category == ErrWrongOTP },
		hint: "use the newest code, of the newest login, or the six-digit MPIN", source: "docs/protocol.md, OTP and session_2fa", said: []string{"new code", "one-time code", "MPIN", "identifier"}},
	{when: "the MPIN was refused",
		is:   func(e *Error, _ circumstances) bool { return e.Category == ErrWrongMPIN },
		hint: wrongMPIN, source: "docs/protocol.md, TOTP login and MPIN validate", said: []string{"log in again"}},
	{when: "too many bad tries (code 70009)",
		is:   func(e *Error, _ circumstances) bool { return e.Category == ErrLocked },
		hint: "each further wrong try makes the lock longer: wait", source: "docs/protocol.md, session_2fa", said: []string{"wait"}},
	{when: "an OTP was asked for too soon",
		is: func(e *Error, _ circumstances) bool {
			return e.Op == opOTP && e.Category == ErrRateLimited && e.Code != wire.Throttled.Code // that code is not about OTPs
		},
		hint: "the last code still works, and so does the MPIN", source: "docs/protocol.md, OTP", said: []string{"MPIN", "log in again"}},
	{when: "too many requests (code 900802, or none)",
		is: func(e *Error, _ circumstances) bool {
			return e.Category == ErrRateLimited && e.Code != wire.Policy.Code
		},
		hint: "all programs of a consumer share its rate, usually 10 requests a second", source: "docs/protocol.md, Statuses and codes", said: []string{"address"}},
	{when: "the OTP could not be sent (code 10522)",
		is: func(e *Error, _ circumstances) bool {
			return e.Category == ErrOTPNotSent && in(e.Op, opLogin, opOTP, opSession2FA)
		},
		hint: "ask for another code, or give the MPIN instead", source: "docs/protocol.md, OTP; kotak-neo-api#9", said: []string{"MPIN"}},

	{when: "the OMS, the service or the way to it failed at the second factor",
		is: func(e *Error, _ circumstances) bool {
			return secondFactor(e.Op) && (e.unread || in(e.Category, ErrOMSDown, ErrTimeout, ErrUnavailable, ErrInternal, ErrNetwork))
		},
		hint: "send the same code again: it still works", source: "docs/design.md, the second factor", said: []string{"same code"}},
	{when: "no answer to a TOTP login came, or none that can be read",
		is:   func(e *Error, a circumstances) bool { return e.Op == opTOTPLogin && open(e) && !a.page },
		hint: "the code may be used up: go on with the next one", source: "docs/protocol.md, TOTP login and MPIN validate"},
	{when: "no answer to the request for an OTP came, or none that can be read",
		is:   func(e *Error, a circumstances) bool { return e.Op == opOTP && open(e) && !a.page },
		hint: "a code may be on its way: wait for it before you ask again", source: "docs/protocol.md, OTP"},
	{when: "no answer to a logout came, or none that can be read",
		is:   func(e *Error, a circumstances) bool { return e.Op == opLogout && open(e) && !a.page },
		hint: "try again: if the session is over, the answer says so", source: "docs/protocol.md, After login"},
	{when: "the connection broke before the answer was whole",
		is:   func(e *Error, _ circumstances) bool { return e.Category == ErrNetwork && broke(e.Err) },
		hint: "try again: that is safe", source: "this module: what changes something is in the rows above"},

	{when: "a web page with a 5xx",
		is:   func(e *Error, a circumstances) bool { return a.page && e.Status >= 500 },
		hint: "the gateway answers for a service that is down: wait some minutes", source: "kotak-neo-api#293, #210"},
	{when: "a web page with another status",
		is:   func(e *Error, a circumstances) bool { return a.page },
		hint: "a proxy, firewall or login page answered, or this is a website's URL", source: "seen in use"},
	{when: "the body of a trade call was refused (code 1007)",
		is:   func(e *Error, _ circumstances) bool { return e.Code == "1007" },
		hint: "the trade API takes a form whose field jData is JSON with strings for all values", source: "kotak-neo-api#271"},
	{when: "404, or a redirect, at a call with a session",
		is:   func(e *Error, _ circumstances) bool { return !steps[e.Op] && elsewhere(e) },
		hint: "check the path, and that there is a trade API", source: "docs/protocol.md, After login", said: []string{"trade API"}},
	{when: "404, or a redirect, at logout",
		is:   func(e *Error, _ circumstances) bool { return e.Op == opLogout && elsewhere(e) },
		hint: "the service has no logout: sessions end by themselves", source: "docs/protocol.md, After login"},
	{when: "404, or a redirect, before there is a session",
		is:   func(e *Error, _ circumstances) bool { return elsewhere(e) },
		hint: "check the base URL, which may need a path", source: "docs/protocol.md, Addresses"},
	{when: "an answer at the first step that is not one of this protocol",
		is:   func(e *Error, _ circumstances) bool { return e.unread && withoutSession(e.Op) },
		hint: "check that the base URL is a Neo service's", source: "seen in use"},
}

const wrongMPIN = "the MPIN is the six digits that open the broker's app, not the TOTP again"

const untrusted = "trust its root certificate, or find out what intercepts TLS on the way"

// broke reports whether a connection ended early.
func broke(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func in[T comparable](v T, list ...T) bool { return slices.Contains(list, v) }

func hasCode(f wire.Failure) func(*Error, circumstances) bool {
	return func(e *Error, _ circumstances) bool { return e.Code == f.Code }
}

// A shape is a form that no valid setting has. Settings that match are refused before
// anything is sent.
type shape struct {
	what   []string // the settings
	when   string   // in words
	is     func(string) bool
	hint   string
	source string
}

var shapes = []shape{
	{[]string{"ConsumerKey", "AccessToken"}, "begins with Bearer",
		func(s string) bool { return strings.HasPrefix(strings.ToLower(strings.TrimLeft(s, `"' `)), "bearer ") },
		"must be given without Bearer in front of it", "docs/protocol.md, Access token"},
	{[]string{"ConsumerKey", "ConsumerSecret", "AccessToken"}, "has quotes around it",
		func(s string) bool {
			return len(s) > 1 && s[0] == s[len(s)-1] && strings.ContainsAny(s[:1], "\"'`")
		},
		"has quotes around it, probably from a file or shell: remove them", "Kotak-neo-api-v2#17, settings kept in a .env file"},
	{[]string{"ConsumerKey", "ConsumerSecret", "AccessToken"}, "begins or ends with a space or line break",
		func(s string) bool { return s != strings.TrimSpace(s) },
		"has a space or line break before or after it, probably from copying", "Kotak-neo-api-v2#17"},
}

// misshapen returns what is wrong with the form of a setting, or "".
func misshapen(what, value string) string {
	for _, s := range shapes {
		if slices.Contains(s.what, what) && s.is(value) {
			return s.hint
		}
	}
	return ""
}

// advise sets the failure's Hint, unless the message says the same, and its Retry.
func (c *Client) advise(e *Error, a circumstances) {
	a.renews = c.secret != ""
	e.Retry = c.retry(e, a)
	e.Hint = hintFor(e, a)
}

// hintFor returns the hint of the first row that fits, or "".
func hintFor(e *Error, a circumstances) string {
	for _, h := range hints {
		if !h.is(e, a) {
			continue
		}
		if slices.ContainsFunc(h.said, func(words string) bool { return strings.Contains(e.Message, words) }) {
			return ""
		}
		return strings.ReplaceAll(h.hint, "{skew}", inWords(a.skew))
	}
	return ""
}

func (c *Client) retry(e *Error, a circumstances) Retry {
	switch e.Category {
	case ErrInvalidInput, ErrIPNotAllowed:
		return RetryNever
	case ErrWrongCredentials:
		if e.Op == opTOTPLogin {
			return RetryNewCode
		}
		return RetryNever
	case ErrAccessToken:
		if e.Op != opAccessToken && !a.bareKey && a.renews {
			return RetrySame
		}
		return RetryNever
	case ErrWrongOTP, ErrWrongMPIN:
		return RetryNewCode
	case ErrSessionEnded, ErrWrongToken, ErrNotLoggedIn:
		return RetryLoginAgain
	case ErrLocked, ErrRateLimited, ErrOTPNotSent:
		return RetryLater
	}
	return retryOpen(e, a)
}

// retryOpen returns whether trying again can help when it is not known what was done.
func retryOpen(e *Error, a circumstances) Retry {
	switch {
	case a.unsafe(e):
		return RetryCheckFirst
	case e.unread && secondFactor(e.Op):
		return RetrySame
	case e.Op == opTOTPLogin && open(e) && !a.page:
		return RetryNewCode
	case e.Op == opOTP && open(e):
		return RetryLater
	case e.Category == ErrNetwork:
		return RetrySame
	}
	return RetryLater
}

// skew returns how far our clock, at now, is ahead of the service's, by the Date
// header of the answer to a request sent at began.
func skew(resp *http.Response, began, now time.Time) time.Duration {
	if resp == nil {
		return 0
	}
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return 0
	}
	return now.Add(-now.Sub(began) / 2).Sub(date.Add(time.Second / 2)) // Date leaves out the fraction
}

// inWords describes a skew, such as "95 s ahead of".
func inWords(skew time.Duration) string {
	seconds := time.Duration(math.Round(skew.Abs().Seconds())) * time.Second
	side := "ahead of"
	if skew < 0 {
		side = "behind"
	}
	if seconds < 10*time.Minute {
		return strconv.Itoa(int(seconds.Seconds())) + " s " + side
	}
	return seconds.String() + " " + side
}
