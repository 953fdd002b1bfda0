package postgres

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

// defaults are the default parameters of a database URL. The server's timeouts are a
// safety net behind the store's own.
var defaults = []struct {
	name, value string
	env         string // that also overrides the default
}{
	{"sslmode", "verify-full", "PGSSLMODE"}, // not for Unix sockets, which have no TLS
	{"connect_timeout", "2", "PGCONNECT_TIMEOUT"},
	{"application_name", "neo", "PGAPPNAME"},
	{"pool_max_conns", "16", ""},
	{"pool_max_conn_lifetime_jitter", "10m", ""},
	{"pool_ping_timeout", "500ms", ""},
	{"statement_timeout", "11s", ""},
	{"lock_timeout", "1500ms", ""},
	{"idle_in_transaction_session_timeout", "5s", ""},
	{"plan_cache_mode", "force_generic_plan", ""}, // the statements find a record by its key
}

// A databaseURL is the address of a database as PostgreSQL's own programs read it:
// postgres://user@host:5432/name. Errors about it quote no part of it.
type databaseURL struct {
	before string // scheme and user
	after  string // host, path and query
	secret bool   // it contains a password
	hidden bool   // its query does
}

// cutURL splits a URL into its parts.
func cutURL(text string) (u databaseURL, err error) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found || scheme != "postgres" && scheme != "postgresql" {
		return u, errors.New("must look like postgres://user@host:5432/name")
	}
	user, after := "", rest
	if i := strings.IndexAny(rest, "@/"); i >= 0 && rest[i] == '@' {
		user, after = rest[:i], rest[i+1:]
	}
	if strings.Contains(after, "@") { // a password, in part
		return u, errors.New("has an @ where none belongs: write what is special in names and passwords as %40 for @, %2F for /")
	}
	_, query, _ := strings.Cut(after, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return u, errors.New("has a query that cannot be read")
	}
	_, password, _ := strings.Cut(user, ":")
	u.before, u.after = text[:len(text)-len(after)], after
	u.hidden = values.Has("password") || values.Has("sslpassword")
	u.secret = u.hidden || password != ""
	return u, nil
}

// HasPassword reports whether a database URL contains a password. It returns an error
// if text is not a database URL.
func HasPassword(text string) (bool, error) {
	u, err := cutURL(text)
	if err != nil {
		return false, fmt.Errorf("the database URL %w", err)
	}
	return u.secret, nil
}

// parse reads a URL, fills in the defaults, and adds what is fixed.
func parse(text string) (*pgxpool.Config, error) {
	u, err := cutURL(text)
	if err != nil {
		return nil, err
	}
	// Of a duplicate parameter the last one counts.
	host, query, _ := strings.Cut(u.after, "?")
	full := u.before + host + "?"
	for _, d := range defaults {
		if d.env == "" || os.Getenv(d.env) == "" {
			full += d.name + "=" + d.value + "&"
		}
	}
	cfg, err := pgxpool.ParseConfig(full + query)
	if err == nil {
		set(cfg.ConnConfig.RuntimeParams, fixed)
		return cfg, nil
	}
	// The error quotes the URL; the wrapped error says what is wrong, and may quote the
	// query.
	if why := errors.Unwrap(err); why != nil && !u.hidden {
		return nil, fmt.Errorf("cannot be used: %w", why)
	}
	return nil, errors.New("cannot be used: one of its parts is wrong")
}
