package trade

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"neoapi"
	"neoapi/neoapitest"
)

// An outside is a service that is not on this machine by its address, https://neo.example,
// though what answers there is the exchange on paper.
type outside struct {
	srv   *neoapitest.Server
	front *httptest.Server
	files atomic.Int64                          // downloads
	body  atomic.Pointer[func(b []byte) []byte] // what becomes of a file
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache)
	t.Setenv("LocalAppData", cache)
	o := &outside{srv: neoapitest.NewServer(t, neoapitest.WithConsumerRate(0), neoapitest.WithTime(noon))}
	to, err := url.Parse(o.srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ModifyResponse: func(r *http.Response) error {
			text, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			if strings.HasPrefix(r.Request.URL.Path, "/masterscrip-files/") {
				o.files.Add(1)
				if change := o.body.Load(); change != nil {
					text = (*change)(text)
				}
			}
			text = bytes.ReplaceAll(text, []byte(o.srv.URL), []byte("https://neo.example")) // where its files are
			r.Body = io.NopCloser(bytes.NewReader(text))
			r.ContentLength = int64(len(text))
			r.Header.Set("Content-Length", fmt.Sprint(len(text)))
			return nil
		},
	}
	o.front = httptest.NewTLSServer(proxy)
	t.Cleanup(o.front.Close)
	return o
}

func (o *outside) change(f func([]byte) []byte) { o.body.Store(&f) }

// program returns a client as another program would have it: nothing of the masters is in
// memory.
func (o *outside) program(t *testing.T) *Client {
	t.Helper()
	masters.Lock()
	clear(masters.all)
	masters.Unlock()
	return clientAt(t, o.front.Listener.Addr().String(), o.srv.ConsumerKey, o.srv.Now)
}

// clientAt returns a client of https://neo.example, which is at an address.
func clientAt(t *testing.T, address, key string, clock func() time.Time) *Client {
	t.Helper()
	c, err := neoapi.New(neoapi.Config{
		Environment: "https://neo.example", ConsumerKey: key, Rate: -1, Clock: clock,
		HTTPClient: &http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", address)
			},
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // the test's own server
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return New(c)
}

// cached returns the names of the files in the cache.
func cached(t *testing.T) (names []string) {
	t.Helper()
	base, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(base, "neo"), func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !strings.HasSuffix(path, ".lock") {
			names = append(names, e.Name())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestInstruments_areDownloadedOnceADayAndMachine(t *testing.T) {
	o := newOutside(t)
	for range 3 {
		api := o.program(t)
		for range 3 {
			if i, err := api.Instrument(t.Context(), NSE, "TCS-EQ"); err != nil || i.Token != "11536" {
				t.Fatal(i, err)
			}
		}
	}
	today := DateOf(o.srv.Now())
	if names := cached(t); len(names) != 1 || names[0] != "nse_cm."+today.String()+".csv" || o.files.Load() != 1 {
		t.Errorf("%d downloads, %v", o.files.Load(), names)
	}
	o.srv.Advance(24 * time.Hour)
	if _, err := o.program(t).Instruments(t.Context(), NSE); err != nil {
		t.Fatal(err)
	}
	if names := cached(t); len(names) != 1 || names[0] != "nse_cm."+DateOf(o.srv.Now()).String()+".csv" || o.files.Load() != 2 {
		t.Errorf("the next day: %d downloads, %v", o.files.Load(), names)
	}
}

func TestInstruments_ofProgramsAtOnceAreDownloadedOnce(t *testing.T) {
	if address := os.Getenv("NEO_TEST_MASTER"); address != "" {
		m, err := clientAt(t, address, os.Getenv("NEO_TEST_KEY"), nil).Instruments(t.Context(), NSE)
		if err != nil || m.Len() == 0 {
			t.Fatal(err)
		}
		return
	}
	o := newOutside(t)
	o.change(func(b []byte) []byte { time.Sleep(200 * time.Millisecond); return b }) // a slow line
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestInstruments_ofProgramsAtOnceAreDownloadedOnce$")
			c.Env = append(os.Environ(), "NEO_TEST_MASTER="+o.front.Listener.Addr().String(), "NEO_TEST_KEY="+o.srv.ConsumerKey)
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	all.Wait()
	if n := o.files.Load(); n != 1 {
		t.Errorf("%d downloads", n)
	}
	if names := cached(t); len(names) != 1 {
		t.Errorf("files: %v", names)
	}
}

func TestInstruments_areReplacedOnlyByACompleteMaster(t *testing.T) {
	o := newOutside(t)
	before, err := o.program(t).Instruments(t.Context(), NSE)
	if err != nil {
		t.Fatal(err)
	}
	o.srv.Advance(24 * time.Hour)
	lines := func(b []byte, n int) []byte { return bytes.Join(bytes.SplitAfter(b, []byte("\n"))[:n], nil) }
	for want, change := range map[string]func([]byte) []byte{
		"has a header and no rows":  func(b []byte) []byte { return lines(b, 1) },
		"it is not complete":        func(b []byte) []byte { return lines(b, before.Len()/3) },
		"was cut off":               func(b []byte) []byte { return b[:len(b)-len(b)/10-3] },
		"has no column dTickSize":   func(b []byte) []byte { return bytes.Replace(b, []byte("dTickSize"), []byte("dTick"), 1) },
		"a line of more than 65536": func([]byte) []byte { return bytes.Repeat([]byte("x"), 1<<20) },
		"is empty":                  func([]byte) []byte { return nil },
	} {
		o.change(change)
		m, err := o.program(t).Instruments(t.Context(), NSE)
		if err != nil || m.Len() != before.Len() || m.Date() != before.Date() {
			t.Fatalf("%s: %v", want, err)
		}
		if why := m.Stale(); why == nil || !strings.Contains(why.Error(), want) || !strings.Contains(why.Error(), before.Date().String()) {
			t.Errorf("%s, not: %v", want, why)
		}
		if names := cached(t); len(names) != 1 || names[0] != "nse_cm."+before.Date().String()+".csv" {
			t.Errorf("%s: %v", want, names)
		}
	}
	o.change(func(b []byte) []byte { return b })
	m, err := o.program(t).Instruments(t.Context(), NSE)
	if err != nil || m.Stale() != nil || m.Date() != DateOf(o.srv.Now()) {
		t.Errorf("%v, %v", err, m.Stale())
	}
	if names := cached(t); len(names) != 1 || names[0] != "nse_cm."+m.Date().String()+".csv" {
		t.Errorf("the new one: %v", names)
	}
}

func TestInstruments_ofAServiceOnThisMachineAreNeverKept(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache)
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(0), neoapitest.WithTime(noon))
	c, err := neoapi.New(neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, Rate: -1, Clock: srv.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(c).Instrument(t.Context(), NSE, "TCS-EQ"); err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(cache); len(entries) != 0 {
		t.Errorf("%v", entries)
	}
	for service, want := range map[string]bool{
		"http://127.0.0.1:9155": true, "http://localhost:1": true, "http://[::1]:80/x": true, "https://127.8.9.1": true, "http://neo.localhost": true,
		"prod": false, "uat": false, "https://neo.example": false, "http://10.0.0.1": false, "https://localhost.example": false, "http://[::ffff:127.0.0.1]:1": true,
	} {
		if loopback(service) != want {
			t.Error(service)
		}
	}
}

func TestInstruments_ofACacheThatOthersCanChangeAreNotUsed(t *testing.T) {
	o := newOutside(t)
	if _, err := o.program(t).Instruments(t.Context(), NSE); err != nil {
		t.Fatal(err)
	}
	d := o.program(t).disk(NSE)
	if d.dir == "" {
		t.Fatal("no cache")
	}
	if err := os.Chmod(d.dir, 0o777); err != nil { //nolint:gosec // the trap
		t.Fatal(err)
	}
	if info, err := os.Stat(d.dir); err != nil || info.Mode().Perm() != 0o777 {
		return // a system without modes
	}
	api := o.program(t)
	if api.disk(NSE).dir != "" {
		t.Error("the directory is used")
	}
	if _, err := api.Instrument(t.Context(), NSE, "TCS-EQ"); err != nil || o.files.Load() != 2 {
		t.Errorf("%d downloads, %v", o.files.Load(), err)
	}
}

func TestInstruments_ofASegmentThatIsNotListedTodayAreThoseOfTheDayBefore(t *testing.T) {
	var left atomic.Bool
	srv, api := changed(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if !left.Load() || !strings.HasSuffix(r.URL.Path, "file-paths") {
			next.ServeHTTP(w, r)
			return
		}
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		fmt.Fprint(w, strings.ReplaceAll(rec.Body.String(), "nse_cm", "other"))
	})
	before, err := api.Instruments(t.Context(), NSE)
	if err != nil {
		t.Fatal(err)
	}
	left.Store(true)
	srv.Advance(24 * time.Hour)
	after, err := api.Instruments(t.Context(), NSE)
	if err != nil || after.Date() != before.Date() || !errors.Is(after.Stale(), ErrNotOffered) {
		t.Errorf("%v, %v", err, after.Stale())
	}
	for _, s := range []Segment{"nse_xx", "", "../nse_cm"} {
		if _, err := api.Instruments(t.Context(), s); !errors.Is(err, ErrNotOffered) {
			t.Errorf("a segment that there never was: %v", err)
		}
	}
}

func TestMasterFiles_areChosenBySegment(t *testing.T) {
	all := []string{
		"https://x.example/nse_fo-archive/2026-08-28/bse_cm-v1.csv", "https://x.example/2026-08-28/nse_fo.csv?of=bse_fo", "https://x.example/2026-08-28/NSE_CM-v1.csv",
		"https://x.example/mcx_fo/2026-08-28/file.csv",
	}
	for segment, want := range map[Segment]string{BSE: all[0], NFO: all[1], NSE: all[2], MCX: all[3], BFO: "", CDS: ""} {
		if got := fileOf(segment, all); got != want {
			t.Errorf("%s: %s", segment, got)
		}
	}
	for address, want := range map[string]Date{
		all[0]: {2026, time.August, 28}, "https://x.example/nse_cm.csv": {}, "https://x.example/2026-08-28-stub/nse_cm.csv": {2026, time.August, 28}, "://": {}, "https://x.example/2026-13-45/x": {},
	} {
		if got := dateIn(address); got != want {
			t.Errorf("%s: %s", address, got)
		}
	}
}
