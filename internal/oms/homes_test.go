package oms

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"neoapi/internal/login"
	"neoapi/internal/must"
)

func homes(t *testing.T, names ...string) *Homes {
	t.Helper()
	return must.Get(NewHomes(names...))(t)
}

const accounts = 20_000

func ucc(i int) string { return fmt.Sprintf("AB%06d", i) }

func TestHomes_giveEveryServerItsShareOfTheAccounts(t *testing.T) {
	h := homes(t, "server1", "server2", "server3", "server4")
	share := map[string]int{}
	for i := range accounts {
		share[h.Home(ucc(i))]++
	}
	for _, name := range h.names {
		if n := share[name]; n < accounts/4*9/10 || n > accounts/4*11/10 {
			t.Errorf("%s has %d of %d accounts, want about a quarter", name, n, accounts)
		}
	}
}

func TestHomes_giveANewServerItsShareAndMoveNobodyElse(t *testing.T) {
	before, after := homes(t, "server1", "server2", "server3"), homes(t, "server0", "server1", "server2", "server3")
	moved := 0
	for i := range accounts {
		old, now := before.Home(ucc(i)), after.Home(ucc(i))
		if old == now {
			continue
		}
		moved++
		if now != "server0" {
			t.Fatalf("%s moved from %s to %s", ucc(i), old, now)
		}
	}
	if moved < accounts/4*9/10 || moved > accounts/4*11/10 {
		t.Errorf("%d of %d accounts moved, want about a quarter", moved, accounts)
	}
}

func TestHomes_doNotDependOnTheOrderOfTheList(t *testing.T) {
	a, b := homes(t, "x", "y", "z"), homes(t, "z", "x", "y")
	for i := range 1000 {
		if a.Home(ucc(i)) != b.Home(ucc(i)) {
			t.Fatalf("%s has two homes", ucc(i))
		}
	}
}

func TestHomes_openGivesTheHomeAndEndsWithItsContext(t *testing.T) {
	h := homes(t, "server1", "server2")
	for range 2 { // idempotent
		home, err := h.Open(t.Context(), login.OMSSession{SID: "sid", UCC: "TESTYA24"})
		if err != nil || home != h.Home("TESTYA24") {
			t.Errorf("opened at %q, %v", home, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Open(ctx, login.OMSSession{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open with a cancelled context: %v", err)
	}
	if err := h.Close(ctx, "sid"); !errors.Is(err, context.Canceled) {
		t.Errorf("Close with a cancelled context: %v", err)
	}
}

func TestHomes_badListIsRefusedWithEveryProblemNamed(t *testing.T) {
	_, err := NewHomes("server1", "a b", "server1", "")
	for _, want := range []string{`"a b" is not a name`, `duplicate "server1"`, `"" is not a name`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error %v does not say %s", err, want)
		}
	}
	if _, err := NewHomes(); err == nil || !strings.Contains(err.Error(), "at least one") {
		t.Errorf("no servers: %v", err)
	}
}
