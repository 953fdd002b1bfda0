package sfeed_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"neoapi/internal/sfeed"
)

// golden returns the bytes of a file of testdata, which has them as hexadecimal digits.
func golden(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// one returns the only packet of a frame.
func one(t testing.TB, frame []byte) sfeed.Packet {
	t.Helper()
	p, rest, err := sfeed.Next(frame)
	if err != nil || len(rest) > 0 {
		t.Fatalf("Next: %v, and %d bytes are left", err, len(rest))
	}
	return p
}

// headerOf returns what a packet was appended with.
func headerOf(p sfeed.Packet) sfeed.Header {
	h := sfeed.Header{Exchange: p.Exchange(), Level: p.Level(), Seq: p.Seq()}
	if p.Auction() {
		h.Auction = 1
	}
	return h
}

// The independent encoder: the layouts as structs, which encoding/binary writes packed,
// field after field.

type wireHeader struct {
	Code          uint16
	Exchange      int8
	Level         uint8
	Auction, Seq  uint8
	BitmaskLength uint8
}

type wireMini struct {
	Token         uint32
	LastTradeTime int64
	LTP           uint32
	LastQty       int64
	Close         uint32
	ChangePercent int32
	Change        int32
	Lot           uint32
	Precision     uint8
	Multiplier    uint32
}

type wireQuote struct {
	Token                                      uint32
	TotalBuy, TotalSell, Volume, Trade, Update int64
	Open, Close, High, Low, LTP                uint32
	LastQty                                    int64
	Average, Indicative, BuyRows, SellRows     uint32
	Status                                     int16
	ChangePercent                              int32
	OpenInterest                               uint32
	Traded                                     float64
	Change                                     int32
	Upper, Lower, YearHigh, YearLow, Lot       uint32
	Precision                                  uint8
	Multiplier                                 uint32
}

type wireRow struct {
	Qty           int64
	Price, Orders int32
}

type wireIndex struct {
	Token                           uint32
	Open, Close, High, Low, Value   int32
	Trade                           uint64
	YearHigh, YearLow, PercentTimes int32
	Cap                             float64
	Precision                       uint8
	Multiplier                      int32
	Name                            [21]byte
}

type wireAuction struct {
	Token, Reference    int32
	Imbalance, AtMarket int64
	Reserved            [15]byte
}

type wireStatus struct {
	Code uint16
	Text [5]byte
}

// packet writes a packet of a header and what follows it.
func packet(t testing.TB, h wireHeader, parts ...any) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, part := range append([]any{uint16(0), h}, parts...) {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	binary.LittleEndian.PutUint16(b.Bytes(), uint16(b.Len()))
	return b.Bytes()
}

// rows returns rows as a packet has them.
func rows(r []wireRow) (out sfeed.Rows) {
	for _, r := range r {
		out = out.Append(sfeed.Row(r))
	}
	return out
}
