package trade_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/trade"
)

// A login that waits for a person is not cut by the limit of the call that needs it, and
// asks the person once.
func TestLogin_isNotCutByTheLimitOfACall(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		person, within time.Duration
		call           func(context.Context, *desk) error
	}{
		"a read": {6 * time.Second, time.Minute, func(ctx context.Context, d *desk) error { _, err := d.Orders(ctx); return err }},
		"an order": {2 * time.Second, 3 * time.Second, func(ctx context.Context, d *desk) error {
			_, err := d.Place(ctx, d.resting())
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, 1)
			var asked, cut atomic.Int64
			c := must.Get(neoapi.New(neoapi.Config{
				Environment: neoapi.Environment(d.srv.URL), ConsumerKey: d.srv.ConsumerKey, ConsumerSecret: d.srv.ConsumerSecret, Rate: -1, Clock: d.srv.Now,
			}))(t)
			must.Get(c.Keep(neoapi.KeepConfig{Login: neoapi.Login{
				Credentials: func(context.Context) (neoapi.Credentials, error) {
					return neoapi.Credentials{Mobile: d.srv.Account.Mobile, Password: d.srv.Account.Password}, nil
				},
				OTP: func(ctx context.Context) (string, error) {
					asked.Add(1)
					select {
					case <-time.After(x.person): // who has to find the phone
						return d.srv.OTP(t), nil
					case <-ctx.Done():
						cut.Add(1)
						return "", ctx.Err()
					}
				},
			}}))(t)
			d.Client = trade.New(c)
			ctx, cancel := context.WithTimeout(t.Context(), x.within)
			defer cancel()
			if err := x.call(ctx, d); err != nil || asked.Load() != 1 || cut.Load() != 0 {
				t.Errorf("asked %d times, cut %d times: %v", asked.Load(), cut.Load(), err)
			}
		})
	}
}
