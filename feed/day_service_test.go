package feed_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"neoapi"
	"neoapi/feed"
	"neoapi/internal/must"
	"neoapi/neoapitest"
	"neoapi/trade"
)

// A feed whose updates a test reads.
type updates func(t *testing.T, c *neoapi.Client) (read func() error, end func() error)

var feeds = map[string]updates{
	"market": func(t *testing.T, c *neoapi.Client) (func() error, func() error) {
		tcs := must.Get(trade.New(c).Instrument(t.Context(), trade.NSE, "TCS-EQ"))(t)
		m := must.Get(feed.Market(t.Context(), c, feed.Quotes(tcs)))(t)
		quoted := make(chan bool)
		over := make(chan error, 1)
		go func() {
			first := true
			for u, err := range m.Updates(context.Background()) {
				if _, quote := u.(feed.Quote); quote && first {
					close(quoted)
					first = false
				}
				if err != nil {
					over <- err
				}
			}
		}()
		<-quoted
		return func() error { return <-over }, m.Close
	},
}

// At the day's end the service closes the connection and refuses the session. Where
// nobody can log in the feed sees that once, and it is over.
func TestFeeds_areOverWithTheDayWhereNobodyLogsIn(t *testing.T) {
	t.Parallel()
	for name, open := range feeds {
		t.Run(name, func(t *testing.T) {
			srv := neoapitest.NewServer(t)
			srv.Market(t).SetPrice("nse_cm", "TCS-EQ", "3500.00")
			var upgrades atomic.Int32
			count := roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.Header.Get("Upgrade") != "" {
					upgrades.Add(1)
				}
				return http.DefaultTransport.RoundTrip(r)
			})
			c := must.Get(neoapi.New(neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, HTTPClient: &http.Client{Transport: count}}))(t)
			a := srv.Account
			must.Do(t, c.LoginTOTP(t.Context(), neoapi.TOTP{Mobile: a.Mobile, UCC: a.UCC, Code: srv.TOTP(t)}))
			must.Get(c.ValidateMPIN(t.Context(), a.MPIN))(t)
			read, end := open(t, c)
			srv.Advance(24 * time.Hour)
			err := read()
			if _, session := errors.AsType[*feed.SessionError](err); !session || !errors.Is(err, feed.ErrSessionEnded) {
				t.Errorf("it ended with %v", err)
			}
			if n := upgrades.Load(); n != 2 { // the day's, and the one that was refused
				t.Errorf("%d connections", n)
			}
			must.Do(t, end())
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
