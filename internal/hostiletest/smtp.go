package hostiletest

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"strings"
)

// smtpSteps are the answers of a mail server in order, with the codes that they begin with.
var smtpSteps = []struct{ name, code string }{
	{"greeting", "220"}, {"EHLO", "250"}, {"STARTTLS", "220"}, {"the handshake", ""}, {"EHLO within TLS", "250"}, {"AUTH", "334"},
	{"MAIL", "250"}, {"RCPT", "250"}, {"DATA", "354"}, {"the mail", "250"},
}

// SMTP returns the modes of mail servers: each kind of misbehaviour at each step. With
// implicit, TLS begins with the first byte. Only servers whose mode is [Mode.Taken]
// accept a mail.
func SMTP(implicit bool) (modes []Mode) {
	for i, step := range append(smtpSteps, struct{ name, code string }{"QUIT", "221"}) {
		if implicit && i > 0 && i < 5 {
			continue // only with STARTTLS
		}
		for _, evil := range []struct {
			name    string
			endless bool
			do      func(c *conn)
		}{
			{"held", true, func(c *conn) { c.hold() }},
			{"reset", false, func(c *conn) { c.reset() }},
			{"a line without end", false, func(c *conn) { c.say(step.code + " "); c.flood("x") }},
			{"lines without end", false, func(c *conn) { c.flood(step.code + "-x\r\n") }},
			{"long lines without end", false, func(c *conn) { c.flood(step.code + "-" + strings.Repeat("x", 900) + "\r\n") }},
			{"a byte at a time", true, func(c *conn) { c.trickle(step.code + "-" + strings.Repeat("x", 1<<10) + "\r\n") }},
			{"no SMTP", false, func(c *conn) { c.flood("\x00\xff") }},
		} {
			modes = append(modes, Mode{step.name + ": " + evil.name, evil.endless, mailing(implicit, step.name, "AUTH PLAIN", evil.do)})
		}
	}
	return append(modes,
		Mode{"AUTH: asked for ever", false, mailing(implicit, "AUTH", "AUTH CRAM-MD5", func(c *conn) { c.flood("334 eA==\r\n") })},
		Mode{"AUTH: a billion rounds of hashing", true, mailing(implicit, "AUTH", "AUTH SCRAM-SHA-256", func(c *conn) {
			c.say("334 \r\n")
			first, _ := c.in.ReadString('\n')
			said, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(first))
			_, nonce, _ := strings.Cut(string(said), ",r=")
			c.say("334 " + base64.StdEncoding.EncodeToString([]byte("r="+nonce+"x,s=AAAA,i=1000000000")) + "\r\n")
			c.hold()
		})},
	)
}

// Taken reports whether the mail is accepted, as far as the client can see, before the
// server misbehaves.
func (m Mode) Taken() bool {
	return strings.HasPrefix(m.Name, "QUIT") || m.Name == "the mail: a line without end"
}

// mailing serves as a mail server and calls evil in place of one answer.
func mailing(implicit bool, step, extension string, evil func(c *conn)) func(c *conn) {
	return func(c *conn) {
		if implicit && !c.secure() {
			return
		}
		encrypted := implicit
		at := func(name, answer string) bool {
			if name == step {
				evil(c)
				return false
			}
			return c.say(answer)
		}
		if !at("greeting", "220 mail.example.com\r\n") {
			return
		}
		for {
			line, err := c.in.ReadString('\n')
			if err != nil {
				return
			}
			goesOn := true
			switch verb, _, _ := strings.Cut(strings.TrimSpace(line), " "); strings.ToUpper(verb) {
			case "EHLO":
				if encrypted {
					goesOn = at("EHLO within TLS", "250-mail.example.com\r\n250 "+extension+"\r\n")
				} else {
					goesOn = at("EHLO", "250-mail.example.com\r\n250 STARTTLS\r\n")
				}
			case "STARTTLS":
				if goesOn = at("STARTTLS", "220 go on\r\n"); goesOn && step == "the handshake" {
					evil(c)
					return
				}
				if goesOn {
					goesOn = c.startTLS()
					encrypted = true
				}
			case "AUTH":
				goesOn = at("AUTH", "235 welcome\r\n")
			case "MAIL":
				goesOn = at("MAIL", "250 yes\r\n")
			case "RCPT":
				goesOn = at("RCPT", "250 yes\r\n")
			case "DATA":
				goesOn = at("DATA", "354 go on\r\n") && c.mail() && at("the mail", "250 taken\r\n")
			case "QUIT":
				at("QUIT", "221 bye\r\n")
				return
			default:
				goesOn = c.say("500 what?\r\n")
			}
			if !goesOn {
				return
			}
		}
	}
}

// mail reads a mail to its end.
func (c *conn) mail() bool {
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			return true
		}
	}
}

func (c *conn) startTLS() bool {
	secure := tls.Server(c.Conn, c.server.tls)
	if err := secure.Handshake(); err != nil {
		return false
	}
	c.Conn, c.in = secure, bufio.NewReader(secure)
	return true
}
