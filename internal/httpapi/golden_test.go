package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neoapi/internal/wire"
	"neoapi/neoapitest"
)

var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// outline returns the keys and the JSON types of a document, in the order in
// which they have there: "data{token:string caches{…}}".
func outline(t *testing.T, doc []byte) string {
	t.Helper()
	var out bytes.Buffer
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var value func()
	next := func() json.Token {
		token, err := d.Token()
		if err != nil {
			t.Fatalf("%v: %s", err, doc)
		}
		return token
	}
	value = func() {
		switch v := next().(type) {
		case json.Delim:
			fmt.Fprintf(&out, "%s ", v)
			for d.More() {
				if v == '{' {
					fmt.Fprintf(&out, "%s: ", next())
				}
				value()
			}
			fmt.Fprintf(&out, "%s ", next())
		default:
			fmt.Fprintf(&out, "%T ", v)
		}
	}
	value()
	return out.String()
}

func seedSession(t *testing.T) (doc []byte, seed held) {
	t.Helper()
	doc, err := os.ReadFile("testdata/seed_session.json")
	if err != nil {
		t.Fatal(err)
	}
	return doc, reply{status: 200, body: doc}.session(t)
}

func TestSession2FA_answersAsTheSeedDoes(t *testing.T) {
	t.Parallel()
	doc, seed := seedSession(t)
	c := consumer(t, neoapitest.NewServer(t))
	view := c.login(t)
	answer := c.second(t, view, c.otp(t, view))
	trade := answer.session(t)

	if diff := cmp.Diff(outline(t, doc), outline(t, answer.body)); diff != "" {
		t.Errorf("keys, types and their order, -seed +answer:\n%s", diff)
	}
	for name, id := range map[string]string{"sid": trade.SID, "rid": trade.RID} {
		if !uuidForm.MatchString(id) {
			t.Errorf("%s is no UUID: %q", name, id)
		}
	}
	if trade.SID != view.SID {
		t.Error("the sid changed between the steps")
	}
	// What does not differ from login to login is the original document's, to the letter.
	trade.Token, trade.SID, trade.RID, trade.GreetingName = seed.Token, seed.SID, seed.RID, seed.GreetingName
	if diff := cmp.Diff(seed.Session, trade.Session); diff != "" {
		t.Errorf("-seed +answer:\n%s", diff)
	}
}

func TestTradeToken_isTheSeeds(t *testing.T) {
	t.Parallel()
	_, seed := seedSession(t)
	c := consumer(t, neoapitest.NewServer(t))
	before := time.Now().Unix()
	trade := c.trade(t)
	after := time.Now().Unix()

	if diff := cmp.Diff(outline(t, part(t, seed.Token, 1)), outline(t, part(t, trade.Token, 1))); diff != "" {
		t.Errorf("claims, types and their order, -seed +token:\n%s", diff)
	}
	want, got := seed.claims(t), trade.claims(t)
	for _, fixed := range []string{"scope", "iss", "sub", "fetchcachingrule", "categorisation"} {
		if diff := cmp.Diff(want[fixed], got[fixed]); diff != "" {
			t.Errorf("%s, -seed +token:\n%s", fixed, diff)
		}
	}
	for name, claims := range map[string]map[string]any{"seed": want, "token": got} {
		if life := claims["exp"].(float64) - claims["iat"].(float64); life != 3600 {
			t.Errorf("%s: exp − iat = %v", name, life)
		}
		if !uuidForm.MatchString(claims["jti"].(string)) {
			t.Errorf("%s: jti is no UUID: %q", name, claims["jti"])
		}
	}
	if iat := int64(got["iat"].(float64)); iat < before || iat > after {
		t.Errorf("iat %d is not between %d and %d", iat, before, after)
	}
	if n, m := len(part(t, seed.Token, 2)), len(part(t, trade.Token, 2)); n != 256 || m != 256 {
		t.Errorf("signatures of %d (seed) and %d bytes, want 256", n, m)
	}
	var seedHeader, header map[string]string
	for token, h := range map[string]*map[string]string{seed.Token: &seedHeader, trade.Token: &header} {
		if err := json.Unmarshal(part(t, token, 0), h); err != nil {
			t.Fatal(err)
		}
	}
	if header["kid"] == "" {
		t.Error("the header has no kid")
	}
	delete(header, "kid") // the one thing that is there beside the original document's
	if diff := cmp.Diff(seedHeader, header); diff != "" {
		t.Errorf("header, -seed +token:\n%s", diff)
	}
}

func TestViewToken_isTheFieldsWithoutThePAN(t *testing.T) {
	t.Parallel()
	doc, _ := seedSession(t)
	c := consumer(t, neoapitest.NewServer(t))
	answer := c.post(t, validatePath, object("pan", c.Account.PAN, "password", c.Account.Password))
	view := answer.session(t)
	if diff := cmp.Diff(outline(t, doc), outline(t, answer.body)); diff != "" {
		t.Errorf("keys, types and their order, -seed +answer:\n%s", diff)
	}
	claims := view.claims(t)
	sub, _ := claims["sub"].(string)
	jti, _ := claims["jti"].(string)
	if !uuidForm.MatchString(sub) || !uuidForm.MatchString(jti) || !uuidForm.MatchString(view.SID) || !uuidForm.MatchString(view.RID) {
		t.Errorf("sub %q, jti %q, sid %q or rid %q is no UUID", sub, jti, view.SID, view.RID)
	}
	exp, iat := int64(claims["exp"].(float64)), int64(claims["iat"].(float64))
	if at := time.Unix(exp, 0).UTC().Format("15:04:05"); at != "18:30:00" || exp <= iat || exp > iat+24*3600+600 {
		t.Errorf("exp falls on %s, %d s after iat; want the next 18:30:00", at, exp-iat)
	}
	for _, varying := range []string{"sub", "jti", "exp", "iat"} {
		delete(claims, varying)
	}
	want := map[string]any{
		"scope": []any{"View"}, "iss": "login-service", "ucc": c.Account.UCC, "fetchcachingrule": 0.0, "categorisation": "",
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("-protocol +token:\n%s", diff)
	}
	trade := c.second(t, view, c.otp(t, view))
	for _, text := range [][]byte{answer.body, part(t, view.Token, 1), trade.body, part(t, trade.session(t).Token, 1)} {
		if bytes.Contains(bytes.ToUpper(text), []byte(c.Account.PAN)) {
			t.Errorf("the PAN is in %s", text)
		}
	}
}

func TestLogin_laterGenerationsFindWhatTheyRead(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	for name, who := range map[string]string{"generation 2": consumer(t, srv).who, "generation 3": srv.ConsumerKey} {
		t.Run(name, func(t *testing.T) {
			c := caller{srv, who}
			check := func(r reply, kind string) held {
				s := r.session(t)
				want := wire.Session{
					KType: kind, Status: "success", BaseURL: srv.URL, UCC: srv.Account.UCC, GreetingName: srv.Account.GreetingName, HSServerID: "server1",
					Token: s.Token, SID: s.SID, RID: s.RID, Caches: s.Caches, DataCenter: s.DataCenter,
				}
				if diff := cmp.Diff(want, s.Session); diff != "" {
					t.Errorf("-want +answer:\n%s", diff)
				}
				if s.DataCenter == "" || len(s.Caches) == 0 {
					t.Errorf("no dataCenter or no caches: %s", r.body)
				}
				return s
			}
			view := check(c.totp(t), "View")
			trade := check(c.post(t, mpinPath, object("mpin", srv.Account.MPIN), view.pairs()...), "Trade")
			if trade.SID != view.SID {
				t.Error("the sid changed between the steps")
			}
		})
	}
}
