package neoapi

import (
	"context"
	"testing"
	"time"
)

// What a program pays to ask for its session before each call, from 64 goroutines.
func BenchmarkKeeperSession(b *testing.B) {
	c, err := New(Config{Environment: PROD, ConsumerKey: "key"})
	if err != nil {
		b.Fatal(err)
	}
	mpin := func(context.Context) (string, error) { return "", nil }
	k, err := c.Keep(KeepConfig{Login: Login{TOTP: func(context.Context) (TOTP, error) { return TOTP{}, nil }, MPIN: mpin}})
	if err != nil {
		b.Fatal(err)
	}
	k.held.Store(&held{Session{Token: "t", SID: "s"}, time.Now().Add(time.Hour)})
	b.ReportAllocs()
	b.SetParallelism(32) // times GOMAXPROCS
	ctx := context.Background()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := k.Session(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
}
