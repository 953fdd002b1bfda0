// Package neoapi is the client of the Neo session protocol: it proves who you
// are twice and hands you the final session token that opens the trade API.
//
// Start with [New]. Then log in by one of the two ways, each of which has two
// steps:
//
//   - password (or MPIN), then a one-time code: [Client.Login], which also asks
//     for the code, then [Client.Session2FA];
//   - TOTP, then MPIN: [Client.LoginTOTP], then [Client.ValidateMPIN].
//
// The second step returns the trade [Session]. [Client.Logout] ends it. Between the
// two, [Client.HTTPClient] is an http.Client for the trade API, [Client.Do] decodes
// its answers, and [Client.Orders] and its neighbours know its reports.
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
// A [Keeper] does this by itself, whenever a session is needed: [Client.Keep]
// takes functions that give it the secrets, and [Keeper.Session] returns a session
// that has not ended. The client's calls have theirs from it. With a [SessionStore], a file ([NewFileStore]) or the
// system's keyring (package neoapi/keyring), the session outlives the program, and
// many processes share one login; each account has a store of its own. Without a keeper, [SessionStore] and
// [Client.Restore] do the same by hand.
//
// # Failures
//
// Every failure is an [*Error]; compare with [errors.Is] and the Err constants
// of [Category]. Its Hint says what a person can do, its Retry whether trying again
// can help. When nothing works, [Diagnose] finds out why: settings, network,
// certificate, clock, session; on the command line it is neo doctor.
//
// What the client promises:
//
//   - It sends each step of a login at most once, so a code is never submitted twice
//     by itself, and an order never; which trade calls are sent again, and when, is
//     said at [Client.HTTPClient]. After a broken connection, call the same method
//     with the same code again: the request carries the same X-Request-Id as
//     before, and a service that had already accepted the code answers with the
//     same session (docs/design.md).
//   - It sends no more than 10 requests a second for a consumer, or Config.Rate,
//     counting all that the service counts, over all clients of the process and all
//     processes that share a store.
//   - A session is used for the account that it belongs to, and for no other.
//   - It follows no redirect and talks to no host but those of the [Environment]; of
//     a session's BaseURL it takes another host only if it is of the same service.
//   - Nothing in this package prints a secret: not %v, %+v or %#v, not log/slog,
//     not encoding/json, not an error. [Session.Export] and the stores are the
//     deliberate ways out. One limit is Go's own: fmt prints the unexported
//     fields of your types without asking the values in them, so keep a Config,
//     Credentials, TOTP or Session in an exported field or behind a pointer.
//   - It writes nothing to standard output, to no log but those of Config and
//     KeepConfig, and to no file but those of the stores that you make.
//
// docs/client.md is a guide, with the table of hints and what each method of the
// Python client is here. The facts about the protocol are in docs/protocol.md.
package neoapi
