package bounded_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"neoapi/internal/bounded"
	"neoapi/internal/hostiletest"
)

func TestNew_refusesALargeHead(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 70 {
			w.Header().Add("X", strings.Repeat("x", 1000))
		}
	}))
	defer srv.Close()
	if resp, err := (&http.Client{Transport: bounded.Transport(bounded.New())}).Get(srv.URL); err == nil {
		_ = resp.Body.Close()
		t.Error("a head of 70 KB was accepted")
	}
}

func TestNew_asksForNoCompression(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.Header.Get("Accept-Encoding") }))
	defer srv.Close()
	resp, err := (&http.Client{Transport: bounded.Transport(bounded.New())}).Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if got := <-asked; got != "" {
		t.Errorf("Accept-Encoding: %s", got)
	}
}

// A request for another protocol, as for a WebSocket, still works.
func TestTransport_allowsARequestedUpgrade(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
		_ = conn.Close()
	}))
	defer srv.Close()
	client := &http.Client{Transport: bounded.Transport(bounded.New())}
	for _, asked := range []string{"websocket", ""} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		if asked != "" {
			r.Header.Set("Connection", "Upgrade")
			r.Header.Set("Upgrade", asked)
		}
		resp, err := client.Do(r)
		if asked == "" {
			if !errors.Is(err, bounded.ErrSwitched) {
				t.Errorf("without an Upgrade header: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != 101 || string(text) != "hello" {
			t.Errorf("%s: %q", resp.Status, text)
		}
	}
}

// Whatever the server does, an answer ends with its context.
func TestTransport_answerEndsWithTheContext(t *testing.T) {
	t.Parallel()
	hostiletest.Walk(t, hostiletest.HTTP(), nil, 1<<20, func(s *hostiletest.Server) error {
		transport := bounded.New()
		defer transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(t.Context(), s.Patience())
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, "GET", "http://"+s.Addr, nil)
		if err != nil {
			return err
		}
		resp, err := bounded.Transport(transport).RoundTrip(r)
		if err != nil {
			return s.Judge(err)
		}
		defer func() { _ = resp.Body.Close() }()
		_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
		return s.Judge(err)
	})
}

// Of HTTP/2 answers that nobody reads, little is buffered on a connection.
func TestLimited_buffersLittleOfAnHTTP2Connection(t *testing.T) {
	var sent atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("%s, want HTTP/2", r.Proto)
		}
		some := make([]byte, 16<<10)
		for {
			n, err := w.Write(some)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	transport := bounded.Limited(srv.Client().Transport.(*http.Transport))
	defer transport.CloseIdleConnections()
	const answers = 16
	for range answers {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
	}
	for last, still := int64(-1), 0; still < 20; time.Sleep(10 * time.Millisecond) { // until it has to wait
		if now := sent.Load(); now != last {
			last, still = now, 0
		}
		still++
	}
	if most := int64(1<<20 + answers*(32<<10)); sent.Load() > most {
		t.Errorf("%d bytes of %d answers were taken, want at most %d", sent.Load(), answers, most)
	}
}

func TestDefault_isACopyOfTheProgramsOwn(t *testing.T) {
	one, ok := bounded.Default().(*http.Transport)
	if !ok || one == http.DefaultTransport || bounded.Default() != one || one.MaxResponseHeaderBytes > 64<<10 || one.DisableCompression {
		t.Errorf("it is %+v", one)
	}
	was := http.DefaultTransport
	defer func() { http.DefaultTransport = was }()
	replaced := bounded.Transport(was) // of another type
	if http.DefaultTransport = replaced; bounded.Default() != replaced {
		t.Error("the program's own transport is not used")
	}
}
