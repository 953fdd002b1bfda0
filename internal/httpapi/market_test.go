package httpapi_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"neoapi/internal/claims"
	"neoapi/internal/must"
	"neoapi/internal/tradewire"
	"neoapi/internal/wire"
	"neoapi/neoapitest"
)

// marketData are a call of each kind that a consumer may make without a session.
var marketData = []string{
	tradewire.PathQuotes + "nse_cm|11536/ltp", tradewire.PathMaster,
	tradewire.PathCandles + "?neosymbol=nse_cm%7C11536&interval=D&fromdate=2026-09-01&todate=2026-09-02",
	tradewire.PathExpiries + "?exchange=nse_fo&underlying=NIFTY", tradewire.PathChain + "?exchange=nse_fo&underlying=NIFTY",
}

func TestMarketData_needsAConsumerAloneWhoseIdentityNamesNobody(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var identities []string
	upstream := tradeAPI(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		identities = append(identities, r.Header.Get(wire.HeaderIdentity))
		if r.Header.Get("Authorization")+r.Header.Get("Sid")+r.Header.Get("Auth") != "" {
			t.Error("the trade API saw credentials")
		}
	})
	srv := neoapitest.NewServer(t, neoapitest.WithTradeAPI(upstream.URL), neoapitest.WithConsumerRate(0))
	token := consumer(t, srv)
	for _, who := range []caller{token, {srv, srv.ConsumerKey}} {
		for _, path := range marketData {
			who.through(t, "GET", path, nil).want(t, 200)
		}
	}
	for _, path := range marketData {
		caller{srv, "unknown"}.through(t, "GET", path, nil).refusedTrade(t, 401, wire.BadAccess.Code)
		caller{srv, ""}.send(t, "GET", path, "").refusedTrade(t, 401, wire.NoAccess.Code)
	}
	caller{srv, srv.ConsumerKey}.through(t, "GET", "/quick/user/orders", nil).refusedTrade(t, 401, wire.HeaderMissing.Code)
	if len(identities) != 2*len(marketData) {
		t.Fatalf("%d calls reached the trade API", len(identities))
	}
	for _, identity := range identities {
		text, ok := claims.Decode(strings.Split(identity, ".")[1])
		var fields map[string]any
		if !ok || json.Unmarshal(text, &fields) != nil {
			t.Fatal(identity)
		}
		if scope, _ := fields["scope"].([]any); len(scope) != 1 || scope[0] != "Consumer" || fields["consumer"] != srv.ConsumerKey {
			t.Errorf("the identity says %s", text)
		}
		for _, name := range []string{"sub", "sid", "hsServerId"} {
			if _, there := fields[name]; there {
				t.Errorf("the identity has %s: %s", name, text)
			}
		}
	}
}

// A stranger who knows a consumer's key uses up none of what its sessions may do.
func TestMarketData_hasARateOfItsOwn(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(10))
	srv.SetTime(srv.Now())
	c := consumer(t, srv)
	session := c.trade(t)
	stranger := caller{srv, srv.ConsumerKey}
	for _, path := range marketData {
		most := 0
		for range 500 {
			if got := stranger.through(t, "GET", path, nil); got.status == 429 {
				got.refusedTrade(t, 429, wire.Throttled.Code)
				break
			}
			most++
		}
		if most == 500 {
			t.Errorf("%s: no limit", path)
		}
	}
	c.plain(t, tradePath, session.pairs()...)

	free := neoapitest.NewServer(t, neoapitest.WithConsumerRate(0))
	for range 60 {
		must.Get(http.DefaultClient.Do(request(t, "GET", free.URL+tradewire.PathChain+"?exchange=nse_fo&underlying=NIFTY", nil, "Authorization", free.ConsumerKey)))(t).Body.Close()
	}
	caller{free, free.ConsumerKey}.send(t, "GET", tradewire.PathExpiries+"?exchange=nse_fo&underlying=NIFTY", "").want(t, 200)
}
