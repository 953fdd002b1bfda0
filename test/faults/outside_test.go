//go:build linux

package faults

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"neoapi/internal/login"
	"neoapi/internal/operator"
	"neoapi/internal/sandbox"
	"neoapi/internal/serve"
	"neoapi/internal/wire"
)

var readyURL = regexp.MustCompile(`"msg":"ready","url":"([^"]+)"`)

// readyLine waits for the line in the log, beyond an offset, with which neo serve
// says where it is ready.
func readyLine(path string, offset int64) (string, error) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		if found := readyURL.FindSubmatch(text[offset:]); found != nil {
			return "ready at " + string(found[1]), nil
		}
	}
	return "", errors.New("not ready within a minute")
}

// An outside is what a service calls: an SMS gateway, a mail server and an OMS, all
// real ones in this process.
type outside struct {
	web  *httptest.Server
	mail *smtp.Server
	port int

	mu    sync.Mutex
	hold  chan struct{}   // gateway and mail server answer nobody until it is closed; nil: at once
	down  bool            // the OMS
	slow  time.Duration   // what the OMS takes to answer
	full  bool            // gateway and mail server take no codes
	sms   []sms           // in the order in which they came, those that were never answered too
	mails []string        // that were taken
	open  map[string]bool // sessions with the OMS
	gone  []string        // sessions that were closed there
}

// An sms is a call of the gateway.
type sms struct{ id, to, code string }

func startOutside(t *testing.T) *outside {
	t.Helper()
	o := &outside{open: map[string]bool{}}
	o.web = httptest.NewTLSServer(http.HandlerFunc(o.answer))
	t.Cleanup(o.web.Close)
	o.mail = smtp.NewServer(o)
	o.mail.Domain, o.mail.ErrorLog = "127.0.0.1", nobody{}
	o.mail.TLSConfig = &tls.Config{Certificates: o.web.TLS.Certificates}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.port = l.Addr().(*net.TCPAddr).Port
	done := make(chan struct{})
	go func() { defer close(done); _ = o.mail.Serve(l) }()
	t.Cleanup(func() { _ = o.mail.Close(); <-done })
	return o
}

type nobody struct{}

func (nobody) Printf(string, ...any) {}
func (nobody) Println(...any)        {}

// files writes the files of couriers and OMS and returns the flags that name them.
func (o *outside) files(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca := put("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: o.web.Certificate().Raw})))
	secret := put("secret", "s3cret\n")
	return []string{"--couriers=" + put("couriers.yaml", fmt.Sprintf(`
couriers:
  - name: sms
    timeout: 5s
    webhook:
      url: %s/sms
      ca: %s
      headers: {Content-Type: text/plain, Authorization: 'Bearer {{secret "key"}}'}
      body: '{{.Mobile}} {{.Code}}'
      secrets: {key: %s}
  - name: mail
    timeout: 5s
    smtp: {host: 127.0.0.1, port: %d, ca: %s, from: codes@example.com, subject: Your code, body: 'Your code: {{.Code}}'}
`, o.web.URL, ca, secret, o.port, ca)),
		"--oms=" + put("oms.yaml", fmt.Sprintf("url: %s/oms\nca: %s\nbearer-file: %s\n", o.web.URL, ca, secret))}
}

func (o *outside) answer(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	sid, isOMS := strings.CutPrefix(r.URL.Path, "/oms/sessions/")
	o.mu.Lock()
	hold, slow := o.hold, o.slow
	switch {
	case !isOMS && o.full, isOMS && o.down:
		o.mu.Unlock()
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case isOMS && r.Method == http.MethodPut:
		o.open[sid] = true
	case isOMS:
		delete(o.open, sid)
		o.gone = append(o.gone, sid)
	default:
		to, code, _ := strings.Cut(string(body), " ")
		o.sms = append(o.sms, sms{r.Header.Get("Idempotency-Key"), to, code})
	}
	o.mu.Unlock()
	if isOMS {
		time.Sleep(slow)
		_, _ = io.WriteString(w, `{"home": "server7"}`)
		return
	}
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	}
}

// The mail server.

func (o *outside) NewSession(*smtp.Conn) (smtp.Session, error) { return &mailing{o: o}, nil }

type mailing struct {
	o  *outside
	to string
}

func (m *mailing) Mail(string, *smtp.MailOptions) error { return nil }
func (m *mailing) Rcpt(to string, _ *smtp.RcptOptions) error {
	m.to = to
	m.o.mu.Lock()
	hold, full := m.o.hold, m.o.full
	m.o.mu.Unlock()
	if full {
		return errors.New("no room")
	}
	if hold != nil {
		<-hold
	}
	return nil
}
func (m *mailing) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	m.o.mu.Lock()
	defer m.o.mu.Unlock()
	m.o.mails = append(m.o.mails, m.to+"\n"+string(text))
	return err
}
func (m *mailing) Reset()        {}
func (m *mailing) Logout() error { return nil }

var mailed = regexp.MustCompile(`Your code: (\d{6})`)

// code returns the code that a person got last, if any.
func (o *outside) code(p person) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	code := ""
	for _, x := range o.sms {
		if x.to == p.mobile {
			code = x.code
		}
	}
	for _, x := range o.mails {
		if strings.HasPrefix(x, p.user+"@example.com\n") {
			code = mailed.FindStringSubmatch(x)[1]
		}
	}
	return code
}

// subject returns the sub of a token: how a client names the account.
func subject(t *testing.T, token string) string {
	t.Helper()
	var claims struct{ Sub string }
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err := errors.Join(err, json.Unmarshal(text, &claims)); err != nil {
		t.Fatal(err)
	}
	return claims.Sub
}

// addPersons makes accounts and the demo consumer before the service is started.
// All have the demo account's secrets; every other one gets codes by mail.
func (s *service) addPersons(t *testing.T, n int) (all []person) {
	t.Helper()
	ctx := t.Context()
	data, err := serve.Open(ctx, serve.Place{Dir: s.dir, Database: s.database}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := data.Close(); err != nil {
			t.Error(err)
		}
	}()
	admin := data.Admin()
	_, _, err = admin.AddConsumer(ctx, sandbox.DemoConsumerKey, "", sandbox.DemoConsumerSecret, 0)
	if err := errors.Join(err, data.ClaimKind(ctx, serve.Service)); err != nil {
		t.Fatal(err)
	}
	hashed, err := admin.Hash(operator.NewAccount{
		UCC: "UCC", UserID: "user", Mobile: "9876543210", Password: sandbox.DemoPassword, MPIN: sandbox.DemoMPIN, TOTPSeed: sandbox.DemoTOTPSeed,
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		p := person{"", fmt.Sprintf("UCC%02d", i), fmt.Sprintf("user%02d", i), fmt.Sprintf("+9198765432%02d", i)}
		h := hashed.As("", p.ucc, p.user, p.mobile, "")
		h.Reach = login.Reach{Email: p.user + "@example.com", Couriers: [][]string{{"sms"}, {"mail"}}[i%2]}
		if _, err := admin.AddHashed(ctx, h); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// enrol takes those persons' sessions through both factors.
func (s *service) enrol(t *testing.T, o *outside, persons []person) (trades []session) {
	t.Helper()
	views := s.ask(t, persons)
	for _, x := range views {
		within(t, time.Minute, "a code", func() bool { return o.code(x.person) != "" })
		trades = append(trades, must(t, x.person, s.second(x, o.code(x.person), "second-"+x.sid)))
	}
	return trades
}

// ask logs persons in and asks for codes, all at once.
func (s *service) ask(t *testing.T, persons []person) []session {
	t.Helper()
	views := make([]session, len(persons))
	for i, p := range persons {
		views[i] = s.view(t, p)
		views[i].id = subject(t, views[i].token)
	}
	var asking sync.WaitGroup
	for _, x := range views {
		asking.Go(func() {
			if a := s.otp(x); !a.good() {
				t.Error(a)
			}
		})
	}
	asking.Wait()
	return views
}

// Requests for codes that were answered, and sessions that were ended, are seen to
// by the next process if this one is killed: each code arrives, and each session is
// closed with the OMS.
func TestKill_losesNoCodeAndNoClosing(t *testing.T) {
	stores(t, func(t *testing.T, database string) {
		const people, leaving = 24, 12 // more than one process sends at once; and who ends a session
		o := startOutside(t)
		s := prepare(t, t.TempDir(), database, append([]string{"serve", "--consumer-rate=0", "--wrong-logins=0"}, o.files(t)...)...)
		persons := s.addPersons(t, people+leaving+1)
		s.start(t)
		var access wire.AccessToken
		a := s.getAccess(sandbox.DemoConsumerKey, sandbox.DemoConsumerSecret)
		if err := json.Unmarshal(a.body, &access); err != nil || !a.good() {
			t.Fatal(a)
		}
		s.access = access.AccessToken

		// Sessions end while the OMS is down.
		trades := s.enrol(t, o, persons[people:])
		stays, leave := trades[0], trades[1:]
		o.mu.Lock()
		if len(o.open) != leaving+1 {
			t.Errorf("%d sessions are open with the OMS, want %d", len(o.open), leaving+1)
		}
		o.down = true
		o.mu.Unlock()
		for i, x := range leave {
			switch {
			case i%4 == 0:
				if _, err := s.operator("account", "remove", x.ucc, "--yes"); err != nil {
					t.Fatal(err)
				}
			default:
				if a := s.logout(x); !a.good() {
					t.Fatal(a)
				}
			}
		}
		if a := s.clientIP(stays); a.refused() || a.status == 0 { // an OMS that is down is in nobody's way
			t.Error(a)
		}

		// And others' codes are on their way, or wait for their turn. Then the process
		// dies, and the OMS returns.
		held := make(chan struct{})
		o.mu.Lock()
		o.hold, o.sms, o.mails = held, nil, nil
		o.mu.Unlock()
		all := s.ask(t, persons[:people])
		within(t, time.Minute, "calls of the gateway", func() bool { o.mu.Lock(); defer o.mu.Unlock(); return len(o.sms) >= 4 })
		s.kill(t)
		o.mu.Lock()
		o.hold, o.down = nil, false
		halfway := append([]sms(nil), o.sms...)
		o.mu.Unlock()
		close(held)
		s.start(t)

		// The next one waits for as long as a lease, by its own clock, before it takes what
		// the dead one has begun.
		took := within(t, 3*time.Minute, "closing of what has ended", func() bool { o.mu.Lock(); defer o.mu.Unlock(); return len(o.open) == 1 })
		t.Logf("every session was closed %s after the start", took)
		o.mu.Lock()
		if !o.open[stays.sid] {
			t.Error("a session that lives was closed")
		}
		o.mu.Unlock()
		taken := func() int { o.mu.Lock(); defer o.mu.Unlock(); return len(o.sms) + len(o.mails) }
		took += within(t, 3*time.Minute, "a call for every code", func() bool { return taken() >= people+len(halfway) })
		took += within(t, time.Minute, "delivery of every code", func() bool {
			delivered := 0
			for _, e := range s.events(t) {
				if e.Action == "otp delivery" && e.Outcome == "ok" {
					delivered++
				}
			}
			return delivered >= people+leaving+1
		})
		t.Logf("every code was delivered %s after the start", took)
		events, again := s.events(t), 0
		for _, x := range all {
			if n := count(events, "otp delivery", "ok", x.sid); n != 1 {
				t.Errorf("%s: delivered %d times by the audit trail", x.ucc, n)
			}
			again += count(events, "otp delivery", "interrupted: sent again", x.sid)
		}
		if again == 0 || again >= people {
			t.Errorf("%d of %d codes were sent again", again, people)
		}
		o.mu.Lock()
		for _, before := range halfway { // the same message: a gateway that minds the key sends it once
			n := 0
			for _, x := range o.sms {
				if x.to == before.to && x == before {
					n++
				}
				if x.to == before.to && x != before {
					t.Errorf("%+v was sent again as %+v", before, x)
				}
			}
			if n < 2 {
				t.Errorf("%+v was not sent again", before)
			}
		}
		o.mu.Unlock()
		for _, x := range all {
			must(t, x.person, s.second(x, o.code(x.person), "second-"+x.sid))
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		if len(o.open) != people+1 {
			t.Errorf("%d sessions are open with the OMS, want %d", len(o.open), people+1)
		}
	})
}
