// Package neoapi is the client of the Neo session protocol: it takes you through both
// factors of a login to the session token that opens the trade API.
//
// Start with [New]. Then log in by one of the two ways, each of which has two
// steps:
//
//   - password (or MPIN), then a one-time code: [Client.Login], which also asks
//     for the code, then [Client.Session2FA];
//   - TOTP, then MPIN: [Client.LoginTOTP], then [Client.ValidateMPIN].
//
// The second step returns the trade [Session]. [Client.Logout] ends it. Between the
// two, [Client.HTTPClient] is an http.Client for the trade API, and [Client.Do]
// decodes its answers. [KeyAlone] calls what needs no session, [Client.Download] gets the
// files that the service names, and [Client.FeedClient] opens its feeds. Package
// neoapi/trade has orders and reports.
//
//	client, err := neoapi.New(neoapi.Config{
//		Environment:    "http://127.0.0.1:9155", // or neoapi.UAT, neoapi.PROD
//		ConsumerKey:    key,
//		ConsumerSecret: secret,
//	})
//	if err != nil {
//		return err
//	}
//	err = client.Login(ctx, neoapi.Credentials{Mobile: "+919999999908", Password: password})
//	if err != nil {
//		return err
//	}
//	session, err := client.Session2FA(ctx, otp) // the code that the user received
//	if errors.Is(err, neoapi.ErrWrongOTP) {
//		// ask the user again
//	}
//
// # Keeping a session
//
// A [Keeper] logs in by itself whenever a session is needed: [Client.Keep] takes functions that return the secrets,
// and [Keeper.Session] returns a session that has not ended. The client's calls use that session. With a
// [SessionStore], a file ([NewFileStore]) or the system's keyring (package neoapi/keyring), the session outlives
// the program, and many processes share one login; each account needs its own store. Without a keeper,
// [SessionStore] and [Client.Restore] do the same by hand.
//
// # Failures
//
// Every failure is an [*Error]; compare with [errors.Is] and the Err constants of
// [Category]. Its Hint says what a person can do, and its Retry whether trying again
// can help. When nothing works, [Diagnose] (on the command line, neo doctor) checks
// settings, network, certificate, clock and session.
//
// What the client promises:
//
//   - It sends each step of a login at most once, so it never submits a code twice by
//     itself, nor an order; [Client.HTTPClient] says which trade calls are sent again.
//     After a broken connection, call the same method with the same code again: the
//     request carries the same X-Request-Id, and a service that has already accepted
//     the code answers with the same session (docs/design.md).
//   - It sends no more than 10 requests a second for a consumer, or Config.Rate,
//     counting everything the service counts, over all clients in the process and all
//     processes that share a store.
//   - A session is used only for the account that it belongs to.
//   - It follows no redirect and talks only to the hosts of the [Environment]; another
//     host in a session's BaseURL or feeds is used only if it belongs to the same service.
//     [Client.Download] alone goes elsewhere, without credentials.
//   - Nothing in this package prints a secret: not %v, %+v or %#v, not log/slog, not
//     encoding/json, not an error. [Session.Export] and the stores are the deliberate
//     exceptions. One limit is Go's own: fmt prints unexported fields of your types
//     without calling their methods, so keep a Config, Credentials, TOTP or Session in
//     an exported field or behind a pointer.
//   - It writes nothing to standard output, logs only to those of Config and
//     KeepConfig, and writes only the files of stores that you make.
//
// docs/client.md is the guide, with the table of hints and the counterparts of the
// Python client's methods. docs/protocol.md specifies the protocol.
package neoapi
