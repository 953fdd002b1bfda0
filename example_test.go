package neoapi_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"path/filepath"
	"time"

	"neoapi"
	"neoapi/neoapitest"
)

// Password, then one-time code.
func Example() {
	srv, _, stop := sandbox() // the real service, for this example
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()

	client, err := neoapi.New(neoapi.Config{
		Environment:    neoapi.Environment(srv.URL), // neoapi.PROD, neoapi.UAT or any other service's address
		ConsumerKey:    srv.ConsumerKey,
		ConsumerSecret: srv.ConsumerSecret,
	})
	if err != nil {
		log.Fatal(err)
	}
	err = client.Login(ctx, neoapi.Credentials{Mobile: "+919999999908", Password: srv.Account.Password})
	if err != nil {
		log.Fatal(err)
	}
	// The code comes to a phone; a person types it, and may mistype it.
	for _, code := range []string{"12", srv.OTP(new(stage))} {
		session, err := client.Session2FA(ctx, code)
		switch {
		case errors.Is(err, neoapi.ErrWrongOTP), errors.Is(err, neoapi.ErrInvalidInput), errors.Is(err, neoapi.ErrNetwork):
			fmt.Println(err) // another try, or the same code once more
			continue
		case err != nil:
			log.Fatal(err)
		}
		fmt.Println("logged in as", session.UCC, "until", session.ExpiresAt.Sub(session.IssuedAt), "from now")
	}
	fmt.Println("logged out:", client.Logout(ctx) == nil)
	// Output:
	// neoapi: session_2fa: invalid input: a code is 4 to 8 digits: this one has 2 digits
	// logged in as TESTYA24 until 1h0m0s from now
	// logged out: true
}

// TOTP, then MPIN. A consumer key is all that this way needs.
func ExampleClient_LoginTOTP() {
	srv, _, stop := sandbox() // the real service, for this example
	defer stop()
	ctx := context.Background()

	client, err := neoapi.New(neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey})
	if err != nil {
		log.Fatal(err)
	}
	code := srv.TOTP(new(stage)) // as the authenticator shows it
	err = client.LoginTOTP(ctx, neoapi.TOTP{Mobile: "+919999999908", UCC: "TESTYA24", Code: code})
	if err != nil {
		log.Fatal(err)
	}
	session, err := client.ValidateMPIN(ctx, srv.Account.MPIN)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(session.UCC, session.GreetingName)
	// Output: TESTYA24 Test User
}

// Why does the login fail? Here the key came out of a file with its quotes, and the
// mobile number lacks its plus. Nobody is logged in by this.
func ExampleDiagnose() {
	srv, _, stop := sandbox() // the real service, for this example
	defer stop()

	findings := neoapi.Diagnose(context.Background(),
		neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: `"` + srv.ConsumerKey + `"`},
		neoapi.Subject{Mobile: "919999999908", UCC: "TESTYA24"})
	for _, f := range findings {
		if f.Verdict == neoapi.VerdictFailed {
			fmt.Println(f.Check+":", f.Detail)
		}
	}
	// Output:
	// setting: ConsumerKey has quotes around it, probably from a file or shell: remove them
	// setting: the mobile number needs +91, with its plus
}

// A bad configuration is refused with everything that is wrong with it.
func ExampleNew() {
	_, err := neoapi.New(neoapi.Config{Environment: "http://neo.example.com", ConsumerSecret: "s"})
	fmt.Println(errors.Is(err, neoapi.ErrInvalidInput))
	fmt.Println(err)
	// Output:
	// true
	// neoapi: new: invalid input: InsecureHTTP is not set, and http would send passwords in the clear: use https; ConsumerKey is missing, and there is no access token in its place; ConsumerSecret requires the consumer key
}

// How long to wait is part of the error.
func ExampleError() {
	err := error(&neoapi.Error{
		Op: "otp", Category: neoapi.ErrRateLimited, Status: 429, Code: "900807", Message: "asked too soon", RetryAfter: 29 * time.Second,
	})
	var e *neoapi.Error
	if errors.Is(err, neoapi.ErrRateLimited) && errors.As(err, &e) {
		fmt.Println("again in", e.RetryAfter)
	}
	fmt.Println(err)
	// Output:
	// again in 29s
	// neoapi: otp: rate limited (429, code 900807, retry after 29s): asked too soon
}

// A program that logs in by itself, as a job at 08:45 or for weeks, and shares
// its session with all others that name the same file. Of its secrets it is asked
// for each only when a login needs it: read them from wherever you keep them.
func ExampleClient_Keep() {
	srv, dir, stop := sandbox() // the real service, for this example
	defer stop()
	ctx := context.Background()

	client, err := neoapi.New(neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey})
	if err != nil {
		log.Fatal(err)
	}
	store, err := neoapi.NewFileStore(filepath.Join(dir, "session.json"))
	if err != nil {
		log.Fatal(err)
	}
	keeper, err := client.Keep(neoapi.KeepConfig{
		Store: store,
		Login: neoapi.Login{
			TOTPSeed: func(context.Context) (string, error) { return srv.Account.TOTPSeed, nil },
			Mobile:   srv.Account.Mobile,
			UCC:      srv.Account.UCC,
			MPIN:     func(context.Context) (string, error) { return srv.Account.MPIN, nil },
		},
		OnLogin: func(s neoapi.Session) { fmt.Println("logged in as", s.UCC) },
		RenewAt: neoapi.Daily(8, 45),
	})
	if err != nil {
		log.Fatal(err)
	}

	// A program that runs for weeks leaves this to go keeper.Run(ctx).
	for range 3 {
		session, err := keeper.Session(ctx) // before each call of the trade API
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(session.GreetingName, session.Ends().After(time.Now()))
	}
	// Output:
	// logged in as TESTYA24
	// Test User true
	// Test User true
	// Test User true
}

// Each account has a client, a keeper and a file of its own.
func ExampleKeeper_accounts() {
	srv, dir, stop := sandbox(neoapitest.WithAccounts(2)) // the real service, for this example
	defer stop()
	ctx := context.Background()

	keepers := map[string]*neoapi.Keeper{}
	for ucc, mobile := range map[string]string{"TEST000001": "+919900000001", "TEST000002": "+919900000002"} {
		client, err := neoapi.New(neoapi.Config{
			Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret,
		})
		if err != nil {
			log.Fatal(err)
		}
		store, err := neoapi.NewFileStore(filepath.Join(dir, ucc+".json"))
		if err != nil {
			log.Fatal(err)
		}
		keepers[ucc], err = client.Keep(neoapi.KeepConfig{
			Store: store,
			Login: neoapi.Login{
				Credentials: func(context.Context) (neoapi.Credentials, error) {
					return neoapi.Credentials{Mobile: mobile, Password: srv.Account.Password}, nil
				},
				MPIN: func(context.Context) (string, error) { return srv.Account.MPIN, nil },
			},
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	for _, ucc := range []string{"TEST000001", "TEST000002"} {
		session, err := keepers[ucc].Session(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(session.UCC)
	}
	// Output:
	// TEST000001
	// TEST000002
}

// A session outlives the program that opened it, in a file that nobody can read
// without the pass phrase.
func ExampleFileStore() {
	srv, dir, stop := sandbox() // the real service, for this example
	defer stop()
	ctx := context.Background()

	passphrase := func(context.Context) (string, error) { return "correct horse battery staple", nil } // ask a person
	store, err := neoapi.NewFileStore(filepath.Join(dir, "session"), neoapi.WithPassphrase(passphrase))
	if err != nil {
		log.Fatal(err)
	}
	config := neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret}
	client, err := neoapi.New(config)
	if err != nil {
		log.Fatal(err)
	}
	if err := client.Login(ctx, neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password, NoOTP: true}); err != nil {
		log.Fatal(err)
	}
	session, err := client.Session2FA(ctx, srv.Account.MPIN)
	if err != nil {
		log.Fatal(err)
	}
	if err := store.Save(ctx, session); err != nil {
		log.Fatal(err)
	}

	// Later, in another process:
	later, err := neoapi.New(config)
	if err != nil {
		log.Fatal(err)
	}
	saved, err := store.Load(ctx)
	switch {
	case errors.Is(err, neoapi.ErrNotLoggedIn):
		fmt.Println("log in first")
	case err != nil:
		log.Fatal(err)
	}
	if err := later.Restore(saved); err != nil { // says why, if the session cannot be used here
		log.Fatal(err)
	}
	fmt.Println("still logged in as", saved.UCC)

	live, err := neoapi.New(neoapi.Config{Environment: neoapi.PROD, ConsumerKey: srv.ConsumerKey})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("a sandbox session goes to production:", live.Restore(saved) == nil)
	// Output:
	// still logged in as TESTYA24
	// a sandbox session goes to production: false
}
