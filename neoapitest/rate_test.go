package neoapitest_test

import (
	"errors"
	"testing"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/neoapitest"
	"neoapi/trade"
)

// The default is what the sandbox and the live services have: a client that knows no
// limit is refused, one as New makes it is not.
func TestRate_isTenByDefault(t *testing.T) {
	srv := neoapitest.NewServer(t)
	count := func(rate, n int) (refused int) {
		c := must.Get(neoapi.New(neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret, Rate: rate}))(t)
		must.Do(t, c.Login(t.Context(), neoapi.Credentials{UserID: srv.Account.UserID, Password: srv.Account.Password, NoOTP: true}))
		must.Get(c.Session2FA(t.Context(), srv.Account.MPIN))(t)
		for range n {
			if _, err := trade.New(c).Limits(t.Context()); errors.Is(err, neoapi.ErrRateLimited) {
				refused++
			} else if err != nil && !errors.Is(err, neoapi.ErrUnavailable) { // the store of a busy machine
				t.Fatal(err)
			}
		}
		return refused
	}
	if n := count(0, 25); n != 0 {
		t.Errorf("a client of ten requests a second was refused %d times", n)
	}
	refused := 0
	for try := 0; try < 20 && refused == 0; try++ { // however slow the machine
		srv = neoapitest.NewServer(t)
		refused = count(-1, 60)
	}
	if refused == 0 {
		t.Error("a client without a limit was never refused")
	}
}
