package httpapi_test

import (
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/serve"
	"neoapi/internal/telemetry"
	"neoapi/internal/wire"
	"neoapi/neoapitest"
)

// What an operator grants holds from the next request on, at every server: no remembered
// record refuses it.
func TestConsumer_newSecretItsTokensAndNewNetworkWorkAtOnce(t *testing.T) {
	t.Parallel()
	a, b, m := two(t)
	secret := a.ConsumerSecret
	grant := func(srv *neoapitest.Server) reply {
		return secretOf(srv, srv.ConsumerKey, secret).post(t, tokenPath, grantBody)
	}
	for range 5 {
		for _, srv := range []*neoapitest.Server{a, b} { // which now remember the consumer
			grant(srv).want(t, 200)
		}
		fresh, _, err := m.RotateConsumer(t.Context(), a.ConsumerKey, 0)
		if err != nil {
			t.Fatal(err)
		}
		secret = string(fresh)
		var got wire.AccessToken
		grant(a).want(t, 200).into(t, &got)
		caller{b, "Bearer " + got.AccessToken}.login(t)
		grant(b).want(t, 200)
	}

	home, err := login.ParseNetworks("192.0.2.0/24")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := m.SetConsumerNetworks(t.Context(), a.ConsumerKey, home); err != nil {
			t.Fatal(err)
		}
		for _, srv := range []*neoapitest.Server{a, b} {
			soon(t, 401, func() reply { return grant(srv) })
		}
		if err := m.SetConsumerNetworks(t.Context(), a.ConsumerKey, nil); err != nil {
			t.Fatal(err)
		}
		for _, srv := range []*neoapitest.Server{a, b} {
			grant(srv).want(t, 200)
		}
	}
}

// However many wrong secrets come, the store is asked for their consumer so often and no
// more.
func TestConsumer_isReadFewTimesForWrongSecrets(t *testing.T) {
	t.Parallel()
	tel := telemetry.New(nil)
	srv, _ := serving(t, func(cfg *serve.Config) { cfg.Telemetry = tel })
	bySecret(srv).post(t, tokenPath, grantBody).want(t, 200)
	readings := func() int {
		found := regexp.MustCompile(`neo_port_seconds_count\{op="consumer",outcome="ok",port="store"\} (\d+)`).FindStringSubmatch(scrape(t, tel))
		n, _ := strconv.Atoi(found[1])
		return n
	}
	before, began := readings(), time.Now()
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			for j := range 10 {
				secretOf(srv, srv.ConsumerKey, fmt.Sprint("wrong", i, j)).post(t, tokenPath, grantBody).want(t, 401)
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	if n, most := readings()-before, int(took/(50*time.Millisecond))+2; n > most || n == 0 {
		t.Errorf("200 wrong secrets in %s cost %d readings, want %d at most", took, n, most)
	}
}
