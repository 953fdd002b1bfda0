package credential

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A Purpose separates the uses of the master key: what was made for one purpose is
// invalid for another.
type Purpose string

// The purposes. Their texts are part of what is stored: never change one.
const (
	PurposeAccessToken    Purpose = "access token"
	PurposeCheck          Purpose = "check" // reports whether a database was sealed with this master key
	PurposeConsumerSecret Purpose = "consumer secret"
	PurposeDataKey        Purpose = "data key" // the key that seals the data, sealed with the master key
	PurposeMPIN           Purpose = "mpin"
	PurposeOTP            Purpose = "otp"
	PurposeOutbox         Purpose = "outbox" // codes to be sent
	PurposePAN            Purpose = "pan"
	PurposePseudonym      Purpose = "pseudonym"
	PurposeRepeat         Purpose = "repeat"
	PurposeSigningKey     Purpose = "signing key"
	PurposeTOTP           Purpose = "totp seed"
)

var purposes = []Purpose{
	PurposeAccessToken, PurposeCheck, PurposeConsumerSecret, PurposeDataKey, PurposeMPIN, PurposeOTP,
	PurposeOutbox, PurposePAN, PurposePseudonym, PurposeRepeat, PurposeSigningKey, PurposeTOTP,
}

// MasterKeySize is the length of a master key in bytes.
const MasterKeySize = 32

// sealVersion comes before everything sealed, so that a later scheme can be
// distinguished from this one.
const sealVersion = 1

// A Vault holds the keys derived from one master key. The master key lives in a file
// outside the database: a stolen database alone reveals no secrets. A Vault is safe
// for concurrent use.
type Vault struct {
	seals map[Purpose]cipher.AEAD
	macs  map[Purpose][]byte
}

// Format implements [fmt.Formatter], so that no verb shows a key.
func (v *Vault) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// NewMasterKey returns a fresh master key as the text of a key file: 64
// hexadecimal digits and a newline.
func NewMasterKey() string {
	key := make([]byte, MasterKeySize)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(key) + "\n"
}

// ParseMasterKey reads the text of a key file.
func ParseMasterKey(text string) ([]byte, error) {
	key, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != MasterKeySize {
		return nil, fmt.Errorf("a master key is %d hexadecimal digits on one line", 2*MasterKeySize)
	}
	return key, nil
}

// MasterKeyID returns an identifier of a master key that reveals nothing about it.
func MasterKeyID(master []byte) (string, error) {
	id, err := hkdf.Key(sha256.New, master, nil, "neoapi id", 8)
	return hex.EncodeToString(id), err
}

// NewVault derives a vault from a master key of [MasterKeySize] bytes.
func NewVault(master []byte) (*Vault, error) {
	if len(master) != MasterKeySize {
		return nil, fmt.Errorf("a master key has %d bytes, this one %d", MasterKeySize, len(master))
	}
	v := &Vault{seals: map[Purpose]cipher.AEAD{}, macs: map[Purpose][]byte{}}
	for _, p := range purposes {
		sealKey, err := hkdf.Key(sha256.New, master, nil, "neoapi seal "+string(p), 32)
		if err != nil {
			return nil, err
		}
		block, err := aes.NewCipher(sealKey)
		if err != nil {
			return nil, err
		}
		if v.seals[p], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, err
		}
		if v.macs[p], err = hkdf.Key(sha256.New, master, nil, "neoapi mac "+string(p), 32); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// Seal encrypts plain (AES-256-GCM, random nonce) so that only Open with the
// same purpose and the same owner reads it. The owner (an account's id, a key's
// id) keeps one record's secret from being moved to another record.
func (v *Vault) Seal(p Purpose, owner string, plain []byte) []byte {
	return v.seals[p].Seal([]byte{sealVersion}, nil, plain, []byte(owner))
}

// ErrSealed is returned by Open for anything that Seal did not make with this
// master key, purpose and owner.
var ErrSealed = errors.New("sealed value cannot be opened: wrong master key, or the record was altered")

// Open returns what Seal encrypted.
func (v *Vault) Open(p Purpose, owner string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != sealVersion {
		return nil, ErrSealed
	}
	plain, err := v.seals[p].Open(nil, nil, sealed[1:], []byte(owner))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// MAC returns the keyed hash (HMAC-SHA256) of the parts. Parts are length
// prefixed: moving a character from one to the next gives another hash.
func (v *Vault) MAC(p Purpose, parts ...string) []byte {
	h := hmac.New(sha256.New, v.macs[p])
	var n [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}

// Equal compares two keyed hashes in constant time. An empty hash equals
// nothing, not even another empty one.
func Equal(a, b []byte) bool {
	return len(a) > 0 && hmac.Equal(a, b)
}
