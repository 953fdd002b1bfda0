package feed

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"neoapi"
	"neoapi/internal/must"
)

// A configurator is the service's configuration, and notes what was asked.
type configurator struct {
	asked  []*http.Request
	status int
	body   string
	err    error
	hang   bool
}

func (c *configurator) RoundTrip(r *http.Request) (*http.Response, error) {
	c.asked = append(c.asked, r)
	if c.hang {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if c.err != nil {
		return nil, c.err
	}
	return &http.Response{StatusCode: c.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(c.body)), Request: r, ContentLength: -1}, nil
}

func (c *configurator) client(t *testing.T, environment neoapi.Environment, key string) *neoapi.Client {
	cfg := neoapi.Config{Environment: environment, ConsumerKey: key, HTTPClient: &http.Client{Transport: c}}
	if key == "" {
		cfg.AccessToken = "access"
	}
	return must.Get(neoapi.New(cfg))(t)
}

const configs = `{"data":{"configs":{
	"E21_broadcast_source":"sh","E21_sh_broadcast_endpoint":"https://sfeed.kotaksecurities.com/apifeed","E21_sh_interactive_endpoint":"e21.kotaksecurities.com/realtime",
	"E99_broadcast_source":"hs","E99_hs_broadcast_endpoint":"wss://mlhsm.kotaksecurities.com","E99_hs_interactive_endpoint":"wss://e99.kotaksecurities.com/realtime",
	"E98_broadcast_source":7,"E97_broadcast_source":"xx","E97_xx_broadcast_endpoint":null,"E97_xx_interactive_endpoint":" http://e97.kotaksecurities.com/realtime "
}}}`

func TestAddresses_areOfTheConfigurationThenTheSessionThenKnown(t *testing.T) {
	const sfeed = "wss://sfeed.kotaksecurities.com/apifeed"
	gen3 := func(dc string) neoapi.Session {
		return neoapi.Session{Token: "t", SID: "s", KType: "Trade", DataCenter: dc, FeedURL: "wss://feed.kotaksecurities.com/a", OrderFeedURL: "orders.kotaksecurities.com/b", BaseURL: "https://base.kotaksecurities.com/"}
	}
	bare := neoapi.Session{Token: "t", SID: "s", KType: "Trade", DataCenter: "E21"}
	gen1 := neoapi.Session{Token: "t", SID: "s", HSServerID: "server 3&x=1"}
	local := neoapi.Environment("http://127.0.0.1:9155/path")
	for name, test := range map[string]struct {
		env            neoapi.Environment
		key            string
		session        neoapi.Session
		status         int
		body           string
		market, orders []string // nil: ErrNoFeed
	}{
		"all there is": {neoapi.PROD, "key", gen3("E21"), 200, configs,
			[]string{sfeed, "wss://feed.kotaksecurities.com/a"},
			[]string{"wss://e21.kotaksecurities.com/realtime", "wss://orders.kotaksecurities.com/b", "wss://base.kotaksecurities.com/realtime"}},
		"a data center of the older feed": {neoapi.PROD, "key", gen3("E99"), 200, configs,
			[]string{"wss://feed.kotaksecurities.com/a", sfeed},
			[]string{"wss://e99.kotaksecurities.com/realtime", "wss://orders.kotaksecurities.com/b", "wss://base.kotaksecurities.com/realtime", "wss://mis.kotaksecurities.com/realtime"}},
		"odd values": {neoapi.PROD, "key", gen3("E98"), 200, configs,
			[]string{"wss://feed.kotaksecurities.com/a", sfeed},
			[]string{"wss://orders.kotaksecurities.com/b", "wss://base.kotaksecurities.com/realtime", "wss://mis.kotaksecurities.com/realtime"}},
		"odd endpoints": {neoapi.PROD, "key", gen3("E97"), 200, configs,
			[]string{"wss://feed.kotaksecurities.com/a", sfeed},
			[]string{"ws://e97.kotaksecurities.com/realtime", "wss://orders.kotaksecurities.com/b", "wss://base.kotaksecurities.com/realtime", "wss://mis.kotaksecurities.com/realtime"}},
		"the case of a data center counts": {neoapi.PROD, "key", neoapi.Session{Token: "t", SID: "s", KType: "Trade", DataCenter: "e21"}, 200, configs,
			[]string{sfeed}, []string{"wss://e21.kotaksecurities.com/realtime"}},
		"no configuration":           {neoapi.UAT, "key", bare, 404, "", []string{sfeed}, []string{"wss://e21.kotaksecurities.com/realtime"}},
		"a page for a configuration": {neoapi.PROD, "key", bare, 200, "<html>", []string{sfeed}, []string{"wss://e21.kotaksecurities.com/realtime"}},
		"another kind of JSON":       {neoapi.PROD, "key", bare, 200, `{"data":[]}`, []string{sfeed}, []string{"wss://e21.kotaksecurities.com/realtime"}},
		"elsewhere": {local, "key", neoapi.Session{Token: "t", SID: "s", KType: "Trade", DataCenter: "gdc", FeedURL: "http://127.0.0.1:9155/apifeed"}, 404, "",
			[]string{"ws://127.0.0.1:9155/apifeed"}, []string{"ws://127.0.0.1:9155/path/realtime"}},
		"elsewhere, nothing named": {local, "key", bare, 404, "", nil, []string{"ws://127.0.0.1:9155/path/realtime"}},
		"generation 1":             {neoapi.PROD, "key", gen1, 404, "", nil, []string{"wss://mlhsi.kotaksecurities.com/realtime?sId=server+3%26x%3D1"}},
		"generation 1 elsewhere":   {local, "key", gen1, 404, "", nil, []string{"ws://127.0.0.1:9155/path/realtime?sId=server+3%26x%3D1"}},
		"generation 2":             {neoapi.PROD, "", neoapi.Session{Token: "t", SID: "s", KType: "Trade", DataCenter: "E43"}, 404, "", nil, []string{"wss://e43.kotaksecurities.com/realtime"}},
		"generation 2, ADC":        {neoapi.PROD, "", neoapi.Session{Token: "t", SID: "s", KType: "Trade", DataCenter: "Adc"}, 404, "", nil, []string{"wss://cis.kotaksecurities.com/realtime"}},
	} {
		t.Run(name, func(t *testing.T) {
			at := &configurator{status: test.status, body: test.body}
			c := at.client(t, test.env, test.key)
			market, err := marketAddresses(t.Context(), c, test.session)
			if !slices.Equal(market, test.market) || (test.market == nil) != errors.Is(err, ErrNoFeed) || test.market != nil && err != nil {
				t.Errorf("market: %q, %v", market, err)
			}
			orders, err := orderAddresses(t.Context(), c, test.session)
			if !slices.Equal(orders, test.orders) || err != nil {
				t.Errorf("orders: %q, %v", orders, err)
			}
			for _, r := range at.asked {
				want := map[neoapi.Environment]string{
					neoapi.PROD: "https://lapi.kotaksecurities.com/5config/config?appVersion=&platform=api&environment=prod",
					neoapi.UAT:  "https://qapi.kotaksecurities.online/5config/config?appVersion=&platform=api&environment=qa",
					local:       "http://127.0.0.1:9155/path/5config/config?appVersion=&platform=api&environment=prod",
				}[test.env]
				if r.URL.String() != want {
					t.Errorf("%s was asked", r.URL)
				}
				for _, header := range []string{"Authorization", "Auth", "Sid", "Cookie", "Neo-Fin-Key"} {
					if r.Header.Get(header) != "" {
						t.Errorf("%s was sent", header)
					}
				}
			}
			if (test.session.KType == "" || test.key == "") != (len(at.asked) == 0) {
				t.Errorf("the configuration was asked for %d times", len(at.asked))
			}
		})
	}
}

// What cannot be read now may be readable later: that is no ErrNoFeed.
func TestAddresses_mayComeLater(t *testing.T) {
	bare := neoapi.Session{Token: "t", SID: "s", KType: "Trade", DataCenter: "gdc"}
	for name, at := range map[string]*configurator{"no network": {err: errors.New("refused")}, "503": {status: 503}} {
		_, err := marketAddresses(t.Context(), at.client(t, "http://127.0.0.1:9155", "key"), bare)
		if got := kindsOf(err); len(got) != 1 || got[0] != "connection" || errors.Is(err, ErrNoFeed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAddresses_waitForTheConfigurationFiveSeconds(t *testing.T) {
	bubble(t, func(t *testing.T, _ *service) {
		bare := neoapi.Session{Token: "t", SID: "s", KType: "Trade", DataCenter: "E21"}
		began := time.Now()
		all, err := marketAddresses(context.Background(), (&configurator{hang: true}).client(t, neoapi.PROD, "key"), bare)
		if took := time.Since(began); took != 5*time.Second || len(all) != 1 || err != nil {
			t.Errorf("%v, %v after %v", all, err, took)
		}
	})
}

func TestErrNoFeed_saysWhatToDo(t *testing.T) {
	c := (&configurator{status: 404}).client(t, neoapi.PROD, "key")
	_, err := marketAddresses(t.Context(), c, neoapi.Session{Token: "t", SID: "s"})
	if !errors.Is(err, ErrNoFeed) || !strings.Contains(err.Error(), "log in by TOTP") {
		t.Error(err)
	}
}
