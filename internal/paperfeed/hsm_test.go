package paperfeed_test

import (
	"encoding/hex"
	"net/http"
	"slices"
	"testing"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/internal/paperfeed"
	"neoapi/neoapitest"
	"neoapi/trade"
)

// The frames that this file sends are those of the official clients, byte by byte.
func TestOldClient_sendsWhatTheOfficialOnesDo(t *testing.T) {
	for want, got := range map[string][]byte{
		"001f0103010009544f4b454e2e612e620200057369642d310300064a535f415049":               request(1, field(1, []byte("TOKEN.a.b")), field(2, []byte("sid-1")), field(3, []byte("JS_API"))),
		"001b040201001200010f73667c6e73655f636d7c313135333602000102":                       request(4, topics(1, []string{"sf|nse_cm|11536"}), field(2, []byte{2})),
		"0026090102002100020f73667c6e73655f636d7c31313533360e73667c6e73655f636d7c32383835": request(9, topics(2, []string{"sf|nse_cm|11536", "sf|nse_cm|2885"})),
		"0009030101000400000005": request(3, field(1, []byte{0, 0, 0, 5})),
	} {
		if hex.EncodeToString(got) != want {
			t.Errorf("%x, want %s", got, want)
		}
	}
}

const (
	tcs   = "sf|nse_cm|11536"
	tcsDP = "dp|nse_cm|11536"
	nifty = "if|nse_cm|Nifty 50"
)

// openHSM starts a service and opens the older market feed.
func openHSM(t testing.TB) (*neoapitest.Server, neoapi.Session, *oldClient) {
	t.Helper()
	srv := neoapitest.NewServer(t)
	_, s := login(t, srv)
	return srv, s, dialHSM(t, s, origin(srv))
}

func costs(price string) func(*oldTopic) bool {
	return func(o *oldTopic) bool { return o.price(5) == price }
}

func TestHSM_beginsTopicsWithSnapshotsAndTellsChangesAlone(t *testing.T) {
	t.Parallel()
	srv, _, o := openHSM(t)
	// One frame a topic, as the official clients send them.
	for _, topic := range []string{tcs, nifty, tcsDP} {
		o.subscribe(2, topic)
	}
	begun, answers := map[string]bool{}, 0
	for len(begun) < 3 || answers < 3 {
		e := o.next()
		switch {
		case e.answer == "4 K":
			answers++
		case e.topic == nil:
			t.Fatalf("answered %s", e.answer)
		case e.first == begun[e.topic.name()]:
			t.Fatalf("%s: a snapshot is %t, and there was one: %t", e.topic.name(), e.first, begun[e.topic.name()])
		default:
			begun[e.topic.name()] = true
		}
	}
	srv.Market(t).SetPrice("nse_cm", "TCS-EQ", "3500.10")
	e := o.until(tcs, costs("3500.10"))
	if e.first || len(e.told) >= 25 || slices.Contains(e.told, 21) || slices.Contains(e.told, 23) || slices.Contains(e.told, 24) {
		t.Errorf("an update tells %v", e.told)
	}
	o.until(tcsDP, func(d *oldTopic) bool {
		return d.price(2) < "3500.10" && d.price(7) > "3500.10" && d.values[12] > 0 && d.values[22] > 0
	})
}

func TestHSM_takesTopicsAgainAndInManyForms(t *testing.T) {
	t.Parallel()
	_, _, o := openHSM(t)
	// Several topics in one frame on channel 1, one of them twice; an index by its token, as
	// a scrip and as an index.
	o.subscribe(1, tcs, nifty, "sf|nse_cm|26000", "if|nse_cm|26000", tcs)
	seen := map[string]bool{}
	for !seen["4 K"] || len(seen) < 5 {
		if e := o.next(); e.first {
			seen[e.topic.name()] = true
		} else if e.answer != "" {
			seen[e.answer] = true
		}
	}
	o.subscribe(1, tcs)
	for again := false; !again; {
		e := o.next()
		again = e.first && e.topic.name() == tcs
	}
	o.subscribe(3, tcs)
	o.unsubscribe(1, tcs)
	for _, want := range []string{"4 K", "5 K"} {
		if a := o.answered(); a != want {
			t.Errorf("%s, want %s", a, want)
		}
	}
	o.until(tcs, func(*oldTopic) bool { return true }) // it is on another channel
}

func TestHSM_refusesWhatIsNotListed(t *testing.T) {
	t.Parallel()
	_, _, o := openHSM(t)
	for _, topic := range []string{"sf|nse_cm|999999", "sf|nse_xx|11536", "if|nse_cm|11536", "if|nse_cm|NIFTY 50", "xx|nse_cm|11536", "", "sf"} {
		o.subscribe(2, topic)
		if a := o.answered(); a != "4 N" {
			t.Errorf("subscribe %q: %s", topic, a)
		}
		o.snapshot(topic)
		if a := o.answered(); a != "9 N" {
			t.Errorf("snapshot %q: %s", topic, a)
		}
	}
	for _, channel := range []byte{0, 17, 255} {
		o.subscribe(channel, tcs)
		if a := o.answered(); a != "4 N" {
			t.Errorf("channel %d: %s", channel, a)
		}
	}
	o.unsubscribe(2, tcs)
	if a := o.answered(); a != "5 N" {
		t.Errorf("unsubscribe what was not subscribed: %s", a)
	}
	// What is listed is subscribed all the same.
	o.subscribe(2, "sf|nse_cm|999999", tcs)
	if a := o.answered(); a != "4 N" {
		t.Errorf("one of two: %s", a)
	}
	o.until(tcs, func(*oldTopic) bool { return true })
}

func TestHSM_keepsToItsLimits(t *testing.T) {
	t.Parallel()
	srv, _, o := openHSM(t)
	tokens := contracts(t, srv, 201)
	for at := 0; at < 200; at += 100 {
		o.subscribe(2, tokens[at:at+100]...)
		if a := o.answered(); a != "4 K" {
			t.Fatalf("topics from %d: %s", at, a)
		}
	}
	o.subscribe(2, tokens[200])
	if a := o.answered(); a != "4 N" {
		t.Errorf("topic 201 of a channel: %s", a)
	}
	o.subscribe(3, tokens[:101]...)
	if a := o.answered(); a != "4 N" {
		t.Errorf("101 topics in a request: %s", a)
	}
	o.unsubscribe(2, tokens[:1]...)
	o.subscribe(2, tokens[200])
	for _, want := range []string{"5 K", "4 K"} {
		if a := o.answered(); a != want {
			t.Errorf("%s, want %s", a, want)
		}
	}
	o.snapshot(tokens[:100]...)
	if a := o.answered(); a != "9 K" {
		t.Fatal(a)
	}
}

// In mcx_fo as in all other segments quantities are lots times the lot's size.
func TestHSM_countsCommoditiesByTheirLots(t *testing.T) {
	t.Parallel()
	srv, _, o := openHSM(t)
	api := trade.New(must.Get(neoapi.New(neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, Clock: srv.Now}))(t))
	all := must.Get(api.Instruments(t.Context(), trade.MCX))(t).Find(trade.Search{Kind: trade.Future})
	at := slices.IndexFunc(all, func(i trade.Instrument) bool { return i.Lot > 1 })
	o.snapshot("sf|mcx_fo|"+all[at].Token, "dp|mcx_fo|"+all[at].Token)
	o.answered()
	scrip, depth := o.next().topic.values, o.next().topic.values
	quantities := []int32{scrip[4], scrip[6], scrip[7], scrip[8], scrip[11], scrip[12], depth[12], depth[17], depth[16], depth[21]}
	for _, q := range quantities {
		if q%int32(all[at].Lot) != 0 {
			t.Errorf("%s has lots of %d, and quantities of %v", all[at].Symbol, all[at].Lot, quantities)
		}
	}
	if scrip[11] == 0 || scrip[12] == 0 || depth[16] == 0 {
		t.Errorf("%s: nothing is offered: %v", all[at].Symbol, quantities)
	}
}

// contracts returns topics of n contracts.
func contracts(t testing.TB, srv *neoapitest.Server, n int) (topics []string) {
	t.Helper()
	api := trade.New(must.Get(neoapi.New(neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, Clock: srv.Now}))(t))
	all := must.Get(api.Instruments(t.Context(), trade.NFO))(t).Find(trade.Search{Limit: n})
	if len(all) < n {
		t.Fatalf("%d contracts, and %d are wanted", len(all), n)
	}
	for _, i := range all {
		topics = append(topics, "sf|nse_fo|"+i.Token)
	}
	return topics
}

func TestHSM_snapshotIsNoSubscription(t *testing.T) {
	t.Parallel()
	srv, s, o := openHSM(t)
	market := srv.Market(t)
	market.SetPrice("nse_cm", "TCS-EQ", "3500.10")
	o.snapshot(tcs, tcsDP, nifty)
	if a := o.answered(); a != "9 K" {
		t.Fatal(a)
	}
	for range 3 {
		if e := o.next(); !e.first {
			t.Fatalf("%+v", e)
		}
	}
	// Another client sees the market move; this one does not.
	other := dialHSM(t, s, origin(srv))
	other.subscribe(2, tcs)
	market.SetPrice("nse_cm", "TCS-EQ", "3511.00")
	other.until(tcs, costs("3511.00"))
	o.snapshot(tcs)
	if e := o.next(); e.answer != "9 K" {
		t.Fatalf("%+v before the answer", e)
	}
	if e := o.next(); !e.first || e.topic.price(5) != "3511.00" {
		t.Fatalf("%+v", e)
	}
}

// Each is a message of data: of thirty a client acknowledges six.
func TestHSM_goesOnWhileMessagesAreAcknowledged(t *testing.T) {
	t.Parallel()
	_, _, o := openHSM(t)
	for range 30 {
		o.snapshot(tcs)
		if a := o.answered(); a != "9 K" {
			t.Fatal(a)
		}
		if e := o.next(); !e.first {
			t.Fatalf("%+v", e)
		}
	}
	o.silent = true
	for range 30 { // there is a minute to do it
		o.snapshot(tcs)
		o.answered()
	}
}

func TestHSM_closesWhoAcknowledgesNothing(t *testing.T) {
	patient := paperfeed.ImpatientOfAcks()
	defer patient()
	_, _, o := openHSM(t)
	o.silent = true
	o.subscribe(2, tcs) // which moves twice a second
	if code := ended(t, o.ws); code != websocket.StatusPolicyViolation {
		t.Errorf("closed with %d", code)
	}
}

func TestHSM_closesWhoIsRefusedWhenTheTimeIsUp(t *testing.T) {
	patient := paperfeed.Impatient()
	defer patient()
	srv := neoapitest.NewServer(t)
	o := &oldClient{t: t, ws: dial(t, origin(srv)), topics: map[uint32]*oldTopic{}}
	o.connect("wrong", "wrong")
	if a := o.answered(); a != "1 N" {
		t.Fatal(a)
	}
	ended(t, o.ws)
}

func TestHSM_pausesAndResumesChannels(t *testing.T) {
	t.Parallel()
	srv, s, o := openHSM(t)
	market := srv.Market(t)
	o.subscribe(2, tcs)
	o.until(tcs, func(*oldTopic) bool { return true })
	other := dialHSM(t, s, origin(srv))
	other.subscribe(2, tcs)

	o.channels(7, 2)
	if a := o.answered(); a != "7 K" {
		t.Fatal(a)
	}
	market.SetPrice("nse_cm", "TCS-EQ", "3511.00")
	other.until(tcs, costs("3511.00")) // by then the first client would have it too
	o.channels(8, 2)
	for e := o.next(); e.answer != "8 K"; e = o.next() {
		if e.topic == nil || e.topic.price(5) == "3511.00" {
			t.Fatalf("%+v while the channel is paused", e)
		}
	}
	o.until(tcs, costs("3511.00"))
}

func TestHSM_throttlesMessagesOfData(t *testing.T) {
	t.Parallel()
	srv, s, o := openHSM(t)
	market := srv.Market(t)
	throttle := func(milliseconds byte, times byte) {
		o.send([]byte{2, 1, 1, 0, 4, 0, 0, times, milliseconds, 0, 0})
	}
	throttle(0, 200) // 51 s
	if a := o.answered(); a != "2 K" {
		t.Fatal(a)
	}
	o.subscribe(2, tcs)
	o.until(tcs, func(*oldTopic) bool { return true })
	other := dialHSM(t, s, origin(srv))
	other.subscribe(2, tcs)
	for _, price := range []string{"3511.00", "3512.00"} {
		market.SetPrice("nse_cm", "TCS-EQ", price)
		other.until(tcs, costs(price))
	}
	throttle(0, 0)
	if e := o.next(); e.answer != "2 K" {
		t.Fatalf("%+v while there is to be none", e)
	}
	if e := o.next(); e.topic == nil || e.topic.price(5) != "3512.00" {
		t.Fatalf("%+v: the latest is to come", e)
	}
}

func TestHSM_answersThoseWhoSubscribeAfterARefusal(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	_, s := login(t, srv)
	for _, c := range []struct{ token, sid string }{{"wrong", s.SID}, {s.Token, "wrong"}, {"", ""}} {
		o := &oldClient{t: t, ws: dial(t, origin(srv)), topics: map[uint32]*oldTopic{}}
		o.connect(c.token, c.sid)
		o.subscribe(2, tcs)
		o.subscribe(2, nifty)
		got := []string{o.answered(), o.answered(), o.answered()}
		if diff := cmp.Diff([]string{"1 N", "4 N", "4 N"}, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestHSM_closesWhoSaysNothingThatItReads(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	_, s := login(t, srv)
	for _, first := range []string{"001b040201001200010f73667c6e73655f636d7c313135333602000102", "00", "ffff0103"} {
		ws := dial(t, origin(srv))
		must.Do(t, ws.Write(t.Context(), websocket.MessageBinary, must.Get(hex.DecodeString(first))(t)))
		if code := ended(t, ws); code != websocket.StatusPolicyViolation {
			t.Errorf("first frame %s: closed with %d", first, code)
		}
	}
	o := dialHSM(t, s, origin(srv))
	say(t, o.ws, `{"type":"hb"}`) // text is no message, and was a heartbeat
	o.snapshot(tcs)
	if a := o.answered(); a != "9 K" {
		t.Fatal(a)
	}
	o.send([]byte{0, 5, 4, 2, 1, 0, 9})
	if code := ended(t, o.ws); code != websocket.StatusPolicyViolation {
		t.Errorf("a cut request: closed with %d", code)
	}
}

func TestHSM_endsWithItsSession(t *testing.T) {
	t.Parallel()
	srv, s, o := openHSM(t)
	o.subscribe(2, tcs)
	srv.EndSession(t, s.SID)
	if code := ended(t, o.ws); code != websocket.StatusPolicyViolation {
		t.Errorf("closed with %d", code)
	}
	again := &oldClient{t: t, ws: dial(t, origin(srv)), topics: map[uint32]*oldTopic{}}
	again.connect(s.Token, s.SID)
	if a := again.answered(); a != "1 N" {
		t.Errorf("with the session that has ended: %s", a)
	}
}

// The page at the same address is for those who ask for no upgrade.
func TestHSM_leavesThePageAlone(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	resp, err := http.Get(srv.URL + "/") //nolint:noctx // of this test's service
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
}
