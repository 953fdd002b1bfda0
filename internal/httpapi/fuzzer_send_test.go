package httpapi_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"neoapi/internal/apitest"
	"neoapi/internal/tradewire"
	"neoapi/internal/wire"
)

// dial opens a connection, from any of this machine's own addresses: they are
// many clients.
func (f *fuzzer) dial() net.Conn {
	from := &net.TCPAddr{IP: net.IPv4(127, byte(f.r.IntN(256)), byte(f.r.IntN(256)), byte(1+f.r.IntN(254)))}
	to := strings.TrimPrefix(f.srv.URL, "http://")
	conn, err := (&net.Dialer{LocalAddr: from}).Dial("tcp", to)
	if err != nil { // not every system has more than one
		conn, err = net.Dial("tcp", to)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return conn
}

func (f *fuzzer) hangUp() {
	if f.conn != nil {
		_ = f.conn.Close()
		f.conn = nil
	}
}

// unavailable are the codes of a 503: the protocol's, and that of RFC 6749.
var unavailable = []string{"503", "temporarily_unavailable"}

// send sends a request over the connection that is open and judges its answer.
func (f *fuzzer) send(a ask, text string) {
	start := time.Now()
	fresh := f.conn == nil
	if fresh {
		f.conn = f.dial()
		f.in = bufio.NewReader(f.conn)
	}
	_ = f.conn.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = io.WriteString(f.conn, text) // who refuses a request need not read it all
	asked := exchanges(text)
	resp, body, err := answerOf(f.in, asked[0].Method)
	if err != nil {
		f.hangUp()
		if !fresh { // the service may end a connection between two requests
			f.send(a, text)
			return
		}
		f.t.Errorf("%v: no answer to\n%.3000q", err, text)
		return
	}
	took := time.Since(start)
	if took > f.longest {
		f.longest, f.slow = took, text
	}
	if resp.Close {
		f.hangUp()
	}
	faults := f.faults
	if took > 1500*time.Millisecond { // a machine this busy: the stores had their time (R1)
		faults = append(slices.Clone(faults), unavailable...)
	}
	f.judge(asked[0], resp, body, text, faults)
	f.learn(asked[0], resp, body)
}

// exchanges are the requests that can be read of some bytes, and then one that
// cannot.
func exchanges(text string) (all []apitest.Exchange) {
	for in := bufio.NewReader(strings.NewReader(text)); ; {
		r, err := http.ReadRequest(in)
		if err != nil {
			return append(all, apitest.Exchange{})
		}
		x := apitest.Exchange{Method: r.Method, Path: r.URL.Path, Asked: r.Header}
		x.Sent, err = io.ReadAll(r.Body)
		all = append(all, x)
		if err != nil {
			return append(all, apitest.Exchange{})
		}
	}
}

func answerOf(in *bufio.Reader, method string) (*http.Response, []byte, error) {
	for {
		resp, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return nil, nil, err
		}
		if resp.StatusCode/100 == 1 {
			continue
		}
		body, err := io.ReadAll(resp.Body)
		return resp, body, err
	}
}

// rawly sends bytes over a connection of their own and judges all answers.
func (f *fuzzer) rawly(text string) {
	conn := f.dial()
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = io.WriteString(conn, text)
	_ = conn.(*net.TCPConn).CloseWrite()
	in := bufio.NewReader(conn)
	for _, x := range exchanges(text) {
		resp, body, err := answerOf(in, x.Method)
		if err != nil {
			if _, timeout := err.(net.Error); timeout && !strings.Contains(err.Error(), "reset") {
				f.t.Errorf("%v: no answer to\n%.3000q", err, text)
			}
			return
		}
		// Who ends its side of a connection is taken for gone: what waits for its turn
		// then gives up.
		f.judge(x, resp, body, text, append(slices.Clone(f.faults), unavailable...))
		if resp.Close {
			return
		}
	}
}

var codeForm = regexp.MustCompile(`"(?:code|error)":"([a-z_0-9]+)"`)

// judge holds an answer against the description. faults are the codes that it may
// have with a 5xx.
func (f *fuzzer) judge(x apitest.Exchange, resp *http.Response, body []byte, text string, faults []string) {
	x.Status, x.Header, x.Body = resp.StatusCode, resp.Header, body
	f.statuses[x.Status]++
	code := strconv.Itoa(x.Status) // an answer to HEAD has no other
	if m := codeForm.FindSubmatch(body); m != nil && x.Status >= 400 {
		code = string(m[1])
		f.met[code]++
	}
	err := x.Check()
	if err == nil && x.Status/100 == 2 && tradeOnly(x.Path) && (x.Asked.Get("Auth") == "" || f.open[x.Asked.Get("Sid")] != x.Asked.Get("Auth")) {
		err = fmt.Errorf("%d without a trade session: %s", x.Status, body)
	}
	// 505 is bad input; an answer to HEAD has no code that says so.
	if err == nil && x.Status >= 500 && x.Status != http.StatusHTTPVersionNotSupported && code != wire.BadInput.Code && !slices.Contains(faults, code) {
		err = fmt.Errorf("%d: %s", x.Status, body)
	}
	if err != nil {
		f.t.Errorf("this should not be: %v\nasked was\n%.3000q", err, text)
	}
}

// tradeOnly tells whether a path is there for trade sessions only.
func tradeOnly(path string) bool {
	return slices.ContainsFunc(allRoutes, func(r wire.Route) bool {
		return r.Path == path && (r.Op == wire.OpLogout || r.Op == wire.OpClientIP || afterLogin(r.Op))
	})
}

func afterLogin(op wire.Op) bool {
	return slices.Contains([]wire.Op{tradewire.OpPositions, tradewire.OpOrders, tradewire.OpTrades, tradewire.OpLimits, tradewire.OpHoldings}, op)
}

// learn keeps what an answer gave and forgets what it ended.
func (f *fuzzer) learn(x apitest.Exchange, resp *http.Response, body []byte) {
	if resp.StatusCode/100 != 2 {
		return
	}
	if bytes.Contains(body, []byte("logged out")) {
		delete(f.open, x.Asked.Get("Sid"))
		return
	}
	if ucc, ok := strings.CutPrefix(x.Path, "/sandbox/otp/"); ok && len(body) > 0 {
		f.codes[ucc] = string(body)
		return
	}
	var granted wire.AccessToken
	if json.Unmarshal(body, &granted) == nil && granted.AccessToken != "" {
		f.access = keep(f.access, granted.AccessToken)
		return
	}
	var opened wire.Success[wire.Session]
	if json.Unmarshal(body, &opened) != nil || opened.Data.Token == "" {
		return
	}
	s := fuzzedSession{sid: opened.Data.SID, token: opened.Data.Token, ucc: opened.Data.UCC}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(s.token, ".")[1])
	var claims struct{ Sub string }
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		f.t.Errorf("a token that is none: %s", body)
		return
	}
	s.sub = claims.Sub
	if bytes.Contains(payload, []byte(`"Trade"`)) {
		f.trades, f.open[s.sid] = keep(f.trades, s), s.token
	} else {
		f.views = keep(f.views, s)
	}
}
