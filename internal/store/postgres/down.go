package postgres

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Down reports whether an error means that the database cannot be reached, or cannot
// serve at the moment, so that the same may work later. A refused password, a missing
// database and an untrusted certificate do not count.
func Down(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		switch refused.Code {
		case "57P04": // database_dropped
			return false
		case "25006", "55P03": // read_only_sql_transaction: a standby; lock_not_available
			return true
		}
		for _, class := range []string{"08", "53", "57"} { // connection, resources, operator intervention
			if strings.HasPrefix(refused.Code, class) {
				return true
			}
		}
		return false
	}
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		return false
	}
	var broken *net.OpError
	var unknown *net.DNSError
	return errors.As(err, &broken) || errors.As(err, &unknown) || pgconn.Timeout(err) || pgconn.SafeToRetry(err) ||
		errors.Is(err, pgconn.ErrConnClosed) || errors.Is(err, io.ErrUnexpectedEOF)
}
