package sfeed_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"neoapi/internal/sfeed"
)

// traded is when the instruments of the golden frames last traded.
const traded = 1788245580

func goldenQuote(t testing.TB) sfeed.Quote {
	t.Helper()
	var buys, sells []wireRow
	for i := range int32(5) {
		buys = append(buys, wireRow{100 * int64(i+1), 350000 - 5*i, i + 1})
		sells = append(sells, wireRow{50 * int64(i+1), 350010 + 5*i, i + 2})
	}
	return sfeed.Quote{
		Token: 11536, TotalBuy: 120500, TotalSell: 98000, Volume: 1234567, LastAt: traded, UpdatedAt: traded + 1,
		Open: 348500, Close: 348000, High: 351000, Low: 347500, Last: 350005, LastQty: 25, Average: 349512,
		Status: 1, ChangePercent: 58, Traded: 431493781204, Change: 2005, Upper: 382800, Lower: 313200,
		YearHigh: 412000, YearLow: 289500, Lot: 1, Precision: 2, Multiplier: 1, Buys: rows(buys), Sells: rows(sells),
	}
}

func TestQuote_decodesGoldenFrames(t *testing.T) {
	for _, c := range []struct {
		file   string
		header sfeed.Header
		change func(*sfeed.Quote)
	}{
		{"best", sfeed.Header{Exchange: 1, Level: sfeed.LevelBest, Seq: 11}, func(q *sfeed.Quote) { q.Buys, q.Sells = q.Buys[:16], q.Sells[:16] }},
		{"touch", sfeed.Header{Exchange: 1, Level: sfeed.LevelTouch, Seq: 8}, func(q *sfeed.Quote) { q.Buys, q.Sells = q.Buys[:16], q.Sells[:16] }},
		{"depth", sfeed.Header{Exchange: 1, Level: sfeed.LevelDepth, Auction: 1, Seq: 9}, func(q *sfeed.Quote) {}},
		{"full", sfeed.Header{Exchange: 2, Level: sfeed.LevelFull, Seq: 10}, func(q *sfeed.Quote) {
			q.Token, q.UpdatedAt, q.Sells = 40001, sfeed.Never, q.Sells[:32]
		}},
	} {
		t.Run(c.file, func(t *testing.T) {
			frame, want := golden(t, c.file), goldenQuote(t)
			c.change(&want)
			p := one(t, frame)
			if headerOf(p) != c.header || p.Code() != sfeed.CodeQuote || p.Kind() != sfeed.KindQuote {
				t.Errorf("header %+v of kind %d, want %+v", headerOf(p), p.Kind(), c.header)
			}
			var got sfeed.Quote
			got.Decode(p)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("quote (-want +got):\n%s", diff)
			}
			if b := want.Append(nil, c.header); !bytes.Equal(b, frame) {
				t.Errorf("appended\n%x, want\n%x", b, frame)
			}
		})
	}
}

func TestMini_decodesGoldenFrame(t *testing.T) {
	frame := golden(t, "mini")
	want := sfeed.Mini{
		Token: 11536, LastAt: traded, Last: 350005, LastQty: 25, Close: 348000,
		ChangePercent: 58, Change: 2005, Lot: 1, Precision: 2, Multiplier: 1,
	}
	p := one(t, frame)
	var got sfeed.Mini
	if got.Decode(p); got != want || p.Kind() != sfeed.KindMini || p.Exchange() != 1 || p.Seq() != 7 {
		t.Errorf("kind %d, %+v: %+v, want %+v", p.Kind(), headerOf(p), got, want)
	}
	if b := want.Append(nil, sfeed.Header{Exchange: 1, Seq: 7}); !bytes.Equal(b, frame) {
		t.Errorf("appended\n%x, want\n%x", b, frame)
	}
}

func TestIndex_decodesGoldenFrame(t *testing.T) {
	frame := golden(t, "index")
	want := sfeed.Index{
		Token: 26000, Open: 2450000, Close: 2441235, High: 2461000, Low: 2439000, Value: 2456780, LastAt: traded,
		YearHigh: 2627735, YearLow: 2174340, ChangePercent: 64, Precision: 2, Multiplier: 100, Name: []byte("Nifty 50"),
	}
	p := one(t, frame)
	var got sfeed.Index
	got.Decode(p)
	if diff := cmp.Diff(want, got); diff != "" || p.Kind() != sfeed.KindIndex {
		t.Errorf("kind %d (-want +got):\n%s", p.Kind(), diff)
	}
	if b := want.Append(nil, sfeed.Header{Exchange: 1, Seq: 1}); !bytes.Equal(b, frame) {
		t.Errorf("appended\n%x, want\n%x", b, frame)
	}
}

func TestIndex_cutsNameThatIsTooLong(t *testing.T) {
	x := sfeed.Index{Name: []byte("Nifty Financial Services 25/50")}
	var got sfeed.Index
	if got.Decode(one(t, x.Append(nil, sfeed.Header{}))); string(got.Name) != "Nifty Financial Servi" {
		t.Errorf("name %q", got.Name)
	}
}

func TestAuction_decodesGoldenFrame(t *testing.T) {
	frame, want := golden(t, "auction"), sfeed.Auction{Token: 11536, Reference: 349500, Imbalance: -1200, ImbalanceAtMarket: 300}
	p := one(t, frame)
	var got sfeed.Auction
	if got.Decode(p); got != want || p.Kind() != sfeed.KindAuction || !p.Auction() {
		t.Errorf("kind %d: %+v, want %+v", p.Kind(), got, want)
	}
	if b := want.Append(nil, sfeed.Header{Exchange: 1, Auction: 1}); !bytes.Equal(b, frame) {
		t.Errorf("appended\n%x, want\n%x", b, frame)
	}
}

func TestStatus_decodesGoldenFramesAndTheOlderForm(t *testing.T) {
	for _, c := range []struct {
		file     string
		exchange int8
		want     sfeed.Status
		append   func(*sfeed.Status) []byte
	}{
		{"status", 1, sfeed.Status{Code: sfeed.StatusCASStart, Text: []byte("CAS")}, func(s *sfeed.Status) []byte { return s.Append(nil, sfeed.Header{Exchange: 1}) }},
		{"open", 5, sfeed.Status{Code: sfeed.StatusOpen}, func(s *sfeed.Status) []byte { return s.AppendOld(nil, sfeed.Header{Exchange: 5}) }},
		{"close", 9, sfeed.Status{Code: sfeed.StatusClose}, func(s *sfeed.Status) []byte { return s.AppendOld(nil, sfeed.Header{Exchange: 9}) }},
	} {
		p := one(t, golden(t, c.file))
		got := sfeed.Status{Text: []byte("of the one before")}
		got.Decode(p)
		if diff := cmp.Diff(c.want, got); diff != "" || p.Kind() != sfeed.KindStatus || p.Exchange() != c.exchange {
			t.Errorf("%s: kind %d, exchange %d (-want +got):\n%s", c.file, p.Kind(), p.Exchange(), diff)
		}
		if b := c.append(&c.want); !bytes.Equal(b, golden(t, c.file)) {
			t.Errorf("%s: appended %x", c.file, b)
		}
	}
}

func TestNext_passesUnknownKindsByTheirLength(t *testing.T) {
	var kinds []string
	frame := golden(t, "batch")
	for len(frame) > 0 {
		p, rest, err := sfeed.Next(frame)
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, fmt.Sprintf("%d/%d", p.Code(), p.Kind()))
		frame = rest
	}
	const want = "7208/1 7208/2 9999/0 7207/3 7208/2 105/5 7208/2 104/4 6511/5 6521/5"
	if got := strings.Join(kinds, " "); got != want {
		t.Errorf("code/kind\n%s, want\n%s", got, want)
	}
}

func TestNext_refusesWhatIsCut(t *testing.T) {
	for _, file := range []string{"mini", "best", "touch", "depth", "full", "index", "auction", "status", "open", "close"} {
		whole := golden(t, file)
		for n := range len(whole) {
			if _, _, err := sfeed.Next(whole[:n]); !errors.Is(err, sfeed.ErrCut) {
				t.Errorf("%s, %d of %d bytes: %v", file, n, len(whole), err)
			}
			// The same with a length that says so: what follows is still found.
			if n < 9 {
				continue
			}
			short := append(bytes.Clone(whole[:n]), golden(t, "open")...)
			binary.LittleEndian.PutUint16(short, uint16(n))
			if _, rest, err := sfeed.Next(short); !errors.Is(err, sfeed.ErrCut) || len(rest) != 9 {
				t.Errorf("%s, of length %d: %v, and %d bytes follow", file, n, err, len(rest))
			}
		}
	}
}

func TestNext_refusesMoreRowsThanThereAre(t *testing.T) {
	for _, counts := range [][2]uint32{{5, 6}, {11, 0}, {1 << 31, 1 << 31}, {1<<32 - 5, 10}, {1<<32 - 1, 1<<32 - 1}, {1 << 28, 0}} {
		for _, level := range []uint8{sfeed.LevelBest, sfeed.LevelDepth, sfeed.LevelFull} {
			frame := golden(t, "depth")
			frame[5] = level
			binary.LittleEndian.PutUint32(frame[9+80:], counts[0])
			binary.LittleEndian.PutUint32(frame[9+84:], counts[1])
			if _, _, err := sfeed.Next(frame); !errors.Is(err, sfeed.ErrCut) {
				t.Errorf("level %d with %d buy rows and %d sell rows in room for ten: %v", level, counts[0], counts[1], err)
			}
		}
	}
}

func TestNext_takesOneRowOfEachSideForLevel4WhateverItCounts(t *testing.T) {
	frame := golden(t, "touch")
	binary.LittleEndian.PutUint32(frame[9+80:], 0)
	binary.LittleEndian.PutUint32(frame[9+84:], 1<<32-1)
	var q sfeed.Quote
	if q.Decode(one(t, frame)); q.Buys.Len() != 1 || q.Sells.Len() != 1 || q.Buys.At(0).Price != 350000 || q.Sells.At(0).Price != 350010 {
		t.Errorf("%d buy rows, %d sell rows", q.Buys.Len(), q.Sells.Len())
	}
	q = sfeed.Quote{}
	if q.Decode(one(t, q.Append(nil, sfeed.Header{Level: sfeed.LevelTouch}))); q.Buys.Len() != 1 || q.Sells.At(0) != (sfeed.Row{}) {
		t.Errorf("of empty sides: %d buy rows, %d sell rows", q.Buys.Len(), q.Sells.Len())
	}
}

// decodeAll decodes what a frame has and returns how many packets that were. What is too
// short for its kind is passed over.
func decodeAll(frame []byte) (packets int) {
	var (
		m sfeed.Mini
		q sfeed.Quote
		x sfeed.Index
		a sfeed.Auction
		s sfeed.Status
	)
	for len(frame) > 0 {
		p, rest, err := sfeed.Next(frame)
		frame = rest
		if err != nil {
			continue
		}
		switch p.Kind() {
		case sfeed.KindMini:
			m.Decode(p)
		case sfeed.KindQuote:
			q.Decode(p)
			for _, side := range []sfeed.Rows{q.Buys, q.Sells} {
				for i := range side.Len() {
					side.At(i)
				}
			}
		case sfeed.KindIndex:
			x.Decode(p)
		case sfeed.KindAuction:
			a.Decode(p)
		case sfeed.KindStatus:
			s.Decode(p)
		}
		packets++
	}
	return packets
}

func FuzzNext(f *testing.F) {
	for _, file := range []string{"batch", "mini", "best", "touch", "depth", "full", "index", "auction", "status", "open", "close"} {
		whole := golden(f, file)
		for n := range len(whole) {
			f.Add(whole[:n])
		}
		f.Add(whole)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		all := decodeAll(frame)
		for n := range len(frame) {
			if some := decodeAll(frame[:n]); some > all {
				t.Fatalf("%d of %d bytes have %d packets, all of them %d", n, len(frame), some, all)
			}
		}
	})
}

// The structs of the independent encoder and of the package have the same values, and the
// same bytes.
func TestPackets_areThoseOfAnIndependentEncoder(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		h := rapid.Make[wireHeader]().Draw(r, "header")
		h.Level, h.BitmaskLength = rapid.SampledFrom([]uint8{2, 4, 8, 16}).Draw(r, "level"), 0
		header := sfeed.Header{Exchange: h.Exchange, Level: h.Level, Auction: h.Auction, Seq: h.Seq}

		quoteIs(t, r, h, header)
		miniIs(t, r, h, header)
		othersAre(t, r, h, header)
	})
}

func quoteIs(t *testing.T, r *rapid.T, h wireHeader, header sfeed.Header) {
	w := rapid.Make[wireQuote]().Draw(r, "quote")
	buys, sells := rapid.SliceOfN(rapid.Make[wireRow](), 0, 20).Draw(r, "buys"), rapid.SliceOfN(rapid.Make[wireRow](), 0, 20).Draw(r, "sells")
	if h.Level == sfeed.LevelTouch {
		buys, sells = append(buys, wireRow{})[:1], append(sells, wireRow{})[:1]
	}
	w.BuyRows, w.SellRows = uint32(len(buys)), uint32(len(sells))
	h.Code = sfeed.CodeQuote
	want := packet(t, h, w, buys, sells)
	q := sfeed.Quote{
		Token: w.Token, TotalBuy: w.TotalBuy, TotalSell: w.TotalSell, Volume: w.Volume, LastAt: w.Trade, UpdatedAt: w.Update,
		Open: w.Open, Close: w.Close, High: w.High, Low: w.Low, Last: w.LTP, LastQty: w.LastQty, Average: w.Average,
		IndicativeClose: w.Indicative, Status: w.Status, ChangePercent: w.ChangePercent, OpenInterest: w.OpenInterest,
		Traded: w.Traded, Change: w.Change, Upper: w.Upper, Lower: w.Lower, YearHigh: w.YearHigh, YearLow: w.YearLow,
		Lot: w.Lot, Precision: w.Precision, Multiplier: w.Multiplier, Buys: rows(buys), Sells: rows(sells),
	}
	if got := q.Append(nil, header); !bytes.Equal(got, want) {
		r.Fatalf("quote\n%x, want\n%x", got, want)
	}
	var got sfeed.Quote
	got.Decode(one(t, want))
	if fmt.Sprint(got) != fmt.Sprint(q) { // NaN is one
		r.Fatalf("quote\n%+v, want\n%+v", got, q)
	}
}

func miniIs(t *testing.T, r *rapid.T, h wireHeader, header sfeed.Header) {
	w := rapid.Make[wireMini]().Draw(r, "mini")
	h.Code, h.Level = sfeed.CodeQuote, sfeed.LevelMini
	want := packet(t, h, w)
	m := sfeed.Mini{
		Token: w.Token, LastAt: w.LastTradeTime, Last: w.LTP, LastQty: w.LastQty, Close: w.Close,
		ChangePercent: w.ChangePercent, Change: w.Change, Lot: w.Lot, Precision: w.Precision, Multiplier: w.Multiplier,
	}
	var got sfeed.Mini
	if got.Decode(one(t, want)); got != m || !bytes.Equal(m.Append(nil, header), want) {
		r.Fatalf("mini %+v, want %+v", got, m)
	}
}

func othersAre(t *testing.T, r *rapid.T, h wireHeader, header sfeed.Header) {
	h.Level = 0
	name, text := rapid.StringN(0, 30, 30).Draw(r, "name"), rapid.StringMatching(`[A-Z]{0,5}`).Draw(r, "text")
	name = strings.ReplaceAll(name, "\x00", "")

	w := rapid.Make[wireIndex]().Draw(r, "index")
	w.Name = [21]byte{}
	n := copy(w.Name[:], name)
	h.Code = sfeed.CodeIndex
	x := sfeed.Index{
		Token: w.Token, Open: w.Open, Close: w.Close, High: w.High, Low: w.Low, Value: w.Value, LastAt: w.Trade,
		YearHigh: w.YearHigh, YearLow: w.YearLow, ChangePercent: w.PercentTimes, MarketCap: w.Cap, Precision: w.Precision,
		Multiplier: w.Multiplier, Name: []byte(name[:n]),
	}
	var gotIndex sfeed.Index
	if gotIndex.Decode(one(t, packet(t, h, w))); fmt.Sprint(gotIndex) != fmt.Sprint(x) || !bytes.Equal(x.Append(nil, header), packet(t, h, w)) {
		r.Fatalf("index %+v, want %+v", gotIndex, x)
	}

	wa := rapid.Make[wireAuction]().Draw(r, "auction")
	wa.Reserved = [15]byte{}
	h.Code = sfeed.CodeAuction
	a := sfeed.Auction{Token: wa.Token, Reference: wa.Reference, Imbalance: wa.Imbalance, ImbalanceAtMarket: wa.AtMarket}
	var gotAuction sfeed.Auction
	if gotAuction.Decode(one(t, packet(t, h, wa))); gotAuction != a || !bytes.Equal(a.Append(nil, header), packet(t, h, wa)) {
		r.Fatalf("auction %+v, want %+v", gotAuction, a)
	}

	ws := wireStatus{Code: rapid.Uint16().Draw(r, "code")}
	copy(ws.Text[:], text)
	h.Code = sfeed.CodeStatus
	s := sfeed.Status{Code: ws.Code, Text: []byte(text)}
	var gotStatus sfeed.Status
	if gotStatus.Decode(one(t, packet(t, h, ws))); fmt.Sprint(gotStatus) != fmt.Sprint(s) || !bytes.Equal(s.Append(nil, header), packet(t, h, ws)) {
		r.Fatalf("status %+v, want %+v", gotStatus, s)
	}
}

func TestQuote_cutsRowsThatNoPacketHolds(t *testing.T) {
	q := sfeed.Quote{Buys: make(sfeed.Rows, 16*5000), Sells: make(sfeed.Rows, 16*5000)}
	var got sfeed.Quote
	if got.Decode(one(t, q.Append(nil, sfeed.Header{Level: sfeed.LevelFull}))); got.Buys.Len() != 2043 || got.Sells.Len() != 2043 {
		t.Errorf("%d buy rows, %d sell rows", got.Buys.Len(), got.Sells.Len())
	}
}
