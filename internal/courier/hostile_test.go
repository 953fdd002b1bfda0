package courier_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"neoapi/internal/hostiletest"
)

// Whatever an SMS gateway does, a try ends with its time, takes little and leaves no
// connection open; where it can be told at once, it ends at once.
func TestAGatewayThatMeansHarmCostsATryItsTimeAtMost(t *testing.T) {
	t.Parallel()
	plain := `
  - name: sms
    timeout: %s
    webhook: {url: '%s://%s', headers: {Content-Type: text/plain}, body: '{{.Code}}'%s}
`
	for _, x := range []struct {
		scheme, accepted string
		modes            []hostiletest.Mode
	}{{"http", "", hostiletest.HTTP()}, {"http", ", accepted: yes", hostiletest.HTTP()}, {"https", "", hostiletest.TLS()}} {
		t.Run(x.scheme+x.accepted, func(t *testing.T) {
			t.Parallel()
			hostiletest.Walk(t, x.modes, nil, 128<<10, func(s *hostiletest.Server) error {
				c := load(t, io.Discard, fmt.Sprintf(plain, s.Patience(), x.scheme, s.Addr, x.accepted))
				return s.Judge(c.Send(t.Context(), message()))
			})
		})
	}
}

// The same of a mail server, which can misbehave at each of its answers.
func TestAMailServerThatMeansHarmCostsATryItsTimeAtMost(t *testing.T) {
	t.Parallel()
	g := startGateway(t, queued)
	password := writeFile(t, "password", token, 0o600)
	for kind, implicit := range map[string]bool{"starttls": false, "implicit": true} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			cfg := g.TLS.Clone()
			cfg.NextProtos = nil
			hostiletest.Walk(t, hostiletest.SMTP(implicit), cfg, 64<<10, func(s *hostiletest.Server) error {
				_, port, _ := net.SplitHostPort(s.Addr)
				text := strings.Replace(fmt.Sprintf(mailServer, "mail", s.Patience(), 0, kind, g.ca, password), "port: 0", "port: "+port, 1)
				err := load(t, io.Discard, text).Send(t.Context(), message())
				switch took := s.Mode.Taken(); {
				case took && (err != nil || s.Calls() != 1):
					return fmt.Errorf("it took the mail, %d times, and then %w", s.Calls(), err)
				case !took && err == nil:
					return errors.New("it took no mail, and no error was returned")
				}
				return s.Judge(err)
			})
		})
	}
}

// A gateway that closes a connection when it is used again, without an answer, gets a
// code again because the couriers try twice, and not because net/http does.
func TestACodeIsSentAgainByTheCouriersAlone(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	g := startGateway(t, func(w http.ResponseWriter, _ int) {
		requests.Add(1)
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		go func() { // the second request on it
			defer func() { _ = conn.Close() }()
			if r, err := http.ReadRequest(rw.Reader); err == nil {
				_, _ = io.Copy(io.Discard, r.Body)
				requests.Add(1)
			}
		}()
	})
	c := load(t, io.Discard, fmt.Sprintf(formGateway, "sms", "5s", g.URL, g.ca, writeFile(t, "token", token, 0o600)))
	for n, want := range []int64{1, 3} { // 3: on the connection that closes, and the couriers' second try
		if err := c.Send(t.Context(), message()); err != nil {
			t.Fatal(err)
		}
		if got := requests.Load(); got != want {
			t.Errorf("%d requests after %d codes, want %d", got, n+1, want)
		}
	}
}
