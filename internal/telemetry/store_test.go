package telemetry_test

import (
	"context"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"neoapi/internal/login"
	"neoapi/internal/store/sqlite"
	"neoapi/internal/telemetry"
)

// Whatever the service calls of the store is measured, a method that is added
// tomorrow included. The arguments are zero: a refusal is measured too.
func TestPorts_everyCallOfTheStoreIsMeasured(t *testing.T) {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "neo.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	tel := telemetry.New(nil)
	ports := tel.Ports(login.Ports{Directory: s, Keys: s, Trail: s, Sessions: s, Allowances: s, Jobs: s})
	calls := 0
	for _, port := range []reflect.Value{
		reflect.ValueOf(&ports.Directory), reflect.ValueOf(&ports.Keys), reflect.ValueOf(&ports.Trail),
		reflect.ValueOf(&ports.Sessions), reflect.ValueOf(&ports.Allowances), reflect.ValueOf(&ports.Jobs),
	} {
		port = port.Elem() // typed as the interface, so that it has the port's methods and no others
		for i := range port.NumMethod() {
			method, args := port.Method(i), []reflect.Value{reflect.ValueOf(context.Background())}
			for n := 1; n < method.Type().NumIn(); n++ {
				args = append(args, reflect.Zero(method.Type().In(n)))
			}
			before := measured(tel)
			method.Call(args)
			calls++
			if got := measured(tel); got != before+1 {
				t.Errorf("%s.%s: %d operations are measured after it, and %d before", port.Type(), port.Type().Method(i).Name, got, before)
			}
		}
	}
	if calls < 40 {
		t.Errorf("only %d methods were called", calls)
	}
}

// measured returns how many operations of the store have been measured at least once.
func measured(tel *telemetry.Telemetry) int {
	w := httptest.NewRecorder()
	tel.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return strings.Count(w.Body.String(), "neo_port_seconds_count{")
}
