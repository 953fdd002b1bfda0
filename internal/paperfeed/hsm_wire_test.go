package paperfeed

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neoapi/internal/paper"
	"neoapi/internal/paper/listing"
)

// ImpatientOfAcks makes acknowledgements due for a moment alone, until the function that it
// returns is called. Call it before there are feeds.
func ImpatientOfAcks() (patient func()) {
	was := hsmAckTime
	hsmAckTime = 100 * time.Millisecond
	return func() { hsmAckTime = was }
}

// officialFrames are what the official clients of generations 1 and 2 send, byte by byte,
// and what it says. Both send the same.
var officialFrames = map[string]string{
	"001f0103010009544f4b454e2e612e620200057369642d310300064a535f415049":                       `1 ["TOKEN.a.b" "sid-1" "JS_API"]`,
	"001b040201001200010f73667c6e73655f636d7c313135333602000102":                               `4 [sf|nse_cm|11536] on 2`,
	"001e040201001500011269667c6e73655f636d7c4e6966747920353002000102":                         `4 [if|nse_cm|Nifty 50] on 2`,
	"001b040201001200010f64707c6e73655f636d7c313135333602000103":                               `4 [dp|nse_cm|11536] on 3`,
	"002a050201002100020f73667c6e73655f636d7c31313533360e73667c6e73655f636d7c3238383502000102": `5 [sf|nse_cm|11536 sf|nse_cm|2885] on 2`,
	"0026090102002100020f73667c6e73655f636d7c31313533360e73667c6e73655f636d7c32383835":         `9 [sf|nse_cm|11536 sf|nse_cm|2885]`,
	"0009030101000400000005":         `3 5`,
	"0701010008000000000000000c0000": `7 1100`,
	"080101000800000000000000040000": `8 100`,
	"0201010004000003e80000":         `2 1000`,
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// saysHSM returns what a request says.
func saysHSM(frame []byte) (string, error) {
	r, err := parseHSM(frame)
	if err != nil {
		return "", err
	}
	switch r.kind {
	case hsmConnect:
		return fmt.Sprintf("%d %q", r.kind, r.fields[1:]), nil
	case hsmSubscribe, hsmUnsubscribe:
		topics, err := hsmTopics(r.fields[1])
		return fmt.Sprintf("%d %v on %d", r.kind, topics, r.fields[2]), err
	case hsmSnapshot:
		topics, err := hsmTopics(r.fields[2])
		return fmt.Sprintf("%d %v", r.kind, topics), err
	case hsmPause, hsmResume:
		channels, err := hsmChannels(r.fields[1])
		return fmt.Sprintf("%d %b", r.kind, channels<<1), err
	case hsmAck, hsmThrottle:
		n, err := hsmNumber(r.fields[1])
		return fmt.Sprintf("%d %d", r.kind, n), err
	}
	return fmt.Sprint(r.kind), nil
}

func TestHSM_readsWhatTheOfficialClientsSend(t *testing.T) {
	for frame, want := range officialFrames {
		want = strings.NewReplacer("on 2", "on [2]", "on 3", "on [3]").Replace(want)
		if got, err := saysHSM(unhex(t, frame)); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", frame, got, err, want)
		}
	}
}

func TestHSM_refusesWhatIsCut(t *testing.T) {
	for frame := range officialFrames {
		whole := unhex(t, frame)
		for n := range whole {
			if whole[0] != 0 && n >= len(whole)-2 {
				continue // the zeros after what has no length
			}
			if got, err := saysHSM(whole[:n]); err == nil {
				t.Errorf("%s, %d of %d bytes: %q", frame, n, len(whole), got)
			}
		}
	}
}

func FuzzHSM(f *testing.F) {
	for frame := range officialFrames {
		f.Add(unhex(f, frame))
	}
	f.Fuzz(func(_ *testing.T, frame []byte) { _, _ = saysHSM(frame) })
}

// Channel n is bit n, and the masks have 32: so 32 and 64 are bit 0.
func TestHSM_countsChannelsRound(t *testing.T) {
	for n := 1; n <= 64; n++ {
		var field [8]byte
		half := field[4:]
		if n > 32 {
			half = field[:4]
		}
		binary.BigEndian.PutUint32(half, 1<<(n%32))
		if got, err := hsmChannels(field[:]); err != nil || got != hsmChannel(n) {
			t.Errorf("channel %d: %b, %v", n, got, err)
		}
	}
}

func TestHSM_answersAsTheClientsRead(t *testing.T) {
	for want, got := range map[string][]byte{
		"000d" + "01" + "02" + "01" + "0001" + "4b" + "02" + "0004" + "00000005": hsmStatus(hsmConnect, true, 5),
		"0006" + "01" + "01" + "01" + "0001" + "4e":                              hsmStatus(hsmConnect, false, 0),
		"0006" + "04" + "01" + "01" + "0001" + "4b":                              hsmStatus(hsmSubscribe, true, 0),
	} {
		if hex.EncodeToString(got) != want {
			t.Errorf("%x, want %s", got, want)
		}
	}
}

func TestHSM_splitsTopics(t *testing.T) {
	for topic, want := range map[string]string{
		"sf|nse_cm|11536": "0 nse_cm 11536", "if|nse_cm|Nifty 50": "1 nse_cm Nifty 50", "dp|mcx_fo|1": "2 mcx_fo 1",
		"xx|nse_cm|1": "", "sf|nse_cm": "", "sf|nse_cm|": "", "sf||1": "", "nse_cm|1": "", "": "",
	} {
		kind, segment, name, ok := splitTopic(topic)
		if got := fmt.Sprint(kind, " ", segment, " ", name); ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q, %t", topic, got, ok)
		}
	}
}

var rupee = &listing.Instrument{
	Key: listing.Key{Segment: listing.Currency, Token: 1001}, Symbol: "USDINR", Name: "USDINR26DECFUT", Lot: 1, Precision: 4,
}

func quoteOfRupee() paper.Quote {
	return paper.Quote{
		Instrument: rupee, Last: 837525, LastQuantity: 3, LastTime: time.Unix(1788245580, 0), Open: 837000, High: 838000, Low: 836500,
		Close: 836025, Volume: 10, Traded: 8375000, OpenInterest: 77, TotalBuy: 100, TotalSell: 200, BandLow: 820000, BandHigh: 850000,
		YearLow: 800000, YearHigh: 870000, At: time.Unix(1788245581, 0),
		Bids: [5]paper.Level{{Price: 837500, Quantity: 11, Orders: 2}, {Price: 837475, Quantity: 12, Orders: 3}},
		Asks: [5]paper.Level{{Price: 837550, Quantity: 21, Orders: 4}},
	}
}

// A price is what the client gets when it divides by 10 to the precision of the instrument.
func TestHSMValues_haveTheScaleOfTheirInstrument(t *testing.T) {
	q := quoteOfRupee()
	const none = math.MinInt32
	for kind, want := range map[hsmKind]hsmValues{
		hsmScrip: {
			1788245581, 1788245581, 1788245580, 1788245580, 10, 837525, 3, 100, 200, 837500, 837550, 11, 21, 837500, 836500, 838000,
			820000, 850000, 870000, 800000, 837000, 836025, 77, 1, 4,
		},
		hsmIndex: {1788245581, 1788245581, 837525, 836025, 1788245580, 838000, 836500, 837000, 1, 4},
		hsmDepth: {
			1788245581, 1788245581, 837500, 837475, 0, 0, 0, 837550, 0, 0, 0, 0, 11, 12, 0, 0, 0, 21, 0, 0, 0, 0,
			2, 3, 0, 0, 0, 4, 0, 0, 0, 0, 1, 4,
		},
	} {
		var got hsmValues
		if got.of(kind, &q); got != want {
			t.Errorf("%s (-want +got):\n%s", hsmKinds[kind].name, cmp.Diff(want, got))
		}
	}
	q = paper.Quote{Instrument: rupee, Close: 836025, At: time.Unix(1788245581, 0)}
	var got hsmValues
	got.of(hsmScrip, &q)
	for _, k := range []int{2, 3, 5, 13, 14, 15, 20} { // of trades, of which there was none
		if got[k] != none {
			t.Errorf("without a trade value %d is %d", k, got[k])
		}
	}
	share := *rupee
	share.Precision, q.Instrument, q.Last, q.Volume = 2, &share, 35000500, 3_000_000_000
	if got.of(hsmScrip, &q); got[5] != 350005 || got[4] != math.MaxInt32 {
		t.Errorf("of a share: last %d, volume %d", got[5], got[4])
	}
}

func TestHSMPackets_areAsTheClientsReadThem(t *testing.T) {
	q := quoteOfRupee()
	var v hsmValues
	v.of(hsmIndex, &q)
	got := beginHSM(nil, 0)
	got = appendHSMSnapshot(got, 0x0a0b0c0d, "if|cde_fo|X", "X", hsmIndex, rupee, &v)
	w := v
	w[2], w[6] = 837600, 836000
	got = appendHSMUpdate(got, 0x0a0b0c0d, hsmIndex, &v, &w)
	got = appendHSMUpdate(got, 0x0a0b0c0d, hsmIndex, &w, &w) // nothing has changed
	numberHSM(got, 9)
	got = endHSM(got, 2)

	// The same, by hand.
	var want, packet bytes.Buffer
	put := func(b *bytes.Buffer, values ...any) {
		for _, value := range values {
			if s, ok := value.(string); ok {
				value = []byte(s)
			}
			if err := binary.Write(b, binary.BigEndian, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(&packet, byte('S'), uint32(0x0a0b0c0d), byte(11), "if|cde_fo|X", byte(10), v[:10], byte(4),
		byte(51), byte(6), "USDINR", byte(52), byte(1), "X", byte(53), byte(6), "cde_fo", byte(54), byte(14), "USDINR26DECFUT")
	put(&want, byte(6), uint32(9), uint16(2), uint16(packet.Len()), packet.Bytes())
	const unchanged = int32(-2147483648)
	put(&want, uint16(1+4+1+7*4), byte('U'), uint32(0x0a0b0c0d), byte(7),
		unchanged, unchanged, int32(837600), unchanged, unchanged, unchanged, int32(836000))
	length := binary.BigEndian.AppendUint16(nil, uint16(want.Len()))
	if !bytes.Equal(got, append(length, want.Bytes()...)) {
		t.Errorf("appended\n%x, want\n%x%x", got, length, want.Bytes())
	}
}

// Clients keep the topics of all their connections in one list.
func TestHSMID_isOneTopicsAlone(t *testing.T) {
	seen := map[uint32]string{}
	for kind := range hsmKinds {
		for _, segment := range listing.Segments {
			for _, token := range []uint32{1, 11536, 26000, 1_200_000} {
				for _, named := range []bool{false, true} {
					what := fmt.Sprint(kind, segment, token, named)
					id := hsmID(hsmKind(kind), &listing.Instrument{Key: listing.Key{Segment: segment, Token: token}}, named)
					if seen[id] != "" || int32(id) < 0 {
						t.Errorf("%s has the number %d of %q", what, id, seen[id])
					}
					seen[id] = what
				}
			}
		}
	}
}

func TestAcks_areDueForAMinute(t *testing.T) {
	start := time.Unix(1788245580, 0)
	var a acks
	send := func(after time.Duration) bool {
		_, late := a.send(start.Add(after))
		return late
	}
	for n := range 4 {
		if send(time.Duration(n) * time.Hour) {
			t.Fatalf("message %d is late, and none is due", n+1)
		}
	}
	if send(4*time.Hour) || send(4*time.Hour+time.Minute) || !send(4*time.Hour+time.Minute+1) {
		t.Fatal("the fifth is due for a minute")
	}
	a.acknowledge(8, start) // of one that was not sent
	if !send(5 * time.Hour) {
		t.Fatal("a number that was not sent counts")
	}
	a.acknowledge(5, start.Add(5*time.Hour))
	if a.acknowledge(4, start); send(6*time.Hour) || a.sent != 9 {
		t.Fatalf("%d messages, of which 5 are acknowledged: four are not", a.sent)
	}
	if send(7*time.Hour) || !send(8*time.Hour) {
		t.Fatal("the next five are due too")
	}
}
