package serve

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/operator"
	"neoapi/internal/sandbox"
)

// reopened opens data and closes them when the test is over.
func reopened(t *testing.T, p Place) (*Data, error) {
	t.Helper()
	d, err := Open(t.Context(), p, nil)
	if err == nil {
		t.Cleanup(func() { _ = d.Close() })
	}
	return d, err
}

// mustReopen is reopened for data that must be there.
func mustReopen(t *testing.T, p Place) *Data {
	t.Helper()
	d, err := reopened(t, p)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// putKey writes the file of the master key.
func putKey(t *testing.T, p Place, text []byte) {
	t.Helper()
	if err := os.WriteFile(MasterKey(p.Dir), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// full is data with an account and a consumer.
func full(t *testing.T, p Place) *Data {
	t.Helper()
	d := mustReopen(t, p)
	_, err := d.Admin().AddAccount(t.Context(), operator.NewAccount{
		UCC: "AB1", UserID: "asha", Mobile: "9876543210", PAN: "AVRFT7865T", Password: "a good one, this", TOTPSeed: sandbox.DemoTOTPSeed,
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// readable reports what of full cannot be read.
func readable(t *testing.T, d *Data) {
	t.Helper()
	a, err := d.Store.Account(t.Context(), login.Identifier{Kind: login.ByPAN, Value: credential.Secret(d.Vault.MAC(credential.PurposePAN, "AVRFT7865T"))})
	if err != nil {
		t.Errorf("by PAN: %v", err)
		return
	}
	if pan, err := d.Admin().PAN(a); pan != "AVR****65T" {
		t.Errorf("the PAN is %q, %v", pan, err)
	}
	if _, err := d.Vault.Open(credential.PurposeTOTP, a.ID, a.TOTPSeed); err != nil {
		t.Errorf("the TOTP seed: %v", err)
	}
}

func TestMasterKey_newAndOldOpenTheDataUntilTheOldIsForgotten(t *testing.T) {
	p := place(t, t.TempDir())
	running := full(t, p)
	path := MasterKey(p.Dir)
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := mustReopen(t, p).RotateMaster(t.Context()); err != nil {
		t.Fatal(err)
	}
	fresh, err := os.ReadFile(path)
	if err != nil || bytes.Equal(fresh, old) {
		t.Fatalf("the key is the old one, %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	put := func(text []byte) (*Data, error) {
		t.Helper()
		putKey(t, p, text)
		return reopened(t, p)
	}
	readable(t, running)
	for name, text := range map[string][]byte{"old": old, "new": fresh} {
		d, err := put(text)
		if err != nil {
			t.Fatalf("the %s one: %v", name, err)
		}
		readable(t, d)
	}

	if d, err := put(fresh); err != nil {
		t.Fatal(err)
	} else if n, err := d.ForgetMasters(t.Context()); n != 1 || err != nil {
		t.Errorf("%d were forgotten, %v", n, err)
	}
	readable(t, running)
	if _, err := put(old); err == nil || !strings.Contains(err.Error(), "is not the key that this database was sealed with") {
		t.Errorf("the old one: %v", err)
	}
	putKey(t, p, fresh)
	d := mustReopen(t, p)
	readable(t, d)
	all, err := d.Store.Events(t.Context(), login.EventQuery{N: 100})
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, e := range all {
		if strings.HasPrefix(e.Action, "master key") {
			told = append(told, e.Action)
		}
		if strings.Contains(string(old)+string(fresh), e.RequestID) && e.RequestID != "" {
			t.Errorf("the id %s is a part of a key", e.RequestID)
		}
	}
	if strings.Join(told, ", ") != "master key added, master key forgotten" {
		t.Errorf("the trail has %v", told)
	}
}

func TestMasterKey_thatNeverWasIsRefusedAndForgetsNothing(t *testing.T) {
	p := place(t, t.TempDir())
	d := full(t, p)
	good, err := os.ReadFile(MasterKey(p.Dir))
	if err != nil {
		t.Fatal(err)
	}
	putKey(t, p, []byte(credential.NewMasterKey()))
	if _, err := reopened(t, p); err == nil {
		t.Error("it opens the data")
	}
	if n, err := d.ForgetMasters(t.Context()); n != 0 || err == nil {
		t.Errorf("%d were forgotten, %v", n, err)
	}
	putKey(t, p, good)
	readable(t, mustReopen(t, p))
}

// A database that was made before there were data keys is sealed with its master
// key itself.
func TestData_withoutADataKeyIsRead(t *testing.T) {
	p := place(t, t.TempDir())
	text := credential.NewMasterKey()
	putKey(t, p, []byte(text))
	master, _ := hex.DecodeString(strings.TrimSpace(text))
	vault, err := credential.NewVault(master)
	if err != nil {
		t.Fatal(err)
	}
	store, err := p.open(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.PutOnce(t.Context(), "check", vault.Seal(credential.PurposeCheck, "", nil))
	if err := errors.Join(err, store.Close()); err != nil {
		t.Fatal(err)
	}
	d := full(t, p)
	if !bytes.Equal(d.Vault.MAC("pan", "x"), vault.MAC("pan", "x")) {
		t.Error("it has another data key")
	}
	if err := d.RotateMaster(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := d.ForgetMasters(t.Context()); n != 1 || err != nil {
		t.Errorf("%d were forgotten, %v", n, err)
	}
	readable(t, mustReopen(t, p))
	putKey(t, p, []byte(text))
	if _, err := reopened(t, p); err == nil {
		t.Error("the old master key opens the data")
	}
}

func TestMasterKey_rotationsAtOnceLeaveOneThatOpensTheData(t *testing.T) {
	p := place(t, t.TempDir())
	d := full(t, p)
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			if err := d.RotateMaster(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	again := mustReopen(t, p)
	readable(t, again)
	left, err := filepath.Glob(filepath.Join(p.Dir, ".master-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if n, err := again.ForgetMasters(t.Context()); n != 5 || err != nil {
		t.Errorf("%d were forgotten, %v", n, err)
	}
	readable(t, d)
}

func TestMasterKey_changesByManyOperatorsLeaveOneThatOpensTheData(t *testing.T) {
	p := place(t, t.TempDir())
	readable(t, full(t, p))
	if _, err := writeMasterKey(p.Dir, credential.NewMasterKey(), ""); err != nil { // of one that was killed
		t.Fatal(err)
	}
	for range 10 {
		var all sync.WaitGroup
		for range 4 {
			operator := mustReopen(t, p)
			all.Go(func() {
				if err := operator.RotateMaster(t.Context()); err != nil {
					t.Error(err)
				}
				if _, err := operator.ForgetMasters(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	readable(t, mustReopen(t, p))
	if left, err := filepath.Glob(filepath.Join(p.Dir, masterTemp)); err != nil || len(left) > 0 {
		t.Errorf("%v, %v: keys lie about", left, err)
	}
}
