package httpapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"neoapi/internal/credential"
	"neoapi/internal/front"
	"neoapi/internal/login"
	"neoapi/internal/wire"
)

// keySetCache lets verifiers cache the key set for half of the time that a new key is
// published before it signs.
const keySetCache = "public, max-age=300"

// standard returns what a route of a standard answers.
func (a *api) standard(r wire.Route) endpoint {
	ep := endpoint{op: r.Op, method: r.Method}
	switch r.Op {
	case wire.OpKeySet:
		ep.cache, ep.handle = keySetCache, a.keySet
	case wire.OpMetadata:
		ep.cache, ep.handle = keySetCache, a.metadata
	case wire.OpIntrospection:
		ep.style, ep.handle = styleOAuth, a.introspect
	case wire.OpRevocation:
		ep.style, ep.handle = styleOAuth, a.revoke
	case wire.OpRevocations:
		ep.style, ep.handle = styleOAuth, a.revocations
	}
	return ep
}

// keySet answers with the JSON Web Key Set for verifying tokens (RFC 7517).
func (a *api) keySet(*call) (front.Answer, error) {
	return front.Answer{Status: http.StatusOK, Body: json.RawMessage(a.login.JWKS())}, nil
}

// metadata answers with the addresses of the OAuth operations (RFC 8414).
func (a *api) metadata(*call) (front.Answer, error) {
	if a.PublicURL == "" {
		return front.Answer{}, &login.Error{Kind: login.KindNotConfigured, Detail: "this service was not told its public address (--public-url)"}
	}
	secret := []string{"client_secret_basic", "client_secret_post"}
	return front.Answer{Status: http.StatusOK, Body: wire.Metadata{
		Issuer: a.PublicURL, TokenEndpoint: a.PublicURL + wire.Path(wire.OpAccessToken, wire.Gen1PROD), KeySet: a.PublicURL + wire.PathKeySet,
		ResponseTypes: []string{}, GrantTypes: []string{"client_credentials"}, TokenEndpointAuth: secret,
		RevocationEndpoint: a.PublicURL + wire.PathRevocation, RevocationEndpointAuth: secret,
		IntrospectionEndpoint: a.PublicURL + wire.PathIntrospection, IntrospectionEndpointAuth: secret,
	}}, nil
}

// asked reads a request of RFC 7662 or 7009: a form with a token, and the key and
// secret of the consumer that asks, in the header or in the form.
func (a *api) asked(c *call) (compact string, err error) {
	t, err := mediaType(c)
	if err != nil {
		return "", err
	}
	if t != "application/x-www-form-urlencoded" {
		return "", errNoForm
	}
	f, err := jsonOrForm(c)
	if err != nil {
		return "", err
	}
	if err := a.client(c, f); err != nil {
		return "", err
	}
	if _, _, err = f.optional("token_type_hint"); err != nil { // the hint is not needed
		return "", err
	}
	return f.text("token")
}

var errNoForm = &front.Refusal{Status: http.StatusUnsupportedMediaType, Detail: "send the body as Content-Type: application/x-www-form-urlencoded"}

// client sets the consumer that sent a call, by its key and secret (RFC 6749,
// section 2.3.1).
func (a *api) client(c *call, f fields) error {
	id, secret, err := keyAndSecret(c, f)
	if err != nil {
		return err
	}
	c.consumer, err = a.login.BySecret(c.stores, id, secret, c.caller)
	c.admitted = err == nil
	return err
}

// introspect is POST oauth2/introspect (RFC 7662).
func (a *api) introspect(c *call) (front.Answer, error) {
	compact, err := a.asked(c)
	if err != nil {
		return front.Answer{}, err
	}
	in, err := a.login.Introspect(c.stores, c.consumer, compact)
	shown := wire.Introspection{
		Active: in.Active, Scope: in.Scope, ClientID: in.Consumer, Exp: in.Expires, Iat: in.Issued,
		Sub: in.Subject, Iss: in.Issuer, Jti: in.ID, SID: in.SID,
	}
	if in.Access {
		shown.TokenType = "Bearer"
	}
	return front.Answer{Status: http.StatusOK, Body: shown}, err
}

// revoke is POST oauth2/revoke (RFC 7009). An invalid token counts as revoked.
func (a *api) revoke(c *call) (front.Answer, error) {
	compact, err := a.asked(c)
	if err != nil {
		return front.Answer{}, err
	}
	err = a.login.Revoke(c.stores, c.consumer, compact, c.caller)
	switch {
	case errors.Is(err, login.ErrForeignToken):
		err = &oauthProblem{"invalid_grant", err}
	case errors.Is(err, login.ErrUnrevocable):
		err = &oauthProblem{"unsupported_token_type", err}
	}
	return front.Answer{Status: http.StatusOK, Body: struct{}{}}, err
}

// revocations is GET oauth2/revocations, which package neoapi/verify asks twice a
// second.
func (a *api) revocations(c *call) (front.Answer, error) {
	if err := a.client(c, fields{}); err != nil {
		return front.Answer{}, err
	}
	var after int64
	if text := c.URL.Query().Get("after"); text != "" {
		var err error
		if after, err = strconv.ParseInt(text, 10, 64); err != nil || after < 0 {
			return front.Answer{}, login.Invalid("after", "must be the next of an answer before, or 0")
		}
	}
	r, err := a.login.Revocations(c.stores, after)
	shown := wire.Revocations{Revocations: []wire.Revocation{}, Next: r.Next, More: r.More, Keys: r.Keys}
	for _, x := range r.All {
		shown.Revocations = append(shown.Revocations, wire.Revocation{Jti: x.TokenID, Exp: x.Expires.Unix()})
	}
	return front.Answer{Status: http.StatusOK, Body: shown}, err
}

// keyAndSecret returns the key and secret that a consumer sends in the header or in
// the body.
func keyAndSecret(c *call, f fields) (id string, secret credential.Secret, err error) {
	id, inBody, err := f.optional("client_id")
	if err != nil {
		return "", "", err
	}
	text, _, err := f.optional("client_secret")
	if err != nil {
		return "", "", err
	}
	if _, err := singleHeader(c, "Authorization"); err != nil {
		return "", "", err
	}
	user, password, basic := c.BasicAuth()
	switch {
	case basic && (text != "" || inBody && id != user):
		return "", "", login.Invalid("client_secret", "send the consumer's key and secret in the header or in the body, not in both")
	case basic:
		id, text = unescaped(user), unescaped(password)
	case !inBody || text == "":
		return "", "", &login.Error{Kind: login.KindClient, Detail: "the consumer key and secret are missing: send them as Authorization: Basic"}
	}
	return id, credential.Secret(text), nil
}
