package neoapi

import (
	"crypto/tls"
	"errors"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"neoapi/internal/wire"
)

// A Retry says whether trying again can help, and what must happen before.
type Retry string

// What [Error.Retry] can be. The empty Retry says that nothing is known.
const (
	RetryNever      Retry = "never"       // the same call fails again: something must be put right first
	RetrySame       Retry = "same"        // the same call may work at once, with the same code
	RetryLater      Retry = "later"       // the same call may work after Error.RetryAfter, or after a while if that is 0
	RetryNewCode    Retry = "new code"    // with another OTP, TOTP or MPIN
	RetryLoginAgain Retry = "login again" // after a new login
	RetryCheckFirst Retry = "check first" // an order may have been taken: look into the order book before it is sent again
)

// circumstances are what a hint can depend on beside the [Error] itself.
type circumstances struct {
	method  string
	page    bool          // the answer is a web page
	skew    time.Duration // how far our clock is ahead of the service's; 0 if that is not known
	bareKey bool          // the consumer key itself was the Authorization
}

// unsafe reports whether sending the call again could do something twice.
func (a circumstances) unsafe(e *Error) bool {
	return !steps[e.Op] && a.method != http.MethodGet && a.method != http.MethodHead && a.method != ""
}

// skewed is how far a clock may be off before TOTP codes are refused: one step.
const skewed = 30 * time.Second

// A hint is one row of the table in docs/client.md.
type hint struct {
	when   string // in words
	is     func(*Error, circumstances) bool
	hint   string // {skew} stands for how far the clock is off
	source string
}

// hints is the table of what a person can do about a failure. The first row that
// fits is taken, so what is more telling comes first. Sources named like
// kotak-neo-api#20 are public issues of the field's clients at
// github.com/Kotak-Neo.
var hints = []hint{
	{"a trade call that is no GET got no answer, a 5xx, or one that cannot be read",
		func(e *Error, a circumstances) bool {
			return a.unsafe(e) && in(e.Category, ErrNetwork, ErrTimeout, ErrOMSDown, ErrInternal, ErrUnavailable, ErrBadAnswer)
		},
		"whether it was done is not known: look into the order book before you send it again", "this module: an order is never sent twice by itself"},
	{"the TOTP was refused and the service's Date is more than 30 s off",
		func(e *Error, a circumstances) bool {
			return e.Op == opTOTPLogin && e.Category == ErrWrongCredentials && a.skew.Abs() > skewed
		},
		"your clock is {skew} the service's: TOTP will fail until it is right; switch time synchronisation on", "RFC 6238, section 6"},
	{"the TOTP was refused",
		func(e *Error, _ circumstances) bool { return e.Op == opTOTPLogin && e.Category == ErrWrongCredentials },
		"mobile number, UCC (letters and digits, not the numeric client code) and authenticator must belong to one account, and each code works once",
		"Kotak-neo-api-v2#17, #63; kotak-neo-api#292"},
	{"the password or MPIN of the first factor was refused",
		func(e *Error, _ circumstances) bool { return e.Op == opLogin && e.Category == ErrWrongCredentials },
		"the mobile number needs +91 (ten digits get it here) and must be the account's own; the password is that of the broker's app, not of the developer portal",
		"docs/protocol.md, Login; kotak-neo-api#20"},
	{"the consumer was refused at the access token",
		func(e *Error, _ circumstances) bool { return e.Op == opAccessToken && e.Category == ErrAccessToken },
		"this key belongs to another environment or portal, or key and secret are not of the same application", "kotak-neo-api#20, #47"},
	{"the bare consumer key was refused",
		func(e *Error, a circumstances) bool { return e.Category == ErrAccessToken && a.bareKey },
		"the consumer key must be sent whole and without Bearer, and belongs to one environment: copy it again from the trade API page of the broker's app",
		"docs/protocol.md, Access token; Kotak-neo-api-v2#17"},
	{"the access token was refused elsewhere",
		func(e *Error, _ circumstances) bool { return e.Category == ErrAccessToken },
		"the access token has expired, or belongs to another environment: call again, and a new one is fetched if ConsumerSecret is set",
		"docs/protocol.md, Access token, Statuses and codes"},
	{"code 1037", hasCode(wire.IPChanged),
		"the session was opened from another address: log in again from here and keep to one address (a VPN, or IPv6 beside IPv4, changes it)", "internal/wire/failures.go, 1037"},
	{"the address is not allowed (code 100008)",
		func(e *Error, _ circumstances) bool { return e.Category == ErrIPNotAllowed },
		"register the address that Client.ClientIP tells with the application whose consumer key this is, then log in again; mind IPv6",
		"internal/wire/failures.go, 100008; Kotak-neo-api-v2#64, #82"},
	{"a view token where a trade token belongs (code 100021)",
		func(e *Error, _ circumstances) bool { return e.Category == ErrWrongToken },
		"the second factor is still missing: Session2FA after Login, ValidateMPIN after LoginTOTP", "docs/protocol.md, Statuses and codes; kotak-neo-api#292"},
	{"code 10512", hasCode(wire.HeaderMissing),
		"the first factor failed before, or something on the way drops the headers sid and Auth", "docs/protocol.md, Statuses and codes; Kotak-neo-api-v2#2"},
	{"the pending login is over",
		func(e *Error, _ circumstances) bool {
			return e.Category == ErrSessionEnded && in(e.Op, opOTP, opSession2FA, opTOTPValidate)
		},
		"begin again with the first factor: a pending login ends with its second factor, its tries or its time", "docs/protocol.md, session_2fa"},
	{"the trade session is over",
		func(e *Error, _ circumstances) bool { return e.Category == ErrSessionEnded },
		"sessions end at their time, at the latest each night, and with a logout elsewhere; a Keeper opens the next one by itself", "docs/protocol.md, After login, The tokens"},
	{"the OTP was refused",
		func(e *Error, _ circumstances) bool { return e.Category == ErrWrongOTP },
		"use the newest code, which is of the newest login; a six-digit MPIN is taken in its place", "docs/protocol.md, OTP and session_2fa"},
	{"the MPIN was refused",
		func(e *Error, _ circumstances) bool { return e.Category == ErrWrongMPIN },
		"the MPIN is the six digits that open the broker's app, not the TOTP again", "docs/protocol.md, TOTP login and MPIN validate"},
	{"too many bad tries (code 70009)",
		func(e *Error, _ circumstances) bool { return e.Category == ErrLocked },
		"each further wrong try makes the lock longer: wait, and check the secret meanwhile", "docs/protocol.md, session_2fa"},
	{"an OTP was asked for too soon",
		func(e *Error, _ circumstances) bool {
			return e.Op == opOTP && e.Category == ErrRateLimited && e.Code != wire.Throttled.Code // that one says nothing of codes
		},
		"the last code still works, and so does the MPIN", "docs/protocol.md, OTP"},
	{"too many requests",
		func(e *Error, _ circumstances) bool { return e.Category == ErrRateLimited },
		"the API takes 10 requests a second from all programs of a consumer together", "docs/protocol.md, Statuses and codes"},
	{"the OTP could not be sent (code 10522)",
		func(e *Error, _ circumstances) bool { return e.Category == ErrOTPNotSent },
		"ask for another with SendOTP, or give the MPIN to Session2FA instead", "docs/protocol.md, OTP; kotak-neo-api#9"},
	{"the OMS or the service failed at the second factor",
		func(e *Error, _ circumstances) bool {
			return in(e.Op, opSession2FA, opTOTPValidate) && in(e.Category, ErrOMSDown, ErrTimeout, ErrUnavailable, ErrInternal, ErrNetwork)
		},
		"send the same code again: it is not used up, or gives the same session", "docs/design.md, the second factor"},
	{"a web page with a 5xx",
		func(e *Error, a circumstances) bool { return a.page && e.Status >= 500 },
		"the gateway answers for a service that is down or in maintenance: wait some minutes", "kotak-neo-api#293, #210"},
	{"a web page with another status",
		func(e *Error, a circumstances) bool { return a.page },
		"a proxy, a firewall or the login page of a network answered in the API's place, or the base URL is a website's", "met in the field"},
	{"the body of a trade call was refused (code 1007)",
		func(e *Error, _ circumstances) bool { return e.Code == "1007" },
		"the trade API takes a form whose field jData is JSON with strings for all values", "kotak-neo-api#271"},
	{"404",
		func(e *Error, _ circumstances) bool { return e.Status == http.StatusNotFound },
		"this service has no such address: each generation has paths of its own, and a base URL may need a path", "docs/protocol.md, Addresses"},
	{"the service's certificate is not trusted",
		func(e *Error, _ circumstances) bool {
			_, untrusted := errors.AsType[*tls.CertificateVerificationError](e.Err)
			return untrusted
		},
		untrusted,
		"Go, crypto/tls"},
	{"the host's name is not found",
		func(e *Error, _ circumstances) bool {
			_, unknown := errors.AsType[*net.DNSError](e.Err)
			return unknown
		},
		"check the network connection and the base URL's spelling", "Go, net"},
	{"nothing listens there",
		func(e *Error, _ circumstances) bool { return errors.Is(e.Err, syscall.ECONNREFUSED) },
		"check the base URL's port, and that the service (or neo sandbox) is running", "Go, net"},
}

const untrusted = "the service has a certificate of its own (trust its root in the Transport of Config.HTTPClient), something on the way reads TLS (a company's proxy, an antivirus: " +
	"add its root certificate to the system's), or your clock is wrong; leave verification on"

func in[T comparable](v T, list ...T) bool { return slices.Contains(list, v) }

func hasCode(f wire.Failure) func(*Error, circumstances) bool {
	return func(e *Error, _ circumstances) bool { return e.Code == f.Code }
}

// A shape is a form of a setting that cannot be right. These rows are refused
// before anything is sent.
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
		"has quotes around it that came along from a file or shell: leave them out", "Kotak-neo-api-v2#17, settings kept in a .env file"},
	{[]string{"ConsumerKey", "ConsumerSecret", "AccessToken"}, "begins or ends with a space or line break",
		func(s string) bool { return s != strings.TrimSpace(s) },
		"has a space or line break before or after it that came along when it was copied", "Kotak-neo-api-v2#17"},
	{[]string{"Mobile"}, "is 91 and ten digits, without a plus",
		func(s string) bool { return strings.HasPrefix(s, "91") && digits(s, 12, 12) },
		"needs +91, with its plus", "docs/protocol.md, Login; Kotak-neo-api-v2#63"},
	{[]string{"Mobile"}, "is 0 and ten digits",
		func(s string) bool { return strings.HasPrefix(s, "0") && digits(s, 11, 11) },
		"needs +91 in place of the leading 0", "docs/protocol.md, Login"},
	{[]string{"Mobile"}, "is +91 and not ten digits",
		func(s string) bool {
			rest, indian := strings.CutPrefix(s, "+91")
			return indian && !digits(rest, 10, 10)
		},
		"has +91 and then not ten digits: is +91 there twice, or a digit missing?", "docs/protocol.md, Login"},
	{[]string{"UCC"}, "has a space in or around it",
		func(s string) bool { return strings.ContainsFunc(s, unicode.IsSpace) },
		"has a space in it: it is letters and digits, as the broker's app shows it", "Kotak-neo-api-v2#17; kotak-neo-api#292"},
}

// misshapen says what is wrong with the form of a setting, or "".
func misshapen(what, value string) string {
	for _, s := range shapes {
		if slices.Contains(s.what, what) && s.is(value) {
			return s.hint
		}
	}
	return ""
}

// advise gives a failure its hint and says whether trying again can help.
func (c *Client) advise(e *Error, a circumstances) {
	e.Retry = c.retry(e, a)
	for _, h := range hints {
		if h.is(e, a) {
			e.Hint = strings.ReplaceAll(h.hint, "{skew}", inWords(a.skew))
			return
		}
	}
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
		if e.Op != opAccessToken && !a.bareKey && c.secret != "" {
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
	switch { // whether it was done is open
	case a.unsafe(e):
		return RetryCheckFirst
	case e.Category == ErrNetwork:
		return RetrySame
	}
	return RetryLater
}

// skew is how far our clock, which says now, is ahead of the service's, by the
// header Date of an answer to what was sent at began.
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

// inWords says where a clock is, such as "95 s ahead of".
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
