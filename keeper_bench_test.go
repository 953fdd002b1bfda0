package neoapi

import (
	"context"
	"testing"
	"time"

	"neoapi/internal/must"
)

// What a program pays to ask for its session before each call, from 64 goroutines.
func BenchmarkKeeperSession(b *testing.B) {
	c := must.Get(New(Config{Environment: PROD, ConsumerKey: "key"}))(b)
	mpin := func(context.Context) (string, error) { return "", nil }
	k := must.Get(c.Keep(KeepConfig{Login: Login{TOTP: func(context.Context) (TOTP, error) { return TOTP{}, nil }, MPIN: mpin}}))(b)
	k.held.Store(&held{Session{Token: "t", SID: "s"}, time.Now().Add(time.Hour)})
	b.ReportAllocs()
	b.SetParallelism(32) // times GOMAXPROCS
	ctx := context.Background()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			must.Get(k.Session(ctx))(b)
		}
	})
}
