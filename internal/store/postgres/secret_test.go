package postgres_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"neoapi/internal/certtest"
	"neoapi/internal/store/postgres"
	"neoapi/internal/store/postgres/pgtest"
)

// selfSigned returns a certificate for 127.0.0.1 and the file that it is in.
func selfSigned(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	pair := certtest.New("root", nil, nil)
	path, _ := pair.Write(t, t.TempDir())
	return pair.TLS(), path
}

// listen puts a port before a database that listens on a socket: with TLS if it is
// given a certificate, without if not. It returns the port and the database's name.
func listen(t *testing.T, certificate *tls.Certificate) (port, name string) {
	t.Helper()
	target, err := url.Parse(pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	serve := func(near net.Conn) {
		defer near.Close()
		if _, err := io.ReadFull(near, make([]byte, 8)); err != nil { // may we speak TLS?
			return
		}
		answer := "N"
		if certificate != nil {
			answer = "S"
		}
		if _, err := io.WriteString(near, answer); err != nil {
			return
		}
		if certificate != nil {
			near = tls.Server(near, &tls.Config{Certificates: []tls.Certificate{*certificate}})
		}
		far, err := net.Dial("unix", target.Query().Get("host")+"/.s.PGSQL.5432")
		if err != nil {
			return
		}
		defer far.Close()
		go func() {
			defer far.Close()
			_, _ = io.Copy(far, near)
		}()
		_, _ = io.Copy(near, far)
	}
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go serve(near)
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port, target.Path
}

// works opens a database and closes it.
func works(url string) error {
	s, err := postgres.Open(context.Background(), url)
	if err != nil {
		return err
	}
	return s.Close()
}

func TestTLS_certificateIsVerifiedUnlessToldOtherwise(t *testing.T) {
	t.Setenv("PGSSLMODE", "")
	certificate, root := selfSigned(t)
	port, name := listen(t, &certificate)
	for _, c := range []struct{ env, host, query, refused string }{
		{"", "127.0.0.1", "?sslrootcert=" + root, ""},
		{"", "127.0.0.1", "", "certificate"},
		{"", "localhost", "?sslrootcert=" + root, "certificate"},
		{"", "127.0.0.1", "?sslmode=require", ""},
		{"", "127.0.0.1", "?ssl=true", ""},
		{"", "localhost", "?sslmode=verify-ca&sslrootcert=" + root, ""},
		{"require", "127.0.0.1", "", ""},
		{"require", "127.0.0.1", "?sslmode=verify-full", "certificate"},
		{"disable", "127.0.0.1", "?sslmode=verify-full", "certificate"},
	} {
		t.Setenv("PGSSLMODE", c.env)
		err := works("postgres://postgres@" + c.host + ":" + port + name + c.query)
		if c.refused == "" && err != nil || c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)) {
			t.Errorf("PGSSLMODE=%s, %s%s: got error %v, want %q", c.env, c.host, c.query, err, c.refused)
		}
	}
}

func TestTLS_serverWithoutItIsRefused(t *testing.T) {
	t.Setenv("PGSSLMODE", "")
	port, name := listen(t, nil)
	if err := works("postgres://postgres@127.0.0.1:" + port + name); err == nil || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("got error %v, want that it wants TLS", err)
	}
}

const secret = "s3/cr@t qu?ux&%"

// guarded is a cluster whose user neo has to show the secret.
func guarded(t *testing.T) *pgtest.Cluster {
	t.Helper()
	c := pgtest.Private(t)
	path := c.Dir() + "/data/pg_hba.conf"
	rules, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append([]byte("local all neo scram-sha-256\n"), rules...), 0o600); err != nil {
		t.Fatal(err)
	}
	query(t, c.URL("postgres"), "CREATE ROLE neo LOGIN SUPERUSER PASSWORD '"+secret+"'; SELECT pg_reload_conf()")
	until(t, func() error { // the server reads its rules again in its own time
		if works("postgres://neo:wrong@/postgres?host="+c.Dir()) == nil {
			return errors.New("a wrong password is taken")
		}
		return nil
	})
	return c
}

func TestPassword_isFoundWhereItMayBeAndIsInNoError(t *testing.T) {
	c := guarded(t)
	file := filepath.Join(t.TempDir(), "passwords")
	line := "localhost:5432:*:neo:" + strings.ReplaceAll(secret, ":", `\:`) + "\n"
	if err := os.WriteFile(file, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	encoded := url.QueryEscape(secret)
	encoded = strings.ReplaceAll(encoded, "+", "%20")
	at := func(password string) string { return "postgres://neo" + password + "@/postgres?host=" + c.Dir() }
	for _, x := range []struct{ name, password, file, url string }{
		{"PGPASSWORD", secret, "", at("")},
		{"PGPASSFILE", "", file, at("")},
		{"the URL", "", "", at(":" + encoded)},
		{"the URL's query", "", "", at("") + "&password=" + encoded},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Setenv("PGPASSWORD", x.password)
			t.Setenv("PGPASSFILE", x.file)
			if err := works(x.url); err != nil {
				t.Error(err)
			}
		})
	}

	t.Setenv("PGPASSWORD", "")
	t.Setenv("PGPASSFILE", "")
	for _, bad := range []string{
		at(":" + encoded + "x"),                            // a wrong password
		"postgres://neo:" + encoded + "@127.0.0.1:1/x",     // nobody there
		"postgres://neo:" + encoded + "@/x?host=/nonsense", // nor there
		at(":" + secret),                                   // not encoded
		"postgres://neo:" + secret + "@h:5432/x",
		"postgres://neo:s3/cr@h/x",
		at(":"+encoded) + "&host=127.0.0.1&sslmode=x", // wrong for other reasons
		at(":"+encoded) + "&port=x",
		at(":"+encoded) + "&pool_max_conns=x",
		at("") + "&host=127.0.0.1&password=" + secret,
		at("") + "&connect_timeout=x&password=" + encoded,
		"user=neo password=" + encoded + " host=h", // no URL
		"postgres//neo:" + encoded + "@h/x",
		"postgres://neo:%zz" + encoded + "@h/x",
		"mysql://neo:" + encoded + "@h/x",
		"postgres://neo:" + encoded + "@[::1/x",
		"postgres://neo:" + encoded + "@h/x?password=a&s3/cr",
	} {
		err := works(bad)
		if err == nil {
			t.Errorf("%s was opened", bad)
			continue
		}
		for _, form := range []string{"%v", "%+v", "%#v"} {
			for _, part := range []string{secret, encoded, "s3", "cr@", "qu?", "ux"} {
				if text := fmt.Sprintf(form, err); strings.Contains(text, part) {
					t.Errorf("%s: the error holds %q: %s", bad, part, text)
				}
			}
		}
	}
}

func TestHasPassword_reportsWhetherAURLHoldsOne(t *testing.T) {
	for url, want := range map[string]bool{
		"postgres://h/x": false, "postgres://neo@h/x": false, "postgresql://neo:@h/x": false, "postgres:///x?host=/run": false,
		"postgres://neo@h1:1,h2:2/x?sslmode=disable": false, "postgres://neo:p@h/x": true, "postgres://:p@h/x": true,
		"postgres://h/x?password=p": true, "postgres://h/x?pass%77ord=p": true, "postgres://h/x?a=b&sslpassword=p": true,
		"postgres://neo:p?q@h/x": true,
	} {
		if got, err := postgres.HasPassword(url); got != want || err != nil {
			t.Errorf("%s: %t, %v", url, got, err)
		}
	}
	for _, url := range []string{"", "h/x", "user=neo password=p", "mysql://neo:p@h/x", "postgres://neo:p/q@h/x", "postgres://h/x?a=%zz"} {
		if _, err := postgres.HasPassword(url); err == nil {
			t.Errorf("%s is no database URL", url)
		}
	}
}
