package courier_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"neoapi/internal/login"
	"neoapi/internal/must"
)

const mailServer = `
  - name: %s
    timeout: %s
    smtp:
      host: 127.0.0.1
      port: %d
      tls: %s
      ca: %s
      user: neo
      password-file: %s
      from: Neo <codes@example.com>
      subject: Your code to log in
      body: |
        {{.Name}}, {{.Code}} is your code. It works for {{.Minutes}} minutes.
`

// A mailbox is a real SMTP server that keeps what it gets.
type mailbox struct {
	server *smtp.Server
	port   int

	mu     sync.Mutex
	mails  []string
	secure bool
	refuse error // to RCPT
}

func (b *mailbox) NewSession(c *smtp.Conn) (smtp.Session, error) { return &mailing{b: b, c: c}, nil }

type mailing struct {
	b  *mailbox
	c  *smtp.Conn
	in bool
}

func (s *mailing) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *mailing) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "neo" || password != token {
			return smtp.ErrAuthFailed
		}
		s.in = true
		return nil
	}), nil
}

func (s *mailing) Mail(string, *smtp.MailOptions) error {
	if !s.in {
		return smtp.ErrAuthRequired
	}
	return nil
}

func (s *mailing) Rcpt(string, *smtp.RcptOptions) error {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	return s.b.refuse
}

func (s *mailing) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	_, secure := s.c.TLSConnectionState()
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.b.mails, s.b.secure = append(s.b.mails, string(text)), secure
	return err
}

func (s *mailing) Reset()        {}
func (s *mailing) Logout() error { return nil }

// startMailbox starts a mail server with the certificate of a gateway, which both
// trust: with STARTTLS, TLS from the first byte, or none.
func startMailbox(t *testing.T, g *gateway, kind string) *mailbox {
	t.Helper()
	b := &mailbox{}
	b.server = smtp.NewServer(b)
	b.server.Domain, b.server.ErrorLog = "127.0.0.1", quiet{}
	if kind != "none" {
		b.server.TLSConfig = g.TLS.Clone()
		b.server.TLSConfig.NextProtos = nil
	}
	l := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	b.port = l.Addr().(*net.TCPAddr).Port
	if kind == "implicit" {
		l = tls.NewListener(l, b.server.TLSConfig)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = b.server.Serve(l) }()
	t.Cleanup(func() { _ = b.server.Close(); <-done })
	return b
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

func TestMail_goesOverTLSAlone(t *testing.T) {
	t.Parallel()
	g := startGateway(t, queued)
	right, wrong := writeFile(t, "password", token, 0o600), writeFile(t, "wrong", "wr0ng", 0o600)
	noMailbox := &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no mailbox for 135791"}
	for name, x := range map[string]struct {
		kind, tls string // the server's, and what the file says of it
		password  string
		ca        string
		refuses   error
		want      string // of the error; "" if the mail is sent
	}{
		"STARTTLS":                         {"starttls", "starttls", right, g.ca, nil, ""},
		"TLS from the first byte":          {"implicit", "implicit", right, g.ca, nil, ""},
		"a server without TLS":             {"none", "starttls", right, g.ca, nil, "does not support STARTTLS"},
		"a server that nobody vouches for": {"starttls", "starttls", right, "", nil, "certificate"},
		"a wrong password":                 {"starttls", "starttls", wrong, g.ca, nil, "535"},
		"a mailbox that does not exist":    {"starttls", "starttls", right, g.ca, noMailbox, "mail: "},
	} {
		t.Run(name, func(t *testing.T) {
			b := startMailbox(t, g, x.kind)
			b.refuse = x.refuses
			text := fmt.Sprintf(mailServer, "mail", "5s", b.port, x.tls, x.ca, x.password)
			if x.ca == "" {
				text = strings.Replace(text, "      ca: \n", "", 1)
			}
			err := load(t, io.Discard, text).Send(t.Context(), message())
			if x.want != "" {
				if err == nil || !strings.Contains(err.Error(), x.want) || errors.Is(err, login.ErrRefused) != (x.refuses != nil) || len(b.mails) > 0 ||
					strings.Contains(err.Error(), "wr0ng") || strings.Contains(err.Error(), "135791") {
					t.Errorf("got error %v and %d mails, want %q", err, len(b.mails), x.want)
				}
				return
			}
			must.Do(t, err)
			if len(b.mails) != 1 || !b.secure {
				t.Fatalf("%d mails, over TLS: %v", len(b.mails), b.secure)
			}
			m := must.Get(mail.ReadMessage(strings.NewReader(b.mails[0])))(t)
			if to, id := m.Header.Get("To"), m.Header.Get("Message-Id"); to != "<asha@example.com>" || id != "<"+message().ID+"@example.com>" {
				t.Errorf("To %s, Message-ID %s", to, id)
			}
			if s := m.Header.Get("Subject"); s != "Your code to log in" || !strings.Contains(b.mails[0], "135791 is your code") {
				t.Errorf("the mail:\n%s", b.mails[0])
			}
		})
	}
}

func TestMail_errorHasNoWordOfTheServer(t *testing.T) {
	t.Parallel()
	l := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "what is 135791\r\n")
			_ = conn.Close()
		}
	}()
	c := load(t, io.Discard, fmt.Sprintf(mailServer, "mail", "5s", l.Addr().(*net.TCPAddr).Port, "starttls", startGateway(t, queued).ca, writeFile(t, "password", token, 0o600)))
	if err := c.Send(t.Context(), message()); err == nil || strings.Contains(err.Error(), "135791") {
		t.Errorf("got error %v", err)
	}
}

func TestCourier_givesUpASilentServerInItsTime(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // it takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	password := writeFile(t, "password", token, 0o600)
	ca := startGateway(t, queued).ca
	c := load(t, io.Discard,
		fmt.Sprintf(mailServer, "mail", "200ms", l.Addr().(*net.TCPAddr).Port, "starttls", ca, password),
		fmt.Sprintf(jsonGateway, "sms", "200ms", "https://"+l.Addr().String(), ca, password))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.Send(ctx, message()); err == nil || ctx.Err() != nil {
		t.Errorf("got error %v, %v", err, ctx.Err())
	}
}
