package httpapi

import (
	"bytes"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"neoapi/internal/browser"
	"neoapi/internal/front"
	"neoapi/internal/wire"
)

// A Demo is the public data of a sandbox: what its page shows, and what
// neo sandbox --json prints.
type Demo struct {
	URL            string        `json:"url"`
	ConsumerKey    string        `json:"consumerKey"`
	ConsumerSecret string        `json:"consumerSecret"`
	Password       string        `json:"password"` // these three are all accounts'
	MPIN           string        `json:"mpin"`
	TOTPSeed       string        `json:"totpSeed"`
	Accounts       []DemoAccount `json:"accounts"`
}

// A DemoAccount is one account of a sandbox.
type DemoAccount struct {
	UCC    string `json:"ucc"`
	UserID string `json:"userId"`
	Mobile string `json:"mobile"`
	PAN    string `json:"pan,omitempty"`
}

// sandbox finds the endpoint of a path that only a sandbox has.
func (a *api) sandbox(path string) (endpoint, bool) {
	ucc, inbox := strings.CutPrefix(path, otpPath)
	switch {
	case inbox && a.Inbox != nil && ucc != "" && !strings.Contains(ucc, "/"):
		return endpoint{op: "sandbox_otp", method: http.MethodGet, wait: maxWait, handle: a.notForeign(a.sandboxOTP)}, true
	case path == faultsPath && a.Faults != nil:
		return endpoint{op: "sandbox_faults", method: "GET, HEAD, POST, DELETE", handle: a.notForeign(a.sandboxFaults)}, true
	case path == "/" && a.Demo != nil && a.TradeAPI == nil:
		return endpoint{op: "sandbox_home", method: http.MethodGet, handle: a.home}, true
	}
	return endpoint{}, false
}

func (a *api) notForeign(handle func(*call) (front.Answer, error)) func(*call) (front.Answer, error) {
	return func(c *call) (front.Answer, error) {
		if err := a.foreign(c.Request); err != nil {
			return front.Answer{}, err
		}
		return handle(c)
	}
}

// foreign returns why a request for what only a sandbox has is refused: a web page that
// a developer looks at may have made the browser send it. On the developer's own machine
// a host that a stranger can have is one that was pointed there (DNS rebinding).
func (a *api) foreign(r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead && browser.CrossOrigin(r) != nil {
		return &front.Refusal{Status: http.StatusForbidden, Detail: "a browser sends this for a page of another origin: nothing was done"}
	}
	host := browser.Host(r)
	if !browser.AtHome(r) || browser.Unregistrable(host) {
		return nil
	}
	if u, err := url.Parse(a.PublicURL); err == nil && a.PublicURL != "" && strings.EqualFold(u.Hostname(), host) {
		return nil
	}
	return &front.Refusal{Status: http.StatusForbidden, Detail: "the header Host names no host of this sandbox: name one with --public-url, or ask for 127.0.0.1"}
}

// pagePolicy keeps a browser from running or loading anything for a page of ours.
const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// home says what a sandbox is and what to do next: a page for people, JSON for
// programs.
func (a *api) home(c *call) (front.Answer, error) {
	d := *a.Demo
	d.URL = a.PublicURL
	if d.URL == "" { // it listens on all addresses; the caller has come to this one
		d.URL = "http://" + localAddress(c.Request)
	}
	inbox, faults := d.URL+otpPath+d.Accounts[0].UCC+"?wait=5s", d.URL+faultsPath
	header := http.Header{"Vary": {"Accept"}, "Content-Security-Policy": {pagePolicy}, "Referrer-Policy": {"no-referrer"}}
	if !wantsPage(c.Header.Values("Accept")) {
		ans, err := success(struct {
			Service string `json:"service"`
			Demo
			Inbox  string `json:"inbox"`
			Faults string `json:"faults"`
		}{"neo sandbox", d, inbox, faults})
		ans.Header = header
		return ans, err
	}
	var text bytes.Buffer
	err := homePage.Execute(&text, map[string]any{
		"Demo": d, "Account": d.Accounts[0], "Inbox": inbox, "Faults": faults, "Token": d.URL + wire.Path(wire.OpAccessToken, wire.Gen1PROD),
	})
	return front.Answer{Status: http.StatusOK, Body: front.Raw{Type: "text/html; charset=utf-8", Text: text.Bytes()}, Header: header}, err
}

// localAddress is the address of this machine at which a request has come.
func localAddress(r *http.Request) string {
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		return at.String()
	}
	return "127.0.0.1"
}

// wantsPage reports whether a header Accept asks for HTML rather than for JSON, as
// browsers do. Who takes anything is a program.
func wantsPage(accept []string) bool {
	weight := map[string]float64{}
	for part := range strings.SplitSeq(strings.ToLower(strings.Join(accept, ",")), ",") {
		kind, params, _ := strings.Cut(part, ";")
		q := 1.0
		for param := range strings.SplitSeq(params, ";") {
			if value, found := strings.CutPrefix(strings.TrimSpace(param), "q="); found {
				q, _ = strconv.ParseFloat(value, 64) // what cannot be read is not wanted
			}
		}
		weight[strings.TrimSpace(kind)] = q
	}
	of := func(kind string) float64 {
		family, _, _ := strings.Cut(kind, "/")
		for _, name := range []string{kind, family + "/*", "*/*"} {
			if q, named := weight[name]; named {
				return q
			}
		}
		return 0
	}
	return of("text/html") > of("application/json")
}

var homePage = template.Must(template.New("home").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>neo sandbox</title>
<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}pre,td{overflow-wrap:anywhere;white-space:pre-wrap}pre{background:#8882;padding:.7rem}th{text-align:left;vertical-align:top;padding-right:1.5rem;font-weight:normal}</style>
<h1>This is a neo sandbox</h1>
<p>The session service of the Neo trade API with demo data, for a laptop or a CI job. A program logs in here as it does to
the real service; only the address differs. Everything on this page is public: put nothing of your own into a sandbox.</p>
<table>
<tr><th>address<td><code>{{.Demo.URL}}</code>
<tr><th>consumer key, secret<td><code>{{.Demo.ConsumerKey}}</code>, <code>{{.Demo.ConsumerSecret}}</code>
<tr><th>account<td>UCC <code>{{.Account.UCC}}</code>, user id <code>{{.Account.UserID}}</code>, mobile <code>{{.Account.Mobile}}</code>, PAN <code>{{.Account.PAN}}</code>
<tr><th>password, MPIN, TOTP seed<td><code>{{.Demo.Password}}</code>, <code>{{.Demo.MPIN}}</code>, <code>{{.Demo.TOTPSeed}}</code>
</table>
<h2>What to do next</h2>
<p>Log in from a shell:</p>
<pre>neo login --env {{.Demo.URL}} --consumer-key {{.Demo.ConsumerKey}} --mobile {{.Account.Mobile}} --otp-command "curl -sf '{{.Inbox}}'"</pre>
<p>Or begin with the access token, from any program:</p>
<pre>curl -u {{.Demo.ConsumerKey}}:{{.Demo.ConsumerSecret}} -d grant_type=client_credentials {{.Token}}</pre>
<p>One-time codes arrive in the <a href="{{.Inbox}}">inbox</a>. <a href="{{.Faults}}">Faults</a> on demand show what a program does when
the service fails. A CI job runs its tests with <code>neo sandbox -- CMD</code>. The rest is in docs/sandbox.md; programs that
ask for this page get it as JSON.</p>
</html>
`))
