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

	"neoapi/internal/badhttp"
	"neoapi/internal/hostiletest"
	"neoapi/internal/must"
)

// Whatever an SMS gateway does, a try ends within its time, takes little memory and
// leaves no connection open. If the fault can be seen at once, the try ends at once.
func TestGateway_hostileCostsATryItsTimeAtMost(t *testing.T) {
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

// The same holds for a mail server, which can misbehave at each of its answers.
func TestMail_hostileServerCostsATryItsTimeAtMost(t *testing.T) {
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
					return fmt.Errorf("it accepted the mail, on %d connections, and then %w", s.Calls(), err)
				case !took && err == nil:
					return errors.New("it accepted no mail, and no error was returned")
				}
				return s.Judge(err)
			})
		})
	}
}

// A gateway that answers once, and then closes every connection after a request, gets a
// code only as often as the couriers try: net/http does not resend it because of its
// Idempotency-Key.
func TestCourier_isAloneInSendingACodeAgain(t *testing.T) {
	t.Parallel()
	var answered atomic.Bool
	g := startGateway(t, func(w http.ResponseWriter, r *http.Request) {
		if answered.Swap(true) {
			badhttp.Closed(w, r)
		}
	})
	c := load(t, io.Discard, fmt.Sprintf(formGateway, "sms", "5s", g.URL, g.ca, writeFile(t, "token", token, 0o600)))
	must.Do(t, c.Send(t.Context(), message()))
	if err := c.Send(t.Context(), message()); err == nil || g.calls() != 1+2 {
		t.Errorf("%d requests for one code tried once and one tried twice; %v", g.calls(), err)
	}
	if first, second := g.got[1].Header.Get("Idempotency-Key"), g.got[2].Header.Get("Idempotency-Key"); first != second {
		t.Errorf("keys %q and %q for one code", first, second)
	}
}
