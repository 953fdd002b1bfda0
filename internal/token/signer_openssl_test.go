//go:build openssl

package token

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"
)

func TestOpenSSL_signs(t *testing.T) {
	if name, err := library(); err != nil || !strings.HasPrefix(name, "openssl 3.") {
		t.Fatalf("%q, %v", name, err)
	}
	if s := newSigner(ours().Private); !strings.HasPrefix(s.name, "openssl 3.") {
		t.Errorf("%s signs: %v", s.name, s.fallback)
	}
}

func TestOpenSSL_missingLeavesSigningToGo(t *testing.T) {
	found := library
	defer func() { library = found }()
	library = func() (string, error) { return load("libcrypto.so.0") }
	r := ring(t)
	if name, fallback := r.Signer(); name != goSigner || fallback == nil || !strings.Contains(fallback.Error(), "libcrypto.so.0") {
		t.Errorf("%s signs: %v", name, fallback)
	}
	if Signer() != goSigner {
		t.Errorf("this program names %s as its signer", Signer())
	}
	mint(t, r, seedClaims())
}

func TestOpenSSL_leavesAKeyThatItRefusesToGo(t *testing.T) {
	//lint:ignore SA1019 such a key can be stored, and nothing else makes one
	three, err := rsa.GenerateMultiPrimeKey(rand.Reader, 3, Bits2048)
	if err != nil {
		t.Fatal(err)
	}
	if s := newSigner(three); s.name != goSigner || s.fallback == nil {
		t.Errorf("%s signs: %v", s.name, s.fallback)
	}
}

// An error must not repeat an earlier one, nor reveal a key.
func TestOpenSSL_errorSaysWhyAndNoMore(t *testing.T) {
	small := ours().Private.Primes[0] // a modulus too small for the hash
	small = new(big.Int).Rsh(small, uint(small.BitLen()-257))
	s, err := newLibrarySigner(&rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: small, E: 3}, D: small, Primes: []*big.Int{small, small},
		Precomputed: rsa.PrecomputedValues{Dp: small, Dq: small, Qinv: small},
	})
	for range 3 {
		if err == nil {
			_, err = s.Sign(nil, make([]byte, 32), crypto.SHA256)
		}
		if err == nil || !regexp.MustCompile(`^OpenSSL[a-z ]*: [A-Za-z ]+$`).MatchString(err.Error()) {
			t.Errorf("%v", err)
		}
		if _, good := newSigner(ours().Private).Sign(nil, make([]byte, 32), crypto.SHA256); good != nil {
			t.Errorf("a good key after a bad one: %v", good)
		}
	}
}

func TestOpenSSL_signsRS256Alone(t *testing.T) {
	s, err := newLibrarySigner(ours().Private)
	if err != nil {
		t.Fatal(err)
	}
	for name, sign := range map[string]func() ([]byte, error){
		"another hash":    func() ([]byte, error) { return s.Sign(nil, make([]byte, 64), crypto.SHA512) },
		"no digest":       func() ([]byte, error) { return s.Sign(nil, nil, crypto.SHA256) },
		"a longer digest": func() ([]byte, error) { return s.Sign(nil, make([]byte, 33), crypto.SHA256) },
		"another padding": func() ([]byte, error) { return s.Sign(nil, make([]byte, 32), &rsa.PSSOptions{Hash: crypto.SHA256}) },
		"no hash at all":  func() ([]byte, error) { return s.Sign(nil, make([]byte, 32), crypto.Hash(0)) },
	} {
		if signature, err := sign(); err == nil || signature != nil {
			t.Errorf("%s: %x, %v", name, signature, err)
		}
	}
}

// A change of keys replaces the ring, and OpenSSL's copy of the old ring's keys goes too.
func TestOpenSSL_freesAKeyThatIsNotUsedAnyMore(t *testing.T) {
	free := release
	freed := make(chan unsafe.Pointer, 100)
	release = func(key unsafe.Pointer) { free(key); freed <- key }
	defer func() { release = free }()
	s, err := newLibrarySigner(ours().Private)
	if err != nil {
		t.Fatal(err)
	}
	key := s.(*librarySigner).key
	runtime.KeepAlive(s)
	s = nil
	for s == nil {
		runtime.GC()
		select {
		case gone := <-freed:
			if gone == key {
				return
			}
		case <-time.After(time.Millisecond):
		}
	}
}

func BenchmarkSign(b *testing.B) {
	for name, s := range map[string]signer{"library": newSigner(ours().Private), "go": {Signer: ours().Private}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Sign(nil, make([]byte, 32), crypto.SHA256); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
