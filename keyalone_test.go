package neoapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"neoapi/internal/must"
	"neoapi/neoapitest"
)

const (
	quotesPath  = "/script-details/1.0/quotes/neosymbol/nse_cm%7C1594/all"
	masterPath  = "/script-details/1.0/masterscrip/file-paths"
	candlesPath = "/market-data/1.0/historical/details"
	chainPath   = "/market-data/1.0/watchlist/option-chain"
)

// market calls without a session.
func market(ctx context.Context, c *Client, path string, opts ...CallOption) (answer json.RawMessage, err error) {
	err = c.Do(ctx, http.MethodGet, path, nil, &answer, append([]CallOption{KeyAlone()}, opts...)...)
	return answer, err
}

func TestKeyAlone_carriesTheKeyAndNothingElse(t *testing.T) {
	for name, session := range map[string]*Session{"without a session": nil, "generation 1": &gen1, "generation 3": &gen3} {
		for _, path := range []string{quotesPath, masterPath, candlesPath, chainPath} {
			s := newScripted(t)
			c := must.Get(New(Config{Environment: Environment(s.URL), ConsumerKey: "key-of-the-consumer", ConsumerSecret: canarySecret, Rate: -1}))(t)
			neutral := path
			if path == quotesPath {
				neutral = "/script-details/1.0/quotes/neosymbol/nse_cm|1594/all"
			}
			s.on(neutral, answer(200, `{"data":[1]}`))
			if session != nil {
				must.Do(t, c.Use(*session))
			}
			if got := must.Get(market(t.Context(), c, path))(t); string(got) != "[1]" {
				t.Errorf("%s: %s", name, got)
			}
			if len(s.log) != 1 {
				t.Fatalf("%s: %d requests", name, len(s.log))
			}
			seen := s.log[0]
			for header, want := range map[string]string{"Authorization": "key-of-the-consumer", "X-Client-Id": "key-of-t***", "Auth": "", "Sid": "", "Neo-Fin-Key": "", "Cookie": ""} {
				if got := seen.header.Get(header); got != want {
					t.Errorf("%s, %s: %s is %q, want %q", name, path, header, got, want)
				}
			}
			if seen.header.Get("X-Request-Id") == "" || seen.query != "" || seen.path != neutral {
				t.Errorf("%s: %s?%s %v", name, seen.path, seen.query, seen.header)
			}
		}
	}
}

func TestKeyAlone_isAskedAtTheAddressOfGeneration3(t *testing.T) {
	var to string
	line := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		to = r.URL.Host + r.URL.Path + " " + r.Header.Get("Authorization")
		return answered(r, `{"data":[]}`), nil
	})}
	for _, tt := range []struct {
		cfg         Config
		base, path  string
		want        string
		unsupported bool
	}{
		{Config{Environment: PROD, ConsumerKey: "key"}, "", candlesPath, "mis.kotaksecurities.com" + candlesPath + " key", false},
		{Config{Environment: UAT, ConsumerKey: "key"}, "", candlesPath, "d-mis.kotaksecurities.com" + candlesPath + " key", false},
		{Config{Environment: PROD, ConsumerKey: "key"}, "https://e21.kotaksecurities.com", candlesPath, "e21.kotaksecurities.com" + candlesPath + " key", false},
		{Config{Environment: PROD, ConsumerKey: "key"}, "https://evil.example", candlesPath, "mis.kotaksecurities.com" + candlesPath + " key", false},
		{Config{Environment: PROD, AccessToken: canaryAccess}, "", masterPath, "mnapi.kotaksecurities.com/apim/files/2.0/masterscrip/v1/file-paths Bearer " + canaryAccess, false},
		{Config{Environment: PROD, AccessToken: canaryAccess}, "", "/script-details/1.0/quotes/neosymbol/x/all", "mnapi.kotaksecurities.com/apim/quotes/2.0/quotes/neosymbol/x/all Bearer " + canaryAccess, false},
		{Config{Environment: PROD, AccessToken: canaryAccess}, "", candlesPath, "", true},
	} {
		tt.cfg.HTTPClient, tt.cfg.Rate, to = line, -1, ""
		c := must.Get(New(tt.cfg))(t)
		if tt.base != "" {
			session := gen3
			session.BaseURL = tt.base
			must.Do(t, c.Use(session))
		}
		_, err := market(t.Context(), c, tt.path)
		if to != tt.want || (err != nil) != tt.unsupported || err != nil && !errors.Is(err, ErrInvalidInput) {
			t.Errorf("went to %q, want %q: %v", to, tt.want, err)
		}
	}
	c := must.Get(New(Config{Environment: PROD, ConsumerKey: "key", HTTPClient: line}))(t)
	to = ""
	if _, err := market(t.Context(), c, "https://evil.example"+candlesPath); !errors.Is(err, ErrInvalidInput) || to != "" {
		t.Errorf("another host: %q, %v", to, err)
	}
}

func TestKeyAlone_refusedIsAboutTheKey(t *testing.T) {
	for _, status := range []int{401, 403} {
		s := newScripted(t)
		s.on(candlesPath, answer(status, `{"error":true,"message":"no"}`))
		var lookups int
		_, err := market(t.Context(), s.trading(t, gen3), candlesPath, WithKeeper(source(func() (Session, error) { lookups++; return gen3, nil })))
		if e := failure(t, err); e.Category != ErrAccessToken || lookups != 0 || len(s.log) != 1 {
			t.Errorf("%d: %v, %d sessions, %d requests", status, err, lookups, len(s.log))
		}
	}
}

type source func() (Session, error)

func (s source) Session(context.Context) (Session, error) { return s() }
func (source) Ended(Session)                              {}

func TestKeyAlone_hasRatesOfItsOwnSharedByClientsOfAConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var at []time.Time
		line := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, time.Now())
			return answered(r, `{"data":[]}`), nil
		})}
		client := func(key string) *Client {
			return must.Get(New(Config{Environment: "https://alone.example", ConsumerKey: key, HTTPClient: line}))(t)
		}
		one, two := client("shared"), client("shared")
		must.Do(t, one.Use(gen3))
		for path, n := range map[string]int{quotesPath: 25, candlesPath: 2, "/market-data/1.0/watchlist/expiries": 2, chainPath: 1, "/market-data/1.0/other": 1} {
			at = nil
			var wg sync.WaitGroup
			for i := range 2*n + 1 {
				wg.Go(func() {
					if _, err := market(t.Context(), []*Client{one, two}[i%2], path); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			for i := range len(at) - n {
				if d := at[i+n].Sub(at[i]); d < time.Second {
					t.Errorf("%s: %d calls within %v", path, n+1, d)
				}
			}
			if d := at[len(at)-1].Sub(at[0]); d > 2100*time.Millisecond {
				t.Errorf("%s: %d calls took %v", path, len(at), d)
			}
		}
		began := time.Now() // the session's calls have not been counted
		for range 10 {
			must.Get(place(t.Context(), one))(t)
		}
		must.Get(market(t.Context(), client("another"), chainPath))(t)
		if d := time.Since(began); d != 0 {
			t.Errorf("they waited %v", d)
		}
	})
}

// The real service takes the key alone, at these rates.
func TestKeyAlone_isWhatTheServiceTakes(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	srv.Market(t)
	c := must.Get(New(Config{Environment: Environment(srv.URL), ConsumerKey: srv.ConsumerKey}))(t)
	var files struct {
		FilesPaths []string `json:"filesPaths"`
	}
	must.Do(t, c.Do(t.Context(), "GET", masterPath, nil, &files, KeyAlone()))
	if len(files.FilesPaths) == 0 {
		t.Fatal("no files")
	}
	body := must.Get(c.Download(t.Context(), files.FilesPaths[0], 64<<20))(t)
	head := make([]byte, 7)
	if _, err := body.Read(head); err != nil || string(head) != "pSymbol" {
		t.Errorf("%q, %v", head, err)
	}
	body.Close()
	wrong := must.Get(New(Config{Environment: Environment(srv.URL), ConsumerKey: "wrong"}))(t)
	_, err := market(t.Context(), wrong, masterPath)
	if e := failure(t, err); e.Category != ErrAccessToken {
		t.Errorf("a wrong key: %v", err)
	}
}

func TestUrgent_goesBeforeThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var order []string
		var at []time.Time
		line := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			order, at = append(order, r.URL.RawQuery), append(at, time.Now())
			return answered(r, `{"stat":"Ok"}`), nil
		})}
		cfg := Config{Environment: "https://urgent.example", ConsumerKey: "urgent", HTTPClient: line, Rate: 2}
		one, two := must.Get(New(cfg))(t), must.Get(New(cfg))(t)
		must.Do(t, one.Use(gen3))
		must.Do(t, two.Use(gen3))
		var wg sync.WaitGroup
		call := func(c *Client, name string, opts ...CallOption) {
			wg.Go(func() {
				if err := c.Do(t.Context(), "GET", ordersPath+"?"+name, nil, nil, opts...); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		call(one, "first")
		call(one, "second")
		for _, name := range []string{"read 1", "read 2", "read 3"} {
			call(one, name[:4]+name[5:])
		}
		call(two, "cancel1", Urgent())
		call(one, "cancel2", Urgent())
		call(two, "cancel3", Urgent())
		given, cancel := context.WithCancel(t.Context())
		var gone atomic.Bool
		wg.Go(func() {
			err := one.Do(given, "GET", ordersPath+"?given-up", nil, nil, Urgent())
			gone.Store(errors.Is(err, context.Canceled))
		})
		synctest.Wait()
		cancel()
		wg.Wait()
		want := []string{"first", "second", "cancel1", "cancel2", "cancel3", "read1", "read2", "read3"}
		if len(order) != len(want) || !gone.Load() {
			t.Fatalf("%v", order)
		}
		for i := range want {
			if order[i] != want[i] {
				t.Fatalf("they went out as %v, want %v", order, want)
			}
		}
		for i := range len(at) - 2 {
			if d := at[i+2].Sub(at[i]); d < time.Second {
				t.Errorf("three within %v", d)
			}
		}
		if d := at[7].Sub(at[0]); d > 3100*time.Millisecond {
			t.Errorf("they took %v", d)
		}
	})
}
