package courier

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"regexp"
	"slices"
	"strconv"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// maxHeard is how many bytes a mail server may send for one mail, including those of
// TLS, so it also limits lines and their number. Honest servers send about 6 KiB, most
// of it their certificates.
const maxHeard = 64 << 10

var errEndless = errors.New("the mail server sent more than " + strconv.Itoa(maxHeard) + " bytes")

// A mailConn is the connection to a mail server for one mail.
type mailConn struct {
	net.Conn
	left int // bytes that may still be read
}

func (c *mailConn) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, errEndless
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// A line is the connection for one mail. The end of the context closes it, whatever is
// in progress on it; so does close.
type line struct {
	conn *mailConn
	stop func() bool
}

// dial connects to the server and, with implicit TLS, shakes hands.
func (l *line) dial(ctx context.Context, s *mailer) gomail.DialContextFunc {
	return func(dialing context.Context, network, address string) (net.Conn, error) {
		raw, err := new(net.Dialer).DialContext(dialing, network, address)
		if err != nil {
			return nil, err
		}
		l.conn = &mailConn{raw, maxHeard}
		l.stop = context.AfterFunc(ctx, func() { _ = raw.Close() })
		if !s.implicit {
			return l.conn, nil
		}
		secure := tls.Client(l.conn, s.tls)
		return secure, secure.HandshakeContext(dialing)
	}
}

// goodbye is how long to wait for the answer to QUIT, on which nothing depends.
const goodbye = 250 * time.Millisecond

// leave limits the rest of the conversation to that time.
func (l *line) leave() { _ = l.conn.SetDeadline(time.Now().Add(goodbye)) }

func (l *line) close() {
	if l.conn != nil {
		l.stop()
		_ = l.conn.Close()
	}
}

// endless reports whether the server sent more than [maxHeard].
func (l *line) endless() bool { return l.conn != nil && l.conn.left == 0 }

// maxRounds is how many rounds of hashing a server may ask for (SCRAM; RFC 7677: at
// least 4,096). The library computes any number, and ignores the context meanwhile.
const maxRounds = 100_000

var rounds = regexp.MustCompile(`(?:^|,)i=([^,]*)`)

// An auth logs in to a mail server by the best method that it offers. It is used only
// over TLS.
type auth struct {
	mailer *mailer
	smtp.Auth
}

// Start implements [smtp.Auth].
func (a *auth) Start(server *smtp.ServerInfo) (string, []byte, error) {
	user, password := a.mailer.user, string(a.mailer.password)
	for _, known := range []struct {
		name string
		make func() smtp.Auth
	}{
		{"SCRAM-SHA-256", func() smtp.Auth { return smtp.ScramSHA256Auth(user, password) }},
		{"SCRAM-SHA-1", func() smtp.Auth { return smtp.ScramSHA1Auth(user, password) }},
		{"CRAM-MD5", func() smtp.Auth { return smtp.CRAMMD5Auth(user, password) }},
		{"PLAIN", func() smtp.Auth { return smtp.PlainAuth("", user, password, a.mailer.host, false) }},
		{"NTLM", func() smtp.Auth { return smtp.NTLMAuth(user, password, "") }},
		{"LOGIN", func() smtp.Auth { return smtp.LoginAuth(user, password, a.mailer.host, false) }},
	} {
		if slices.Contains(server.Auth, known.name) {
			a.Auth = known.make()
			return a.Auth.Start(server)
		}
	}
	return "", nil, errors.New("the mail server offers no login method that is known here")
}

// Next implements [smtp.Auth].
func (a *auth) Next(said []byte, more bool) ([]byte, error) {
	for _, m := range rounds.FindAllSubmatch(said, -1) {
		if n, err := strconv.Atoi(string(m[1])); err != nil || n > maxRounds {
			return nil, errors.New("the mail server asks for too many rounds of hashing")
		}
	}
	return a.Auth.Next(said, more)
}
