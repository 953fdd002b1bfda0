package neoapitest_test

import (
	"net/http"
	"testing"

	"neoapi/neoapitest"
)

func TestSmoke(t *testing.T) {
	srv := neoapitest.NewServer(t)
	r, err := http.Get(srv.URL + "/nowhere")
	if err != nil {
		t.Fatal(err)
	}
	if r.StatusCode != 404 {
		t.Fatal(r.Status)
	}
}
