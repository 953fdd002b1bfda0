package neoapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"neoapi/internal/badhttp"
	"neoapi/internal/must"
)

// place sends an order, as package trade does.
func place(ctx context.Context, c *Client, opts ...CallOption) (json.RawMessage, error) {
	var answer json.RawMessage
	err := c.Do(ctx, http.MethodPost, placePath, url.Values{"jData": {`{"qt":"1"}`}}, &answer, opts...)
	return answer, err
}

func failure(t *testing.T, err error) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	noCanary(t, err)
	noCanary(t, e.Answer)
	return e
}

func TestError_saysWhetherItsCallWasSent(t *testing.T) {
	s := newScripted(t)
	closed := httptest.NewServer(nil)
	closed.Close()
	plain := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t) // speaks no TLS and accepts nothing
	defer plain.Close()
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = nil
	untrusted.StartTLS()
	defer untrusted.Close()
	at := func(address string, hc *http.Client) *Client {
		c := must.Get(New(Config{Environment: Environment(address), ConsumerKey: "key", ConsumerSecret: canarySecret, HTTPClient: hc, Rate: -1}))(t)
		must.Do(t, c.Use(gen3))
		return c
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tt := range map[string]struct {
		answer http.HandlerFunc // or else
		c      *Client
		ctx    context.Context
		soon   bool // time runs out
		want   bool
	}{
		"nobody listens":                          {c: at(closed.URL, nil)},
		"the host is unknown":                     {c: at("https://neo.invalid", nil)},
		"the certificate is not trusted":          {c: at(untrusted.URL, &http.Client{Transport: &http.Transport{}})},
		"time runs out before TLS is agreed on":   {c: at("https://"+plain.Addr().String(), &http.Client{Transport: &http.Transport{}}), soon: true},
		"the context was over":                    {c: s.trading(t, gen3), ctx: over},
		"there is no session":                     {c: s.client(t)},
		"no answer within time":                   {answer: badhttp.Silent, soon: true, want: true},
		"the connection closes before the answer": {answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, want: true},
		"half an answer":                          {answer: badhttp.Short(200, `{"stat":"Ok"`), want: true},
		"a refusal":                               {answer: answer(400, `{"stat":"Not_Ok","stCode":1009,"errMsg":"lot"}`), want: true},
		"a 502":                                   {answer: answer(502, "<html><title>Bad Gateway</title></html>"), want: true},
		"an order's answer that is none":          {answer: answer(200, "[]"), want: true},
	} {
		if tt.c == nil {
			s.on(placePath, tt.answer)
			tt.c = s.trading(t, gen3)
		}
		if tt.ctx == nil {
			tt.ctx = t.Context()
		}
		if tt.soon {
			ctx, cancel := context.WithTimeout(tt.ctx, 50*time.Millisecond)
			defer cancel()
			tt.ctx = ctx
		}
		_, err := place(tt.ctx, tt.c)
		e := failure(t, err)
		if e.Sent != tt.want {
			t.Errorf("%s: sent is %t: %v", name, e.Sent, err)
		}
		if !tt.want && e.Retry == RetryCheckFirst || tt.want && e.Code == "" && e.Retry != RetryCheckFirst {
			t.Errorf("%s: retry is %q: %v", name, e.Retry, err)
		}
	}
}

// A login that fails before a call is not the call.
func TestError_ofAStepBeforeTheCallSaysThatTheCallWasNotSent(t *testing.T) {
	s := newScripted(t)
	s.on(opAccessToken, badhttp.Silent)
	c := must.Get(New(Config{Environment: Environment(s.URL), ConsumerKey: "key", ConsumerSecret: canarySecret, Rate: -1}))(t)
	must.Do(t, c.Use(gen1))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := place(ctx, c)
	if e := failure(t, err); e.Sent || e.Op != opAccessToken {
		t.Errorf("%t: %v", e.Sent, err)
	}
	lost := &Error{Op: opTOTPValidate, Category: ErrNetwork, Sent: true}
	for name, fails := range map[string]error{"a login's": lost, "the source's own": io.ErrNoProgress} {
		k := &keeping{fails: fails, ended: []string{"x"}, tokens: []string{"y"}}
		_, err := place(t.Context(), c, WithKeeper(k))
		if e := failure(t, err); e.Sent || e.Retry == RetryCheckFirst || !lost.Sent || len(s.seen(placePath)) != 0 {
			t.Errorf("%s: %t: %v", name, e.Sent, err)
		}
	}
}

func TestError_givenUpInTheRatesQueueWasNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := must.Get(New(Config{Environment: "https://queue.example", ConsumerKey: "queue", Rate: 1, HTTPClient: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			return answered(r, `{"stat":"Ok"}`), nil
		})}}))(t)
		must.Do(t, c.Use(gen3))
		must.Get(place(t.Context(), c))(t)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := place(ctx, c)
		if e := failure(t, err); e.Sent || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%t: %v", e.Sent, err)
		}
	})
}

// answered is an answer without a socket.
func answered(r *http.Request, text string) *http.Response {
	if r.Body != nil {
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
	}
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)), Request: r}
}

func TestError_hasTheBeginningOfAnAnswerThatIsNotTheProtocols(t *testing.T) {
	page := "<html>\n <head><title>502</title></head>" + strings.Repeat(" <p>x</p>", 100)
	for name, tt := range map[string]struct {
		status int
		body   string
		want   string // how it begins
		none   bool
	}{
		"a page":                       {502, page, "<html> <head><title>502</title></head> <p>x</p>", false},
		"a page that is a 200":         {200, page, "<html> <head><title>502</title></head>", false},
		"words":                        {500, "upstream gone", "upstream gone", false},
		"a list for an order":          {200, `[{"nOrdNo":"1"}]`, `[{"nOrdNo":"1"}]`, false},
		"half an object":               {200, `{"stat":"Ok","nOrdNo":"12`, `{"stat":"Ok","nOrdNo":"12`, false},
		"an object that says nothing":  {200, `{"hello":1}`, `{"hello":1}`, false},
		"the session's token":          {500, "bad token " + canaryTrade + " given", "bad token [redacted] given", false},
		"another token":                {500, "<html>bad token " + canaryView + " given", "<html>bad token [redacted] given", false},
		"a token in what says nothing": {200, `{"token":"abc","x":1}`, `{"token":"[redacted]","x":1}`, false},
		"a refusal":                    {400, `{"stat":"Not_Ok","stCode":1009,"errMsg":"lot"}`, "", true},
		"nothing":                      {500, "", "", true},
	} {
		s := newScripted(t)
		s.on(placePath, answer(tt.status, tt.body))
		_, err := place(t.Context(), s.trading(t, gen3))
		e := failure(t, err)
		if !strings.HasPrefix(e.Answer, tt.want) || tt.none != (e.Answer == "") || len(e.Answer) > 200 || e.Status != tt.status || !e.Sent {
			t.Errorf("%s: %d, %d bytes: %q: %v", name, e.Status, len(e.Answer), e.Answer, err)
		}
	}
	s := newScripted(t)
	s.on(placePath, badhttp.Short(200, `{"stat":"Ok","nOrdNo":"12`))
	_, err := place(t.Context(), s.trading(t, gen3))
	if e := failure(t, err); e.Status != 200 || e.Answer != `{"stat":"Ok","nOrdNo":"12` || !e.Sent || e.Category != ErrNetwork {
		t.Errorf("half an answer: %d, %q: %v", e.Status, e.Answer, err)
	}
	s.on(opTOTPValidate, answer(200, `{"data":{"token":"abc"}}`))
	s.on(opTOTPLogin, answer(200, `{"data":{"token":"abc"}}`))
	err = s.client(t).LoginTOTP(t.Context(), TOTP{Mobile: "+919999999908", UCC: "TESTYA24", Code: "123456"})
	if e := failure(t, err); e.Answer != "" || e.Status != 200 {
		t.Errorf("a step's answer: %q: %v", e.Answer, err)
	}
}

// An answer to an order that is not the protocol's JSON says nothing of the order.
func TestDo_takesNothingButTheProtocolsJSONForSuccess(t *testing.T) {
	for _, body := range []string{
		"", " ", "null", "[]", `[{"nOrdNo":"1"}]`, `"Ok"`, "1", "true", "{}", "{", `{"stat":"Ok"`, `{"stat":"Ok"}}`, `{"stat":"Ok"} x`, "ok", "<html></html>", `{"stat":"Ok",}`,
		`{"stat":"Not_Ok","data":[]}`, `{"data":null}`, `{"error":[],"data":{}}`, "\x1f\x8b\x08\x00broken", `{"stat":"Ok","data":"[1"}`, `{"stat":"Ok","data":"{"}`,
	} {
		s := newScripted(t)
		s.on(placePath, answer(200, body))
		c := s.trading(t, gen3)
		for _, into := range []any{nil, new(json.RawMessage), new(any)} {
			if body == `{"stat":"Ok","data":"[1"}` && into == nil || body == `{"stat":"Ok","data":"{"}` && into == nil {
				continue // nobody reads what is inside
			}
			err := c.Do(t.Context(), http.MethodPost, placePath, url.Values{"jData": {"{}"}}, into)
			if e := failure(t, err); !e.Sent || e.Retry != RetryCheckFirst && e.Category != ErrBadAnswer {
				t.Errorf("%q into %T: %v", body, into, err)
			}
		}
	}
}

func TestDo_givesTheTextOfAnAnswer(t *testing.T) {
	for name, tt := range map[string]struct{ body, want string }{
		"data":               {`{"stat":"Ok", "data" : [ {"b":1, "a":1.50} ] }`, `[ {"b":1, "a":1.50} ]`},
		"no data":            {` {"stat":"ok", "z":1, "a":"\u0041" } `, `{"stat":"ok", "z":1, "a":"\u0041" }`},
		"encoded twice":      {`"{\"stat\":\"Ok\",\"data\":[1]}"`, `[1]`},
		"data encoded twice": {`{"stat":"Ok","data":"[{\"a\":1}]"}`, `[{"a":1}]`},
		"an empty report":    {`{"stat":"Not_Ok","stCode":5203,"errMsg":"No Data"}`, ``},
		"of a number text":   {`{"stat":"not_ok","stCode":"5203","emsg":"No Data"}`, ``},
	} {
		s := newScripted(t)
		s.on(placePath, answer(200, tt.body))
		if got, err := place(t.Context(), s.trading(t, gen3)); err != nil || string(got) != tt.want {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	s := newScripted(t)
	s.on(ordersPath, answer(200, ` [ {"a":1} ] `))
	var list json.RawMessage
	if err := s.trading(t, gen3).Do(t.Context(), "GET", ordersPath, nil, &list); err != nil || string(list) != `[ {"a":1} ]` {
		t.Errorf("a list: %s, %v", list, err)
	}
}

func TestDo_tellsTheTradeAPIsRefusalsApart(t *testing.T) {
	for code, want := range map[string]Category{"100008": ErrIPNotAllowed, `"1037"`: ErrIPNotAllowed, "1037": ErrIPNotAllowed, "1041": ErrRateLimited, `"1041"`: ErrRateLimited, "100022": ErrSessionEnded} {
		for _, status := range []int{200, 400, 401} {
			s := newScripted(t)
			s.on(placePath, answer(status, `{"stat":"Not_Ok","stCode":`+code+`,"errMsg":"x"}`))
			_, err := place(t.Context(), s.trading(t, gen3))
			if e := failure(t, err); e.Category != want || !e.Sent || e.Answer != "" || e.Code != strings.Trim(code, `"`) || e.Retry == RetryCheckFirst {
				t.Errorf("%s with %d: retry %q: %v", code, status, e.Retry, err)
			}
		}
	}
}

// However the connection ends, net/http sends no order again by itself.
func TestOrder_goesOutOnceWhateverBecomesOfItsConnection(t *testing.T) {
	var placed atomic.Int32
	var how atomic.Value
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet { // so that the next call uses the same connection
			io.WriteString(w, `{"stat":"Ok"}`)
			return
		}
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "jData") {
			placed.Add(1)
		}
		switch how.Load() {
		case "after the body":
			panic(http.ErrAbortHandler)
		case "within the head":
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(http.ErrAbortHandler) // HTTP/2
			}
			io.WriteString(conn, "HTTP/1.1 200 O")
			conn.Close()
		case "within the body":
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, `{"stat":"Ok"`)
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	})
	for _, version := range []string{"HTTP/1", "HTTP/2"} {
		srv := httptest.NewUnstartedServer(handler)
		srv.EnableHTTP2 = version == "HTTP/2"
		srv.StartTLS()
		defer srv.Close()
		c := must.Get(New(Config{Environment: Environment(srv.URL), ConsumerKey: "key", HTTPClient: srv.Client(), Rate: -1}))(t)
		must.Do(t, c.Use(gen3))
		for _, way := range []string{"after the body", "within the head", "within the body"} {
			for _, send := range []func() error{
				func() error { _, err := place(t.Context(), c); return err },
				func() error {
					req := must.Get(http.NewRequest("POST", placePath, strings.NewReader("jData={}")))(t)
					req.Header.Set("Idempotency-Key", "1") // which makes net/http send again what it can
					resp, err := c.HTTPClient().Do(req)
					if err == nil {
						_, err = io.ReadAll(resp.Body)
						resp.Body.Close()
					}
					return err
				},
			} {
				must.Do(t, c.Do(t.Context(), "GET", ordersPath, nil, nil))
				how.Store(way)
				before := placed.Load()
				if err := send(); err == nil {
					t.Errorf("%s, %s: no failure", version, way)
				}
				if n := placed.Load() - before; n != 1 {
					t.Errorf("%s, %s: placed %d times", version, way, n)
				}
			}
		}
	}
}
