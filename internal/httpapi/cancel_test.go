package httpapi_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"neoapi/internal/serve"
	"neoapi/internal/wire"
)

var cancelled = flag.Int("httpapi.cancelled", 1000, "how many requests are cancelled half-way")

// A question is a request of one caller, whose answer can be told from all
// others: by its request id, and get-client-ip's by the address in it.
type question struct {
	id, address string
	method      string
	path, body  string
}

func asks(c caller, n int) question {
	q := question{
		id: fmt.Sprintf("caller-%d", n), address: fmt.Sprintf("203.%d.%d.%d", n>>16&255, n>>8&255, n&255),
		method: http.MethodPost, path: validatePath, body: object("userId", "TESTYA24", "otp", "123456"),
	}
	switch n % 3 {
	case 0:
		q.method, q.path, q.body = http.MethodGet, "/login/1.0/get-client-ip", ""
	case 1:
		q.path, q.body = tokenPath, object("grant_type", "client_credentials", "client_id", c.ConsumerKey, "client_secret", c.ConsumerSecret)
	}
	return q
}

// header is the request's header, with a session of which there is but one.
func (q question) header(c caller, trade held) http.Header {
	h := http.Header{
		"X-Request-Id": {q.id}, "X-Forwarded-For": {q.address}, "Content-Type": {"application/json"}, "Sid": {trade.SID}, "Auth": {trade.Token},
	}
	if q.path != tokenPath {
		h.Set("Authorization", c.who)
	}
	return h
}

// check reports whether an answer is to this question.
func (q question) check(h http.Header, body []byte) error {
	if got := h.Get("X-Request-Id"); got != q.id {
		return fmt.Errorf("%s got the answer to %q: %s", q.id, got, body)
	}
	var ip wire.ClientIP
	if q.method == http.MethodGet {
		if err := json.Unmarshal(body, &ip); err != nil || len(ip.Data) != 1 || ip.Data[0].IP != q.address {
			return fmt.Errorf("%s got %s, want its address %s (%v)", q.id, body, q.address, err)
		}
	}
	return nil
}

func TestRequests_cancelledHalfWayDisturbNobody(t *testing.T) { // security.md R6
	// Not parallel: it counts goroutines.
	before := runtime.NumGoroutine()
	for name, change := range map[string]func(*serve.Config){
		"HTTP 1.1":        func(*serve.Config) {},
		"HTTP 2 with TLS": func(cfg *serve.Config) { withTLS(t, cfg) },
	} {
		t.Run(name, func(t *testing.T) {
			srv, stop := serving(t, func(cfg *serve.Config) {
				cfg.TrustedProxies = []string{"127.0.0.1"}
				change(cfg)
			})
			c := consumer(t, srv)
			view := c.totp(t).session(t)
			trade := c.post(t, mpinPath, object("mpin", srv.Account.MPIN), view.pairs()...).session(t)
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 20}
			client := &http.Client{Transport: transport, Timeout: 20 * time.Second}

			// ask sends a question over a connection that others use too, and answers
			// with what its answer is; nil if there is none.
			ask := func(ctx context.Context, n int) (answered bool, err error) {
				q := asks(c, n)
				r, err := http.NewRequestWithContext(ctx, q.method, srv.URL+q.path, strings.NewReader(q.body))
				if err != nil {
					return false, err
				}
				r.Header = q.header(c, trade)
				resp, err := client.Do(r)
				if err != nil {
					return false, err
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				if err != nil {
					return false, err
				}
				return true, q.check(resp.Header, body)
			}

			done := make(chan struct{})
			var steady, all sync.WaitGroup
			for i := range 4 {
				steady.Go(func() {
					for n := i; ; n += 4 {
						select {
						case <-done:
							return
						default:
						}
						_, err := ask(context.Background(), 1_000_000+n)
						// On a busy machine cancelled streams end more slowly than new ones come, and the
						// server ends a connection that has too many of them (HTTP2_isBounded).
						if err != nil && !strings.Contains(err.Error(), "ENHANCE_YOUR_CALM") {
							t.Errorf("a caller that cancels nothing: %v", err)
							return
						}
					}
				})
			}
			work := make(chan int)
			for range 16 {
				all.Go(func() {
					for n := range work {
						if n%2 == 0 && name == "HTTP 1.1" {
							if err := asks(c, n).cutOff(c, trade); err != nil {
								t.Error(err)
							}
							continue
						}
						ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(3000))*time.Microsecond)
						if answered, err := ask(ctx, n); answered && err != nil {
							t.Error(err)
						}
						cancel()
					}
				})
			}
			for n := range *cancelled {
				work <- n
			}
			close(work)
			all.Wait()
			close(done)
			steady.Wait()

			view = c.post(t, validatePath, object("mobileNumber", c.Account.Mobile, "password", c.Account.Password)).session(t)
			trade = c.second(t, view, c.Account.MPIN).session(t)
			c.call(t, trade).want(t, 200)
			transport.CloseIdleConnections()
			stop()
		})
	}
	plainTransport.CloseIdleConnections()
	for deadline := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// cutOff sends the question over a connection of its own, wholly or in part, and
// goes away, with or without a word. An answer that comes before must be its own.
func (q question) cutOff(c caller, trade held) error {
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.URL, "http://"))
	if err != nil {
		return err
	}
	defer conn.Close()
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n", q.method, q.path, len(q.body))
	if err := q.header(c, trade).Write(&text); err != nil {
		return err
	}
	text.WriteString("\r\n" + q.body)
	whole := rand.IntN(2) == 0
	send := text.String()
	if !whole {
		send = send[:rand.IntN(len(send))]
	}
	if _, err := io.WriteString(conn, send); err != nil {
		return err
	}
	if rand.IntN(2) == 0 {
		if err := conn.(*net.TCPConn).SetLinger(0); err != nil { // a reset instead of an end
			return err
		}
	}
	if !whole {
		return nil
	}
	if err := conn.SetReadDeadline(time.Now().Add(time.Duration(rand.IntN(3000)) * time.Microsecond)); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil // cancelled before the answer came
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil
	}
	return q.check(resp.Header, body)
}
