package neoapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"neoapi/internal/must"
	"neoapi/internal/wire"
)

func TestNew_namesEveryProblem(t *testing.T) {
	tests := []struct {
		name string
		cfg  Config
		want []string // parts of the message; none means that New accepts
	}{
		{"nothing at all", Config{}, []string{"Environment is missing", "ConsumerKey is missing"}},
		{"three problems at once", Config{Environment: "ftp://x", ConsumerSecret: "s\n"}, []string{"Environment is not uat", "ConsumerKey is missing", "ConsumerSecret has a space or line break"}},
		{"a secret without a key", Config{Environment: UAT, AccessToken: "t", ConsumerSecret: "s"}, []string{"requires the consumer key"}},
		{"a key that Basic cannot carry", Config{Environment: UAT, ConsumerKey: "a:b", ConsumerSecret: "s"}, []string{"colon"}},
		{"a user in the base URL", Config{Environment: "https://me:" + canaryPassword + "@example.com", ConsumerKey: "k"}, []string{"has a user, a password"}},
		{"a password that breaks the base URL", Config{Environment: "https://me:" + canaryPassword + "%zz@example.com", ConsumerKey: "k"}, []string{"is not uat, prod"}},
		{"http to another machine", Config{Environment: "http://192.0.2.1", ConsumerKey: "k"}, []string{"InsecureHTTP"}},
		{"a user agent with a line break", Config{Environment: UAT, ConsumerKey: "k", UserAgent: "a\nb"}, []string{"UserAgent"}},
		{"a key with a space", Config{Environment: UAT, ConsumerKey: "k ", ConsumerSecret: "s"}, []string{"ConsumerKey has a space or line break"}},
		{"a key with a space in it", Config{Environment: UAT, ConsumerKey: "k k"}, []string{"ConsumerKey has a character"}},
		{"a key with Bearer", Config{Environment: UAT, ConsumerKey: "Bearer k"}, []string{"ConsumerKey must be given without Bearer"}},
		{"a token with Bearer", Config{Environment: UAT, AccessToken: "bearer t"}, []string{"AccessToken must be given without Bearer"}},
		{"a key in quotes", Config{Environment: UAT, ConsumerKey: `"k"`, ConsumerSecret: "'s'"}, []string{"ConsumerKey has quotes", "ConsumerSecret has quotes"}},
		{"a rate that cannot be", Config{Environment: PROD, ConsumerKey: "k", Rate: 1001}, []string{"Rate"}},
		{"a secret with a space", Config{Environment: UAT, ConsumerKey: "k", ConsumerSecret: "s s"}, nil},
		{"http to another machine, allowed", Config{Environment: "http://192.0.2.1", ConsumerKey: "k", InsecureHTTP: true}, nil},
		{"http to this machine by name", Config{Environment: "http://localhost:9155/", ConsumerKey: "k"}, nil},
		{"http to this machine by IPv6", Config{Environment: "http://[::1]:9155", ConsumerKey: "k"}, nil},
		{"UAT in capitals", Config{Environment: "UAT", ConsumerKey: "k", ConsumerSecret: "s"}, nil},
		{"a token alone", Config{Environment: PROD, AccessToken: "t", UserAgent: "my bot/1"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(tt.cfg)
			if len(tt.want) == 0 {
				if err != nil {
					t.Fatalf("New refuses: %v", err)
				}
				return
			}
			if !errors.Is(err, ErrInvalidInput) {
				t.Fatalf("New says %v, want ErrInvalidInput", err)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not name %q", err, part)
				}
			}
			if strings.Contains(err.Error(), canaryPassword) {
				t.Errorf("%q shows a password", err)
			}
		})
	}
}

func TestEnvironment_hasItsAddresses(t *testing.T) {
	tests := []struct {
		name string
		cfg  Config
		want map[wire.Op]string
	}{
		{"UAT", Config{Environment: "Uat", ConsumerKey: "k"}, map[wire.Op]string{
			wire.OpAccessToken: "https://nsbxapi.kotaksecurities.com/oauth2/token",
			wire.OpValidate:    "https://nsbxapi-gw.kotaksecurities.com/api/1.0/login/v2/validate",
			wire.OpOTP:         "https://nsbxapi-gw.kotaksecurities.com/api/1.0/login/otp/generate",
			wire.OpLogout:      "https://nsbxapi-gw.kotaksecurities.com/api/1.0/logout",
			wire.OpTOTPLogin:   "https://d-mis.kotaksecurities.com/login/1.0/tradeApiLogin",
		}},
		{"PROD", Config{Environment: PROD, ConsumerKey: "k"}, map[wire.Op]string{
			wire.OpAccessToken:  "https://napi.kotaksecurities.com/oauth2/token",
			wire.OpValidate:     "https://gw-napi.kotaksecurities.com/login/1.0/login/v2/validate",
			wire.OpLogout:       "https://gw-napi.kotaksecurities.com/login/1.0/logout",
			wire.OpTOTPLogin:    "https://mis.kotaksecurities.com/login/1.0/tradeApiLogin",
			wire.OpTOTPValidate: "https://mis.kotaksecurities.com/login/1.0/tradeApiValidate",
		}},
		{"PROD with an access token only", Config{Environment: PROD, AccessToken: "t"}, map[wire.Op]string{
			wire.OpTOTPLogin:    "https://mnapi.kotaksecurities.com/apim/login/2.0/login/v6/totp/login",
			wire.OpTOTPValidate: "https://mnapi.kotaksecurities.com/apim/login/2.0/login/v6/totp/validate",
		}},
		{"a base URL with a path and a slash", Config{Environment: "https://Example.com/neo/", ConsumerKey: "k"}, map[wire.Op]string{
			wire.OpAccessToken: "https://Example.com/neo/oauth2/token",
			wire.OpValidate:    "https://Example.com/neo/login/1.0/login/v2/validate",
			wire.OpTOTPLogin:   "https://Example.com/neo/login/1.0/tradeApiLogin",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at, problem := find(tt.cfg)
			if problem.Text != "" {
				t.Fatal(problem)
			}
			got := at.urls()
			for op, want := range tt.want {
				if got[op] != want {
					t.Errorf("%s goes to %s, want %s", op, got[op], want)
				}
			}
		})
	}
}

func TestAccessToken_isFetchedOnceAndRenewedInTime(t *testing.T) {
	s := newScripted(t)
	c := s.client(t)
	now := time.Now()
	c.now = func() time.Time { return now }
	login := func(wantFetches int) {
		t.Helper()
		must.Do(t, c.Login(t.Context(), Credentials{UserID: "u", Password: "p", NoOTP: true}))
		if got := len(s.seen(opAccessToken)); got != wantFetches {
			t.Fatalf("%d access tokens fetched, want %d", got, wantFetches)
		}
	}
	login(1)
	fetch := s.seen(opAccessToken)[0]
	if user, pass, _ := (&http.Request{Header: fetch.header}).BasicAuth(); user != "key" || pass != canarySecret {
		t.Errorf("Basic authentication carries %q and %q", user, pass)
	}
	if fetch.body != `{"grant_type":"client_credentials"}` || fetch.header.Get("Content-Type") != "application/json" {
		t.Errorf("the fetch sends %q as %q", fetch.body, fetch.header.Get("Content-Type"))
	}
	now = now.Add(3540 * time.Second) // exactly 60 seconds left
	login(1)
	now = now.Add(time.Second)
	login(2)

	s.on(opLogin, answer(401, `{"error":[{"code":"900901","message":"Invalid Credentials"}]}`))
	if err := c.Login(t.Context(), Credentials{UserID: "u", Password: "p"}); !errors.Is(err, ErrAccessToken) {
		t.Fatalf("a refused access token is %v", err)
	}
	if got := len(s.seen(opAccessToken)); got != 2 {
		t.Fatalf("the refusal itself caused a fetch: %d", got)
	}
	s.on(opLogin, answer(200, viewAnswer()))
	login(3)
}

func TestAccessToken_ifGivenIsUsedAndNeverForgotten(t *testing.T) {
	s := newScripted(t)
	c := must.Get(New(Config{Environment: Environment(s.URL), AccessToken: canaryAccess}))(t)
	s.on(opLogin, answer(401, `{"fault":{"code":900901,"message":"Invalid Credentials"}}`))
	for range 2 {
		if err := c.Login(t.Context(), Credentials{UserID: "u", Password: "p"}); !errors.Is(err, ErrAccessToken) {
			t.Fatal(err)
		}
	}
	if got := s.seen(opLogin); len(got) != 2 || got[1].header.Get("Authorization") != "Bearer "+canaryAccess || len(s.seen(opAccessToken)) != 0 {
		t.Errorf("logins seen: %d", len(got))
	}
}

func TestAccessToken_refusalsAreTold(t *testing.T) {
	tests := []struct {
		name   string
		status int
		body   string
		want   Category
		code   string
	}{
		{"a refused consumer in OAuth's words", 401, `{"error":"invalid_client","error_description":"who is this?"}`, ErrAccessToken, "invalid_client"},
		{"a grant the server does not know", 400, `{"error":"unsupported_grant_type"}`, ErrAccessToken, "unsupported_grant_type"},
		{"an address that is refused, in OAuth's words", 401, `{"error":"invalid_client","error_description":"this consumer may not send from this address"}`, ErrIPNotAllowed, "invalid_client"},
		{"a path that is not there", 404, `{"status":404,"error":"Not Found","path":"/oauth2/token"}`, ErrInvalidInput, ""},
		{"a rate limit", 429, `{"error":"slow_down"}`, ErrRateLimited, "slow_down"},
		{"a fault of the server", 500, `{"error":"server_error"}`, ErrInternal, ""},
		{"an answer without a token", 200, `{"token_type":"Bearer"}`, ErrBadAnswer, ""},
		{"a token that is an object", 200, `{"access_token":{}}`, ErrBadAnswer, ""},
		{"a token with a line break", 200, `{"access_token":"a\nb"}`, ErrBadAnswer, ""},
		{"an empty token", 200, `{"access_token":""}`, ErrBadAnswer, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScripted(t)
			s.on(opAccessToken, answer(tt.status, tt.body))
			err := s.client(t).Login(t.Context(), Credentials{UserID: "u", Password: "p"})
			var e *Error
			if !errors.As(err, &e) || !errors.Is(err, tt.want) || e.Op != opAccessToken || e.Code != tt.code || e.Status != tt.status {
				t.Errorf("got %+v", e)
			}
			if len(s.seen(opLogin)) != 0 {
				t.Error("the password went out without an access token")
			}
		})
	}
}

func TestAccessToken_servesManyCallersAtOnce(t *testing.T) {
	s := newScripted(t)
	c := s.client(t)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if err := c.Login(t.Context(), Credentials{UserID: "u", Password: "p", NoOTP: true}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := len(s.seen(opAccessToken)); got != 1 {
		t.Errorf("%d access tokens fetched, want 1", got)
	}
}

func TestRedirect_isNotFollowed(t *testing.T) {
	var reached atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, op := range []string{opAccessToken, opLogin, opSession2FA, ordersPath} {
			t.Run(fmt.Sprint(op, " answers ", status), func(t *testing.T) {
				s := newScripted(t)
				s.on(op, answer(status, "", "Location: "+other.URL+"/"+canaryOTP+"?p="+canaryPassword))
				follow := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
				c := must.Get(New(Config{Environment: Environment(s.URL), ConsumerKey: "k", ConsumerSecret: canarySecret, HTTPClient: follow}))(t)
				err := c.Login(t.Context(), Credentials{UserID: "u", Password: canaryPassword, NoOTP: true})
				if err == nil {
					_, err = c.Session2FA(t.Context(), canaryOTP)
				}
				if err == nil {
					err = c.Do(t.Context(), "GET", ordersPath, nil, nil)
				}
				if !errors.Is(err, ErrBadAnswer) || !strings.Contains(err.Error(), "redirects to 127.0.0.1") {
					t.Errorf("got %v", err)
				}
				noCanary(t, err)
				if op == ordersPath {
					if resp, _ := get(t, c.HTTPClient(), ordersPath); resp.StatusCode != status {
						t.Errorf("%d became %d", status, resp.StatusCode)
					}
				}
			})
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d requests reached the other host", n)
	}
}

func TestRedirect_thatCannotBeReadShowsNoSecret(t *testing.T) {
	s := newScripted(t)
	s.on(opLogin, answer(302, "", "Location: http://"+canaryPassword+"%zz/"))
	err := s.client(t).Login(t.Context(), Credentials{UserID: "u", Password: canaryPassword})
	if err == nil {
		t.Fatal("no error")
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		noCanary(t, e)
	}
}

// The service reads a request on a connection that has been used before, and
// hangs up: just when net/http is most inclined to send it again.
func TestSession2FA_neverSendsACodeTwice(t *testing.T) {
	l := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	var codes, reused atomic.Int32
	serve := func(conn net.Conn) {
		defer conn.Close()
		br := bufio.NewReader(conn)
		for n := 0; ; n++ {
			r, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			io.Copy(io.Discard, r.Body)
			if r.Header.Get("Sid") != "" {
				codes.Add(1)
				if n > 0 {
					reused.Add(1)
				}
				return
			}
			body := viewAnswer()
			if r.URL.Path == "/oauth2/token" {
				body = `{"access_token":"a","expires_in":3600}`
			}
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()

	// Somebody's middleware adds the header that makes net/http replay a POST.
	idempotent := roundTripper(func(r *http.Request) (*http.Response, error) {
		r.Header.Set("Idempotency-Key", r.Header.Get("X-Request-Id"))
		return http.DefaultTransport.RoundTrip(r)
	})
	for name, transport := range map[string]http.RoundTripper{"the plain transport": nil, "a transport that adds Idempotency-Key": idempotent} {
		t.Run(name, func(t *testing.T) {
			codes.Store(0)
			reused.Store(0)
			c := must.Get(New(Config{Environment: Environment("http://" + l.Addr().String()), ConsumerKey: "k", ConsumerSecret: "s", HTTPClient: &http.Client{Transport: transport}}))(t)
			must.Do(t, c.Login(t.Context(), Credentials{Mobile: "9999999908", Password: "p", NoOTP: true}))
			if _, err := c.Session2FA(t.Context(), canaryOTP); !errors.Is(err, ErrNetwork) {
				t.Errorf("a hung-up connection is %v", err)
			}
			if codes.Load() != 1 || reused.Load() != 1 {
				t.Errorf("the code was submitted %d times, %d of them on a used connection; want 1 and 1", codes.Load(), reused.Load())
			}
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestClient_honoursContexts(t *testing.T) {
	tests := []struct {
		name string
		hang string // the step that never answers
		ctx  func(context.Context) (context.Context, context.CancelFunc)
		want error
	}{
		{"cancelled while the password is out", opLogin, context.WithCancel, context.Canceled},
		{"cancelled while the access token is fetched", opAccessToken, context.WithCancel, context.Canceled},
		{"out of time", opLogin, func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 50*time.Millisecond)
		}, context.DeadlineExceeded},
		{"cancelled with a cause of the caller's", opLogin, func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			return ctx, func() { cancel(errors.New("the user went away")) }
		}, context.Canceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScripted(t)
			ctx, cancel := tt.ctx(t.Context())
			defer cancel()
			s.on(tt.hang, func(w http.ResponseWriter, r *http.Request) {
				if tt.want == context.Canceled {
					cancel()
				}
				<-r.Context().Done()
			})
			err := s.client(t).Login(ctx, Credentials{UserID: "u", Password: canaryPassword})
			if !errors.Is(err, tt.want) || !errors.Is(err, ErrNetwork) {
				t.Errorf("got %v", err)
			}
			noCanary(t, err)
		})
	}
}

func TestAccessToken_fetchedByAnotherNeedNotBeWaitedFor(t *testing.T) {
	s := newScripted(t)
	c := s.client(t)
	asked, release := make(chan struct{}), make(chan struct{})
	s.on(opAccessToken, func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-release
		io.WriteString(w, `{"access_token":"a"}`)
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.Login(t.Context(), Credentials{UserID: "u", Password: "p", NoOTP: true}); err != nil {
			t.Error(err)
		}
	})
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Login(ctx, Credentials{UserID: "u", Password: "p"}); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrNetwork) {
		t.Errorf("got %v", err)
	}
	close(release)
	wg.Wait()
}

func TestClient_saysWhoItIsInEveryRequest(t *testing.T) {
	s := newScripted(t)
	c := must.Get(New(Config{Environment: Environment(s.URL), ConsumerKey: "k", ConsumerSecret: "s", UserAgent: "bot/1"}))(t)
	must.Do(t, c.Login(t.Context(), Credentials{UserID: "u", Password: "p"}))
	must.Get(c.Session2FA(t.Context(), canaryOTP))(t)
	must.Do(t, c.Logout(t.Context()))
	ids := map[string]bool{}
	for _, r := range s.log {
		id := r.header.Get("X-Request-Id")
		if len(id) != 36 || id[14] != '4' || !strings.Contains("89ab", id[19:20]) {
			t.Errorf("%s has the request id %q, which is no random UUID", r.op, id)
		}
		ids[id] = true
		if r.header.Get("User-Agent") != "bot/1" || r.header.Get("Idempotency-Key") != "" {
			t.Errorf("%s has the headers %v", r.op, r.header)
		}
	}
	if len(ids) != 5 {
		t.Errorf("5 requests have the ids %v", maps.Keys(ids))
	}
}
