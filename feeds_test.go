package neoapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"neoapi/internal/badhttp"
	"neoapi/internal/must"
)

func TestSession_keepsItsFeeds(t *testing.T) {
	s := newScripted(t)
	s.on(opTOTPValidate, answer(200, strings.Replace(tradeAnswer(), `"dataCenter"`, `"feedUrl":"wss://feed.example/a","rtUrl":"wss://orders.example/b","dataCenter"`, 1)))
	c := s.client(t)
	must.Do(t, c.LoginTOTP(t.Context(), TOTP{Mobile: "+919999999908", UCC: "TESTYA24", Code: "123456"}))
	got := must.Get(c.ValidateMPIN(t.Context(), canaryMPIN))(t)
	back := must.Get(ParseSession(must.Get(got.Export())(t)))(t)
	for _, session := range []Session{got, back} {
		if session.FeedURL != "wss://feed.example/a" || session.OrderFeedURL != "wss://orders.example/b" || session.DataCenter != "gdc" {
			t.Errorf("feeds at %q and %q", session.FeedURL, session.OrderFeedURL)
		}
	}
	must.Get(ParseSession([]byte(`{"token":"t","sid":"s","baseUrl":"https://x"}`)))(t) // of an earlier version
}

// upgrade asks for a WebSocket, as libraries for them do.
func upgrade(t *testing.T, to string) *http.Request {
	t.Helper()
	r := must.Get(http.NewRequestWithContext(t.Context(), http.MethodGet, to, nil))(t)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Authorization", canaryAccess)
	r.Header.Set("Auth", canaryTrade)
	r.Header.Set("Sid", "sid-1")
	r.Header.Set("Cookie", "a=b")
	return r
}

func TestFeedClient_opensAConnectionToItsServiceWithoutCredentials(t *testing.T) {
	headers := make(chan http.Header, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headers <- r.Header
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		line, _ := buf.ReadString('\n')
		io.WriteString(conn, "heard "+line)
	}))
	defer srv.Close()
	c := must.Get(New(Config{Environment: Environment(srv.URL), ConsumerKey: "key", HTTPClient: &http.Client{Jar: jar(t, srv.URL)}}))(t)
	must.Do(t, c.Use(gen3))
	hc := c.FeedClient()
	resp := must.Get(hc.Do(upgrade(t, strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)+"/realtime?sId=1")))(t)
	defer resp.Body.Close()
	conn, ok := resp.Body.(io.ReadWriter)
	if resp.StatusCode != 101 || !ok {
		t.Fatalf("%d, %T", resp.StatusCode, resp.Body)
	}
	io.WriteString(conn, "hello\n")
	if text := must.Get(io.ReadAll(conn))(t); string(text) != "heard hello\n" {
		t.Errorf("got %q", text)
	}
	got := <-headers
	for _, name := range []string{"Authorization", "Auth", "Sid", "Cookie", "Neo-Fin-Key"} {
		if got[name] != nil {
			t.Errorf("%s was sent", name)
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		noCanary(t, fmt.Sprintf(verb, hc.Transport))
	}
}

// jar is a cookie jar with a cookie for an address.
func jar(t *testing.T, address string) http.CookieJar {
	j := must.Get(cookiejar.New(nil))(t)
	j.SetCookies(must.Get(url.Parse(address))(t), []*http.Cookie{{Name: "secret", Value: canaryAccess}})
	return j
}

func TestFeedClient_sendsNothingToAnotherHost(t *testing.T) {
	var sent atomic.Int32
	count := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		sent.Add(1)
		return answered(r, ""), nil
	})}
	for env, hostile := range map[Environment][]string{
		PROD: {
			"https://evil.example/realtime", "https://evilkotaksecurities.com/", "http://mis.kotaksecurities.com/", "https://mis.kotaksecurities.com.evil.example/",
			"https://mis.kotaksecurities.com@evil.example/", "https://a:b@mis.kotaksecurities.com/", "https://e21.kotaksecurities.com:8443/", "https://127.0.0.1/", "ws://mis.kotaksecurities.com/", "ftp://mis.kotaksecurities.com/",
			"https://169.254.169.254/", "http://localhost/",
		},
		"https://neo.example.com":  {"https://feed.example.com/", "http://neo.example.com/", "https://neo.example.com.evil.example/", "https://mis.kotaksecurities.com/"},
		"http://127.0.0.1:9155":    {"http://evil.example/", "https://mis.kotaksecurities.com/", "https://127.0.0.1:9155/", "http://127.0.0.1.evil.example/", "http://10.0.0.1/"},
		"https://neo.example.com/": {"https://evil.example/?neo.example.com", "https://evil.example/#neo.example.com", "//evil.example/", "/realtime"},
	} {
		c := must.Get(New(Config{Environment: env, ConsumerKey: "key", HTTPClient: count}))(t)
		for _, to := range hostile {
			session := gen3
			session.FeedURL = to
			must.Do(t, c.Use(session))
			_, err := c.FeedClient().Do(upgrade(t, session.FeedURL))
			if e := failure(t, err); e.Category != ErrInvalidInput || e.Sent || e.Op != "feed" || !strings.Contains(e.Message, "nothing was sent") {
				t.Errorf("%s, %s: %v", env, to, err)
			}
		}
	}
	c := must.Get(New(Config{Environment: "https://neo.example.com", ConsumerKey: "key", HTTPClient: count}))(t)
	other := upgrade(t, "https://neo.example.com/realtime")
	other.Host = "evil.example"
	plain := upgrade(t, "https://neo.example.com/realtime")
	plain.Header.Del("Upgrade")
	post := upgrade(t, "https://neo.example.com/realtime")
	post.Method = http.MethodPost
	for name, r := range map[string]*http.Request{"another Host": other, "no upgrade": plain, "a POST": post} {
		if _, err := c.FeedClient().Do(r); !errors.Is(err, ErrInvalidInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := sent.Load(); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
	for env, to := range map[Environment]string{PROD: "https://sfeed.kotaksecurities.com/apifeed", "https://neo.example.com": "https://NEO.example.com:8443/realtime?sId=1"} {
		c := must.Get(New(Config{Environment: env, ConsumerKey: "key", HTTPClient: count}))(t)
		before := sent.Load()
		resp := must.Get(c.FeedClient().Do(upgrade(t, to)))(t)
		resp.Body.Close()
		if sent.Load() != before+1 {
			t.Errorf("%s was not sent to %s", env, to)
		}
	}
}

func TestFeedClient_followsNoRedirectAndNoHost(t *testing.T) {
	var reached atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer other.Close()
	srv := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusFound))
	defer srv.Close()
	c := must.Get(New(Config{Environment: Environment(srv.URL), ConsumerKey: "key"}))(t)
	resp := must.Get(c.FeedClient().Do(upgrade(t, srv.URL)))(t)
	resp.Body.Close()
	if _, err := c.Download(t.Context(), srv.URL, 10); failure(t, err).Category != ErrBadAnswer {
		t.Errorf("a download: %v", err)
	}
	if resp.StatusCode != http.StatusFound || reached.Load() != 0 {
		t.Errorf("%d, %d requests", resp.StatusCode, reached.Load())
	}
}

func TestDownload_getsAFileWithoutCredentials(t *testing.T) {
	const csv = "pSymbol,pExchSeg\n1594,nse_cm\n"
	var got http.Header
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		switch r.URL.Path {
		case "/nse_cm.csv":
			io.WriteString(w, csv)
		case "/gone.csv":
			answer(403, "<Error><Code>AccessDenied</Code></Error>")(w, r)
		case "/busy.csv":
			answer(503, "busy")(w, r)
		case "/half.csv":
			badhttp.Short(200, csv)(w, r)
		case "/none.csv":
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	defer srv.Close()
	c := must.Get(New(Config{Environment: Environment(srv.URL), ConsumerKey: "key", HTTPClient: &http.Client{Jar: jar(t, srv.URL)}, Rate: 1}))(t)
	must.Do(t, c.Use(gen3))
	for _, most := range []int64{int64(len(csv)), 1 << 30, 1<<63 - 1} {
		body := must.Get(c.Download(t.Context(), srv.URL+"/nse_cm.csv?X-Amz-Signature=1", most))(t)
		if text := must.Get(io.ReadAll(body))(t); string(text) != csv {
			t.Errorf("got %q", text)
		}
		body.Close()
		for name := range got {
			if name != "User-Agent" && name != "Accept-Encoding" {
				t.Errorf("%s was sent", name)
			}
		}
	}
	for most := range int64(len(csv)) {
		body := must.Get(c.Download(t.Context(), srv.URL+"/nse_cm.csv", most))(t)
		text, err := io.ReadAll(body)
		if e := failure(t, err); e.Category != ErrBadAnswer || int64(len(text)) != most || e.Op != "download" {
			t.Errorf("%d bytes: %q, %v", most, text, err)
		}
		body.Close()
	}
	for path, want := range map[string]Category{"/gone.csv": ErrInvalidInput, "/busy.csv": ErrUnavailable, "/none.csv": ErrBadAnswer} {
		_, err := c.Download(t.Context(), srv.URL+path, 1<<20)
		if e := failure(t, err); e.Category != want || !e.Sent || path == "/gone.csv" && (e.Status != 403 || !strings.Contains(e.Answer, "AccessDenied")) {
			t.Errorf("%s: %v, %q", path, err, e.Answer)
		}
	}
	body := must.Get(c.Download(t.Context(), srv.URL+"/half.csv", 1<<20))(t)
	defer body.Close()
	if _, err := io.ReadAll(body); failure(t, err).Category != ErrNetwork {
		t.Errorf("half a file: %v", err)
	}
}

func TestDownload_refusesAnAddressThatAnybodyCanListenTo(t *testing.T) {
	var sent atomic.Int32
	count := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		sent.Add(1)
		return answered(r, ""), nil
	})}
	c := must.Get(New(Config{Environment: PROD, ConsumerKey: "key", HTTPClient: count}))(t)
	for _, address := range []string{"http://files.example/nse_cm.csv", "http://127.0.0.1/nse_cm.csv", "https://a:b@files.example/x", "file:///etc/passwd", "/x", "", "https://", "ftp://files.example/x", "https://files.example/\n"} {
		if _, err := c.Download(t.Context(), address, 10); failure(t, err).Category != ErrInvalidInput {
			t.Errorf("%q: %v", address, err)
		}
	}
	if sent.Load() != 0 {
		t.Error("something was sent")
	}
	body := must.Get(c.Download(t.Context(), "https://files.example/nse_cm.csv?sig=1", 10))(t)
	body.Close()
}
