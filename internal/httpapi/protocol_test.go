package httpapi_test

import (
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neoapi/internal/operator"
	"neoapi/internal/serve"
	"neoapi/internal/wire"
	"neoapi/neoapitest"
)

// A flow is what one kind of client does from its first request to its last.
type flow struct {
	name   string
	before string // what it asks before it logs in, without Authorization
	bare   bool   // Authorization is the consumer key, and later calls have none
	login  string
	otp    string // OTP generation; "" for TOTP and MPIN
	second string
	after  []string // what it asks with the consumer key, Sid and Auth
	books  []string
	limits string
	logout string // "" for none
}

var flows = []flow{
	{
		name:  "generation 1, UAT",
		login: "/api/1.0/login/v2/validate", otp: "/api/1.0/login/otp/generate", second: "/api/1.0/login/v2/validate",
		books: []string{"/orderapi/1.0/quick/user/positions", "/orderapi/1.0/quick/user/orders", "/orderapi/1.0/quick/user/trades",
			"/portfolio/1.0/portfolio/v1/holdings"},
		limits: "/orderapi/1.0/quick/user/limits", logout: "/api/1.0/logout",
	},
	{
		name:  "generation 1, PROD",
		login: "/login/1.0/login/v2/validate", otp: "/login/1.0/login/otp/generate", second: "/login/1.0/login/v2/validate",
		books: []string{"/Orders/2.0/quick/user/positions", "/Orders/2.0/quick/user/orders", "/Orders/2.0/quick/user/trades",
			"/Portfolio/1.0/portfolio/v1/holdings"},
		limits: "/Orders/2.0/quick/user/limits", logout: "/login/1.0/logout",
	},
	{
		name:  "generation 2, password and OTP",
		login: "/apim/login/2.0/login/v2/validate", otp: "/apim/login/2.0/login/otp/generate", second: "/apim/login/2.0/login/v2/validate",
		books: []string{"/apim/orders/2.0/quick/user/positions", "/apim/orders/2.0/quick/user/orders", "/apim/orders/2.0/quick/user/trades",
			"/apim/portfolio/2.0/portfolio/v1/holdings"},
		limits: "/apim/orders/2.0/quick/user/limits", logout: "/apim/login/2.0/logout",
	},
	{
		name: "generation 2, TOTP and MPIN", before: "/algo-user/v5/get-base-url?id=TESTYA24",
		login: "/apim/login/2.0/login/v6/totp/login", second: "/apim/login/2.0/login/v6/totp/validate",
		books:  []string{"/apim/orders/2.0/quick/user/positions", "/apim/portfolio/2.0/portfolio/v1/holdings"},
		limits: "/apim/orders/2.0/quick/user/limits", logout: "/apim/login/2.0/logout",
	},
	{
		name:  "generation 2 at PROD's addresses",
		login: "/login/1.0/login/v6/totp/login", second: "/login/1.0/login/v6/totp/validate",
		books:  []string{"/Orders/2.0/quick/user/positions", "/Orders/2.0/quick/user/orders"},
		limits: "/Orders/2.0/quick/user/limits", logout: "/api/1.0/logout",
	},
	{
		name:  "generation 2 at UAT's addresses",
		login: "/api/1.0/login/v6/totp/login", second: "/api/1.0/login/v6/totp/validate",
		books:  []string{"/orderapi/1.0/quick/user/positions", "/orderapi/1.0/quick/user/orders"},
		limits: "/orderapi/1.0/quick/user/limits", logout: "/api/1.0/logout",
	},
	{
		name: "generation 3", bare: true,
		login: "/login/1.0/tradeApiLogin", second: "/login/1.0/tradeApiValidate",
		after:  []string{"/login/1.0/get-client-ip", "/5config/config?ucc=TESTYA24"},
		books:  []string{"/quick/user/positions", "/quick/user/orders", "/quick/user/trades", "/portfolio/v1/holdings"},
		limits: "/quick/user/limits",
	},
}

func TestRoutes_answerTheFlowOfTheirClients(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	answered := map[string]bool{}
	ask := func(t *testing.T, c caller, method, path, body string, pairs ...string) reply {
		t.Helper()
		r := c.send(t, method, path, body, pairs...)
		if r.status/100 == 2 {
			path, _, _ = strings.Cut(path, "?")
			answered[method+" "+path] = true
		}
		return r
	}
	ok := true
	for _, f := range flows {
		ok = t.Run(f.name, func(t *testing.T) {
			if f.before != "" {
				var base wire.Success[wire.BaseURL]
				ask(t, caller{srv, ""}, "GET", f.before, "").want(t, 200).into(t, &base)
				if base.Data.BaseURL != srv.URL {
					t.Errorf("base URL %q, want the service's own, %s", base.Data.BaseURL, srv.URL)
				}
			}
			c := caller{srv, srv.ConsumerKey}
			if !f.bare {
				c = consumer(t, srv)
				answered["POST "+tokenPath] = true
			}
			fin := []string{"neo-fin-key", "neotradeapi"}
			var view, trade held
			if f.otp != "" {
				view = ask(t, c, "POST", f.login, object("mobileNumber", srv.Account.Mobile, "password", srv.Account.Password)).session(t)
				sub := view.claims(t)["sub"].(string)
				var sent wire.Success[wire.OTPSent]
				ask(t, c, "POST", f.otp, `{"userId":"`+sub+`","sendEmail":true,"isWhitelisted":true}`).want(t, 201).into(t, &sent)
				if want := (wire.OTPSent{Message: sent.Data.Message, Digits: 6, ExpiresIn: 300, ResendAfter: 30}); sent.Data != want {
					t.Errorf("OTP terms: %+v", sent.Data)
				}
				trade = ask(t, c, "POST", f.second, object("mobileNumber", srv.Account.Mobile, "mpin", srv.OTP(t)), view.pairs(fin...)...).session(t)
			} else {
				view = ask(t, c, "POST", f.login, object("mobileNumber", srv.Account.Mobile, "ucc", srv.Account.UCC, "totp", srv.TOTP(t)), fin...).session(t)
				trade = ask(t, c, "POST", f.second, object("mpin", srv.Account.MPIN), view.pairs(fin...)...).session(t)
			}
			for _, path := range f.after {
				ask(t, c, "GET", path, "", trade.pairs(fin...)...).want(t, 200)
			}
			later, query := c, "?sId="+trade.HSServerID
			if f.bare {
				later, query = caller{srv, ""}, ""
			}
			book := func(method, path, body string) {
				t.Helper()
				form := []string{"Content-Type", "application/x-www-form-urlencoded"}
				r := ask(t, later, method, path+query, body, trade.pairs(append(fin, form...)...)...).want(t, 200)
				if diff := cmp.Diff(`{"stat":"Not_Ok","stCode":5203,"errMsg":"No Data","emsg":"No Data"}`, string(r.body)); diff != "" {
					t.Errorf("%s, -empty report +answer:\n%s", path, diff)
				}
			}
			for _, path := range f.books {
				book("GET", path, "")
			}
			form := []string{"Content-Type", "application/x-www-form-urlencoded"}
			limits := ask(t, later, "POST", f.limits+query, "jData="+url.QueryEscape(`{"seg":"ALL","exch":"ALL","prod":"ALL"}`), trade.pairs(append(fin, form...)...)...)
			if !strings.Contains(string(limits.want(t, 200).body), `"Net":"1000000.00"`) {
				t.Errorf("%s: %s", f.limits, limits.body)
			}
			if f.logout == "" {
				return
			}
			var out wire.Success[wire.LoggedOut]
			ask(t, c, "POST", f.logout, "", trade.pairs("Content-Type", "application/x-www-form-urlencoded")...).want(t, 200).into(t, &out)
			later.send(t, "GET", f.books[0]+query, "", trade.pairs()...).refusedTrade(t, 403, "100022")
			c.post(t, f.logout, "", trade.pairs()...).refused(t, 401, "100022")
		}) && ok
	}
	for _, r := range allRoutes {
		if ok && !answered[r.Method+" "+r.Path] {
			t.Errorf("no client's flow was answered by %s %s", r.Method, r.Path)
		}
	}
}

func TestClientIP_behindATrustedProxyIsTheOneItNames(t *testing.T) { // security.md T6
	t.Parallel()
	for name, x := range map[string]struct {
		trusted []string
		pairs   []string
		want    string
	}{
		"trusted":          {[]string{"127.0.0.1"}, []string{"X-Forwarded-For", "6.6.6.6, 203.0.113.9"}, "203.0.113.9"},
		"trusted, RFC":     {[]string{"127.0.0.0/8"}, []string{"Forwarded", `for="[2001:db8::9]:1"`}, "2001:db8::9"},
		"another is":       {[]string{"10.0.0.0/8"}, []string{"X-Forwarded-For", "203.0.113.9"}, "127.0.0.1"},
		"trusted but mute": {[]string{"127.0.0.1"}, nil, "127.0.0.1"},
		"none is":          {nil, []string{"X-Forwarded-For", "203.0.113.9"}, "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			var log lines
			dir := t.TempDir()
			srv, stop := servingIn(t, dir, func(cfg *serve.Config) {
				cfg.TrustedProxies, cfg.Log = x.trusted, slog.New(slog.NewTextHandler(&log, nil))
			})
			c := caller{srv, srv.ConsumerKey}
			view := c.post(t, totpPath, object("mobileNumber", srv.Account.Mobile, "ucc", srv.Account.UCC, "totp", srv.TOTP(t)), x.pairs...).session(t)
			trade := c.post(t, mpinPath, object("mpin", srv.Account.MPIN), view.pairs(x.pairs...)...).session(t)
			var ip wire.ClientIP
			c.send(t, "GET", "/login/1.0/get-client-ip", "", trade.pairs(x.pairs...)...).want(t, 200).into(t, &ip)
			want := wire.ClientIP{StCode: 1000, Status: "success", Data: []wire.ObservedIP{{IP: x.want}}}
			if len(ip.Data) == 1 {
				if _, err := time.Parse(time.RFC3339, ip.Data[0].Time); err != nil {
					t.Error(err)
				}
				want.Data[0].Time = ip.Data[0].Time
			}
			if diff := cmp.Diff(want, ip); diff != "" {
				t.Errorf("-want +get-client-ip:\n%s", diff)
			}
			stop()
			if log.count("address="+x.want+" ") < 3 {
				t.Errorf("%s is not in the log", x.want)
			}
			told := 0
			for _, e := range events(t, openStore(t, dir), 0) {
				if strings.HasSuffix(e.Action, " added") { // the demo data, by nobody
					continue
				}
				if told++; e.Address != x.want {
					t.Errorf("event %q: address %s, want %s", e.Action, e.Address, x.want)
				}
			}
			if told < 2 {
				t.Errorf("%d events, want one for each factor", told)
			}
		})
	}
}

func TestHeaders_namesHaveNoCase(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t))
	view := c.login(t)
	code := c.otp(t, view)
	host := strings.TrimPrefix(c.URL, "http://")
	body := object("userId", view.UCC, "otp", code)
	answers := raw(t, c.Server, fmt.Sprintf("POST %s HTTP/1.1\r\nhOST: %s\r\naUTHORIZATION: %s\r\nCONTENT-type: application/json\r\nsID: %s\r\nAUTH: %s\r\nconnection: close\r\ncontent-LENGTH: %d\r\n\r\n%s",
		validatePath, host, c.who, view.SID, view.Token, len(body), body), false)
	if len(answers) != 1 {
		t.Fatalf("%d answers", len(answers))
	}
	trade := answers[0].session(t)
	answers = raw(t, c.Server, fmt.Sprintf("GET %s HTTP/1.1\r\nhost: %s\r\nSid: %s\r\nauth: %s\r\nConnection: close\r\n\r\n", barePath, host, trade.SID, trade.Token), false)
	if len(answers) != 1 || answers[0].status != 200 {
		t.Fatalf("%+v", answers)
	}
}

func TestLogin_takesEveryIdentifierAndFirstFactor(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t))
	a := c.Account
	for name, identifier := range map[string][2]string{
		"ten digits":        {"mobileNumber", strings.TrimPrefix(a.Mobile, "+91")},
		"with country code": {"mobileNumber", a.Mobile},
		"PAN, upper case":   {"pan", a.PAN},
		"PAN, lower case":   {"pan", strings.ToLower(a.PAN)},
		"userid":            {"userid", a.UserID},
		"userId":            {"userId", a.UserID},
	} {
		for factor, secret := range map[string]string{"password": a.Password, "mpin": a.MPIN} {
			t.Run(name+" with "+factor, func(t *testing.T) {
				view := c.post(t, validatePath, object(identifier[0], identifier[1], factor, secret)).session(t)
				if view.UCC != a.UCC || view.claims(t)["ucc"] != a.UCC {
					t.Errorf("logged in as %q", view.UCC)
				}
			})
		}
	}
}

func TestSession2FA_takesEveryFormOfTheSecondFactor(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t))
	a := c.Account
	for name, body := range map[string]func(sub, code string) string{
		"OTP as otp with the token's sub":    func(sub, code string) string { return object("userId", sub, "otp", code) },
		"OTP as otp with the UCC":            func(_, code string) string { return object("userId", a.UCC, "otp", code) },
		"OTP as otp with the user id":        func(_, code string) string { return object("userid", a.UserID, "otp", code) },
		"OTP as otp and nothing else":        func(_, code string) string { return object("otp", code) },
		"OTP as mpin with the mobile number": func(_, code string) string { return object("mobileNumber", a.Mobile, "mpin", code) },
		"OTP as mpin with ten digits":        func(_, code string) string { return object("mobileNumber", a.Mobile[3:], "mpin", code) },
		"OTP as mpin with the PAN":           func(_, code string) string { return object("pan", strings.ToLower(a.PAN), "mpin", code) },
		"MPIN as mpin":                       func(string, string) string { return object("mobileNumber", a.Mobile, "mpin", a.MPIN) },
		"MPIN as otp":                        func(sub, _ string) string { return object("userId", sub, "otp", a.MPIN) },
	} {
		t.Run(name, func(t *testing.T) {
			view := c.login(t)
			code := c.otp(t, view)
			if s := c.post(t, validatePath, body(view.claims(t)["sub"].(string), code), view.pairs()...).session(t); s.SID != view.SID {
				t.Error("the sid changed")
			}
		})
	}
}

func TestSession2FA_givesTheNodeClientThe201ItNeeds(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t))
	view := c.login(t)
	code := c.otp(t, view)
	node := []string{"rid", view.RID, "serverId", view.HSServerID}
	c.second(t, view, wrong(code), node...).refused(t, 401, "10020")
	answer := c.second(t, view, code, node...).want(t, 201)
	answer.status = 200
	trade := answer.session(t)
	trade.SID = view.SID // it goes on with the view session's sid
	c.call(t, trade).want(t, 200)
}

func TestAccessToken_isGivenAsRFC6749Says(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	good := basic(srv.ConsumerKey, srv.ConsumerSecret)
	inBody := "&client_id=" + srv.ConsumerKey + "&client_secret=" + srv.ConsumerSecret
	for name, c := range map[string]struct {
		who, body string
		pairs     []string
	}{
		"a JSON body":                        {good, `{"grant_type":"client_credentials"}`, nil},
		"a form body":                        {good, "grant_type=client_credentials", form},
		"a form body with charset":           {good, "grant_type=client_credentials", []string{"Content-Type", "application/x-www-form-urlencoded; charset=UTF-8"}},
		"credentials in the form":            {"", "grant_type=client_credentials" + inBody, form},
		"credentials in the JSON":            {"", object("grant_type", "client_credentials", "client_id", srv.ConsumerKey, "client_secret", srv.ConsumerSecret), nil},
		"the Node client's grant_type":       {good, `{"grant_type":"password","username":"x","password":"y"}`, nil},
		"a percent-encoded key":              {basic("sandbox%2Dconsumer", "sandbox%2Dsecret"), "grant_type=client_credentials", form},
		"a JSON body without a Content-Type": {good, `{"grant_type":"client_credentials"}`, []string{"Content-Type", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			var granted wire.AccessToken
			caller{srv, c.who}.post(t, tokenPath, c.body, c.pairs...).want(t, 200).into(t, &granted)
			want := wire.AccessToken{AccessToken: granted.AccessToken, TokenType: "Bearer", Scope: "default", ExpiresIn: 3600}
			if diff := cmp.Diff(want, granted); diff != "" {
				t.Errorf("-want +answer:\n%s", diff)
			}
			// It opens the door: what is refused now is the body, and not the token.
			caller{srv, "Bearer " + granted.AccessToken}.post(t, validatePath, "{}").refused(t, 400, "10300")
		})
	}
	for name, c := range map[string]struct {
		who, body string
		pairs     []string
		status    int
		want      string
	}{
		"no credentials":                    {"", "grant_type=client_credentials", form, 401, "invalid_client"},
		"an unknown consumer":               {basic("nobody", srv.ConsumerSecret), "grant_type=client_credentials", form, 401, "invalid_client"},
		"a wrong secret":                    {basic(srv.ConsumerKey, "wrong"), "grant_type=client_credentials", form, 401, "invalid_client"},
		"a wrong secret in the body":        {"", "grant_type=client_credentials&client_id=sandbox-consumer&client_secret=wrong", form, 401, "invalid_client"},
		"an empty secret":                   {basic(srv.ConsumerKey, ""), "grant_type=client_credentials", form, 401, "invalid_client"},
		"a Basic that is no base64":         {"Basic !", "grant_type=client_credentials", form, 401, "invalid_client"},
		"credentials in header and body":    {good, "grant_type=client_credentials" + inBody, form, 400, "invalid_request"},
		"no grant type":                     {good, "{}", nil, 400, "invalid_request"},
		"another grant type":                {good, "grant_type=authorization_code", form, 400, "unsupported_grant_type"},
		"a grant type twice in the form":    {good, "grant_type=client_credentials&grant_type=client_credentials", form, 400, "invalid_request"},
		"a grant type twice in the JSON":    {good, `{"grant_type":"client_credentials","grant_type":"client_credentials"}`, nil, 400, "invalid_request"},
		"a grant type that is a number":     {good, `{"grant_type":1}`, nil, 400, "invalid_request"},
		"a field that no RFC would name":    {good, `{"\"é\\":[]}`, nil, 400, "invalid_request"},
		"a malformed form":                  {good, "grant_type=%zz", form, 400, "invalid_request"},
		"a form that is not UTF-8":          {good, "grant_type=%ff", form, 400, "invalid_request"},
		"malformed JSON":                    {good, `{"grant_type":`, nil, 400, "invalid_request"},
		"a body of another kind":            {good, "grant_type: client_credentials", []string{"Content-Type", "text/yaml"}, 415, "invalid_request"},
		"a body that is too large":          {good, strings.Repeat(" ", 16<<10+1), nil, 413, "invalid_request"},
		"a form that is one byte too large": {good, "grant_type=" + strings.Repeat("x", 16<<10+1-len("grant_type=")), form, 413, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			caller{srv, c.who}.post(t, tokenPath, c.body, c.pairs...).refusedOAuth(t, c.status, c.want)
		})
	}
	t.Run("another method", func(t *testing.T) {
		caller{srv, good}.send(t, "GET", tokenPath, "").refusedOAuth(t, 405, "invalid_request")
	})
}

func TestAccessToken_endsAfterAnHour(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t))
	c.Advance(time.Hour - time.Minute)
	c.post(t, validatePath, "{}").refused(t, 400, "10300") // recognised
	c.Advance(time.Minute)
	c.post(t, validatePath, "{}").refused(t, 401, "900901")
	consumer(t, c.Server).post(t, validatePath, "{}").refused(t, 400, "10300")
}

func TestConsumer_thatIsNotRecognisedIsRefused(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	good := consumer(t, srv).who
	altered := good[:40] + map[bool]string{true: "B", false: "A"}[good[40] == 'A'] + good[41:]
	for name, c := range map[string]struct{ who, path, code string }{
		"no Authorization":                      {"", validatePath, "900902"},
		"no Authorization at the OTP":           {"", otpPath, "900902"},
		"no Authorization at logout":            {"", logoutPath, "900902"},
		"no Authorization at the TOTP":          {"", totpPath, "900902"},
		"no Authorization at the MPIN":          {"", mpinPath, "900902"},
		"a token nobody issued":                 {"Bearer nonsense", validatePath, "900901"},
		"an altered token":                      {altered, validatePath, "900901"},
		"Bearer and nothing":                    {"Bearer ", validatePath, "900901"},
		"a token without its scheme":            {strings.TrimPrefix(good, "Bearer "), validatePath, "900901"},
		"the consumer key to generation 1":      {srv.ConsumerKey, validatePath, "900901"},
		"the consumer key as Bearer":            {"Bearer " + srv.ConsumerKey, validatePath, "900901"},
		"an unknown consumer key":               {"nobody", "/login/1.0/tradeApiLogin", "900901"},
		"an unknown consumer key at the second": {"nobody", "/login/1.0/tradeApiValidate", "900901"},
		"Basic where Bearer belongs":            {bySecret(srv).who, validatePath, "900901"},
	} {
		t.Run(name, func(t *testing.T) {
			caller{srv, c.who}.post(t, c.path, "{}").refused(t, 401, c.code)
		})
	}
	t.Run("a trade call of generation 1 without Authorization", func(t *testing.T) {
		caller{srv, ""}.send(t, "GET", tradePath, "").refusedTrade(t, 401, "900902")
	})
}

// realService starts the service as neo serve does, with one consumer and an
// account that has the demo's names and secrets.
func realService(t *testing.T) house {
	t.Helper()
	dir := t.TempDir()
	m, data := admin(t, dir)
	srv := neoapitest.NewServer(t, neoapitest.WithData(dir), neoapitest.WithoutSandbox())
	a := srv.Account
	_, err := m.AddAccount(t.Context(), operator.NewAccount{UCC: a.UCC, UserID: a.UserID, Mobile: a.Mobile, Password: "sandbox-password", MPIN: "246810"})
	if err != nil {
		t.Fatal(err)
	}
	h := house{caller{srv, ""}, dir, m, data}
	h.addConsumer(t, "real-consumer")
	h.caller = consumerOf(t, srv, "real-consumer")
	return h
}

func TestFailures_haveTheStatusesOfTheSeedsTable(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t, neoapitest.WithOMSTimeout(50*time.Millisecond)))
	view := c.login(t)
	code := c.otp(t, view)

	// Input and credentials first; then the OMS fails more often than there are
	// tries, and the same code still works.
	c.second(t, view, "12 456").refused(t, 400, "10300")
	c.second(t, view, wrong(code)).refused(t, 401, "10020")
	c.askOTP(t, view).refused(t, 429, "900807")
	for range 4 {
		c.BreakOMS()
		c.second(t, view, code).refused(t, 502, "502")
		c.HangOMS()
		c.second(t, view, code).refused(t, 504, "504")
	}
	c.MendOMS()
	c.second(t, view, code).session(t)

	own := realService(t)
	view = own.login(t)
	own.askOTP(t, view).refused(t, 500, "10522")
	trade := own.second(t, view, own.Account.MPIN).session(t)
	for name, who := range map[string]caller{"with a token": own.caller, "with Sid and Auth alone": {own.Server, ""}} {
		t.Run("503 "+name, func(t *testing.T) {
			path := map[bool]string{true: barePath, false: tradePath}[who.who == ""]
			who.send(t, "GET", path, "", trade.pairs()...).refusedTrade(t, 503, "503")
		})
	}
	t.Run("the service has no sandbox paths", func(t *testing.T) {
		own.send(t, "GET", "/sandbox/otp/TESTYA24", "").refused(t, 404, "10300")
		own.send(t, "GET", "/sandbox/totp/TESTYA24", "").refused(t, 404, "10300")
	})
}

func TestInbox_isTheSandboxs(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t, neoapitest.WithOTPDigits(4)))
	inbox := caller{c.Server, ""}
	const path = "/sandbox/otp/TESTYA24"
	if early := inbox.send(t, "GET", path, "").refused(t, 404, "10300"); !strings.Contains(early, "no unused one-time code") {
		t.Error(early)
	}
	if unknown := inbox.send(t, "GET", "/sandbox/otp/NOBODY?wait=20s", "").refused(t, 404, "10300"); !strings.HasPrefix(unknown, "no account has this UCC") {
		t.Error(unknown)
	}
	view := c.login(t)
	waiting := make(chan reply, 1)
	go func() { waiting <- inbox.send(t, "GET", path+"?wait=20s", "") }() // whichever comes first, the code or the question
	c.askOTP(t, view).want(t, 201)
	r := <-waiting
	if code := string(r.want(t, 200).body); len(code) != 4 || r.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%q as %s", code, r.header.Get("Content-Type"))
	}
	c.second(t, view, string(r.body)).session(t)
	inbox.send(t, "GET", path, "").refused(t, 404, "10300") // it is used
	for _, wait := range []string{"soon", "-1s", "61s", "5"} {
		if message := inbox.send(t, "GET", path+"?wait="+wait, "").refused(t, 400, "10300"); !strings.HasPrefix(message, "wait:") {
			t.Errorf("wait=%s: %s", wait, message)
		}
	}
}
