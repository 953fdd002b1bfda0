package neoapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"neoapi"
)

// Password, then one-time code. NEO_KEY and NEO_SECRET name the consumer.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()

	client, err := neoapi.New(neoapi.Config{
		Environment:    "http://127.0.0.1:9155",
		ConsumerKey:    os.Getenv("NEO_KEY"),
		ConsumerSecret: os.Getenv("NEO_SECRET"),
	})
	if err != nil {
		log.Fatal(err)
	}
	err = client.Login(ctx, neoapi.Credentials{Mobile: "+919999999908", Password: os.Getenv("NEO_PASSWORD")})
	if err != nil {
		log.Fatal(err)
	}
	for codes := bufio.NewScanner(os.Stdin); codes.Scan(); {
		session, err := client.Session2FA(ctx, codes.Text())
		switch {
		case errors.Is(err, neoapi.ErrWrongOTP), errors.Is(err, neoapi.ErrNetwork):
			fmt.Println(err) // another try, or the same code once more
			continue
		case err != nil:
			log.Fatal(err)
		}
		fmt.Println("logged in as", session.UCC, "until", session.ExpiresAt)
		defer client.Logout(ctx)
		return
	}
}

// TOTP, then MPIN. A consumer key is all that this way needs.
func ExampleClient_LoginTOTP() {
	ctx := context.Background()
	client, err := neoapi.New(neoapi.Config{Environment: neoapi.PROD, ConsumerKey: os.Getenv("NEO_KEY")})
	if err != nil {
		log.Fatal(err)
	}
	err = client.LoginTOTP(ctx, neoapi.TOTP{Mobile: "+919999999908", UCC: "TESTYA24", Code: os.Getenv("NEO_TOTP")})
	if err != nil {
		log.Fatal(err)
	}
	session, err := client.ValidateMPIN(ctx, os.Getenv("NEO_MPIN"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(session.UCC)
}

// A session outlives the program that opened it.
func ExampleSession_Export() {
	var session neoapi.Session // from Session2FA
	data, err := session.Export()
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile("session.json", data, 0o600); err != nil {
		log.Fatal(err)
	}
}

// A bad configuration is refused with everything that is wrong with it.
func ExampleNew() {
	_, err := neoapi.New(neoapi.Config{Environment: "http://neo.example.com", ConsumerSecret: "s"})
	fmt.Println(errors.Is(err, neoapi.ErrInvalidInput))
	fmt.Println(err)
	// Output:
	// true
	// neoapi: new: invalid input: Environment: http would send passwords in the clear; use https, or set InsecureHTTP; ConsumerKey is missing (or give an AccessToken); ConsumerSecret is of no use without ConsumerKey
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
