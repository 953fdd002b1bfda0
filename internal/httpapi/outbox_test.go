package httpapi_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/sandbox"
	"neoapi/internal/store"
	"neoapi/neoapitest"
)

// A gateway is a real HTTP server that takes codes.
type gateway struct {
	*httptest.Server

	mu     sync.Mutex
	status int
	hold   chan struct{} // it answers nobody before this is closed
	calls  int
	codes  map[string]string // mobile number -> the code that came last
}

func startGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{status: 200, codes: map[string]string{}}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mobile, code, _ := strings.Cut(string(body), " ")
		g.mu.Lock()
		g.calls++
		g.codes[mobile] = code
		status, hold := g.status, g.hold
		g.mu.Unlock()
		if hold != nil {
			select {
			case <-hold:
			case <-r.Context().Done():
			}
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *gateway) set(status int, hold chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.status, g.hold = status, hold
}

func (g *gateway) code(mobile string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.codes[mobile]
}

// file writes a file of couriers with this one.
func (g *gateway) file(t *testing.T, timeout string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "couriers.yaml")
	text := fmt.Sprintf(`
couriers:
  - name: sms
    timeout: %s
    webhook: {url: '%s', headers: {Content-Type: text/plain}, body: '{{.Mobile}} {{.Code}}'}
`, timeout, g.URL)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// delivering starts a service whose codes go to a gateway, which has so long for an answer.
func delivering(t *testing.T, timeout string, options ...neoapitest.Option) (*gateway, house) {
	t.Helper()
	g := startGateway(t)
	return g, newHouse(t, append(options, neoapitest.WithCouriers(g.file(t, timeout)))...)
}

// atOnce is how many codes are on their way at once.
const atOnce = 16

// crowd logs so many people in, who all ask for a code while the gateway answers nobody,
// and waits until as many codes are on their way as may be.
func (c caller) crowd(t *testing.T, g *gateway, people int) (views []held, answers func()) {
	t.Helper()
	for n := range people {
		views = append(views, c.user(t, n+1))
	}
	hold := make(chan struct{})
	g.set(200, hold)
	for _, view := range views {
		c.askOTP(t, view).want(t, 201)
	}
	eventually(t, "as many calls as there are at once", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.calls == atOnce
	})
	return views, func() { close(hold) }
}

// deliveries waits for the end of all deliveries and counts the outcomes.
func deliveries(t *testing.T, store store.Store, views []held) map[string]int {
	t.Helper()
	count := map[string]int{}
	for _, view := range views {
		count[became(t, store, view.SID)]++
	}
	return count
}

// became waits until the code of a login has come to an end, and returns which.
func became(t *testing.T, store store.Store, sid string) (outcome string) {
	t.Helper()
	eventually(t, "the end of a delivery", func() bool {
		for _, e := range events(t, store, 0) {
			if e.Action == "otp delivery" && e.SID == sid && e.Outcome != "interrupted: sent again" {
				outcome = e.Outcome
			}
		}
		return outcome != ""
	})
	return outcome
}

func TestOutbox_sendsACodeAfterTheAnswer(t *testing.T) {
	t.Parallel()
	g, c := delivering(t, "9s")
	store := c.data.Store
	held := make(chan struct{})
	g.set(200, held)
	view := c.login(t)
	c.askOTP(t, view).want(t, 201) // while the gateway answers nobody
	eventually(t, "a call of the gateway", func() bool { return g.code(c.Account.Mobile) != "" })
	if n := c.outcomes(t, "otp delivery"); len(n) > 0 {
		t.Errorf("before the gateway has answered: %v", n)
	}
	close(held)
	if got := became(t, store, view.SID); got != "ok" {
		t.Errorf("delivery: %s", got)
	}
	c.second(t, view, g.code(c.Account.Mobile)).session(t)
	if n := c.outcomes(t, "otp"); n["queued"] != 1 || len(n) != 1 {
		t.Errorf("events of the request: %v", n)
	}
	for _, e := range events(t, store, 0) {
		if e.Action == "otp delivery" && (e.UCC != c.Account.UCC || e.Consumer != c.ConsumerKey || e.Factor != login.OTP || e.Address == "") {
			t.Errorf("event %+v", e)
		}
	}
}

func TestOutbox_undeliveredCodeIsToldAtTheNextValidate(t *testing.T) {
	t.Parallel()
	g, c := delivering(t, "5s")
	store := c.data.Store
	g.set(422, nil)
	view := c.login(t)
	c.askOTP(t, view).want(t, 201)
	if got := became(t, store, view.SID); got != "not delivered" {
		t.Fatalf("delivery: %s", got)
	}
	for _, code := range []string{"123456", "1234", g.code(c.Account.Mobile)} { // the last one is what never arrived
		message := c.second(t, view, code).refused(t, 500, "10522")
		if !strings.Contains(message, "ask for a new one") {
			t.Errorf("message %q", message)
		}
	}
	c.post(t, mpinPath, object("mpin", wrong(c.Account.MPIN)), view.pairs()...).refused(t, 401, "10020") // no OTP
	g.set(200, nil)
	c.askOTP(t, view).want(t, 201)
	eventually(t, "the new code", func() bool { return c.outcomes(t, "otp delivery")["ok"] == 1 })
	c.second(t, view, "1234").refused(t, 401, "10020")
	c.second(t, view, g.code(c.Account.Mobile)).session(t)

	// Six digits may be the MPIN: the right one opens the session, wrong ones count.
	g.set(422, nil)
	view = c.login(t)
	c.askOTP(t, view).want(t, 201)
	became(t, store, view.SID)
	c.second(t, view, wrong(c.Account.MPIN)).refused(t, 500, "10522")
	if x, err := store.Session(t.Context(), view.SID); err != nil || x.Tries != 1 {
		t.Errorf("%d tries after one wrong MPIN: %v", x.Tries, err)
	}
	c.second(t, view, c.Account.MPIN).session(t)
}

func TestOutbox_tellsAtOnceThatNoCourierReachesAnAccount(t *testing.T) {
	t.Parallel()
	g, c := delivering(t, "5s", neoapitest.WithAccounts(2))
	if err := c.admin.SetReach(t.Context(), c.account(t, "TEST000001"), login.Reach{Couriers: []string{"pigeon"}}); err != nil {
		t.Fatal(err)
	}
	view := c.user(t, 1)
	c.askOTP(t, view).refused(t, 500, "10522")
	c.askOTP(t, view).refused(t, 500, "10522") // and no code was counted
	c.second(t, view, c.Account.MPIN).session(t)
	if g.calls > 0 {
		t.Errorf("%d calls", g.calls)
	}

	g.set(503, nil) // the only one is down
	for n := 0; n < 3; n++ {
		view = c.login(t)
		c.askOTP(t, view, "sid", view.SID).want(t, 201)
		became(t, c.data.Store, view.SID)
	}
	view = c.user(t, 2)
	c.askOTP(t, view).refused(t, 500, "10522")
	c.second(t, view, c.Account.MPIN).session(t)
}

func TestOutbox_reportsAnExpiredCodeAndDoesNotSendIt(t *testing.T) {
	t.Parallel()
	const people = atOnce + 4
	g, c := delivering(t, "9s", neoapitest.WithAccounts(people))
	views, answers := c.crowd(t, g, people)
	c.Advance(6 * time.Minute)
	answers()
	count := deliveries(t, c.data.Store, views)
	if count["too late"] == 0 || count["ok"] == 0 || count["too late"]+count["ok"] != people {
		t.Errorf("deliveries: %v", count)
	}
	if g.calls > atOnce { // what was on its way when the time was over
		t.Errorf("%d calls for %d deliveries", g.calls, count["ok"])
	}
}

func TestOutbox_sendsNoCodeThatIsNotWantedAnyMore(t *testing.T) {
	t.Parallel()
	const people = atOnce + 3
	g, c := delivering(t, "9s", neoapitest.WithAccounts(people))
	views, answers := c.crowd(t, g, people)
	mobile := func(n int) string { _, _, mobile, _ := sandbox.DemoAccount(n + 1); return mobile }
	reached := func() (n int) {
		for i := range views {
			if g.code(mobile(i)) != "" {
				n++
			}
		}
		return n
	}
	waiting := 0
	for i, view := range views {
		if g.code(mobile(i)) == "" { // it waits for its turn, and its owner takes the MPIN
			waiting++
			c.second(t, view, c.Account.MPIN).session(t)
		}
	}
	answers()
	count := deliveries(t, c.data.Store, views)
	if waiting != people-atOnce || count["not needed"] != waiting || reached() != atOnce {
		t.Errorf("%d waited, %d were sent: %v", waiting, reached(), count)
	}
}

func TestOutbox_reportsALetterThatCannotBeRead(t *testing.T) {
	t.Parallel()
	g, c := delivering(t, "5s")
	store := c.data.Store
	view := c.login(t)
	job := login.Job{
		ID: "11111111-2222-4333-8444-555555555555", Kind: login.JobCode, SID: view.SID, Created: time.Now(), Expires: time.Now().Add(time.Minute),
		Sealed: []byte("nobody can open it"),
	}
	o := login.NewOTP{SID: view.SID, Hash: []byte("any"), Expires: job.Expires, Now: job.Created, PerHour: 10, Job: &job}
	if _, err := store.SetOTP(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if got := became(t, store, view.SID); got != "not delivered" || g.calls > 0 {
		t.Errorf("delivery: %s, %d calls", got, g.calls)
	}
	c.second(t, view, "1234").refused(t, 500, "10522")
	c.askOTP(t, view).want(t, 201)
	eventually(t, "a new code", func() bool { return g.code(c.Account.Mobile) != "" })
	c.second(t, view, g.code(c.Account.Mobile)).session(t)
}

func TestOutbox_sealsACodeThatWaits(t *testing.T) {
	t.Parallel()
	g, c := delivering(t, "9s")
	held := make(chan struct{})
	g.set(200, held)
	defer close(held)
	view := c.login(t)
	c.askOTP(t, view).want(t, 201)
	eventually(t, "a call of the gateway", func() bool { return g.code(c.Account.Mobile) != "" })
	all, err := c.data.Store.ClaimJobs(t.Context(), login.JobClaim{Kind: login.JobCode, ID: "thief", Now: time.Now().Add(time.Hour), Lease: time.Hour, N: 10})
	if err != nil || len(all) != 1 {
		t.Fatalf("%d jobs: %v", len(all), err)
	}
	j := all[0]
	for _, secret := range []string{g.code(c.Account.Mobile), c.Account.Mobile[3:]} {
		if strings.Contains(string(j.Sealed)+j.ID+j.SID, secret) {
			t.Errorf("%s is in the job", secret)
		}
	}
	if _, err := c.data.Vault.Open(credential.PurposeOutbox, j.ID, j.Sealed); err != nil {
		t.Error(err)
	}
	if _, err := c.data.Vault.Open(credential.PurposeOutbox, "another job", j.Sealed); err == nil {
		t.Error("it opens as another job's")
	}
}
