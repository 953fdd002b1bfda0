package neoapi

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"neoapi/internal/badhttp"
	"neoapi/internal/must"
	"neoapi/internal/tradewire"
	"neoapi/internal/wire"
)

// hintTable is the part of docs/client.md that is made from the code.
func hintTable() string {
	var b strings.Builder
	b.WriteString("| when | hint | source |\n|---|---|---|\n")
	for _, h := range hints {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", h.when, h.hint, h.source)
	}
	b.WriteString("\nSettings whose form cannot be right are refused before anything is sent:\n\n| setting | when it | hint | source |\n|---|---|---|---|\n")
	for _, s := range shapes {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", strings.Join(s.what, ", "), s.when, s.hint, s.source)
	}
	return b.String()
}

//go:generate go test -run ^TestHints_areDocumented$ -update .

var update = flag.Bool("update", false, "write the table of hints into docs/client.md")

func TestHints_areDocumented(t *testing.T) {
	const path, begin, end = "docs/client.md", "<!-- hints: go generate writes what follows -->\n", "<!-- /hints -->"
	text := must.Get(os.ReadFile(path))(t)
	before, rest, found := strings.Cut(string(text), begin)
	table, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the table of hints", path)
	}
	want := hintTable()
	if *update {
		must.Do(t, os.WriteFile(path, []byte(before+begin+want+end+after), 0o644))
	} else if table != want {
		t.Errorf("%s is not what hints.go says: run go generate .", path)
	}
}

// Hints are read by people at a shell too.
func TestHints_nameNothingOfGo(t *testing.T) {
	for _, h := range hints {
		if name := goName.FindString(h.hint); name != "" {
			t.Errorf("a hint names %s: %s", name, h.hint)
		}
	}
}

// goName is a name of the client's that nobody types into a shell.
var goName = regexp.MustCompile(`\b(?:[A-Z][a-z]+[A-Z]\w*|Session2FA|Client\.\w+|Config\b|Keeper|TOTPSeed|Environment)`)

func TestDocs_nameMethodsThatExist(t *testing.T) {
	text := must.Get(os.ReadFile("docs/client.md"))(t)
	named := regexp.MustCompile("[`.]Client\\.(\\w+)|`client\\.(\\w+)").FindAllStringSubmatch(string(text), -1)
	if len(named) < 10 {
		t.Fatalf("found %d methods", len(named))
	}
	for _, m := range named {
		if _, ok := reflect.TypeFor[*Client]().MethodByName(m[1] + m[2]); !ok {
			t.Errorf("there is no Client.%s", m[1]+m[2])
		}
	}
}

func TestHints_areGivenWhereTheyBelong(t *testing.T) {
	login, loginTOTP, logout := atStep[opLogin], atStep[opTOTPLogin], atStep[opLogout]
	second, mpin, sendOTP := atStep[opSession2FA], atStep[opTOTPValidate], atStep[opOTP]
	loginBy := func(password string) func(t *testing.T, c *Client) error {
		return func(t *testing.T, c *Client) error {
			return c.Login(t.Context(), Credentials{UserID: "u", Password: password})
		}
	}
	orders, order := tradeCall("GET", ordersPath), tradeCall("POST", placePath)
	coded := func(f wire.Failure) http.HandlerFunc {
		return answer(f.Status, `{"error":[{"code":"`+f.Code+`","message":"m"}]}`)
	}
	trade := func(code string) http.HandlerFunc {
		return answer(200, `{"stat":"Not_Ok","stCode":`+code+`,"errMsg":"m"}`)
	}
	page := func(status int) http.HandlerFunc { return answer(status, "<html><title>x</title></html>") }
	slow := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(-95*time.Second).UTC().Format(http.TimeFormat))
		coded(wire.WrongSecret)(w, r)
	}
	half, closed := badhttp.Short(200, `{"data":{"token":`), badhttp.Closed
	keyOnly := func(t *testing.T, c *Client) error { // an access token, and nothing to fetch another with
		c.access.token, c.secret = canaryAccess, ""
		return login(t, c)
	}
	clientIP := wire.Path(wire.OpClientIP, wire.Gen3)
	tests := []struct {
		name  string
		op    string
		h     http.HandlerFunc
		do    func(*testing.T, *Client) error
		hint  string // the beginning
		retry Retry
	}{
		{"an order without an answer", placePath, page(502), order, "it may have been done: check the order book", RetryCheckFirst},
		{"a history without an answer", tradewire.PathHistory, page(502), tradeCall("POST", tradewire.PathHistory), "the gateway answers", RetryLater},
		{"a margin with half an answer", tradewire.PathMargin, half, tradeCall("POST", tradewire.PathMargin), "try again: that is safe", RetrySame},
		{"limits without an answer", tradewire.PathLimits, page(502), tradeCall("POST", tradewire.PathLimits), "the gateway answers", RetryLater},
		{"an order with half an answer", placePath, half, order, "it may have been done: check the order book", RetryCheckFirst},
		{"a clock that is ahead", opTOTPLogin, slow, loginTOTP, "your clock is 95 s ahead of the service's: TOTP will fail", RetryNewCode},
		{"a wrong TOTP", opTOTPLogin, coded(wire.WrongSecret), loginTOTP, "mobile number, UCC", RetryNewCode},
		{"a wrong password", opLogin, coded(wire.WrongSecret), login, "use what opens the broker's app", RetryNever},
		{"an access token that got lost", opLogin, coded(wire.NoAccess), login, "something on the way drops the header Authorization", RetrySame},
		{"a key of another environment", opAccessToken, answer(401, `{"error":"invalid_client"}`), login, "this key belongs to another environment", RetryNever},
		{"an address, at the access token", opAccessToken, coded(wire.IPNotAllowed), login, "register the address you send from", RetryNever},
		{"an address, at the access token, in OAuth's words", opAccessToken, answer(401, `{"error":"invalid_client","error_description":"this consumer may not send from this address"}`), login, "register the address you send from", RetryNever},
		{"an address, where it is asked for", clientIP, trade("100008"), tradeCall("GET", clientIP), "register the address you send from", RetryNever},
		{"a bare key that is refused", opTOTPLogin, coded(wire.BadAccess), loginTOTP, "copy the whole key again", RetryNever},
		{"a gateway's 403 for a bare key", opTOTPLogin, answer(403, `{"code":"900908","message":"Resource forbidden"}`), loginTOTP, "copy the whole key again", RetryNever},
		{"an access token that is refused", opLogin, coded(wire.BadAccess), login, "try again: a new one", RetrySame},
		{"a gateway's 403 for an access token", opLogin, answer(403, `{"code":"900908","message":"Resource forbidden"}`), login, "try again: a new one", RetrySame},
		{"an access token that cannot be fetched again", opLogin, coded(wire.BadAccess), keyOnly, "give a new access token", RetryNever},
		{"an address that changed", ordersPath, trade("1037"), orders, "log in again from here", RetryNever},
		{"an address that is not registered", ordersPath, trade("100008"), orders, "register the address that the service sees", RetryNever},
		{"a view token", ordersPath, trade("100021"), orders, "the second factor is still missing", RetryLoginAgain},
		{"headers that were dropped", opTOTPValidate, coded(wire.HeaderMissing), mpin, "the first factor failed before, or", RetryLoginAgain},
		{"headers that were dropped later", ordersPath, coded(wire.HeaderMissing), orders, "something on the way drops the headers Sid and Auth", RetryLoginAgain},
		{"a second factor taken for a first one", opSession2FA, answer(200, viewAnswer()), second, "something on the way drops the headers Sid and Auth", RetryLater},
		{"a pending login that is over", opSession2FA, coded(wire.BadSession), second, "begin again with the first factor", RetryLoginAgain},
		{"a trade token where the view token belongs", opSession2FA, coded(wire.WrongToken), second, "begin again with the first factor", RetryLoginAgain},
		{"a trade session that is over", ordersPath, trade("100022"), orders, "log in again", RetryLoginAgain},
		{"a trade session that is over, at logout", opLogout, coded(wire.BadSession), logout, "there is nothing left to end", RetryLoginAgain},
		{"a wrong OTP", opSession2FA, coded(wire.WrongSecret), second, "use the newest code", RetryNewCode},
		{"a wrong MPIN", opTOTPValidate, coded(wire.WrongSecret), mpin, "the MPIN is the six digits", RetryNewCode},
		{"a lock", opSession2FA, coded(wire.Locked), second, "each further wrong try", RetryLater},
		{"a code too soon", opOTP, coded(wire.Policy), sendOTP, "the last code still works", RetryLater},
		{"too many calls", ordersPath, coded(wire.Throttled), orders, "all programs of a consumer share its rate", RetryLater},
		{"too many calls, a code's among them", opOTP, coded(wire.Throttled), sendOTP, "all programs of a consumer share its rate", RetryLater},
		{"a code that could not be sent", opOTP, coded(wire.OTPNotSent), sendOTP, "ask for another code", RetryLater},
		{"an OMS that is down", opSession2FA, coded(wire.OMSDown), second, "send the same code again", RetryLater},
		{"no session for the code", opSession2FA, closed, second, "send the same code again", RetrySame},
		{"half a session for the code", opSession2FA, half, second, "send the same code again", RetrySame},
		{"half a session for the code, of the right length", opSession2FA, answer(200, tradeAnswer()[:90]), second, "send the same code again", RetrySame},
		{"a page for the code", opSession2FA, page(200), second, "send the same code again", RetrySame},
		{"no session for the MPIN", opTOTPValidate, answer(200, `{"data":null}`), mpin, "send the same code again", RetrySame},
		{"no answer to a TOTP", opTOTPLogin, closed, loginTOTP, "the code may be used up", RetryNewCode},
		{"half an answer to a TOTP", opTOTPLogin, half, loginTOTP, "the code may be used up", RetryNewCode},
		{"no answer to a code that was asked for", opOTP, closed, sendOTP, "a code may be on its way", RetryLater},
		{"half an answer to a code that was asked for", opOTP, half, sendOTP, "a code may be on its way", RetryLater},
		{"no answer to a logout", opLogout, closed, logout, "try again: if the session is over", RetrySame},
		{"no answer to a login", opLogin, closed, login, "try again: that is safe", RetrySame},
		{"half an answer to a login", opLogin, half, login, "try again: that is safe", RetrySame},
		{"half an order book", ordersPath, half, orders, "try again: that is safe", RetrySame},
		{"maintenance", opLogin, page(502), login, "the gateway answers for a service", RetryLater},
		{"a captive portal", opLogin, page(200), login, "a proxy, firewall", RetryLater},
		{"an order in JSON", placePath, answer(400, `{"stCode":1007,"errMsg":"body invalid","stat":"bad request"}`), order, "the trade API takes a form", RetryNever},
		{"a password after a no-break space", opLogin, coded(wire.WrongSecret), loginBy("\u00a0" + canaryPassword), "the password has something invisible", RetryNever},
		{"a password with a zero-width space", opLogin, coded(wire.WrongSecret), loginBy(canaryPassword + "\u200bx"), "the password has something invisible", RetryNever},
		{"a password before a blank", opLogin, coded(wire.WrongSecret), loginBy(canaryPassword + " "), "the password has something invisible", RetryNever},
		{"a password of several words", opLogin, coded(wire.WrongSecret), loginBy("correct " + canaryPassword + " पासवर्ड"), "use what opens the broker's app", RetryNever},
		{"a wrong path", ordersPath, answer(404, ""), orders, "check the path", RetryNever},
		{"a wrong base URL", opLogin, answer(404, ""), login, "check the base URL", RetryNever},
		{"a service without logout", opLogout, answer(404, ""), logout, "the service has no logout", RetryNever},
		{"a redirect", opLogin, answer(302, ""), login, "check the base URL", RetryLater},
		{"another service", opLogin, answer(200, `{"hello":"world"}`), login, "check that the base URL is a Neo service's", RetryLater},
	}
	given := map[string]bool{}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScripted(t)
			s.on(tt.op, tt.h)
			err := tt.do(t, s.client(t))
			e, ok := errors.AsType[*Error](err)
			if !ok || !strings.HasPrefix(e.Hint, tt.hint) || e.Retry != tt.retry || !strings.Contains(e.Error(), "; "+e.Hint) {
				t.Fatalf("%v: hint %q, retry %q", err, e.Hint, e.Retry)
			}
			given[e.Hint] = true
			noCanary(t, err)
		})
	}

	// What happens below HTTP is real, too.
	t.Run("a certificate that nobody trusts", func(t *testing.T) {
		srv := httptest.NewUnstartedServer(http.NotFoundHandler())
		srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
		srv.StartTLS()
		defer srv.Close()
		err := below(t, srv.URL, nil)
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok || !strings.Contains(err.Hint, "what intercepts TLS on the way") || err.Retry != RetrySame {
			t.Errorf("%v: %q", err, err.Hint)
		}
		given[err.Hint] = true
	})
	t.Run("a certificate for another name, and one that has expired", func(t *testing.T) {
		srv := httptest.NewUnstartedServer(http.NotFoundHandler())
		srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
		srv.StartTLS()
		defer srv.Close()
		for hint, change := range map[string]func(*tls.Config){
			"check the base URL's spelling":       func(c *tls.Config) { c.ServerName = "neo.example.org" },
			"its operator has to renew it, or th": func(c *tls.Config) { c.Time = func() time.Time { return srv.Certificate().NotAfter.AddDate(1, 0, 0) } },
		} {
			hc := srv.Client()
			cfg := hc.Transport.(*http.Transport).TLSClientConfig.Clone()
			change(cfg)
			err := below(t, srv.URL, &http.Client{Transport: &http.Transport{TLSClientConfig: cfg}})
			if !strings.HasPrefix(err.Hint, hint) {
				t.Errorf("%v: %q", err, err.Hint)
			}
			given[err.Hint] = true
		}
	})
	t.Run("a port where nothing listens", func(t *testing.T) {
		l, _ := net.Listen("tcp", "127.0.0.1:0")
		l.Close()
		err := below(t, "http://"+l.Addr().String(), nil)
		if !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Hint, "neo sandbox") {
			t.Errorf("%v: %q", err, err.Hint)
		}
		given[err.Hint] = true
	})
	t.Run("a service without TLS at an https address", func(t *testing.T) {
		s := newScripted(t)
		err := below(t, strings.Replace(s.URL, "http://", "https://", 1), nil)
		if !strings.Contains(err.Message, "the service speaks http there") || strings.Contains(err.Error(), "HTTPS client") || err.Hint == "" {
			t.Errorf("%v", err)
		}
		given[err.Hint] = true
	})
	t.Run("a host that is not found", func(t *testing.T) {
		dial := func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "neo.example.com", IsNotFound: true}}
		}
		err := below(t, "https://neo.example.com", &http.Client{Transport: &http.Transport{DialContext: dial}})
		if !strings.Contains(err.Hint, "check the network connection") {
			t.Errorf("%v: %q", err, err.Hint)
		}
		given[err.Hint] = true
	})
	for _, h := range hints {
		if !given[strings.Replace(h.hint, "{skew}", "95 s ahead of", 1)] {
			t.Errorf("no case gives the hint when %s", h.when)
		}
	}
}

// below logs in at a service that does not answer.
func below(t *testing.T, url string, hc *http.Client) *Error {
	t.Helper()
	c := must.Get(New(Config{Environment: Environment(url), ConsumerKey: "k", ConsumerSecret: canarySecret, HTTPClient: hc}))(t)
	e, ok := errors.AsType[*Error](c.Login(t.Context(), Credentials{UserID: "u", Password: canaryPassword}))
	if !ok || e.Category != ErrNetwork {
		t.Fatalf("got %v", e)
	}
	noCanary(t, e)
	return e
}

func TestClock_skewIsToldOnlyWhereItMatters(t *testing.T) {
	for skew, want := range map[time.Duration]string{
		31 * time.Second: "31 s ahead of", -95 * time.Second: "95 s behind", 29 * time.Second: "", -time.Second: "", 26 * time.Hour: "26h0m0s ahead of",
	} {
		s := newScripted(t)
		now := time.Now()
		s.on(opTOTPLogin, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
			w.WriteHeader(401)
		})
		c := s.client(t)
		c.now = func() time.Time { return now.Truncate(time.Second).Add(time.Second/2 + skew) }
		e, _ := errors.AsType[*Error](c.LoginTOTP(t.Context(), TOTP{Mobile: "9999999908", UCC: "U", Code: "123456"}))
		if e == nil || strings.Contains(e.Hint, "your clock") != (want != "") || !strings.Contains(e.Hint, want) {
			t.Errorf("%v: %v", skew, e)
		}
	}
}
