package neoapitest_test

import (
	"net/http"
	"testing"

	"neoapi/internal/must"

	"neoapi/neoapitest"
)

func TestSmoke(t *testing.T) {
	srv := neoapitest.NewServer(t)
	r := must.Get(http.Get(srv.URL + "/nowhere"))(t)
	if r.StatusCode != 404 {
		t.Fatal(r.Status)
	}
}
