package serve

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"neoapi/internal/login"
	"neoapi/internal/operator"
	"neoapi/internal/sandbox"
	"neoapi/internal/store/postgres/pgtest"
)

// place is a data directory with the database that the tests run on.
func place(t *testing.T, dir string) Place {
	t.Helper()
	return Place{Dir: dir, Database: pgtest.Chosen(t, dir)}
}

func TestMasterKey_isSharedByProcessesThatStartAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	var all sync.WaitGroup
	macs := make([]string, 10)
	for i := range macs {
		all.Go(func() {
			d, err := Open(context.Background(), place(t, dir), nil)
			if err != nil {
				t.Error(err)
				return
			}
			macs[i] = string(d.Vault.MAC("pan", "AVRFT7865T"))
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, mac := range macs {
		if mac == "" || mac != macs[0] {
			t.Fatal("two of them have different keys")
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		if f.Name() != masterFile && f.Name() != DatabaseFile && f.Name() != DatabaseFile+".lock" {
			t.Errorf("%s is left behind", f.Name())
		}
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v, %v", info.Mode(), err)
	}
}

func TestData_sandboxAndServiceRefuseEachOthers(t *testing.T) {
	open := func(demo bool, dir string) (*Data, error) {
		d := mustReopen(t, place(t, dir))
		_, err := New(t.Context(), d, Config{Sandbox: demo, Log: slog.New(slog.DiscardHandler)})
		return d, err
	}
	demo, real := t.TempDir(), t.TempDir()
	if _, err := open(true, demo); err != nil {
		t.Fatal(err)
	}
	if _, err := open(false, demo); err == nil {
		t.Error("a service runs on the sandbox's public secrets")
	}
	if _, err := open(true, demo); err != nil {
		t.Errorf("the sandbox does not find its own data again: %v", err)
	}
	d, err := open(false, real)
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Admin().AddAccount(t.Context(), operator.NewAccount{UCC: "AB1", UserID: "asha", Mobile: "9876543210", Password: "a good one, this"})
	if err != nil {
		t.Fatal(err)
	}
	d, err = open(true, real)
	if err == nil {
		t.Error("the sandbox adds its public secrets to real accounts")
	}
	if _, err := d.Store.Consumer(t.Context(), sandbox.DemoConsumerKey); !errors.Is(err, login.ErrNotFound) {
		t.Errorf("the refused sandbox has left its consumer behind: %v", err)
	}
}

func TestConfig_namesEveryProblemAtOnce(t *testing.T) {
	err := Config{
		Homes: []string{"a b"}, PublicURL: "nowhere", Accounts: -1,
		Options: login.Options{OTPDigits: 9, ConsumerRate: -1},
	}.Check()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 4 { // the options join two of their own
		t.Errorf("got %v", err)
	}
	if err := (Config{}).Check(); err != nil {
		t.Errorf("the zero configuration: %v", err)
	}
}
