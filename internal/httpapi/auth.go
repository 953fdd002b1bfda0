package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"

	"neoapi/internal/front"
	"neoapi/internal/wire"
)

// authPath is where a proxy asks whether to let a call pass. Envoy asks below it,
// with the call's own method and path, others at it.
const authPath = "/auth"

const opAuth wire.Op = "auth"

// anyMethod is the method of an endpoint that accepts all methods.
const anyMethod = "*"

func (a *api) authEndpoint(path string) endpoint {
	ep := endpoint{op: opAuth, method: anyMethod, style: styleTrade}
	if path == authPath {
		ep.method = http.MethodGet
	}
	ep.handle = func(c *call) (front.Answer, error) {
		if err := a.recognise(c, accessOptional); err != nil {
			return front.Answer{}, err
		}
		return a.auth(c)
	}
	return ep
}

// auth checks the credentials of a call that another proxy forwards to the trade API,
// and answers with its signed identity.
func (a *api) auth(c *call) (front.Answer, error) {
	session, err := a.tradeSession(c)
	if err != nil {
		return front.Answer{}, err
	}
	identity, err := a.login.Identity(session)
	if err != nil {
		return front.Answer{}, err
	}
	ans, err := success(wire.Verified{UCC: session.UCC, SID: session.SID, HSServerID: session.Home, Consumer: session.Consumer})
	ans.Header = http.Header{wire.HeaderIdentity: {identity}}
	return ans, err
}

// tellRefusal repeats the body of a refusal in a header, because nginx can read that
// but not the body.
func tellRefusal(h http.Header, body any) {
	text, err := json.Marshal(body)
	if err != nil { // cannot happen: our own types
		panic(err)
	}
	h.Set(wire.HeaderRefusal, strings.ToValidUTF8(string(text), "?"))
}
