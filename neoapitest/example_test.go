package neoapitest_test

import (
	"context"
	"errors"
	"fmt"
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
