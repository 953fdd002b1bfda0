package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"neoapi"
)

// marketAddresses returns where a session's market feed is, best first: as the service's
// configuration says, as the session says, and at the real service as its own clients
// know it. The error is [ErrNoFeed], or a *ConnectionError if the configuration could not
// be read and the session says nothing.
func marketAddresses(ctx context.Context, c *neoapi.Client, s neoapi.Session) ([]string, error) {
	if c.GenerationOf(s) != 3 {
		return nil, fmt.Errorf("%w (this one is of generation %d, whose market feed has ended)", ErrNoFeed, c.GenerationOf(s))
	}
	var all addresses
	conf, err := configured(ctx, c, s.DataCenter)
	if conf.source != "hs" { // which speaks the protocol of the older generations
		all.add(conf.market)
	}
	all.add(s.FeedURL)
	if original(c) {
		all.add("wss://sfeed.kotaksecurities.com/apifeed")
	}
	return all.found(err)
}

// orderAddresses returns where a session's order feed is, as marketAddresses does.
func orderAddresses(ctx context.Context, c *neoapi.Client, s neoapi.Session) ([]string, error) {
	var all addresses
	var err error
	switch c.GenerationOf(s) {
	case 1:
		base := c.Service()
		if original(c) {
			base = "wss://mlhsi.kotaksecurities.com"
		}
		all.add(base + "/realtime?sId=" + url.QueryEscape(s.HSServerID))
		return all, nil
	case 3:
		var conf configuration
		conf, err = configured(ctx, c, s.DataCenter)
		all.add(conf.orders)
	}
	all.add(s.OrderFeedURL)
	if s.BaseURL != "" && c.GenerationOf(s) == 3 {
		all.add(strings.TrimRight(s.BaseURL, "/") + "/realtime")
	}
	if original(c) {
		all.add("wss://" + home(s.DataCenter) + ".kotaksecurities.com/realtime")
	} else {
		all.add(c.Service() + "/realtime")
	}
	return all.found(err)
}

// home returns the host at which the real service's clients look for a data center.
func home(dataCenter string) string {
	switch dc := strings.ToLower(dataCenter); dc {
	case "adc":
		return "cis"
	case "e21", "e22", "e41", "e43":
		return dc
	}
	return "mis"
}

// original reports whether a client talks to the original service.
func original(c *neoapi.Client) bool {
	return c.Service() == string(neoapi.UAT) || c.Service() == string(neoapi.PROD)
}

// addresses are WebSocket addresses, each once.
type addresses []string

// add adds an address that the service gave in one of its forms, or nothing.
func (a *addresses) add(given string) {
	given = strings.TrimSpace(given)
	if given == "" {
		return
	}
	if !strings.Contains(given, "://") {
		given = "wss://" + given
	}
	u, err := url.Parse(given)
	if err != nil || u.Host == "" {
		return
	}
	switch u.Scheme {
	case "https":
		u.Scheme = "wss"
	case "http":
		u.Scheme = "ws"
	}
	if to := u.String(); !slices.Contains(*a, to) {
		*a = append(*a, to)
	}
}

// found returns the addresses or, if there are none, what that means when err is why the
// configuration could not be read.
func (a addresses) found(err error) ([]string, error) {
	switch {
	case len(a) > 0:
		return a, nil
	case err != nil && mayPass(err):
		return nil, &ConnectionError{Err: fmt.Errorf("where the feed is could not be found out: %w", err)}
	case err != nil:
		return nil, fmt.Errorf("%w (%w)", ErrNoFeed, err)
	}
	return nil, ErrNoFeed
}

// A configuration is what the service's configuration says of a data center.
type configuration struct{ source, market, orders string }

const (
	configLimit = 5 * time.Second
	maxConfig   = 1 << 20
)

// configured asks the service's configuration for a data center's feeds. It sends no
// credentials.
func configured(ctx context.Context, c *neoapi.Client, dataCenter string) (configuration, error) {
	if dataCenter == "" {
		return configuration{}, nil
	}
	base, environment := c.Service(), "prod"
	switch base {
	case string(neoapi.PROD):
		base = "https://lapi.kotaksecurities.com"
	case string(neoapi.UAT):
		base, environment = "https://qapi.kotaksecurities.online", "qa"
	}
	ctx, cancel := context.WithTimeout(ctx, configLimit)
	defer cancel()
	body, err := c.Download(ctx, base+"/5config/config?appVersion=&platform=api&environment="+environment, maxConfig)
	if err != nil {
		return configuration{}, err
	}
	defer body.Close()
	answer, err := io.ReadAll(body)
	if err != nil {
		return configuration{}, err
	}
	var said struct {
		Data struct {
			Configs map[string]json.RawMessage `json:"configs"`
		} `json:"data"`
	}
	if json.Unmarshal(answer, &said) != nil {
		return configuration{}, errors.New("the service's configuration cannot be read")
	}
	text := func(key string) (value string) {
		json.Unmarshal(said.Data.Configs[key], &value) // anything but a text is none
		return value
	}
	source := text(dataCenter + "_broadcast_source")
	if source == "" {
		return configuration{}, nil
	}
	name := dataCenter + "_" + source
	return configuration{source: source, market: text(name + "_broadcast_endpoint"), orders: text(name + "_interactive_endpoint")}, nil
}
