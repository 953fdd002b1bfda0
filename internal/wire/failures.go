package wire

import "net/http"

// A Category is the kind of failure that a code means, so that a program can decide
// without knowing codes.
type Category string

// The categories of [Failures].
const (
	CategoryInput        Category = "invalid input"        // the request is wrong; sending it again cannot help
	CategoryAccess       Category = "access token"         // the consumer is not recognised
	CategoryCredentials  Category = "wrong credentials"    // password, OTP, MPIN or TOTP refused
	CategorySession      Category = "session ended"        // the session does not exist or has ended
	CategoryTokenKind    Category = "wrong token kind"     // a view token where a trade token belongs, or the reverse
	CategoryLocked       Category = "locked"               // too many bad tries
	CategoryRateLimited  Category = "rate limited"         // too many requests; wait Retry-After
	CategoryOTPNotSent   Category = "OTP not sent"         // no code could be generated or delivered
	CategoryIPNotAllowed Category = "address not allowed"  // the caller's address is not on the list
	CategoryInternal     Category = "service fault"        // a fault of the service
	CategoryOMSDown      Category = "OMS down"             // the OMS refused or could not be reached
	CategoryUnavailable  Category = "service unavailable"  // store down, overload, maintenance; wait Retry-After
	CategoryTimeout      Category = "timeout"              // the OMS or the trade API did not answer in time
	CategoryNoData       Category = "no data"              // an empty report; not an error to a person
	CategoryUnknown      Category = "unrecognised failure" // met by clients only: a shape or code not in the table
)

// A Failure is one row of the table of error codes.
type Failure struct {
	Code     string
	Status   int // what the service answers with this code, unless the HTTP layer has a closer one (404, 405, 413, 415, 431)
	Category Category
	Meaning  string
}

// The rows, by name. Codes of five and more digits, and 1037 and 5203, come from
// existing services. Existing services have no code for the four faults of the
// service itself: there the status doubles as the code.
var (
	BadInput      = Failure{"10300", http.StatusBadRequest, CategoryInput, "the input is not valid"}
	HeaderMissing = Failure{"10512", http.StatusUnauthorized, CategorySession, "a required header is missing"}
	WrongSecret   = Failure{"10020", http.StatusUnauthorized, CategoryCredentials, "authentication failed"}
	OTPNotSent    = Failure{"10522", http.StatusInternalServerError, CategoryOTPNotSent, "the OTP could not be generated"}
	BadAccess     = Failure{"900901", http.StatusUnauthorized, CategoryAccess, "the access token is invalid or has expired"}
	NoAccess      = Failure{"900902", http.StatusUnauthorized, CategoryAccess, "the access token is missing"}
	Throttled     = Failure{"900802", http.StatusTooManyRequests, CategoryRateLimited, "too many requests"}
	Policy        = Failure{"900807", http.StatusTooManyRequests, CategoryRateLimited, "asked for too often"}
	Locked        = Failure{"70009", http.StatusTooManyRequests, CategoryLocked, "locked after too many bad tries"}
	IPNotAllowed  = Failure{"100008", http.StatusUnauthorized, CategoryIPNotAllowed, "the client's address is not allowed"}
	IPChanged     = Failure{"1037", http.StatusUnauthorized, CategoryIPNotAllowed, "the session was opened from another address"}
	WrongToken    = Failure{"100021", http.StatusUnauthorized, CategoryTokenKind, "the wrong kind of token"}
	BadSession    = Failure{"100022", http.StatusUnauthorized, CategorySession, "the session token is invalid or has ended"}
	NoData        = Failure{"5203", http.StatusOK, CategoryNoData, "there is no data"}
	Internal      = Failure{"500", http.StatusInternalServerError, CategoryInternal, "an unexpected fault of the service"}
	OMSDown       = Failure{"502", http.StatusBadGateway, CategoryOMSDown, "not able to communicate with the OMS"}
	Unavailable   = Failure{"503", http.StatusServiceUnavailable, CategoryUnavailable, "the service is unavailable"}
	Timeout       = Failure{"504", http.StatusGatewayTimeout, CategoryTimeout, "the OMS or the trade API did not answer in time"}
)

// Failures is the one table of error codes: the service answers with no other
// code, and the client reads its categories from here.
var Failures = []Failure{
	BadInput, HeaderMissing, WrongSecret, OTPNotSent, BadAccess, NoAccess, Throttled, Policy, Locked,
	IPNotAllowed, IPChanged, WrongToken, BadSession, NoData, Internal, OMSDown, Unavailable, Timeout,
}

// Lookup returns the row of code, or false if the table has none.
func Lookup(code string) (Failure, bool) {
	for _, f := range Failures {
		if f.Code == code {
			return f, true
		}
	}
	return Failure{}, false
}
