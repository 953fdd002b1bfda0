package wire

import "net/http"

// An Op is one operation of the protocol. Several addresses lead to each.
type Op string

// The operations. OpValidate is login when a request carries neither Sid nor
// Auth, and session_2fa when it carries both.
const (
	OpAccessToken  Op = "access_token"
	OpValidate     Op = "validate"
	OpOTP          Op = "otp"
	OpTOTPLogin    Op = "totp_login"
	OpTOTPValidate Op = "totp_validate"
	OpLogout       Op = "logout"
	OpClientIP     Op = "client_ip"
	OpBaseURL      Op = "base_url"
	OpConfig       Op = "config"
)

// The operations of standards, for others that deal with tokens.
const (
	OpKeySet        Op = "key_set"       // RFC 7517
	OpMetadata      Op = "metadata"      // RFC 8414
	OpIntrospection Op = "introspection" // RFC 7662
	OpRevocation    Op = "revocation"    // RFC 7009
	OpRevocations   Op = "revocations"   // our own: the list of revoked tokens
)

// A Family is a set of addresses that one kind of client uses together.
type Family uint8

// The families. Gen1UAT and Gen1PROD are the original client in its two
// environments; Gen2 and Gen3 log in by TOTP and MPIN.
const (
	Gen1UAT Family = 1 << iota
	Gen1PROD
	Gen2
	Gen3
)

// A Route is one address of one operation.
type Route struct {
	Op       Op
	Method   string
	Path     string
	Families Family // which clients use this address
}

// SaysGen3 reports whether failures at the route have the form that generation 3's documents
// describe: nobody else calls there.
func (r Route) SaysGen3() bool { return r.Families == Gen3 && r.Op != OpConfig }

// Routes is every address of the operations above, once each. Within a family the
// first route of an operation is the one a client should use. Those of trade calls
// are in package tradewire.
var Routes = []Route{
	{OpAccessToken, http.MethodPost, "/oauth2/token", Gen1UAT | Gen1PROD | Gen2},

	{OpValidate, http.MethodPost, "/api/1.0/login/v2/validate", Gen1UAT},
	{OpValidate, http.MethodPost, "/login/1.0/login/v2/validate", Gen1PROD},
	{OpValidate, http.MethodPost, "/apim/login/2.0/login/v2/validate", Gen2},

	{OpOTP, http.MethodPost, "/api/1.0/login/otp/generate", Gen1UAT},
	{OpOTP, http.MethodPost, "/login/1.0/login/otp/generate", Gen1PROD},
	{OpOTP, http.MethodPost, "/apim/login/2.0/login/otp/generate", Gen2},

	{OpTOTPLogin, http.MethodPost, "/apim/login/2.0/login/v6/totp/login", Gen2},
	{OpTOTPLogin, http.MethodPost, "/login/1.0/login/v6/totp/login", Gen2},
	{OpTOTPLogin, http.MethodPost, "/api/1.0/login/v6/totp/login", Gen2},
	{OpTOTPLogin, http.MethodPost, "/login/1.0/tradeApiLogin", Gen3},

	{OpTOTPValidate, http.MethodPost, "/apim/login/2.0/login/v6/totp/validate", Gen2},
	{OpTOTPValidate, http.MethodPost, "/login/1.0/login/v6/totp/validate", Gen2},
	{OpTOTPValidate, http.MethodPost, "/api/1.0/login/v6/totp/validate", Gen2},
	{OpTOTPValidate, http.MethodPost, "/login/1.0/tradeApiValidate", Gen3},

	{OpLogout, http.MethodPost, "/apim/login/2.0/logout", Gen2},
	{OpLogout, http.MethodPost, "/api/1.0/logout", Gen1UAT | Gen2},
	{OpLogout, http.MethodPost, "/login/1.0/logout", Gen1PROD},

	{OpClientIP, http.MethodGet, "/login/1.0/get-client-ip", Gen3},
	{OpBaseURL, http.MethodGet, "/algo-user/v5/get-base-url", Gen2},
	{OpConfig, http.MethodGet, "/5config/config", Gen3},
}

// Standards is every address of the operations of standards. No client of the
// protocol uses them.
var Standards = []Route{
	{OpKeySet, http.MethodGet, PathKeySet, 0},
	{OpMetadata, http.MethodGet, "/.well-known/oauth-authorization-server", 0},
	{OpIntrospection, http.MethodPost, PathIntrospection, 0},
	{OpRevocation, http.MethodPost, PathRevocation, 0},
	{OpRevocations, http.MethodGet, PathRevocations, 0},
}

// The addresses that [Standards] gives to operations which others name.
const (
	PathKeySet        = "/.well-known/jwks.json"
	PathIntrospection = "/oauth2/introspect"
	PathRevocation    = "/oauth2/revoke"
	PathRevocations   = "/oauth2/revocations"
)

// Path returns the address that clients of family f use for op, or "" if that
// family has none.
func Path(op Op, f Family) string {
	for _, r := range Routes {
		if r.Op == op && r.Families&f != 0 {
			return r.Path
		}
	}
	return ""
}
