package serve

import (
	"context"
	"log/slog"
	"testing"

	"neoapi/internal/login"
	"neoapi/internal/sandbox"
)

// behind returns a service that does not run: it knows the keys of the moment it
// was made, and what it looks for itself.
func behind(t *testing.T, d *Data) *login.Service {
	t.Helper()
	server, err := New(t.Context(), d, Config{Sandbox: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return server.login
}

func TestKeyRing_takesATokenOfAKeyNewerThanTheProcess(t *testing.T) { // security.md J4
	d := mustReopen(t, place(t, t.TempDir()))
	old := behind(t, d)
	keys, err := d.Admin().Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Admin().RemoveKey(t.Context(), keys[0].ID); err != nil { // another one signs at once
		t.Fatal(err)
	}
	fresh := behind(t, d)

	ctx := context.Background()
	consumer, err := fresh.ByConsumerKey(ctx, sandbox.DemoConsumerKey, login.Caller{})
	if err != nil {
		t.Fatal(err)
	}
	id, err := login.ParseIdentifier(login.ByUserID, sandbox.DemoUserID)
	if err != nil {
		t.Fatal(err)
	}
	view, err := fresh.Login(ctx, login.FirstFactor{Consumer: consumer, ID: id, Factor: login.Password, Secret: sandbox.DemoPassword})
	if err != nil {
		t.Fatal(err)
	}
	trade, err := old.SecondFactor(ctx, login.SecondFactor{Consumer: consumer, SID: view.SID, Auth: view.Token, Code: sandbox.DemoMPIN})
	if err != nil {
		t.Fatalf("a view token of the new key: %v", err)
	}
	if _, err := old.CheckTrade(ctx, consumer, trade.SID, trade.Token, login.Caller{}); err != nil {
		t.Errorf("a trade token of the new key: %v", err)
	}
}
