package adminapi

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"neoapi/internal/front"
	"neoapi/internal/operator"
	"neoapi/internal/owner"
	"neoapi/internal/paste"
)

// Config says where to listen for operators, and who they are.
type Config struct {
	Address string // unix: and a path, or HOST:PORT
	CA      string // file: root certificates of operators' certificates; only for HOST:PORT
	TLS     *tls.Config
	Hosts   []string // host names allowed besides its own, without ports

	Connections int    // at once; 0: [AtOnce]
	NotAccepted func() // see [front.Limits]
}

const socket = "unix:"

// AtOnce limits the connections by default: over the network anyone can open one.
const AtOnce = 256

// maxSocket is the longest path of a socket that the system accepts, in bytes,
// without the final zero.
var maxSocket = len(syscall.RawSockaddrUnix{}.Path) - 1

// Check returns every problem at once. hasTLS reports whether the service has a
// certificate.
func (c Config) Check(hasTLS bool) error {
	if c.Address == "" {
		return c.checkUnused()
	}
	path, local := strings.CutPrefix(c.Address, socket)
	_, port, err := net.SplitHostPort(c.Address)
	switch {
	case local && path == "":
		return errors.New("admin: unix: must be followed by the path of a socket")
	case local && c.CA != "":
		return errors.New("admin CA: not for a Unix socket, which is protected by its file's permissions")
	case local:
		return errors.Join(checkHosts(c.Hosts), checkSocket(path))
	case err != nil:
		return fmt.Errorf("admin: %q must be unix: and a path, or a host and a port", c.Address)
	}
	problems := []error{checkHosts(c.Hosts)}
	if _, err := net.LookupPort("tcp", port); err != nil {
		problems = append(problems, fmt.Errorf("admin: %q is not a port: give a number from 0 to 65535", port))
	}
	if !hasTLS {
		problems = append(problems, errors.New("admin: over the network operators need certificates: give --tls-cert and --tls-key, or use a Unix socket"))
	}
	if c.CA == "" {
		problems = append(problems, errors.New("admin: over the network operators need certificates: give --admin-ca, or use a Unix socket"))
	} else if _, err := c.pool(); err != nil {
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// checkUnused refuses settings for an address that is not set.
func (c Config) checkUnused() error {
	switch {
	case c.CA != "":
		return errors.New("--admin-ca requires --admin")
	case len(c.Hosts) > 0:
		return errors.New("--admin-host requires --admin")
	}
	return nil
}

// checkSocket refuses a path at which no socket can be created.
func checkSocket(path string) error {
	if info, err := os.Stat(filepath.Dir(path)); err != nil {
		return fmt.Errorf("admin: the socket's directory: %w", err)
	} else if !info.IsDir() {
		return fmt.Errorf("admin: %s is not a directory for a socket", filepath.Dir(path))
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("admin: %s already exists and is not a socket", path)
	}
	if len(path) > maxSocket {
		return fmt.Errorf("admin: the path of a socket has at most %d bytes, this one has %d: %s", maxSocket, len(path), path)
	}
	return nil
}

func (c Config) pool() (*x509.CertPool, error) {
	text, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, fmt.Errorf("admin CA: %w", err)
	}
	if text, err = paste.Text(text); err != nil {
		return nil, fmt.Errorf("admin CA: %s %w", c.CA, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("admin CA: %s contains no PEM certificate", c.CA)
	}
	return pool, nil
}

// Listen listens for operators. A socket left by a dead process is replaced; only
// this user may write to the new one.
func (c Config) Listen() (net.Listener, error) {
	path, local := strings.CutPrefix(c.Address, socket)
	if !local {
		l, err := net.Listen("tcp", c.Address)
		if err != nil {
			return nil, fmt.Errorf("admin: %w", err)
		}
		return l, nil
	}
	if err := checkSocket(path); err != nil {
		return nil, err
	}
	if _, err := os.Lstat(path); err == nil {
		if conn, err := net.Dial("unix", path); err == nil {
			return nil, errors.Join(fmt.Errorf("admin: another process answers at %s", path), conn.Close())
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("admin: %w", err)
		}
	}
	restore := narrow() // nobody else may connect before its mode is set
	l, err := net.Listen("unix", path)
	restore()
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	if err := errors.Join(os.Chmod(path, 0o600), owner.AdoptSocket(path)); err != nil {
		return nil, errors.Join(fmt.Errorf("admin: %w", err), l.Close())
	}
	return l, nil
}

// operatorOf returns the operator: the user at the other end of the socket, or the
// name in the certificate. It returns "" if that is not known.
func operatorOf(r *http.Request) string {
	if secure := front.TLS(r); secure != nil && len(secure.VerifiedChains) > 0 {
		return secure.PeerCertificates[0].Subject.String()
	}
	if conn := front.Unix(r); conn != nil {
		return peer(conn)
	}
	return ""
}

// Serve answers operators until the context is done, and closes the listener.
func (c Config) Serve(ctx context.Context, l net.Listener, admin *operator.Admin, log *slog.Logger) error {
	server := front.Server{
		Handler: &handler{c, *admin, log, routes}, Refused: func(r *front.Refusal) any { return refusal(r).Body },
		Log: log, Limits: front.Limits{Connections: cmp.Or(c.Connections, AtOnce), NotAccepted: c.NotAccepted},
	}
	if !strings.HasPrefix(c.Address, socket) {
		pool, err := c.pool()
		if err != nil {
			return errors.Join(err, l.Close())
		}
		server.TLS = c.TLS.Clone()
		server.TLS.MinVersion, server.TLS.NextProtos = tls.VersionTLS12, []string{"http/1.1"}
		server.TLS.ClientAuth, server.TLS.ClientCAs = tls.RequireAndVerifyClientCert, pool
	}
	return server.Serve(ctx, front.Spare(l))
}
