//go:build openssl

package token

/*
#cgo linux LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

// The parts of libcrypto 3 in use, declared here so that building needs no OpenSSL
// headers and starting needs no library.
typedef struct {
	const char *key;
	unsigned int data_type;
	void *data;
	size_t data_size, return_size;
} PARAM; // OSSL_PARAM

enum { UNSIGNED_INTEGER = 2, KEYPAIR = 0x87, PKCS1_PADDING = 1, VERSION_STRING = 6, NO_ATEXIT = 0x80000 };

static struct {
	int (*init_crypto)(unsigned long long, void *);
	const char *(*version)(int);
	unsigned int (*version_major)(void);
	void (*cleanse)(void *, size_t);
	void *(*ctx_from_name)(void *, const char *, const char *);
	void *(*ctx_from_pkey)(void *, void *, const char *);
	void (*ctx_free)(void *);
	int (*fromdata_init)(void *);
	int (*fromdata)(void *, void **, int, PARAM *);
	void (*pkey_free)(void *);
	int (*sign_init)(void *);
	int (*set_padding)(void *, int);
	const void *(*sha256)(void);
	int (*set_md)(void *, const void *);
	int (*sign)(void *, unsigned char *, size_t *, const unsigned char *, size_t);
	unsigned long (*first_error)(void);
	const char *(*reason)(unsigned long);
	void (*clear_errors)(void);
} lib;

// neo_load loads the library by name, and returns what is missing or NULL.
static const char *neo_load(const char *name) {
	struct { void *into; const char *symbol; } all[] = {
		{&lib.init_crypto, "OPENSSL_init_crypto"}, {&lib.version, "OpenSSL_version"}, {&lib.version_major, "OPENSSL_version_major"},
		{&lib.cleanse, "OPENSSL_cleanse"},
		{&lib.ctx_from_name, "EVP_PKEY_CTX_new_from_name"}, {&lib.ctx_from_pkey, "EVP_PKEY_CTX_new_from_pkey"}, {&lib.ctx_free, "EVP_PKEY_CTX_free"},
		{&lib.fromdata_init, "EVP_PKEY_fromdata_init"}, {&lib.fromdata, "EVP_PKEY_fromdata"}, {&lib.pkey_free, "EVP_PKEY_free"},
		{&lib.sign_init, "EVP_PKEY_sign_init"}, {&lib.set_padding, "EVP_PKEY_CTX_set_rsa_padding"},
		{&lib.sha256, "EVP_sha256"}, {&lib.set_md, "EVP_PKEY_CTX_set_signature_md"}, {&lib.sign, "EVP_PKEY_sign"},
		{&lib.first_error, "ERR_peek_error"}, {&lib.reason, "ERR_reason_error_string"}, {&lib.clear_errors, "ERR_clear_error"},
	};
	void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	if (!handle) return name;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		void *f = dlsym(handle, all[i].symbol);
		if (!f) return all[i].symbol;
		memcpy(all[i].into, &f, sizeof f);
	}
	if (lib.version_major() != 3) return "version 3";
	if (!lib.init_crypto(NO_ATEXIT, NULL)) return "OPENSSL_init_crypto";
	return NULL;
}

static const char *neo_version(void) { return lib.version(VERSION_STRING); }

// neo_failed empties the thread's error queue and returns why the library's last call
// failed, as one of the library's constant texts.
static const char *neo_failed(void) {
	const char *why = lib.reason(lib.first_error());
	lib.clear_errors();
	return why ? why : "no reason given";
}

// neo_key makes a key from its eight numbers, packed in this machine's byte order, and
// wipes them. On failure it returns NULL and sets why.
static void *neo_key(unsigned char *numbers, size_t *sizes, const char **why) {
	static const char *names[] = {"n", "e", "d", "rsa-factor1", "rsa-factor2", "rsa-exponent1", "rsa-exponent2", "rsa-coefficient1"};
	PARAM params[9] = {{0}};
	size_t sum = 0;
	for (int i = 0; i < 8; i++) {
		params[i] = (PARAM){names[i], UNSIGNED_INTEGER, numbers + sum, sizes[i], (size_t)-1};
		sum += sizes[i];
	}
	void *key = NULL, *ctx = lib.ctx_from_name(NULL, "RSA", NULL);
	if (!ctx || lib.fromdata_init(ctx) <= 0 || lib.fromdata(ctx, &key, KEYPAIR, params) <= 0) {
		*why = neo_failed();
		key = NULL;
	}
	lib.ctx_free(ctx);
	lib.cleanse(numbers, sum);
	return key;
}

static void neo_free(void *key) { lib.pkey_free(key); }

// neo_sign signs a SHA-256 digest with PKCS #1 v1.5, and returns NULL or why it failed.
static const char *neo_sign(void *key, const unsigned char *digest, unsigned char *signature, size_t size) {
	const char *why = NULL;
	size_t written = size;
	void *ctx = lib.ctx_from_pkey(NULL, key, NULL);
	if (!ctx || lib.sign_init(ctx) <= 0 || lib.set_padding(ctx, PKCS1_PADDING) <= 0 || lib.set_md(ctx, lib.sha256()) <= 0 ||
		lib.sign(ctx, signature, &written, digest, 32) <= 0)
		why = neo_failed();
	else if (written != size)
		why = "the signature is too short";
	lib.ctx_free(ctx);
	return why;
}
*/
import "C"

import (
	"crypto"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"runtime"
	"slices"
	"sync"
	"unsafe"
)

// library loads OpenSSL once, and returns its name and version.
var library = sync.OnceValues(func() (name string, err error) {
	if runtime.GOOS == "darwin" {
		return load("libcrypto.3.dylib")
	}
	return load("libcrypto.so.3")
})

var bigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1

func load(file string) (name string, err error) {
	cname := C.CString(file)
	defer C.free(unsafe.Pointer(cname))
	if missing := C.neo_load(cname); missing != nil {
		return "", fmt.Errorf("OpenSSL 3 not found: no %s", C.GoString(missing))
	}
	return "openssl " + C.GoString(C.neo_version()), nil
}

// A librarySigner holds a private key in OpenSSL's memory. OpenSSL wipes the key when the
// last reference to the librarySigner is gone. It is safe for concurrent use.
type librarySigner struct {
	key    unsafe.Pointer
	public *rsa.PublicKey
}

func newLibrarySigner(private *rsa.PrivateKey) (crypto.Signer, error) {
	if _, err := library(); err != nil { // without it the calls below would crash
		return nil, err
	}
	if len(private.Primes) != 2 {
		return nil, errors.New("the RSA key does not have two primes")
	}
	private.Precompute()
	pre := &private.Precomputed
	all := [8]*big.Int{private.N, big.NewInt(int64(private.E)), private.D, private.Primes[0], private.Primes[1], pre.Dp, pre.Dq, pre.Qinv}
	var sizes [8]C.size_t
	numbers := make([]byte, 0, 8*private.Size()) // room for all, so that growing leaves no copy behind
	for i, n := range all {
		size := (n.BitLen() + 7) / 8
		sizes[i] = C.size_t(size)
		number := numbers[len(numbers) : len(numbers)+size]
		n.FillBytes(number)
		if !bigEndian {
			slices.Reverse(number)
		}
		numbers = numbers[:len(numbers)+size]
	}
	var why *C.char
	key := C.neo_key((*C.uchar)(&numbers[0]), &sizes[0], &why)
	if key == nil {
		return nil, fmt.Errorf("OpenSSL rejects the key: %s", C.GoString(why))
	}
	s := &librarySigner{key, &private.PublicKey}
	runtime.AddCleanup(s, release, key)
	return s, nil
}

// release is a variable so that tests can see it called.
var release = func(key unsafe.Pointer) { C.neo_free(key) }

// Public implements [crypto.Signer].
func (s *librarySigner) Public() crypto.PublicKey { return s.public }

// Sign implements [crypto.Signer] for RS256 only. It does not use the reader: OpenSSL
// blinds with its own randomness.
func (s *librarySigner) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, pss := opts.(*rsa.PSSOptions); pss || opts.HashFunc() != crypto.SHA256 || len(digest) != crypto.SHA256.Size() {
		return nil, errors.New("OpenSSL signs only SHA-256 digests with PKCS #1 v1.5 here")
	}
	signature := make([]byte, s.public.Size())
	why := C.neo_sign(s.key, (*C.uchar)(&digest[0]), (*C.uchar)(&signature[0]), C.size_t(len(signature)))
	runtime.KeepAlive(s)
	if why != nil {
		return nil, fmt.Errorf("OpenSSL: %s", C.GoString(why))
	}
	return signature, nil
}
