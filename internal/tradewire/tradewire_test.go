package tradewire_test

import (
	"strings"
	"testing"

	"neoapi/internal/tradewire"
	"neoapi/internal/wire"
)

func TestAddress_isThatOfTheGeneration(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		path string
		want map[wire.Family]string
	}{
		{"/quick/user/orders", map[wire.Family]string{
			wire.Gen1UAT: "/orderapi/1.0/quick/user/orders", wire.Gen1PROD: "/Orders/2.0/quick/user/orders",
			wire.Gen2: "/apim/orders/2.0/quick/user/orders", wire.Gen3: "/quick/user/orders",
		}},
		{"/quick/order/history", map[wire.Family]string{
			wire.Gen1UAT: "/orderapi/1.0/quick/order/history", wire.Gen1PROD: "/Orders/2.0/quick/order/history",
			wire.Gen2: "/apim/order/2.0/quick/order/history", wire.Gen3: "/quick/order/history",
		}},
		{"/portfolio/v1/holdings", map[wire.Family]string{
			wire.Gen1UAT: "/portfolio/1.0/portfolio/v1/holdings", wire.Gen1PROD: "/Portfolio/1.0/portfolio/v1/holdings",
			wire.Gen2: "/apim/portfolio/2.0/portfolio/v1/holdings", wire.Gen3: "/portfolio/v1/holdings",
		}},
		{"/script-details/1.0/masterscrip/file-paths", map[wire.Family]string{
			wire.Gen1UAT: "/scrip/1.0/masterscrip/file-paths", wire.Gen1PROD: "/Files/1.0/masterscrip/v1/file-paths",
			wire.Gen2: "/apim/files/2.0/masterscrip/v1/file-paths", wire.Gen3: "/script-details/1.0/masterscrip/file-paths",
		}},
		{"/script-details/1.0/quotes/neosymbol/nse_cm|1/all", map[wire.Family]string{ // generation 1 has none
			wire.Gen1UAT: "/script-details/1.0/quotes/neosymbol/nse_cm|1/all", wire.Gen2: "/apim/quotes/2.0/quotes/neosymbol/nse_cm|1/all",
			wire.Gen3: "/script-details/1.0/quotes/neosymbol/nse_cm|1/all",
		}},
	} {
		for family, want := range x.want {
			got := tradewire.Address(family, x.path)
			if got != want {
				t.Errorf("%s for %d: %s, want %s", x.path, family, got, want)
			}
			if again := tradewire.Address(family, got); family != wire.Gen3 && again != got {
				t.Errorf("%s gets a second prefix: %s", got, again)
			}
			if neutral := tradewire.Neutral(got); neutral != x.path {
				t.Errorf("%s is %s, want %s", got, neutral, x.path)
			}
			if needs := tradewire.NeedsAccess(got); needs != (family != wire.Gen3 && x.path != "/quick/order/history" && !strings.HasPrefix(x.path, "/script-details/")) {
				t.Errorf("%s needs access: %t", got, needs)
			}
		}
	}
	for _, path := range []string{"/login/1.0/logout", "/quick", "/Orders/2.0/other", "/portfolio/1.0", "/script-details/1.0/quotes"} {
		if got := tradewire.Address(wire.Gen1UAT|wire.Gen1PROD|wire.Gen2, path); got != path || tradewire.NeedsAccess(path) {
			t.Errorf("%s became %s", path, got)
		}
	}
}

// As docs/protocol.md has them.
func TestRoutes_areThoseOfTheProtocol(t *testing.T) {
	t.Parallel()
	want := map[string]wire.Route{}
	for _, c := range []struct{ op, method, path string }{
		{"positions", "GET", "/quick/user/positions"}, {"orders", "GET", "/quick/user/orders"},
		{"trades", "GET", "/quick/user/trades"}, {"limits", "POST", "/quick/user/limits"},
	} {
		for prefix, families := range map[string]wire.Family{
			"/orderapi/1.0": wire.Gen1UAT | wire.Gen2, "/Orders/2.0": wire.Gen1PROD | wire.Gen2, "/apim/orders/2.0": wire.Gen2, "": wire.Gen3,
		} {
			want[prefix+c.path] = wire.Route{Op: wire.Op(c.op), Method: c.method, Path: prefix + c.path, Families: families}
		}
	}
	for prefix, families := range map[string]wire.Family{
		"/portfolio/1.0": wire.Gen1UAT, "/Portfolio/1.0": wire.Gen1PROD, "/apim/portfolio/2.0": wire.Gen2, "": wire.Gen3,
	} {
		want[prefix+"/portfolio/v1/holdings"] = wire.Route{Op: "holdings", Method: "GET", Path: prefix + "/portfolio/v1/holdings", Families: families}
	}
	for _, r := range tradewire.Routes() {
		if want[r.Path] != r || tradewire.OpOf(r.Path) != r.Op {
			t.Errorf("%+v, want %+v; it leads to %q", r, want[r.Path], tradewire.OpOf(r.Path))
		}
		delete(want, r.Path)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}
