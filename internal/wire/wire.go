// Package wire has what the client and the service share about the Neo protocol: the
// addresses of each operation, the shapes of requests and answers, the header names,
// and the one table of error codes.
//
// Start with [Routes] for the addresses and [Failures] for the codes. The facts come
// from existing services and from the original document (docs/protocol.md has all of
// them); nothing in here decides anything.
package wire

// Request and answer headers that the protocol gives a meaning to. HTTP header
// names have no case; existing clients send both "sid" and "Sid".
const (
	HeaderSID            = "Sid"             // the session's id, in the second factor and after login
	HeaderAuth           = "Auth"            // the view token (second factor) or the trade token (after login)
	HeaderRID            = "Rid"             // sent by the Node client with session_2fa, and by it alone
	HeaderFinKey         = "Neo-Fin-Key"     // a constant that clients send along; not a credential
	HeaderClientID       = "X-Client-Id"     // the first characters of the consumer key, from generation 3; not a credential
	HeaderRequestID      = "X-Request-Id"    // names one attempt: a repeat with the same id gets the same session
	HeaderIdempotencyKey = "Idempotency-Key" // the same promise under its standard name

	// Between the service and the trade API behind it; no client sends them.
	HeaderIdentity = "Neo-Identity" // whose session it is, signed: see claims.Identity
	HeaderRefusal  = "Neo-Refusal"  // of forward authentication: the body of its refusal once more
)

// FinKey is the value clients put into [HeaderFinKey].
const FinKey = "neotradeapi"

// MaxBody is the largest request body the service reads, in bytes (security.md H3).
const MaxBody = 16 << 10

// MaxTradeBody is the largest request body that goes through to the trade API, in
// bytes. It is not read into memory.
const MaxTradeBody = 1 << 20

// Success is the body of every successful answer of the session operations. A
// success has a data object and no error key at all: existing clients decide by
// the presence of that key.
type Success[T any] struct {
	Data T `json:"data"`
}

// Failed is the body of every failure of the session operations.
type Failed struct {
	Error []Problem `json:"error"`
}

// Problem is one entry of [Failed].
type Problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// StatusFailed is what generation 3's documents say of a failed login. Some clients show
// nothing else.
type StatusFailed struct {
	Status    string `json:"status"` // "error"
	Message   string `json:"message"`
	ErrorCode string `json:"errorCode"`
}

// Gen3Failed is the body of a failure at an address of generation 3: its documented form
// beside the others'.
type Gen3Failed struct {
	Failed
	StatusFailed
}

// NewGen3Failed returns the failure with a code and a message.
func NewGen3Failed(code, message string) Gen3Failed {
	return Gen3Failed{Failed{Error: []Problem{{Code: code, Message: message}}}, StatusFailed{Status: "error", Message: message, ErrorCode: code}}
}

// OAuthFailed is the body of a refused access token (RFC 6749, section 5.2).
type OAuthFailed struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// AccessToken is the answer of the access token operation (RFC 6749, section 5.1).
type AccessToken struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	Scope       string `json:"scope"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
}

// Session is the data of the answers that open a session: the view session of the
// first factor and the trade session of the second. The first block is the original
// document's and always present. The second block is for later generations; answers
// to generation 1 omit it, so that they contain only the original keys.
type Session struct {
	Token        string            `json:"token"`
	SID          string            `json:"sid"`
	RID          string            `json:"rid"`
	HSServerID   string            `json:"hsServerId"`
	Caches       map[string]string `json:"caches"` // data set -> unix seconds of its last change
	UCC          string            `json:"ucc"`
	GreetingName string            `json:"greetingName"`

	KType      string `json:"kType,omitempty"`      // "View" or "Trade"
	Status     string `json:"status,omitempty"`     // "success"
	DataCenter string `json:"dataCenter,omitempty"` // names the group of servers
	BaseURL    string `json:"baseUrl,omitempty"`    // where later calls go; left out when the service does not know its own address
	FeedURL    string `json:"feedUrl,omitempty"`    // where the market feed is
	RTURL      string `json:"rtUrl,omitempty"`      // where the order feed is
}

// OTPSent is the data of the OTP operation's answer. It is the same whether or
// not the user exists or has a login waiting.
type OTPSent struct {
	Message     string `json:"message"`
	Digits      int    `json:"otpLength"`
	ExpiresIn   int64  `json:"expiresIn"`   // seconds the code lives
	ResendAfter int64  `json:"resendAfter"` // seconds before another code may be asked for
}

// LoggedOut is the data of the logout operation's answer.
type LoggedOut struct {
	Message string `json:"message"`
}

// BaseURL is the data of the base URL operation's answer.
type BaseURL struct {
	BaseURL string `json:"baseURL"`
}

// ClientIP is the whole answer of the client IP operation.
type ClientIP struct {
	Data   []ObservedIP `json:"data"`
	StCode int          `json:"stCode"`
	Status string       `json:"status"`
}

// ObservedIP is the address a request came from, and when (RFC 3339).
type ObservedIP struct {
	IP   string `json:"ip"`
	Time string `json:"time"`
}

// NotOk is the trade API's failure.
type NotOk struct {
	Stat   string `json:"stat"` // "Not_Ok"
	StCode int    `json:"stCode"`
	ErrMsg string `json:"errMsg"`
	EMsg   string `json:"emsg"` // the same: some clients read the one, some the other
}

// NewNotOk returns a failure of the trade API.
func NewNotOk(code int, message string) NotOk { return NotOk{"Not_Ok", code, message, message} }

// Verified is the data of forward authentication's answer: what claims.Identity
// says, unsigned.
type Verified struct {
	UCC        string `json:"ucc"`
	SID        string `json:"sid"`
	HSServerID string `json:"hsServerId"`
	Consumer   string `json:"consumer"`
}

// Introspection is the answer of the introspection operation (RFC 7662, section
// 2.2): Active alone for a token that is not.
type Introspection struct {
	Active    bool   `json:"active"`
	Scope     string `json:"scope,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	TokenType string `json:"token_type,omitempty"` // "Bearer" for an access token
	Exp       int64  `json:"exp,omitempty"`
	Iat       int64  `json:"iat,omitempty"`
	Sub       string `json:"sub,omitempty"`
	Iss       string `json:"iss,omitempty"`
	Jti       string `json:"jti,omitempty"`
	SID       string `json:"sid,omitempty"` // of the asking consumer's own sessions
}

// Metadata is the answer of the metadata operation (RFC 8414, section 2).
type Metadata struct {
	Issuer                    string   `json:"issuer"`
	TokenEndpoint             string   `json:"token_endpoint"`
	KeySet                    string   `json:"jwks_uri"`
	ResponseTypes             []string `json:"response_types_supported"` // required, and always empty
	GrantTypes                []string `json:"grant_types_supported"`
	TokenEndpointAuth         []string `json:"token_endpoint_auth_methods_supported"`
	RevocationEndpoint        string   `json:"revocation_endpoint"`
	RevocationEndpointAuth    []string `json:"revocation_endpoint_auth_methods_supported"`
	IntrospectionEndpoint     string   `json:"introspection_endpoint"`
	IntrospectionEndpointAuth []string `json:"introspection_endpoint_auth_methods_supported"`
}

// Revocations is the answer of the revocations operation.
type Revocations struct {
	// Revocations are the trade tokens whose sessions ended before the tokens expire,
	// in the order in which they ended.
	Revocations []Revocation `json:"revocations"`
	Next        int64        `json:"next"` // where to continue; below the number asked after if numbering has started over
	More        bool         `json:"more"` // there are more already
	Keys        []string     `json:"keys"` // the ids of all signing keys: tokens of others are refused
}

// Revocation is one trade token that is refused before it expires.
type Revocation struct {
	Jti string `json:"jti"`
	Exp int64  `json:"exp"`
}
