package sandbox

import (
	"bytes"
	"html/template"
	"net"
	"net/http"
	"strconv"
	"strings"

	"neoapi/internal/front"
	"neoapi/internal/tradewire"
	"neoapi/internal/wire"
)

// pagePolicy prevents a browser from running or loading anything for our pages.
const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// home answers what a sandbox is and what to do next: a page for people, JSON for
// programs.
func (s *Sandbox) home(r *http.Request) (front.Answer, error) {
	url := s.PublicURL
	if url == "" { // it listens on all addresses; the caller used this one
		url = "http://" + localAddress(r)
	}
	d := NewDemo(url, 0)
	inbox, totp, faults := url+otpPath+d.Accounts[0].UCC+"?wait=5s", url+totpPath+d.Accounts[0].UCC+"?wait=31s", url+faultsPath
	header := pageHeader()
	if !wantsPage(r.Header.Values("Accept")) {
		return success(struct {
			Service string `json:"service"`
			Demo
			Inbox  string `json:"inbox"`
			TOTP   string `json:"totp"`
			Faults string `json:"faults"`
			Clock  string `json:"clock"`
			*controls
		}{"neo sandbox", d, inbox, totp, faults, url + clockPath, s.controls(url)}, header), nil
	}
	var text bytes.Buffer
	err := homePage.Execute(&text, map[string]any{
		"Style": style, "Demo": d, "Account": d.Accounts[0], "Inbox": inbox, "TOTP": totp, "Faults": faults, "Clock": url + clockPath, "Paper": s.controls(url), "Token": url + wire.Path(wire.OpAccessToken, wire.Gen1PROD),
	})
	return front.Answer{Status: http.StatusOK, Body: front.Raw{Type: "text/html; charset=utf-8", Text: text.Bytes()}, Header: header}, err
}

// pageHeader is the header of an answer that is a page for people and JSON for programs.
func pageHeader() http.Header {
	return http.Header{"Vary": {"Accept"}, "Content-Security-Policy": {pagePolicy}, "Referrer-Policy": {"no-referrer"}}
}

// listed is a page in an index.
type listed struct {
	Path    string `json:"path"`
	Methods string `json:"methods"`
	What    string `json:"what"`
	Example string `json:"example,omitempty"` // of a body of POST
}

// index answers which pages the operator of an exchange on paper has.
func (s *Sandbox) index(r *http.Request) (front.Answer, error) {
	if !wantsPage(r.Header.Values("Accept")) {
		return success(struct {
			Service string   `json:"service"`
			Pages   []listed `json:"pages"`
		}{"the exchange on paper", s.pages()}, pageHeader()), nil
	}
	var text bytes.Buffer
	err := indexPage.Execute(&text, map[string]any{"Style": style, "Pages": s.pages(), "URL": "http://" + localAddress(r)})
	return front.Answer{Status: http.StatusOK, Body: front.Raw{Type: "text/html; charset=utf-8", Text: text.Bytes()}, Header: pageHeader()}, err
}

// controls are where the exchange on paper is used and changed, and a first order.
type controls struct {
	Place    string `json:"place"`
	Order    string `json:"order"` // the body of a first order
	Orders   string `json:"orders"`
	Market   string `json:"market"`
	Account  string `json:"account"`
	State    string `json:"state"`
	Requests string `json:"requests"`
}

const firstOrder = `jData={"es":"nse_cm","ts":"TCS-EQ","tt":"B","qt":"10","pt":"MKT","pr":"0","pc":"CNC","rt":"DAY"}`

func (s *Sandbox) controls(url string) *controls {
	if s.Paper == nil {
		return nil
	}
	return &controls{
		Place: url + tradewire.PathPlace, Order: firstOrder, Orders: url + tradewire.PathOrders,
		Market: url + "/sandbox/market", Account: url + "/sandbox/accounts/" + DemoUCC, State: url + "/sandbox/state", Requests: url + "/sandbox/requests",
	}
}

// localAddress returns the address of this machine at which a request arrived.
func localAddress(r *http.Request) string {
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		return at.String()
	}
	return "127.0.0.1"
}

// wantsPage reports whether a header Accept asks for HTML rather than for JSON, as
// browsers do. A client that accepts anything is a program.
func wantsPage(accept []string) bool {
	weight := map[string]float64{}
	for part := range strings.SplitSeq(strings.ToLower(strings.Join(accept, ",")), ",") {
		kind, params, _ := strings.Cut(part, ";")
		q := 1.0
		for param := range strings.SplitSeq(params, ";") {
			if value, found := strings.CutPrefix(strings.TrimSpace(param), "q="); found {
				q, _ = strconv.ParseFloat(value, 64) // an unreadable quality counts as 0
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

// style is how our pages look.
const style = template.HTML(`<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}pre,td{overflow-wrap:anywhere;white-space:pre-wrap}pre{background:#8882;padding:.7rem}th{text-align:left;vertical-align:top;padding-right:1.5rem;font-weight:normal}</style>`)

var indexPage = template.Must(template.New("index").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>The exchange on paper</title>
{{.Style}}
<h1>The exchange on paper</h1>
<p>Behind this service orders are on paper: no order reaches an exchange and no money moves. These pages are for its operators alone.</p>
<table>
{{range .Pages}}<tr><th>{{.Methods}}<td>{{if .Example}}<pre>curl -H 'Content-Type: application/json' -d '{{.Example}}' {{$.URL}}{{.Path}}</pre>{{else}}<code>{{.Path}}</code>{{end}} {{.What}}
{{end}}</table>
<p>The rest is in docs/paper.md; programs that ask for this page get it as JSON.</p>
</html>
`))

var homePage = template.Must(template.New("home").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>neo sandbox</title>
{{.Style}}
<h1>This is a neo sandbox</h1>
<p>The session service of the Neo trade API with demo data{{if .Paper}} and an exchange on paper{{end}}, for a laptop or a CI job.
A program logs in{{if .Paper}} and trades{{end}} here as it does with the real service; only the address differs. Everything on this page is public: put nothing of your own into a sandbox.</p>
<table>
<tr><th>address<td><code>{{.Demo.URL}}</code>
<tr><th>consumer key, secret<td><code>{{.Demo.ConsumerKey}}</code>, <code>{{.Demo.ConsumerSecret}}</code>
<tr><th>account<td>UCC <code>{{.Account.UCC}}</code>, user id <code>{{.Account.UserID}}</code>, mobile <code>{{.Account.Mobile}}</code>, PAN <code>{{.Account.PAN}}</code>
<tr><th>password, MPIN, TOTP seed<td><code>{{.Demo.Password}}</code>, <code>{{.Demo.MPIN}}</code>, <code>{{.Demo.TOTPSeed}}</code>
</table>
<h2>What to do next</h2>
<p>Log in from a shell:</p>
<pre>neo login --env {{.Demo.URL}} --consumer-key {{.Demo.ConsumerKey}} --mobile {{.Account.Mobile}} --otp-command "curl -sf '{{.Inbox}}'"</pre>
<p>Or by TOTP and MPIN, for a session with a market feed:</p>
<pre>echo {{.Demo.MPIN}} | neo login --env {{.Demo.URL}} --consumer-key {{.Demo.ConsumerKey}} --mobile {{.Account.Mobile}} --ucc {{.Account.UCC}} --totp-command "curl -sf '{{.TOTP}}'" --mpin-file -</pre>
<p>Or begin with the access token, from any program:</p>
<pre>curl -u {{.Demo.ConsumerKey}}:{{.Demo.ConsumerSecret}} -d grant_type=client_credentials {{.Token}}</pre>
{{with .Paper}}<p>With the session's <code>sid</code> and <code>token</code>, place an order. It fills at a made-up price and costs nothing:</p>
<pre>curl -H "Sid: $SID" -H "Auth: $TOKEN" -d '{{.Order}}' {{.Place}}
curl -H "Sid: $SID" -H "Auth: $TOKEN" {{.Orders}}</pre>
<p>Set a price and fill what it goes through, let it run again, give an account money, or begin anew:</p>
<pre>JSON='Content-Type: application/json'
curl -H "$JSON" -d '{"set":"price","segment":"nse_cm","symbol":"TCS-EQ","price":"3500.00"}' {{.Market}}
curl -H "$JSON" -d '{"set":"run"}' {{.Market}}
curl -H "$JSON" -d '{"funds":"100000.00"}' {{.Account}}
curl -X DELETE {{.State}}</pre>
<p>See what the <a href="{{.Account}}">account</a> has, and the <a href="{{.Requests}}">last calls</a> and what became of each.</p>
{{end}}<p>One-time codes arrive in the <a href="{{.Inbox}}">inbox</a>, and the account's <a href="{{.TOTP}}">authenticator</a> has its TOTP code. <a href="{{.Faults}}">Faults</a> on demand show what a program does when
the service fails, and the <a href="{{.Clock}}">clock</a> can be moved. A CI job runs its tests with <code>neo sandbox -- CMD</code>. The rest is in docs/sandbox.md and
docs/paper.md; programs that ask for this page get it as JSON.</p>
</html>
`))
