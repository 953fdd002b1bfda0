package neoapi_test

import (
	"testing"
	"time"

	"neoapi"
)

func TestClient_saysWhichServiceItTalksToAndWhatTimeItIs(t *testing.T) {
	at := time.Date(2026, time.September, 22, 12, 0, 0, 0, time.UTC)
	for env, want := range map[neoapi.Environment]string{
		neoapi.PROD: "prod", "UAT": "uat", "https://Neo.example:443/x/": "https://neo.example/x", "http://127.0.0.1:9155": "http://127.0.0.1:9155",
	} {
		c, err := neoapi.New(neoapi.Config{Environment: env, ConsumerKey: "key", Clock: func() time.Time { return at }})
		if err != nil {
			t.Fatal(err)
		}
		if c.Service() != want || !c.Now().Equal(at) {
			t.Errorf("%s: %q, %s", env, c.Service(), c.Now())
		}
	}
}
