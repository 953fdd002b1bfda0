package httpapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"neoapi/internal/claims"
	"neoapi/internal/credential"
	"neoapi/internal/front"
	"neoapi/internal/login"
	"neoapi/internal/tradewire"
	"neoapi/internal/wire"
)

// access is how a route's callers identify their consumer.
type access int

const (
	accessOpen        access = iota // not at all
	accessBearer                    // Authorization: Bearer <access token>
	accessBearerOrKey               // the same, or the bare consumer key (generation 3)
	accessOptional                  // the same, or nothing: Sid and Auth suffice
)

// endpoint returns what a route of the protocol answers.
func (a *api) endpoint(r wire.Route) endpoint {
	ep := endpoint{op: r.Op, method: r.Method}
	if r.SaysGen3() {
		ep.style = styleGen3
	}
	need := accessBearer
	var handle func(*call) (front.Answer, error)
	switch r.Op {
	case wire.OpAccessToken:
		need, ep.style, handle = accessOpen, styleOAuth, a.accessToken
	case wire.OpValidate:
		handle = a.validate
	case wire.OpOTP:
		handle = a.otp
	case wire.OpTOTPLogin:
		need, handle = accessBearerOrKey, a.totpLogin
	case wire.OpTOTPValidate:
		need, handle = accessBearerOrKey, a.totpValidate
	case wire.OpLogout:
		need, handle = accessBearerOrKey, a.logout
	case wire.OpClientIP:
		need, handle = accessBearerOrKey, a.clientIP
	case wire.OpBaseURL:
		need, handle = accessOpen, a.baseURL
	case wire.OpConfig:
		need, handle = accessOpen, a.config
	}
	ep.handle = a.recognised(need, handle)
	return ep
}

// full returns the refusal of a login that would find the queue full, before anything else
// is done for it: beyond what the machine can hash, refusing must cost as little as
// possible.
func (a *api) full(c *call) error {
	if c.op != wire.OpValidate || c.operation() != "login" {
		return nil
	}
	err := a.login.Full()
	if err != nil {
		c.op = "login"
	}
	return err
}

// plain returns an answer with its body as it is sent, to be sent many times.
func plain(ans front.Answer) front.Answer {
	text, err := json.Marshal(ans.Body)
	if err != nil { // cannot happen: our own types
		panic(err)
	}
	ans.Body = front.Raw{Type: "application/json", Text: text}
	return ans
}

// recognised is handle for calls whose consumer is known.
func (a *api) recognised(need access, handle func(*call) (front.Answer, error)) func(*call) (front.Answer, error) {
	return func(c *call) (front.Answer, error) {
		if err := a.recognise(c, need); err != nil {
			return front.Answer{}, err
		}
		return handle(c)
	}
}

// tradeNeed returns how the callers of a trade call identify their consumer.
func tradeNeed(path string) access {
	if tradewire.NeedsAccess(path) {
		return accessBearer
	}
	return accessOptional
}

// recognise returns the consumer that sent a call.
func (a *api) recognise(c *call, need access) (err error) {
	if need == accessOpen {
		return nil
	}
	header, err := singleHeader(c, "Authorization")
	if err != nil {
		return err
	}
	scheme, value, spaced := strings.Cut(header, " ")
	switch {
	case header == "" && need == accessOptional:
		return nil
	case header == "":
		return &login.Error{Kind: login.KindNoAccess, Detail: "the Authorization header is missing"}
	case strings.EqualFold(scheme, "Bearer") && spaced:
		c.consumer, err = a.login.ByAccessToken(c.stores, strings.TrimSpace(value), c.caller)
	case !spaced && need != accessBearer:
		c.consumer, err = a.login.ByConsumerKey(c.stores, header, c.caller)
	default:
		return &login.Error{Kind: login.KindBadAccess, Detail: "the Authorization header must hold the word Bearer and an access token"}
	}
	c.admitted = err == nil
	return err
}

// success is an answer with data in the shape of the protocol.
func success(data any) (front.Answer, error) {
	return front.Answer{Status: http.StatusOK, Body: wire.Success[any]{Data: data}}, nil
}

// opens is success with a session.
func opens(s wire.Session) (front.Answer, error) {
	return front.Answer{Status: http.StatusOK, Body: front.Raw{Type: "application/json", Text: s.Answer()}}, nil
}

// An oauthProblem is a refusal that OAuth has a word for.
type oauthProblem struct {
	word string
	error
}

func (e *oauthProblem) Unwrap() error { return e.error }

// accessToken is POST oauth2/token. The grant "password", which one client sends, is
// treated as client_credentials: the token represents only the consumer, whose secret
// was checked.
func (a *api) accessToken(c *call) (front.Answer, error) {
	f, err := jsonOrForm(c)
	if err != nil {
		return front.Answer{}, err
	}
	grant, err := f.text("grant_type")
	if err != nil {
		return front.Answer{}, err
	}
	if grant != "client_credentials" && grant != "password" {
		return front.Answer{}, &oauthProblem{"unsupported_grant_type", &front.Refusal{Status: http.StatusBadRequest, Detail: "the grant type must be client_credentials"}}
	}
	id, secret, err := keyAndSecret(c, f)
	if err != nil {
		return front.Answer{}, err
	}
	t, err := a.login.AccessToken(c.stores, id, secret, c.caller)
	if err != nil {
		return front.Answer{}, err
	}
	return front.Answer{Status: http.StatusOK, Body: wire.AccessToken{
		AccessToken: t.Token, TokenType: "Bearer", Scope: "default", ExpiresIn: int64(t.Life / time.Second),
	}}, nil
}

// unescaped undoes the form encoding that RFC 6749, section 2.3.1, has inside Basic.
// Existing clients do not encode; no key or secret of ours contains an escape.
func unescaped(s string) string {
	if u, err := url.QueryUnescape(s); err == nil {
		return u
	}
	return s
}

// singleHeader returns a header that must not be sent twice.
func singleHeader(c *call, name string) (string, error) {
	values := c.Header.Values(name)
	if len(values) > 1 {
		return "", login.Invalid(name, "this header was sent more than once")
	}
	return c.Header.Get(name), nil
}

// sidAndAuth returns the two headers that name a session.
func sidAndAuth(c *call) (sid, auth string, err error) {
	if sid, err = singleHeader(c, wire.HeaderSID); err != nil {
		return "", "", err
	}
	auth, err = singleHeader(c, wire.HeaderAuth)
	return sid, auth, err
}

// validate is login when the request names no session and session_2fa when it does.
func (a *api) validate(c *call) (front.Answer, error) {
	sid, auth, err := sidAndAuth(c)
	if err != nil {
		return front.Answer{}, err
	}
	f, err := jsonBody(c)
	if err != nil {
		return front.Answer{}, err
	}
	if len(c.Header.Values(wire.HeaderSID)) == 0 && len(c.Header.Values(wire.HeaderAuth)) == 0 {
		c.op = "login"
		return a.firstFactor(c, f)
	}
	c.op = "session_2fa"
	return a.session2FA(c, f, sid, auth)
}

// firstFactor is login by mobile number, PAN or user id with password or MPIN.
func (a *api) firstFactor(c *call, f fields) (front.Answer, error) {
	kind, value, err := f.oneOf(false, "mobileNumber", "pan", "userid", "userId")
	if err != nil {
		return front.Answer{}, err
	}
	id, err := login.ParseIdentifier(login.IdentifierKind(kind), value)
	if err != nil {
		return front.Answer{}, err
	}
	if id.Kind == login.ByID { // here userId is another spelling of userid; in session_2fa it is the view token's sub
		id.Kind = login.ByUserID
	}
	factor, secret, err := f.oneOf(false, string(login.Password), string(login.MPIN))
	if err != nil {
		return front.Answer{}, err
	}
	switch {
	case factor == string(login.MPIN) && !credential.IsDigits(secret, login.MPINDigits, login.MPINDigits):
		return front.Answer{}, login.Invalid(factor, "must be six digits")
	case len(secret) > credential.MaxPassword:
		return front.Answer{}, login.Invalid(factor, "is too long")
	}
	opened, err := a.login.Login(c.stores, login.FirstFactor{
		Consumer: c.consumer, ID: id, Factor: login.Factor(factor), Secret: credential.Secret(secret), Caller: c.caller,
	})
	if err != nil {
		return front.Answer{}, err
	}
	return opens(seedShape(opened))
}

// session2FA is the second factor of generation 1. The user in the body is optional,
// because the view token names it.
func (a *api) session2FA(c *call, f fields, sid, auth string) (front.Answer, error) {
	kind, value, err := f.oneOf(true, "userId", "userid", "mobileNumber", "pan")
	if err != nil {
		return front.Answer{}, err
	}
	var id login.Identifier
	if kind != "" {
		if id, err = login.ParseIdentifier(login.IdentifierKind(kind), value); err != nil {
			return front.Answer{}, err
		}
	}
	field, code, err := f.oneOf(false, string(login.OTP), string(login.MPIN))
	if err != nil {
		return front.Answer{}, err
	}
	if !credential.IsDigits(code, 4, 8) {
		return front.Answer{}, login.Invalid(field, "must be four to eight digits")
	}
	opened, err := a.login.SecondFactor(c.stores, login.SecondFactor{
		Consumer: c.consumer, SID: sid, Auth: auth, ID: id, Code: credential.Secret(code), Caller: c.caller,
	})
	if err != nil {
		return front.Answer{}, err
	}
	ans, err := opens(seedShape(opened))
	if len(c.Header.Values(wire.HeaderRID)) > 0 {
		ans.Status = http.StatusCreated // the Node client, the only one that sends a rid, accepts nothing else
	}
	return ans, err
}

// seedShape returns the data of the original document's answer.
func seedShape(o login.Opened) wire.Session {
	return wire.Session{
		Token: o.Token, SID: o.SID, RID: o.RID, HSServerID: o.Home,
		Caches: o.Caches, UCC: o.UCC, GreetingName: o.GreetingName,
	}
}

// dataCenter is the name that later generations read; there is one.
const dataCenter = "neo"

// laterShape adds what generations 2 and 3 read. baseUrl decides where generation 3
// sends every later call, so it is omitted rather than guessed.
func (a *api) laterShape(o login.Opened) wire.Session {
	s := seedShape(o)
	s.KType, s.Status, s.DataCenter, s.BaseURL = claims.ScopeView, "success", dataCenter, a.PublicURL
	if o.Kind == login.Trade {
		s.KType = claims.ScopeTrade
	}
	return s
}

// otp is POST login/otp/generate. The answer does not reveal whether the user exists
// or has a pending login.
func (a *api) otp(c *call) (front.Answer, error) {
	sid, err := singleHeader(c, wire.HeaderSID)
	if err != nil {
		return front.Answer{}, err
	}
	f, err := jsonBody(c)
	if err != nil {
		return front.Answer{}, err
	}
	user, err := f.text("userId")
	if err != nil {
		return front.Answer{}, err
	}
	id, err := login.ParseIdentifier(login.ByID, user)
	if err != nil {
		return front.Answer{}, err
	}
	if err := errors.Join(f.flag("sendEmail"), f.flag("isWhitelisted")); err != nil {
		return front.Answer{}, err
	}
	terms, err := a.login.SendOTP(c.stores, login.OTPRequest{
		Consumer: c.consumer, Account: string(id.Value), SID: sid, Caller: c.caller,
	})
	if err != nil {
		return front.Answer{}, err
	}
	return front.Answer{Status: http.StatusCreated, Body: wire.Success[wire.OTPSent]{Data: wire.OTPSent{
		Message: "a one-time code has been sent if a login is waiting for one",
		Digits:  terms.Digits, ExpiresIn: int64(terms.Life / time.Second), ResendAfter: int64(terms.Resend / time.Second),
	}}}, nil
}

// totpLogin is the first factor of generations 2 and 3.
func (a *api) totpLogin(c *call) (front.Answer, error) {
	f, err := jsonBody(c)
	if err != nil {
		return front.Answer{}, err
	}
	var ids [2]login.Identifier
	for i, kind := range []login.IdentifierKind{login.ByMobile, login.ByUCC} {
		value, err := f.text(string(kind))
		if err != nil {
			return front.Answer{}, err
		}
		if ids[i], err = login.ParseIdentifier(kind, value); err != nil {
			return front.Answer{}, err
		}
	}
	code, err := f.sixDigits(login.TOTP)
	if err != nil {
		return front.Answer{}, err
	}
	opened, err := a.login.Login(c.stores, login.FirstFactor{
		Consumer: c.consumer, ID: ids[0], UCC: ids[1], Factor: login.TOTP, Secret: code, Caller: c.caller,
	})
	if err != nil {
		return front.Answer{}, err
	}
	return opens(a.laterShape(opened))
}

// totpValidate is the second factor of generations 2 and 3.
func (a *api) totpValidate(c *call) (front.Answer, error) {
	sid, auth, err := sidAndAuth(c)
	if err != nil {
		return front.Answer{}, err
	}
	f, err := jsonBody(c)
	if err != nil {
		return front.Answer{}, err
	}
	mpin, err := f.sixDigits(login.MPIN)
	if err != nil {
		return front.Answer{}, err
	}
	opened, err := a.login.SecondFactor(c.stores, login.SecondFactor{
		Consumer: c.consumer, SID: sid, Auth: auth, Code: mpin, MPINOnly: true, Caller: c.caller,
	})
	if err != nil {
		return front.Answer{}, err
	}
	return opens(a.withFeeds(c, opened, a.laterShape(opened)))
}

// tradeSession checks the trade session of a call.
func (a *api) tradeSession(c *call) (login.Session, error) {
	sid, auth, err := sidAndAuth(c)
	if err != nil {
		return login.Session{}, err
	}
	return a.login.CheckTrade(c.stores, c.consumer, sid, auth, c.caller)
}

// logout ends the trade session. Its body is empty or an empty form; its content is
// ignored.
func (a *api) logout(c *call) (front.Answer, error) {
	sid, auth, err := sidAndAuth(c)
	if err != nil {
		return front.Answer{}, err
	}
	if err := a.login.Logout(c.stores, c.consumer, sid, auth, c.caller); err != nil {
		return front.Answer{}, err
	}
	return success(wire.LoggedOut{Message: "logged out"})
}

// clientIP answers with the address that the service sees.
func (a *api) clientIP(c *call) (front.Answer, error) {
	if _, err := a.tradeSession(c); err != nil {
		return front.Answer{}, err
	}
	now := a.login.Now().In(login.IST).Format(time.RFC3339)
	return front.Answer{Status: http.StatusOK, Body: wire.ClientIP{
		Data: []wire.ObservedIP{{IP: c.caller.Address, Time: now}}, StCode: 1000, Status: "success",
	}}, nil
}

// baseURL answers with the base URL for generation 2.
func (a *api) baseURL(c *call) (front.Answer, error) {
	if a.PublicURL == "" {
		return front.Answer{}, &login.Error{Kind: login.KindNotConfigured, Detail: "this service was not told its public address (--public-url)"}
	}
	return success(wire.BaseURL{BaseURL: a.PublicURL})
}

// noTradeAPI refuses a trade call of a session, because there is no trade API behind the
// service.
func (a *api) noTradeAPI(c *call) (front.Answer, error) {
	if _, err := a.tradeSession(c); err != nil {
		return front.Answer{}, err
	}
	return front.Answer{}, &login.Error{Kind: login.KindNotConfigured, Detail: "no trade API is behind this service"}
}
