package httpapi

import (
	"net/http"
	"time"

	"neoapi/internal/front"
	"neoapi/internal/login"
)

// The paths for load balancers.
const (
	livePath  = "/livez"
	readyPath = "/readyz"
)

// state is the data of their answers.
type state struct {
	Status string `json:"status"`
}

// live answers as long as the process answers anything.
func (a *api) live(*call) (front.Answer, error) { return success(state{"alive"}) }

// ready answers 200 if the service can work and is not shutting down. The reason is
// only in the log and at the metrics address, because strangers can ask here.
func (a *api) ready(c *call) (front.Answer, error) {
	if front.Ending(c.Request) {
		return front.Answer{}, &login.Error{Kind: login.KindUnavailable, Detail: "the service is about to end", RetryAfter: time.Second}
	}
	if err := a.login.Ready(c.stores); err != nil {
		return front.Answer{}, err
	}
	return success(state{"ready"})
}

// addHealth adds the addresses that are not the protocol's.
func (a *api) addHealth() {
	a.endpoints[livePath] = endpoint{op: "livez", method: http.MethodGet, handle: a.live}
	a.endpoints[readyPath] = endpoint{op: "readyz", method: http.MethodGet, handle: a.ready}
}
