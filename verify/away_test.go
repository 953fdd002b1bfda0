package verify_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/neoapitest"
	"neoapi/verify"
)

// A way is what lies between a verifier and the service.
type way struct {
	*httptest.Server
	under sync.RWMutex // read by each request while it is on its way
	isCut bool
	asked atomic.Int64
}

// cut lets nothing through from now on: what was on its way has arrived.
func (w *way) cut() {
	w.under.Lock()
	w.isCut = true
	w.under.Unlock()
}

func (w *way) mend() {
	w.under.Lock()
	w.isCut = false
	w.under.Unlock()
}

func between(t *testing.T, srv *neoapitest.Server) *way {
	t.Helper()
	u := must.Get(url.Parse(srv.URL))(t)
	w := &way{}
	proxy := httputil.NewSingleHostReverseProxy(u)
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.asked.Add(1)
		w.under.RLock()
		defer w.under.RUnlock()
		if w.isCut {
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.Close)
	return w
}

func TestVerifier_goesOnAsLongAsConfiguredWithoutTheService(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	w := between(t, srv)
	silent := make(chan error, 100)
	strict := verifier(t, srv, w.URL, func(cfg *verify.Config) {
		cfg.MaxSilence, cfg.OnError = 2*time.Second, func(err error) { silent <- err }
	})
	lenient := verifier(t, srv, w.URL, func(cfg *verify.Config) { cfg.MaxSilence = -1 })
	s, ends := session(t, srv), session(t, srv)
	for _, v := range []*verify.Verifier{strict, lenient} {
		for _, x := range []neoapi.Session{s, ends} {
			eventually(t, "it is good", func() bool { // a busy machine is silence too
				_, err := v.Verify(t.Context(), x.SID, x.Token)
				return err == nil
			})
		}
	}
	w.cut()
	srv.EndSession(t, ends.SID)
	eventually(t, "it fails closed", func() bool {
		_, err := strict.Verify(t.Context(), s.SID, s.Token)
		if err != nil && !errors.Is(err, verify.ErrUnavailable) {
			t.Fatal(err)
		}
		return err != nil
	})
	want(t, lenient, s.SID, s.Token, nil)
	want(t, lenient, ends.SID, ends.Token, nil)
	if err := <-silent; err == nil {
		t.Error("it was not told")
	}
	w.mend()
	eventually(t, "it is good again", func() bool {
		_, err := strict.Verify(t.Context(), s.SID, s.Token)
		return err == nil
	})
	if err := <-silent; err != nil {
		t.Errorf("told was %v", err)
	}
	for _, v := range []*verify.Verifier{strict, lenient} {
		eventually(t, "what ended meanwhile is refused", func() bool {
			_, err := v.Verify(t.Context(), ends.SID, ends.Token)
			return errors.Is(err, verify.ErrEnded)
		})
	}
}

func TestVerifier_withoutAServiceSaysSo(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	w := between(t, srv)
	w.cut()
	for _, v := range []*verify.Verifier{
		verifier(t, srv, w.URL, nil),
		verifier(t, srv, w.URL, func(cfg *verify.Config) { cfg.MaxSilence = -1 }),
		verifier(t, srv, srv.URL, func(cfg *verify.Config) { cfg.ConsumerSecret = "wrong" }),
	} {
		_, err := v.Verify(t.Context(), "sid", "token")
		if !errors.Is(err, verify.ErrUnavailable) || strings.Contains(err.Error(), srv.ConsumerSecret) {
			t.Errorf("got %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := verifier(t, srv, w.URL, nil).Verify(ctx, "sid", "token"); !errors.Is(err, verify.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestVerifier_asksNobodyInACall(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	w := between(t, srv)
	v := verifier(t, srv, w.URL, func(cfg *verify.Config) { cfg.MaxSilence = -1 })
	s := session(t, srv)
	want(t, v, s.SID, s.Token, nil)
	w.cut()
	fresh := session(t, srv) // which it has never seen
	for range 1000 {
		want(t, v, s.SID, s.Token, nil)
		want(t, v, fresh.SID, fresh.Token, nil)
	}
}

func TestVerifier_doesNotFloodTheServiceForInventedKeys(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	w := between(t, srv)
	v := verifier(t, srv, w.URL, nil)
	s := session(t, srv)
	want(t, v, s.SID, s.Token, nil)
	_, rest, _ := strings.Cut(s.Token, ".")
	before, began := w.asked.Load(), time.Now()
	done := make(chan struct{})
	const n = 200
	for i := range n {
		go func() {
			header := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":"RS256","kid":"%043d","typ":"JWT"}`, i))
			_, _ = v.Verify(t.Context(), s.SID, header+"."+rest)
			done <- struct{}{}
		}()
	}
	for range n {
		<-done
	}
	if asked, most := w.asked.Load()-before, int64(time.Since(began)/(200*time.Millisecond))+5; asked > most {
		t.Errorf("%d invented keys led to %d requests in %s", n, asked, time.Since(began))
	}
}
