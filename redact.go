package neoapi

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"
)

// The types below can contain secrets, so each defines how it prints (security.md
// K3): Format for every verb of fmt, MarshalText for encoding/json and log/slog.

// host returns an environment fit to print: a base URL may contain a password by mistake.
func (e Environment) host() string {
	if u, err := url.Parse(string(e)); err == nil && u.Host != "" {
		return u.Scheme + "://" + u.Host
	}
	if name := Environment(strings.ToLower(string(e))); name == UAT || name == PROD {
		return string(name)
	}
	return "[unreadable]"
}

// String returns the environment without key, secret or token.
func (c Config) String() string {
	return "neoapi.Config{Environment: " + c.Environment.host() + ", secrets: [redacted]}"
}

// Format prints [Config.String] for every verb.
func (c Config) Format(f fmt.State, _ rune) { io.WriteString(f, c.String()) }

// MarshalText returns [Config.String].
func (c Config) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// String returns a fixed text: everything in it is personal or secret.
func (Credentials) String() string { return "neoapi.Credentials{[redacted]}" }

// Format prints [Credentials.String] for every verb.
func (cr Credentials) Format(f fmt.State, _ rune) { io.WriteString(f, cr.String()) }

// MarshalText returns [Credentials.String].
func (cr Credentials) MarshalText() ([]byte, error) { return []byte(cr.String()), nil }

// String returns a fixed text: everything in it is personal or secret.
func (TOTP) String() string { return "neoapi.TOTP{[redacted]}" }

// Format prints [TOTP.String] for every verb.
func (t TOTP) Format(f fmt.State, _ rune) { io.WriteString(f, t.String()) }

// MarshalText returns [TOTP.String].
func (t TOTP) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// String returns UCC, sid and expiry. A sid alone gives no access.
func (s Session) String() string {
	expires := "unknown"
	if !s.ExpiresAt.IsZero() {
		expires = s.ExpiresAt.Format(time.RFC3339)
	}
	return fmt.Sprintf("neoapi.Session{UCC: %q, SID: %q, ExpiresAt: %s, Token: [redacted]}", s.UCC, s.SID, expires)
}

// Format prints [Session.String] for every verb.
func (s Session) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// MarshalText returns [Session.String]. To save a session, use [Session.Export].
func (s Session) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String returns the environment that the client talks to.
func (c *Client) String() string { return "neoapi.Client{Environment: " + c.env.host() + "}" }

// Format prints [Client.String] for every verb.
func (c *Client) Format(f fmt.State, _ rune) { io.WriteString(f, c.String()) }

// MarshalText returns [Client.String].
func (c *Client) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// String returns a fixed text: it contains a session and personal data.
func (Subject) String() string { return "neoapi.Subject{[redacted]}" }

// Format prints [Subject.String] for every verb.
func (s Subject) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// MarshalText returns [Subject.String].
func (s Subject) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
