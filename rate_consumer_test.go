package neoapi

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"neoapi/internal/must"
	"neoapi/neoapitest"
)

// A client that was given its access token alone counts with the consumer's others.
func TestRate_isSharedByWhoHasTheAccessTokenAlone(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(10))
	var sent atomic.Int32
	whole := limited(t, srv, &sent, nil)
	must.Do(t, logIn(t.Context(), whole, srv.Account.Mobile, srv.Account))
	token := must.Get(whole.AccessToken(t.Context()))(t)
	part := limited(t, srv, &sent, func(cfg *Config) { cfg.ConsumerKey, cfg.ConsumerSecret, cfg.AccessToken = "", "", token })
	session, _ := whole.Session()
	session.Consumer = "" // it was another way to name it
	must.Do(t, part.Use(session))
	var wg sync.WaitGroup
	for _, c := range []*Client{whole, part} {
		wg.Go(func() {
			if err := posts(t.Context(), c, 10); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	store := fileStore(t, filepath.Join(t.TempDir(), "session"))
	if err := errors.Join(whole.ShareRate(store), part.ShareRate(store)); err != nil || len(whole.rate.window.files) != 1 {
		t.Errorf("they count in %d files: %v", len(whole.rate.window.files), err)
	}
}

// One consumer at one service has one window, whatever either is called.
func TestRate_isOneForAConsumerHoweverItIsNamed(t *testing.T) {
	of := func(env, key, token string) *window {
		c := must.Get(New(Config{Environment: Environment(env), ConsumerKey: key, AccessToken: token}))(t)
		return c.rate.window
	}
	key := t.Name()
	here := of("http://127.0.0.1:9155", key, "")
	for _, env := range []string{"http://localhost:9155", "http://LOCALHOST:9155/", "http://[::1]:9155", "http://127.0.0.1:9155/", "HTTP://127.0.0.1:9155", "http://127.1.2.3:9155"} {
		if of(env, key, "") != here {
			t.Errorf("%s has a window of its own", env)
		}
	}
	if of("http://localhost", key, "") != of("http://127.0.0.1:80/", key, "") {
		t.Error("without a port there are two windows")
	}
	for name, other := range map[string]*window{
		"port": of("http://localhost:9156", key, ""), "path": of("http://localhost:9155/x", key, ""), "key": of("http://localhost:9155", key+"2", ""), "host": of("https://neo.example.com:9155", key, ""),
	} {
		if other == here {
			t.Errorf("another %s has the same window", name)
		}
	}

	first := of("http://localhost:9155", "", key+"-given")
	if of("http://127.0.0.1:9155", key+"-new", key+"-given") != first || of("http://127.0.0.1:9155", key+"-new", "") != first {
		t.Error("a key that comes after its access token has a window of its own")
	}
	if !strings.HasSuffix(first.called(), " "+fingerprint(key+"-new")) {
		t.Errorf("other processes have to know it as %s", first.called())
	}
	if of("http://127.0.0.1:9155", key, key+"-both") != here || of("http://127.0.0.1:9155", "", key+"-both") != here {
		t.Error("an access token that was given with a key has a window of its own")
	}
}

// However many access tokens a consumer has had, few are remembered.
func TestRate_remembersFewAccessTokens(t *testing.T) {
	w := windowOf("http://127.0.0.1:9155", t.Name(), "")
	windows.Lock()
	before := len(windows.all)
	windows.Unlock()
	for i := range 1000 {
		w.learn("http://127.0.0.1:9155", fmt.Sprint(t.Name(), i))
	}
	windows.Lock()
	defer windows.Unlock()
	if more := len(windows.all) - before; more != maxTokens {
		t.Errorf("%d are remembered, want %d", more, maxTokens)
	}
	if windows.all[windowName("http://127.0.0.1:9155", t.Name()+"999")] != w {
		t.Error("the last one is forgotten")
	}
}
