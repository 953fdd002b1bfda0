package oms_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"neoapi/internal/hostiletest"
	"neoapi/internal/login"
	"neoapi/internal/oms"
)

// Whatever the OMS does, a call ends within its time, takes little memory and leaves no
// connection open. If the fault can be seen at once, the call ends at once.
func TestRemote_hostileOMSCostsACallItsTimeAtMost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret := filepath.Join(dir, "bearer")
	if err := os.WriteFile(secret, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for scheme, modes := range map[string][]hostiletest.Mode{"http": hostiletest.HTTP(), "https": hostiletest.TLS()} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			hostiletest.Walk(t, modes, nil, 128<<10, func(s *hostiletest.Server) error {
				file := filepath.Join(dir, s.Addr+".yaml")
				text := fmt.Sprintf("url: %s://%s\nbearer-file: %s\ntimeout: %s\n", scheme, s.Addr, secret, s.Patience())
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					return err
				}
				remote, _, err := oms.Load(file)
				if err != nil {
					return err
				}
				session := login.OMSSession{SID: "11111111-2222-4333-8444-555555555555", UCC: "AB1234", Consumer: "app", Expires: time.Unix(2e9, 0)}
				_, err = remote.Open(t.Context(), session)
				if err == nil {
					return errors.New("a session was opened")
				}
				if err = s.Judge(err); err != nil {
					return err
				}
				return s.Judge(remote.Close(t.Context(), session.SID))
			})
		})
	}
}
