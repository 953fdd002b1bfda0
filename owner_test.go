package neoapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"neoapi/internal/must"
	"neoapi/neoapitest"
)

// A person is an account of the demo service, with all that it can be named by.
type person struct {
	neoapitest.Account
	totp func() string // the code that the authenticator shows now
}

// people are two of them.
func people(t *testing.T, srv *neoapitest.Server) (one, other person) {
	code := func() string {
		return totpCode(parseSeed(srv.Account.TOTPSeed), totpStep(srv.Now()))
	}
	one, other = person{srv.Account, code}, person{srv.Account, code}
	other.UCC, other.UserID, other.Mobile, other.PAN = "TEST000001", "testuser000001", "+919900000001", "TESTA0001A"
	return one, other
}

// ways are the ways in which a keeper can be told to log in.
var ways = map[string]func(person) Login{
	"password by mobile number": func(p person) Login {
		return Login{Credentials: always(Credentials{Mobile: p.Mobile, Password: p.Password}), MPIN: always(p.MPIN)}
	},
	"password by PAN": func(p person) Login {
		return Login{Credentials: always(Credentials{PAN: strings.ToLower(p.PAN), Password: p.Password}), MPIN: always(p.MPIN)}
	},
	"password by user id": func(p person) Login {
		return Login{Credentials: always(Credentials{UserID: p.UserID, Password: p.Password}), MPIN: always(p.MPIN)}
	},
	"password, with the UCC": func(p person) Login {
		return Login{Credentials: always(Credentials{UserID: p.UserID, Password: p.Password}), MPIN: always(p.MPIN), UCC: p.UCC}
	},
	"TOTP by a seed": func(p person) Login {
		return Login{TOTPSeed: always(p.TOTPSeed), Mobile: p.Mobile, UCC: p.UCC, MPIN: always(p.MPIN)}
	},
	"TOTP by a function": func(p person) Login {
		return Login{TOTP: func(context.Context) (TOTP, error) { return TOTP{Mobile: p.Mobile, UCC: p.UCC, Code: p.totp()}, nil }, MPIN: always(p.MPIN)}
	},
}

// onClock returns a client that goes by the service's clock.
func onClock(t *testing.T, srv *neoapitest.Server) *Client {
	c := keepClient(t, srv)
	c.now, c.virtual = srv.Now, true
	return c
}

// Whatever way the one keeper of a file logs in and whatever way the other: a session
// goes to the same account's alone, and the other account's login is refused before
// anything is replaced. A file of a version that did not mark who logged in goes on
// working, and never for another account either.
func TestKeeper_usesOnlyItsAccountsSavedSession(t *testing.T) {
	t.Parallel()
	srv, trail := keepServer(t, neoapitest.WithAccounts(1))
	one, other := people(t, srv)
	const unmarked = "without a mark"
	// Known without a login are an account by its UCC, and a name by the same kind of name.
	told := func(first, second string) bool {
		return first == second || second == "TOTP by a seed" || second == "TOTP by a function" || second == "password, with the UCC" ||
			first == "password, with the UCC" && second == "password by user id"
	}
	firsts := maps.Clone(ways)
	firsts[unmarked] = ways["password by mobile number"]
	for first, firstLogin := range firsts {
		srv.Advance(2 * totpPeriod * time.Second) // no code is used twice
		s, err := keep(t, onClock(t, srv), KeepConfig{Login: firstLogin(one)}).Session(t.Context())
		if err != nil || s.UCC != one.UCC {
			t.Fatal(s, err)
		}
		if first == unmarked {
			s.Owner = ""
		}
		for second, secondLogin := range ways {
			t.Run(first+", then "+second, func(t *testing.T) {
				store := fileStore(t, filepath.Join(t.TempDir(), "session"))
				must.Do(t, store.Save(t.Context(), s))
				logins, logouts := trail.count(opened), trail.count("logout ok")
				s2, err := keep(t, onClock(t, srv), KeepConfig{Store: store, Login: secondLogin(other)}).Session(t.Context())
				if !errors.Is(err, ErrInvalidInput) || s2.Token != "" || !strings.Contains(fmt.Sprint(err), "the account TE…24") {
					t.Errorf("another account got %v, %v", s2, err)
				}
				if told(first, second) && trail.count(opened) != logins {
					t.Errorf("another account logged in to be told that the session is not its own")
				}
				if opened, ended := trail.count(opened)-logins, trail.count("logout ok")-logouts; opened != ended {
					t.Errorf("of the other account's %d sessions, which nobody has, %d were ended", opened, ended)
				}
				if saved := inStore(t, store); saved.Token != s.Token {
					t.Fatalf("the saved session became %v", saved)
				}
				logins = trail.count(opened)
				s3, err := keep(t, onClock(t, srv), KeepConfig{Store: store, Login: secondLogin(one)}).Session(t.Context())
				if err != nil || s3.UCC != one.UCC || told(first, second) != (s3.Token == s.Token) || told(first, second) != (trail.count(opened) == logins) {
					t.Errorf("the same account got %v, %v", s3, err)
				}
				if saved := inStore(t, store); saved.Token != s3.Token {
					t.Errorf("the saved session is %v", saved)
				}
			})
		}
	}
}

// Somebody logs in as another account while a keeper runs, into the keeper's file.
func TestKeeper_noticesThatItsFileIsAnothersNow(t *testing.T) {
	t.Parallel()
	srv, trail := keepServer(t, neoapitest.WithAccounts(1))
	one, other := people(t, srv)
	for way, login := range ways {
		t.Run(way, func(t *testing.T) {
			srv.Advance(2 * totpPeriod * time.Second)
			store := fileStore(t, filepath.Join(t.TempDir(), "session"))
			c := onClock(t, srv)
			k := keep(t, c, KeepConfig{Store: store, Login: login(one)})
			mine := must.Get(k.Session(t.Context()))(t)
			theirs := must.Get(keep(t, onClock(t, srv), KeepConfig{Login: ways["password by PAN"](other)}).Session(t.Context()))(t)
			for name, change := range map[string]func(*Session){
				"as it is":                      func(*Session) {},
				"of the last version":           func(s *Session) { s.Owner = "" },
				"ended":                         func(s *Session) { s.ExpiresAt = srv.Now().Add(-time.Hour) },
				"with a mark of another's name": func(s *Session) { s.Owner = byUCC("SOMEBODY1").mark(s.Token) },
			} {
				there := theirs
				change(&there)
				must.Do(t, store.Save(t.Context(), there))
				k.Ended(mine)
				logins := trail.count("login")
				for range 2 {
					if s, err := k.Session(t.Context()); !errors.Is(err, ErrInvalidInput) || s.Token != "" || !strings.Contains(fmt.Sprint(err), "TE…01") {
						t.Errorf("%s: got %v, %v", name, s, err)
					}
					if _, err := orders(t.Context(), c); !errors.Is(err, ErrInvalidInput) {
						t.Errorf("%s: a call: %v", name, err)
					}
				}
				if saved := inStore(t, store); saved.Token != theirs.Token || trail.count("login") != logins {
					t.Errorf("%s: the saved session became %v, after %d logins", name, saved, trail.count("login")-logins)
				}
			}
			must.Do(t, store.Clear(t.Context()))
			srv.Advance(2 * totpPeriod * time.Second)
			if s, err := k.Session(t.Context()); err != nil || s.UCC != one.UCC {
				t.Errorf("after it was removed: %v, %v", s, err)
			}
		})
	}
}

// A function that logs another account in than Login.UCC or the session before says.
func TestKeeper_keepsOneAccount(t *testing.T) {
	t.Parallel()
	srv, _ := keepServer(t, neoapitest.WithAccounts(1))
	one, other := people(t, srv)
	who := one
	login := Login{
		Credentials: func(context.Context) (Credentials, error) {
			return Credentials{UserID: who.UserID, Password: who.Password}, nil
		},
		MPIN: always(one.MPIN),
	}
	c := keepClient(t, srv)
	k := keep(t, c, KeepConfig{Login: login})
	s := must.Get(k.Session(t.Context()))(t)
	k.Ended(s)
	who = other
	if s, err := k.Session(t.Context()); !errors.Is(err, ErrInvalidInput) || s.Token != "" {
		t.Errorf("got %v, %v", s, err)
	}
	if _, ok := c.Session(); ok {
		t.Error("another account's session stays the current one")
	}
	login.UCC = one.UCC
	if s, err := keep(t, keepClient(t, srv), KeepConfig{Login: login}).Session(t.Context()); !errors.Is(err, ErrInvalidInput) || s.Token != "" {
		t.Errorf("with a UCC: got %v, %v", s, err)
	}
}

func TestKeeper_asksNoFunctionForASavedSessionOfAKnownUCC(t *testing.T) {
	srv, _ := keepServer(t)
	path := filepath.Join(t.TempDir(), "session")
	login := byPassword(srv.Account)
	saved := must.Get(keep(t, keepClient(t, srv), KeepConfig{Store: fileStore(t, path), Login: login}).Session(t.Context()))(t)
	asked := 0
	counted := login
	counted.Credentials = func(ctx context.Context) (Credentials, error) {
		asked++
		return login.Credentials(ctx)
	}
	counted.MPIN = func(context.Context) (string, error) { asked += 100; return srv.Account.MPIN, nil }
	k := keep(t, keepClient(t, srv), KeepConfig{Store: fileStore(t, path), Login: counted})
	for range 2 { // by the mark: asked once, and never again
		if s, err := k.Session(t.Context()); err != nil || s.Token != saved.Token || asked != 1 {
			t.Errorf("%v, %v after %d questions", s, err, asked)
		}
		k.held.Store(nil)
	}
	asked, counted.UCC = 0, strings.ToLower(srv.Account.UCC)
	if s, err := keep(t, keepClient(t, srv), KeepConfig{Store: fileStore(t, path), Login: counted}).Session(t.Context()); err != nil || s.Token != saved.Token || asked != 0 {
		t.Errorf("%v, %v after %d questions", s, err, asked)
	}
	// Once for a login, too, even if it was asked whose the session is.
	asked, counted.UCC = 0, ""
	saved.Owner = "pan:" + strings.Repeat("0", 32)
	must.Do(t, fileStore(t, path).Save(t.Context(), saved))
	if s, err := keep(t, keepClient(t, srv), KeepConfig{Store: fileStore(t, path), Login: counted}).Session(t.Context()); err != nil || s.Token == saved.Token || asked != 101 {
		t.Errorf("%v, %v after %d questions", s, err, asked)
	}
	// A function that fails is the error, and nothing is lost.
	cause := errors.New("the vault is closed")
	counted.Credentials = func(context.Context) (Credentials, error) { return Credentials{}, cause }
	before, _ := fileStore(t, path).Load(t.Context())
	_, err := keep(t, keepClient(t, srv), KeepConfig{Store: fileStore(t, path), Login: counted}).Session(t.Context())
	if after, _ := fileStore(t, path).Load(t.Context()); !errors.Is(err, ErrCallback) || !errors.Is(err, cause) || after.Token != before.Token {
		t.Errorf("%v, and the file has %v", err, after)
	}
}

// Where the service says no UCC and the file has no mark, nobody can tell.
func TestKeeper_replacesASessionOfNobodyKnowsWhomAtItsEnd(t *testing.T) {
	s := newScripted(t)
	s.on(opSession2FA, answer(200, `{"data":{"token":"fresh","sid":"s"}}`))
	path := filepath.Join(t.TempDir(), "session")
	old := Session{Token: "old", SID: "s", Environment: s.URL, Consumer: fingerprint("key"), ExpiresAt: time.Now().Add(time.Hour)}
	for name, tt := range map[string]struct {
		ends time.Time
		want string
	}{"still good": {time.Now().Add(time.Hour), "old"}, "ended": {time.Now().Add(-time.Hour), "fresh"}} {
		old.ExpiresAt = tt.ends
		must.Do(t, fileStore(t, path).Save(t.Context(), old))
		k := keep(t, s.client(t), KeepConfig{Store: fileStore(t, path), Login: Login{Credentials: always(Credentials{UserID: "u", Password: "p"}), MPIN: always(canaryMPIN)}})
		if got, err := k.Session(t.Context()); err != nil || got.Token != "fresh" {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if saved, err := fileStore(t, path).Load(t.Context()); err != nil || saved.Token != tt.want {
			t.Errorf("%s: the file has %v, %v", name, saved, err)
		}
	}
}

func TestRestore_refusesAnotherAccountsSession(t *testing.T) {
	t.Parallel()
	srv, _ := keepServer(t, neoapitest.WithAccounts(1))
	one, other := people(t, srv)
	session := func(p person) Session {
		return must.Get(keep(t, keepClient(t, srv), KeepConfig{Login: ways["password by mobile number"](p)}).Session(t.Context()))(t)
	}
	mine, theirs := session(one), session(other)
	for name, use := range map[string]func(*Client) func(Session) error{
		"Restore": func(c *Client) func(Session) error { return c.Restore }, "Use": func(c *Client) func(Session) error { return c.Use },
	} {
		c := keepClient(t, srv)
		must.Do(t, use(c)(mine))
		if err := use(c)(theirs); !errors.Is(err, ErrInvalidInput) || !strings.Contains(err.Error(), "TE…01") {
			t.Errorf("%s, logged in as another: %v", name, err)
		}
		if now, _ := c.Session(); now.Token != mine.Token {
			t.Errorf("%s: the current session is %v", name, now)
		}
		if err := use(c)(mine); err != nil {
			t.Errorf("%s, the same account's: %v", name, err)
		}
		c = keepClient(t, srv)
		keep(t, c, KeepConfig{Login: ways["TOTP by a seed"](one)}) // has not logged in yet
		if err := use(c)(theirs); !errors.Is(err, ErrInvalidInput) || !strings.Contains(err.Error(), "keeper") {
			t.Errorf("%s, with another's keeper: %v", name, err)
		}
		if err := use(c)(mine); err != nil {
			t.Errorf("%s, with the same account's keeper: %v", name, err)
		}
	}
	c := keepClient(t, srv) // an account may follow another, once that has logged out
	must.Do(t, c.Use(mine))
	must.Do(t, c.Logout(t.Context()))
	if err := c.Restore(theirs); err != nil {
		t.Error(err)
	}
}

// A mark says nothing to whoever has not the session's token.
func TestMark_doesNotSayWhoLoggedIn(t *testing.T) {
	who := Credentials{PAN: canaryPAN}.identity()
	mark := who.mark(canaryTrade)
	if !strings.HasPrefix(mark, "pan:") || len(mark) != len("pan:")+32 {
		t.Fatalf("a mark is %q", mark)
	}
	if again := who.mark(jwt(`{"x":1}`)); again == mark {
		t.Error("two sessions have the same mark")
	}
	for name, same := range map[string]Credentials{
		"a PAN in small letters": {PAN: strings.ToLower(canaryPAN)},
	} {
		if same.identity() != who {
			t.Errorf("%s is another", name)
		}
	}
	if a, b := (Credentials{Mobile: "99999-99908"}).identity(), (Credentials{Mobile: "+91 99999 99908"}).identity(); a != b || a.name != "+919999999908" {
		t.Errorf("one mobile number is %v and %v", a, b)
	}
	s := kept
	s.Owner = mark
	for _, text := range []string{fmt.Sprintf("%v %+v %#v", s, s, s), notOurs(s).Error()} {
		if strings.Contains(text, mark) || strings.Contains(text, canaryPAN) {
			t.Errorf("it is printed: %s", text)
		}
	}
	text := must.Get(s.Export())(t)
	var back map[string]any
	if err := json.Unmarshal(text, &back); err != nil || back["owner"] != mark || strings.Contains(string(text), canaryPAN) {
		t.Errorf("it is kept as %s", text)
	}
	if parsed, err := ParseSession(text); err != nil || parsed.Owner != mark {
		t.Errorf("it is read as %v, %v", parsed.Owner, err)
	}
}
