package login_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"neoapi/internal/credential"
	"neoapi/internal/limit"
	"neoapi/internal/login"
	"neoapi/internal/must"
	"neoapi/internal/oms"
	"neoapi/internal/store/sqlite"
)

const (
	password    = "a password"
	mpin        = "314159"
	addressRate = 20
	codesAnHour = 1000
)

// An outside is an OMS or a courier with faults.
type outside struct {
	*oms.Homes
	here  bool
	fault string // of the next call: fails, hangs, panics
	code  credential.Secret
	sent  int
}

func (o *outside) call(ctx context.Context) error {
	fault := o.fault
	o.fault = ""
	switch fault {
	case "fails":
		return errAway
	case "hangs":
		<-ctx.Done()
		return ctx.Err()
	case "panics":
		panic("a fault outside")
	}
	return nil
}

func (o *outside) Here() bool { return o.here }

func (o *outside) Open(ctx context.Context, s login.OMSSession) (string, error) {
	return o.Home(s.UCC), o.call(ctx)
}

func (o *outside) Ready(login.Account) error { return nil }

func (o *outside) Send(ctx context.Context, m login.Message) error {
	err := o.call(ctx)
	if err == nil {
		o.code = m.Code
		o.sent++
	}
	return err
}

// A world is a service on a store with faults, at a time that stands still.
type world struct {
	*login.Service
	store    *faultyStore
	vault    *credential.Vault
	outside  *outside
	clock    atomic.Int64 // unix seconds
	consumer login.Consumer
	hashes   [2]string // of the password and the MPIN
	people   int
}

func newWorld(t *testing.T, here bool) *world {
	file, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "neo.db"))
	must.Do(t, err)
	t.Cleanup(func() { must.Do(t, file.Close()) })
	w := &world{store: &faultyStore{Store: file, fault: fault{at: -1}}, outside: &outside{here: here}}
	w.clock.Store(1_700_000_000)
	w.vault, err = credential.NewVault(make([]byte, credential.MasterKeySize))
	must.Do(t, err)
	w.outside.Homes, err = oms.NewHomes("server1")
	must.Do(t, err)
	for i, secret := range [][]byte{[]byte(password), w.vault.MAC(credential.PurposeMPIN, mpin)} {
		w.hashes[i], err = credential.Hash(secret)
		must.Do(t, err)
	}
	w.consumer = login.Consumer{Key: "app", Incarnation: "1", SecretHash: w.vault.MAC(credential.PurposeConsumerSecret, "app", "s3cret"), Created: w.now()}
	must.Do(t, w.store.AddConsumer(t.Context(), w.consumer, login.Event{}))
	w.Service, err = login.New(t.Context(), login.Ports{
		Directory: w.store, Keys: w.store, Trail: w.store, Sessions: w.store, Allowances: w.store, Jobs: w.store,
		OMS: w.outside, Courier: w.outside, Vault: w.vault, Now: w.now, Log: slog.New(slog.DiscardHandler),
	}, login.Options{AddressRate: addressRate, OTPPerHour: codesAnHour})
	must.Do(t, err)
	return w
}

func (w *world) now() time.Time { return time.Unix(w.clock.Load(), 0) }

// A person is an account, alone at its address, with what it should have been charged.
type person struct {
	*world
	account login.Account
	seed    []byte
	caller  login.Caller

	wrong    int // from the address
	failures map[login.Factor]int
	open     map[login.Factor]int // those of them whose end the store does not know: a success does not forget them
	sent     int
	stepUsed bool
}

func (w *world) person(t must.TB) *person {
	w.people++
	n := w.people
	id, seed := fmt.Sprint("account-", n), []byte("twenty bytes of seed")
	p := &person{
		world: w, seed: seed, failures: map[login.Factor]int{}, open: map[login.Factor]int{}, caller: login.Caller{Address: fmt.Sprintf("10.0.%d.%d", n/250, n%250+1)},
		account: login.Account{
			ID: id, UCC: fmt.Sprint("UCC", n), UserID: fmt.Sprint("user", n), Mobile: fmt.Sprintf("+9198%08d", n),
			PasswordHash: w.hashes[0], MPINHash: w.hashes[1], TOTPSeed: w.vault.Seal(credential.PurposeTOTP, id, seed), Created: w.now(),
		},
	}
	must.Do(t, w.store.AddAccount(context.Background(), p.account, login.Event{}))
	return p
}

// request makes a request as the HTTP side does, under a fault, and returns what it came to
// when all that could be done about it afterwards is done.
func (p *person) request(f fault, do func(ctx context.Context) error) (went outcome, err error) {
	ctx, gone := context.WithCancel(context.Background())
	defer gone()
	p.store.begin(f, gone)
	func() {
		defer func() {
			if panicked := recover(); panicked != nil {
				err = fmt.Errorf("%v", panicked)
			}
		}()
		ctx, cancel := login.WithPatience(ctx)
		defer cancel()
		err = do(ctx)
	}()
	p.store.mend()
	time.Sleep(10 * time.Second) // of a bubble
	synctest.Wait()
	return p.store.outcome(), err
}

// view opens a login without faults, and sends it a code.
func (p *person) view(t must.TB, code bool) (x login.Opened) {
	_, err := p.request(fault{at: -1}, func(ctx context.Context) (err error) { x, err = p.first(ctx, login.Password, true); return err })
	must.Do(t, err)
	p.forget(login.Password)
	if code {
		_, err = p.request(fault{at: -1}, func(ctx context.Context) error { return p.otp(ctx, x) })
		must.Do(t, err)
		p.sent++
	}
	return x
}

// fail counts a failure of a factor.
func (p *person) fail(f login.Factor, ended bool) {
	p.failures[f]++
	if !ended {
		p.open[f]++
	}
}

// forget is what a success does.
func (p *person) forget(f login.Factor) { p.failures[f] = p.open[f] }

func (p *person) first(ctx context.Context, f login.Factor, right bool) (login.Opened, error) {
	x := login.FirstFactor{
		Consumer: p.consumer, ID: login.Identifier{Kind: login.ByUserID, Value: credential.Secret(p.account.UserID)},
		Factor: f, Secret: "271828", Caller: p.caller,
	}
	if f == login.TOTP {
		x.UCC = login.Identifier{Kind: login.ByUCC, Value: credential.Secret(p.account.UCC)}
	}
	if right {
		code, _ := credential.TOTPCode(p.seed, credential.TOTPStep(p.now()))
		x.Secret = map[login.Factor]credential.Secret{login.Password: password, login.MPIN: mpin, login.TOTP: code}[f]
	}
	return p.Login(ctx, x)
}

func (p *person) otp(ctx context.Context, x login.Opened) error {
	_, err := p.SendOTP(ctx, login.OTPRequest{Consumer: p.consumer, Account: p.account.ID, SID: x.SID, Caller: p.caller})
	return err
}

// left returns how many more wrong logins the address is allowed.
func (p *person) left(t must.TB) int {
	for n := addressRate; n > 0; n-- {
		rate := limit.Rate{N: addressRate, Per: time.Minute}
		wait, err := p.store.Store.Take(context.Background(), "address "+p.caller.Address, rate, n, p.now())
		must.Do(t, err)
		if wait == 0 {
			_, err = p.store.Store.Take(context.Background(), "address "+p.caller.Address, rate, -n, p.now())
			must.Do(t, err)
			return n
		}
	}
	return 0
}

// check compares what was charged with what should have been.
func (p *person) check(t *rapid.T, what string) {
	if left := p.left(t); left != addressRate-p.wrong {
		t.Fatalf("%s: the address has %d left, want %d", what, left, addressRate-p.wrong)
	}
	state, err := p.store.Store.State(context.Background(), p.account.ID)
	must.Do(t, err)
	for _, f := range []login.Factor{login.Password, login.MPIN, login.TOTP, login.OTP} {
		// A try whose end was not stored counts as failed.
		if got := state.Failures[f].Count + len(state.Failures[f].Open); got != p.failures[f] {
			t.Fatalf("%s: %d failures of %s, want %d: %+v", what, got, f, p.failures[f], state.Failures[f])
		}
	}
	if len(state.Sent) != p.sent {
		t.Fatalf("%s: %d codes were sent, want %d", what, len(state.Sent), p.sent)
	}
}

// firstFactor is a first factor under a fault.
func (p *person) firstFactor(t *rapid.T, f fault) string {
	factor := rapid.SampledFrom([]login.Factor{login.Password, login.MPIN, login.TOTP}).Draw(t, "factor")
	right := rapid.Bool().Draw(t, "right")
	went, err := p.request(f, func(ctx context.Context) error { _, err := p.first(ctx, factor, right); return err })
	judged := went.did["Try"] && (went.lost == "" || went.lost == "EndTry" || went.lost == "GiveBack")
	switch {
	case went.did["OpenView"] || went.did["TryView"]:
		p.forget(factor)
		p.stepUsed = p.stepUsed || factor == login.TOTP
	case judged && (!right || p.stepUsed && factor == login.TOTP):
		p.fail(factor, went.did["EndTry"])
		p.wrong++
	}
	return fmt.Sprintf("%s, right %t, %+v: lost %q: %v", factor, right, f, went.lost, err)
}

// secondFactor is a second factor under a fault.
func (p *person) secondFactor(t *rapid.T, f fault) string {
	live, only := rapid.Bool().Draw(t, "live"), rapid.Bool().Draw(t, "MPIN only")
	code := rapid.SampledFrom([]string{"OTP", "MPIN", "wrong", "short"}).Draw(t, "code")
	view := p.view(t, live)
	secret := map[string]credential.Secret{"OTP": p.outside.code, "MPIN": mpin, "wrong": "271828", "short": "2718"}[code]
	if code == "OTP" && (!live || secret == mpin) || secret == p.outside.code && code != "OTP" {
		return "no such code"
	}
	p.outside.fault = rapid.SampledFrom([]string{"", "", "fails", "hangs", "panics"}).Draw(t, "OMS")
	went, err := p.request(f, func(ctx context.Context) error {
		_, err := p.SecondFactor(ctx, login.SecondFactor{
			Consumer: p.consumer, SID: view.SID, Auth: view.Token, Code: secret, MPINOnly: only, Caller: p.caller,
		})
		return err
	})
	p.outside.fault = ""

	as := live && !only // it is compared with the one-time code
	right := code == "MPIN" || code == "OTP" && as
	asMPIN := len(secret) == login.MPINDigits && !(code == "OTP" && as)
	wrong := false
	switch lost := went.lost; {
	case !went.did["Claim"]:
	case lost == "Claim": // nobody knows what became of it
		wrong = as && p.outside.here && code != "OTP"
	case lost == "State" || lost == "Try": // before it was held against the MPIN
		wrong = as
	default:
		wrong = !right
	}
	x, serr := p.store.Session(context.Background(), view.SID)
	must.Do(t, serr)
	tries := 0
	switch {
	case wrong:
		tries = 1
		p.fail(login.OTP, went.did["Fail"])
		if asMPIN && !as {
			p.fail(login.MPIN, went.did["Fail"])
		}
	case x.Kind == login.Trade:
		p.forget(login.OTP)
		if asMPIN && !as {
			p.forget(login.MPIN)
		}
	}
	what := fmt.Sprintf("%s, live %t, MPIN only %t, %+v: lost %q: %v", code, live, only, f, went.lost, err)
	if wrong && x.Kind == login.Trade || err == nil && x.Kind != login.Trade {
		t.Fatalf("%s: the session is a %s session", what, x.Kind)
	}
	if x.Kind == login.View && x.Tries != tries {
		t.Fatalf("%s: the code has had %d tries, want %d", what, x.Tries, tries)
	}
	return what
}

// code is a request for a code under a fault.
func (p *person) code(t *rapid.T, f fault) string {
	view := p.view(t, false)
	p.outside.fault = rapid.SampledFrom([]string{"", "", "fails", "panics"}).Draw(t, "courier")
	before := p.outside.sent
	went, err := p.request(f, func(ctx context.Context) error { return p.otp(ctx, view) })
	p.outside.fault = ""
	sent := p.outside.sent - before
	p.sent += sent
	what := fmt.Sprintf("a code, %+v: lost %q: %v", f, went.lost, err)
	x, serr := p.store.Session(context.Background(), view.SID)
	must.Do(t, serr)
	if x.Sends != sent || err == nil && sent != 1 {
		t.Fatalf("%s: the login has had %d codes, and %d were sent", what, x.Sends, sent)
	}
	return what
}

// consumerSecret is a consumer's secret under a fault.
func (p *person) consumerSecret(t *rapid.T, f fault) string {
	right := rapid.Bool().Draw(t, "right")
	secret := credential.Secret("wrong")
	if right {
		secret = "s3cret"
	}
	went, err := p.request(f, func(ctx context.Context) error { _, err := p.AccessToken(ctx, "app", secret, p.caller); return err })
	if !right && went.did["Take"] {
		p.wrong++
	}
	return fmt.Sprintf("a secret, right %t, %+v: lost %q: %v", right, f, went.lost, err)
}

// Whatever fails, and at whichever call of the store: what was judged to be wrong has cost
// the address, the account and the code one each, and everything else nothing.
func TestCharges_areForWhatWasJudgedWrongAlone(t *testing.T) {
	for _, here := range []bool{true, false} {
		t.Run(fmt.Sprint("OMS here ", here), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, here)
				rapid.Check(struct{ testing.TB }{t}, func(t *rapid.T) { // a bubble's T has no deadline
					p := w.person(t)
					for range rapid.IntRange(1, 6).Draw(t, "requests") {
						f := fault{rapid.IntRange(-1, 9).Draw(t, "at"), rapid.IntRange(0, faultKinds-1).Draw(t, "kind"), rapid.Bool().Draw(t, "lasts")}
						request := rapid.SampledFrom([]func(*rapid.T, fault) string{p.firstFactor, p.secondFactor, p.code, p.consumerSecret}).Draw(t, "request")
						p.check(t, request(t, f))
					}
				})
			})
		})
	}
}

// After an outage nobody is refused for what it has cut short, from the first request on and
// however long it was: later than the lease of the tries, too.
func TestCharges_ofAnOutageAreGivenBackBeforeTheNextLogin(t *testing.T) {
	for _, later := range []time.Duration{0, 11 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, false)
			p := w.person(t)
			p.store.down = map[string]int{"Try": failsAfter, "EndTry": failsBefore, "GiveBack": hangs}
			for range addressRate {
				if _, err := p.first(t.Context(), login.Password, true); err == nil {
					t.Fatal("a login without a store")
				}
			}
			time.Sleep(5 * time.Minute)
			w.clock.Add(int64(later / time.Second))
			if left := p.left(t); left != int(later/(3*time.Second)) {
				t.Errorf("the outage has left the address %d", left)
			}
			p.store.mend()
			if _, err := p.first(t.Context(), login.Password, true); err != nil {
				t.Errorf("after the outage: %v", err)
			}
			if state := must.Get(p.store.Store.State(t.Context(), p.account.ID))(t); len(state.Failures) > 0 {
				t.Errorf("failures are left: %+v", state.Failures)
			}
			if left := p.left(t); left != addressRate {
				t.Errorf("the address has %d left, want %d", left, addressRate)
			}
			kind := func(err error) login.Kind {
				var refused *login.Error
				if !errors.As(err, &refused) {
					t.Fatal(err)
				}
				return refused.Kind
			}
			for range addressRate { // and what is wrong still costs
				if _, err := p.first(t.Context(), login.TOTP, false); kind(err) != login.KindCredentials {
					t.Fatalf("a wrong code: %v", err)
				}
			}
			if _, err := p.first(t.Context(), login.TOTP, true); kind(err) != login.KindTooSoon {
				t.Errorf("after %d wrong ones: %v", addressRate, err)
			}
			time.Sleep(10 * time.Second) // what is paid outside requests ends
			synctest.Wait()
		})
	}
}

// While the queue of hashes is full, an MPIN costs nothing, because it is not looked at. A
// guess at the one-time code that was compared with it costs a try all the same.
func TestCharges_countAGuessThatWasComparedThoughTheQueueIsFull(t *testing.T) {
	for _, here := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, here)
			p := w.person(t)
			for _, live := range []bool{true, false} {
				view := p.view(t, live)
				secret := credential.Secret("271828")
				if secret == p.outside.code {
					secret = "271829"
				}
				leave := w.FillQueue()
				_, err := p.request(fault{at: -1}, func(ctx context.Context) error {
					_, err := p.SecondFactor(ctx, login.SecondFactor{Consumer: p.consumer, SID: view.SID, Auth: view.Token, Code: secret, Caller: p.caller})
					return err
				})
				leave()
				var refused *login.Error
				if !errors.As(err, &refused) || refused.Kind != login.KindUnavailable {
					t.Errorf("a full queue: %v", err)
				}
				x, err := p.store.Session(t.Context(), view.SID)
				must.Do(t, err)
				if compared := here && live; (x.Tries == 1) != compared {
					t.Errorf("OMS here %t, code live %t: %d tries", here, live, x.Tries)
				}
			}
		})
	}
}
