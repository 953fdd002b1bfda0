package neoapi

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"neoapi/internal/paste"
	"neoapi/internal/private"
)

// A FileStore keeps a session in a file that only its owner can read. Next to it are a lock file and a
// file that counts the consumer's requests ([RateStore]); for a symbolic link they are next to its
// target. It prints without its key. Its methods are safe for concurrent use, also by several
// processes.
//
// The file is written in one step: a reader sees the old session or the new one, and
// a crash leaves one of them. An existing file is used only if it contains a session,
// no other user can read or change it, and no other user can write to its directory.
// Anything else is refused with [ErrInvalidInput] and left as it is. (On Windows the
// directory's permissions protect the file; they are not checked.)
type FileStore struct {
	path   string
	phrase func(context.Context) (string, error)
	key    []byte

	deriving chan struct{} // a semaphore: full while the fields below are in use
	salt     []byte
	derived  []byte // the key derived from phrase and salt
}

// A FileOption changes how a [FileStore] keeps its session.
type FileOption func(*FileStore)

// WithKey encrypts the file with AES-256-GCM under key.
func WithKey(key [32]byte) FileOption { return func(f *FileStore) { f.key = key[:] } }

// WithPassphrase encrypts the file with AES-256-GCM under a key derived from a pass
// phrase by PBKDF2 (HMAC-SHA-256, 600,000 rounds). ask is called when the file is
// first read or written, and again if the phrase turns out to be wrong; its error is
// returned as [ErrCallback].
func WithPassphrase(ask func(context.Context) (string, error)) FileOption {
	return func(f *FileStore) { f.phrase = ask }
}

// NewFileStore returns a store for the file at path, which need not exist. It does
// not touch the disk. For an invalid configuration it returns an [ErrInvalidInput]
// that names every problem.
func NewFileStore(path string, opts ...FileOption) (*FileStore, error) {
	f := &FileStore{deriving: make(chan struct{}, 1)}
	for _, opt := range opts {
		opt(f)
	}
	var problems []string
	if path == "" {
		problems = append(problems, "the path is missing")
	}
	if f.key != nil && f.phrase != nil {
		problems = append(problems, "give WithKey or WithPassphrase, not both")
	}
	if f.key != nil && bytes.Equal(f.key, make([]byte, 32)) {
		problems = append(problems, "the key of WithKey is all zeros")
	}
	if len(problems) > 0 {
		return nil, invalid("new_file_store", problems...)
	}
	var err error
	if f.path, err = filepath.Abs(path); err != nil { // the working directory may change later
		return nil, storeError("new_file_store", err)
	}
	return f, nil
}

// Path returns where the session is kept.
func (f *FileStore) Path() string { return f.path }

// String returns the path.
func (f *FileStore) String() string { return fmt.Sprintf("neoapi.FileStore{%q}", f.path) }

// Format prints [FileStore.String] for every verb.
func (f *FileStore) Format(s fmt.State, _ rune) { io.WriteString(s, f.String()) }

// MarshalText returns [FileStore.String].
func (f *FileStore) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// Load returns the saved session, as [SessionStore] describes. An empty file counts
// as no session.
func (f *FileStore) Load(ctx context.Context) (Session, error) {
	text, err := f.open(ctx, "load")
	if err != nil {
		return Session{}, err
	}
	if text == nil {
		return Session{}, &Error{Op: "load", Category: ErrNotLoggedIn, Message: "no session is saved in " + f.path, Retry: RetryLoginAgain}
	}
	s, err := ParseSession(text)
	if err != nil {
		return Session{}, f.refuse("load", noSession)
	}
	return s, nil
}

// Fields returns the fields of the file's JSON that are not part of the session, such
// as those of neo login. Its errors are those of Load.
func (f *FileStore) Fields(ctx context.Context) (map[string]json.RawMessage, error) {
	text, err := f.open(ctx, "load")
	if err != nil || text == nil {
		return nil, err
	}
	return foreign(text), nil
}

// Save writes the session, as [SessionStore] describes. It creates the directory if
// necessary, and refuses with [ErrInvalidInput] to replace a file that is not a
// session. The file's other fields stay: see [FileStore.Fields].
func (f *FileStore) Save(ctx context.Context, s Session) error { return f.SaveWith(ctx, s, nil) }

// SaveWith is Save with further fields, whose values are encoded as JSON; nil removes
// a field. Fields saved with a session of another consumer or environment are
// dropped.
func (f *FileStore) SaveWith(ctx context.Context, s Session, fields map[string]any) error {
	if _, _, err := f.read(ctx, "save"); err != nil {
		return err
	}
	if s.Token == "" {
		return invalid("save", "the session has no token")
	}
	text, err := s.Export()
	if err == nil {
		text, err = f.withFields(ctx, text, s, fields)
	}
	if err == nil && f.seals() {
		text, err = f.seal(ctx, text)
	}
	if err != nil {
		return err
	}
	if err := private.Write(f.path, text); err != nil {
		return storeError("save", err)
	}
	return nil
}

// withFields adds the file's fields and the given ones to a session's text.
func (f *FileStore) withFields(ctx context.Context, text []byte, s Session, fields map[string]any) ([]byte, error) {
	all := map[string]json.RawMessage{}
	old, err := f.open(ctx, "save")
	switch {
	case ctx.Err() != nil:
		return nil, stopped(ctx, "save")
	case err != nil || old == nil: // sealed the other way: Save may replace it
	default:
		was, _ := ParseSession(old)
		if same := func(a, b string) bool { return a == "" || b == "" || a == b }; same(was.Consumer, s.Consumer) && same(was.Environment, s.Environment) {
			all = foreign(old)
		}
	}
	for name, value := range fields {
		if value == nil {
			delete(all, name)
			continue
		}
		if all[name], err = json.Marshal(value); err != nil {
			return nil, invalid("save", "the field "+name+" cannot be JSON")
		}
	}
	if len(all) == 0 {
		return text, nil
	}
	if err := json.Unmarshal(text, &all); err != nil { // overrides them
		return nil, invalid("save", "the session cannot be JSON")
	}
	text, _ = json.MarshalIndent(all, "", "  ") // cannot fail: it was JSON
	return append(text, '\n'), nil
}

// foreign returns the fields of a saved session's JSON that this package does not know.
func foreign(text []byte) map[string]json.RawMessage {
	var saved savedSession
	all, ours := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	_, _ = json.Unmarshal(text, &all), json.Unmarshal(text, &saved) // both have been parsed before
	known, _ := json.Marshal(saved)
	_ = json.Unmarshal(known, &ours)
	for name := range ours {
		delete(all, name)
	}
	return all
}

// reserve is the size that Writable writes, in bytes: several times that of a session.
const reserve = 16 << 10

// Writable implements [WritableStore]: it creates the directory if necessary, writes
// and removes a file in it, and asks for the pass phrase if Save will need it. It
// refuses what Save refuses.
func (f *FileStore) Writable(ctx context.Context) error {
	if _, _, err := f.read(ctx, "save"); err != nil {
		return err
	}
	if f.phrase != nil {
		if _, _, err := f.derive(ctx, nil, "save"); err != nil {
			return err
		}
	}
	if err := private.Try(f.path, reserve); err != nil {
		return storeError("save", err)
	}
	return nil
}

// Clear removes the file, or refuses with [ErrInvalidInput] if it is not a session.
// The target of a symbolic link is emptied, so that the link stays valid. The lock
// file stays.
func (f *FileStore) Clear(ctx context.Context) error {
	text, _, err := f.read(ctx, "clear")
	if err != nil {
		return err
	}
	switch info, statErr := os.Lstat(f.path); {
	case statErr != nil:
		err = statErr
	case info.Mode()&fs.ModeSymlink == 0:
		err = os.Remove(f.path)
	case text != nil:
		err = private.Write(f.path, nil)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return storeError("clear", err)
	}
	return nil
}

// lockFile returns the lock file next to the session's file. A file with several
// names, by symbolic links, has one lock.
func (f *FileStore) lockFile() (private.LockFile, error) {
	at, err := private.Resolve(f.path)
	return private.LockFile{Path: at + ".lock"}, err
}

// Lock locks the lock file, as [SessionStore] describes.
func (f *FileStore) Lock(ctx context.Context) (unlock func(), err error) {
	lock, err := f.lockFile()
	if err == nil {
		unlock, err = lock.Lock(ctx)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, stopped(ctx, "lock")
	case err != nil:
		return nil, storeError("lock", err)
	}
	return unlock, nil
}

// LastStep implements [StepStore] in the lock file.
func (f *FileStore) LastStep(_ context.Context, ucc string) (int64, error) {
	lock, err := f.lockFile()
	var step int64
	if err == nil {
		step, err = lock.Number(ucc)
	}
	if err != nil {
		return 0, storeError("lock", err)
	}
	return step, nil
}

// SaveStep implements [StepStore] in the lock file.
func (f *FileStore) SaveStep(_ context.Context, ucc string, step int64) error {
	lock, err := f.lockFile()
	if err == nil {
		err = lock.SetNumber(ucc, step)
	}
	if err != nil {
		return storeError("lock", err)
	}
	return nil
}

// RateFile implements [RateStore] with a file next to the session's: session files in
// one directory share it. For a symbolic link it is next to the target.
func (f *FileStore) RateFile(name string) (string, error) {
	at, err := private.Resolve(f.path)
	if err != nil {
		return "", storeError("lock", err)
	}
	return filepath.Join(filepath.Dir(at), "rate-"+name), nil
}

// maxSessionFile is far above the size of a session, in bytes.
const maxSessionFile = 1 << 20

// sealedFile is the form of a sealed session's file.
type sealedFile struct {
	Kind   string `json:"neoSession"` // sealedKind
	Salt   []byte `json:"salt,omitempty"`
	Nonce  []byte `json:"nonce"`
	Sealed []byte `json:"sealed"`
}

const (
	sealedKind = "sealed 1" // AES-256-GCM; with a salt, PBKDF2 with these rounds
	rounds     = 600_000
)

// open returns the session's text in the file, unsealed, or nil if there is none.
func (f *FileStore) open(ctx context.Context, op string) ([]byte, error) {
	text, sealed, err := f.read(ctx, op)
	switch {
	case err != nil || text == nil:
		return nil, err
	case sealed != nil:
		return f.unseal(ctx, sealed)
	case f.seals():
		return nil, f.refuse(op, "is not sealed, so anyone may have written it: remove it, or read it without a key")
	}
	return text, nil
}

// read returns the file's content: nothing (both nil), a session's text, or a sealed
// session. Anything else is an error.
func (f *FileStore) read(ctx context.Context, op string) (text []byte, sealed *sealedFile, err error) {
	if ctx.Err() != nil {
		return nil, nil, stopped(ctx, op)
	}
	text, err = private.Read(f.path, maxSessionFile)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && len(text) == 0:
		return nil, nil, nil
	case err != nil:
		return nil, nil, storeError(op, err)
	}
	if clean, err := paste.Text(text); err == nil { // an editor may have left a byte-order mark
		text = clean
	}
	sealed = new(sealedFile)
	if json.Unmarshal(text, sealed) == nil && sealed.Kind == sealedKind {
		return text, sealed, nil
	}
	if _, err := ParseSession(text); err != nil {
		return nil, nil, f.refuse(op, noSession)
	}
	return text, nil, nil
}

// noSession describes a file that is not a session, which the store neither uses nor removes.
const noSession = "does not contain a complete session: remove it, or use another file"

func (f *FileStore) refuse(op, why string) *Error { return invalid(op, f.path+" "+why) }

// storeError returns the error for a store's file.
func storeError(op string, err error) *Error {
	var refused private.Refused
	if errors.As(err, &refused) {
		return invalid(op, string(refused))
	}
	return &Error{Op: op, Category: ErrStore, Message: err.Error(), Err: err, Retry: RetryLater}
}

func (f *FileStore) seals() bool { return f.key != nil || f.phrase != nil }

func (f *FileStore) seal(ctx context.Context, text []byte) ([]byte, error) {
	key, salt := f.key, []byte(nil)
	if key == nil {
		var err error
		if key, salt, err = f.derive(ctx, nil, "save"); err != nil {
			return nil, err
		}
	}
	box := sealedFile{Kind: sealedKind, Salt: salt, Nonce: make([]byte, 12)}
	rand.Read(box.Nonce)
	box.Sealed = aead(key).Seal(nil, box.Nonce, text, box.bound())
	out, _ := json.MarshalIndent(box, "", "  ") // cannot fail
	return append(out, '\n'), nil
}

func (f *FileStore) unseal(ctx context.Context, box *sealedFile) ([]byte, error) {
	key := f.key
	switch {
	case !f.seals():
		return nil, f.refuse("load", "is sealed: give its key or pass phrase")
	case (f.phrase == nil) != (len(box.Salt) == 0):
		return nil, f.refuse("load", "is sealed the other way: a key is not a pass phrase")
	case len(box.Nonce) != 12:
		return nil, f.refuse("load", noSession)
	case f.phrase != nil:
		var err error
		if key, _, err = f.derive(ctx, box.Salt, "load"); err != nil {
			return nil, err
		}
	}
	text, err := aead(key).Open(nil, box.Nonce, box.Sealed, box.bound())
	if err != nil {
		f.forget(key)
		return nil, f.refuse("load", "cannot be unsealed: the key or pass phrase is wrong, or the file was changed")
	}
	return text, nil
}

// bound returns the data that the seal authenticates besides the session.
func (b *sealedFile) bound() []byte { return append([]byte(sealedKind), b.Salt...) }

func aead(key []byte) cipher.AEAD {
	block, _ := aes.NewCipher(key) // fails only for a length other than 32
	a, _ := cipher.NewGCM(block)
	return a
}

// derive returns the key for the pass phrase and salt; if salt is nil it uses the
// last salt, or a new one. It caches the last key, because deriving one takes a tenth
// of a second.
func (f *FileStore) derive(ctx context.Context, salt []byte, op string) (key, used []byte, err error) {
	select {
	case f.deriving <- struct{}{}:
		defer func() { <-f.deriving }()
	case <-ctx.Done():
		return nil, nil, stopped(ctx, op)
	}
	if f.derived != nil && (salt == nil || bytes.Equal(salt, f.salt)) {
		return f.derived, f.salt, nil
	}
	if salt == nil {
		salt = make([]byte, 16)
		rand.Read(salt)
	}
	phrase, err := f.phrase(ctx)
	switch {
	case ctx.Err() != nil:
		return nil, nil, stopped(ctx, op)
	case err != nil:
		return nil, nil, &Error{Op: op, Category: ErrCallback, Message: "the pass phrase: " + tidy(err.Error(), nil), Err: err, Retry: RetrySame}
	case phrase == "":
		return nil, nil, invalid(op, "the pass phrase is empty")
	}
	if key, err = pbkdf2.Key(sha256.New, phrase, salt, rounds, 32); err != nil {
		return nil, nil, storeError(op, err)
	}
	f.salt, f.derived = salt, key
	return key, salt, nil
}

// forget drops a key that did not open the file, so that the pass phrase is
// asked for again.
func (f *FileStore) forget(key []byte) {
	f.deriving <- struct{}{}
	defer func() { <-f.deriving }()
	if bytes.Equal(key, f.derived) {
		f.salt, f.derived = nil, nil
	}
}
