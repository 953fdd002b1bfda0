package argon2

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/crypto/argon2"
)

var inputs = flag.Int("argon2.inputs", 300, "number of random inputs to try with each kernel")

// An input holds what a key is derived from.
type input struct {
	password, salt []byte
	time, memory   uint32
	lanes          uint8
	size           uint32
}

func (in input) String() string {
	return fmt.Sprintf("password %x, salt %x, m=%d,t=%d,p=%d, %d bytes", in.password, in.salt, in.memory, in.time, in.lanes, in.size)
}

// same compares a kernel's key with that of golang.org/x/crypto/argon2.
func (in input) same(t *testing.T, k kernel) {
	t.Helper()
	got, err := k.idKey(in.password, in.salt, in.time, in.memory, in.lanes, in.size)
	if err != nil {
		t.Fatal(err)
	}
	if want := argon2.IDKey(in.password, in.salt, in.time, in.memory, in.lanes, in.size); !bytes.Equal(got, want) {
		t.Errorf("%s, %v:\n got %x\nwant %x", k.name, in, got, want)
	}
}

func TestKernel_saysOfRandomInputsWhatXCryptoSays(t *testing.T) {
	random := rand.NewChaCha8([32]byte{})
	r := rand.New(random)
	text := func(n int) []byte {
		b := make([]byte, n)
		_, _ = random.Read(b)
		return b
	}
	for range *inputs {
		lanes := uint8(1 + r.IntN(16))
		in := input{text(r.IntN(300)), text(r.IntN(100)), uint32(1 + r.IntN(4)), 8 * uint32(lanes), lanes, uint32(minKey + r.IntN(200))}
		in.memory += uint32(r.IntN(400))
		if r.IntN(8) == 0 {
			in.memory += uint32(r.IntN(4000))
		}
		for _, k := range kernels() {
			in.same(t, k)
		}
	}
}

func TestKernel_saysOfEveryLengthAndShapeWhatXCryptoSays(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789abcdef"), 70)
	usual := input{long[:20], long[:16], 1, 8, 1, 32}
	cases := map[string]func(yield func(input)){
		"passwords": func(yield func(input)) {
			for n := range 300 {
				in := usual
				in.password = long[:n]
				yield(in)
			}
			in := usual
			in.password = long[:1024]
			yield(in)
		},
		"salts": func(yield func(input)) {
			for n := range 150 {
				in := usual
				in.salt = long[:n]
				yield(in)
			}
		},
		"keys": func(yield func(input)) {
			for n := minKey; n <= 300; n++ {
				in := usual
				in.size = uint32(n)
				yield(in)
			}
		},
		"lanes, with the least memory and odd sizes": func(yield func(input)) {
			for p := range uint32(16) {
				for _, more := range []uint32{0, 1, 7, 8*(p+1) - 1, 601} {
					in := usual
					in.time, in.lanes, in.memory = 3, uint8(p+1), 8*(p+1)+more
					yield(in)
				}
			}
		},
		"passes": func(yield func(input)) {
			for n := range uint32(32) {
				in := usual
				in.time = n + 1
				yield(in)
			}
		},
		"segments around the size of a call and of an address block": func(yield func(input)) {
			for _, segment := range []uint32{callBlocks - 1, callBlocks, callBlocks + 1, callBlocks + 2, blockWords - 1, blockWords, blockWords + 1, blockWords + 2, 2 * blockWords, 2*blockWords + 1} {
				for _, lanes := range []uint8{1, 2} {
					in := usual
					in.time, in.lanes, in.memory = 2, lanes, syncPoints*segment*uint32(lanes)
					yield(in)
				}
			}
		},
		"less memory than the minimum": func(yield func(input)) {
			for n := range uint32(8) {
				in := usual
				in.memory = n
				yield(in)
			}
		},
		"new hashes": func(yield func(input)) {
			in := usual
			in.time, in.memory = 2, 19*1024
			yield(in)
		},
	}
	for name, each := range cases {
		t.Run(name, func(t *testing.T) {
			for _, k := range kernels() {
				each(func(in input) { in.same(t, k) })
			}
		})
	}
}

func TestKernel_isUsedIfItComputesTheKnownAnswer(t *testing.T) {
	want := argon2.IDKey([]byte("password"), []byte("sixteen bytes..."), knownTime, knownMemory, 1, 32)
	if hex.EncodeToString(want) != known {
		t.Fatalf("the known answer should be %x", want)
	}
	for _, k := range kernels() {
		if got, err := choose([]kernel{k, generic}); err != nil || got.name != k.name {
			t.Errorf("%s: %v, chose %s", k.name, err, got.name)
		}
	}
	if best := kernels()[0].name; Kernel() != best || Check() != nil {
		t.Errorf("chose %s, want %s: %v", Kernel(), best, Check())
	}
}

func TestKernel_refusesParametersThatArgon2DoesNotHave(t *testing.T) {
	for _, k := range kernels() {
		for _, in := range []input{{time: 0, lanes: 1, size: 32}, {time: 1, lanes: 0, size: 32}, {time: 1, lanes: 1, size: 3}} {
			if key, err := k.idKey(nil, nil, in.time, 8, in.lanes, in.size); err == nil {
				t.Errorf("%s: %v gives %x", k.name, in, key)
			}
		}
	}
}

func FuzzIDKey(f *testing.F) {
	f.Add([]byte("password"), []byte("sixteen bytes..."), uint8(2), uint16(64), uint8(1), uint8(32))
	f.Add([]byte(""), []byte(""), uint8(1), uint16(8), uint8(1), uint8(4))
	f.Add([]byte("password"), []byte("salt"), uint8(3), uint16(2000), uint8(16), uint8(255))
	f.Fuzz(func(t *testing.T, password, salt []byte, time uint8, memory uint16, lanes, size uint8) {
		in := input{password, salt, 1 + uint32(time)%4, uint32(memory) % 4096, 1 + lanes%16, max(minKey, uint32(size))}
		for _, k := range kernels() {
			in.same(t, k)
		}
	})
}
