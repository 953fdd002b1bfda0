package httpapi

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	"neoapi/internal/browser"
	"neoapi/internal/front"
	"neoapi/internal/login"
	"neoapi/internal/wire"
)

// Feeds are live feeds in this process, whose upgrades need no credentials: the first frame
// proves a session. No other trade API has feeds here.
type Feeds struct {
	Orders, Market string // the paths of the order feed, and of generation 3's market feed

	// Of returns the feed at a path, if there is one.
	Of func(path string) (op wire.Op, ok bool)

	// Serve upgrades a request that comes from an address, and serves the feed until its end.
	// It calls upgraded when the connection is no longer HTTP; sent is how many bytes went out
	// after that. If it returns an error it has written nothing: a [login.Error] or a
	// [front.Refusal], or a fault.
	Serve func(w http.ResponseWriter, r *http.Request, address string, upgraded func()) (sent int64, err error)
}

// dataSource is what the configuration service calls this service's kind of market feed.
const dataSource = "sh"

// feed returns the endpoint of a live feed. The path of the older market feed is also that
// of a page: it is a feed for those who ask for an upgrade.
func (a *api) feed(r *http.Request) (endpoint, bool) {
	if a.Feeds == nil {
		return endpoint{}, false
	}
	op, ok := a.Feeds.Of(r.URL.Path)
	if !ok || r.URL.Path == "/" && r.Header.Get("Upgrade") == "" {
		return endpoint{}, false
	}
	return endpoint{op: op, method: http.MethodGet, style: styleTrade, feed: true}, true
}

// serveFeed ends a call with a live feed. For metrics it is answered once it is upgraded.
func (a *api) serveFeed(w http.ResponseWriter, c *call, start time.Time) outcome {
	err := a.upgradable(c)
	if err != nil {
		return a.refuse(w, c, err)
	}
	front.SetDate(w.Header(), c.Request)
	up := false
	sent, err := a.Feeds.Serve(w, c.Request, c.caller.Address, func() {
		up = true
		c.ended(http.StatusSwitchingProtocols, time.Since(start))
		c.ended = func(int, time.Duration) {}
	})
	if !up {
		return a.refuse(w, c, err)
	}
	return outcome{status: http.StatusSwitchingProtocols, size: int(sent), err: err}
}

// upgradable refuses what is no upgrade to a WebSocket, or one that a web page of another
// origin makes a browser send.
func (a *api) upgradable(c *call) error {
	says := func(name, token string) bool {
		for _, value := range c.Header.Values(name) {
			for part := range strings.SplitSeq(value, ",") {
				if strings.EqualFold(strings.TrimSpace(part), token) {
					return true
				}
			}
		}
		return false
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(c.Header.Get("Sec-Websocket-Key")))
	switch { // what the library would refuse is refused here, as everything is
	case c.ProtoMajor != 1 || c.ProtoMinor < 1 || !says("Connection", "upgrade") || !says("Upgrade", "websocket"):
		return &front.Refusal{Status: http.StatusUpgradeRequired, Detail: "this is a live feed: connect by a WebSocket"}
	case c.Method != http.MethodGet:
		return &front.Refusal{Status: http.StatusMethodNotAllowed, Detail: "a WebSocket begins with GET", Allow: http.MethodGet}
	case c.Header.Get("Sec-Websocket-Version") != "13" || len(c.Header.Values("Sec-Websocket-Key")) != 1 || err != nil || len(key) != 16:
		return &front.Refusal{Status: http.StatusBadRequest, Detail: "only version 13 of WebSocket is spoken here, with one Sec-WebSocket-Key of 16 bytes"}
	case c.ContentLength != 0: // it would be read as frames
		return &front.Refusal{Status: http.StatusBadRequest, Detail: "a WebSocket begins with a request without a body"}
	case a.foreign(c.Request):
		return &front.Refusal{Status: http.StatusForbidden, Detail: "a browser sent this for a page of another origin"}
	}
	return nil
}

// foreign reports whether a page of another origin than the service's own makes a browser
// send a request. WebSocket libraries of programs name the address that they dial.
func (a *api) foreign(r *http.Request) bool {
	if browser.CrossOrigin(r) == nil {
		return false
	}
	origin, err := url.Parse(r.Header.Get("Origin"))
	own, ownErr := url.Parse(a.PublicURL)
	return err != nil || ownErr != nil || a.PublicURL == "" || !strings.EqualFold(origin.Host, own.Host)
}

// feedURLs returns where a caller finds the feeds, "" without feeds.
func (a *api) feedURLs(c *call) (market, orders string) {
	if a.Feeds == nil {
		return "", ""
	}
	base := a.PublicURL
	if base == "" {
		scheme := "http"
		if front.TLS(c.Request) != nil || strings.EqualFold(c.Header.Get("X-Forwarded-Proto"), "https") && a.Proxies.sent(c.Request) {
			scheme = "https"
		}
		base = scheme + "://" + c.Host
	}
	base = "ws" + strings.TrimPrefix(base, "http")
	return base + a.Feeds.Market, base + a.Feeds.Orders
}

// config answers with where the feeds are, by the name of the data center that sessions
// have: nothing without feeds.
func (a *api) config(c *call) (front.Answer, error) {
	market, orders := a.feedURLs(c)
	if market == "" {
		return success(struct{}{})
	}
	return success(map[string]map[string]string{"configs": {
		dataCenter + "_broadcast_source":                        dataSource,
		dataCenter + "_" + dataSource + "_broadcast_endpoint":   market,
		dataCenter + "_" + dataSource + "_interactive_endpoint": orders,
	}})
}

// withFeeds adds where the feeds are to a trade session of generation 3.
func (a *api) withFeeds(c *call, o login.Opened, s wire.Session) wire.Session {
	if o.Kind == login.Trade && c.style == styleGen3 {
		s.FeedURL, s.RTURL = a.feedURLs(c)
	}
	return s
}
