package sandbox

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/must"
)

func message(ucc, sid, code string) login.Message {
	return login.Message{SID: sid, Account: login.Account{UCC: ucc}, Code: credential.Secret(code)}
}

func send(t *testing.T, b *Inbox, m login.Message) {
	t.Helper()
	must.Do(t, b.Send(t.Context(), m))
}

func all(context.Context, login.Message) (bool, error) { return true, nil }

func TestInbox_returnsTheNewestLiveCode(t *testing.T) {
	var b Inbox
	send(t, &b, message("U", "a", "111111"))
	send(t, &b, message("U", "b", "222222"))
	send(t, &b, message("U", "c", "333333"))
	send(t, &b, message("V", "d", "444444"))
	used := func(_ context.Context, m login.Message) (bool, error) { return m.SID != "c", nil }
	for range 2 { // reading a code does not use it
		m, err := b.Newest(t.Context(), "U", used)
		if err != nil || m.Code != "222222" {
			t.Errorf("got %s, %v", string(m.Code), err)
		}
	}
	if n := len(b.codes["U"]); n != 2 {
		t.Errorf("%d codes are kept, want 2: the used one is forgotten", n)
	}
}

func TestInbox_returnsAnErrorOfTheJudgeAndForgetsNothing(t *testing.T) {
	var b Inbox
	send(t, &b, message("U", "a", "111111"))
	trouble := errors.New("store down")
	_, err := b.Newest(t.Context(), "U", func(context.Context, login.Message) (bool, error) { return false, trouble })
	if !errors.Is(err, trouble) || len(b.codes["U"]) != 1 {
		t.Errorf("got %v, and %d codes are left", err, len(b.codes["U"]))
	}
}

func TestInbox_waitEndsWithACodeOrWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Inbox
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		got := make(chan string)
		for range 3 {
			go func() {
				m, err := b.Newest(ctx, "U", all)
				got <- fmt.Sprint(string(m.Code), err)
			}()
		}
		synctest.Wait()
		send(t, &b, message("OTHER", "x", "999999"))
		synctest.Wait()
		time.Sleep(4 * time.Second)
		send(t, &b, message("U", "a", "111111"))
		for range 3 {
			if g := <-got; g != "111111<nil>" {
				t.Errorf("a waiter got %s", g)
			}
		}
		start := time.Now()
		if _, err := b.Newest(ctx, "NOBODY", all); !errors.Is(err, login.ErrNotFound) || time.Since(start) != time.Second {
			t.Errorf("got %v after %s, want not found after the second that was left", err, time.Since(start))
		}
	})
}

func TestInbox_ofOneAccountIsBounded(t *testing.T) {
	var b Inbox
	for i := range 10 * kept {
		send(t, &b, message("U", fmt.Sprint(i), "111111"))
	}
	if n := len(b.codes["U"]); n != kept {
		t.Errorf("%d codes are kept, want %d", n, kept)
	}
	if m, err := b.Newest(t.Context(), "U", all); err != nil || m.SID != fmt.Sprint(10*kept-1) {
		t.Errorf("the newest is that of login %s, %v", m.SID, err)
	}
}
