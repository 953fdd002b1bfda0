package neoapi

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"neoapi/internal/paste"
	"neoapi/internal/wire"
)

// Credentials are a first factor: exactly one of Mobile, UserID and PAN, and
// exactly one of Password and MPIN. They print as a fixed text.
//
// Identifiers, MPINs and codes are accepted as people paste them, here and in all
// other calls: blanks, hyphens and invisible characters are ignored, and digits of
// other scripts are read. Anything ambiguous is refused, and the error names it. A
// password is sent unchanged.
type Credentials struct {
	Mobile string // an Indian number of ten digits, or any number with its country code: "+91 98765-43210", "0091…", "(+91) …"
	UserID string
	PAN    string // five letters, four digits, a letter, in any case

	Password string
	MPIN     string // six digits

	// NoOTP omits the request for a one-time code; give an MPIN to Session2FA instead.
	NoOTP bool
}

// TOTP is a first factor of generations 2 and 3. It prints as a fixed text.
type TOTP struct {
	Mobile string // as in Credentials
	UCC    string // the account's unique client code
	Code   string // the six digits that the authenticator shows now
}

// A view is a pending login: the view session that a first factor opened.
type view struct {
	token, sid string
	totp       bool   // by LoginTOTP, so the second factor is ValidateMPIN
	sub        string // the account's UUID; by Login only
	field      string // the identifier used: mobileNumber, pan or userid
	identifier string
	who        identity

	// ids has the request id of each code that was submitted without a definitive
	// answer, so that submitting it again is the same request to the service
	// (docs/design.md, the second factor). Client.mu guards it.
	ids map[string]string
}

// Login submits the first factor and requests a one-time code (unless cr.NoOTP).
// Continue with [Client.Session2FA].
//
// The login replaces the pending one, if any; a failed one leaves it. The
// current trade session stays until the second factor replaces it.
//
// If the first factor was accepted but the code could not be sent, the [*Error] has
// Op "otp" and the login is still pending: try [Client.SendOTP], or give an MPIN to
// Session2FA. Usual categories: [ErrInvalidInput] (also for credentials that the
// client refuses, all problems at once), [ErrAccessToken], [ErrWrongCredentials],
// [ErrLocked], [ErrRateLimited].
func (c *Client) Login(ctx context.Context, cr Credentials) error {
	_, err := c.login(ctx, cr)
	return err
}

// login is Login that also returns the pending login.
func (c *Client) login(ctx context.Context, cr Credentials) (*view, error) {
	field, identifier, problems := cr.identifier()
	secretField, secret := "password", cr.Password
	switch {
	case (cr.Password == "") == (cr.MPIN == ""):
		problems = append(problems, "give exactly one of Password and MPIN")
	case cr.MPIN != "":
		var problem string
		secretField = "mpin"
		if secret, problem = sixDigits("MPIN", cr.MPIN); problem != "" {
			problems = append(problems, problem)
		}
	case !utf8.ValidString(cr.Password): // JSON would silently change it
		problems = append(problems, "Password is not valid UTF-8")
	}
	if len(problems) > 0 {
		return nil, invalid(opLogin, problems...)
	}

	pan := ""
	if field == "pan" {
		pan = identifier
	}
	auth, err := c.bearer(ctx)
	if err != nil {
		return nil, err
	}
	r := request{
		op:      opLogin,
		to:      wire.OpValidate,
		header:  map[string]string{"Authorization": auth},
		body:    body(field, identifier, secretField, secret),
		secrets: []string{secret, cr.PAN, pan},
		unseen:  unseen(cr.Password),
	}
	v, err := c.openView(ctx, r, view{field: field, identifier: identifier, who: cr.identity()})
	if err != nil || cr.NoOTP {
		return v, err
	}
	return v, c.sendOTP(ctx, v)
}

// unseen reports whether a password contains an invisible character, or a blank other
// than one between words.
func unseen(password string) bool {
	return password != strings.TrimSpace(password) || strings.ContainsFunc(password, func(r rune) bool { return !paste.Visible(r) })
}

// LoginTOTP submits a TOTP code as the first factor. Continue with
// [Client.ValidateMPIN]. It replaces the pending login as [Client.Login] does, and
// has the same usual categories.
//
// A code works once. The client refuses the code of its last accepted login with
// [ErrInvalidInput] and RetryNewCode.
func (c *Client) LoginTOTP(ctx context.Context, t TOTP) error {
	_, err := c.loginTOTP(ctx, t)
	return err
}

// loginTOTP is LoginTOTP that also returns the pending login.
func (c *Client) loginTOTP(ctx context.Context, t TOTP) (*view, error) {
	var problems []string
	mobile, problem := mobileNumber(t.Mobile)
	if problem != "" {
		problems = append(problems, problem)
	}
	ucc, err := paste.UCC(t.UCC)
	if err != nil {
		problems = append(problems, "the UCC "+err.Error())
	}
	code, problem := sixDigits("TOTP code", t.Code)
	if problem != "" {
		problems = append(problems, problem)
	}
	if len(problems) > 0 {
		return nil, invalid(opTOTPLogin, problems...)
	}
	if err := c.unspent(upper(ucc), code); err != nil {
		return nil, err
	}

	header, err := c.totpHeader(ctx)
	if err != nil {
		return nil, err
	}
	v, err := c.openView(ctx, request{
		op:      opTOTPLogin,
		to:      wire.OpTOTPLogin,
		header:  header,
		body:    body("mobileNumber", mobile, "ucc", ucc, "totp", code),
		secrets: []string{code},
	}, view{totp: true, who: byUCC(ucc)})
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.spent = spent{upper(ucc), code, totpStep(c.now())}
	}
	return v, err
}

// openView sends a first factor and makes v, completed from the answer, the pending
// login.
func (c *Client) openView(ctx context.Context, r request, v view) (*view, error) {
	v.ids = map[string]string{}
	r.read = func(answer object) string {
		data := toObject(answer.at("data"))
		v.token, v.sid = data.text("token"), data.text("sid")
		v.sub = readClaims(v.token).text("sub")
		if v.sub == "" && !v.totp && v.token != "" {
			return "the answer's view token has no sub, without which there is no second factor"
		}
		return unfit(v.token, v.sid)
	}
	if err := c.do(ctx, r); err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.view = &v
	c.mu.Unlock()
	return &v, nil
}

// SendOTP requests another one-time code for the pending login of [Client.Login].
// Usual categories: [ErrNotLoggedIn], [ErrRateLimited] (wait Error.RetryAfter),
// [ErrOTPNotSent].
func (c *Client) SendOTP(ctx context.Context) error {
	v, err := c.pending(opOTP, false)
	if err != nil {
		return err
	}
	return c.sendOTP(ctx, v)
}

func (c *Client) sendOTP(ctx context.Context, v *view) error {
	auth, err := c.bearer(ctx)
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			e.Op = opOTP // Login promises this of every failure after the first factor
		}
		return err
	}
	payload, _ := json.Marshal(map[string]any{"userId": v.sub, "sendEmail": true, "isWhitelisted": true})
	// The original clients send no sid, so that this request could name any user. Our
	// service uses the sid to bind the code to the login; others ignore it.
	return c.do(ctx, request{
		op:     opOTP,
		to:     wire.OpOTP,
		header: map[string]string{"Authorization": auth, wire.HeaderSID: v.sid},
		body:   payload,
	})
}

// Session2FA submits the second factor of [Client.Login], the one-time code (4 to 8
// digits) or the MPIN (6 digits), and returns the trade session.
//
// On success the login is no longer pending and the session is the current one. If
// another login became pending meanwhile, the session is returned but does not become
// current; pass it to [Client.Use] for that.
//
// After an error that does not show whether the service accepted the code
// ([ErrNetwork], [ErrBadAnswer], [ErrTimeout], [ErrUnavailable], …), call again with
// the same code: it is sent with the same X-Request-Id, so that our service returns
// the same session instead of refusing a used code.
//
// Usual categories: [ErrNotLoggedIn], [ErrInvalidInput] (also for a code that is not
// 4 to 8 digits, which is never sent), [ErrWrongOTP], [ErrSessionEnded], [ErrLocked],
// [ErrRateLimited], [ErrOMSDown].
func (c *Client) Session2FA(ctx context.Context, code string) (Session, error) {
	return c.session2FA(ctx, nil, code)
}

// session2FA is Session2FA for the login v, or for the pending one if v is nil.
func (c *Client) session2FA(ctx context.Context, v *view, code string) (Session, error) {
	code, err := paste.Code(code, 4, 8)
	if err != nil {
		return Session{}, invalid(opSession2FA, "a code is 4 to 8 digits: this one "+err.Error())
	}
	if v == nil {
		if v, err = c.pending(opSession2FA, false); err != nil {
			return Session{}, err
		}
	}
	auth, err := c.bearer(ctx)
	if err != nil {
		return Session{}, err
	}
	// Existing clients treat any six characters as an MPIN, unless the login was by user
	// id; the service checks them as whichever is outstanding.
	payload := body("userId", v.sub, "otp", code)
	if len(code) == 6 && v.field != "userid" {
		payload = body(v.field, v.identifier, "mpin", code)
	}
	secrets := []string{code}
	if v.field == "pan" {
		secrets = append(secrets, v.identifier)
	}
	return c.openTrade(ctx, v, code, request{
		op:      opSession2FA,
		to:      wire.OpValidate,
		header:  map[string]string{"Authorization": auth},
		body:    payload,
		secrets: secrets,
	})
}

// ValidateMPIN submits the second factor of [Client.LoginTOTP], the six-digit MPIN,
// and returns the trade session. It behaves as [Client.Session2FA] does, with
// [ErrWrongMPIN] for [ErrWrongOTP].
func (c *Client) ValidateMPIN(ctx context.Context, mpin string) (Session, error) {
	return c.validateMPIN(ctx, nil, mpin)
}

// validateMPIN is ValidateMPIN for the login v, or for the pending one if v is nil.
func (c *Client) validateMPIN(ctx context.Context, v *view, mpin string) (Session, error) {
	mpin, problem := sixDigits("MPIN", mpin)
	if problem != "" {
		return Session{}, invalid(opTOTPValidate, problem)
	}
	if v == nil {
		var err error
		if v, err = c.pending(opTOTPValidate, true); err != nil {
			return Session{}, err
		}
	}
	header, err := c.totpHeader(ctx)
	if err != nil {
		return Session{}, err
	}
	return c.openTrade(ctx, v, mpin, request{
		op:      opTOTPValidate,
		to:      wire.OpTOTPValidate,
		header:  header,
		body:    body("mpin", mpin),
		secrets: []string{mpin},
	})
}

// openTrade sends the second factor of v and makes the resulting session the current
// one.
func (c *Client) openTrade(ctx context.Context, v *view, code string, r request) (Session, error) {
	r.header[wire.HeaderSID], r.header[wire.HeaderAuth] = v.sid, v.token
	c.mu.Lock()
	if v.ids[code] == "" {
		v.ids[code] = newRequestID()
	}
	r.id = v.ids[code]
	c.mu.Unlock()

	var s Session
	r.read = func(answer object) (problem string) {
		s, problem = readSession(toObject(answer.at("data")), v.sid)
		return problem
	}
	err := c.do(ctx, r)
	owner := ""
	if err == nil {
		owner = v.who.mark(s.Token)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		if definitive(err) {
			delete(v.ids, code)
		}
		return Session{}, err
	}
	s.Environment, s.Consumer, s.Owner = c.place, c.consumer, owner
	if s.UCC == "" {
		s.UCC = v.who.ucc
	}
	if s.IssuedAt.IsZero() {
		s.IssuedAt = c.now().UTC().Truncate(time.Second)
	}
	if c.view == v {
		c.view, c.trade = nil, &s
	}
	return s.clone(), nil
}

// definitive reports whether the service has checked the code and answered: then the
// next try is a new request, even with the same code.
func definitive(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	switch e.Category {
	case ErrNetwork, ErrBadAnswer, ErrRateLimited, ErrTimeout, ErrOMSDown, ErrUnavailable, ErrInternal:
		return false
	}
	return true
}

// Logout ends the current trade session at the service and forgets it. If it fails
// the session is kept, so that Logout can be tried again. A client without
// ConsumerSecret and AccessToken sends the bare consumer key, as it does to log in by
// TOTP: our service accepts it; other services have no such logout, and the session
// lasts until it expires. Usual categories: [ErrNotLoggedIn], [ErrSessionEnded],
// [ErrAccessToken], [ErrInvalidInput].
func (c *Client) Logout(ctx context.Context) error {
	c.mu.Lock()
	trade := c.trade
	c.mu.Unlock()
	if trade == nil {
		return &Error{Op: opLogout, Category: ErrNotLoggedIn, Message: "there is no trade session to end", Retry: RetryLoginAgain}
	}
	return c.logout(ctx, *trade)
}

// logout ends a session, which need not be the current one.
func (c *Client) logout(ctx context.Context, s Session) error {
	auth, err := c.key, error(nil)
	if _, access := c.freshAccess(); access || c.secret != "" {
		auth, err = c.bearer(ctx)
	}
	if err != nil {
		return err
	}
	err = c.do(ctx, request{
		op:     opLogout,
		to:     wire.OpLogout,
		header: map[string]string{"Authorization": auth, wire.HeaderSID: s.SID, wire.HeaderAuth: s.Token},
		form:   true,
	})
	if err != nil {
		return err
	}
	if k := c.keeper.Load(); k != nil {
		k.Ended(s)
	}
	c.forgetSession(s)
	return nil
}

// forgetSession forgets s if it is the current session.
func (c *Client) forgetSession(s Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trade != nil && c.trade.Token == s.Token {
		c.trade = nil
	}
}

// Session returns the current trade session, or false if there is none. The session
// may have expired or have been ended by the service.
func (c *Client) Session() (Session, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trade == nil {
		return Session{}, false
	}
	return c.trade.clone(), true
}

// Use makes s, obtained earlier or by another client, the current trade session
// without asking the service. It checks s as [Client.Restore] does and returns the
// same errors, but accepts a session that does not say what it belongs to.
func (c *Client) Use(s Session) error { return c.use("use", s) }

// pending returns the login whose second factor op submits.
func (c *Client) pending(op string, totp bool) (*view, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.view != nil && c.view.totp == totp:
		return c.view, nil
	case totp:
		return nil, &Error{Op: op, Category: ErrNotLoggedIn, Message: "call LoginTOTP first", Retry: RetryLoginAgain}
	}
	return nil, &Error{Op: op, Category: ErrNotLoggedIn, Message: "call Login first", Retry: RetryLoginAgain}
}

// totpHeader returns the headers of generation 3, or of generation 2 for a
// client without a consumer key.
func (c *Client) totpHeader(ctx context.Context) (map[string]string, error) {
	auth := c.key
	if auth == "" {
		var err error
		if auth, err = c.bearer(ctx); err != nil {
			return nil, err
		}
	}
	return map[string]string{"Authorization": auth, wire.HeaderFinKey: wire.FinKey}, nil
}

// sixDigits returns a normalised MPIN or TOTP code, or what is wrong with it.
func sixDigits(what, s string) (code, problem string) {
	code, err := paste.Code(s, 6, 6)
	if err != nil {
		return "", "the " + what + " is six digits: this one " + err.Error()
	}
	return code, ""
}

// body returns a JSON object of strings, given as alternating names and values.
func body(pairs ...string) []byte {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	out, _ := json.Marshal(m) // cannot fail
	return out
}

// AccessToken returns the access token that the client sends, fetching one first if
// there is none with at least a minute left. It is a secret. A later process needs it
// to end a session without the consumer secret ([Client.Use], [Client.Logout]). Usual
// categories: [ErrInvalidInput] without a secret to fetch one with, [ErrAccessToken],
// [ErrRateLimited], [ErrNetwork].
func (c *Client) AccessToken(ctx context.Context) (string, error) {
	header, err := c.bearer(ctx)
	return strings.TrimPrefix(header, "Bearer "), err
}
