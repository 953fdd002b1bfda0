package postgres

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// hint returns what a person can do about a database that cannot be opened, or "".
// password reports whether one was found.
func hint(err error, password bool) string {
	var refused *pgconn.PgError
	var untrusted *tls.CertificateVerificationError
	var unknown *net.DNSError
	switch {
	case errors.As(err, &refused):
		if strings.Contains(refused.Message, "statement pooling mode") {
			return "set pool_mode = transaction in PgBouncer's configuration"
		}
		switch refused.Code {
		case "28P01", "28000": // invalid_password, invalid_authorization_specification
			if strings.Contains(refused.Message, "pg_hba.conf") {
				return "the server's pg_hba.conf has no line for this user, database and address; or it wants TLS, which sslmode in the URL must then not switch off"
			}
			if !password {
				return "no password was given: put it into PGPASSWORD, or into a file that PGPASSFILE names"
			}
			return "check the user in the URL, and the password in PGPASSWORD, in PGPASSFILE's file or in NEO_DATABASE"
		case "3D000": // invalid_catalog_name
			return "create the database first: createdb"
		case "42501": // insufficient_privilege
			return "the user must own the database, or the schema public in it"
		case "53300": // too_many_connections
			return "the server has no connection left: each process of neo takes up to 16, or pool_max_conns in the URL"
		}
	case strings.Contains(err.Error(), "server refused TLS connection"):
		return "the server has no TLS: enable it there, or, if nobody can listen on the way, add sslmode=disable to the URL"
	case errors.As(err, &untrusted):
		return "name the root certificate with sslrootcert=FILE in the URL; sslmode says what is verified (docs/postgresql.md)"
	case errors.As(err, &unknown):
		return "check the host in the URL"
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, os.ErrNotExist):
		return "check host and port in the URL, and that PostgreSQL is running there"
	case errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(err.Error(), "timeout"):
		return "the host does not answer: check its address, and firewalls on the way"
	}
	return ""
}
