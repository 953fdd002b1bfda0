// Command stub replaces, on this machine only, the servers an operator runs next to
// the session service: a mail server that keeps the newest code of each address, and
// a trade API that reports whose call it received.
//
//	stub CERT KEY
//
// It prints the mail server's port, the address of its mailboxes and the trade
// API's, a line each: GET {mailboxes}/ADDRESS waits for a code.
package main

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: stub CERT KEY")
	}
	cert, err := tls.LoadX509KeyPair(os.Args[1], os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	boxes := &mailboxes{codes: map[string]string{}}
	mail := smtp.NewServer(boxes)
	mail.Domain, mail.TLSConfig = "localhost", &tls.Config{Certificates: []tls.Certificate{cert}}
	mail.ReadTimeout, mail.WriteTimeout = 10*time.Second, 10*time.Second
	listeners := make([]net.Listener, 3)
	for i := range listeners {
		if listeners[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			log.Fatal(err)
		}
	}
	go func() { log.Fatal(mail.Serve(listeners[0])) }()
	go func() { log.Fatal(server(boxes).Serve(listeners[1])) }()
	go func() { log.Fatal(server(http.HandlerFunc(trade)).Serve(listeners[2])) }()
	_, port, _ := net.SplitHostPort(listeners[0].Addr().String())
	fmt.Printf("%s\nhttp://%s\nhttp://%s\n", port, listeners[1].Addr(), listeners[2].Addr())
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent process has ended
}

// server closes the connection of a client that sends or reads slowly.
func server(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
	}
}

// trade answers every call with the UCC that the service asserts. A real trade API
// must verify Neo-Identity's signature: docs/trade-api.md.
func trade(w http.ResponseWriter, r *http.Request) {
	var claims struct{ Sub string }
	parts := strings.Split(r.Header.Get("Neo-Identity"), ".")
	if len(parts) == 3 {
		text, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(text, &claims)
	}
	w.Header().Set("Content-Type", "application/json")
	if claims.Sub == "" || r.Header.Get("Auth") != "" {
		w.WriteHeader(http.StatusForbidden)
	}
	_, _ = fmt.Fprintf(w, `{"stat":"Ok","stCode":200,"data":[{"ucc":%q}]}`, claims.Sub)
}

// mailboxes is a mail server that keeps the newest code for each address until it
// is read.
type mailboxes struct {
	mu    sync.Mutex
	codes map[string]string
}

func (b *mailboxes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		b.mu.Lock()
		code, ok := b.codes[r.URL.Path[1:]]
		delete(b.codes, r.URL.Path[1:])
		b.mu.Unlock()
		if ok {
			_, _ = io.WriteString(w, code)
			return
		}
	}
	http.Error(w, "there is no code", http.StatusNotFound)
}

// NewSession implements [smtp.Backend].
func (b *mailboxes) NewSession(*smtp.Conn) (smtp.Session, error) { return &letter{boxes: b}, nil }

// A letter is one connection to the mail server.
type letter struct {
	boxes *mailboxes
	to    string
}

func (*letter) AuthMechanisms() []string { return []string{sasl.Plain} }

func (*letter) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, _, _ string) error { return nil }), nil
}

func (*letter) Mail(string, *smtp.MailOptions) error { return nil }

func (l *letter) Rcpt(to string, _ *smtp.RcptOptions) error {
	l.to = to
	return nil
}

var code = regexp.MustCompile(`\b[0-9]{6}\b is your code`)

func (l *letter) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	l.boxes.mu.Lock()
	defer l.boxes.mu.Unlock()
	if found := code.Find(text); found != nil {
		l.boxes.codes[l.to] = string(found[:6])
	}
	return nil
}

func (*letter) Reset() {}

func (*letter) Logout() error { return nil }
