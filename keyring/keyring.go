// Package keyring keeps a session of package neoapi in the system's keyring: the
// keychain of macOS, the Credential Manager of Windows, the Secret Service of
// Linux and the BSDs (GNOME Keyring, KWallet).
//
//	keeper, err := client.Keep(neoapi.KeepConfig{Store: keyring.New("my-program", "AB1234"), …})
//
// It is a separate package so that programs that do not use it get none of its
// dependencies.
package keyring

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	zalando "github.com/zalando/go-keyring"

	"neoapi"
	"neoapi/internal/private"
)

// New returns a store that keeps one session in the keyring, under the names of a
// program (service) and an account. It does not access the keyring yet. The store is
// safe for concurrent use.
//
// The keyring has no lock of its own: that is a file in [os.UserCacheDir], which
// holds no secret. A keyring may ask a person to unlock it; cancel the context to
// stop waiting. Windows stores up to 2,560 bytes and macOS some 2,900, about twice
// the size of a session of our service.
func New(service, account string) neoapi.SessionStore { return store{service, account} }

type store struct{ service, account string }

// String returns both names.
func (s store) String() string { return fmt.Sprintf("keyring.store{%q, %q}", s.service, s.account) }

// Format prints String for every verb.
func (s store) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

func (s store) Load(ctx context.Context) (neoapi.Session, error) { return s.load(ctx, "load") }

func (s store) load(ctx context.Context, op string) (neoapi.Session, error) {
	text, err := wait(ctx, op, func() (string, error) { return zalando.Get(s.service, s.account) })
	switch {
	case errors.Is(err, zalando.ErrNotFound):
		return neoapi.Session{}, &neoapi.Error{Op: op, Category: neoapi.ErrNotLoggedIn, Message: "no session is saved in the keyring for " + s.account, Retry: neoapi.RetryLoginAgain}
	case err != nil:
		return neoapi.Session{}, err
	}
	session, err := neoapi.ParseSession([]byte(text))
	if err != nil {
		return neoapi.Session{}, &neoapi.Error{
			Op: op, Category: neoapi.ErrInvalidInput, Message: "the keyring's entry for " + s.account + " is not a session: remove it, or use another name", Retry: neoapi.RetryNever,
		}
	}
	return session, nil
}

// replaceable refuses to replace an entry that is not a session.
func (s store) replaceable(ctx context.Context, op string) error {
	_, err := s.load(ctx, op)
	if errors.Is(err, neoapi.ErrNotLoggedIn) {
		return nil
	}
	return err
}

func (s store) Save(ctx context.Context, session neoapi.Session) error {
	if err := s.replaceable(ctx, "save"); err != nil {
		return err
	}
	text, err := session.Export()
	if err != nil {
		return err
	}
	var short bytes.Buffer
	if err := json.Compact(&short, text); err != nil {
		return err
	}
	_, err = wait(ctx, "save", func() (struct{}, error) { return struct{}{}, zalando.Set(s.service, s.account, short.String()) })
	return err
}

// Writable implements [neoapi.WritableStore] with a separate entry, which it removes
// again.
func (s store) Writable(ctx context.Context) error {
	if err := s.replaceable(ctx, "save"); err != nil {
		return err
	}
	_, err := wait(ctx, "save", func() (struct{}, error) {
		beside := s.account + " (trial)"
		err := zalando.Set(s.service, beside, strings.Repeat("x", reserve))
		if err == nil {
			err = zalando.Delete(s.service, beside)
		}
		return struct{}{}, err
	})
	return err
}

// reserve is the size of a session of our service, in bytes, for which every keyring
// has room.
const reserve = 1500

func (s store) Clear(ctx context.Context) error {
	if err := s.replaceable(ctx, "clear"); err != nil {
		return err
	}
	_, err := wait(ctx, "clear", func() (struct{}, error) { return struct{}{}, zalando.Delete(s.service, s.account) })
	if errors.Is(err, zalando.ErrNotFound) {
		return nil
	}
	return err
}

func (s store) Lock(ctx context.Context) (unlock func(), err error) {
	lock, err := s.lock()
	if err == nil {
		unlock, err = lock.Lock(ctx)
	}
	return unlock, failed(ctx, "lock", err)
}

// LastStep implements [neoapi.StepStore] in the lock file.
func (s store) LastStep(ctx context.Context, ucc string) (step int64, err error) {
	lock, err := s.lock()
	if err == nil {
		step, err = lock.Number(ucc)
	}
	return step, failed(ctx, "lock", err)
}

// SaveStep implements [neoapi.StepStore] in the lock file.
func (s store) SaveStep(ctx context.Context, ucc string, step int64) error {
	lock, err := s.lock()
	if err == nil {
		err = lock.SetNumber(ucc, step)
	}
	return failed(ctx, "lock", err)
}

// RateFile implements [neoapi.RateStore] next to the lock file: all programs that
// keep sessions in the keyring share it.
func (s store) RateFile(name string) (string, error) {
	path, err := beside("rate-" + name)
	return path, failed(context.Background(), "lock", err)
}

func (s store) lock() (private.LockFile, error) {
	name := sha256.Sum256([]byte(s.service + "\x00" + s.account))
	path, err := beside(fmt.Sprintf("keyring-%x.lock", name[:8]))
	return private.LockFile{Path: path}, err
}

// beside returns the path of a file that the keyring cannot contain.
func beside(name string) (string, error) {
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "neo", name), err
}

// wait calls the keyring until the context is done: a keyring that asks a person has
// no timeout.
func wait[T any](ctx context.Context, op string, call func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	var none T
	if ctx.Err() != nil {
		return none, failed(ctx, op, ctx.Err())
	}
	done := make(chan answer, 1)
	go func() {
		value, err := call()
		done <- answer{value, err}
	}()
	select {
	case a := <-done:
		return a.value, failed(ctx, op, a.err)
	case <-ctx.Done():
		return none, failed(ctx, op, ctx.Err())
	}
}

// failed makes a [*neoapi.Error] of an error of the system.
func failed(ctx context.Context, op string, err error) error {
	var refused private.Refused
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return &neoapi.Error{Op: op, Category: neoapi.ErrNetwork, Message: "stopped waiting: " + ctx.Err().Error(), Err: ctx.Err(), Retry: neoapi.RetrySame}
	case errors.As(err, &refused):
		return &neoapi.Error{Op: op, Category: neoapi.ErrInvalidInput, Message: err.Error(), Retry: neoapi.RetryNever}
	}
	return &neoapi.Error{Op: op, Category: neoapi.ErrStore, Message: "the system's keyring: " + err.Error(), Err: err, Retry: neoapi.RetryLater}
}
