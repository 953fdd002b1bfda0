package deploy_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"neoapi/internal/nginxtest"
	"neoapi/internal/wire"
)

// A form is the shape of a failure, which depends on whose address it is of.
type form int

const (
	session form = iota
	oauth
	trade
)

// forms has an address of each form.
var forms = map[form]string{session: "/login/1.0/login/v2/validate", oauth: "/oauth2/token", trade: "/Orders/2.0/quick/order"}

// of returns the code and the message of a failure in a form, or an error if it has
// another form.
func (f form) of(body []byte) (code, message string, err error) {
	var all struct {
		wire.NotOk
		Error       json.RawMessage `json:"error"`
		Description string          `json:"error_description"`
	}
	if err := json.Unmarshal(body, &all); err != nil {
		return "", "", err
	}
	if f == oauth {
		if err := json.Unmarshal(all.Error, &code); err != nil || code == "" || all.Description == "" {
			return "", "", fmt.Errorf("not as RFC 6749 says: %s", body)
		}
		return code, all.Description, nil
	}
	var problems []wire.Problem
	if err := json.Unmarshal(all.Error, &problems); err != nil || len(problems) != 1 || problems[0].Message == "" {
		return "", "", fmt.Errorf("not the protocol's form: %s", body)
	}
	want := wire.NotOk{}
	if f == trade {
		want = wire.NotOk{Stat: "Not_Ok", ErrMsg: problems[0].Message, EMsg: problems[0].Message}
		_, err = fmt.Sscan(problems[0].Code, &want.StCode)
	}
	if err != nil || all.NotOk != want {
		return "", "", fmt.Errorf("not the form of its address: %s", body)
	}
	return problems[0].Code, problems[0].Message, nil
}

// An nginx is one with a configuration of this folder.
type nginx struct {
	conf string
	nginxtest.Server
}

// both starts nginx with each of the two configurations; all that is behind it is at one
// of two addresses.
func both(t *testing.T, first, second string) []nginx {
	t.Helper()
	return []nginx{
		{"front.conf", nginxtest.Front(t, "front.conf", first, second)},
		{"nginx.conf", nginxtest.Start(t, "nginx.conf", first, second)},
	}
}

// raw sends a request as it is written and returns the answer.
func (n nginx) raw(t *testing.T, request string) (*http.Response, []byte) {
	t.Helper()
	_, address, _ := strings.Cut(n.URL, "://")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if n.TLS != nil {
		conn = tls.Client(conn, n.TLS)
		n.TLS.ServerName = "127.0.0.1"
	}
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s: %.80q: %v", n.conf, request, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

// own checks an answer of nginx itself.
func (n nginx) own(t *testing.T, f form, request string, status int, code, says string, retry bool) {
	t.Helper()
	resp, body := n.raw(t, request)
	got, message, err := f.of(body)
	if resp.StatusCode != status || err != nil || got != code || !strings.Contains(message, says) {
		t.Errorf("%s: %.60q: %d %s (%v), want %d, code %s and %q", n.conf, request, resp.StatusCode, body, err, status, code, says)
	}
	h := resp.Header
	if h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" || (h.Get("Retry-After") != "") != retry || h.Get("X-Request-Id") == "" ||
		(h.Get("Allow") != "") != (status == 405) {
		t.Errorf("%s: %.60q: %d with %v", n.conf, request, status, h)
	}
}

// free returns an address at which nobody listens.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// A dying server says that it lives and whose a call is, and closes the connection of
// each further request without an answer, as a process does that is killed.
type dying struct {
	address string

	mu   sync.Mutex
	came map[string]int // by method
}

func die(t *testing.T) *dying {
	d := &dying{came: map[string]int{}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/livez":
		case "/auth":
			w.Header().Set("Neo-Identity", "somebody's")
		default:
			d.mu.Lock()
			d.came[r.Method]++
			d.mu.Unlock()
			panic(http.ErrAbortHandler)
		}
	}))
	s.Config.ErrorLog = nil
	t.Cleanup(s.Close)
	d.address = s.Listener.Addr().String()
	return d
}

func (d *dying) times(method string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.came[method]
}

const length = "Content-Length: 1\r\n\r\nx"

// What nginx refuses by itself is refused as the service would do it.
func TestNginx_refusesInTheProtocolsForm(t *testing.T) {
	t.Parallel()
	d := die(t)
	for _, n := range both(t, d.address, d.address) {
		long := strings.Repeat("x", 40<<10)
		for f, path := range forms {
			bad := wire.BadInput.Code
			if f == oauth {
				bad = "invalid_request"
			}
			n.own(t, f, "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n", 400, bad, "not well-formed", false)
			n.own(t, f, "POST "+path+" HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", 400, bad, "not well-formed", false)
			n.own(t, f, "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n", 413, bad, "1 MiB", false)
			n.own(t, f, "POST "+path+" HTTP/1.1\r\nHost: x\r\nX-Long: "+long+"\r\n\r\n", 431, bad, "headers", false)
			n.own(t, f, "TRACE "+path+" HTTP/1.1\r\nHost: x\r\n\r\n", 405, bad, "method", false)
			if f != oauth {
				n.own(t, f, "POST "+path+" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: strange\r\n\r\n", 501, bad, "HTTP", false)
			}
		}
		n.own(t, session, "GET /"+long+" HTTP/1.1\r\nHost: x\r\n\r\n", 414, wire.BadInput.Code, "too long", false)
		n.own(t, session, "not HTTP\r\n\r\n", 400, wire.BadInput.Code, "not well-formed", false)
		n.own(t, trade, "GET /.neo/refused HTTP/1.1\r\nHost: x\r\n\r\n", 404, wire.BadInput.Code, "nothing at this path", false)
		if n.TLS != nil {
			n.TLS = nil
			n.own(t, trade, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400, wire.BadInput.Code, "not well-formed", false)
		}
	}
}

// Where nothing was sent nginx says so, and when to come again: 503. Where that is not
// known it says so too: 504, with a time where it is safe to send it again. What is down
// is called by its name.
func TestNginx_tellsWhetherARequestWasSent(t *testing.T) {
	t.Parallel()
	d := die(t)
	code := func(f form, status string) string {
		if f == oauth {
			return map[string]string{"503": "temporarily_unavailable", "504": "server_error"}[status]
		}
		return status
	}
	for _, x := range []struct{ first, second, name, trade string }{
		{free(t), free(t), "the session service", "the session service"},
		{d.address, free(t), "the session service", "the trade API"},
	} {
		down := both(t, x.first, x.second)
		for f, path := range forms {
			for _, n := range down {
				name := x.name
				if f == trade {
					name = x.trade
				}
				if n.conf == "front.conf" {
					name = "the service"
				}
				if x.first == d.address && (f != trade || n.conf == "front.conf") {
					n.own(t, f, "POST "+path+" HTTP/1.1\r\nHost: x\r\n"+length, 504, code(f, "504"), name+" gave no answer", f != trade)
					continue
				}
				for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
					n.own(t, f, method+" "+path+" HTTP/1.1\r\nHost: x\r\n"+length, 503, code(f, "503"), name+" is not available, and the ", true)
				}
			}
		}
	}
	for _, n := range both(t, d.address, d.address) {
		for f, path := range forms {
			for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH"} {
				safe, says := f != trade || method == "GET", "send it again with the same"
				if !safe {
					says = "check before you send it again"
				}
				n.own(t, f, method+" "+path+" HTTP/1.1\r\nHost: x\r\n"+length, 504, code(f, "504"), says, safe)
			}
		}
	}
}

// Only what changes nothing is sent to another process after it was sent to one.
func TestFront_sendsOnlyReadsAgain(t *testing.T) {
	t.Parallel()
	first, second := die(t), die(t)
	n := nginx{"front.conf", nginxtest.Front(t, "front.conf", first.address, second.address)}
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "LOCK", "MOVE"} {
		most := 1
		if method == "GET" || method == "HEAD" || method == "OPTIONS" {
			most = 2
		}
		for f, path := range forms {
			for _, rest := range []string{"\r\n", length} { // nginx has another rule for what has no body
				before := first.times(method) + second.times(method)
				resp, body := n.raw(t, method+" "+path+" HTTP/1.1\r\nHost: x\r\n"+rest)
				if _, _, err := f.of(body); resp.StatusCode != 504 || err != nil && method != "HEAD" {
					t.Errorf("%s %s: %d %s (%v)", method, path, resp.StatusCode, body, err)
				}
				if n := first.times(method) + second.times(method) - before; n != most {
					t.Errorf("%s %s with %q was sent %d times", method, path, rest, n)
				}
			}
		}
	}
}

// Beside a process that is down everything is answered by the other one, whatever the
// method, as often as it is asked.
func TestFront_asksTheProcessThatIsUp(t *testing.T) {
	t.Parallel()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Got", r.Method+" "+r.RequestURI+" "+string(body)+" "+r.Header.Get("X-Forwarded-For")+r.Header.Get("Forwarded"))
	}))
	t.Cleanup(up.Close)
	n := nginx{"front.conf", nginxtest.Front(t, "front.conf", free(t), up.Listener.Addr().String())}
	for range 10 {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
			for _, path := range forms {
				path += "/%2F..;a?b=%20c"
				resp, body := n.raw(t, method+" "+path+" HTTP/1.1\r\nHost: x\r\nForwarded: for=1.2.3.4\r\nX-Forwarded-For: 1.2.3.4\r\n"+length)
				if got, want := resp.Header.Get("Got"), method+" "+path+" x 127.0.0.1"; resp.StatusCode != 200 || got != want {
					t.Errorf("%s %s: %d %s, arrived as %q", method, path, resp.StatusCode, body, got)
				}
			}
		}
	}
}
