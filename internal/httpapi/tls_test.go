package httpapi_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"neoapi/internal/serve"
	"neoapi/neoapitest"
)

func TestTLS_carriesALogin(t *testing.T) {
	t.Parallel()
	srv, _ := serving(t, func(cfg *serve.Config) { withTLS(t, cfg) })
	c := consumer(t, srv)
	view := c.post(t, validatePath, object("mobileNumber", c.Account.Mobile, "password", c.Account.Password))
	if view.proto != "HTTP/2.0" {
		t.Errorf("the client and the service agreed on %s", view.proto)
	}
	trade := c.second(t, view.session(t), c.Account.MPIN).session(t)
	c.call(t, trade).want(t, 200)
	answers := raw(t, srv, "GET "+barePath+" HTTP/1.1\r\nHost: x\r\nSid: "+trade.SID+"\r\nAuth: "+trade.Token+"\r\nConnection: close\r\n\r\n", false)
	if len(answers) != 1 || answers[0].status != 200 {
		t.Errorf("over HTTP 1.1: %+v", answers)
	}
}

func TestTLS_before12IsRefused(t *testing.T) {
	t.Parallel()
	srv, _ := serving(t, func(cfg *serve.Config) { withTLS(t, cfg) })
	address := strings.TrimPrefix(srv.URL, "https://")
	for version, taken := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: trusted, MinVersion: version, MaxVersion: version})
		if (err == nil) != taken {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			_ = conn.Close()
		}
	}
}

func TestTLS_pairThatCannotBeUsedStopsTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string, text []byte) string {
		write(t, filepath.Join(dir, name), text)
		return filepath.Join(dir, name)
	}
	cert, key := certificate("one", time.Now().Add(time.Hour))
	_, otherKey := certificate("other", time.Now().Add(time.Hour))
	oldCert, oldKey := certificate("old", time.Now().Add(-time.Minute))
	good := file("cert.pem", cert)
	goodKey := file("key.pem", key)
	open := file("open.pem", key)
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(dir, "none.pem")
	for name, x := range map[string]struct{ cert, key, problem string }{
		"no key":                        {good, "", "the certificate and its key belong together"},
		"no certificate":                {"", goodKey, "the certificate and its key belong together"},
		"a certificate that is missing": {none, goodKey, "TLS certificate: open " + none},
		"a key that is missing":         {good, none, "TLS key: stat " + none},
		"a key that others may read":    {good, open, "TLS key: " + open + " is readable by other users (mode 644)"},
		"the key of another":            {good, file("other.pem", otherKey), "not a usable pair"},
		"a certificate that is none":    {goodKey, goodKey, "not a usable pair"},
		"a key that is none":            {good, good, "TLS key: "},
		"a certificate that has ended":  {file("old.pem", oldCert), file("oldkey.pem", oldKey), "has expired on "},
	} {
		t.Run(name, func(t *testing.T) {
			if x.key == good {
				x.problem = "not a usable pair"
			}
			err := serve.Config{TLSCert: x.cert, TLSKey: x.key, Log: slog.New(slog.DiscardHandler)}.Check()
			if err == nil || !strings.Contains(err.Error(), x.problem) {
				t.Errorf("%v, want %q", err, x.problem)
			}
		})
	}
	if err := (serve.Config{TLSCert: good, TLSKey: goodKey, Log: slog.New(slog.DiscardHandler)}).Check(); err != nil {
		t.Error(err)
	}
}

func (l *lines) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

func TestTLS_renewedCertificateIsUsedWithoutARestart(t *testing.T) {
	t.Parallel()
	var log lines
	var cfg serve.Config
	srv, _ := serving(t, func(c *serve.Config) {
		withTLS(t, c)
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
		c.Limits.HeadTime = time.Minute // for the connection that is held
		cfg = *c
	})
	shown := func() string {
		conn := dial(t, srv).(*tls.Conn)
		defer conn.Close()
		if err := conn.Handshake(); err != nil {
			t.Fatal(err)
		}
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if name := shown(); name != "first" {
		t.Fatal(name)
	}
	held := dial(t, srv)
	if _, err := io.WriteString(held, "GET /nowhere HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}

	// The certificate comes before its key: meanwhile they are no pair.
	cert, key := certificate("second", time.Now().Add(time.Hour))
	write(t, cfg.TLSCert, cert)
	eventually(t, "half a pair is told of", func() bool {
		if name := shown(); name != "first" {
			t.Fatalf("half a pair: %s", name)
		}
		return log.count("cannot be used") > 0
	})
	write(t, cfg.TLSKey, key)
	eventually(t, "the second certificate is used", func() bool { return shown() == "second" })

	// A key that others may read, and what is no key, are told once and not used.
	told := log.count("cannot be used")
	third, thirdKey := certificate("third", time.Now().Add(time.Hour))
	if err := os.Chmod(cfg.TLSKey, 0o644); err != nil {
		t.Fatal(err)
	}
	write(t, cfg.TLSCert, third)
	write(t, cfg.TLSKey, thirdKey)
	eventually(t, "a key that others may read is told of", func() bool { shown(); return log.count("readable by other users") > 0 })
	if err := os.Remove(cfg.TLSKey); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a key that is gone is told of", func() bool { shown(); return log.count("no such file") > 0 })
	if name := shown(); name != "second" {
		t.Errorf("a pair that cannot be used: %s", name)
	}
	write(t, cfg.TLSKey, thirdKey)
	eventually(t, "the third certificate is used", func() bool { return shown() == "third" })
	if n := log.count("cannot be used") - told; n > 4 {
		t.Errorf("told %d times", n)
	}
	if log.count("PRIVATE") > 0 {
		t.Error("the log holds a key")
	}

	// A connection from before still works.
	if _, err := io.WriteString(held, "Host: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(held); err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 404 ")) {
		t.Errorf("%q, %v", answer, err)
	}
}

func TestTLS_slowHandshakeEnds(t *testing.T) {
	t.Parallel()
	srv, _ := serving(t, func(cfg *serve.Config) {
		withTLS(t, cfg)
		cfg.Limits.HeadTime = 300 * time.Millisecond
	})
	hello := []byte{0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3}
	for name, drip := range map[string]func(net.Conn) error{
		"nothing":       func(net.Conn) error { return nil },
		"half a record": func(c net.Conn) error { _, err := c.Write(hello); return err },
		"drop by drop": func(c net.Conn) error {
			for _, b := range append(hello, make([]byte, 150)...) {
				if _, err := c.Write([]byte{b}); err != nil {
					return nil // closed meanwhile
				}
				time.Sleep(20 * time.Millisecond)
			}
			return errors.New("still open after three seconds")
		},
		"no request after it": func(c net.Conn) error {
			return tls.Client(c, &tls.Config{RootCAs: trusted, ServerName: "127.0.0.1"}).Handshake()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, &neoapitest.Server{URL: strings.Replace(srv.URL, "https:", "http:", 1)})
			if err := drip(conn); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection stays open")
			}
		})
	}
}

// frames is a connection of HTTP/2 in the test's own hands.
type frames struct {
	*http2.Framer
	conn *tls.Conn
	head bytes.Buffer
	hp   *hpack.Encoder
	next uint32
}

func http2To(t *testing.T, srv *neoapitest.Server) *frames {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(srv.URL, "https://"), &tls.Config{RootCAs: trusted, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	f := &frames{Framer: http2.NewFramer(conn, conn), conn: conn, next: 1}
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.hp = hpack.NewEncoder(&f.head)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return f
}

// block encodes the headers of a request.
func (f *frames) block(pairs ...string) []byte {
	f.head.Reset()
	all := append([]string{":method", "POST", ":scheme", "https", ":authority", "x", ":path", validatePath}, pairs...)
	for i := 0; i < len(all); i += 2 {
		_ = f.hp.WriteField(hpack.HeaderField{Name: all[i], Value: all[i+1]}) // into memory
	}
	return bytes.Clone(f.head.Bytes())
}

// open begins a request and returns its stream.
func (f *frames) open(t *testing.T, ends bool, pairs ...string) uint32 {
	t.Helper()
	id := f.next
	f.next += 2
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: f.block(pairs...), EndStream: ends, EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
	return id
}

// until reads frames until one is wanted, and returns it; nil when the
// connection has ended.
func (f *frames) until(t *testing.T, wanted func(http2.Frame) bool) http2.Frame {
	t.Helper()
	for {
		frame, err := f.ReadFrame()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("the frame does not come, and the connection stays open")
		}
		if err != nil {
			return nil
		}
		if wanted(frame) {
			return frame
		}
	}
}

func goAway(frame http2.Frame) bool { _, yes := frame.(*http2.GoAwayFrame); return yes }

// status returns the status that a stream is answered with.
func (f *frames) status(t *testing.T, id uint32) int {
	t.Helper()
	frame := f.until(t, func(frame http2.Frame) bool {
		_, yes := frame.(*http2.MetaHeadersFrame)
		return yes && frame.Header().StreamID == id
	})
	if frame == nil {
		t.Fatal("the connection ended")
	}
	n, _ := strconv.Atoi(frame.(*http2.MetaHeadersFrame).PseudoValue("status"))
	return n
}

func TestHTTP2_isBounded(t *testing.T) {
	t.Parallel()
	srv, _ := serving(t, func(cfg *serve.Config) { withTLS(t, cfg) })
	alive := func(t *testing.T) {
		t.Helper()
		(caller{srv, ""}).send(t, http.MethodGet, "/nowhere", "").refused(t, 404, "10300")
	}
	t.Run("settings", func(t *testing.T) {
		f := http2To(t, srv)
		settings := f.until(t, func(frame http2.Frame) bool { _, yes := frame.(*http2.SettingsFrame); return yes }).(*http2.SettingsFrame)
		for id, most := range map[http2.SettingID]uint32{http2.SettingMaxConcurrentStreams: 32, http2.SettingMaxHeaderListSize: 25 << 10, http2.SettingMaxFrameSize: 16 << 10, http2.SettingInitialWindowSize: 32 << 10} {
			if v, ok := settings.Value(id); !ok || v > most {
				t.Errorf("%s: %d, %v; want at most %d", id, v, ok, most)
			}
		}
	})
	t.Run("thirty-two requests at once and no more", func(t *testing.T) {
		f := http2To(t, srv)
		for range 32 {
			f.open(t, false, "content-length", "2")
		}
		over := f.open(t, false)
		reset := f.until(t, func(frame http2.Frame) bool { _, yes := frame.(*http2.RSTStreamFrame); return yes })
		if reset == nil || reset.Header().StreamID != over {
			t.Fatalf("%v, want the 33rd stream to be reset", reset)
		}
		if err := f.WriteData(1, true, []byte("{}")); err != nil {
			t.Fatal(err)
		}
		if status := f.status(t, 1); status != 401 {
			t.Errorf("the first of them: %d", status)
		}
	})
	t.Run("headers of 20 KiB", func(t *testing.T) {
		f := http2To(t, srv)
		first := f.block("sid", strings.Repeat("\x21", 14<<10)) // a letter that is not compressed
		second := f.block("auth", strings.Repeat("\x21", 6<<10))[len(f.block()):]
		if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: first, EndStream: true}); err != nil {
			t.Fatal(err)
		}
		if err := f.WriteContinuation(1, true, second); err != nil {
			t.Fatal(err)
		}
		if status := f.status(t, 1); status != 431 {
			t.Errorf("%d, want 431", status)
		}
		data := f.until(t, func(frame http2.Frame) bool { d, yes := frame.(*http2.DataFrame); return yes && len(d.Data()) > 0 })
		reply{status: 431, body: bytes.Clone(data.(*http2.DataFrame).Data())}.refused(t, 431, "10300")
	})
	t.Run("headers without end", func(t *testing.T) {
		f := http2To(t, srv)
		if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.block()}); err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			if f.WriteContinuation(1, false, bytes.Repeat([]byte{0x40, 1, 'a', 1, 'b'}, 1000)) != nil {
				break // closed meanwhile
			}
		}
		f.until(t, goAway)
		alive(t)
	})
	t.Run("requests that are reset at once", func(t *testing.T) {
		f := http2To(t, srv)
		go func() {
			for range 3000 {
				id := f.next
				f.next += 2
				if f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: f.block(), EndHeaders: true}) != nil || f.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
					return
				}
			}
			_ = f.WriteGoAway(0, http2.ErrCodeNo, nil)
			_ = f.conn.CloseWrite()
		}()
		f.until(t, goAway)
		alive(t)
	})
	t.Run("a frame that is none", func(t *testing.T) {
		f := http2To(t, srv)
		if err := f.WriteRawFrame(http2.FrameHeaders, 0, 0, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if away := f.until(t, goAway); away == nil || away.(*http2.GoAwayFrame).ErrCode != http2.ErrCodeProtocol {
			t.Errorf("%v", away)
		}
		alive(t)
	})
	t.Run("a request without a path", func(t *testing.T) {
		f := http2To(t, srv)
		f.head.Reset()
		_ = f.hp.WriteField(hpack.HeaderField{Name: ":method", Value: "GET"})
		if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.head.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
			t.Fatal(err)
		}
		reset := f.until(t, func(frame http2.Frame) bool { _, yes := frame.(*http2.RSTStreamFrame); return yes })
		if reset == nil {
			t.Error("the connection ended, and not the stream alone")
		}
	})
	t.Run("a body of another length", func(t *testing.T) {
		f := http2To(t, srv)
		id := f.open(t, false, "content-length", "2")
		if err := f.WriteData(id, true, []byte("{}{}")); err != nil {
			t.Fatal(err)
		}
		f.until(t, func(frame http2.Frame) bool {
			_, reset := frame.(*http2.RSTStreamFrame)
			head, answered := frame.(*http2.MetaHeadersFrame)
			return reset || answered && head.PseudoValue("status") == "400"
		})
		alive(t)
	})
	t.Run("HTTP 1.1 where HTTP 2 was agreed on", func(t *testing.T) {
		conn := dial(t, srv).(*tls.Conn)
		if _, err := io.WriteString(conn, "hello, this is no preface\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(conn); err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 400 ")) {
			t.Errorf("%q, %v", answer, err)
		}
	})
}

// A client that is told so sends a request that was on its way again.
func TestHTTP2_connectionThatMakesRoomIsTold(t *testing.T) {
	t.Parallel()
	srv, _ := serving(t, func(cfg *serve.Config) {
		withTLS(t, cfg)
		cfg.Limits.Connections = 1
	})
	f := http2To(t, srv)
	if status := f.status(t, f.open(t, true)); status != 401 {
		t.Fatal(status)
	}
	(caller{srv, ""}).send(t, http.MethodGet, "/nowhere", "").refused(t, 404, "10300")
	away, told := f.until(t, goAway).(*http2.GoAwayFrame)
	if !told || away.ErrCode != http2.ErrCodeNo || away.LastStreamID != 1 {
		t.Fatalf("%v, want to be told that request 1 was the last", away)
	}
	if frame := f.until(t, func(http2.Frame) bool { return true }); frame != nil {
		t.Errorf("%v comes after it", frame)
	}
}
