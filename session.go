package neoapi

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"time"

	"neoapi/internal/claims"
	"neoapi/internal/paste"
	"neoapi/internal/wire"
)

// A Session is a trade session: the result of the second factor, which gives access
// to the trade API. Later calls carry Token in the header Auth and SID in the header
// Sid.
//
// It prints without its token. A copy shares Caches with the original.
type Session struct {
	Token        string               // the trade token; a secret. a JWT on all known services, which this package reads but does not verify
	SID          string               // the session's id
	RID          string               // the session's refresh id
	HSServerID   string               // the home server that the OMS assigned to the session; may be ""
	Caches       map[string]time.Time // when each data set last changed; entries whose time cannot be read are omitted
	UCC          string               // the account's unique client code
	GreetingName string
	KType        string    // "Trade", or "" from generation 1
	DataCenter   string    // names a group of servers; "" from generation 1
	BaseURL      string    // where the service expects later calls, or "". Used only within the environment it belongs to: see [Client.HTTPClient]
	FeedURL      string    // where the service has its market feed, or ""; from generation 3. See [Client.FeedClient]
	OrderFeedURL string    // and its order feed (rtUrl), or ""
	IssuedAt     time.Time // the token's iat in UTC, or the time of the answer if the token has none
	ExpiresAt    time.Time // the token's exp in UTC; zero if it has none, which does not mean that it never expires: see Ends

	// What the session belongs to, checked by [Client.Restore]; "" if not known.
	Environment string // "uat", "prod", or the service's base URL
	Consumer    string // identifies the consumer without its key: the start of a hash
	Owner       string // a slow hash of the login's identifier and the token, by which a [Keeper] recognises its account
}

// savedSession is the form of a session in a file: the original keys, the two times,
// and what the session belongs to.
type savedSession struct {
	wire.Session
	IssuedAt    time.Time `json:"issuedAt,omitzero"`
	ExpiresAt   time.Time `json:"expiresAt,omitzero"`
	Environment string    `json:"environment,omitzero"`
	Consumer    string    `json:"consumer,omitzero"`
	Owner       string    `json:"owner,omitzero"`
}

// Export returns the session as JSON with every field, the token included, in the
// original document's key names plus issuedAt and expiresAt (RFC 3339), environment,
// consumer and owner. Keep it where only its owner can read it, as a [FileStore] does.
// [ParseSession] reads it back. Cache times have a precision of a second. It fails with
// [ErrInvalidInput] if a time is past the year 9999.
func (s Session) Export() ([]byte, error) {
	saved := savedSession{
		Session: wire.Session{
			Token: s.Token, SID: s.SID, RID: s.RID, HSServerID: s.HSServerID, UCC: s.UCC, GreetingName: s.GreetingName,
			KType: s.KType, DataCenter: s.DataCenter, BaseURL: s.BaseURL, FeedURL: s.FeedURL, RTURL: s.OrderFeedURL, Caches: map[string]string{},
		},
		IssuedAt: s.IssuedAt, ExpiresAt: s.ExpiresAt, Environment: s.Environment, Consumer: s.Consumer, Owner: s.Owner,
	}
	for name, changed := range s.Caches {
		saved.Caches[name] = strconv.FormatInt(changed.Unix(), 10)
	}
	out, err := json.MarshalIndent(saved, "", "  ")
	if err != nil {
		return nil, &Error{Op: "export", Category: ErrInvalidInput, Message: "the session has a time that JSON cannot hold", Err: seal(err, nil), Retry: RetryNever}
	}
	return append(out, '\n'), nil
}

// ParseSession reads what [Session.Export] wrote. For anything else, or a session
// without a token, it returns [ErrInvalidInput]. An expired session is read too;
// [Client.Restore] and [Client.Use] refuse it.
func ParseSession(data []byte) (Session, error) {
	var saved savedSession
	if text, err := paste.Text(data); err == nil { // an editor may have left a byte-order mark
		data = text
	}
	if json.Unmarshal(data, &saved) != nil { // the error can quote the data, so it is dropped
		return Session{}, invalid("parse_session", "this is not a session that Export wrote")
	}
	if saved.Token == "" {
		return Session{}, invalid("parse_session", "the session has no token")
	}
	w := saved.Session
	s := Session{
		Token: w.Token, SID: w.SID, RID: w.RID, HSServerID: w.HSServerID, UCC: w.UCC, GreetingName: w.GreetingName,
		KType: w.KType, DataCenter: w.DataCenter, BaseURL: w.BaseURL, FeedURL: w.FeedURL, OrderFeedURL: w.RTURL, IssuedAt: saved.IssuedAt, ExpiresAt: saved.ExpiresAt,
		Environment: saved.Environment, Consumer: saved.Consumer, Owner: saved.Owner,
	}
	for name, changed := range w.Caches {
		s.setCache(name, changed)
	}
	return s, nil
}

func (s *Session) setCache(name, seconds string) {
	t := unixTime(seconds)
	if t.IsZero() {
		return
	}
	if s.Caches == nil {
		s.Caches = map[string]time.Time{}
	}
	s.Caches[name] = t
}

// clone returns a copy whose Caches a caller can change.
func (s Session) clone() Session {
	s.Caches = maps.Clone(s.Caches)
	return s
}

// readSession reads the data of a trade session's answer. It is lenient about
// everything but the token, because by now the code is spent: the sid defaults to the
// view session's, which the protocol keeps over both steps.
func readSession(data object, viewSID string) (Session, string) {
	s := Session{
		Token: data.text("token"), SID: data.text("sid"), RID: data.text("rid"), HSServerID: data.text("hsServerId"),
		UCC: data.text("ucc"), GreetingName: data.text("greetingName"),
		KType: data.text("kType"), DataCenter: data.text("dataCenter"), BaseURL: data.text("baseUrl"),
		FeedURL: data.text("feedUrl"), OrderFeedURL: data.text("rtUrl"),
	}
	if s.SID == "" {
		s.SID = viewSID
	}
	if problem := unfit(s.Token, s.SID); problem != "" {
		return Session{}, problem
	}
	for _, m := range toObject(data.at("caches")).members {
		s.setCache(string(m.name), toText(m.value))
	}
	c := readClaims(s.Token)
	// A proxy that drops the headers Sid and Auth turns the second factor into another
	// first factor, which an MPIN passes (docs/protocol.md, generation 1, step 4).
	if scope := string(c.at("scope")); strings.Contains(scope, claims.ScopeView) && !strings.Contains(scope, claims.ScopeTrade) {
		return Session{}, anotherView
	}
	s.IssuedAt, s.ExpiresAt = unixTime(c.text("iat")), unixTime(c.text("exp"))
	return s, ""
}

const anotherView = "the answer is another view session"

// unfit returns what is wrong with a token or sid for a header, or "".
func unfit(token, sid string) string {
	switch {
	case token == "":
		return "the answer has no token"
	case sid == "":
		return "the answer has no sid"
	case !visible(token) || !visible(sid):
		return "the answer's token or sid has characters that no header can carry"
	}
	return ""
}

// visible reports whether s consists of visible ASCII characters only.
func visible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// readClaims reads a JWT's payload without verifying it, as existing clients do: the
// client has no keys, and trusts none of it. It returns no object if the token is not a
// JWT.
func readClaims(token string) object {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return object{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return object{}
	}
	return toObject(payload)
}

// unixTime parses seconds since 1970. It returns the zero time for anything that is
// not a positive number or is past the year 9999, which JSON cannot represent.
func unixTime(seconds string) time.Time {
	const year10000 = 253402300800
	f, err := strconv.ParseFloat(seconds, 64)
	if err != nil || !(f >= 1 && f < year10000) {
		return time.Time{}
	}
	return time.Unix(int64(f), 0).UTC()
}
