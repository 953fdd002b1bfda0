package main

import (
	"errors"
	"strings"

	"neoapi"
	"neoapi/internal/login"
)

// inFlags says a failure in the words of the command line: the client's texts name
// what a Go program sets and calls.
func inFlags(err error) string {
	text := strings.ReplaceAll(strings.TrimPrefix(err.Error(), "neoapi: "), ": neoapi: ", ": ")
	if e := (*login.Error)(nil); errors.As(err, &e) {
		return fieldWords.Replace(text)
	}
	if e := (*neoapi.Error)(nil); !errors.As(err, &e) {
		return text
	}
	return flagWords.Replace(text)
}

// fieldWords is what stands on the command line for a field of an account that is
// called otherwise on the wire.
var fieldWords = strings.NewReplacer("userid: ", "--user-id: ", "mobileNumber: ", "--mobile: ")

// flagWords is what stands on the command line for a word of the client's. Whole
// phrases come before the words in them.
var flagWords = strings.NewReplacer(
	"new: invalid input: ", "",
	"diagnose: invalid input: ", "",
	"Environment is missing: give UAT, PROD or the base URL of a service", "--env is missing: give uat, prod or the address of a service",
	"Environment is neither UAT nor PROD nor a base URL", "--env is neither uat nor prod nor an address",
	"Environment: ", "--env: ",
	"set InsecureHTTP", "give --insecure-http",
	"ConsumerKey is missing (or give an AccessToken)", "--consumer-key is missing",
	"ConsumerSecret is of no use without ConsumerKey", "the consumer secret is of no use without --consumer-key",
	"set ConsumerKey and ConsumerSecret, or AccessToken, in the Config", "give --consumer-key and the consumer secret",
	"give a new AccessToken, or the ConsumerSecret to fetch one", "try again with the consumer secret, with which a new one is fetched",
	"ConsumerKey", "--consumer-key",
	"ConsumerSecret", "the consumer secret",
	"AccessToken", "the access token",
	"that Client.ClientIP tells", "that neo doctor tells",
	"the second factor is still missing: Session2FA, or ValidateMPIN", "the second factor is still missing: run neo login",
	"log in again; a Keeper does so by itself", "run neo login",
	"ask for another with SendOTP, or give the MPIN to Session2FA instead", "run neo login again for another code, or give the MPIN instead (--mpin-file)",
	"send the same code again: it still works", "run neo login again",
	"call again", "run it again",
	"trust its root in Config.HTTPClient", "give its root with --ca FILE",
)
