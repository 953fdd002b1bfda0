package neoapitest_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"testing"
	"time"

	"neoapi"
	"neoapi/neoapitest"
	"neoapi/trade"
)

// A tester stands in for the *testing.T that a test of yours has.
type tester struct {
	testing.TB
	after []func()
}

func (*tester) Helper()                      {}
func (*tester) Context() context.Context     { return context.Background() }
func (t *tester) Cleanup(f func())           { t.after = append(t.after, f) }
func (*tester) Fatal(args ...any)            { panic(fmt.Sprint(args...)) }
func (*tester) Fatalf(text string, a ...any) { panic(fmt.Sprintf(text, a...)) }
func (*tester) Errorf(text string, a ...any) { panic(fmt.Sprintf(text, a...)) }

func (t *tester) TempDir() string {
	dir, err := os.MkdirTemp("", "neoapitest-example")
	if err != nil {
		panic(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (t *tester) end() {
	for i := len(t.after) - 1; i >= 0; i-- {
		t.after[i]()
	}
}

// A program of yours is tested against the real service: it logs in, the proxy
// before the service fails once, the session is ended from elsewhere, the day goes
// by.
func ExampleNewServer() {
	t := new(tester) // in your test: func TestMyProgram(t *testing.T)
	defer t.end()
	ctx := context.Background()
	try := func(what string, err error) { fmt.Printf("%s: %t\n", what, err == nil) }

	srv := neoapitest.NewServer(t)
	client, err := neoapi.New(neoapi.Config{
		Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret,
	})
	if err != nil {
		t.Fatal(err)
	}
	try("first factor", client.Login(ctx, neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password}))
	otp := srv.OTP(t)

	srv.Fail(t, "session_2fa", "html_502", 1)
	_, err = client.Session2FA(ctx, otp)
	fmt.Println("a proxy's page:", errors.Is(err, neoapi.ErrUnavailable))
	session, err := client.Session2FA(ctx, otp)
	try("the same code again", err)

	_, err = trade.New(client).Orders(ctx)
	try("orders", err)
	srv.EndSession(t, session.SID)
	_, err = trade.New(client).Orders(ctx)
	fmt.Println("ended elsewhere:", errors.Is(err, neoapi.ErrSessionEnded))

	srv.Advance(24 * time.Hour)
	_, err = trade.New(client).Orders(ctx) // the access token has ended, too
	fmt.Println("a day later:", errors.Is(err, neoapi.ErrSessionEnded))
	// Output:
	// first factor: true
	// a proxy's page: true
	// the same code again: true
	// orders: true
	// ended elsewhere: true
	// a day later: true
}

// A strategy of yours trades on paper: its order rests, the market comes to it, and the
// answer to the next order is lost.
func ExampleServer_Market() {
	t := new(tester) // in your test: func TestMyStrategy(t *testing.T)
	defer t.end()
	ctx := context.Background()

	// A time of its own: the exchange forgets the day's orders at 24:00.
	srv := neoapitest.NewServer(t, neoapitest.WithTime(time.Date(2031, time.March, 3, 4, 0, 0, 0, time.UTC)))
	ucc, market := srv.Account.UCC, srv.Market(t)
	market.Band("nse_cm", "TCS-EQ", "3000.00", "4000.00")
	market.SetPrice("nse_cm", "TCS-EQ", "3500.00")
	srv.Fund(t, ucc, "100000.00")

	client, err := neoapi.New(neoapi.Config{
		Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret,
		Clock: srv.Now,
	})
	if err == nil {
		err = client.Login(ctx, neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password})
	}
	if err == nil {
		_, err = client.Session2FA(ctx, srv.OTP(t))
	}
	if err != nil {
		t.Fatal(err)
	}
	place := func(tag string) error {
		order := fmt.Sprintf(`{"es":"nse_cm","ts":"TCS-EQ","tt":"B","qt":"10","pt":"L","pr":"3450","pc":"CNC","rt":"DAY","ig":%q}`, tag)
		return client.Do(ctx, "POST", "/quick/order/rule/ms/place", url.Values{"jData": {order}}, nil)
	}

	fmt.Println("placed:", place("first") == nil)
	fmt.Println(srv.Orders(t, ucc)[0].State, srv.Limits(t, ucc).Net)
	market.SetPrice("nse_cm", "TCS-EQ", "3440.00")
	fmt.Println(srv.Orders(t, ucc)[0].State, srv.Orders(t, ucc)[0].Average)

	market.SetPrice("nse_cm", "TCS-EQ", "3500.00") // the next one rests again
	srv.FailOrder(t, neoapitest.OrderFault{Op: "place", Fault: "lost", Tag: "second"})
	fmt.Println("answered:", place("second") == nil)
	fmt.Println("orders:", len(srv.Orders(t, ucc)))

	srv.Advance(24 * time.Hour) // the day is settled: the shares are a holding, the order has ended
	fmt.Println("positions:", len(srv.Positions(t, ucc)), "cash:", srv.Limits(t, ucc).Cash)
	// Output:
	// placed: true
	// open 65500.00
	// complete 3450.00
	// answered: false
	// orders: 2
	// positions: 0 cash: 65500.00
}
