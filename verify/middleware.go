package verify

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"neoapi/internal/wire"
)

type sessionKey struct{}

// FromContext returns the session of a request that came through
// [Verifier.Middleware].
func FromContext(ctx context.Context) (Session, bool) {
	s, ok := ctx.Value(sessionKey{}).(Session)
	return s, ok
}

// Middleware passes on requests whose headers Sid and Auth contain a valid trade
// session, which [FromContext] then returns. It answers the others as the session
// service would: 401, 403 for a session that has ended, or 503 with Retry-After, in
// the trade API's format. It does not check the consumer, which the Authorization
// header names.
func (v *Verifier) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sids, auths := r.Header[wire.HeaderSID], r.Header[wire.HeaderAuth]
		switch {
		case len(sids) > 1 || len(auths) > 1:
			refuse(w, http.StatusBadRequest, wire.BadInput, "Sid or Auth was sent more than once")
			return
		case len(sids) == 0 || sids[0] == "" || len(auths) == 0 || auths[0] == "":
			refuse(w, http.StatusUnauthorized, wire.HeaderMissing, "the headers Sid and Auth of a trade session are required here")
			return
		}
		s, err := v.Verify(r.Context(), sids[0], auths[0])
		switch {
		case err == nil:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), sessionKey{}, s)))
		case errors.Is(err, ErrEnded):
			refuse(w, http.StatusForbidden, wire.BadSession, "the session has ended")
		case errors.Is(err, ErrWrongToken):
			refuse(w, http.StatusUnauthorized, wire.WrongToken, "Auth holds the view token, not the trade token")
		case errors.Is(err, ErrUnavailable):
			w.Header().Set("Retry-After", "2")
			refuse(w, http.StatusServiceUnavailable, wire.Unavailable, "sessions cannot be checked now")
		default:
			refuse(w, http.StatusUnauthorized, wire.BadSession, "Auth does not hold a valid trade token of this Sid")
		}
	})
}

func refuse(w http.ResponseWriter, status int, row wire.Failure, message string) {
	code, _ := strconv.Atoi(row.Code)
	body, err := json.Marshal(struct {
		wire.NotOk
		wire.Failed
	}{wire.NewNotOk(code, message), wire.Failed{Error: []wire.Problem{{Code: row.Code, Message: message}}}})
	if err != nil { // cannot happen: these are our own types
		panic(err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="neo"`)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
