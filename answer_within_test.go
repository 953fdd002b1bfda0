package neoapi_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"neoapi"
	"neoapi/internal/must"
)

// The limit of an answer begins when the call is sent, and covers all of the answer.
func TestAnswerWithin_isForTheAnswerAlone(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"stat":"Ok","data":[`))
		if r.URL.Query().Get("ends") == "" {
			w.(http.Flusher).Flush()
			<-stop
		}
		_, _ = w.Write([]byte(`]}`))
	}))
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(stop) })
	c := must.Get(neoapi.New(neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: "key", AccessToken: "access", Rate: -1}))(t)
	session := neoapi.Session{Token: "token", SID: "sid", UCC: "UCC01", KType: "Trade"}
	slow := func() neoapi.SessionSource { // slower than the limit
		return sourceOf(func(ctx context.Context) (neoapi.Session, error) {
			select {
			case <-time.After(300 * time.Millisecond):
				return session, nil
			case <-ctx.Done():
				return neoapi.Session{}, ctx.Err()
			}
		})
	}
	must.Do(t, c.Do(t.Context(), "GET", "/quick/user/orders?ends=1", nil, nil, neoapi.WithKeeper(slow()), neoapi.AnswerWithin(200*time.Millisecond)))
	must.Do(t, c.Use(session))
	err := c.Do(t.Context(), "GET", "/quick/user/orders", nil, nil, neoapi.AnswerWithin(50*time.Millisecond))
	if fail, ok := errors.AsType[*neoapi.Error](err); !ok || fail.Category != neoapi.ErrNetwork || !fail.Sent || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%+v", err)
	}
	hc := c.HTTPClient(neoapi.AnswerWithin(time.Minute))
	resp := must.Get(hc.Get("/quick/user/orders?ends=1"))(t)
	must.Do(t, resp.Body.Close())
}

type sourceOf func(context.Context) (neoapi.Session, error)

func (f sourceOf) Session(ctx context.Context) (neoapi.Session, error) { return f(ctx) }
func (sourceOf) Ended(neoapi.Session)                                  {}
