package feed

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/coder/websocket"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/neoapitest"
)

// The service itself says whether a session has ended, of each kind of login.
func TestSessions_areFoundDeadByTheService(t *testing.T) {
	srv := neoapitest.NewServer(t)
	client := func() *neoapi.Client {
		return must.Get(neoapi.New(neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret, Clock: srv.Now}))(t)
	}
	a := srv.Account
	byPassword, byTOTP := client(), client()
	must.Do(t, byPassword.Login(t.Context(), neoapi.Credentials{Mobile: a.Mobile, Password: a.Password}))
	one := must.Get(byPassword.Session2FA(t.Context(), srv.OTP(t)))(t)
	must.Do(t, byTOTP.LoginTOTP(t.Context(), neoapi.TOTP{Mobile: a.Mobile, UCC: a.UCC, Code: srv.TOTP(t)}))
	three := must.Get(byTOTP.ValidateMPIN(t.Context(), a.MPIN))(t)
	for c, session := range map[*neoapi.Client]neoapi.Session{byPassword: one, byTOTP: three} {
		s := newSessions(c, newOptions(nil))
		if s.dead(t.Context(), session) {
			t.Errorf("generation %d: a good session is dead", c.GenerationOf(session))
		}
		srv.EndSession(t, session.SID)
		if !s.dead(t.Context(), session) {
			t.Errorf("generation %d: a dead session is good", c.GenerationOf(session))
		}
	}
}

// An upgrade needs HTTP/1.1, also of a service that would rather speak HTTP/2.
func TestLink_opensOverTLS(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.Write(r.Context(), websocket.MessageText, []byte(r.Proto))
		c.Read(context.Background())
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	roots := srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs //nolint:errcheck // it is one
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	client := must.Get(neoapi.New(neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: "key", HTTPClient: &http.Client{Transport: transport}}))(t)
	w := must.Get(dial(t.Context(), client, "wss"+srv.URL[len("https"):]+"/realtime", neoapi.Session{}))(t)
	defer w.drop()
	if _, data, err := w.read(t.Context()); err != nil || string(data) != "HTTP/1.1" {
		t.Errorf("%q, %v", data, err)
	}
}
