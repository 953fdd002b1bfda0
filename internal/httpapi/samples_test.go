package httpapi_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"neoapi/internal/httpapi"
	"neoapi/internal/must"
)

// sample returns the text of a file between two marks.
func sample(t *testing.T, path, from, to string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), from)
	between, _, ended := strings.Cut(after, to)
	if !found || !ended {
		t.Fatalf("%s has nothing between %q and %q", path, from, to)
	}
	return between
}

// names are the canonical forms of the first groups of what a pattern matches.
func names(text, pattern string) (all []string) {
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		all = append(all, http.CanonicalHeaderKey(m[1]))
	}
	slices.Sort(all)
	return all
}

// Every configuration in deploy/ and docs/security.md have the gateway's list of the
// headers of a client that go to the trade API: but Expect and TE, in which proxies
// have a say of their own.
func TestSamples_passTheHeadersThatTheGatewayPasses(t *testing.T) {
	want := slices.Clone(httpapi.PassingHeaders)
	slices.Sort(want)
	const docs, deploy = "../../docs/", "../../deploy/"
	document := names(sample(t, docs+"security.md", "\n### Headers that pass\n", "\nEverything else"), "(?m)`([A-Za-z0-9-]+)`")
	if !slices.Equal(document, want) {
		t.Errorf("docs/security.md has\n%q\nand the gateway\n%q", document, want)
	}
	proxied := slices.DeleteFunc(slices.Clone(want), func(name string) bool {
		return name == "Expect" || name == "Te" || name == "Connection" || name == "Upgrade"
	})
	for file, got := range map[string][]string{
		"nginx.conf": names(sample(t, deploy+"nginx.conf", "proxy_pass_request_headers off;", "# And this the service"), `proxy_set_header (\S+) +\$http_\w+;`),
		"Caddyfile":  names(sample(t, deploy+"Caddyfile", "(passing) {", "\n}"), `import \{args\[0\]\} (\S+)`),
		"envoy.yaml": names(sample(t, deploy+"envoy.yaml", "local passing = [[", "]]"), `(\S+)`),
	} {
		if !slices.Equal(got, proxied) {
			t.Errorf("deploy/%s has\n%q\nand the gateway\n%q", file, got, proxied)
		}
	}
	for _, x := range regexp.MustCompile(`proxy_set_header (\S+) +\$http_(\w+);`).FindAllStringSubmatch(sample(t, deploy+"nginx.conf", "proxy_pass_request_headers off;", "# And this the service"), -1) {
		if strings.ReplaceAll(strings.ToLower(x[1]), "-", "_") != x[2] {
			t.Errorf("nginx.conf sets %s to another header, %s", x[1], x[2])
		}
	}

	// Traefik has it as a pattern of all other names.
	var traefik struct {
		HTTP struct {
			Middlewares struct {
				Neo struct {
					ForwardAuth struct {
						AuthResponseHeadersRegex string `yaml:"authResponseHeadersRegex"`
					} `yaml:"forwardAuth"`
				}
			}
		}
	}
	text := must.Get(os.ReadFile(deploy + "traefik.yml"))(t)
	if err := yaml.Unmarshal(text, &traefik); err != nil {
		t.Fatal(err)
	}
	own := []string{"Connection", "Upgrade", "Content-Length", "Transfer-Encoding", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Forwarded-Server", "X-Real-Ip"}
	pattern := allBut(slices.Concat(proxied, own))
	if traefik.HTTP.Middlewares.Neo.ForwardAuth.AuthResponseHeadersRegex != pattern {
		t.Errorf("deploy/traefik.yml must have authResponseHeadersRegex: '%s'", pattern)
	}
	removed := regexp.MustCompile(pattern)
	for _, name := range slices.Concat(proxied, own) {
		for _, other := range []string{name + "s", name[1:], "X" + name, name[:len(name)-1], strings.Replace(name, "-", "_", 1) + "_"} {
			if !removed.MatchString(other) && !slices.Contains(proxied, http.CanonicalHeaderKey(other)) {
				t.Errorf("%s goes through Traefik", other)
			}
		}
		if removed.MatchString(name) {
			t.Errorf("%s does not go through Traefik", name)
		}
	}
	for _, name := range slices.Concat(spoofed, []string{"Neo-Identity", "Authorization", "Sid", "Auth", "Forwarded"}) {
		if !removed.MatchString(name) && !slices.Contains(own, name) {
			t.Errorf("%s goes through Traefik", name)
		}
	}
}

// allBut returns a pattern of all names but these, whatever their case, for Go's
// regular expressions, which cannot say "not".
func allBut(names []string) string {
	var others func(rests []string) string
	others = func(rests []string) string {
		next := map[string][]string{}
		ends := false
		for _, rest := range rests {
			if rest == "" {
				ends = true
				continue
			}
			next[rest[:1]] = append(next[rest[:1]], rest[1:])
		}
		if len(next) == 0 {
			return ".+"
		}
		firsts := slices.Sorted(maps.Keys(next))
		var all strings.Builder
		fmt.Fprintf(&all, "[^%s].*", strings.ReplaceAll(strings.Join(firsts, ""), "-", `\-`))
		for _, first := range firsts {
			all.WriteString("|" + first + others(next[first]))
		}
		if ends {
			return "(" + all.String() + ")"
		}
		return "(" + all.String() + ")?"
	}
	lower := make([]string, len(names))
	for i, name := range names {
		lower[i] = strings.ToLower(name)
	}
	return "(?i)^" + others(lower) + "$"
}
