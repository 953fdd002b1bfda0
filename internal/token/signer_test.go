package token

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// In the default build both sides are Go's; ./check runs these with -tags openssl too.

func TestSigner_makesTheSameBytesAsGo(t *testing.T) {
	for _, bits := range []int{Bits2048, Bits3072} {
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			for range 3 {
				key, err := NewKey(bits)
				if err != nil {
					t.Fatal(err)
				}
				s := newSigner(key.Private)
				if s.fallback != nil {
					t.Fatal(s.fallback)
				}
				if !key.Private.PublicKey.Equal(s.Public()) {
					t.Error("the public key differs")
				}
				for i := range 200 {
					digest := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
					want, err := rsa.SignPKCS1v15(nil, key.Private, crypto.SHA256, digest[:])
					if err != nil {
						t.Fatal(err)
					}
					if got, err := s.Sign(nil, digest[:], crypto.SHA256); err != nil || !bytes.Equal(got, want) {
						t.Fatalf("%s signs %x as %x (%v), want %x as Go does", s.name, digest, got, err, want)
					}
				}
			}
		})
	}
}

func TestSigner_servesManyAtOnceWithOneKey(t *testing.T) {
	r := ring(t)
	want := mint(t, r, seedClaims())
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 50 {
				if got, err := r.Mint(r.Active(), seedClaims()); err != nil || got != want {
					t.Errorf("%s (%v), want %s", got, err, want)
				}
			}
		})
	}
	all.Wait()
}

func TestRing_namesWhatSigns(t *testing.T) {
	name, fallback := ring(t).Signer()
	if name != Signer() || fallback != nil {
		t.Errorf("%s (%v), want %s", name, fallback, Signer())
	}
}

func TestSigner_thatSignsOtherwiseIsNotTaken(t *testing.T) {
	other, err := NewKey(Bits2048)
	if err != nil {
		t.Fatal(err)
	}
	if err := same(other.Private, ours().Private); err == nil || !strings.Contains(err.Error(), "differs") {
		t.Errorf("%v", err)
	}
}
