package main

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"neoapi"
	"neoapi/internal/login"
	"neoapi/trade"
)

// inFlags describes a failure in terms of the command line instead of the client or
// the protocol.
func inFlags(err error) string {
	text := withoutCalls(err.Error(), err)
	if _, ok := errors.AsType[*login.Error](err); ok { // there may be several
		for field, flag := range fieldFlags {
			text = strings.ReplaceAll(text, field+": ", flag+": ")
		}
	} else if e, ok := errors.AsType[*neoapi.Error](err); ok {
		shown := *e
		shown.Hint, shown.Message = shellHint(e), shellAdvice(e.Message)
		said := shown.Error()
		if len(e.Problems) > 0 {
			said = flagProblems(e)
		}
		text = strings.Replace(text, e.Error(), said, 1)
	}
	if e, ok := errors.AsType[*trade.Invalid](err); ok {
		shown := *e
		shown.Problem = inOrders.Replace(e.Problem)
		text = strings.Replace(text, e.Error(), shown.Error(), 1)
	}
	text = strings.TrimPrefix(strings.TrimPrefix(text, "neoapi: "), "trade: ")
	return strings.NewReplacer(": neoapi: ", ": ", ": trade: ", ": ").Replace(text)
}

// inOrders replaces the names of functions with which a program mends its order. What
// the flags cannot express, such as a stop order without a price, needs none here.
var inOrders = strings.NewReplacer("; Slice cuts an order", "; place several orders", "a stop order is made by Stop", "a stop order has --stop")

// withoutCalls removes the names of system calls before the names of files from an
// error's text: "stat accounts.csv: no such file or directory".
func withoutCalls(text string, err error) string {
	if e, ok := err.(*fs.PathError); ok && slices.Contains([]string{"stat", "lstat", "open", "openat"}, e.Op) {
		return strings.ReplaceAll(text, e.Error(), e.Path+": "+e.Err.Error())
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return withoutCalls(text, e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			text = withoutCalls(text, err)
		}
	}
	return text
}

// fieldFlags are the flags of account fields that have other names on the wire.
var fieldFlags = map[string]string{"userid": "--user-id", "mobileNumber": "--mobile"}

// configFlags are the flags of the fields of a [neoapi.Config].
var configFlags = map[string]string{
	"Environment": "--env", "ConsumerKey": "--consumer-key", "ConsumerSecret": "the consumer secret", "AccessToken": "the access token",
	"InsecureHTTP": "--insecure-http",
}

// flagProblems describes the problems of a configuration in terms of flags.
func flagProblems(e *neoapi.Error) string {
	var all []string
	for _, p := range e.Problems {
		field := p.Field
		if flag := configFlags[field]; flag != "" {
			field = flag
		}
		all = append(all, field+" "+p.Text)
	}
	return strings.Join(all, "; ")
}

// shellAdvice rewrites a message that advises several steps for which the command line
// has one command.
func shellAdvice(message string) string {
	for _, advice := range []string{": ask for a new code, or log in again", "; log in again", ": log in again"} {
		if said, found := strings.CutSuffix(message, advice); found {
			return said + advice[:1] + " run neo login"
		}
	}
	return message
}

// shellHint returns a failure's hint for a person at a shell.
func shellHint(e *neoapi.Error) string {
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](e.Err)
	secondFactor := e.Op == "session_2fa" || e.Op == "totp_validate"
	switch {
	case e.Hint == "":
		return ""
	case untrusted && strings.Contains(e.Hint, "root certificate"):
		return "give its root certificate with --ca FILE, or find out what intercepts TLS on the way"
	case e.Retry == neoapi.RetryLoginAgain && e.Op != "logout" && e.Code != "1037", secondFactor && e.Retry == neoapi.RetrySame:
		return "run neo login"
	case errors.Is(e, neoapi.ErrOTPNotSent):
		return "run neo login for another code, or give the MPIN instead (--mpin-file)"
	}
	return e.Hint
}
