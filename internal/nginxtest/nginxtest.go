// Package nginxtest gives tests a real nginx before a service, with a configuration
// from deploy/.
//
// Start with [Start], which is for nginx.conf, or [Front], which is for front.conf.
package nginxtest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"neoapi/internal/certtest"
	"neoapi/internal/must"
)

// patience is how long nginx may take to start.
const patience = 30 * time.Second

// A Server is a running nginx.
type Server struct {
	URL string      // http://127.0.0.1:port, or https
	TLS *tls.Config // with which clients trust it; nil without TLS
	PID int         // of its master process, whose children are the workers
}

// Start starts nginx with the configuration file at a path in deploy/, in front of a
// service and a trade API, both HOST:PORT. It stops when the test ends. Without nginx
// the test is skipped, or fails if CI=true.
func Start(t testing.TB, conf, service, tradeAPI string) Server {
	t.Helper()
	s := with(t, conf, func(address string) [][2]string {
		return [][2]string{{"127.0.0.1:9155", service}, {"127.0.0.1:9200", tradeAPI}, {"listen 8080;", "listen " + address + ";"}}
	})
	s.URL = "http://" + s.URL
	return s
}

// Front is [Start] for a configuration with TLS in front of two services.
func Front(t testing.TB, conf, first, second string) Server {
	t.Helper()
	dir := t.TempDir()
	pair := certtest.New("nginx", nil, nil)
	cert, key := pair.Write(t, dir)
	s := with(t, conf, func(address string) [][2]string {
		return [][2]string{
			{"127.0.0.1:9155", first}, {"127.0.0.1:9157", second}, {"listen 443 ", "listen " + address + " "},
			{"/etc/neo/tls/chain.pem", cert}, {"/etc/neo/tls/key.pem", key},
		}
	})
	s.URL, s.TLS = "https://"+s.URL, &tls.Config{RootCAs: pair.Pool()}
	return s
}

// with starts nginx with a configuration in which it replaces what changes returns for
// nginx's own address.
func with(t testing.TB, conf string, changes func(address string) [][2]string) Server {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/nginx") // often not in users' PATH
	}
	if err != nil {
		must.Skip(t, "nginx is not installed")
	}
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 { // another process may take the address first
		address := free(t)
		s, err := start(t, program, string(text), address, changes(address))
		if err == nil {
			return s
		}
		t.Log(err)
	}
	t.Fatal("nginx does not start")
	return Server{}
}

// inHTTP is a main configuration around one of deploy/: its directory and the user.
const inHTTP = `%[2]s
daemon off;
worker_processes 2;
pid %[1]s/pid;
error_log %[1]s/error.log;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
    uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
    keepalive_requests 1000000;
    include %[1]s/neo.conf;
}
`

func start(t testing.TB, program, text, address string, changes [][2]string) (Server, error) {
	t.Helper()
	dir := t.TempDir()
	for _, x := range changes {
		if strings.Count(text, x[0]) != 1 {
			t.Fatalf("the configuration has not one %q", x[0])
		}
		text = strings.Replace(text, x[0], x[1], 1)
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // others cannot enter the directory
	}
	for name, text := range map[string]string{"neo.conf": text, "nginx.conf": fmt.Sprintf(inHTTP, dir, user)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	logFile := filepath.Join(dir, "error.log")
	cmd := exec.Command(program, "-p", dir, "-c", "nginx.conf", "-e", logFile)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for until := time.Now().Add(patience); !listens(filepath.Join(dir, "pid"), address); {
		late := time.Now().After(until)
		if late {
			_ = cmd.Process.Kill()
		}
		select {
		case err := <-ended:
			log, _ := os.ReadFile(logFile)
			return Server{}, fmt.Errorf("nginx has ended: %v, late: %v\n%s", err, late, log)
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Cleanup(func() {
		err := errors.Join(cmd.Process.Signal(os.Interrupt), <-ended)
		log, _ := os.ReadFile(logFile)
		if err != nil {
			t.Errorf("stopping nginx: %v", err)
		}
		if t.Failed() {
			t.Logf("nginx's log:\n%s", log)
		}
	})
	return Server{URL: address, PID: cmd.Process.Pid}, nil
}

// listens reports whether nginx, and not another process, listens at an address: it
// writes its pid after it has begun to.
func listens(pid, address string) bool {
	if _, err := os.Stat(pid); err != nil {
		return false
	}
	conn, err := net.Dial("tcp", address)
	return err == nil && conn.Close() == nil
}

// free returns an unused address.
func free(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}
